"""The card of somebody's file: what it may say, and what is told where it does not."""

from pathlib import Path

import onnx
import pytest

from streamcell.export.adopt.card import Card, InputCard, OutputCard, StateCard, parse_card, read_card
from streamcell.export.adopt.example import example
from streamcell.export.adopt.source import read_source
from streamcell.runtime.errors import InputError, ModelError
from streamcell.runtime.manifest import GapPolicy

CARD = """
name = "vad"
task = "frames"
[constants]
sr = 16000
[input]
name = "input"
kind = "audio"
sample_rate = 16000
samples_per_step = 512
left_context = 64
[output]
name = "output"
kind = "probabilities"
labels = ["speech"]
layout = "BC"
"""

GRAPH = """
<ir_version: 8, opset_import: ["": 17]>
vad (float[B, N] input, float[2, B, 128] state, int64 sr) => (float[B, 1] output, float[2, B, 128] stateN) {
    output = Relu(input)
    stateN = Identity(state)
}
"""


def parsed(text: str) -> Card:
    return parse_card(text, lambda key: f"e.g. {key}")


def without(line: str) -> str:
    kept = [text for text in CARD.splitlines() if not text.startswith(line)]
    assert len(kept) < len(CARD.splitlines())
    return "\n".join(kept)


def test_a_card() -> None:
    assert parsed(CARD) == Card(
        "vad",
        "frames",
        InputCard("input", "audio", 16000, 512, 1, left_context=64),
        OutputCard("output", "probabilities", ("speech",), layout="BC"),
        constants={"sr": 16000},
    )


def test_everything_that_a_card_may_say() -> None:
    card = parsed(
        """
        name = "phones"
        description = "Phones."
        licence = "MIT"
        task = "ctc"
        decoder = {name = "ctc-greedy"}
        [input]
        name = "x"
        kind = "features"
        sample_rate = 100
        channels = 40
        look_ahead_steps = 2
        layout = "TBF"
        [output]
        name = "y"
        kind = "logits"
        labels = ["_", "SIL", "A"]
        blank = 0
        silence = "SIL"
        layout = "TBC"
        [gap]
        reset_after = 2
        [[states]]
        input = "h"
        output = "g"
        shape = [1, "B", 8]
        initial = 1
        [[states]]
        input = "c"
        output = "d"
        batch_axis = 1
        """
    )
    assert card.input == InputCard("x", "features", 100, 1, 40, 0, 2, "TBF")
    assert card.output == OutputCard("y", "logits", ("_", "SIL", "A"), 0, "SIL", "TBC")
    assert card.gap == GapPolicy("fill", 2.0)
    assert card.states == (StateCard("h", "g", None, (1, "B", 8), 1.0), StateCard("c", "d", 1))
    assert (card.decoder, card.licence, card.description) == ({"name": "ctc-greedy"}, "MIT", "Phones.")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("licence", "licence", "'licens' is not a known key; did you mean 'licence'"),
        (
            "samples_per_step",
            "samples_per_stp",
            "'input.samples_per_stp' is not a known key; did you mean 'samples_per_",
        ),
        (
            "[output]",
            "[[states]]\ninputs = 'a'\n[output]",
            r"'states\[0\].inputs' is not a known key; did you mean 'input'",
        ),
        ("[output]", "[gap]\nxyz = 1\n[output]", "'gap.xyz' is not a known key; known here: action, reset_after"),
        ('kind = "audio"', 'kind = "sound"', "card.input.kind must be one of 'audio', 'features', got 'sound'"),
        ("sample_rate = 16000", "sample_rate = '16k'", "card.input.sample_rate must be an integer, got '16k'"),
        ('["speech"]', '"speech"', "card.output.labels must be a list, got 'speech'"),
        ("left_context = 64", "left_context = -1", "left_context must be from 0 to 1048576, got -1"),
        ("samples_per_step = 512", "samples_per_step = 0", "must be 1 or more"),
        ('layout = "BC"', 'layout = "BTB"', "output.layout must order the letters BTC"),
        ('layout = "BC"', 'layout = "BX"', "output.layout must order the letters BTC"),
        ('["speech"]\nlayout = "BC"', '["a", "b"]\nlayout = "BT"', "output.layout must order the letters BTC"),
        ("left_context = 64", 'layout = "B"', "input.layout must order the letters BN"),
        ("[constants]", "[constants", "not valid TOML"),
    ],
)
def test_cards_that_do_not_fit(old: str, new: str, message: str) -> None:
    text = CARD.replace(old, new) if old != "licence" else f"licens = 'MIT'\n{CARD}"
    with pytest.raises((InputError, ModelError), match=message):
        parsed(text)


def test_a_past_needs_an_axis_of_time() -> None:
    text = CARD.replace('kind = "audio"', 'kind = "features"\nlayout = "BF"\nchannels = 4').replace("= 512", "= 1")
    with pytest.raises(InputError, match=r"left_context needs the axis T in input.layout, got 'BF'"):
        parsed(text)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('name = "vad"', "lacks a line for 'name'; e.g. name = \"theirs\""),
        ("task", "lacks a line for 'task'; e.g. task = \"frames\""),
        (
            'name = "input"',
            r"lacks a line in \[input\] for 'name'; e.g. name = \"input\" .*state float32 \[2, B, 128\]",
        ),
        ("kind", "lacks a line in .input. for 'kind'; e.g. kind = \"audio\""),
        ("sample_rate", "for 'sample_rate'; e.g. sample_rate = 16000"),
        ("samples_per_step", "for 'samples_per_step'; e.g. samples_per_step = 512"),
        ("labels", "for 'labels'; e.g. labels = .\"speech\"."),
        ('name = "output"', "for 'name'; e.g. name = \"output\""),
    ],
)
def test_a_missing_line_comes_with_an_example_from_the_graph(line: str, message: str, tmp_path: Path) -> None:
    path, card = tmp_path / "theirs.onnx", tmp_path / "card.toml"
    onnx.save(onnx.parser.parse_model(GRAPH), path)
    card.write_text(without(line))
    source = read_source(path)
    with pytest.raises(InputError, match=message) as caught:
        read_card(card, lambda key: example(source, key))
    assert str(caught.value).startswith(f"{card}: ")


def test_a_card_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot read the card"):
        read_card(tmp_path / "none.toml", str)
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="cannot read the card"):
        read_card(tmp_path / "bytes.toml", str)
