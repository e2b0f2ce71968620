"""Readings of sensors as lines of text, CSV or JSON, from a file or a pipe, as soon as they are there."""

import csv
import json
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
from numpy.typing import NDArray

from streamcell.runtime.errors import InputError, SourceError

__all__ = ["Lines", "Readings"]

_CHUNK = 1 << 18  # bytes of one read at most
_LONGEST = 1 << 20  # bytes of a line
_MOST_COLUMNS = 10_000
_SHOWN = 40  # letters of what is wrong
_MOST_NAMES = 20  # of columns
_MOST_NUMBERS = 10  # of skipped lines that are remembered
_UNITS = {"": 1.0, "s": 1.0, "sec": 1.0, "ms": 1e3, "us": 1e6, "\u03bcs": 1e6, "ns": 1e9}
_TIME = re.compile(r"(time|timestamp|ts|t)[ _.-]?[(\[]?(s|sec|ms|us|\u03bcs|ns|)[)\]]?")
_UNIT = re.compile(r".*(?:^|[ _.\-(\[])(s|sec|ms|us|\u03bcs|ns)[)\]]?")
_FIGURES = re.compile(r"\s*([-+.,\d]+(e[-+]?\d+)?|[-+]?(nan|inf|infinity))\s*", re.IGNORECASE)  # what is no name
_SKIP = 'Correct the line, or have such lines left out and counted with on_error="skip" (--on-error skip).'
_FIRST = "The first line decides what the columns are: correct it, or name other channels."
_decode = json.JSONDecoder(parse_int=float).decode


@dataclass(frozen=True, slots=True, eq=False)
class Readings:
    """Hold some readings in a row.

    Attributes:
        times: `[n]` float64, seconds of the source's clock, or None where it gives none.
        values: `[n, channels]` float32.
    """

    times: NDArray[np.float64] | None
    values: NDArray[np.float32]


class _LineError(Exception):
    """Say what is wrong with a line; ``column`` tells where, if it is known."""

    def __init__(self, problem: str, column: str = "") -> None:
        super().__init__(problem)
        self.column = column


@dataclass(frozen=True, slots=True)
class _Columns:
    """Say where in a line what stands; ``wanted`` are the time, if there is one, and the channels."""

    names: list[str]
    wanted: list[Any]  # places; of JSON objects the keys
    scale: float | None  # units of time in a second; None without times


