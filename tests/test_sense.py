import io
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from helpers import assert_same, finals, tiny_model
from sensors import CHANNELS, moves, sensor_manifest, sensor_model
from streamcell.runtime import Gap, InputError, Model, Reset, Segment, Stream
from streamcell.runtime.events import Event
from streamcell.runtime.regular import Oddity
from streamcell.runtime.sense import SensorStream, channel_names
from streamcell.runtime.sources import Lines, Readings

Times = NDArray[np.float64]
Values = NDArray[np.float32]


@pytest.fixture(scope="module")
def model() -> Model:
    return Model.open(sensor_model())


@pytest.fixture(scope="module", params=[("hold", 1.0, 0), ("fill", 1.0, 0), ("hold", 0.0, 2), ("fill", 9.0, 2)])
def any_model(request: pytest.FixtureRequest) -> Model:
    """Return one of several policies of gaps, with look-ahead and without."""
    action, reset_after, look_ahead = request.param
    gap = replace(sensor_manifest().gap, action=action, reset_after=reset_after)
    return Model.open(sensor_model(look_ahead=look_ahead, gap=gap))


def odd(seed: int) -> tuple[Times, Values]:
    """Return readings with holes, duplicates, late ones, jumps, rows that are not finite, and another rate."""
    random = np.random.default_rng(seed)
    times, values = moves(600, seed=seed)
    times[300:] = times[300] + (times[300:] - times[300]) / 2
    for place in random.integers(1, 600, 8):
        times[place:] += random.choice([0.3, 2.0, 4000.0, -5000.0])
    for place in random.integers(1, 600, 6):
        times[place] = random.choice([times[place - 1], times[place] - 0.5, np.nan])
        values[random.integers(600), random.integers(3)] = random.choice([np.nan, -np.inf])
    return times, values


def hear(model: Model, times: Times | None, values: Values, sizes: Iterable[int]) -> tuple[list[Event], list[Any]]:
    """Return final events, and everything without confidences in its order."""
    stream = SensorStream(model)
    found: list[Event | Oddity] = []
    at = 0
    for size in sizes:
        part = slice(at, at + size)
        found += stream.push(Readings(None if times is None else times[part], values[part]))
        at += size
    assert at >= len(values)
    found += stream.flush()
    oddities = [one for one in found if isinstance(one, Oddity)]
    counts = {kind: sum(one.kind == kind for one in oddities) for kind in {one.kind for one in oddities}}
    assert stream.oddities == counts
    events = events_of(found)
    assert stream.lost == sum(one.samples for one in events if isinstance(one, Gap))
    order = [
        (one.kind, repr(one.time), one.detail) if isinstance(one, Oddity) else type(one)
        for one in found
        if not isinstance(one, Segment) or one.final
    ]
    return events, order


@pytest.mark.parametrize("timed", [True, False])
@pytest.mark.parametrize("seed", range(6))
def test_any_cutting_gives_the_same(any_model: Model, seed: int, timed: bool) -> None:
    readings, values = odd(seed)
    times = readings if timed else None
    whole, order = hear(any_model, times, values, [600])
    assert any(isinstance(event, Segment) for event in whole)
    random = np.random.default_rng(seed)
    for sizes in ([1] * 600, [7] * 86, [0, 599, 1], [*random.integers(0, 90, 40).tolist(), 600]):
        events, found = hear(any_model, times, values, sizes)
        assert_same(events, whole, 1e-5, f"seed {seed}, sizes {sizes[:5]}")
        assert found == order, f"seed {seed}, sizes {sizes[:5]}"


def events_of(found: list[Event | Oddity]) -> list[Event]:
    """Return the final events."""
    return finals(one for one in found if not isinstance(one, Oddity))


def by_hand(model: Model, *parts: Values | int | str, reason: str = "missing") -> list[Event]:
    """Return the final events of a stream that hears rows, gaps (a number) and resets (a reason)."""
    stream = Stream(model)
    events: list[Event] = []
    for part in parts:
        if isinstance(part, str):
            events += stream.reset(part)
        else:
            events += stream.gap(part, reason) if isinstance(part, int) else stream.push(part)
    return finals(events + stream.flush())


def grid(count: int, start: float = 0.0) -> Times:
    return start + np.arange(count) / 50


def test_readings_on_the_grid_are_heard_as_they_are(any_model: Model) -> None:
    _, values = moves(500)
    expected = by_hand(any_model, values)
    assert len(expected) > 5
    assert_same(hear(any_model, grid(500), values, [500])[0], expected, 1e-4)
    assert_same(hear(any_model, None, values, [500])[0], expected, 0)


