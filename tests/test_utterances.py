"""Corpora on disk and the memory-mapped recordings."""

import json
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