class Lines:
    r"""Iterate over the readings in lines of text, in blocks that are given as soon as their lines are there.

    A line is CSV (separated by comma, semicolon or tab, with decimal points) or JSON (an object, or an array). A header
    or the keys of objects are mapped to the channels in any order, capitals or not; other columns are ignored. Without
    a header, and in arrays, the columns are the channels in order, with the time before them if there is one more.
    Empty lines are nothing. ``nan`` and ``inf`` are numbers, for `Regular` to judge.

    Lines are read once; a second iteration goes on where the first was left. Use it as a context manager, or `close`.

    Args:
        source: A file's path, ``"-"`` for standard input, or an open binary stream, which is left open.
        channels: Names, in the model's order.
        time: Name of the column of timestamps; None for the one called time, timestamp, ts or t, if there is one. They
            are seconds, or what the name ends with (``time_ms``, ``timestamp_us``, ``t(ns)``), or ISO 8601 text (in
            UTC where it names no zone).
        on_error: What a line that is no reading is: ``"stop"``: an error, after the readings before it were given;
            ``"skip"``: left out and counted. What is wrong with the header or first line always is an error.
        format: ``"csv"``, ``"jsonl"``, or ``"auto"`` to see from the first line.

    Attributes:
        skipped: How many lines were left out.
        skipped_lines: The numbers of the first ten of them, counted from 1.

    Raises:
        InputError: If an argument does not fit.
        SourceError: If there is no such file, or it is a folder; while iterating: if it holds no readings, or a line is
            none, is longer than 1 MiB, has more than 10,000 columns or is not UTF-8.

    Examples:
        >>> import io
        >>> with Lines(io.BytesIO(b"time_ms,AY,label,AX\n0,1.5,walk,2\n20,1.25,walk,3\n"), ["ax", "ay"]) as lines:
        ...     [(block.times.tolist(), block.values.tolist()) for block in lines]
        [([0.0, 0.02], [[2.0, 1.5], [3.0, 1.25]])]
    """

    def __init__(
        self,
        source: str | Path | BinaryIO,
        channels: Sequence[str],
        time: str | None = None,
        on_error: Literal["stop", "skip"] = "stop",
        format: Literal["auto", "csv", "jsonl"] = "auto",  # noqa: A002 - the command's word
    ) -> None:
        folded = [str(name).strip().casefold() for name in channels]
        if isinstance(channels, str) or not 0 < len(set(folded)) == len(folded) < _MOST_COLUMNS or not all(folded):
            raise InputError(f"channels must be names that differ, at least one; got {channels!r:.200}")
        if on_error not in ("stop", "skip") or format not in ("auto", "csv", "jsonl"):
            raise InputError(
                f"expected on_error 'stop' or 'skip' and format 'auto', 'csv' or 'jsonl'; got {on_error!r}, {format!r}"
            )
        self._channels, self._folded = [str(name).strip() for name in channels], folded
        self._time = None if time is None else time.strip()
        self._skips = on_error == "skip"
        self._json = None if format == "auto" else format == "jsonl"
        self._columns: _Columns | None = None
        self._objects = False  # JSON lines are objects
        self._separator = ","
        self._line = self._given = self.skipped = 0
        self.skipped_lines: list[int] = []
        self._name, self._stream, self._owned = _open(source)
        self._closed = False
        self._readings = self._iterate()

    def __enter__(self) -> "Lines":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close what was opened here; closing again does nothing."""
        self._closed = True
        if self._owned:
            self._stream.close()

    def __iter__(self) -> Iterator[Readings]:
        return self._readings

    def _iterate(self) -> Iterator[Readings]:
        for lines in self._parts():
            for rows in self._too_long() if lines is None else self._parse(lines):
                if self._closed:
                    return
                self._given += len(rows)
                timed = self._columns is not None and self._columns.scale is not None
                with np.errstate(over="ignore"):
                    values = rows[:, int(timed) :].astype(np.float32)
                yield Readings(np.ascontiguousarray(rows[:, 0]) if timed else None, np.ascontiguousarray(values))
        if not self._given and not self._closed:
            raise SourceError(f"{self._name} {self._nothing()}")

    def _nothing(self) -> str:
        if self.skipped:
            return f"holds no reading: all its lines were left out, {self.skipped} of them; on_error='stop' says why"
        if self._columns is not None:
            return "holds a header, but no readings after it"
        return "is empty; it should hold lines of CSV or JSON"

    def _parts(self) -> Iterator[bytes | None]:
        """Read; yield whole lines, many at a time, each with its end, and None for one that is too long."""
        rest, dropping = bytearray(), False
        while chunk := self._read():
            end = chunk.rfind(b"\n") + 1
            if end:
                first = chunk.index(b"\n") + 1
                if dropping or len(rest) + first - 1 > _LONGEST:
                    yield None
                    yield chunk[first:end]
                else:
                    yield bytes(rest) + chunk[:end]
                rest, dropping = bytearray(), False
            rest += b"" if dropping else chunk[end:]
            if len(rest) > _LONGEST:
                rest, dropping = bytearray(), True
        if self._closed:
            return
        if dropping:
            yield None
        elif rest:
            yield bytes(rest) + b"\n"

    def _read(self) -> bytes:
        """Return what is there, after waiting for something to be there; nothing at the end."""
        if self._closed:
            return b""
        try:
            chunk = getattr(self._stream, "read1", self._stream.read)(_CHUNK)
        except (OSError, ValueError) as error:
            raise SourceError(f"{self._name} cannot be read any further: {error}") from error
        if not isinstance(chunk, bytes):
            raise SourceError(f"{self._name} gave {type(chunk).__name__}, not bytes; open it in binary, blocking mode")
        return chunk

    def _parse(self, lines: bytes) -> Iterator[NDArray[np.float64]]:
        """Read whole lines; yield rows `[n, wanted]`."""
        begin = 0
        while begin < len(lines) and self._columns is None:
            end = lines.index(b"\n", begin)
            yield from self._each([lines[begin:end]])
            begin = end + 1
        lines = lines[begin:]
        if not lines:
            return
        rows = None if self._json else self._quick(lines)
        if rows is None:
            yield from self._each(lines[:-1].split(b"\n"))
        else:
            self._line += len(rows)
            yield rows

    def _quick(self, lines: bytes) -> NDArray[np.float64] | None:
        """Read CSV all at once, if nothing is odd about any line."""
        columns, cut = self._columns, self._separator
        if columns is None or b'"' in lines or not lines.isascii():
            return None
        width = len(columns.names)
        codes = np.frombuffer(lines, np.uint8)
        ends, cuts = np.flatnonzero(codes == ord("\n")), np.flatnonzero(codes == ord(cut))
        if not np.array_equal(np.searchsorted(cuts, ends), np.arange(1, len(ends) + 1) * (width - 1)):
            return None
        cells = lines[:-1].decode().replace("\n", cut).split(cut)
        wanted = [cells[place::width] for place in columns.wanted]
        if b"_" in lines and any("_" in cell for column in wanted for cell in column):
            return None  # to Python, not to others, 1_0 is a number
        try:
            rows = np.stack([np.fromiter(map(float, column), np.float64, len(ends)) for column in wanted], 1)
        except ValueError:
            return None
        if columns.scale is not None:
            rows[:, 0] /= columns.scale
        return rows

    def _each(self, lines: list[bytes]) -> Iterator[NDArray[np.float64]]:
        """Read line by line."""
        rows: list[list[float]] = []
        failed: SourceError | None = None
        for line in lines:
            self._line += 1
            try:
                row = self._row(line)
            except _LineError as error:
                failed = self._refuse(error)
                if failed is not None:
                    break
            else:
                rows += [row] if row else []
        if rows:
            yield np.array(rows)
        if failed is not None:
            raise failed

    def _too_long(self) -> Iterator[NDArray[np.float64]]:
        self._line += 1
        failed = self._refuse(_LineError(f"it is longer than {_LONGEST} bytes"))
        if failed is not None:
            raise failed
        yield from ()

    def _refuse(self, error: _LineError) -> SourceError | None:
        """Count a line that is left out, or return the error that ends the iteration."""
        later = self._json or self._columns is not None
        if not (later and self._skips):
            place = f", column {error.column!r}" if error.column else ""
            return SourceError(f"{self._name}, line {self._line}{place}: {error}. {_SKIP if later else _FIRST}")
        self.skipped += 1
        if self.skipped <= _MOST_NUMBERS:
            self.skipped_lines.append(self._line)
        return None

    def _row(self, line: bytes) -> list[float] | None:
        """Return the time, if there are times, and the channels' values; None for a header or an empty line."""
        try:
            text = line.decode()
        except UnicodeDecodeError as error:
            raise _LineError(
                f"expected UTF-8, got byte 0x{line[error.start]:02x} as number {error.start + 1}"
            ) from error
        text = text.removeprefix("\ufeff") if self._line == 1 else text
        if not text.strip():
            return None
        if self._json is None:
            self._json = text.lstrip()[0] in "{["
        return self._of_json(text) if self._json else self._of_csv(text)

    def _of_csv(self, text: str) -> list[float] | None:
        columns = self._columns
        if columns is None:
            self._separator = next((mark for mark in "\t;" if mark in text), ",")
            cells = self._cells(text)
            folded = {cell.strip().casefold() for cell in cells}
            header = folded.issuperset(self._folded) or not any(map(_FIGURES.fullmatch, cells))
            columns = self._columns = self._named(cells) if header else self._plain(len(cells))
            return None if header else self._numbers(columns, cells)
        cells = self._cells(text)
        if len(cells) != len(columns.names):
            raise _LineError(f"expected {len(columns.names)} columns, got {len(cells)}: {_short(text)}")
        return self._numbers(columns, [cells[place] for place in columns.wanted])

    def _cells(self, text: str) -> list[str]:
        if text.count(self._separator) >= _MOST_COLUMNS:
            raise _LineError(f"it has more than {_MOST_COLUMNS} columns")
        if '"' not in text:
            return text.split(self._separator)
        try:
            return next(csv.reader([text.rstrip("\r")], delimiter=self._separator))
        except csv.Error as error:
            raise _LineError(f"expected CSV, got {_short(text)} ({error})") from error

    def _of_json(self, text: str) -> list[float]:
        if text.count(",") >= _MOST_COLUMNS:
            raise _LineError(f"it has more than {_MOST_COLUMNS} columns")
        try:
            value = _decode(text)
        except (ValueError, RecursionError) as error:
            raise _LineError(f"expected JSON, got {_short(text)}") from error
        objects = isinstance(value, dict) if self._columns is None else self._objects
        if isinstance(value, dict) and objects:
            return self._of_object(value)
        if isinstance(value, list) and not objects:
            return self._of_array(value)
        before = "an object or an array" if self._columns is None else "an object" if objects else "an array"
        raise _LineError(f"expected {before}{' as before' if self._columns else ''}, got {_short(text)}")

    def _of_array(self, cells: list[Any]) -> list[float]:
        columns = self._plain(len(cells)) if self._columns is None else self._columns
        if len(cells) != len(columns.names):
            raise _LineError(f"expected {len(columns.names)} numbers, got {len(cells)}")
        row = self._numbers(columns, cells)
        self._columns = columns
        return row

    def _of_object(self, value: dict[str, Any]) -> list[float]:
        columns = self._columns
        try:
            cells = [value[key] for key in columns.wanted] if columns else []
        except KeyError:
            cells = []
        if not columns or not cells:
            columns = self._other_keys(list(value))
            cells = [value[key] for key in columns.wanted]
        row = self._numbers(columns, cells)
        self._columns, self._objects = columns, True
        return row

    def _other_keys(self, keys: list[str]) -> _Columns:
        """Find the columns among keys that are not those of the object before."""
        old, new = self._columns, self._named(keys, keys=True)
        if old and old.scale is not None and new.scale is None:
            raise _LineError(f"there is no {old.wanted[0]!r}, which the lines before have; there are {_listed(keys)}")
        if old and old.scale is None:
            return _Columns(new.names, new.wanted[-len(self._channels) :], None)
        return new

    def _named(self, names: list[str], *, keys: bool = False) -> _Columns:
        """Find channels and time among the names of columns."""
        places: dict[str, list[int]] = {}
        for place, name in enumerate(names):
            places.setdefault(name.strip().casefold(), []).append(place)
        times = [name for name in places if name not in self._folded and _TIME.fullmatch(name)]
        if self._time is not None:
            times = [self._time.casefold()]
        if len(times) > 1:
            raise _LineError(f"the time may be {' or '.join(map(repr, times))}; say which with time=")
        wanted = []
        for folded in [*times, *self._folded]:
            found = places.get(folded, [])
            if len(found) != 1:
                there = "several columns are" if found else "no column is"
                raise _LineError(f"{there} called {folded!r}; there are {_listed(names)}")
            wanted.append(names[found[0]] if keys else found[0])
        return _Columns(names, wanted, _scale(times[0]) if times else None)

    def _plain(self, count: int) -> _Columns:
        """Give the columns of lines without names."""
        more = count - len(self._channels)
        if more not in (0, 1) or (self._time is not None and not more):
            raise _LineError(
                f"expected {len(self._channels)} columns ({_listed(self._channels)}), or one more with the time before "
                f"them; got {count}"
            )
        names = [*["time"][:more], *self._channels]
        return _Columns(names, list(range(count)), _scale((self._time or "").casefold()) if more else None)

    def _numbers(self, columns: _Columns, cells: list[Any]) -> list[float]:
        """Read the wanted cells."""
        row: list[float] = []
        if columns.scale is not None:
            row.append(self._seconds(cells[0], columns.scale))
        for name, cell in zip(self._channels, cells[len(row) :], strict=True):
            number = self._number(cell)
            if number is None:
                raise _LineError(f"expected a number, got {_short(cell)}", name)
            row.append(number)
        return row

    def _number(self, cell: object) -> float | None:
        """Return a number; text is none in JSON."""
        if isinstance(cell, str) and not self._json:
            return _float(cell)
        return cell if isinstance(cell, float) else None

    def _seconds(self, cell: object, scale: float) -> float:
        number = self._number(cell)
        if number is not None:
            return number / scale
        try:
            time = datetime.fromisoformat(str(cell).strip())
            return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()
        except (ValueError, OverflowError) as error:
            raise _LineError(f"expected a number or a time as in ISO 8601, got {_short(cell)}", "time") from error


