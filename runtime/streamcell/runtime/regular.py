"""From readings with timestamps to rows on the regular grid of a model's rate, as they come; what is odd is told."""

import math
from dataclasses import asdict, dataclass, field
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from streamcell.runtime.blocks import finite_runs
from streamcell.runtime.errors import InputError, ModelError
from streamcell.runtime.pace import FACTOR, Pace
from streamcell.runtime.schema import read
from streamcell.runtime.wire import pack, unpack

__all__ = ["FARTHEST_LATE", "Item", "Lost", "Oddity", "Regular"]

_VERSION = 2
_LARGEST = 1 << 53  # saved counter
_MAX = 1 << 20  # of rate and channels, as in the manifest
_YEAR = 365.25 * 86400
_KINDS = ("duplicate", "late", "jump", "rate", "invalid")
_MOST_LATE = 8  # readings in a row, each after the one before: then the clock was set back
FARTHEST_LATE = 1.0
"""Seconds that readings may be late, doubled or swapped on their way, without their clock having been set back."""

_UNITS = {"ms": 1e3, "us": 1e6, "ns": 1e9}


@dataclass(frozen=True, slots=True)
class Lost:
    """Say that no readings came for ``samples`` points of the grid: what `Stream.gap` takes."""

    samples: int


@dataclass(frozen=True, slots=True)
class Oddity:
    """Report what is odd about the readings.

    Attributes:
        kind: ``"duplicate"`` (a timestamp that repeats; the first is kept), ``"late"`` (one that goes back; left out),
            ``"jump"`` (the clock was set, or the device began anew; so does the grid here), ``"rate"`` (the source's
            rate is not the model's; told once) or ``"invalid"`` (a value or a timestamp that is NaN or infinite; the
            row is left out).
        time: The timestamp, in seconds; where it is no number, the last one that was.
        detail: For people.
    """

    kind: Literal["duplicate", "late", "jump", "rate", "invalid"]
    time: float
    detail: str


Item: TypeAlias = NDArray[np.float32] | Lost | Oddity
"""What comes out: rows `[m, channels]`, what is missing, what is odd."""


@dataclass(slots=True)
class _Progress:
    """Hold how far the grid has come; it is saved as it is."""

    way: Literal["", "push", "push_regular"] = ""
    flushed: bool = False
    started: bool = False  # a reading has come since the beginning or the last jump
    origin: float = 0.0
    time: float = 0.0  # of the last reading
    given: int = 0  # points of the grid since the origin, lost ones too
    missing: int = 0  # rows without timestamps that were not finite, not yet told as lost
    lost: int = 0
    late: int = 0  # readings in a row that were late, each after the one before
    late_time: float = 0.0  # of the last of them
    oddities: dict[str, int] = field(default_factory=lambda: dict.fromkeys(_KINDS, 0))


@dataclass(frozen=True, slots=True)
class _Saved:
    version: int
    sample_rate: int
    channels: int
    max_gap: float
    max_jump: float
    progress: _Progress
    pace: Pace


