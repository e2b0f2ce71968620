import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from streamcell.runtime.errors import SourceError
from streamcell.runtime.sources import AudioFile

SPEECH = Path("samples/phonemes/learner.flac")
WRITERS = {
    "wav": {},
    "flac": {},
    "ogg": {},
    "mp3": {},
    "opus": {"format": "OGG", "subtype": "OPUS"},
}


@pytest.fixture(scope="module")
def speech() -> NDArray[np.float32]:
    samples, _ = soundfile.read(SPEECH, dtype="float32")
    return np.asarray(samples)


def read(path: Path, block_seconds: float = 2.0) -> tuple[NDArray[np.float32], AudioFile]:
    with AudioFile(path, block_seconds) as audio:
        blocks = list(audio)
    for block in blocks:
        assert block.dtype == np.float32
        assert block.ndim == 1
        assert 0 < len(block) <= max(4096, round(block_seconds * audio.sample_rate))
    return np.concatenate(blocks), audio


@pytest.mark.parametrize("kind", WRITERS)
def test_every_format_reads_the_same_in_any_blocks(kind: str, speech: NDArray[np.float32], tmp_path: Path) -> None:
    path = tmp_path / f"a.{kind}"
    soundfile.write(path, speech, 16000, **WRITERS[kind])
    whole, audio = read(path, 100.0)
    assert (audio.sample_rate, audio.cut, audio.seconds) == (16000, False, len(whole) / 16000)
    assert len(whole) == len(speech)
    for seconds in (0.0, 0.3, 1.0):
        np.testing.assert_array_equal(read(path, seconds)[0], whole, err_msg=f"{kind}, blocks of {seconds} s")
    if kind in {"wav", "flac"}:
        np.testing.assert_array_equal(whole, speech)
    else:
        assert np.corrcoef(whole, speech)[0, 1] > 0.95


@pytest.mark.parametrize("rate", [8000, 44100, 48000])
def test_channels_are_averaged_at_the_files_own_rate(rate: int, speech: NDArray[np.float32], tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.stack([speech, 0 * speech, -0.5 * speech], 1), rate, subtype="FLOAT")
    samples, audio = read(tmp_path / "a.wav")
    assert audio.sample_rate == rate
    np.testing.assert_allclose(samples, speech / 6, atol=1e-7)


@pytest.mark.parametrize("level", [0, 5, 8])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.99])
def test_a_cut_flac_gives_what_decodes(share: float, level: int, speech: NDArray[np.float32], tmp_path: Path) -> None:
    path = tmp_path / "a.flac"
    soundfile.write(path, speech, 16000, compression_level=level / 8)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    samples, audio = read(path)
    assert audio.cut
    np.testing.assert_array_equal(samples, speech[: len(samples)])
    assert len(samples) > 0.5 * share * len(speech)


def test_a_flac_damaged_in_the_middle_is_cut_there(speech: NDArray[np.float32], tmp_path: Path) -> None:
    path = tmp_path / "a.flac"
    soundfile.write(path, speech, 16000)
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 300] = bytes(300)
    path.write_bytes(data)
    samples, audio = read(path)
    assert audio.cut
    assert 8000 < len(samples) < len(speech)
    np.testing.assert_array_equal(samples[:8000], speech[:8000])


@pytest.mark.parametrize("kind", ["wav", "ogg", "opus"])
def test_other_cut_files_are_noticed_too(kind: str, speech: NDArray[np.float32], tmp_path: Path) -> None:
    path = tmp_path / f"a.{kind}"
    soundfile.write(path, speech, 16000, **WRITERS[kind])
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    samples, audio = read(path)
    assert audio.cut
    assert 0 < len(samples) < len(speech)


@pytest.mark.parametrize("kind", ["ogg", "opus"])
def test_a_chained_ogg_gives_its_first_stream_and_counts_as_cut(
    kind: str, speech: NDArray[np.float32], tmp_path: Path
) -> None:
    first, second, chained = (tmp_path / f"{name}.{kind}" for name in ("first", "second", "chained"))
    for path in (first, second):
        soundfile.write(path, speech, 16000, **WRITERS[kind])
    chained.write_bytes(first.read_bytes() + second.read_bytes())
    samples, audio = read(chained)
    assert audio.cut
    np.testing.assert_array_equal(samples, read(first)[0])


@pytest.mark.parametrize("seconds", [0.0, 1.0, 10.0])
@pytest.mark.parametrize("junk", [b"TAG" + bytes(125), b"\xff\xf8" * 500])
def test_junk_after_a_whole_flac_does_no_harm(
    junk: bytes, seconds: float, speech: NDArray[np.float32], tmp_path: Path
) -> None:
    path = tmp_path / "a.flac"
    for length in (len(speech), 16000, 4096):
        soundfile.write(path, speech[:length], 16000)
        path.write_bytes(path.read_bytes() + junk)
        samples, audio = read(path, seconds)
        assert not audio.cut
        np.testing.assert_array_equal(samples, speech[:length])