def _open(source: str | Path | BinaryIO) -> tuple[str, Any, bool]:
    """Return name, stream, and whether it was opened here."""
    if source == "-":
        stream = getattr(sys.stdin, "buffer", None)
        if stream is None:
            raise SourceError("there is no standard input to read from; name a file")
        return "standard input", stream, False
    if not isinstance(source, str | Path):
        if not hasattr(source, "read"):
            raise InputError(f"expected a path, '-' or an open binary stream; got {type(source).__name__}")
        name = getattr(source, "name", None)
        return name if isinstance(name, str) else "the stream", source, False
    try:
        if Path(source).is_dir():
            raise SourceError(f"{source} is a folder; name the file in it")
        return str(source), Path(source).open("rb", buffering=0), True
    except FileNotFoundError as error:
        raise SourceError(f"no such file: {source}") from error
    except (OSError, ValueError) as error:
        raise SourceError(f"cannot read {source}: {error}") from error


def _float(cell: str) -> float | None:
    """Return a number as others write it too: Python's own 1_0 and digits beyond ASCII are none."""
    try:
        return float(cell) if cell.isascii() and "_" not in cell else None
    except ValueError:
        return None


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


def _short(cell: object) -> str:
    """Show what stands somewhere."""
    if isinstance(cell, str):
        return f"{cell!a}" if len(cell) <= _SHOWN else f"{cell[:_SHOWN]!a} and so on"
    words = {dict: "an object", list: "an array", float: "a number", bool: "true or false"}
    return words.get(type(cell), "null")


def _listed(names: list[str]) -> str:
    return ", ".join(map(_short, names[:_MOST_NAMES])) + (" and more" if len(names) > _MOST_NAMES else "")