def test_what_is_missing_is_a_gap(any_model: Model) -> None:
    _, values = moves(500)
    for hole in (10, 120):
        times = np.concatenate([grid(200), grid(300, (200 + hole) / 50)])
        events, _ = hear(any_model, times, values, [500])
        assert_same(events, by_hand(any_model, values[:200], hole, values[200:]), 1e-4)
        (gap,) = (event for event in events if isinstance(event, Gap))
        assert (gap.start, gap.reason) == (4.0, "missing")
        assert gap.end == pytest.approx(4 + hole / 50)


def test_duplicates_and_late_readings_are_told_and_left_out(model: Model) -> None:
    _, values = moves(400)
    times = np.insert(grid(400), [100, 200], [grid(400)[99], grid(400)[150]])
    more = np.insert(values, [100, 200], 9.0, axis=0)
    events, order = hear(model, times, more, [402])
    assert_same(events, by_hand(model, values), 1e-4)
    assert [(one[0], one[1]) for one in order if isinstance(one, tuple)] == [("duplicate", "1.98"), ("late", "3.0")]


@pytest.mark.parametrize("start", [9000.0, -9000.0])
def test_where_the_clock_was_set_the_stream_is_reset(model: Model, start: float) -> None:
    _, values = moves(400)
    times = np.concatenate([grid(150), grid(250, start)])
    events, order = hear(model, times, values, [400])
    assert_same(events, by_hand(model, values[:150], "clock", values[150:]), 1e-4)
    assert [event for event in events if isinstance(event, Reset)] == [Reset(3.0, "clock")]
    assert [one[0] for one in order if isinstance(one, tuple)] == ["jump"]


def test_twice_the_rate_is_told_once_and_thinned(model: Model) -> None:
    _, values = moves(400)
    times, twice = np.arange(799) / 100, np.repeat(values, 2, axis=0)[:799]
    events, order = hear(model, times, twice, [799])
    assert_same(events, by_hand(model, values), 1e-4)
    ((kind, _, detail),) = (one for one in order if isinstance(one, tuple))
    assert (kind, detail) == ("rate", "readings come at 100 Hz, the model takes 50 Hz")


def test_rows_that_are_not_finite_are_gaps_where_there_are_no_times(any_model: Model) -> None:
    _, values = moves(400)
    values[100:130] = np.nan
    values[200, 1] = np.inf
    values[398:] = np.nan
    stream = Stream(any_model, invalid="gap")
    expected = finals(stream.push(values) + stream.flush())
    events, order = hear(any_model, None, values, [400])
    assert_same(events, expected, 0)
    assert [event.reason for event in events if isinstance(event, Gap)] == ["invalid"] * 3
    times = [one[1] for one in order if isinstance(one, tuple)]
    assert times == [repr(index / 50) for index in (*range(100, 130), 200, 398, 399)]


def test_rows_that_are_not_finite_are_bridged_where_there_are_times(model: Model) -> None:
    _, values = moves(400)
    expected = by_hand(model, values)
    values[100] = np.nan
    events, order = hear(model, grid(400), values, [400])
    assert_same(events, expected, 0.05)
    assert [one[0] for one in order if isinstance(one, tuple)] == ["invalid"]


# a source that was away


def test_without_times_an_outage_is_a_gap(any_model: Model) -> None:
    _, values = moves(400)
    values[148:150] = np.nan
    stream = SensorStream(any_model)
    found = stream.push(Readings(None, values[:150], 3.0))  # before the first reading there is nothing to be missing
    found += stream.push(Readings(None, values[150:], 1.31 + 250 / 50))  # the readings' own time is in it
    found += stream.flush()
    expected = Stream(any_model, invalid="gap")
    events = expected.push(values[:150]) + expected.gap(66) + expected.push(values[150:]) + expected.flush()
    assert_same(events_of(found), finals(events), 1e-6)
    assert [event.reason for event in finals(events) if isinstance(event, Gap)] == ["invalid", "missing"]
    assert stream.lost == 68
    assert stream.time == pytest.approx((400 + 66) / 50)


def test_after_an_outage_oddities_are_on_the_streams_clock(model: Model) -> None:
    _, values = moves(100)
    values[60] = np.nan
    stream = SensorStream(model)
    stream.push(Readings(None, values[:50]))
    (oddity,) = (one for one in stream.push(Readings(None, values[50:], 3.0)) if isinstance(one, Oddity))
    assert oddity.kind == "invalid"
    assert oddity.time == pytest.approx(3.0 + 10 / 50)


def test_times_tell_an_outage_themselves(model: Model) -> None:
    _, values = moves(300)
    stream = SensorStream(model)
    found = stream.push(Readings(grid(100), values[:100]))
    found += stream.push(Readings(grid(200, 2.5), values[100:], 77.0))
    assert_same(events_of([*found, *stream.flush()]), by_hand(model, values[:100], 25, values[100:]), 1e-4)


