"""Labels that exclude each other, as a stream: a running average, a margin, and a shortest lead."""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamcell.runtime.decode.decoder import LARGEST, Decoder
from streamcell.runtime.decode.settings import SmoothedSettings, check_number
from streamcell.runtime.errors import InputError
from streamcell.runtime.events import Segment
from streamcell.runtime.frames import check_finite
from streamcell.runtime.specs import OutputKind

__all__ = ["Smoothed"]

_RELEASE = 0.8  # of the threshold


@dataclass(slots=True)
class _Held:
    """The label that holds."""

    column: int
    begin: int  # frame
    total: float  # of its probabilities since then
    low: int = -1  # frame since which its average is below the release, if it is
    before: float = 0.0  # `total` without the frames from there on


@dataclass(slots=True)
class _Rival:
    """A label that leads, but not for long enough to hold."""

    column: int
    begin: int  # frame
    total: float  # of its probabilities since then
    before: float  # the held label's `total` without the frames from there on


@dataclass(frozen=True, slots=True)
class _Saved:
    """What is saved."""

    next: int | None
    origin: float
    count: int
    average: tuple[float, ...]
    held: _Held | None
    rival: _Rival | None


class Smoothed(Decoder):
    """Turn frames into segments of labels that exclude each other, as soon as they can be known.

    The probabilities are averaged: ``average += (1 - exp(-seconds_per_step / smoothing)) * (p - average)``; the first
    frame, also behind a hole, is its own average. A label *leads* where its average is the largest (of equal ones the
    first), reaches ``threshold`` and, if another holds, exceeds that one's by more than ``margin``. When it has led for
    ``min_duration`` without a break, it holds from where it began to lead, and what held before ends there. Without a
    follower, what holds ends where its average fell below ``release``, once it has stayed there for ``min_duration``.
    So no segment is shorter than that, counted in whole frames, rounded up, at least one, unless the frames end; where
    they end or have a hole, so does what holds. A segment's confidence is its mean probability, without the averaging.

    What holds is told as a partial segment with every push and becomes final when it has ended. Revisions count frames
    since the segment began, so that finals are the same for any cutting of the frames.

    Args:
        labels: Name of each column.
        seconds_per_step: Length of a frame.
        kind: What the frames are, as in `OutputSpec`; a softmax makes probabilities of ``"logits"``.
        smoothing: Seconds; 0: none.
        threshold: Probability, from 0 to 1.
        margin: Difference of probabilities, from 0 to 1.
        min_duration: Seconds.
        release: Probability, from 0 to ``threshold``; None: 0.8 times that.
        skip: Columns that lead and hold like others, but make no segments: a blank, silence, "no activity".

    Raises:
        InputError: If an argument makes no sense.

    Examples:
        >>> from streamcell.runtime import Frames
        >>> decoder = Smoothed(["rest", "walk"], 0.5, kind="probabilities", smoothing=0, min_duration=1.0)
        >>> walk = np.float32([0.1, 0.1, 0.9, 0.1, 0.8, 0.9])
        >>> frames = Frames(np.stack([1 - walk, walk], axis=1), first=0, kind="probabilities")
        >>> [(s.label, s.start, s.end, round(s.confidence, 3)) for s in decoder.push(frames)]
        [('rest', 0.0, 2.0, 0.7), ('walk', 2.0, 3.0, 0.85)]
    """

    settings: SmoothedSettings
    _kind = "smoothed"
    _saved = _Saved
    _average: list[float]  # of each column, none before the first frame
    _held: _Held | None
    _rival: _Rival | None  # what leads if something else or nothing holds

    def __init__(
        self,
        labels: Sequence[str],
        seconds_per_step: float,
        *,
        kind: OutputKind,
        smoothing: float = 0.25,
        threshold: float = 0.0,
        margin: float = 0.0,
        min_duration: float = 0.25,
        release: float | None = None,
        skip: Collection[int] = (),
    ) -> None:
        check_number("threshold", threshold, most=1)
        if release is None:
            release = threshold * _RELEASE
        skipped = tuple(sorted(set(skip), key=str))
        self.settings = SmoothedSettings(
            tuple(labels), seconds_per_step, kind, skipped, threshold, release, min_duration, margin, smoothing
        )
        self._labels, self._skip, self._width, self._seconds = tuple(labels), skipped, len(labels), seconds_per_step
        self._threshold, self._release, self._margin = threshold, release, margin
        self._gain, self._min_frames = self.settings.gain, self.settings.min_frames
        self.reset()

    def read(self, values: NDArray[np.float32]) -> list[list[float]]:
        """Return the probabilities of each row, computed row by row: the same for any cutting."""
        if values.ndim != 2 or values.shape[1] != self._width:
            raise InputError(f"expected frames [T, {self._width}], got {list(values.shape)}")
        rows: list[list[float]] = values.tolist()
        if not math.isfinite(sum(map(sum, rows))):
            check_finite(values)
        return [_softmax(row) for row in rows] if self.settings.kind == "logits" else rows

    def take(self, first: int, origin: float, items: list[list[float]]) -> list[Segment]:
        """Hear frames ``first``, ... as `read` gave them; return what became final."""
        found = [] if self._next == first and self._origin == origin else self._join(first, origin)
        gain, average, held = self._gain, self._average, self._held
        for frame, row in enumerate(items, first):
            average = [a + gain * (p - a) for a, p in zip(average, row, strict=False)] if average and gain < 1 else row
            peak = max(average)
            if held is not None and peak == average[held.column] and peak >= self._release:
                held.total += row[held.column]
                held.low, self._rival = -1, None
            else:
                found += self._compete(frame, row, average, peak)
                held = self._held
        self._average, self._next = average, first + len(items)
        return found

    def partial(self) -> list[Segment]:
        """Return the segment that goes on, if any."""
        held, end = self._held, self._next
        if held is None or end is None:
            return []
        return self._told(held, end, held.total, end - 1, final=False)

    def _compete(self, frame: int, row: list[float], average: list[float], peak: float) -> list[Segment]:
        """Hear a frame in which nothing holds, or what holds is not the largest or is below the release."""
        found = [] if self._held is None else self._sink(self._held, frame, average)
        held, rival, best = self._held, self._rival, average.index(peak)
        if not self._leads(peak, average, held):
            rival = None
        elif rival is None or rival.column != best:
            rival = _Rival(best, frame, 0.0, held.total if held else 0.0)
        self._rival = rival
        if held is not None:
            held.total += row[held.column]
        if rival is not None:
            rival.total += row[best]
            if frame + 1 - rival.begin >= self._min_frames:
                found += self._follow(rival, frame)
        return found

    def _leads(self, peak: float, average: Sequence[float], held: _Held | None) -> bool:
        """Tell whether the largest average is that of a label that leads while ``held`` holds."""
        return peak >= self._threshold and (held is None or peak > average[held.column] + self._margin)

    def _sink(self, held: _Held, frame: int, average: list[float]) -> list[Segment]:
        """Look whether what holds has been below the release for too long; return it if so."""
        if average[held.column] >= self._release:
            held.low = -1
            return []
        if held.low < 0:
            held.low, held.before = frame, held.total
        if frame + 1 - held.low < self._min_frames:
            return []
        self._held = None
        return self._told(held, held.low, held.before, frame)

    def _follow(self, rival: _Rival, frame: int) -> list[Segment]:
        """Let a label hold from where it began to lead; return what it ends."""
        held, self._rival = self._held, None
        found = [] if held is None else self._told(held, rival.begin, rival.before, frame)
        self._held = _Held(rival.column, rival.begin, rival.total)
        self._count += rival.column not in self._skip
        return found

    def _told(
        self, held: _Held, end: int, total: float, seen: int, end_time: float = math.inf, *, final: bool = True
    ) -> list[Segment]:
        """Make a segment of what held before frame ``end``, now that frame ``seen`` is known; none of what is skipped.

        Args:
            held: What holds; it was the last to be counted.
            end: Frame.
            total: Of its probabilities before ``end``.
            seen: Frame.
            end_time: Seconds, where it ends at the latest.
            final: As in `Segment`.
        """
        column, begin = held.column, held.begin
        if column in self._skip:
            return []
        start, stop = min(self._time(begin), end_time), min(self._time(end), end_time)
        confidence = min(1.0, max(0.0, total / (end - begin)))
        return [Segment(self._labels[column], start, stop, confidence, final, self._count - 1, seen - begin)]

    def _earliest(self, end: int) -> float:
        held, rival = self._held, self._rival
        if held is not None and held.column not in self._skip:
            return self._time(held.begin)
        return self._time(end if rival is None else rival.begin)

    def _clear(self, _: int) -> None:
        self._average, self._held, self._rival = [], None, None

    def _close(self, end: int, end_time: float) -> list[Segment]:
        held = self._held
        return [] if held is None else self._told(held, end, held.total, end, end_time)

    def _check(self, saved: _Saved, _: dict[str, NDArray[Any]]) -> None:
        end, average, held, rival = saved.next or 0, saved.average, saved.held, saved.rival
        fits = 0 <= end < LARGEST and 0 <= saved.count < LARGEST and all(map(math.isfinite, [saved.origin, *average]))
        fits &= end > 0 or not average
        if len(average) == self._width:
            fits &= (held is None or self._fits_held(held, end, saved)) and self._fits_rival(rival, end, saved)
        else:
            fits &= not average and held is None and rival is None
        if not fits:
            raise ValueError(f"{saved} contradicts itself")

    def _fits_held(self, held: _Held, end: int, saved: _Saved) -> bool:
        """Tell whether this can hold behind frame ``end`` - 1."""
        if not (0 <= held.column < self._width and math.isfinite(held.total) and math.isfinite(held.before)):
            return False
        low, least = saved.average[held.column] < self._release, held.begin + self._min_frames
        counted = held.column in self._skip or saved.count > 0
        since = least <= held.low < end < held.low + self._min_frames if low else held.low == -1
        return counted and since and 0 <= held.begin <= end - self._min_frames

    def _fits_rival(self, rival: _Rival | None, end: int, saved: _Saved) -> bool:
        """Tell whether this, or nothing, can lead behind frame ``end`` - 1 while something else or nothing holds."""
        peak = max(saved.average)
        leads = self._leads(peak, saved.average, saved.held)
        if rival is None or not leads:
            return rival is None and not leads
        finite = math.isfinite(rival.total) and math.isfinite(rival.before)
        least = saved.held.begin + self._min_frames if saved.held else 0
        since = least <= rival.begin < end < rival.begin + self._min_frames
        return finite and since and rival.column == saved.average.index(peak)


def _softmax(row: list[float]) -> list[float]:
    peak, exp = max(row), math.exp
    powers = [exp(x - peak) for x in row]
    total = sum(powers)
    return [power / total for power in powers]
