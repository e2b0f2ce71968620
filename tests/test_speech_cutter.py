from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest
import soundfile
import soxr
from numpy.typing import NDArray

from helpers import SAMPLES, Tape
from streamcell.runtime import Gap, Model, Segment
from streamcell.runtime.errors import SourceError
from streamcell.runtime.sources import AudioFile, Speech, SpeechCutter, speech
from streamcell.runtime.speech import SpeechDetector

READER = SAMPLES / "reader.flac"


@pytest.fixture(scope="module")
def model() -> Model:
    return Model.open()


@pytest.fixture(scope="module")
def sound() -> NDArray[np.float32]:
    """Return two recordings with a second of silence after each."""
    parts = [np.asarray(soundfile.read(SAMPLES / f"{name}.flac", dtype="float32")[0]) for name in ("reader", "learner")]
    silence = np.zeros(16000, np.float32)
    return np.concatenate([parts[0], silence, parts[1], silence])


@dataclass
class Blocks:
    """Give an array as any source would, out of one buffer."""

    samples: NDArray[np.float32]
    size: int
    sample_rate: int = 16000

    def __iter__(self) -> Iterator[NDArray[np.float32]]:
        buffer = np.empty(self.size, np.float32)
        for begin in range(0, len(self.samples), self.size):
            part = self.samples[begin : begin + self.size]
            buffer[: len(part)] = part
            yield buffer[: len(part)]


def plain(found: list[Speech]) -> list[tuple[float, float, bytes]]:
    return [(one.start, one.end, one.samples.tobytes()) for one in found]


@pytest.mark.parametrize("rate", [16000, 8000, 44100, 48000])
@pytest.mark.parametrize("size", [7, 481, 100_000])
def test_samples_are_cut_exactly_where_the_segments_are(
    model: Model, sound: NDArray[np.float32], rate: int, size: int
) -> None:
    heard = sound if rate == 16000 else np.asarray(soxr.resample(sound, 16000, rate))
    found = list(speech(Blocks(heard, size, rate), model, max_seconds=2.0))
    assert len(found) >= 3
    detector = SpeechDetector(model, rate, max_seconds=2.0)
    events = detector.push(heard) + detector.flush()
    expected = [(e.start, e.end) for e in events if isinstance(e, Segment)]
    assert [(one.start, one.end) for one in found] == expected
    for one in found:
        np.testing.assert_array_equal(one.samples, heard[round(one.start * rate) : round(one.end * rate)])
        assert 0.5 < one.confidence <= 1
        assert one.end - one.start <= 2.0 + 1e-9


def test_a_file_is_a_source(model: Model) -> None:
    with AudioFile(READER) as audio:
        (found,) = speech(audio, model, quality="file")
    samples = soundfile.read(READER, dtype="float32")[0]
    np.testing.assert_array_equal(found.samples, samples[round(found.start * 16000) : round(found.end * 16000)])
    assert (found.start, found.end) == pytest.approx((0.36, 3.07), abs=0.15)


def test_each_stretch_comes_as_soon_as_it_has_ended(model: Model, sound: NDArray[np.float32]) -> None:
    cutter, told = SpeechCutter(SpeechDetector(model, min_gap=0.4)), []
    for index, block in enumerate(Blocks(sound, 480)):
        told += [(one.end, (index + 1) * 0.03) for one in cutter.push(block) if isinstance(one, Speech)]
    assert len(told) == 2
    assert all(0.3 < now - end < 0.6 for end, now in told)


def test_memory_is_bounded_by_the_longest_speech(model: Model, sound: NDArray[np.float32]) -> None:
    cutter = SpeechCutter(SpeechDetector(model, quality="file", max_seconds=2.0, threshold=1e-6, min_gap=1.0))
    most = lengths = 0
    for block in Blocks(np.tile(sound, 40), 3000):
        lengths += sum(len(one.samples) for one in cutter.push(block) if isinstance(one, Speech))
        most = max(most, len(cutter._recent._buffer))
    assert lengths > 0.95 * 40 * len(sound)  # what is never silent is one stretch after the other
    assert most < 10 * 16000


def test_what_is_no_number_is_zero(model: Model, sound: NDArray[np.float32]) -> None:
    bad, clean = sound.copy(), sound.copy()
    bad[16000:16200], bad[17000] = np.nan, -np.inf
    clean[16000:16200], clean[17000] = 0, 0
    for size in (481, 100_000):
        found = plain(list(speech(Blocks(bad, size), model, invalid="gap")))
        assert found == plain(list(speech(Blocks(clean, size), model)))


def test_what_a_microphone_lost_is_silence_on_its_clock(model: Model, sound: NDArray[np.float32]) -> None:
    filled = np.insert(sound, 480 * 50, np.zeros(8000, np.float32))
    with Tape(sound, {50: 8000, -1: 160}) as tape:
        found = list(speech(tape, model))
    assert plain(found) == plain(list(speech(Blocks(filled, 480), model)))


def test_a_long_gap_costs_no_memory(model: Model, sound: NDArray[np.float32]) -> None:
    cutter = SpeechCutter(SpeechDetector(model))
    found = cutter.push(sound[:32000]) + cutter.gap(1000 * 3600 * 16000)
    assert len(cutter._recent._buffer) < 100_000
    found += cutter.push(sound) + cutter.flush()
    first, gap, second, third = found
    assert isinstance(first, Speech)
    assert isinstance(second, Speech)
    assert isinstance(third, Speech)
    assert gap == Gap(2.0, 3_600_002.0, 57_600_000_000, "missing", "reset")
    assert first.end <= 2.0
    expected = list(speech(Blocks(sound, 480), model))
    np.testing.assert_allclose([second.start, second.end], [expected[0].start + gap.end, expected[0].end + gap.end])
    np.testing.assert_array_equal(third.samples, expected[1].samples)


def test_a_source_that_fails_fails_after_what_was_heard(model: Model, sound: NDArray[np.float32]) -> None:
    found: list[Speech] = []
    with Tape(sound[:32000], {}, unplugged=True) as tape, pytest.raises(SourceError, match="unplugged"):
        found.extend(speech(tape, model))
    assert plain(found) == plain(list(speech(Blocks(sound[:32000], 480), model)))
    assert found[0].end > 1.9
