"""Samples that wait for a step to be complete."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["Pending"]


class Pending:
    """Queue samples or rows of features, first in, first out, in one buffer that grows to what is needed.

    Args:
        row: Shape of one sample: `()`, or `(channels,)` for features.

    Attributes:
        count: How many wait.
        row: As given.

    Examples:
        >>> pending = Pending(())
        >>> pending.append(np.float32([1, 2, 3]))
        >>> pending.peek(2).tolist(), pending.count
        ([1.0, 2.0], 3)
        >>> pending.drop(2)
        >>> pending.peek(1).tolist()
        [3.0]
    """

    __slots__ = ("_begin", "_buffer", "count", "row")

    def __init__(self, row: tuple[int, ...]) -> None:
        self.row = row
        self._buffer = np.zeros((0, *row), np.float32)
        self._begin = self.count = 0

    def __len__(self) -> int:
        return self.count

    def append(self, samples: NDArray[np.float32]) -> None:
        """Copy ``samples`` behind those that wait."""
        end = self._begin + self.count + len(samples)
        if end > len(self._buffer):
            end = self._make_room(len(samples))
        self._buffer[end - len(samples) : end] = samples
        self.count += len(samples)

    def peek(self, count: int) -> NDArray[np.float32]:
        """Return the first ``count``, a view that holds until more is appended."""
        return self._buffer[self._begin : self._begin + count]

    def drop(self, count: int) -> None:
        """Forget the first ``count``."""
        self.count -= count
        self._begin = self._begin + count if self.count else 0

    def _make_room(self, more: int) -> int:
        """Move what waits to the front of a buffer with room for ``more``; return where that will end."""
        old, needed = self.peek(self.count), self.count + more
        if needed > len(self._buffer):
            self._buffer = np.zeros((max(needed, 2 * len(self._buffer)), *self.row), np.float32)
        self._buffer[: self.count] = old
        self._begin = 0
        return needed
