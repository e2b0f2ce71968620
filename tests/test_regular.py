import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from helpers import forged
from streamcell.runtime.errors import InputError
from streamcell.runtime.regular import Item, Lost, Oddity, Regular

Readings = tuple[NDArray[np.float64], NDArray[np.float64]]


def irregular(random: np.random.Generator, count: int, rate: float = 50.0) -> Readings:
    """Return times with jitter, from any origin, and values of three channels."""
    start = random.choice([0.0, -3.5, 1.7e9])
    return start + np.cumsum(random.uniform(0.2, 1.8, count)) / rate, random.normal(size=(count, 3))


def odd(random: np.random.Generator, count: int) -> Readings:
    """Return the same with holes, duplicates, late ones, jumps, other rates and values that are not finite."""
    times, values = irregular(random, count)
    for place in random.integers(1, count, 6):
        times[place:] += random.choice([0.3, 2.0, 4000.0, -5000.0, -0.01])
    for place in random.integers(1, count, 6):
        times[place] = random.choice([times[place - 1], times[place] - 0.5, np.nan, np.inf])
        values[random.integers(count), random.integers(3)] = random.choice([np.nan, -np.inf, 1e39])
    if random.random() < 0.3:
        times *= random.choice([0.3, 4.0])
    return times, values


def joined(items: list[Item]) -> list[Any]:
    """Return items as plain values, one for each row."""
    plain: list[Any] = []
    for item in items:
        plain += item.tolist() if isinstance(item, np.ndarray) else [item]
    return [(item.kind, repr(item.time), item.detail) if isinstance(item, Oddity) else item for item in plain]


def rows_of(items: list[Item]) -> NDArray[np.float32]:
    return np.concatenate([np.zeros((0, 3), np.float32), *(item for item in items if isinstance(item, np.ndarray))])


@pytest.mark.parametrize("seed", range(20))
def test_the_grid_is_the_line_between_readings(seed: int) -> None:
    times, values = irregular(np.random.default_rng(seed), 400)
    items = Regular(50, 3).push(times, values)
    assert len(items) == 1
    rows = rows_of(items)
    grid = times[0] + np.arange(len(rows)) / 50
    assert grid[-1] <= times[-1] < grid[-1] + 0.02
    relative = times - times[0]
    expected = np.stack([np.interp(np.arange(len(rows)) / 50, relative, column) for column in values.T], 1)
    np.testing.assert_allclose(rows, expected, rtol=0, atol=1e-6, err_msg=f"seed {seed}")


@pytest.mark.parametrize("seed", range(30))
def test_any_cutting_and_saving_gives_the_same(seed: int) -> None:
    random = np.random.default_rng(seed)
    times, values = odd(random, 300)
    regular = Regular(50, 3)
    whole = joined(regular.push(times, values) + regular.flush())
    for longest in (1, 7, 40, 300):
        other, items, at = Regular(50, 3), list[Item](), 0
        while at < len(times):
            size = int(random.integers(0, longest + 1))
            items += other.push(times[at : at + size], values[at : at + size])
            at += size
            if random.random() < 0.1:
                other = Regular.from_bytes(other.to_bytes())
        assert joined(items + other.flush()) == whole, f"seed {seed}, pushes of up to {longest}"
        assert (other.oddities, other.lost) == (regular.oddities, regular.lost)
        assert other.to_bytes() == regular.to_bytes()
    kinds = [item[0] for item in whole if isinstance(item, tuple)]
    assert regular.oddities == {kind: kinds.count(kind) for kind in regular.oddities}
    assert regular.lost == sum(item.samples for item in whole if isinstance(item, Lost))


