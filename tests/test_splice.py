"""samples/phonemes/splice.py: the same words in another order, every phone still where its sound is."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from helpers import SAMPLES, load_script
from streamcell.train.data.utterances import Utterance, read_corpus

splice = load_script(SAMPLES / "splice.py")
RATE = 16000
HZ = {"SIL": 0, "B": 400, "ER": 800, "D": 1200, "IH": 1600, "Z": 2000, "AA": 2400, "N": 2800}
DICTIONARY = "bird B ER D\nis IH Z\non AA N\nbin B IH N\n"
WAYS = {line.split()[0]: line.split()[1:] for line in DICTIONARY.splitlines()}
LONG = 0.1  # s, a phone


def tones(phones: list[tuple[float, float, str]]) -> NDArray[np.float32]:
    """Return each phone as a tone of its own."""
    at = np.arange(round((phones[-1][0] + phones[-1][1]) * RATE)) / RATE
    sound = np.zeros(len(at), np.float32)
    for start, duration, label in phones:
        inside = (at >= start) & (at < start + duration)
        sound[inside] = 0.5 * np.sin(2 * np.pi * HZ[label] * at[inside])
    return sound


def write_corpus(folder: Path, said: list[tuple[str, str]]) -> None:
    """Write recordings, `said` speaker and text, with pauses before, after and in the middle."""
    folder.mkdir(parents=True)
    rows = []
    for number, (speaker, text) in enumerate(said):
        words = text.split()
        labels = [label for word in words for label in WAYS[word]]
        middle = len(WAYS[words[0]])
        labels = ["SIL", *labels[:middle], "SIL", *labels[middle:], "SIL"]
        phones = [(round(i * LONG, 3), LONG, label) for i, label in enumerate(labels)]
        soundfile.write(folder / f"{number}.wav", tones(phones), RATE)
        rows.append({"id": str(number), "speaker": speaker, "audio": f"{number}.wav", "text": text, "phones": phones})
    (folder / "utterances.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def run(monkeypatch: pytest.MonkeyPatch, data: Path, out: str, *more: object) -> list[Utterance]:
    """Splice the corpus `data / said` into `data / out`; return it."""
    (data / "words.dict").write_text(DICTIONARY, encoding="utf-8")
    recipe = 'task = "phonemes"\nname = "held"\n[[data.corpora]]\npath = "said"\nvalidation_speakers = ["held"]\n'
    (data / "held.toml").write_text(recipe, encoding="utf-8")
    call = ["splice.py", data / "said", "--dictionary", data / "words.dict", "--recipe", data / "held.toml"]
    monkeypatch.setattr(sys, "argv", list(map(str, [*call, "--hours", 0.02, "--out", data / out, *more])))
    splice.main()
    return read_corpus(data, out)


@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_every_phone_lies_where_its_sound_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    said = [("one", "bird is on"), ("one", "on bin"), ("two", "is bird bin on is"), ("two", "bin bird")]
    write_corpus(tmp_path / "said", said)
    made = run(monkeypatch, tmp_path, "made", "--seed", seed)
    assert sum(one.phones[-1][0] + one.phones[-1][1] for one in made) == pytest.approx(72, abs=5)
    for one in made:
        sound, rate = soundfile.read(one.audio)
        assert rate == RATE
        assert one.phones[-1][0] + one.phones[-1][1] == pytest.approx(len(sound) / RATE, abs=0.01)
        for (start, duration, label), after in zip(
            one.phones, [*one.phones[1:], (len(sound) / RATE, 0, "")], strict=True
        ):
            assert start + duration == pytest.approx(after[0], abs=2e-3)  # without gaps
            middle = sound[round((start + 0.25 * duration) * RATE) : round((start + min(0.75 * duration, 0.06)) * RATE)]
            loud = np.abs(np.fft.rfft(middle * np.hanning(len(middle)), 16000))
            assert loud.max() < 1 if label == "SIL" else np.argmax(loud) == pytest.approx(HZ[label], abs=60)


@pytest.mark.parametrize(("levels", "steepest"), [((0.5, 0.5), 0), ((0.4, -0.4), 0.8)])
def test_pieces_are_joined_over_8_ms_without_click_or_dip(levels: tuple[float, float], steepest: float) -> None:
    """Recordings are one level each: a joint of equal levels is not to be seen, one of others is a straight line."""
    fade = round(0.008 * RATE)
    phones = [(LONG * i, LONG, "AA") for i in range(1, 5)]
    recordings = [splice.Said(np.full(RATE // 2, level, np.float32), [[phone] for phone in phones]) for level in levels]
    seen = set[bool]()
    for seed in range(5):
        sound, _ = splice.splice(recordings, np.random.default_rng(seed))
        assert abs(sound[0]) < 1e-6  # comes up from silence
        slopes = np.abs(np.diff(sound[fade:]))
        assert slopes.max() == pytest.approx(steepest / (fade - 1), abs=1e-6)
        assert np.abs(sound).max() <= max(levels) + 1e-6
        flat = np.isclose(np.abs(sound[fade:]), max(levels), atol=1e-6)
        seen.add(bool(flat.all()))
    assert seen == {steepest == 0}


def test_words_stay_whole_and_their_speakers_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_corpus(tmp_path / "said", [("one", "bird is"), ("two", "on bin bin on"), ("held", "is is is is")])
    ways = {"one": ("bird", "is"), "two": ("on", "bin")}
    seen = set()
    for one in run(monkeypatch, tmp_path, "made"):
        words, labels = 0, [label for _, _, label in one.phones if label != "SIL"]
        while labels:
            word = next(word for word in ways[one.speaker] if labels[: len(WAYS[word])] == WAYS[word])
            del labels[: len(WAYS[word])]
            words += 1
        assert 4 <= words <= 12
        seen.add(one.speaker)
    assert seen == {"one", "two"}  # nobody who is held out


def test_phones_that_overlap_do_not_push_the_others() -> None:
    overlapping = [(0.08 * i, 0.1, "AA") for i in range(10)]
    found = splice.with_pauses(overlapping, 1.0)
    np.testing.assert_allclose([start + duration for start, duration, _ in found[:-1]], 0.1 + 0.08 * np.arange(10))
    assert found[-1] == (0.82, 0.18, "SIL")


def test_recordings_that_cannot_be_cut_are_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_corpus(tmp_path / "said", [("one", "bird is on"), ("two", "on bin"), ("three", "bin is")])
    index = tmp_path / "said" / "utterances.jsonl"
    rows = [json.loads(line) for line in index.read_text().splitlines()]
    rows[1]["phones"] = [[0.001 * i, 0.001, label] for i, (_, _, label) in enumerate(rows[1]["phones"])]
    rows[2]["phones"] = [[start + 5, duration, label] for start, duration, label in rows[2]["phones"]]
    rows += [{**rows[0], "id": "x", "text": None}, {**rows[0], "id": "y", "text": "birds are on"}]
    index.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    assert {one.speaker for one in run(monkeypatch, tmp_path, "made")} == {"one"}
    assert "1 utterances, 3 words of 1 speakers" in capsys.readouterr().out


def test_a_seed_decides_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_corpus(tmp_path / "said", [("one", "bird is on"), ("one", "on bin")])
    first, again, other = (
        [one.phones for one in run(monkeypatch, tmp_path, out, "--seed", seed)]
        for out, seed in (("a", 1), ("b", 1), ("c", 2))
    )
    assert first == again
    assert first != other


def test_what_cannot_be_spliced_is_refused_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(*more: object) -> str:
        with pytest.raises(SystemExit) as stopped:
            run(monkeypatch, tmp_path, "made", *more)
        assert stopped.value.code == 2
        return capsys.readouterr().err.splitlines()[-1]

    (tmp_path / "said").mkdir()
    assert "found nothing" in refused()
    (tmp_path / "said").rmdir()
    write_corpus(tmp_path / "said", [("held", "bird is on")])
    assert "no utterance in" in refused()
    assert "--hours must be above 0" in refused("--hours", 0)
    assert "--hours must be above 0" in refused("--hours", "nan")
    assert "--seed must be 0 or more" in refused("--seed", -1)
    assert "words cannot be read" in refused("--dictionary", tmp_path / "words")
    assert "none.toml" in refused("--recipe", tmp_path / "none.toml")
    assert "is no recipe of phonemes" in refused("--recipe", SAMPLES.parent / "activity" / "simulated.toml")
    (tmp_path / "file").touch()
    assert "file" in refused("--out", tmp_path / "file" / "below")
    (tmp_path / "words.txt").write_text("bird B QQ\n", encoding="utf-8")
    assert "QQ" in refused("--dictionary", tmp_path / "words.txt")
    before = (tmp_path / "said" / "utterances.jsonl").read_bytes()
    assert "holds a corpus already" in refused("--out", tmp_path / "said")
    assert (tmp_path / "said" / "utterances.jsonl").read_bytes() == before
