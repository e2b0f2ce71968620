"""Labels that hold or do not hold, each by itself, as a stream: two thresholds and shortest lengths."""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from streamcell.runtime.decode.decoder import LARGEST, Decoder
from streamcell.runtime.decode.settings import HysteresisSettings, check_number
from streamcell.runtime.errors import InputError
from streamcell.runtime.events import Segment
from streamcell.runtime.frames import check_finite, log_softmax
from streamcell.runtime.specs import OutputKind

__all__ = ["Hysteresis"]

_DROP = 0.15  # from the threshold to the release
_PADDING = 0.03  # seconds
_ONE = (1, 1)  # shape of a frame of one label

_Row: TypeAlias = tuple[float, list[float]]  # the largest, and all columns that are not skipped


@dataclass(slots=True)
class _Track:
    """A label that holds, or may still hold again soon enough to be the same segment."""

    column: int  # of those that are not skipped
    begin: int  # frame
    id: int = -1  # until it is long enough, and so are those that began before it
    end: int = -1  # frame after the last, where the label seems to have ended
    total: float = 0.0  # of the probabilities before `end`
    tail: float = 0.0  # and from there on


@dataclass(frozen=True, slots=True)
class _Saved:
    """What is saved."""

    next: int | None
    origin: float
    base: int
    count: int
    tracks: tuple[_Track, ...]