def test_a_clock_that_begins_anew_while_the_source_is_away_is_told(model: Model) -> None:
    _, values = moves(300)
    stream = SensorStream(model)
    found = stream.push(Readings(grid(100, 500.0), values[:100]))
    found += stream.push(Readings(grid(200), values[100:], 4.4))
    found += stream.flush()
    (oddity,) = (one for one in found if isinstance(one, Oddity))
    assert (oddity.kind, oddity.time, stream.oddities) == ("jump", 0.0, {"jump": 1})
    assert "went back by 501.98 s while the source was away" in oddity.detail
    assert_same(events_of(found), by_hand(model, values[:100], 20, values[100:]), 1e-4)


def test_a_packet_that_comes_again_after_an_outage_is_no_new_clock(model: Model) -> None:
    _, values = moves(300)
    stream = SensorStream(model)
    found = stream.push(Readings(grid(100), values[:100]))
    found += stream.push(Readings(grid(25, 1.5), values[75:100], 3.0))  # the last one, delivered twice
    found += stream.push(Readings(grid(200, 2.5), values[100:]))
    assert stream.oddities == {"late": 24, "duplicate": 1}
    assert_same(events_of([*found, *stream.flush()]), by_hand(model, values[:100], 25, values[100:]), 1e-4)


@pytest.mark.parametrize("outage", [-1.0, float("nan"), float("inf")])
def test_an_outage_is_a_number_of_seconds(model: Model, outage: float) -> None:
    with pytest.raises(InputError, match="outage must be"):
        SensorStream(model).push(Readings(None, np.zeros((1, 3), np.float32), outage))


# what it says of itself


def test_partial_segments_come_last_and_once(model: Model) -> None:
    times, values = odd(3)
    stream = SensorStream(model)
    seen = 0
    for at in range(0, 600, 50):
        found = stream.push(Readings(times[at : at + 50], values[at : at + 50]))
        going_on = [isinstance(one, Segment) and not one.final for one in found]
        assert going_on == sorted(going_on)
        ids = [one.id for one in found if isinstance(one, Segment)]
        assert len(ids) == len(set(ids))
        seen += sum(going_on)
    assert seen


def test_the_rate_is_that_of_the_readings(model: Model) -> None:
    stream = SensorStream(model)
    zeros = np.zeros((100, 3), np.float32)
    assert stream.rate is None
    stream.push(Readings(np.arange(5) / 104, zeros[:5]))
    assert stream.rate is None
    stream.push(Readings((5 + np.arange(100)) / 104, zeros))
    assert stream.rate == pytest.approx(104)
    stream.push(Readings(9e6 + np.arange(3) / 104, zeros[:3]))
    assert stream.rate is None
    stream.push(Readings(9e6 + (3 + np.arange(20)) / 26, zeros[:20]))
    assert stream.rate == pytest.approx(22 / (22 / 26))
    without = SensorStream(model)
    without.push(Readings(None, zeros))
    assert (without.rate, without.time) == (None, 2.0)


def test_a_file_of_numbers_is_heard_whole_though_names_are_missing() -> None:
    spec = replace(sensor_manifest().input, channel_names=(), units=())
    model = Model.open(sensor_model(input=spec))
    stream = SensorStream(model)
    rows = b"2,1,0\n" * 100  # the first line is no header
    with Lines(io.BytesIO(rows), channel_names(spec)) as lines:
        found = [event for readings in lines for event in stream.push(readings)]
    assert_same(events_of([*found, *stream.flush()]), by_hand(model, np.array([[2, 1, 0]] * 100, np.float32)), 0)
    assert stream.time == 2.0
    assert channel_names(sensor_manifest().input) == list(CHANNELS)


def test_what_does_not_fit_is_refused(model: Model) -> None:
    with pytest.raises(InputError, match="tiny takes audio, not readings"):
        SensorStream(Model.open(tiny_model()))
    with pytest.raises(InputError, match="max_gap of at least"):
        SensorStream(model, max_gap=0.01)
    stream = SensorStream(model)
    with pytest.raises(InputError, match=r"expected values \[n, 3\]"):
        stream.push(Readings(None, np.zeros((4, 2), np.float32)))
    stream.push(Readings(None, np.zeros((4, 3), np.float32)))
    with pytest.raises(InputError, match="all or none"):
        stream.push(Readings(grid(4), np.zeros((4, 3), np.float32)))
    stream.flush()
    with pytest.raises(InputError, match="flushed"):
        stream.push(Readings(None, np.zeros((4, 3), np.float32)))