class Regular:
    """Bring readings of any regularity onto the grid ``t0 + k / sample_rate``, t0 the first timestamp.

    A point of the grid is given as soon as a reading at or after it has come: the line between the two readings around
    it, never anything beyond them. The same rows come for any cutting of the readings. A point is taken to lie at a
    reading where the float64 of the timestamps cannot tell them apart. Rates much higher than the model's are thinned
    without a filter.

    Args:
        sample_rate: Of the model, in Hz.
        channels: Of the model.
        max_gap: Seconds; where readings lie further apart, the points between them are `Lost`. At least 2 intervals of
            the model's rate; None for 5.
        max_jump: Seconds; where a timestamp lies further before or after the last one, the clock was set. So it was
            where 8 readings in a row are late by more than a second, but in order among themselves: the first 7 are
            left out.

    Raises:
        InputError: If an argument does not fit.

    Examples:
        >>> regular = Regular(sample_rate=10, channels=1)
        >>> regular.push([0.0, 0.15, 0.3], [[0.0], [1.5], [3.0]])[0].ravel().tolist()
        [0.0, 1.0, 2.0, 3.0]
        >>> regular.push([1.0], [[4.0]])
        [Lost(samples=6), array([[4.]], dtype=float32)]
        >>> regular.push([1.0], [[5.0]])[0].kind, regular.oddities["duplicate"]
        ('duplicate', 1)
    """

    def __init__(self, sample_rate: int, channels: int, max_gap: float | None = None, max_jump: float = 3600.0) -> None:
        for name, value in (("sample_rate", sample_rate), ("channels", channels)):
            if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= _MAX:
                raise InputError(f"{name} must be a whole number from 1 to {_MAX}, got {value!r}")
        gap = 5 / sample_rate if max_gap is None else max_gap
        if not 2 / sample_rate <= gap <= max_jump <= _YEAR:
            raise InputError(
                f"expected max_gap of at least {2 / sample_rate:g} s (2 intervals at {sample_rate} Hz), max_jump of at "
                f"least that and at most a year; got {gap!r} and {max_jump!r}"
            )
        self._rate, self._channels, self._max_gap, self._max_jump = sample_rate, channels, gap, max_jump
        self._at, self._pace = _Progress(), Pace()
        self._last = np.zeros(channels)  # values of the last reading

    @property
    def oddities(self) -> dict[str, int]:
        """Return how many of each kind of `Oddity` there were."""
        return dict(self._at.oddities)

    @property
    def lost(self) -> int:
        """Return how many points of the grid were lost."""
        return self._at.lost

    def push(self, times: ArrayLike, values: ArrayLike) -> list[Item]:
        """Take the next readings; return what can be said now, in the order of time.

        Args:
            times: `[n]`, n from 0, in seconds of any clock.
            values: `[n, channels]`.

        Raises:
            InputError: If they do not fit (nothing has changed then), `push_regular` was called before, or `flush`.
        """
        rows, moments = self._rows(values), np.asarray(times)
        if moments.shape != (len(rows),) or moments.dtype.kind not in "fiu":
            raise InputError(
                f"expected {len(rows)} timestamps, one a row, as numbers of seconds; "
                f"got {moments.dtype} {list(moments.shape)}"
            )
        self._enter("push")
        moments = moments.astype(np.float64)
        items: list[Item] = []
        begin = 0
        for index, oddity in self._odd(moments, rows):
            items += [*self._follow(moments[begin:index], rows[begin:index]), self._count(oddity)]
            begin = index + 1
            if oddity.kind == "jump":
                self._at.started, begin = False, index
                items.append(Lost(0))
        return _joined(items + self._follow(moments[begin:], rows[begin:]))

    def push_regular(self, values: ArrayLike) -> list[Item]:
        """Pass on rows that have no timestamps; those with NaN or infinite values are lost, told when they end.

        Args:
            values: `[n, channels]`, n from 0.

        Raises:
            InputError: If they do not fit, `push` was called before, or `flush`.
        """
        rows, at = _float32(self._rows(values)), self._at
        self._enter("push_regular")
        items: list[Item] = []
        for part in finite_runs(rows):
            if isinstance(part, int):
                times = [(at.given + index) / self._rate for index in range(part)]
                items += [self._count(Oddity("invalid", time, "the row is not finite; left out")) for time in times]
                at.missing += part
                at.given += part
            else:
                items += [*self._owed(), part]
                at.given += len(part)
        return items

    def flush(self) -> list[Item]:
        """End the readings; return what was not told yet."""
        self._at.flushed = True
        return self._owed()

    def to_bytes(self) -> bytes:
        """Return everything as bytes, for `from_bytes`."""
        facts = (self._rate, self._channels, float(self._max_gap), float(self._max_jump), self._at, self._pace)
        return pack("regular", asdict(_Saved(_VERSION, *facts)), {"last": self._last})

    @classmethod
    def from_bytes(cls, data: bytes) -> "Regular":
        """Go on exactly where `to_bytes` was called.

        Raises:
            InputError: If the bytes are damaged, or of another kind or version.
        """
        meta, arrays = unpack(data, "regular")
        if meta.get("version") != _VERSION:
            raise InputError(f"expected a saved grid of version {_VERSION}, got {meta.get('version')!r}")
        try:
            saved = read(_Saved, meta, "regular")
            regular = cls(saved.sample_rate, saved.channels, saved.max_gap, saved.max_jump)
            _check(saved, arrays["last"])
        except (KeyError, ValueError, ModelError) as error:
            raise InputError(f"a saved grid is damaged: {error}") from error
        regular._at, regular._pace, regular._last = saved.progress, saved.pace, arrays["last"]
        return regular

    def _rows(self, values: ArrayLike) -> NDArray[np.float64]:
        rows = np.asarray(values)
        if rows.ndim != 2 or rows.shape[1] != self._channels or rows.dtype.kind not in "fiu":
            raise InputError(
                f"expected values [n, {self._channels}], one row a reading, one column a channel; "
                f"got {rows.dtype} {list(rows.shape)}"
            )
        return rows.astype(np.float64)

    def _enter(self, way: Literal["push", "push_regular"]) -> None:
        if self._at.flushed:
            raise InputError("the readings were flushed and have ended; make a new Regular for more")
        if self._at.way not in ("", way):
            raise InputError(f"{self._at.way} was called before; readings have timestamps either all or none")
        self._at.way = way

    def _count(self, oddity: Oddity) -> Oddity:
        self._at.oddities[oddity.kind] += 1
        return oddity

    def _owed(self) -> list[Item]:
        missing, self._at.missing = self._at.missing, 0
        self._at.lost += missing
        return [Lost(missing)] if missing else []

    def _odd(self, times: NDArray[np.float64], rows: NDArray[np.float64]) -> list[tuple[int, Oddity]]:
        """Find the readings that do not simply follow the one before."""
        good = np.isfinite(times) & np.isfinite(_float32(rows)).all(axis=1)
        last = self._at.time if self._at.started else None
        found: list[tuple[int, Oddity]] = []
        if good.all():
            with np.errstate(over="ignore"):
                steps = np.diff(times if last is None else np.concatenate([[last], times]))
            if ((steps > 0) & (steps <= self._max_jump)).all():
                self._at.late = 0 if len(times) else self._at.late
                return found
        for index, (time, fine) in enumerate(zip(times.tolist(), good.tolist(), strict=True)):
            step = 1.0 if last is None else time - last
            if not fine:
                known = time if math.isfinite(time) else last or 0.0
                found.append((index, Oddity("invalid", known, "a value or the timestamp is not finite; left out")))
            elif last is not None and (abs(step) > self._max_jump or self._set_back(time, step)):
                hint = self._hint(abs(step))
                found.append(
                    (index, Oddity("jump", time, f"the clock jumped by {step:+.6g} s; the grid begins anew{hint}"))
                )
                last = time
            elif step == 0:
                found.append((index, Oddity("duplicate", time, "the timestamp came before; the first is kept")))
            elif step < 0:
                found.append((index, Oddity("late", time, f"{-step:.6g} s before the last timestamp; left out")))
            else:
                last = time
        return found

    def _set_back(self, time: float, step: float) -> bool:
        """Count readings that are late, but in order; tell whether they are so many that the clock was set back."""
        at = self._at
        if step < -FARTHEST_LATE:
            at.late, at.late_time = at.late + 1 if at.late and time > at.late_time else 1, time
        else:
            at.late = 0
        if at.late < _MOST_LATE:
            return False
        at.late = 0
        return True

    def _hint(self, interval: float) -> str:
        """Name the unit that would make an interval between readings one of the model's rate, if there is one."""
        for unit, scale in _UNITS.items():
            if 1 / FACTOR < interval / scale * self._rate < FACTOR:
                return f"; if the timestamps are {unit}, name their column time_{unit}"
        return ""

    def _follow(self, times: NDArray[np.float64], rows: NDArray[np.float64]) -> list[Item]:
        """Take readings that follow each other; watch their rate."""
        at, items = self._at, list[Item]()
        if len(times) and not at.started:
            at.started, at.origin, at.time, at.given = True, float(times[0]), float(times[0]), 1
            self._pace.begin(at.time)
            self._last = rows[0]
            items, times, rows = [_float32(rows[:1])], times[1:], rows[1:]
        if not len(times):
            return items
        times, rows = np.concatenate([[at.time], times]), np.concatenate([self._last[None], rows])
        told = self._pace.hear(times, self._rate)
        if told is None:
            return items + self._grid(times, rows)
        index, rate = told
        detail = f"readings come at {rate:.4g} Hz, the model takes {self._rate} Hz{self._hint(1 / rate)}"
        oddity = self._count(Oddity("rate", float(times[index]), detail))
        items += [*self._grid(times[: index + 1], rows[: index + 1]), oddity]
        return items + self._grid(times[index:], rows[index:])

    def _grid(self, times: NDArray[np.float64], rows: NDArray[np.float64]) -> list[Item]:
        """Give the points after the first of some readings, up to the last."""
        at = self._at
        slack = np.minimum(4 * np.spacing(np.abs(times)), 0.25 / self._rate)
        place = (times - at.origin) * self._rate
        point = np.floor(place + slack * self._rate).astype(np.int64)  # the last that each reading gives
        point[0] = at.given - 1
        point = np.maximum.accumulate(point)
        items: list[Item] = []
        begin, last = 0, len(times) - 1
        for hole in np.flatnonzero(np.diff(times) > self._max_gap + slack[1:]).tolist():
            after = hole + 1
            hits = int(place[after] - point[after] <= slack[after] * self._rate)
            lost = int(point[after] - point[hole]) - hits
            at.lost += lost
            items += [_between(place, rows, point, begin, hole), Lost(lost), _float32(rows[after : after + hits])]
            begin = after
        at.given, at.time, self._last = int(point[last]) + 1, float(times[last]), rows[last]
        return [*items, _between(place, rows, point, begin, last)]


