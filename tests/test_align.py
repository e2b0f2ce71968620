"""Forced alignment: the likeliest path and the scores against all there are, and on real speech."""

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from helpers import SAMPLES
from streamcell.runtime import Model
from streamcell.runtime.align import Script, align_file
from streamcell.runtime.align.goodness import in_place
from streamcell.runtime.align.path import best_path
from streamcell.runtime.align.writing import jsonl, praat, relabel
from streamcell.runtime.cli.main import main
from streamcell.runtime.errors import InputError
from streamcell.runtime.phones import ARPABET, IPA, from_ipa, to_ipa
from streamcell.train.data.utterances import read_corpus

ROWS = [json.loads(line) for line in (SAMPLES / "utterances.jsonl").read_text(encoding="utf-8").splitlines()]


def _scores(rng: np.random.Generator, frames: int, columns: int) -> NDArray[np.float32]:
    logits = 2 * rng.standard_normal((frames, columns))
    return np.asarray(logits - np.log(np.exp(logits).sum(1, keepdims=True)), np.float32)


def _best(scores: NDArray[np.float32], columns: tuple[int, ...]) -> float:
    """Return the best score of columns one after the other, a frame or more each, by trying all borders."""
    frames, best = len(scores), -np.inf
    for cuts in itertools.combinations(range(1, frames), len(columns) - 1):
        edges = [0, *cuts, frames]
        parts = zip(columns, itertools.pairwise(edges), strict=True)
        best = max(best, sum(float(scores[begin:end, column].sum()) for column, (begin, end) in parts))
    return best


def _texts(words: list[list[list[int]]], pause: int) -> set[tuple[int, ...]]:
    """Return all that can be said: every choice of ways, every choice of pauses."""
    said = set()
    for ways in itertools.product(*words):
        for pauses in itertools.product([(), (pause,)], repeat=len(words) + 1):
            parts = [*itertools.chain(*zip(pauses, ways, strict=False)), pauses[-1]]
            said.add(tuple(itertools.chain(*parts)))
    return said


