"""Greedy CTC with real durations, as a stream."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamcell.runtime.decode.decoder import LARGEST, Decoder
from streamcell.runtime.errors import InputError
from streamcell.runtime.events import Segment
from streamcell.runtime.frames import check_finite

__all__ = ["GreedyCTC"]

_FLOOR = np.float32(-1e4)  # of log-probabilities, so that -inf may come


@dataclass(slots=True)
class _Token:
    """A token whose end may still move: its spike was heard, its run goes on."""

    id: int
    label: int
    start: int  # frame
    first: int  # first frame of the spike
    last: int  # last frame of the spike
    before: float  # sum of confidences before `start`


@dataclass(frozen=True, slots=True)
class _Settings:
    """What `GreedyCTC` was made with."""

    labels: tuple[str, ...]
    blank: int
    seconds_per_step: float
    silence: int | None
    reach: float
    pause: float


@dataclass(frozen=True, slots=True)
class _Saved:
    """What is saved, with the sums."""

    next: int | None
    origin: float
    best: int
    label: int
    run: int
    base: int
    count: int
    token: _Token | None


class GreedyCTC(Decoder):
    """Turn frames into segments, as soon as they can be known.

    Tokens are greedy CTC's (Graves et al., 2006): the best label of each frame, repeats merged, blanks dropped. CTC
    spikes are narrow, so times come from elsewhere: our networks also train the softmax without the blank as a
    classifier of frames. The *run* of a frame is the stretch around it in which the same label is best without the
    blank. A token lasts from the beginning of the run of its spike (but not from more than ``reach`` before it) to the
    end of the run; two spikes in one run share it at the midpoint between them. Its confidence is the mean over its
    frames of P(label | not blank). Silence is a label like any other, but needs no spike: a run of it that lasts for
    ``pause`` is one token, with or without. The sequence of the other labels stays greedy CTC's.

    A token is told as a partial segment with every push until its run ends, then once as a final one. Revisions rise,
    but not by one: they count frames since the spike began, so that finals are the same for any cutting of the frames.

    Args:
        labels: Name of each column.
        blank: The blank's column.
        seconds_per_step: Length of a frame.
        silence: The column of the label that stands for a pause, or None.
        reach: Seconds; also bounds the memory.
        pause: Seconds, the shortest pause that needs no spike.

    Attributes:
        settings: The arguments; equal ones decode alike.

    Raises:
        InputError: If an argument makes no sense.

    Examples:
        Spikes at frames 1 (A) and 4 (B); without the blank, A is best in frames 0 to 2, B in 3 to 4.

        >>> from streamcell.runtime import Frames
        >>> best = [[0.6, 0.3, 0.1], [0.1, 0.8, 0.1], [0.6, 0.3, 0.1], [0.6, 0.1, 0.3], [0.1, 0.1, 0.8]]
        >>> decoder = GreedyCTC(["<blank>", "A", "B"], blank=0, seconds_per_step=0.5)
        >>> found = decoder.push(Frames(np.log(np.float32(best)), first=0))
        >>> [(s.label, s.start, s.end, s.final) for s in found]
        [('A', 0.0, 1.5, True), ('B', 1.5, 2.5, False)]
        >>> [(s.label, s.start, s.end, s.final) for s in decoder.flush(2.5)]
        [('B', 1.5, 2.5, True)]
    """

    settings: _Settings
    _kind = "ctc"
    _saved = _Saved
    _best: int  # of the frame before
    _label: int  # best without the blank, of the frame before
    _run: int  # where the run of that label began
    _token: _Token | None
    _sums: list[float]  # of the confidences before frames _base, _base + 1, ... _next
    _base: int

    def __init__(
        self,
        labels: Sequence[str],
        blank: int,
        seconds_per_step: float,
        silence: int | None = None,
        reach: float = 1.0,
        pause: float = 0.09,
    ) -> None:
        if not 0 <= blank < len(labels) or len(labels) < 2:
            raise InputError(f"blank must be one of {len(labels)} columns, with a label beside it; got {blank}")
        if silence is not None and (silence == blank or not 0 <= silence < len(labels)):
            raise InputError(f"silence must be another of {len(labels)} columns than the blank, {blank}; got {silence}")
        if not min(seconds_per_step, reach, pause) > 0:
            raise InputError(f"expected lengths above 0 s, got {seconds_per_step}, reach {reach}, pause {pause}")
        self.settings = _Settings(tuple(labels), blank, seconds_per_step, silence, reach, pause)
        self._labels, self._blank, self._silence, self._seconds = self.settings.labels, blank, silence, seconds_per_step
        self._pause_frames = max(1, round(pause / seconds_per_step))
        self._reach_frames = max(1, round(reach / seconds_per_step))
        self.reset()

    def read(self, values: NDArray[np.float32]) -> list[tuple[int, int, float]]:
        """Return for each row the best label, the best without the blank, and its probability without the blank.

        Args:
            values: `[N, C]`, logits or log-probabilities.

        Raises:
            InputError: If the shape does not fit.
            ModelError: If there are values that are not finite.
        """
        if values.ndim != 2 or values.shape[1] != len(self._labels):
            raise InputError(f"expected frames [T, {len(self._labels)}], got {list(values.shape)}")
        best = values.argmax(1)
        spoken = np.maximum(values, _FLOOR)
        spoken[:, self._blank] = -np.inf
        label = spoken.argmax(1)
        spoken -= spoken[np.arange(len(label)), label][:, None]
        confidence: list[float] = (1.0 / np.exp(spoken, out=spoken).sum(1, dtype=np.float64)).tolist()
        if not math.isfinite(sum(confidence)):
            check_finite(values)
        return list(zip(best.tolist(), label.tolist(), confidence, strict=True))

    def take(self, first: int, origin: float, items: list[tuple[int, int, float]]) -> list[Segment]:
        """Hear frames ``first``, ... as `read` gave them; return what became final.

        Raises:
            InputError: If the frames do not come in order.
        """
        found = [] if self._next == first and self._origin == origin else self._join(first, origin)
        blank, silence, pause, sums = self._blank, self._silence, self._pause_frames - 1, self._sums
        total = sums[-1]
        for frame, (best, label, confidence) in enumerate(items, first):
            total += confidence
            sums.append(total)
            if label != self._label:
                found += self._end(frame, frame)
                self._label, self._run = label, frame
            if best != blank:
                found += self._spike(frame, best)
                self._best = best
                continue
            self._best = blank
            if label == silence and frame - self._run >= pause:
                found += self._spike(frame, label)
        self._next = first + len(items)
        self._trim(self._next)
        return found

    def partial(self) -> list[Segment]:
        """Return the token that goes on, if any."""
        token, end = self._token, self._next
        return [] if token is None or end is None else [self._segment(token, end, end - 1 - token.first, final=False)]

    def _arrays(self) -> dict[str, NDArray[Any]]:
        return {"sums": np.array(self._sums, np.float64)}

    def _check(self, saved: _Saved, arrays: dict[str, NDArray[Any]]) -> None:
        end, token, columns, sums = saved.next or 0, saved.token, len(self._labels), arrays["sums"]
        frames = 0 <= saved.base <= max(saved.run, end - self._reach_frames) and saved.run <= end < LARGEST
        answers = 0 <= saved.best < columns and -1 <= saved.label < columns and 0 <= saved.count < LARGEST
        spike = token is None or (
            0 <= token.label < columns and 0 <= token.start <= token.first <= token.last < end and token.id >= 0
        )
        numbers = np.array([saved.origin, token.before if token else 0.0, *sums])
        fits = sums.dtype == np.float64 and sums.shape == (end - saved.base + 1,) and np.isfinite(numbers).all()
        if not (frames and answers and spike and fits):
            raise ValueError(f"{saved} and {sums.shape} sums contradict each other")
        self._sums = sums.tolist()

    def _earliest(self, end: int) -> float:
        if self._token:
            return self._time(self._token.start)
        return self._time(max(self._run, end - self._reach_frames))

    def _begin(self) -> None:
        super()._begin()
        self._best = self._blank

    def _clear(self, first: int) -> None:
        self._base, self._label, self._run = first, -1, first
        self._token, self._sums = None, [0.0]

    def _close(self, end: int, end_time: float) -> list[Segment]:
        return self._end(end, end, end_time)

    def _spike(self, frame: int, best: int) -> list[Segment]:
        """Take a frame in which a label is best, or counts as best; return the token that it ends."""
        token, found = self._token, []
        again = best == self._best or (best == self._silence and token is not None and token.label == best)
        if not again:
            earliest = max(self._run, frame - self._reach_frames)
            if token:
                earliest = max(earliest, (token.last + 1 + frame) // 2)
                found = self._end(earliest, frame)
            before = self._sums[earliest - self._base]
            self._token = _Token(self._count, best, earliest, frame, frame, before)
            self._count += 1
        elif token:
            token.last = frame
        return found

    def _end(self, end: int, seen: int, end_time: float = np.inf) -> list[Segment]:
        """End the token that goes on, now that frame ``seen`` is known."""
        if self._token is None:
            return []
        token, self._token = self._token, None
        return [self._segment(token, end, seen - token.first, final=True, end_time=end_time)]

    def _segment(self, token: _Token, end: int, revision: int, *, final: bool, end_time: float = np.inf) -> Segment:
        confidence = (self._sums[end - self._base] - token.before) / (end - token.start)
        start_time, stop_time = min(self._time(token.start), end_time), min(self._time(end), end_time)
        label = self._labels[token.label]
        return Segment(label, start_time, stop_time, min(1.0, confidence), final, token.id, revision)

    def _trim(self, end: int) -> None:
        """Forget sums that no start can reach any more."""
        old = end - self._reach_frames - self._base
        if old > 0:
            del self._sums[:old]
            self._base += old