def _between(
    place: NDArray[np.float64], rows: NDArray[np.float64], point: NDArray[np.int64], begin: int, end: int
) -> NDArray[np.float32]:
    """Interpolate the points after reading ``begin``, up to those that reading ``end`` gives."""
    left = np.repeat(np.arange(begin, end), np.diff(point[begin : end + 1]))
    span = np.maximum(place[left + 1] - place[left], np.finfo(np.float64).tiny)
    share = np.clip((np.arange(point[begin], point[end]) + 1 - place[left]) / span, 0, 1)[:, None]
    return _float32(rows[left] + share * (rows[left + 1] - rows[left]))


def _float32(rows: NDArray[np.float64]) -> NDArray[np.float32]:
    with np.errstate(over="ignore"):
        return rows.astype(np.float32)


def _joined(items: list[Item]) -> list[Item]:
    """Make one of rows that follow each other."""
    joined: list[Item] = []
    run: list[NDArray[np.float32]] = []
    for item in [*items, None]:
        if isinstance(item, np.ndarray):
            run += [item] if len(item) else []
            continue
        if run:
            joined.append(run[0] if len(run) == 1 else np.concatenate(run))
            run = []
        if item is not None:
            joined.append(item)
    return joined


def _check(saved: _Saved, last: NDArray[np.float64]) -> None:
    """Refuse what cannot have been saved."""
    at, pace = saved.progress, saved.pace
    numbers = (at.given, at.missing, at.lost, at.late, pace.count, pace.longer, pace.shorter, *at.oddities.values())
    counters = all(type(number) is int and 0 <= number < _LARGEST for number in numbers)
    if (
        not counters
        or set(at.oddities) != set(_KINDS)
        or max(pace.longer, pace.shorter) > pace.count
        or at.late >= _MOST_LATE
    ):
        raise ValueError(f"{at} and {pace} contradict each other")
    if last.dtype != np.float64 or last.shape != (saved.channels,) or not np.isfinite(_float32(last)).all():
        raise ValueError(f"{last.dtype} {list(last.shape)} is no last reading")
    place = (at.time - at.origin) * saved.sample_rate
    if at.started and not (
        0 <= pace.longest <= at.time - at.origin
        and at.origin <= pace.start <= at.time
        and at.given - 1.5 < place < at.given + 0.5
    ):
        raise ValueError(f"{at} and {pace} contradict each other")
