import gc
import tracemalloc
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from onnxruntime import InferenceSession

from helpers import assert_same, finals, forged, noise, tiny_model
from streamcell.runtime.decode import GreedyCTC
from streamcell.runtime.errors import InputError, ModelError
from streamcell.runtime.events import Event, Gap, Reset, Segment
from streamcell.runtime.manifest import GapPolicy
from streamcell.runtime.model import Model
from streamcell.runtime.resample import Quality
from streamcell.runtime.stream import Stream

BLOCKS = (1, 7, 160, 481, 20000)
QUALITIES: tuple[Quality, ...] = ("live", "file")
RATES = (1600, 4800, 4410)


def open_tiny(action: Any = "fill", reset_after: float = 0.5, **settings: Any) -> Model:
    return Model.open(tiny_model(gap=GapPolicy(action, reset_after), **settings))


def push_all(stream: Stream, samples: NDArray[np.float32], block: int) -> list[Event]:
    return [e for begin in range(0, len(samples), block) for e in stream.push(samples[begin : begin + block])]


def assert_in_order(events: list[Event], end: float) -> None:
    begins = [event.time if isinstance(event, Reset) else event.start for event in finals(events)]
    assert begins == sorted(begins)
    segments = [event for event in finals(events) if isinstance(event, Segment)]
    assert [segment.id for segment in segments] == list(range(len(segments)))
    assert all(0 <= segment.start < segment.end <= end for segment in segments)
    assert all(a.end <= b.start + 1e-9 for a, b in pairwise(segments))
    assert all(0 < segment.confidence <= 1 for segment in segments)


def story(stream: Stream, samples: NDArray[np.float32], block: int) -> list[Event]:
    """Push with short and long gaps and a reset between, and flush."""
    a, b, c, d = np.split(samples, [5000, 9003, 12000])
    events = push_all(stream, a, block) + stream.gap(99, "overflow") + stream.gap(1, "overflow")
    events += push_all(stream, b, block) + stream.gap(100000)
    events += push_all(stream, c, block) + stream.reset("asked") + push_all(stream, d, block)
    return events + stream.flush()


@pytest.mark.parametrize("quality", QUALITIES)
@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("action", ["fill", "hold"])
def test_any_cutting_gives_the_same_events_in_order(action: str, rate: int, quality: Quality) -> None:
    model, samples = open_tiny(action), noise(20000)
    expected = finals(story(Stream(model, rate, quality), samples, 20000))
    assert [e.action for e in expected if isinstance(e, Gap)] == [action, action, "reset"]
    assert [e.time for e in expected if isinstance(e, Reset)] == [112100 / rate]
    assert len(expected) > 50
    for block in BLOCKS:
        stream = Stream(model, rate, quality)
        events = story(stream, samples, block)
        assert_same(finals(events), expected, 1e-4, f"blocks of {block}")
        assert stream.time == 120100 / rate
        assert_in_order(events, stream.time)


@pytest.mark.parametrize("quality", QUALITIES)
@pytest.mark.parametrize("action", ["fill", "hold"])
@pytest.mark.parametrize("begin", ["fresh", "after a reset"])
def test_a_gap_comes_before_the_segment_that_begins_with_it(begin: str, action: str, quality: Quality) -> None:
    """The network says something of every frame, so segments begin where streams and gaps do."""
    model, samples = open_tiny(action, change=drop_blank), noise(2000) + np.float32(0.1)
    found = []
    for block in BLOCKS:
        for restore in (False, True):
            stream = Stream(model, quality=quality)
            events = stream.push(samples[:1003]) + stream.reset() if begin == "after a reset" else []
            events += stream.gap(5)
            for start in range(0, len(samples), block):
                stream = Stream.restore(model, stream.snapshot()) if restore and start < 200 else stream
                events += stream.push(samples[start : start + block])
            found.append(finals(events + stream.flush()))
            assert_same(found[-1], found[0], 1e-4, f"blocks of {block}, restored: {restore}")
    (gap,) = (event for event in found[0] if isinstance(event, Gap))
    begins = [event.start for event in found[0] if isinstance(event, Segment)]
    assert gap.start in begins


@pytest.mark.parametrize("quality", QUALITIES)
def test_what_follows_a_long_gap_is_at_its_time(quality: Quality) -> None:
    model, samples = open_tiny(), noise(3000)
    fresh = Stream(model, quality=quality)
    expected = finals(fresh.push(samples) + fresh.flush())
    stream = Stream(model, quality=quality)
    before = finals(stream.push(noise(1003, 1)) + stream.gap(160000))
    after = finals(stream.push(samples) + stream.flush())
    assert before[-1] == Gap(1003 / 1600, 161003 / 1600, 160000, "missing", "reset")
    for a, b in zip(after, expected, strict=True):
        assert isinstance(a, Segment)
        assert isinstance(b, Segment)
        assert a.label == b.label
        assert (a.start, a.end) == pytest.approx((b.start + 161003 / 1600, b.end + 161003 / 1600))


