import wave
from pathlib import Path

import numpy as np
import pytest
import soundfile

from helpers import SAMPLES
from streamcell.runtime import Gap, Model
from streamcell.runtime.errors import InputError, SourceError
from streamcell.runtime.sources import Speech
from streamcell.runtime.vad import find_speech, save_speech, write_wav

READER = SAMPLES / "reader.flac"


@pytest.fixture(scope="module")
def model() -> Model:
    return Model.open()


def test_a_file_gives_its_speech_in_order_with_gaps_between(model: Model, tmp_path: Path) -> None:
    samples, rate = soundfile.read(READER, dtype="float32")
    samples = np.concatenate([samples, np.full(100, np.nan), samples])
    soundfile.write(tmp_path / "a.wav", samples, rate, subtype="FLOAT")
    heard: list[tuple[Speech, int]] = []
    transcript = find_speech(
        model, tmp_path / "a.wav", invalid="gap", min_gap=0.4, found=lambda *one: heard.append(one), max_seconds=9.0
    )
    _, gap, _ = transcript.events
    assert isinstance(gap, Gap)
    assert (transcript.file, transcript.duration, transcript.cut) == (
        str(tmp_path / "a.wav"),
        len(samples) / rate,
        False,
    )
    assert [one.id for one in transcript.segments] == [0, 1]
    times = [time for one in transcript.segments for time in (one.start, one.end)]
    assert times == pytest.approx([0.36, 3.07, 0.36 + gap.end, 3.07 + gap.end], abs=0.15)
    assert [(one.start, one.end, one.confidence) for one, _ in heard] == [
        (one.start, one.end, one.confidence) for one in transcript.segments
    ]
    assert {rate for _, rate in heard} == {16000}


def test_a_bad_file_is_the_files_fault_and_a_bad_setting_is_not(model: Model, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.full(9000, 1e4), 16000, subtype="FLOAT")
    with pytest.raises(SourceError, match=f"{tmp_path / 'a.wav'}: expected samples in -1 to 1"):
        find_speech(model, tmp_path / "a.wav")
    with pytest.raises(InputError, match="threshold"):
        find_speech(model, READER, threshold=2.0)


def test_a_wav_is_whole_or_not_there(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    exact = np.arange(-32768, 32768, dtype=np.int32)
    write_wav(path, (exact / 32768).astype(np.float32), 44100)
    samples, rate = soundfile.read(path, dtype="int16")
    np.testing.assert_array_equal(samples, exact)
    assert (rate, soundfile.info(path).subtype) == (44100, "PCM_16")
    write_wav(path, np.array([1.5, -2.0], np.float32), 8000)
    assert soundfile.read(path, dtype="int16")[0].tolist() == [32767, -32768]
    before = path.read_bytes()
    with pytest.raises(wave.Error):
        write_wav(path, np.zeros(9, np.float32), 0)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_names_sort_by_time_and_say_it(tmp_path: Path) -> None:
    for start in (9.0, 10.0, 12345.678):
        save_speech(tmp_path, "talk", Speech(start, start + 0.5, 1.0, np.zeros(50, np.float32)), 100)
    assert [path.name for path in sorted(tmp_path.iterdir())] == [
        "talk_00009.000-00009.500.wav",
        "talk_00010.000-00010.500.wav",
        "talk_12345.678-12346.178.wav",
    ]