def test_a_cut_mp3_gives_what_decodes(speech: NDArray[np.float32], tmp_path: Path) -> None:
    path = tmp_path / "a.mp3"
    soundfile.write(path, speech, 16000)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    assert 0.3 * len(speech) < len(read(path)[0]) < 0.7 * len(speech)


@pytest.mark.parametrize("size", [0xFFFFFFFF, 0x7FFFF000, 0x80000000])
def test_a_wav_written_to_a_pipe_is_not_cut(size: int, speech: NDArray[np.float32], tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, speech, 16000)
    data = bytearray(path.read_bytes())
    data[4:8] = data[40:44] = size.to_bytes(4, "little")
    path.write_bytes(data)
    samples, audio = read(path)
    assert not audio.cut
    np.testing.assert_array_equal(samples, speech)


def test_a_flac_of_unknown_length_is_not_cut(speech: NDArray[np.float32], tmp_path: Path) -> None:
    path = tmp_path / "a.flac"
    soundfile.write(path, speech, 16000)
    data = bytearray(path.read_bytes())
    data[21] &= 0xF0
    data[22:26] = bytes(4)  # total samples in STREAMINFO: not known
    path.write_bytes(data)
    samples, audio = read(path)
    assert not audio.cut
    np.testing.assert_array_equal(samples, speech)


def _write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def test_bad_files_are_told_apart(tmp_path: Path) -> None:
    bad = {
        "no such file": tmp_path / "none.wav",
        "is a folder": tmp_path,
        r"is empty \(0 bytes\)": _write(tmp_path / "empty.wav", b""),
        "is not audio that can be read": _write(tmp_path / "text.wav", b"hello world\n" * 50),
        "is not audio": _write(tmp_path / "stub.wav", b"RIFF\x24\0\0\0WAVE"),
        "is not a regular file": Path(os.devnull),
        "not audio that can": _write(tmp_path / "a.raw", bytes(1000)),
        "is not audio that": _write(tmp_path / "a.RAW", SPEECH.read_bytes()),
    }
    for message, path in bad.items():
        with pytest.raises(SourceError, match=message) as caught:
            AudioFile(path)
        assert str(path) in str(caught.value)


def test_a_file_without_samples_is_an_error(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.zeros(0), 16000)
    with pytest.raises(SourceError, match="holds no samples"):
        read(tmp_path / "a.wav")


@pytest.mark.parametrize("bad", [(np.nan, 0), (0, np.inf), (np.inf, -np.inf), (3e38, 3e38)])
def test_a_sample_that_is_no_number_is_an_error_with_its_time(bad: tuple[float, float], tmp_path: Path) -> None:
    samples = np.zeros((30000, 2))
    samples[20000] = bad
    soundfile.write(tmp_path / "a.wav", samples, 8000, subtype="FLOAT")
    with pytest.raises(SourceError, match=r"not a finite number, at 2\.500 s"):
        read(tmp_path / "a.wav", 1.0)


def test_samples_that_are_no_numbers_are_given_where_they_are_asked_for(tmp_path: Path) -> None:
    samples = np.zeros((30000, 2), np.float32)
    samples[9000], samples[20000] = (np.nan, 0), (0.25, np.inf)
    soundfile.write(tmp_path / "a.wav", samples, 8000, subtype="FLOAT")
    with AudioFile(tmp_path / "a.wav", 1.0, finite=False) as audio:
        np.testing.assert_array_equal(np.concatenate(list(audio)), samples.mean(axis=1))
    assert (audio.seconds, audio.cut) == (3.75, False)


def test_ending_early_and_closing_twice(tmp_path: Path, speech: NDArray[np.float32]) -> None:
    audio = AudioFile(SPEECH, 1.0)
    first = next(iter(audio))
    np.testing.assert_array_equal(first, speech[:16000])
    np.testing.assert_array_equal(next(iter(audio)), speech[16000:32000])
    assert audio.seconds == 2.0
    audio.close()
    audio.close()
    assert list(audio) == []


def test_memory_is_bounded_by_the_block_not_by_the_file(tmp_path: Path) -> None:
    path = tmp_path / "long.flac"
    with soundfile.SoundFile(path, "w", 16000, 1) as file:
        for _ in range(60):
            file.write(np.zeros(16000 * 60, np.int16))
    program = (
        "import resource, sys; from streamcell.runtime.sources import AudioFile\n"
        "audio = AudioFile(sys.argv[1]); blocks = iter(audio); next(blocks)\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "for block in blocks: pass\n"
        "print(audio.seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
    )
    done = subprocess.run([sys.executable, "-c", program, path], check=True, capture_output=True, text=True)
    seconds, grown = map(float, done.stdout.split())
    assert seconds == 3600
    assert grown < 4096  # KiB


def test_a_good_mp3_leaves_stderr_alone(tmp_path: Path, speech: NDArray[np.float32]) -> None:
    soundfile.write(tmp_path / "a.mp3", speech, 16000)
    program = "import sys; from streamcell.runtime.sources import AudioFile; list(AudioFile(sys.argv[1], 0))"
    done = subprocess.run(
        [sys.executable, "-c", program, tmp_path / "a.mp3"], check=True, capture_output=True, text=True
    )
    assert done.stderr == ""