@pytest.mark.parametrize("quality", QUALITIES)
@pytest.mark.parametrize("rate", RATES)
def test_reset_equals_fresh_but_for_clock_and_numbers(rate: int, quality: Quality) -> None:
    model, samples = open_tiny(), noise(4000)
    fresh, stream = Stream(model, rate, quality), Stream(model, rate, quality)
    expected = finals(fresh.push(samples) + fresh.flush())
    *before, reset = finals(stream.push(noise(2 * rate, 1)) + stream.reset("new speaker"))
    assert reset == Reset(2.0, "new speaker")
    shifted = [
        Segment(e.label, e.start + 2, e.end + 2, e.confidence, id=e.id + len(before))
        for e in expected
        if isinstance(e, Segment)
    ]
    found = finals(stream.push(samples) + stream.flush())
    for a, b in zip(found, shifted, strict=True):
        assert isinstance(a, Segment)
        assert (a.label, a.confidence, a.id) == (b.label, b.confidence, b.id)
        assert (a.start, a.end) == pytest.approx((b.start, b.end))


@pytest.mark.parametrize("quality", QUALITIES)
@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("action", ["fill", "hold"])
def test_restored_equals_uninterrupted(action: str, rate: int, quality: Quality) -> None:
    model, samples = open_tiny(action, look_ahead=2), noise(9000)
    for cut in (0, 1, 15, 16, 1000, 4567, 9000):
        results = []
        for restore in (False, True):
            stream = Stream(model, rate, quality)
            events = push_all(stream, samples[:cut], 160) + stream.gap(50)
            if restore:
                stream = Stream.restore(model, stream.snapshot())
            assert stream.sample_rate == rate
            events += push_all(stream, samples[cut:], 160) + stream.gap(50) + stream.flush()
            results.append(events if rate == 1600 else finals(events))
        if rate == 1600:
            assert results[0] == results[1], f"cut at {cut}"
        else:
            assert_same(results[0], results[1], 1e-5, f"cut at {cut}")


