"""One label for all that was heard, as a stream."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamcell.runtime.decode.decoder import LARGEST, Decoder
from streamcell.runtime.decode.settings import check_number
from streamcell.runtime.errors import InputError
from streamcell.runtime.events import Segment
from streamcell.runtime.frames import check_finite

__all__ = ["Whole", "WholeSettings"]


@dataclass(frozen=True, slots=True)
class WholeSettings:
    """Hold what a `Whole` was made with; its attributes are described there.

    Raises:
        InputError: If a value makes no sense.
    """

    labels: tuple[str, ...]
    seconds_per_step: float

    def __post_init__(self) -> None:
        check_number("seconds_per_step", self.seconds_per_step, above=0)


@dataclass(frozen=True, slots=True)
class _Saved:
    """What is saved."""

    next: int | None
    origin: float
    count: int
    first: int
    row: tuple[float, ...]


class Whole(Decoder):
    """Turn frames into one segment, from the first to the last.

    The network's frame is its answer for all that was heard up to there, so the last one counts: the segment's label is
    the best of the last frame (of equal ones the first), its confidence that label's share of the softmax. While the
    frames go on it is told as a partial segment with every push. Skipped frames do not end it, `flush` does.

    Args:
        labels: Name of each column.
        seconds_per_step: Length of a frame.

    Attributes:
        settings: The arguments; equal ones decode alike.

    Raises:
        InputError: If the length makes no sense.

    Examples:
        >>> from streamcell.runtime import Frames
        >>> decoder = Whole(["cat", "dog"], 0.5)
        >>> told = decoder.push(Frames(np.log(np.float32([[0.9, 0.1], [0.25, 0.75]])), first=0))
        >>> [(s.label, s.start, s.end, s.final, round(s.confidence, 4)) for s in told]
        [('dog', 0.0, 1.0, False, 0.75)]
        >>> [(s.label, s.final) for s in decoder.flush(1.25)], decoder.probabilities.round(4).tolist()
        ([('dog', True)], [0.25, 0.75])
    """

    settings: WholeSettings
    _kind = "whole"
    _saved = _Saved
    _first: int  # frame
    _row: list[float]  # the last frame, none before it

    def __init__(self, labels: Sequence[str], seconds_per_step: float) -> None:
        self.settings = WholeSettings(tuple(labels), seconds_per_step)
        self._labels, self._seconds = self.settings.labels, seconds_per_step
        self.reset()

    @property
    def probabilities(self) -> NDArray[np.float64]:
        """Return the shares `[labels]` of the last frame, also after `flush`; none before the first."""
        values = np.array(self._row, np.float64)
        powers = np.exp(values - values.max(initial=-math.inf))
        shares: NDArray[np.float64] = powers / powers.sum()
        return shares

    def read(self, values: NDArray[np.float32]) -> list[list[float]]:
        """Return the rows."""
        if values.ndim != 2 or values.shape[1] != len(self._labels):
            raise InputError(f"expected frames [T, {len(self._labels)}], got {list(values.shape)}")
        check_finite(values)
        rows: list[list[float]] = values.tolist()
        return rows

    def take(self, first: int, origin: float, items: list[list[float]]) -> list[Segment]:
        """Hear frames ``first``, ... as `read` gave them; nothing is final before `flush`."""
        if not self.follows(first, origin):
            self._join(first, origin)
        if not items:
            return []
        if self._next is None:
            self._origin, self._first = origin, first
            self._count += 1
        self._row, self._next = items[-1], first + len(items)
        return []

    def partial(self) -> list[Segment]:
        """Return the segment that goes on, if any."""
        return [] if self._next is None else [self._told(self._next, self._time(self._next), final=False)]

    def reset(self) -> None:
        """Forget everything, the count of segments and the last frame too: be as fresh."""
        self._row = []
        super().reset()

    def _told(self, end: int, end_time: float, *, final: bool) -> Segment:
        shares = self.probabilities
        best = int(shares.argmax())
        start = min(self._time(self._first), end_time)
        revision = end - self._first
        return Segment(self._labels[best], start, end_time, float(shares[best]), final, self._count - 1, revision)

    def _earliest(self, end: int) -> float:  # noqa: ARG002 - what goes on began before
        return self._time(self._first)

    def _close(self, end: int, end_time: float) -> list[Segment]:
        return [self._told(end, end_time, final=True)]

    def _clear(self, first: int) -> None:
        self._first = first

    def _check(self, saved: _Saved, _: dict[str, NDArray[Any]]) -> None:
        end = saved.next
        fits = 0 <= saved.count < LARGEST and all(map(math.isfinite, [saved.origin, *saved.row]))
        fits &= (0 <= saved.first < end < LARGEST and saved.count > 0) if end is not None else saved.first == 0
        fits &= len(saved.row) == (len(self._labels) if saved.count else 0)
        if not fits:
            raise ValueError(f"{saved} contradicts itself")