@pytest.mark.parametrize("seed", range(20))
def test_the_path_is_the_best_of_all(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores = _scores(rng, int(rng.integers(5, 9)), 4)
    words = [
        [rng.integers(1, 4, rng.integers(1, 3)).tolist() for _ in range(rng.integers(1, 3))]
        for _ in range(rng.integers(1, 3))
    ]
    runs = best_path(scores, words, 0)
    assert [run.start for run in runs[1:]] == [run.end for run in runs[:-1]]
    assert (runs[0].start, runs[-1].end) == (0, len(scores))
    said = tuple(run.column for run in runs)
    assert said in _texts(words, 0)
    got = sum(float(scores[run.start : run.end, run.column].sum()) for run in runs)
    assert got == pytest.approx(max(_best(scores, text) for text in _texts(words, 0)), abs=1e-4)


def test_words_and_ways_are_told() -> None:
    scores = np.log(np.full((4, 4), 0.1, np.float32) + 0.6 * np.eye(4, dtype=np.float32))  # columns 0 1 2 3
    runs = best_path(scores, [[[1]], [[1, 3], [2, 3]]], 0)
    assert [(run.column, run.word, run.way) for run in runs] == [(0, -1, 0), (1, 0, 0), (2, 1, 1), (3, 1, 1)]
    assert [run.column for run in best_path(scores, [[[0, 1, 2, 3]]], None)] == [0, 1, 2, 3]


def test_too_little_sound_or_too_much_of_all_is_refused() -> None:
    with pytest.raises(InputError, match="the text has 5 phones, a frame each at least; the recording has 4 frames"):
        best_path(np.zeros((4, 3), np.float32), [[[1, 2]], [[1, 2, 1], [2, 1, 2, 1]]], 0)
    with pytest.raises(InputError, match="too many to align at once"):
        best_path(np.zeros((40_000, 3), np.float32), [[[1, 2, 1, 2]]] * 5000, 0)


@pytest.mark.parametrize("seed", range(10))
def test_rivals_get_the_best_borders_of_their_own(seed: int) -> None:
    rng = np.random.default_rng(seed)
    columns = rng.integers(0, 5, 4).tolist()
    scores = _scores(rng, 9, 5)
    borders = [0, *np.sort(rng.choice(np.arange(1, 9), 3, replace=False)).tolist(), 9]
    for place in range(4):
        got = in_place(scores, columns, borders, place, range(5))
        texts = [(*columns[:place], rival, *columns[place + 1 :]) for rival in range(5)]
        expected = np.array([_best(scores, text) for text in texts]) - _best(scores, tuple(columns))
        np.testing.assert_allclose(got, expected, atol=1e-4)


def test_scores_far_away_do_not_matter() -> None:
    rng = np.random.default_rng(3)
    scores, columns, borders = _scores(rng, 30, 6), rng.integers(0, 6, 10).tolist(), list(range(0, 31, 3))
    changed = scores.copy()
    changed[24:] = _scores(rng, 6, 6)
    got = in_place(scores, columns, borders, 2, range(6))
    assert (got == in_place(changed, columns, borders, 2, range(6))).all()
    assert (got != in_place(changed, columns, borders, 7, range(6))).any()


@pytest.mark.parametrize("number", range(len(ROWS)))
def test_times_are_those_of_the_corpus(number: int) -> None:
    row = ROWS[number]
    spoken = [(start, label) for start, _, label in row["phones"] if label != "SIL"]
    said = Script.of_phones(" ".join(label for _, label in spoken))
    aligned = align_file(Model.open(), SAMPLES / row["audio"], said)
    assert [phone.label for phone in aligned.phones] == [label for _, label in spoken]
    errors = [abs(phone.start - start) for phone, (start, _) in zip(aligned.phones, spoken, strict=True)]
    assert np.median(errors) <= 0.04
    for before, after in itertools.pairwise(aligned.phones):
        assert before.start < before.end <= after.start
    assert aligned.phones[-1].end <= aligned.duration


def test_a_wrong_phone_lowers_its_own_score() -> None:
    model, audio = Model.open(), SAMPLES / "reader.flac"
    row = next(row for row in ROWS if row["audio"] == "reader.flac")
    right = [label for _, _, label in row["phones"] if label != "SIL"]
    truth = align_file(model, audio, Script.of_phones(" ".join(right))).phones
    rng, lowest = np.random.default_rng(1), 0
    good = [place for place in range(2, len(right) - 2) if truth[place].score > 0]
    places = rng.choice(good, 12, replace=False)
    for place in places:
        wrong = list(right)
        wrong[place] = str(rng.choice([phone for phone in ARPABET if phone != right[place]]))
        phones = align_file(model, audio, Script.of_phones(" ".join(wrong))).phones
        around = phones[place - 2 : place + 3]
        lowest += min(around, key=lambda phone: phone.score) is around[2]
        assert phones[place].score < 0 < truth[place].score, (place, wrong[place])
        assert [p.label for p in phones[place + 5 :]] == [p.label for p in truth[place + 5 :]]
    assert lowest >= 9, lowest


def test_the_pronunciation_that_was_said_is_taken() -> None:
    row = next(row for row in ROWS if row["audio"] == "reader.flac")
    phones = [label for _, _, label in row["phones"] if label != "SIL"]
    way, other = tuple(phones), (*phones[:5], "OY", "ZH", "OY", *phones[8:])
    script = Script.of_text("all", {"all": (other, way)})
    aligned = align_file(Model.open(), SAMPLES / "reader.flac", script)
    assert tuple(phone.label for phone in aligned.words[0].phones) == way
    assert aligned.words[0].score == min(phone.score for phone in aligned.phones)


def test_ipa_stands_for_the_same_phones() -> None:
    assert [from_ipa(ipa) for ipa in IPA.values()] == [[label] for label in IPA]
    assert from_ipa("ˈkæ.t͡ʃɪŋ") == ["K", "AE", "CH", "IH", "NG"]  # noqa: RUF001
    assert Script.of_ipa("stil hæv").columns(ARPABET) == Script.of_phones("S T IY0 L|HH AE1 V").columns(ARPABET)
    for bad in ("ø", "st7l"):
        with pytest.raises(InputError, match="is no phone of English in IPA"):
            Script.of_ipa(bad)


@pytest.mark.parametrize("text", ["", "  ", "?! ..."])
def test_a_text_without_words_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="expected a text of 1 to 20000 words, got 0"):
        Script.of_text(text, {"go": (("G", "OW"),)})
    with pytest.raises(InputError, match="expected"):
        Script.of_phones(text)


def test_praat_opens_the_grid(tmp_path: Path) -> None:
    aligned = align_file(Model.open(), SAMPLES / "learner.flac", Script.of_phones("W IY | S T IH L | HH AE V"))
    (tmp_path / "a.TextGrid").write_text(praat(relabel(aligned, to_ipa)), encoding="utf-8")
    parselmouth = pytest.importorskip("parselmouth", reason="praat-parselmouth is not installed")
    grid = parselmouth.read(str(tmp_path / "a.TextGrid"))
    names = [parselmouth.praat.call(grid, "Get tier name...", tier) for tier in (1, 2, 3)]
    assert names == ["words", "phones", "scores"]
    count = parselmouth.praat.call(grid, "Get number of intervals...", 2)
    labels = [parselmouth.praat.call(grid, "Get label of interval...", 2, i) for i in range(1, count + 1)]
    assert [label for label in labels if label] == ["w", "i", "s", "t", "ɪ", "l", "h", "æ", "v"]  # noqa: RUF001