@pytest.mark.parametrize("seed", range(20))
def test_inside_holes_points_are_lost_and_outside_none(seed: int) -> None:
    random = np.random.default_rng(seed)
    times, values = irregular(random, 300)
    for place in random.integers(1, 300, 5):
        times[place:] += random.uniform(0.11, 3.0)
    items = Regular(50, 3).push(times, values)
    relative, index = times - times[0], 0
    for item in items:
        assert not isinstance(item, Oddity)
        count = item.samples if isinstance(item, Lost) else len(item)
        grid = np.arange(index, index + count) / 50
        right = np.searchsorted(relative, grid - 1e-6)
        wide = relative[right] - relative[np.maximum(right - 1, 0)] > 0.1
        inside = wide & (relative[right] - grid > 1e-6)
        assert (inside == isinstance(item, Lost)).all(), f"seed {seed}"
        index += count
    assert index == math.floor(relative[-1] * 50 + 1e-6) + 1


@pytest.mark.parametrize("origin", [0.0, 1.7e9, -12345.678])
@pytest.mark.parametrize("rate", [1, 50, 100, 333])
def test_readings_on_the_grid_pass_at_once_and_unchanged(rate: int, origin: float) -> None:
    values = np.random.default_rng(rate).normal(size=(1000, 3)).astype(np.float32)
    regular = Regular(rate, 3)
    for index, row in enumerate(values):
        (block,) = regular.push([origin + index / rate], row[None])
        assert isinstance(block, np.ndarray)
        np.testing.assert_allclose(block, row[None], atol=2e-3 if origin else 1e-5)
    assert regular.flush() == []


def test_a_gap_of_exactly_the_limit_is_none() -> None:
    for origin in (0.0, 1.7e9):
        assert [type(item) for item in Regular(50, 1).push([origin, origin + 0.1], [[0], [1]])] == [np.ndarray]
        items = Regular(50, 1).push([origin, origin + 0.12], [[0], [1]])
        assert [item.tolist() if isinstance(item, np.ndarray) else item for item in items] == [[[0]], Lost(5), [[1]]]


@pytest.mark.parametrize(("time", "kind"), [(0.02, "duplicate"), (0.01, "late"), (9000, "jump"), (-4000, "jump")])
def test_odd_timestamps_are_told(time: float, kind: str) -> None:
    following = time + 0.02 if kind == "jump" else 0.04
    items = Regular(50, 1).push([0, 0.02, time, following], [[1], [2], [9], [3]])
    oddity = next(item for item in items if isinstance(item, Oddity))
    assert (oddity.kind, oddity.time) == (kind, time)
    values = np.concatenate([item for item in items if isinstance(item, np.ndarray)]).ravel()
    np.testing.assert_allclose(values, [1, 2, 9, 3] if kind == "jump" else [1, 2, 3], atol=1e-6)
    assert [item for item in items if isinstance(item, Lost)] == [Lost(0)] * (kind == "jump")


@pytest.mark.parametrize("size", [1, 3, 1000])
@pytest.mark.parametrize("back", [5.0, 60.0, 1800.0])
def test_a_device_that_begins_anew_is_followed_after_eight_readings(back: float, size: int) -> None:
    before = 2000 + np.arange(100) / 50
    times, values = np.concatenate([before, before[-1] - back + np.arange(100) / 50]), np.arange(200.0)[:, None]
    regular, items = Regular(50, 1), list[Item]()
    for at in range(0, 200, size):
        items += regular.push(times[at : at + size], values[at : at + size])
        regular = Regular.from_bytes(regular.to_bytes())
    rows = np.concatenate([item for item in items if isinstance(item, np.ndarray)]).ravel()
    np.testing.assert_allclose(rows, [*range(100), *range(107, 200)], atol=1e-3)
    assert (regular.oddities["late"], regular.oddities["jump"], regular.lost) == (7, 1, 0)


