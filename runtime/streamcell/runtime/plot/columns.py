"""Values over time in bounded memory: as many columns as a picture can show; where more come, neighbours are joined."""

import math
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["Columns", "Join", "Strip"]

_MOST_COLUMNS = 4096
_MOST_NUMBERS = 1 << 22
_FEWEST_COLUMNS = 256
_SLACK = 1e-6  # of a place, for times that are sums of floats

Join: TypeAlias = Literal["max", "min", "mean"]
"""What becomes of values that share a column."""


@dataclass(frozen=True, slots=True, eq=False)
class Strip:
    """Hold values over time.

    Attributes:
        start: Seconds, where the first column begins.
        step: Seconds, how long a column lasts.
        values: `[n, width]`; NaN where nothing came.
    """

    start: float
    step: float
    values: NDArray[np.float64]

    @property
    def edges(self) -> NDArray[np.float64]:
        """Return the times `[n + 1]` at which columns begin and end."""
        return self.start + self.step * np.arange(len(self.values) + 1, dtype=np.float64)

    @property
    def stairs(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return times `[2n]` and values `[2n, width]` of both ends of each column."""
        return np.repeat(self.edges, 2)[1:-1], np.repeat(self.values, 2, axis=0)

    def joined(self, most: int, join: np.ufunc) -> "Strip":
        """Return at most so many columns, neighbours joined."""
        each = max(1, math.ceil(len(self.values) / most))
        return Strip(
            self.start, each * self.step, join.reduceat(self.values, np.arange(0, len(self.values), each), axis=0)
        )


class Columns:
    """Collect rows that come every ``step`` seconds, in any blocks, with holes between them.

    Args:
        join: What becomes of values that share a column.
        width: Values of a row.
        step: Seconds from row to row.
        window: Seconds; what lies outside is left out.

    Examples:
        >>> columns = Columns("max", width=1, step=0.5)
        >>> columns.add(0, np.array([[1.0], [2.0]]))
        >>> columns.add(3, np.array([[4.0]]))
        >>> columns.strip.values.ravel().tolist(), columns.strip.edges.tolist()
        ([1.0, 2.0, nan, 4.0], [0.0, 0.5, 1.0, 1.5, 2.0])
    """

    def __init__(self, join: Join, width: int, step: float, window: tuple[float, float] = (0.0, math.inf)) -> None:
        self._step, self._mean = step, join == "mean"
        self._join: np.ufunc = {"max": np.fmax, "min": np.fmin, "mean": np.add}[join]
        self._begin = math.floor(window[0] / step + _SLACK)
        self._end = None if math.isinf(window[1]) else math.ceil(window[1] / step - _SLACK)
        self._each = 1  # rows of a column
        self._used = 0  # columns
        most = min(_MOST_COLUMNS, max(_FEWEST_COLUMNS, _MOST_NUMBERS // width // 2 * 2))
        self._values = np.full((most, width + self._mean), 0.0 if self._mean else np.nan)

    def add(self, first: int, rows: NDArray[np.floating]) -> None:
        """Take rows `[n, width]`, the first at ``first * step`` seconds; what is NaN is nothing."""
        begin, end = max(self._begin, first), first + len(rows)
        end = end if self._end is None else min(end, self._end)
        if begin >= end:
            return
        rows = rows[begin - first : end - first].astype(np.float64)
        if self._mean:
            known = ~np.isnan(rows).any(axis=1, keepdims=True)
            rows = np.concatenate([np.where(known, rows, 0.0), known], axis=1)
        while (end - 1 - self._begin) // self._each >= len(self._values):
            self._halve()
        places = (np.arange(begin, end) - self._begin) // self._each
        heads = np.flatnonzero(np.diff(places, prepend=-1))
        columns = places[heads]
        self._values[columns] = self._join(self._values[columns], self._join.reduceat(rows, heads, axis=0))
        self._used = max(self._used, int(columns[-1]) + 1)

    @property
    def strip(self) -> Strip:
        """Return what came."""
        values = self._values[: self._used]
        if self._mean:
            with np.errstate(invalid="ignore"):
                values = values[:, :-1] / values[:, -1:]
        return Strip(self._begin * self._step, self._each * self._step, values.copy())

    def _halve(self) -> None:
        """Join each two columns."""
        half = len(self._values) // 2
        self._values[:half] = self._join(self._values[0::2], self._values[1::2])
        self._values[half:] = 0.0 if self._mean else np.nan
        self._each *= 2
        self._used = -(-self._used // 2)
