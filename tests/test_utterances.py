"""Corpora on disk and the memory-mapped recordings."""

import errno
import json
import threading
from pathlib import Path

import numpy as np
import pytest
import soundfile

from helpers import SAMPLES
from streamcell.runtime.errors import SourceError
from streamcell.train.data.utterances import Recordings, read_audio, read_corpus

FILES = [SAMPLES / f"{name}.flac" for name in ("learner", "reader", "volunteer")]


def test_a_corpus_is_read(corpus: Path) -> None:
    utterances = read_corpus(corpus, "speech/train")
    assert [one.id for one in utterances] == ["learner", "reader", "volunteer"]
    assert utterances[0].audio == corpus / "speech/train/learner.flac"
    assert utterances[0].phones[0][2] == "SIL"


def test_recordings_are_the_files_and_are_decoded_once(tmp_path: Path) -> None:
    seen: list[int] = []
    recordings = Recordings(FILES, 16000, tmp_path, seen.append)
    assert len(recordings) == 3
    assert seen == [3]
    for i, path in enumerate(FILES):
        samples, _ = soundfile.read(path, dtype="float32")
        np.testing.assert_allclose(recordings[i], samples, atol=1e-4)
    again = Recordings(FILES, 16000, tmp_path, seen.append)
    assert seen == [3]
    assert np.array_equal(again[2], recordings[2])


def test_who_comes_while_another_decodes_waits_and_takes_what_that_one_decoded(tmp_path: Path) -> None:
    seen: list[int] = []
    taken: list[Recordings] = []
    second = threading.Thread(target=lambda: taken.append(Recordings(FILES, 16000, tmp_path, seen.append)))

    def come(_: int) -> None:
        second.start()
        second.join(timeout=0.5)
        assert second.is_alive()

    recordings = Recordings(FILES, 16000, tmp_path, come)
    second.join()
    assert seen == []
    assert np.array_equal(taken[0][2], recordings[2])


def test_where_nobody_can_lock_a_file_recordings_are_decoded_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", refuse)
    assert len(Recordings(FILES, 16000, tmp_path)[2])


def test_other_rates_and_stereo_become_mono_at_the_rate_asked_for(tmp_path: Path) -> None:
    time = np.arange(48000) / 48000
    tone = 0.5 * np.sin(2 * np.pi * 440 * time)
    soundfile.write(tmp_path / "tone.wav", np.stack([tone, tone], axis=1), 48000)
    samples = read_audio(tmp_path / "tone.wav", 16000) / 32767
    expected = 0.5 * np.sin(2 * np.pi * 440 * np.arange(16000) / 16000)
    np.testing.assert_allclose(samples[800:-800], expected[800:-800], atol=1e-3)


def test_no_corpus_says_where_it_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"nothing/utterances\.jsonl.*--data"):
        read_corpus(tmp_path, "nothing")


@pytest.mark.parametrize(
    "line", ["{", '{"id": "a"}', json.dumps({"id": "a", "speaker": "b", "audio": "c", "phones": [[1, 2]]})]
)
def test_a_bad_line_is_named(tmp_path: Path, line: str) -> None:
    (tmp_path / "utterances.jsonl").write_text(line + "\n")
    with pytest.raises(SourceError, match=r"utterances\.jsonl, line 1: expected an object"):
        read_corpus(tmp_path, ".")


def test_a_file_that_is_no_audio_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.flac").write_text("text")
    with pytest.raises(SourceError, match=r"cannot read the recording .*a\.flac"):
        read_audio(tmp_path / "a.flac", 16000)


def test_a_changed_recording_is_decoded_anew(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    for level in (0.25, 0.5):
        soundfile.write(path, np.full(1000, level), 16000)
        np.testing.assert_allclose(Recordings([path], 16000, tmp_path / "cache")[0], level, atol=1e-3)


@pytest.mark.parametrize("ending", ["i16", "ends.npy"])
def test_a_cache_that_was_not_finished_is_made_anew(tmp_path: Path, ending: str) -> None:
    expected = Recordings(FILES, 16000, tmp_path)[2]
    (file,) = tmp_path.glob(f"*.{ending}")
    if ending == "i16":
        file.write_bytes(file.read_bytes()[:1000])
    else:
        file.unlink()
    assert np.array_equal(Recordings(FILES, 16000, tmp_path)[2], expected)


@pytest.mark.parametrize(
    "phones",
    [
        [[0.5, 0.1, "K"], [0.0, 0.5, "SIL"]],
        [[0.0, 0.5, "SIL"], [0.3, 0.6, "K"]],
        [[0.0, 0.0, "K"]],
        [[float("nan"), 0.1, "K"]],
        [[-1.0, 0.1, "K"]],
    ],
)
def test_times_that_make_no_sense_are_named(tmp_path: Path, phones: list[object]) -> None:
    line = json.dumps({"id": "a", "speaker": "b", "audio": "c", "phones": phones})
    (tmp_path / "utterances.jsonl").write_text(line + "\n")
    with pytest.raises(SourceError, match=r"line 1: expected phones \[start s, duration s, label\] in order"):
        read_corpus(tmp_path, ".")


def test_blank_lines_and_odd_separators_are_no_lines(tmp_path: Path) -> None:
    line = json.dumps({"id": "a\u2028b", "speaker": "b", "audio": "c", "phones": []}, ensure_ascii=False)
    (tmp_path / "utterances.jsonl").write_text(f"\n{line}\n\n", encoding="utf-8")
    assert [one.id for one in read_corpus(tmp_path, ".")] == ["a\u2028b"]


def test_recordings_that_are_missing_empty_or_not_finite_are_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"expected the recording .*none\.wav"):
        Recordings([tmp_path / "none.wav"], 16000, tmp_path)
    for name, samples in (("empty", np.zeros(0)), ("nan", np.full(10, np.nan))):
        soundfile.write(tmp_path / f"{name}.wav", samples, 16000, subtype="FLOAT")
        with pytest.raises(SourceError, match=rf"{name}\.wav (holds no samples|has NaN)"):
            Recordings([tmp_path / f"{name}.wav"], 16000, tmp_path)