def test_packets_that_come_twice_or_in_another_order_are_no_new_clock() -> None:
    times, order = np.arange(600) / 50, np.arange(600).reshape(-1, 25)
    twice = np.concatenate([part for packet in order for part in ([packet, packet] if packet[0] % 100 else [packet])])
    swapped = order[np.arange(24) ^ 1].ravel()
    for places, late in ((twice, 18 * 24), (swapped, 12 * 25)):
        regular = Regular(50, 1)
        rows = rows_of_one(regular.push(times[places], places[:, None].astype(float)))
        assert (regular.oddities["jump"], regular.oddities["late"]) == (0, late)
        assert len(rows) + regular.lost == 600 - places[0]
        assert (np.diff(rows) > 0).all()


def rows_of_one(items: list[Item]) -> NDArray[np.float32]:
    return np.concatenate([item for item in items if isinstance(item, np.ndarray)]).ravel()


@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
def test_timestamps_that_are_no_seconds_are_recognised(unit: str) -> None:
    scale = {"ms": 1e3, "us": 1e6, "ns": 1e9}[unit]
    items = Regular(50, 1).push(1.7e9 * scale + np.arange(200) / 50 * scale, np.zeros((200, 1)))
    first = next(item for item in items if isinstance(item, Oddity))
    assert first.detail.endswith(f"; if the timestamps are {unit}, name their column time_{unit}")


def test_late_readings_between_others_are_no_new_clock() -> None:
    times = np.arange(60) / 50
    order = np.arange(60).reshape(-1, 3)[:, [0, 2, 1]].ravel()  # every third one comes too late
    regular = Regular(50, 1)
    regular.push(times[order], order[:, None].astype(float))
    assert (regular.oddities["late"], regular.oddities["jump"]) == (20, 0)
    backwards = Regular(50, 1)
    backwards.push(times[::-1], times[::-1, None])
    assert (backwards.oddities["late"], backwards.oddities["jump"]) == (59, 0)


@pytest.mark.parametrize(("bad", "what"), [(np.nan, "value"), (np.inf, "value"), (np.nan, "time"), (1e39, "value")])
def test_a_row_that_is_not_finite_is_missing(bad: float, what: str) -> None:
    times, values = np.arange(6) / 50, np.arange(6.0)[:, None]
    (times if what == "time" else values[:, 0])[2] = bad
    items = Regular(50, 1).push(times, values)
    assert [item.kind for item in items if isinstance(item, Oddity)] == ["invalid"]
    rows = np.concatenate([item for item in items if isinstance(item, np.ndarray)])
    np.testing.assert_allclose(rows.ravel(), range(6), atol=1e-6)


@pytest.mark.parametrize(("factor", "told"), [(0.1, 1), (0.5, 1), (0.8, 0), (1, 0), (1.3, 0), (2, 1), (20, 1)])
def test_another_rate_is_told_once(factor: float, told: int) -> None:
    random = np.random.default_rng(5)
    count = int(20 * 50 * factor)
    times = (np.arange(count) + random.uniform(-0.3, 0.3, count)) / (50 * factor)
    items = Regular(50, 1).push(times, np.zeros((count, 1)))
    oddities = [item for item in items if isinstance(item, Oddity)]
    assert [item.kind for item in oddities] == ["rate"] * told
    if told:
        assert oddities[0].detail.endswith("the model takes 50 Hz")
        assert float(oddities[0].detail.split()[3]) == pytest.approx(50 * factor, rel=0.15)


def test_holes_and_bursts_are_no_other_rate() -> None:
    steady = np.arange(1000) / 50
    holes = steady + np.arange(1000) // 40 * 1.5
    bursts = np.arange(1000) // 10 * 0.2 + np.arange(1000) % 10 * 0.001
    for times in (steady, holes, bursts):
        regular = Regular(50, 1, max_gap=0.5)
        regular.push(times, np.zeros((1000, 1)))
        assert not any(regular.oddities.values())


def test_a_source_at_half_the_rate_is_doubled() -> None:
    items = Regular(50, 1).push(np.arange(20) / 25, np.arange(20)[:, None])
    np.testing.assert_allclose(np.asarray(items[0]).ravel(), np.arange(39) / 2, atol=1e-5)