class Hysteresis(Decoder):
    """Turn frames into segments of labels that hold or do not hold each by itself, as soon as they can be known.

    A label begins where its probability reaches ``threshold``. It ends where the probability falls below ``release``
    and then stays below ``threshold`` for ``min_gap``. What lasts less than ``min_duration`` is dropped; to the rest
    ``padding`` is added at both ends, but not beyond where the frames begin, have a hole, or end. The lengths are those
    of Silero's ``get_speech_timestamps``; they are counted in whole frames, rounded up: at least one, for ``min_gap``
    at least two where there is padding. A segment's confidence is its mean probability, without the padding.

    A segment is told as a partial one with every push once it is long enough, and as a final one when ``min_gap`` is
    over, so that those of different labels become final in the order of their ends; their ids count up in the order of
    their beginnings. Revisions count frames since the segment began, so that finals are the same for any cutting of the
    frames.

    Args:
        labels: Name of each column.
        seconds_per_step: Length of a frame.
        kind: What the frames are, as in `OutputSpec`; a softmax makes probabilities of ``"logits"``.
        skip: Columns that never make segments: a blank, silence.
        threshold: Probability, above 0 to 1.
        release: Probability, above 0 to ``threshold``; None: 0.15 below it, but not below a tenth of it.
        min_duration: Seconds.
        min_gap: Seconds.
        padding: Seconds, at most half of ``min_gap``, so that segments of a label never overlap; None: 0.03, or that
            half where it is less.

    Attributes:
        settings: The arguments; equal ones decode alike.

    Raises:
        InputError: If an argument makes no sense.

    Examples:
        >>> from streamcell.runtime import Frames
        >>> decoder = Hysteresis(["speech"], 0.5, kind="probabilities", min_duration=1.0, min_gap=1.0, padding=0.25)
        >>> probs = np.float32([[0.0], [1.0], [0.5], [0.4], [0.1], [0.4], [0.1], [0.9], [0.0]])
        >>> found = decoder.push(Frames(probs, first=0, kind="probabilities")) + decoder.flush(4.5)
        >>> [(s.label, s.start, s.end, round(s.confidence, 2)) for s in found]  # 0.9 alone is too short
        [('speech', 0.25, 2.25, 0.63)]
    """

    settings: HysteresisSettings
    _kind = "hysteresis"
    _saved = _Saved
    _base: int  # the first frame without a hole from there to here
    _tracks: list[_Track]  # what goes on, in the order of beginnings

    def __init__(
        self,
        labels: Sequence[str],
        seconds_per_step: float,
        *,
        kind: OutputKind,
        skip: Collection[int] = (),
        threshold: float = 0.5,
        release: float | None = None,
        min_duration: float = 0.25,
        min_gap: float = 0.1,
        padding: float | None = None,
    ) -> None:
        check_number("threshold", threshold, above=0, most=1)
        check_number("min_gap", min_gap)
        if release is None:
            release = max(threshold - _DROP, threshold / 10)
        if padding is None:
            padding = min(_PADDING, min_gap / 2)
        skipped = tuple(sorted(set(skip), key=str))
        self.settings = HysteresisSettings(
            tuple(labels), seconds_per_step, kind, skipped, threshold, release, min_duration, min_gap, padding
        )
        self._columns = [column for column in range(len(labels)) if column not in skip]
        self._names = [labels[column] for column in self._columns]
        self._width, self._all = len(labels), len(self._columns)
        self._alone = kind == "probabilities" and len(labels) == 1
        self._threshold, self._release, self._seconds, self._padding = threshold, release, seconds_per_step, padding
        self._min_frames, self._gap_frames = self.settings.min_frames, self.settings.gap_frames
        self.reset()

    @property
    def wait(self) -> float:
        """Return how long a label is below the release before its segment ends."""
        return self._gap_frames * self._seconds

    def read(self, values: NDArray[np.float32]) -> list[_Row]:
        """Return for each row the probabilities of the labels that are not skipped, their largest before them.

        Args:
            values: `[N, C]`, of the kind that was announced.

        Raises:
            InputError: If the shape does not fit.
            ModelError: If there are values that are not finite.
        """
        if self._alone and values.shape == _ONE:  # as of a voice detector: nothing to choose, little to check
            p: float = values.item()
            if p - p == 0:  # finite
                return [(p, [p])]
        if values.ndim != 2 or values.shape[1] != self._width:
            raise InputError(f"expected frames [T, {self._width}], got {list(values.shape)}")
        check_finite(values)
        probs = np.exp(log_softmax(values)) if self.settings.kind == "logits" else values
        rows: list[list[float]] = (probs[:, self._columns] if self.settings.skip else probs).tolist()
        return [(max(row), row) for row in rows]

    def take(self, first: int, origin: float, items: list[_Row]) -> list[Segment]:
        """Hear frames ``first``, ... as `read` gave them; return what became final.

        Raises:
            InputError: If the frames do not come in order.
        """
        found = [] if self._next == first and self._origin == origin else self._join(first, origin)
        tracks, threshold = self._tracks, self._threshold
        for frame, (peak, row) in enumerate(items, first):
            if tracks:
                found += self._go_on(frame, row)
            if peak >= threshold and len(tracks) < self._all:
                self._start_tracks(frame, row)
            if tracks and tracks[-1].id < 0:
                self._count_in(frame + 1)
        self._next = first + len(items)
        return found

    def partial(self) -> list[Segment]:
        """Return the segments that go on, as far as they are known."""
        end = self._next
        if end is None or not self._tracks:
            return []
        now = self._origin + end * self._seconds
        return [self._segment(track, end, end - 1, now, False) for track in self._tracks if track.id >= 0]

    def _earliest(self, end: int) -> float:
        return self._start(self._tracks[0].begin if self._tracks else end)

    def _clear(self, first: int) -> None:
        self._base = first
        self._tracks = []

    def _go_on(self, frame: int, row: list[float]) -> list[Segment]:
        """Hear one frame of the labels that hold; return those that have ended."""
        ended = []
        for track in self._tracks:
            p = row[track.column]
            if p >= self._threshold:
                track.total += track.tail + p
                track.end, track.tail = -1, 0.0
            elif track.end < 0 and p >= self._release:
                track.total += p
            else:
                track.tail += p
                if track.end < 0:
                    track.end = frame
                if frame + 1 - track.end >= self._gap_frames:
                    ended.append(track)
        if not ended:
            return []
        for track in ended:
            self._tracks.remove(track)
        return [self._segment(track, track.end, frame, math.inf, True) for track in ended if track.id >= 0]

    def _start_tracks(self, frame: int, row: list[float]) -> None:
        """Begin where a label reaches the threshold that did not hold."""
        held = {track.column for track in self._tracks}
        for column, p in enumerate(row):
            if p >= self._threshold and column not in held:
                self._tracks.append(_Track(column, frame, total=p))

    def _count_in(self, end: int) -> None:
        """Number what is long enough at frame ``end``, in the order of beginnings.

        One that waits for an earlier one's length is never final before it has its number: the earlier one's end, if it
        is too short, comes before the end of any that is long enough, so its gap is over sooner.
        """
        for track in self._tracks:
            if track.id < 0:
                if not self._is_long(track, end):
                    return
                track.id = self._count
                self._count += 1

    def _is_long(self, track: _Track, end: int) -> bool:
        return (end if track.end < 0 else track.end) - track.begin >= self._min_frames

    def _close(self, end: int, end_time: float) -> list[Segment]:
        self._tracks = [track for track in self._tracks if self._is_long(track, end)]
        self._count_in(end)
        return [self._segment(track, end, end, end_time, True) for track in self._tracks]

    def _segment(self, track: _Track, next_frame: int, seen: int, end_time: float, final: bool) -> Segment:
        """Make a segment of what frames before ``next_frame`` told, that ends at ``end_time`` at the latest."""
        origin, seconds, begin = self._origin, self._seconds, track.begin  # with every push: calls would cost
        end = next_frame if track.end < 0 else track.end
        start, least = origin + begin * seconds - self._padding, origin + self._base * seconds
        stop, confidence = origin + end * seconds + self._padding, track.total / (end - begin)
        start = start if start > least else least  # noqa: FURB136
        return Segment(
            self._names[track.column],
            start if start < end_time else end_time,  # noqa: FURB136
            stop if stop < end_time else end_time,  # noqa: FURB136
            0.0 if confidence < 0.0 else 1.0 if confidence > 1.0 else confidence,  # noqa: FURB136
            final,
            track.id,
            seen - begin,
        )

    def _start(self, frame: int) -> float:
        return max(self._time(self._base), self._time(frame) - self._padding)

    def _check(self, saved: _Saved, _: dict[str, NDArray[Any]]) -> None:
        end = saved.next or 0
        fits = 0 <= saved.base <= end < LARGEST and 0 <= saved.count < LARGEST and math.isfinite(saved.origin)
        places = [(track.begin, track.column) for track in saved.tracks]
        ids = [track.id for track in saved.tracks]
        numbered = [i for i in ids if i >= 0]
        fits &= places == sorted(places) and len({column for _, column in places}) == len(places)
        fits &= ids[: len(numbered)] == sorted(set(numbered)) and all(i < saved.count for i in ids)
        fits &= len(ids) == len(numbered) or not self._is_long(saved.tracks[len(numbered)], end)
        for track in saved.tracks:
            fits &= 0 <= track.column < len(self._columns) and saved.base <= track.begin < end
            fits &= track.end < 0 or (track.begin < track.end < end < track.end + self._gap_frames)
            fits &= track.id < 0 or self._is_long(track, end)
            fits &= math.isfinite(track.total) and math.isfinite(track.tail)
        if not fits:
            raise ValueError(f"{saved} contradicts itself")
