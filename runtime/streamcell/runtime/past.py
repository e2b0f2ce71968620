"""The past of a series as one array: rows of a table, with their times where these are regular."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from streamcell.runtime.errors import InputError
from streamcell.runtime.sources import Lines
from streamcell.runtime.sources.line_parser import OnError

__all__ = ["Past", "is_date", "read_past", "show_time"]

_DATES = ("date", "datetime")  # names of columns of times, beside those that `Lines` knows
_TIMES = ("time", "timestamp", "ts", "t")
_HEADER = 1 << 16  # bytes
_CALENDAR = (1e8, 4e9)  # seconds since 1970
_UNEVEN = 0.01  # of the interval


@dataclass(frozen=True, slots=True, eq=False)
class Past:
    """Hold what came so far.

    Attributes:
        values: `[n, channels]` float32.
        times: `[n]` float64, seconds, or None.
        skipped: Lines that were left out.
    """

    values: NDArray[np.float32]
    times: NDArray[np.float64] | None = None
    skipped: int = 0

    @property
    def interval(self) -> float | None:
        """Return the seconds from row to row; None where there are no times, or they are not even within 1%.

        Examples:
            >>> Past(np.zeros((3, 1), np.float32), np.array([0.0, 2.0, 4.0])).interval
            2.0
        """
        if self.times is None or len(self.times) < 2:
            return None
        steps = np.diff(self.times)
        middle = float(np.median(steps))
        return middle if middle > 0 and bool((np.abs(steps - middle) <= _UNEVEN * middle).all()) else None

    def first(self, rows: int) -> "Past":
        """Return the first rows alone."""
        return Past(self.values[:rows], None if self.times is None else self.times[:rows], self.skipped)

    def seconds(self, step: int) -> float | None:
        """Return the time of the row ``step`` after the last one (before it, below 0); None where nobody knows."""
        if self.times is None:
            return None
        if step <= 0:
            return float(self.times[step - 1])
        interval = self.interval
        return None if interval is None else float(self.times[-1]) + step * interval


def read_past(source: str, channels: Sequence[str], time: str | None = None, on_error: OnError = "stop") -> Past:
    """Read a table of CSV or JSON lines.

    Args:
        source: A file, or ``-`` for standard input.
        channels: Names of the columns, in the model's order.
        time: Name of the column of times; None for what `Lines` takes, or in a file a column called date or datetime.
        on_error: As for `Lines`.

    Raises:
        SourceError: If there is no such file, or a line is no reading.
        InputError: If a number is missing or not finite.
    """
    with Lines(source, channels, time or _date_column(source), on_error) as lines:
        blocks = list(lines)
        skipped = lines.skipped
    values = np.concatenate([block.values for block in blocks])
    if not np.isfinite(values).all():
        row, column = np.argwhere(~np.isfinite(values))[0].tolist()
        name = "standard input" if source == "-" else source
        raise InputError(f"{name}: reading {row + 1} has no finite {channels[column]!r}; fill it, or leave the row out")
    times = [block.times for block in blocks if block.times is not None]
    return Past(values, np.concatenate(times) if times else None, skipped)


def show_time(seconds: float) -> str:
    """Write a time: as a date where it is seconds since 1970.

    Examples:
        >>> show_time(12.5), show_time(1467331200.0)
        ('12.5', '2016-07-01 00:00:00')
    """
    if not is_date(seconds):
        return f"{seconds:g}"
    return datetime.fromtimestamp(round(seconds), UTC).strftime("%Y-%m-%d %H:%M:%S")


def is_date(seconds: float) -> bool:
    """Tell whether a time is one since 1970, by its size: it lies between 1973 and 2096."""
    return _CALENDAR[0] <= seconds < _CALENDAR[1]


def _date_column(source: str) -> str | None:
    """Return the header's column of dates, where there is none that `Lines` would take for the time."""
    path = Path(source)
    if source == "-" or not path.is_file():
        return None
    with path.open("rb") as file:
        header = file.readline(_HEADER).decode("utf-8-sig", "replace")
    for mark in "\t;":
        header = header.replace(mark, ",")
    names = [name.strip().strip('"') for name in header.split(",")]
    if any(name.casefold() in _TIMES for name in names):
        return None
    return next((name for name in names if name.casefold() in _DATES), None)