def test_rows_without_timestamps_pass_and_bad_ones_are_one_loss() -> None:
    values = np.arange(8, dtype=np.float32)[:, None].copy()
    values[[2, 3, 4, 7]] = np.nan
    expected = [[[0], [1]], "invalid", "invalid", "invalid", Lost(3), [[5], [6]], "invalid", Lost(1)]

    def plain(items: list[Item]) -> list[Any]:
        return [item.kind if isinstance(item, Oddity) else item for item in joined_blocks(items)]

    for size in (8, 3, 1):
        regular, items = Regular(50, 1), list[Item]()
        for begin in range(0, 8, size):
            items += regular.push_regular(values[begin : begin + size])
            regular = Regular.from_bytes(regular.to_bytes())
        assert plain(items + regular.flush()) == expected
        assert (regular.lost, regular.oddities["invalid"], regular.flush()) == (4, 4, [])


def joined_blocks(items: list[Item]) -> list[Any]:
    """Return items with rows that follow each other as one list."""
    found: list[Any] = []
    for item in items:
        if isinstance(item, np.ndarray) and found and isinstance(found[-1], list):
            found[-1] += item.tolist()
        else:
            found.append(item.tolist() if isinstance(item, np.ndarray) else item)
    return found


def test_wrong_arguments_change_nothing() -> None:
    regular = Regular(50, 3)
    regular.push([0.0], [[1, 2, 3]])
    before = regular.to_bytes()
    for times, values in (
        ([0.1], [[1, 2]]),
        ([0.1, 0.2], [[1, 2, 3]]),
        (0.1, [[1, 2, 3]]),
        (["a"], [[1, 2, 3]]),
        ([0.1], [["a", "b", "c"]]),
    ):
        with pytest.raises(InputError, match="expected"):
            regular.push(times, values)
    with pytest.raises(InputError, match="either all or none"):
        regular.push_regular([[1, 2, 3]])
    assert regular.to_bytes() == before
    assert regular.push([], np.zeros((0, 3))) == []
    regular.flush()
    with pytest.raises(InputError, match="flushed"):
        regular.push([0.1], [[1, 2, 3]])


@pytest.mark.parametrize(
    "settings",
    [(0, 1), (50, 0), (50.0, 1), (True, 1), (50, 1, 0.01), (50, 1, math.nan), (50, 1, 1, 0.5), (50, 1, 1, math.inf)],
)
def test_settings_are_checked(settings: tuple[Any, ...]) -> None:
    with pytest.raises(InputError):
        Regular(*settings)


def test_extreme_numbers_give_rows_or_reports() -> None:
    times = [-1.7e308, 1.7e308, 1e18, 1e18 + 256, 5e-324, 1e-300, 0.1, 1e15, 1e15 + 0.125, 1e15 + 0.25]
    values = np.full((len(times), 1), 3.4e38) * np.resize([[1], [-1]], (len(times), 1))
    items = Regular(50, 1).push(times, values)
    assert all(np.isfinite(item).all() for item in items if isinstance(item, np.ndarray))


def test_damaged_bytes_are_refused() -> None:
    regular = Regular(50, 3)
    regular.push(np.arange(100) / 50, np.zeros((100, 3)))
    data = regular.to_bytes()
    for path, value in {
        "version": 1,
        "max_gap": 0.0,
        "progress/late": 8,
        "progress/given": -1,
        "progress/origin": 50.0,
        "progress/time": 99.0,
        "progress/way": "sideways",
        "progress/oddities": {"late": 0},
        "pace/count": 1 << 60,
        "pace/start": 99.0,
        "last": np.zeros(2),
    }.items():
        with pytest.raises(InputError):
            Regular.from_bytes(forged(data, "regular", path, value))
    with pytest.raises(InputError):
        Regular.from_bytes(data[:-1])
