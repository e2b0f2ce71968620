"""Readings out of bytes that hold lines of CSV or JSON, wherever they come from and however they are cut."""

import csv
import json
from collections.abc import Iterator, Sequence
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from streamcell.runtime.errors import InputError, SourceError
from streamcell.runtime.sources.columns import (
    MOST_COLUMNS,
    ColumnFinder,
    Columns,
    LineError,
    csv_number,
    json_number,
    short,
)
from streamcell.runtime.sources.readings import Readings

__all__ = ["Format", "LineParser", "OnError"]

OnError: TypeAlias = Literal["stop", "skip"]
Format: TypeAlias = Literal["auto", "csv", "jsonl"]

_PART = 1 << 18  # bytes that are parsed at once, at most
_LONGEST = 1 << 20  # bytes of a line
_FEW = 1000  # bytes of lines that are faster read one by one than all at once
_MOST_NUMBERS = 10  # of skipped lines that are remembered
_SKIP = 'Correct the line, or have such lines left out and counted with on_error="skip" (--on-error skip).'
_FIRST = (
    "The first line decides what the columns are, separated by comma, semicolon or tab: correct it, or name other "
    "channels, in the model's order (--channels)."
)
_decode = json.JSONDecoder(parse_int=float).decode


class LineParser:
    r"""Turn bytes into readings, as soon as a line is whole.

    Args:
        name: What errors call the source.
        channels: Names, in the model's order.
        time: Name of the column of timestamps, or None.
        on_error: ``"stop"`` or ``"skip"``, as for `Lines`.
        format: ``"csv"``, ``"jsonl"`` or ``"auto"``.
        live: The lines come from something that runs and may begin anew: a header may come again at any time, and
            with ``"skip"`` there may be other text before the first one.
        cut: The first line may be the rest of one. It is left out and counted, without an error, unless it surely is
            whole: a header or JSON. The rest of a number is a number too.

    Attributes:
        given: How many readings were given.
        skipped: How many lines were left out.
        skipped_lines: The numbers of the first ten of them, counted from 1.

    Raises:
        InputError: If an argument does not fit.

    Examples:
        >>> parser = LineParser("it", ["ax", "ay"])
        >>> [block.values.tolist() for part in (b"1,2\n3", b",4\n5,", b"6") for block in parser.feed(part)]
        [[[1.0, 2.0]], [[3.0, 4.0]]]
        >>> [block.values.tolist() for block in parser.finish()]
        [[[5.0, 6.0]]]
    """

    def __init__(
        self,
        name: str,
        channels: Sequence[str],
        time: str | None = None,
        on_error: OnError = "stop",
        format: Format = "auto",  # noqa: A002 - the command's word
        *,
        live: bool = False,
        cut: bool = False,
    ) -> None:
        self._finder = ColumnFinder(channels, time)
        if on_error not in ("stop", "skip") or format not in ("auto", "csv", "jsonl"):
            raise InputError(
                f"expected on_error 'stop' or 'skip' and format 'auto', 'csv' or 'jsonl'; got {on_error!r}, {format!r}"
            )
        self._name, self._skips, self._live, self._cut = name, on_error == "skip", live, cut
        self._format = None if format == "auto" else format == "jsonl"
        self._json = self._format
        self._columns: Columns | None = None
        self._objects = False  # JSON lines are objects
        self._separator = ","
        self._rest, self._dropping = bytearray(), False  # of a line; whether it is too long already
        self._line = self.given = self.skipped = 0
        self.skipped_lines: list[int] = []

    @property
    def has_columns(self) -> bool:
        """Whether a header or a reading has said what the columns are."""
        return self._columns is not None

    def feed(self, data: bytes) -> Iterator[Readings]:
        """Take bytes; yield the readings whose lines are whole now.

        Raises:
            SourceError: After the readings before it: if a line is none, or is longer than 1 MiB, has more than 10,000
                columns or is not UTF-8.
        """
        for begin in range(0, len(data), _PART):
            for lines in self._whole(data[begin : begin + _PART]):
                yield from self._too_long() if lines is None else self._parse(lines)

    def finish(self) -> Iterator[Readings]:
        """Yield what the last line gives, which has no end.

        Raises:
            SourceError: As in `feed`.
        """
        if self._dropping:
            yield from self._too_long()
        elif self._rest:
            yield from self._parse(bytes(self._rest) + b"\n")

    def _whole(self, data: bytes) -> list[bytes | None]:
        """Return whole lines, many at a time, each with its end, and None for one that is too long."""
        found: list[bytes | None] = []
        end = data.rfind(b"\n") + 1
        if end:
            first = data.index(b"\n") + 1
            if self._dropping or len(self._rest) + first - 1 > _LONGEST:
                found = [None, data[first:end]]
            else:
                found = [bytes(self._rest) + data[:end]]
            self._rest, self._dropping = bytearray(), False
        self._rest += b"" if self._dropping else data[end:]
        if len(self._rest) > _LONGEST:
            self._rest, self._dropping = bytearray(), True
        return found

    def _parse(self, lines: bytes) -> Iterator[Readings]:
        begin = 0
        while begin < len(lines) and self._columns is None:
            end = lines.index(b"\n", begin)
            yield from self._each([lines[begin:end]])
            begin = end + 1
        lines = lines[begin:]
        if not lines:
            return
        rows = None if self._json or len(lines) < _FEW else self._quick(lines)
        if rows is None:
            yield from self._each(lines[:-1].split(b"\n"))
        else:
            self._line += len(rows)
            yield self._readings(rows)

    def _quick(self, lines: bytes) -> NDArray[np.float64] | None:
        """Read CSV all at once, if nothing is odd about any line; return rows `[n, wanted]`."""
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

    def _each(self, lines: list[bytes]) -> Iterator[Readings]:
        """Read line by line."""
        rows: list[list[float]] = []
        failed: SourceError | None = None
        for line in lines:
            self._line += 1
            try:
                row = self._row(line)
            except LineError as error:
                failed = self._refuse(error)
                if failed is not None:
                    break
            else:
                rows += [row] if row else []
        if rows:
            yield self._readings(np.array(rows))
        if failed is not None:
            raise failed

    def _readings(self, rows: NDArray[np.float64]) -> Readings:
        self.given += len(rows)
        timed = self._columns is not None and self._columns.scale is not None
        with np.errstate(over="ignore"):
            values = rows[:, int(timed) :].astype(np.float32)
        return Readings(np.ascontiguousarray(rows[:, 0]) if timed else None, np.ascontiguousarray(values))

    def _too_long(self) -> Iterator[Readings]:
        self._line += 1
        failed = self._refuse(LineError(f"it is longer than {_LONGEST} bytes"))
        if failed is not None:
            raise failed
        yield from ()

    def _refuse(self, error: LineError) -> SourceError | None:
        """Count a line that is left out, or return the error that ends the iteration."""
        later = self._json or self._columns is not None
        if self._may_be_cut() or (self._live and self._skips and self._columns is None):  # a board's words at its start
            self._json = self._format
        elif not (later and self._skips):
            place = f", column {error.column!r}" if error.column else ""
            return SourceError(f"{self._name}, line {self._line}{place}: {error}. {_SKIP if later else _FIRST}")
        self.skipped += 1
        if self.skipped <= _MOST_NUMBERS:
            self.skipped_lines.append(self._line)
        return None

    def _may_be_cut(self) -> bool:
        return self._cut and self._line == 1

    def _row(self, line: bytes) -> list[float] | None:
        """Return the time, if there are times, and the channels' values; None for a header or an empty line."""
        try:
            text = line.decode()
        except UnicodeDecodeError as error:
            raise LineError(
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
            return self._of_first(text)
        cells = self._cells(text)
        try:
            if len(cells) != len(columns.names):
                raise LineError(f"expected {len(columns.names)} columns, got {len(cells)}: {short(text)}")  # noqa: TRY301
            return columns.row([cells[place] for place in columns.wanted], csv_number)
        except LineError:
            if not (self._live and self._finder.is_header(cells)):
                raise
        self._columns = self._finder.of_other_names(cells, columns)
        return None

    def _of_first(self, text: str) -> list[float] | None:
        """Read the line of CSV that decides what the columns are."""
        self._separator = next((mark for mark in "\t;" if mark in text), ",")
        cells = self._cells(text)
        columns, header = self._finder.of_first(cells)
        if not header and self._may_be_cut():
            raise LineError("it may be the rest of a line")
        self._columns = columns
        return None if header else columns.row(cells, csv_number)

    def _cells(self, text: str) -> list[str]:
        if text.count(self._separator) >= MOST_COLUMNS:
            raise LineError(f"it has more than {MOST_COLUMNS} columns")
        if '"' not in text:
            return text.split(self._separator)
        try:
            return next(csv.reader([text.rstrip("\r")], delimiter=self._separator))
        except csv.Error as error:
            raise LineError(f"expected CSV, got {short(text)} ({error})") from error

    def _of_json(self, text: str) -> list[float]:
        if text.count(",") >= MOST_COLUMNS:
            raise LineError(f"it has more than {MOST_COLUMNS} columns")
        try:
            value = _decode(text)
        except (ValueError, RecursionError) as error:
            raise LineError(f"expected JSON, got {short(text)}") from error
        objects = isinstance(value, dict) if self._columns is None else self._objects
        if isinstance(value, dict) and objects:
            return self._of_object(value)
        if isinstance(value, list) and not objects:
            return self._of_array(value)
        before = "an object or an array" if self._columns is None else "an object" if objects else "an array"
        raise LineError(f"expected {before}{' as before' if self._columns else ''}, got {short(text)}")

    def _of_array(self, cells: list[Any]) -> list[float]:
        columns = self._finder.of_count(len(cells)) if self._columns is None else self._columns
        if len(cells) != len(columns.names):
            raise LineError(f"expected {len(columns.names)} numbers, got {len(cells)}")
        row = columns.row(cells, json_number)
        self._columns = columns
        return row

    def _of_object(self, value: dict[str, Any]) -> list[float]:
        columns = self._columns
        try:
            cells = [value[key] for key in columns.wanted] if columns else []
        except KeyError:
            cells = []
        if not columns or not cells:
            columns = self._finder.of_keys(list(value), columns)
            cells = [value[key] for key in columns.wanted]
        row = columns.row(cells, json_number)
        self._columns, self._objects = columns, True
        return row
