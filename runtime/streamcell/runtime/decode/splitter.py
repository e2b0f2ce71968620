"""Segments that last no longer than they may."""

import math
from collections.abc import Sequence

from streamcell.runtime.decode.hysteresis import Hysteresis
from streamcell.runtime.decode.settings import check_number
from streamcell.runtime.errors import InputError
from streamcell.runtime.events import Segment

__all__ = ["Splitter"]


class Splitter:
    """Decode one label with a `Hysteresis`, but cut what lasts longer than ``max_duration``, padding included.

    It is cut before the frame of the last third of that length in which the label is least probable, and goes on there
    as the next segment, without padding between them; the rest may be shorter than the shortest segment else. All
    segments are final, and come in the order of their beginnings.

    Args:
        hysteresis: Of one label, fresh; it belongs to the splitter from now on.
        max_duration: Seconds.

    Raises:
        InputError: If there are more labels, or the length is less than three frames and padding, or than a segment
            lasts at least.

    Examples:
        >>> hysteresis = Hysteresis(["speech"], 1.0, kind="probabilities", min_duration=1.0, min_gap=1.0, padding=0.0)
        >>> splitter = Splitter(hysteresis, max_duration=6.0)
        >>> found = splitter.take(0, 0.0, [0.0, 0.9, 0.9, 0.9, 0.9, 0.7, 0.8, 0.9, 0.0]) + splitter.flush(9.0)
        >>> [(s.start, s.end, round(s.confidence, 2)) for s in found]
        [(1.0, 5.0, 0.9), (5.0, 8.0, 0.8)]
    """

    _from: int | None  # frame that what goes on was cut at

    def __init__(self, hysteresis: Hysteresis, max_duration: float) -> None:
        settings = hysteresis.settings
        if len(settings.labels) != 1:
            raise InputError(f"expected a hysteresis of one label, got {', '.join(settings.labels)}")
        step, padding = settings.seconds_per_step, settings.padding
        least = max(3, settings.min_frames) * step + 2 * padding
        check_number("max_duration", max_duration, above=0)
        if max_duration < least * (1 - 1e-9):
            raise InputError(
                f"max_duration must be at least {least:g} s, which the shortest segment and its padding last; "
                f"got {max_duration!r}"
            )
        self._hysteresis, self._settings = hysteresis, settings
        self._most = int((max_duration - 2 * padding) / step * (1 + 1e-9))  # frames
        self._count = 0
        self._begin(0, 0.0)

    @property
    def settled(self) -> float:
        """Return the time (seconds) before which no segment will begin any more; -inf before the first frame."""
        settled = self._hysteresis.settled
        return settled if self._from is None else max(settled, self._time(self._from))

    def take(self, first: int, origin: float, probs: Sequence[float]) -> list[Segment]:
        """Hear frames ``first``, ... counted from ``origin`` seconds; return what became final.

        Raises:
            InputError: If the frames do not come in order.
        """
        found = []
        for frame, p in enumerate(probs, first):
            found += [self._rest(segment) for segment in self._hysteresis.take(frame, origin, [(p, [p])])]
            if frame != self._next or origin != self._origin:
                self._begin(frame, origin)
            self._hear(frame, p)
            if not self._falls and len(self._probs) > self._most:
                found += self._cut(frame)
        return found

    def flush(self, end_time: float) -> list[Segment]:
        """End the frames at ``end_time`` (seconds); return what was not final. What follows may begin anywhere."""
        return [self._rest(segment) for segment in self._hysteresis.flush(end_time)]

    def _begin(self, frame: int, origin: float) -> None:
        self._next, self._origin = frame, origin  # frame expected next, time of frame 0
        self._probs: list[float] = []  # of the last frames, as many as a cut may concern
        self._falls = True  # no label holds, or it may have ended at frame _end
        self._end = frame
        self._from = None

    def _hear(self, frame: int, p: float) -> None:
        """Remember a frame; follow the hysteresis in whether the label still holds."""
        self._falls = p < self._settings.release or (self._falls and p < self._settings.threshold)
        self._next = frame + 1
        if not self._falls:
            self._end = self._next
        self._probs.append(p)
        enough = self._most + self._settings.gap_frames
        if len(self._probs) > 2 * enough:
            del self._probs[:-enough]

    def _cut(self, frame: int) -> list[Segment]:
        """Cut what has grown too long."""
        found = []
        for partial in self._hysteresis.partial():
            begin, start = (frame - partial.revision, partial.start) if self._from is None else self._place(self._from)
            while self._next - begin > self._most:
                last_third = range(begin + self._most - self._most // 3, begin + self._most)
                self._from = min(last_third, key=lambda t: self._probs[t - self._next])
                found.append(self._made(start, self._time(self._from), self._mean(begin, self._from), frame - begin))
                begin, start = self._place(self._from)
        return found

    def _rest(self, segment: Segment) -> Segment:
        """Take a segment that has ended; return what is left of it."""
        if self._from is None:
            return self._made(segment.start, segment.end, segment.confidence, segment.revision)
        begin, start = self._place(self._from)
        self._from = None
        return self._made(start, segment.end, self._mean(begin, self._end), self._next - begin)

    def _made(self, start: float, end: float, confidence: float, revision: int) -> Segment:
        made = Segment(self._settings.labels[0], start, end, confidence, True, self._count, revision)
        self._count += 1
        return made

    def _mean(self, first: int, stop: int) -> float:
        """Return the mean probability of frames ``first`` to ``stop`` - 1."""
        probs = self._probs[len(self._probs) + first - self._next : len(self._probs) + stop - self._next]
        return min(1.0, max(0.0, math.fsum(probs) / len(probs)))

    def _place(self, frame: int) -> tuple[int, float]:
        """Return a frame and the time when it begins."""
        return frame, self._time(frame)

    def _time(self, frame: int) -> float:
        return self._origin + frame * self._settings.seconds_per_step