def test_json_holds_it_all() -> None:
    aligned = align_file(Model.open(), SAMPLES / "learner.flac", Script.of_phones("W IY | S T IH L"))
    found = json.loads(jsonl(aligned))
    assert [word["text"] for word in found["words"]] == ["W IY", "S T IH L"]
    phone = found["words"][0]["phones"][0]
    assert phone["label"] == "W"
    assert next(iter(phone["heard"])) in ARPABET
    assert found["words"][0]["score"] == min(phone["score"] for phone in found["words"][0]["phones"])


def test_a_list_becomes_a_corpus(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = {"learner": "/W IY/ /S T IH L/ /HH AE V/ /AH/ /L AA T/"}
    rows = [{**row, "text": words.get(row["id"], "/K/"), "mood": "good"} for row in ROWS if row["id"] == "learner"]
    rows.append({"id": "gone", "speaker": "x", "audio": "gone.flac", "text": "/K/"})
    (tmp_path / "corpus").mkdir()
    listed = tmp_path / "corpus" / "list.jsonl"
    listed.write_text("".join(json.dumps({**row, "audio": str(SAMPLES / row["audio"])}) + "\n" for row in rows))
    assert main(["align", "--list", str(listed), "--format", "utterances"]) == 2
    out, err = capsys.readouterr()
    assert "gone.flac" in err
    (tmp_path / "corpus" / "utterances.jsonl").write_text(out, encoding="utf-8")
    (one,) = read_corpus(tmp_path, "corpus")
    assert json.loads(out)["mood"] == "good"
    assert (one.speaker, one.phones[0][2]) == (rows[0]["speaker"], "SIL")
    assert [label for *_, label in one.phones if label != "SIL"][:4] == ["W", "IY", "S", "T"]
    assert sum(duration for _, duration, _ in one.phones) == pytest.approx(one.phones[-1][0] + one.phones[-1][1])


def test_recordings_of_a_list_are_told_apart(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    row = {"audio": str(SAMPLES / "learner.flac"), "text": "/K/"}
    (tmp_path / "list.jsonl").write_text(2 * (json.dumps(row) + "\n"))
    assert main(["align", "--list", str(tmp_path / "list.jsonl")]) == 0
    out, _ = capsys.readouterr()
    assert [line for line in out.splitlines() if not line.startswith(" ")] == 2 * [f"{row['audio']}  2.630 s"]


@pytest.mark.parametrize("bad", ['{"audio": "a.wav", "text": null}', '{"audio": 1, "text": "a"}', "[]", "{"])
def test_a_list_is_checked_before_its_first_recording(
    bad: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    row = {"audio": str(SAMPLES / "learner.flac"), "text": "/K/"}
    (tmp_path / "list.jsonl").write_text(f"{json.dumps(row)}\n{bad}\n")
    assert main(["align", "--list", str(tmp_path / "list.jsonl")]) == 2
    out, err = capsys.readouterr()
    assert not out
    assert 'list.jsonl, line 2: expected a JSON object with "audio" and "text"' in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([str(SAMPLES / "learner.flac")], "expected AUDIO and TEXT, or --list"),
        ([str(SAMPLES / "learner.flac"), "stll"], "no pronunciation of 'stll' is known"),
        ([str(SAMPLES / "learner.flac"), "W Q", "--written", "arpabet"], "expected phones of ARPAbet"),
        ([str(SAMPLES / "learner.flac"), "K " * 150, "--written", "arpabet"], "a frame each at least"),
        (["gone.wav", "/K/"], "gone.wav"),
        (["--list", "gone.jsonl"], "--list gone.jsonl cannot be read: No such file or directory\n"),
        ([str(SAMPLES / "learner.flac"), "gone.txt"], "no such file: gone.txt"),
        (
            [str(SAMPLES / "learner.flac"), "k", "--written", "ipa", "--dictionary", "x.dict"],
            "--dictionary is for a text of words",
        ),
        (["--list", str(SAMPLES / "utterances.jsonl"), "--format", "textgrid"], "a TextGrid holds one recording"),
        ([str(SAMPLES / "learner.flac"), "/K/", "--model", "gone.onnx"], "gone.onnx"),
    ],
)
def test_bad_input_is_one_line_and_2(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["align", *arguments]) == 2
    out, err = capsys.readouterr()
    assert not out
    assert message in err
    assert "Traceback" not in err
