"""The model that ships, on real recordings: the same phones however they come, real durations, right enough."""

import itertools

import numpy as np
import pytest
import soundfile
import soxr
from numpy.typing import NDArray

from helpers import SAMPLES
from streamcell.runtime import Model, Segment, Stream
from streamcell.runtime.verify import verify
from streamcell.train.data.utterances import read_corpus
from streamcell.train.metrics import ErrorRate, align, error_rate

NAMES = ("learner", "reader", "volunteer")
SPOKEN = {one.id: [p for _, _, p in one.phones if p != "SIL"] for one in read_corpus(SAMPLES, ".")}
LENGTHS = {one.id: [length for _, length, p in one.phones if p != "SIL"] for one in read_corpus(SAMPLES, ".")}


@pytest.fixture(scope="module")
def model() -> Model:
    return Model.open()


def samples(name: str) -> NDArray[np.float32]:
    data, rate = soundfile.read(SAMPLES / f"{name}.flac", dtype="float32")
    assert rate == 16000
    return np.asarray(data)


def finals(stream: Stream, x: NDArray[np.float32], block: int) -> list[Segment]:
    events = [event for start in range(0, len(x), block) for event in stream.push(x[start : start + block])]
    return [e for e in events + stream.flush() if isinstance(e, Segment) and e.final]


def phones(segments: list[Segment]) -> list[str]:
    return [segment.label for segment in segments if segment.label != "SIL"]


@pytest.mark.parametrize("name", NAMES)
def test_blocks_change_nothing(model: Model, name: str) -> None:
    x = samples(name)
    expected = finals(Stream(model), x, len(x))
    for block in (160, 7, 481, 5000):
        found = finals(Stream(model), x, block)
        assert [(s.label, s.start, s.end) for s in found] == [(s.label, s.start, s.end) for s in expected]
        np.testing.assert_allclose([s.confidence for s in found], [s.confidence for s in expected], atol=1e-4)


def test_it_hears_what_is_said_at_any_rate(model: Model) -> None:
    rates: dict[int, float] = {}
    for rate in (16000, 44100, 48000, 8000):
        total = ErrorRate()
        for name in NAMES:
            x = samples(name) if rate == 16000 else soxr.resample(samples(name), 16000, rate)
            total += error_rate(SPOKEN[name], phones(finals(Stream(model, rate), x, rate // 100)))
        rates[rate] = total.rate
    assert rates[16000] < 0.45, rates
    assert max(rates[44100], rates[48000]) < rates[16000] + 0.05, rates
    assert rates[8000] < 0.6, rates


@pytest.mark.parametrize("other", ["phonemes-en-live", "phonemes-en-small"])
def test_files_of_fewer_bits_hear_nearly_the_same(model: Model, other: str) -> None:
    apart = ErrorRate()
    for name in NAMES:
        x = samples(name)
        apart += error_rate(*(phones(finals(Stream(m), x, 640)) for m in (model, Model.open(other))))
    assert apart.rate < 0.06, apart


@pytest.mark.parametrize("name", NAMES)
def test_durations_and_times_are_real(model: Model, name: str) -> None:
    x = samples(name)
    segments = finals(Stream(model), x, 480)
    heard = [s for s in segments if s.label != "SIL"]
    lengths = [s.end - s.start for s in heard]
    pairs = [(i, j) for i, j in align(SPOKEN[name], phones(heard)) if i is not None and j is not None]
    right = [(LENGTHS[name][i], lengths[j]) for i, j in pairs if SPOKEN[name][i] == heard[j].label]
    real, told = np.mean(right, axis=0)
    assert told == pytest.approx(real, rel=0.1)
    assert len({round(length / 0.04) for length in lengths}) >= 3
    assert all(a.end <= b.start + 1e-9 for a, b in itertools.pairwise(segments))
    assert segments[0].start >= 0
    assert segments[-1].end <= len(x) / 16000 + 1e-9


def test_pauses_are_kept(model: Model) -> None:
    silence = np.zeros(16000, np.float32)
    segments = finals(Stream(model), np.concatenate([samples("reader"), silence, samples("learner")]), 480)
    gap = len(samples("reader")) / 16000 + 0.5
    assert [s.label for s in segments if s.start < gap < s.end] == ["SIL"]


def test_saved_in_the_middle_and_restored_it_hears_the_same(model: Model) -> None:
    x = samples("reader")
    expected = finals(Stream(model), x, 480)
    for cut in (0, 1, 12345, 30000):
        stream = Stream(model)
        events = stream.push(x[:cut])
        again = Stream.restore(model, stream.snapshot())
        events += again.push(x[cut:]) + again.flush()
        found = [e for e in events if isinstance(e, Segment) and e.final]
        assert [(s.label, s.start, s.end) for s in found] == [(s.label, s.start, s.end) for s in expected]


def test_it_keeps_the_streaming_guarantee_here(model: Model) -> None:
    proof = model.manifest.parity
    assert proof is not None
    assert verify(model, samples("reader")[:32000]).within(proof.bound)
