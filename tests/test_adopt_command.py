"""`streamcell adopt`, as it is called."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import soundfile

from helpers import SAMPLES
from streamcell.export.adopt import adopter
from streamcell.runtime.cli.main import main
from streamcell.runtime.errors import ModelError
from streamcell.runtime.model import Model

GRAPH = """
<ir_version: 8, opset_import: ["": 17]>
theirs (float[B, N] input, float[B, 1] level, int64 sr) =>
       (float[B, 1] output, float[B, 1] levelN, float[B, N] rest) {
    wanted = Constant<value_int: int = 8000>()
    right = Equal(sr, wanted)
    axis = Constant<value_ints: ints = [1]>()
    rest = Abs(input)
    now = ReduceMean<axes: ints = [1], keepdims: int = 1>(rest)
    sum = If (right) <
        then_branch = yes () => (float[B, 1] a) { a = Add(now, level) },
        else_branch = no () => (float[B, 1] b) { b = Sub(now, level) }
    >
    half = Constant<value_float: float = 0.5>()
    levelN = Mul(sum, half)
    output = Identity(levelN)
}
"""
CARD = """
name = "level"
licence = "MIT"
task = "frames"
[constants]
sr = 8000
[input]
name = "input"
kind = "audio"
sample_rate = 8000
samples_per_step = 80
left_context = 20
[output]
name = "output"
kind = "probabilities"
labels = ["loud"]
layout = "BC"
"""


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    path = tmp_path / "theirs.onnx"
    onnx.save(onnx.parser.parse_model(GRAPH), path)
    (tmp_path / "card.toml").write_text(CARD)
    return path


def called(path: Path, *more: str | Path) -> list[str]:
    files = ["--manifest", path.parent / "card.toml", "--out", path.parent / "new.onnx"]
    return ["adopt", "--trust", *map(str, [path, *files, *more])]  # in this process


def refused(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> str:
    """Return what is printed where nothing is written."""
    out = Path(arguments[arguments.index("--out") + 1])
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("streamcell: error: ")
    assert not out.is_file()
    assert not list(out.parent.glob("*.partial"))
    return captured.err


def test_what_was_found_and_done_is_printed(theirs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(called(theirs)) == 0
    out = theirs.with_name("new.onnx")
    printed = capsys.readouterr().out
    for line in (
        f"{theirs}: operators of version 17",
        "input      input float32 [B, N]: 80 new a step, after 20 of the past",
        "constant   sr = 8000",
        "state      level <- levelN ['B', 1]: by names, confirmed by running",
        "new state  input_context <- input_context_next ['B', 20]: the past, kept by the graph itself",
        "output     output float32 [B, 1]: probabilities of loud",
        "left out   rest float32 [B, N]",
        "a call     steps: 1, any number of streams",
        "0.0e+00  0.0e+00     22  synthetic voice",
        f"{out}: 0.00 MB",
    ):
        assert line in printed
    model = Model.open(out)
    assert (model.manifest.name, model.manifest.licence) == ("level", "MIT")
    assert sorted(path.name for path in theirs.parent.iterdir()) == ["card.toml", "new.onnx", "theirs.onnx"]
    sound = np.random.default_rng(0).uniform(-0.1, 0.1, (1, 160)).astype(np.float32)
    first, state = model.step(sound[:, :80], model.initial_state())
    second, _ = model.step(sound[:, 80:], state)
    levels = np.abs(sound[:, :80]).sum() / 100, np.abs(sound[:, 60:]).sum() / 100
    assert np.isclose(first["output"].item(), levels[0] / 2, atol=1e-6)
    assert np.isclose(second["output"].item(), levels[1] / 2 + levels[0] / 4, atol=1e-6)


def test_recordings_are_part_of_the_proof(theirs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sounds = [str(SAMPLES / "learner.flac"), str(SAMPLES / "reader.flac")]
    assert main(called(theirs, "--audio", *sounds)) == 0
    printed = capsys.readouterr().out
    assert all(sound in printed for sound in sounds)
    parity = Model.open(theirs.with_name("new.onnx")).manifest.parity
    assert parity is not None
    assert parity.cases == 66


def test_a_recording_that_is_too_short(theirs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    soundfile.write(theirs.with_name("short.wav"), np.zeros(4000), 8000)
    assert "at least 1 s" in refused(capsys, called(theirs, "--audio", theirs.with_name("short.wav")))


def test_a_model_of_features_hears_no_recordings(theirs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    card = CARD.replace('"audio"', '"features"\nchannels = 80\nlayout = "BF"').replace("samples_per_step = 80", "")
    theirs.with_name("card.toml").write_text(card.replace("left_context = 20", ""))
    assert "takes features" in refused(capsys, called(theirs, "--audio", SAMPLES / "reader.flac"))


@pytest.mark.parametrize("content", [b"", b"not a model", b"PK\x03\x04 neither", bytes(range(256)) * 9])
def test_a_file_that_is_no_model(content: bytes, theirs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    theirs.write_bytes(content)
    assert f"{theirs}: expected a whole ONNX file" in refused(capsys, called(theirs))


def test_a_file_that_is_cut_short(theirs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = theirs.read_bytes()
    for size in range(1, len(data), 37):
        theirs.write_bytes(data[:size])
        assert str(theirs) in refused(capsys, called(theirs))


def test_files_that_are_not_there(theirs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "no such file" in refused(
        capsys, called(theirs.with_name("none.onnx"), "--out", theirs.with_name("new.onnx"))
    )
    theirs.with_name("card.toml").unlink()
    assert "cannot read the card" in refused(capsys, called(theirs))


def test_a_place_that_cannot_be_written(theirs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(called(theirs, "--out", theirs.parent)) == 2
    assert "is a folder" in capsys.readouterr().err
    assert main(called(theirs, "--out", theirs.parent / "nowhere" / "new.onnx")) == 2
    assert "does not exist" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('kind = "audio"\n', "", "card.toml: the card lacks a line in [input] for 'kind'; e.g. kind = \"audio\""),
        ("sr = 8000", "rate = 8000", "[constants] rate: the graph has no such input; there are: level, sr"),
        ("sr = 8000", "sr = 8000.5", "sr must be int64, so write int; got 8000.5"),
        ("[constants]\nsr = 8000", "", "[constants]\nsr = 0"),
        ('["loud"]', '["loud", "soft"]', "output.labels: the card has 2, the graph's output float32 [B, 1] has 1"),
        ("left_context", "left_contxt", "'input.left_contxt' is not a known key; did you mean 'left_context'?"),
        ('name = "output"', 'name = "levl"', "the graph has no such output; there is: output float32 [B, 1]"),
        ("[output]", '[[states]]\ninput = "h"\noutput = "levelN"\n[output]', "the graph has no such input that may be"),
        ('"frames"', '"ctc"', "manifest.outputs[0].blank must be a column of labels for task 'ctc'"),
    ],
)
def test_cards_that_do_not_fit(
    old: str, new: str, message: str, theirs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert old in CARD
    theirs.with_name("card.toml").write_text(CARD.replace(old, new))
    assert message in refused(capsys, called(theirs))


def test_states_that_the_names_do_not_tell_are_asked_for_and_then_taken(
    theirs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    graph = """
    <ir_version: 8, opset_import: ["": 17]>
    two (float[B, N] input, float[B, 1] a, float[B, 1] b) => (float[B, 1] output, float[B, 1] u, float[B, 1] v) {
        now = ReduceMean<axes: ints = [1], keepdims: int = 1>(input)
        u = Add(b, now)
        v = Tanh(a)
        sum = Add(u, v)
        output = Sigmoid(sum)
    }
    """
    onnx.save(onnx.parser.parse_model(graph), theirs)
    card = CARD.replace("[constants]\nsr = 8000", "")
    theirs.with_name("card.toml").write_text(card)
    error = refused(capsys, called(theirs))
    lines = '[[states]]\ninput = "a"\noutput = "u"\n[[states]]\ninput = "b"\noutput = "v"\n'
    assert error.endswith(lines)
    theirs.with_name("card.toml").write_text(card + lines)
    assert main(called(theirs)) == 0
    assert "state      a <- u ['B', 1]: from the card" in capsys.readouterr().out


def test_what_is_not_proven_is_not_written(
    theirs: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adopter, "BOUND", -1.0)
    assert "it is not the original run step by step" in refused(capsys, called(theirs))
    out = theirs.with_name("new.onnx")
    out.write_bytes(b"the last one")
    assert main(called(theirs)) == 2
    assert out.read_bytes() == b"the last one"


def test_a_crash_while_writing_leaves_the_old_file(
    theirs: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = theirs.with_name("new.onnx")
    out.write_bytes(b"the last one")

    def full(self: Path, data: bytes) -> int:
        with self.open("wb") as file:
            file.write(data[:10])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    assert main(called(theirs)) == 2
    assert "No space left" in capsys.readouterr().err
    assert out.read_bytes() == b"the last one"
    assert not list(out.parent.glob("*.partial"))


def test_the_extra_is_named_where_it_is_absent(
    theirs: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "onnxscript" else find(name, *rest)
    )
    assert "streamcell[export]" in refused(capsys, called(theirs))


def test_help_teaches_and_imports_nothing_heavy(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["adopt", "--help"])
    assert "streamcell adopt silero_vad.onnx --manifest silero.toml --out vad.onnx" in capsys.readouterr().out
    check = "import sys, streamcell.export.adopt_command; sys.exit(bool({'torch', 'onnx', 'numpy'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0


def test_the_card_in_the_help_is_a_card(theirs: Path) -> None:
    from streamcell.export.adopt.card import parse_card
    from streamcell.export.adopt_command import EPILOG

    card = parse_card(EPILOG.split("The card is TOML:")[1], str)
    assert (card.name, card.input.left_context, card.states[0].batch_axis) == ("silero-vad", 64, 1)
    with pytest.raises(ModelError, match=r"card.task must be one of"):
        parse_card(EPILOG.split("The card is TOML:")[1].replace('"frames"', '"words"'), str)


def test_names_and_types_that_are_none(theirs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = theirs.read_bytes()
    theirs.write_bytes(data.replace(b"levelN", b"level\xff"))
    assert "it has names that are no text" in refused(capsys, called(theirs))
    onnx.save(onnx.parser.parse_model(GRAPH.replace("int64 sr", "string sr")), theirs)
    assert "'sr' is no tensor of numbers" in refused(capsys, called(theirs))