@pytest.mark.parametrize("rate", [1600, 4800])
def test_causal(rate: int) -> None:
    model, samples = open_tiny(), noise(8000)
    early = finals(Stream(model, rate).push(samples[:4000]))
    assert len(early) > 5
    for future in (samples[4000:], noise(4000, 5), np.zeros(0, np.float32)):
        stream = Stream(model, rate)
        events = finals(stream.push(samples[:4000]) + stream.push(future) + stream.flush())
        assert events[: len(early)] == early


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("length", [0, 1, 8, 15])
def test_too_short_for_a_step_is_empty(rate: int, length: int) -> None:
    stream = Stream(open_tiny(), rate)
    assert stream.push(noise(length * rate // 1600)) + stream.flush() + stream.flush() == []


@pytest.mark.parametrize("length", range(16, 64, 3))
def test_flush_gives_the_last_segment_to_the_very_end(length: int) -> None:
    """The network says something of every frame here, so the last segment ends with the sound."""
    model = Model.open(tiny_model(change=drop_blank))
    stream = Stream(model)
    events = finals(stream.push(noise(length) + np.float32(0.1)) + stream.flush())
    assert isinstance(events[-1], Segment)
    assert events[-1].end == stream.time == length / 1600
    assert_in_order(events, stream.time)


def drop_blank(model: Any) -> None:
    """Make the blank improbable."""
    shift = next(weight for weight in model.graph.initializer if weight.name == "shift")
    values = np.frombuffer(shift.raw_data, np.float32).copy()
    values[0] = -50
    shift.raw_data = values.tobytes()


@pytest.mark.parametrize(("quality", "calls"), [("file", 5), ("live", 6)])
def test_the_model_runs_no_oftener_than_it_must(quality: Quality, calls: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """256 steps and the silence behind: of a file four full calls and one; live one first, one a block, and one."""
    model, count, run = open_tiny(), 0, InferenceSession.run_with_iobinding

    def counted(*args: Any) -> None:
        nonlocal count
        count += 1
        run(*args)

    monkeypatch.setattr(InferenceSession, "run_with_iobinding", counted)
    stream = Stream(model, quality=quality)
    push_all(stream, noise(4096), 1024)
    assert len(stream.flush()) > 0
    assert count == calls


def test_int16_and_float64_are_the_same_sound() -> None:
    model = open_tiny()
    integers = (noise(3000) * 32767).astype(np.int16)
    results = []
    for samples in (integers, integers / 32768, (integers / 32768).astype(np.float32)):
        stream = Stream(model)
        results.append(finals(stream.push(samples) + stream.flush()))
    assert results[0] == results[1] == results[2]


def test_a_gap_of_ten_hours_that_is_filled_needs_little_memory() -> None:
    model = open_tiny(reset_after=1e6, sample_rate=16000, samples_per_step=4000, overlap=200)
    stream = Stream(model)
    tracemalloc.start()
    events = stream.push(np.zeros(16000, np.float32)) + stream.gap(10 * 3600 * 16000) + stream.flush()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 16 * 2**20
    assert len(events) < 100
    assert any(isinstance(event, Gap) and event.action == "fill" for event in events)
    assert stream.time == 36001.0


def test_memory_is_flat() -> None:
    model, samples = open_tiny(), noise(1600)
    stream = Stream(model, 4800)
    sizes = np.zeros((100, 2), np.int64)
    tracemalloc.start()
    for turn in range(500):
        push_all(stream, samples, 48)
        if turn % 7 == 0:
            stream.gap(20, "overflow")
        if turn % 5 == 0:
            gc.collect()  # empties the interpreter's own stores of tuples, which count as ours otherwise
            sizes[turn // 5] = tracemalloc.get_traced_memory()[0], len(stream.snapshot())
    tracemalloc.stop()
    early, late = sizes[20:60].max(axis=0), sizes[60:].max(axis=0)
    assert late[0] - early[0] < 20_000  # 3 bytes a push
    assert late[1] - early[1] < 5_000


def test_waiting_gaps_stay_few_while_one_segment_lasts() -> None:
    model = Model.open(tiny_model(change=only_silence, gap=GapPolicy("fill", 0.5)))
    stream = Stream(model)
    events: list[Event] = []
    for _ in range(500):
        events += stream.push(np.zeros(160, np.float32)) + stream.gap(16, "overflow")
    assert len(stream.snapshot()) < 20_000
    events += stream.flush()
    assert sum(isinstance(event, Gap) for event in events) == 500


def only_silence(model: Any) -> None:
    shift = next(weight for weight in model.graph.initializer if weight.name == "shift")
    shift.raw_data = np.array([-50, 50, -50, -50, -50, -50], np.float32).tobytes()


def test_partials_come_last_and_become_final() -> None:
    stream, told = Stream(open_tiny()), {}
    for begin in range(0, 8000, 48):
        events = stream.push(noise(8000)[begin : begin + 48])
        partials = [event for event in events if isinstance(event, Segment) and not event.final]
        assert partials == events[len(events) - len(partials) :]
        assert len(partials) <= 1
        told.update({event.id: event for event in events if isinstance(event, Segment)})
    told.update({event.id: event for event in stream.flush() if isinstance(event, Segment)})
    assert all(segment.final for segment in told.values())


def test_misuse_is_refused() -> None:
    for decoder, message in (
        (
            {"name": "ctc-best"},
            "manifest.decoder.name must be 'ctc-greedy' or 'ctc-beam' or 'words' for task 'ctc', got 'ctc-best'",
        ),
        ({"name": "ctc-greedy", "width": 8}, "manifest.decoder does not fit 'ctc-greedy': .*'width'"),
    ):
        with pytest.raises(ModelError, match=message):
            Stream(open_tiny(decoder=decoder))
    model = open_tiny(decoder={"name": "ctc-greedy"})
    with pytest.raises(InputError, match="whole number of Hz"):
        Stream(model, 0)
    stream = Stream(model)
    with pytest.raises(InputError, match="NaN"):
        stream.push(np.full(10, np.nan))
    with pytest.raises(InputError, match="reason of a gap"):
        stream.gap(10, "sloth")
    stream.flush()
    with pytest.raises(InputError, match=r"call reset\(\)"):
        stream.push(noise(10))
    with pytest.raises(InputError, match="saved 'stream'"):
        Stream.restore(model, b"anything but a stream")
    with pytest.raises(InputError, match="open the model that it was saved with"):
        Stream.restore(open_tiny(seed=1), stream.snapshot())


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("waiting", 5),
        ("waiting", ["gap"]),
        ("waiting", [{"type": "gap", "start": "0"}]),
        ("decoder", np.zeros(3)),
        ("decoder", np.frombuffer(GreedyCTC(("<blank>", "A"), 0, 0.01).to_bytes(), np.uint8)),
        ("posteriors", np.zeros(3)),
    ],
)
def test_forged_bytes_are_refused(path: str, value: Any) -> None:
    model = open_tiny()
    with pytest.raises(InputError):
        Stream.restore(model, forged(Stream(model).snapshot(), "stream", path, value))


def test_a_gap_that_is_refused_loses_no_gap_before_it() -> None:
    stream = Stream(open_tiny(), invalid="gap")
    stream.push(noise(100))
    stream.push(np.full(50, np.nan))
    for samples, reason in ((10, "sloth"), (-1, "missing")):
        with pytest.raises(InputError):
            stream.gap(samples, reason)
    gaps = [event for event in stream.push(noise(100)) + stream.flush() if isinstance(event, Gap)]
    assert gaps == [Gap(100 / 1600, 150 / 1600, 50, "invalid", "fill")]
