"""What stands where in a line of readings, and how its cells become numbers."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from streamcell.runtime.errors import InputError

__all__ = ["MOST_COLUMNS", "ColumnFinder", "Columns", "LineError", "csv_number", "json_number", "listed", "short"]

MOST_COLUMNS = 10_000

_SHOWN = 40  # letters of what is wrong
_MOST_NAMES = 20  # of columns
_UNITS = {"": 1.0, "s": 1.0, "sec": 1.0, "ms": 1e3, "us": 1e6, "\u03bcs": 1e6, "ns": 1e9}
_TIME = re.compile(r"(time|timestamp|ts|t)[ _.-]?[(\[]?(s|sec|ms|us|\u03bcs|ns|)[)\]]?")
_UNIT = re.compile(r".*(?:^|[ _.\-(\[])(s|sec|ms|us|\u03bcs|ns)[)\]]?")
_FIGURES = re.compile(r"\s*([-+.,\d]+(e[-+]?\d+)?|[-+]?(nan|inf|infinity))\s*", re.IGNORECASE)  # what is no name


class LineError(Exception):
    """Say what is wrong with a line.

    Args:
        problem: For people.
        column: Where, if it is known.
    """

    def __init__(self, problem: str, column: str = "") -> None:
        super().__init__(problem)
        self.column = column


@dataclass(frozen=True, slots=True)
class Columns:
    """Say what stands where in a line.

    Attributes:
        names: Of all columns.
        wanted: Where the time, if there is one, and the channels stand: places; of JSON objects the keys.
        channels: Their names, for errors.
        scale: Units of time in a second; None where there are no times.
    """

    names: list[str]
    wanted: list[Any]
    channels: list[str]
    scale: float | None

    def row(self, cells: Sequence[Any], number: Callable[[Any], float | None]) -> list[float]:
        """Return the time, if there are times, and the channels' values.

        Args:
            cells: What stands in the ``wanted`` places.
            number: How a cell is read: `csv_number` or `json_number`.

        Raises:
            LineError: If a cell is no number.
        """
        row: list[float] = []
        if self.scale is not None:
            row.append(_seconds(cells[0], self.scale, number))
        for name, cell in zip(self.channels, cells[len(row) :], strict=True):
            value = number(cell)
            if value is None:
                raise LineError(f"expected a number, got {short(cell)}{_hint(cell)}", name)
            row.append(value)
        return row


class ColumnFinder:
    """Find channels and time among the columns of lines.

    Args:
        channels: Names, in the model's order; capitals or not.
        time: Name of the column of timestamps; None for the one called time, timestamp, ts or t, if there is one.

    Raises:
        InputError: If the channels are no names that differ.

    Examples:
        >>> ColumnFinder(["ax", "ay"]).of_names(["AY", "label", "time_ms", "AX"]).wanted
        [2, 3, 0]
        >>> ColumnFinder(["ax", "ay"]).of_count(3).names
        ['time', 'ax', 'ay']
    """

    def __init__(self, channels: Sequence[str], time: str | None = None) -> None:
        folded = [str(name).strip().casefold() for name in channels]
        if isinstance(channels, str) or not 0 < len(set(folded)) == len(folded) < MOST_COLUMNS or not all(folded):
            raise InputError(f"channels must be names that differ, at least one; got {channels!r:.200}")
        self._channels, self._folded = [str(name).strip() for name in channels], folded
        self._time = None if time is None else time.strip()

    def is_header(self, cells: Sequence[str]) -> bool:
        """Return whether cells name every channel."""
        return {cell.strip().casefold() for cell in cells}.issuperset(self._folded)

    def of_first(self, cells: list[str]) -> tuple[Columns, bool]:
        """Return the columns that the first line of CSV gives, and whether it is a header.

        Raises:
            LineError: If it gives none.
        """
        header = self.is_header(cells) or not any(map(_FIGURES.fullmatch, cells))
        return self.of_names(cells) if header else self.of_count(len(cells)), header

    def of_names(self, names: list[str], *, keys: bool = False) -> Columns:
        """Return the columns of a header, or with ``keys`` of a JSON object.

        Raises:
            LineError: If a channel or the time is not there, or several are.
        """
        places: dict[str, list[int]] = {}
        for place, name in enumerate(names):
            places.setdefault(name.strip().casefold(), []).append(place)
        times = [name for name in places if name not in self._folded and _TIME.fullmatch(name)]
        if self._time is not None:
            times = [self._time.casefold()]
        if len(times) > 1:
            raise LineError(f"the time may be {' or '.join(map(repr, times))}; say which with time=")
        wanted = []
        for folded in [*times, *self._folded]:
            found = places.get(folded, [])
            if len(found) != 1:
                there = "several columns are" if found else "no column is"
                raise LineError(f"{there} called {folded!r}; there are {listed(names)}")
            wanted.append(names[found[0]] if keys else found[0])
        return Columns(names, wanted, self._channels, _scale(times[0]) if times else None)

    def of_keys(self, keys: list[str], old: Columns | None) -> Columns:
        """Return the columns of a JSON object whose keys are not those before; see `of_other_names`."""
        return self.of_names(keys, keys=True) if old is None else self.of_other_names(keys, old, keys=True)

    def of_other_names(self, names: list[str], old: Columns, *, keys: bool = False) -> Columns:
        """Return the columns by names that are not those of the lines before; times stay or stay away.

        Raises:
            LineError: As `of_names` does, and if there were times before and now are none.
        """
        new = self.of_names(names, keys=keys)
        if old.scale is not None and new.scale is None:
            time = old.wanted[0] if keys else old.names[old.wanted[0]]
            raise LineError(f"there is no {time!r}, which the lines before have; there are {listed(names)}")
        if old.scale is None:
            return Columns(new.names, new.wanted[-len(self._channels) :], self._channels, None)
        return new

    def of_count(self, count: int) -> Columns:
        """Return the columns of lines without names: the channels in order, with the time before them if one is more.

        Raises:
            LineError: If there are more or fewer.
        """
        more = count - len(self._channels)
        if more not in (0, 1) or (self._time is not None and not more):
            raise LineError(
                f"expected {len(self._channels)} columns ({listed(self._channels)}), or one more with the time before "
                f"them; got {count}"
            )
        names = [*["time"][:more], *self._channels]
        scale = _scale((self._time or "").casefold()) if more else None
        return Columns(names, list(range(count)), self._channels, scale)


def csv_number(cell: str) -> float | None:
    """Return a number as others write it too: Python's own 1_0 and digits beyond ASCII are none.

    Examples:
        >>> csv_number(" 1e3"), csv_number("1_0"), csv_number("walk")
        (1000.0, None, None)
    """
    try:
        return float(cell) if cell.isascii() and "_" not in cell else None
    except ValueError:
        return None


def json_number(cell: object) -> float | None:
    """Return a number; text is none in JSON."""
    return cell if isinstance(cell, float) else None


def short(cell: object) -> str:
    """Show what stands somewhere."""
    if isinstance(cell, str):
        return f"{cell!a}" if len(cell) <= _SHOWN else f"{cell[:_SHOWN]!a} and so on"
    words = {dict: "an object", list: "an array", float: "a number", bool: "true or false"}
    return words.get(type(cell), "null")


def _hint(cell: object) -> str:
    """Say what to do about what is nearly a number."""
    comma = isinstance(cell, str) and re.fullmatch(r"\s*[-+]?\d+,\d+\s*", cell)
    return "; write decimals with a point" if comma else ""


def listed(names: list[str]) -> str:
    """Show names, the first of many."""
    return ", ".join(map(short, names[:_MOST_NAMES])) + (" and more" if len(names) > _MOST_NAMES else "")


def _seconds(cell: Any, scale: float, number: Callable[[Any], float | None]) -> float:
    value = number(cell)
    if value is not None:
        return value / scale
    try:
        time = datetime.fromisoformat(str(cell).strip())
        return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError) as error:
        raise LineError(f"expected a number or a time as in ISO 8601, got {short(cell)}", "time") from error


def _scale(name: str) -> float:
    """Return how many units of time make a second, by the end of a column's name.

    Examples:
        >>> _scale("time"), _scale("timestamp_ns"), _scale("t(ms)"), _scale("arrival us")
        (1.0, 1000000000.0, 1000.0, 1000000.0)
    """
    if found := _TIME.fullmatch(name):
        return _UNITS[found[2]]
    found = _UNIT.fullmatch(name)
    return _UNITS[found[1]] if found else 1.0
