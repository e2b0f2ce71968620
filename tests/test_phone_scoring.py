"""What a model hears beside what was said: whose recordings, edits, intervals."""

import json
from pathlib import Path

import numpy as np
import pytest

from helpers import SAMPLES
from streamcell.runtime import Model, Segment
from streamcell.runtime.decode import make_decoder
from streamcell.runtime.transcribe import transcribe_file
from streamcell.train.data.utterances import Utterance
from streamcell.train.metrics import ErrorRate
from streamcell.train.phone_scoring import Pair, answer, choose, interval, pair, total, training_phones, wilson

RECIPE = """
[[data.corpora]]
path = "speech/a/train"
validation_speakers = ["s1", "s3"]
[[data.corpora]]
path = "speech/b/train"
"""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Make two corpora of five speakers, two recordings each, and a recipe."""
    for name in "ab":
        folder = tmp_path / "data/speech" / name / "train"
        folder.mkdir(parents=True)
        rows = [
            {
                "id": f"{name}{i}",
                "speaker": f"s{i // 2}",
                "audio": f"{i}.wav",
                "phones": [[0, 0.1, "SIL"], [0.1, 0.2, p]],
            }
            for i, p in enumerate(["AA", "B", "K", "S", "AA", "B", "K", "S", "SIL", "AA"])
        ]
        (folder / "utterances.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (tmp_path / "recipe.toml").write_text(RECIPE)
    return tmp_path / "data"


def test_held_out_speakers_are_chosen_and_their_number_is_kept(data: Path) -> None:
    folders, recipe = [data / "speech/a/train", data / "speech/b/train"], data.parent / "recipe.toml"
    everybody = choose(folders)
    assert [len(some) for some in everybody] == [10, 10]
    held, none = choose(folders, recipe)
    assert ([one.id for one in held], none) == (["a2", "a3", "a6", "a7"], [])
    assert [one.id for one in choose(folders, None, 4)[1]] == ["b0", "b2", "b5", "b7"]
    assert choose(folders, None, 99) == everybody
    assert [one.id for one in choose([folders[0]], recipe, 2)[0]] == ["a2", "a6"]


def test_what_trains_leaves_held_out_speakers_and_pauses_out(data: Path) -> None:
    said = dict(training_phones(data.parent / "recipe.toml", data))
    assert said["speech/a/train"] == [("AA",), ("B",), ("AA",), ("B",), ("AA",)]
    assert len(said["speech/b/train"]) == 9


def test_a_pair_counts_edits_without_pauses() -> None:
    said = Utterance("u", "s", "c", Path(), ((0.0, 0.1, "SIL"), (0.1, 0.1, "K"), (0.2, 0.1, "AE"), (0.3, 0.1, "T")))
    heard = [Segment("SIL", 0.0, 0.1, 1.0), Segment("K", 0.1, 0.2, 1.0), Segment("AA", 0.2, 0.4, 1.0)]
    both = pair(said, heard)
    assert both.labels == (["K", "AE", "T"], ["K", "AA"])
    assert both.heard[1] == (0.2, 0.4 - 0.2, "AA")
    assert both.errors == ErrorRate(1, 1, 0, 3)
    assert total([both, both]) == ErrorRate(2, 2, 0, 6)


def test_the_interval_is_of_speakers_and_not_of_recordings() -> None:
    def pairs(speakers: list[str]) -> list[Pair]:
        said = [Utterance("", name, "", Path(), ((0.0, 0.1, "AA"),)) for name in speakers]
        return [Pair(one, [] if number % 4 == 0 else [(0.0, 0.1, "AA")]) for number, one in enumerate(said)]

    alone = interval(pairs([str(i) for i in range(200)]))
    assert 0.17 < alone[0] < 0.25 < alone[1] < 0.33
    assert interval(pairs(["one"] * 200)) == (0.25, 0.25)


def test_an_answer_decoded_is_what_transcribe_hears() -> None:
    model = Model.open("phonemes-en")
    (utterances,) = choose([SAMPLES])
    for one in utterances:
        heard = answer(model, one)
        found = heard.decode(make_decoder(model.manifest))
        whole = transcribe_file(model, one.audio).segments
        assert [(s.label, s.start, s.end) for s in found] == [
            (s.label, s.start, s.end) for s in whole if s.label != "SIL"
        ]
        assert heard.decode(make_decoder(model.manifest)) == found
        assert heard.pair(found).errors.rate < 0.6


def test_wilson_is_symmetric() -> None:
    low, high = wilson(30, 100)
    assert (low, high) == pytest.approx(tuple(1 - np.array(wilson(70, 100))[::-1]))
    assert low < 0.3 < high
