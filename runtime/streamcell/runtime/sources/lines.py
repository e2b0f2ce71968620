"""Readings of sensors as lines of text, CSV or JSON, from a file or a pipe, as soon as they are there."""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from streamcell.runtime.errors import InputError, SourceError
from streamcell.runtime.sources.line_parser import Format, LineParser, OnError
from streamcell.runtime.sources.line_source import LineSource
from streamcell.runtime.sources.readings import Readings

__all__ = ["Lines"]

_CHUNK = 1 << 18  # bytes of one read at most


class Lines(LineSource):
    r"""Iterate over the readings in lines of text, in blocks that are given as soon as their lines are there.

    A line is CSV (separated by comma, semicolon or tab, with decimal points) or JSON (an object, or an array). A header
    or the keys of objects are mapped to the channels in any order, capitals or not; other columns are ignored. Without
    a header, and in arrays, the columns are the channels in order, with the time before them if there is one more.
    Empty lines are nothing. ``nan`` and ``inf`` are numbers, for `Regular` to judge.

    Lines are read once; a second iteration goes on where the first was left. Use it as a context manager, or `close`.
    Closed from another thread or a signal handler, the iteration ends with the next bytes, or the end, of a pipe that
    it waits for.

    Args:
        source: A file's path, ``"-"`` for standard input, or an open binary stream, which is left open.
        channels: Names, in the model's order.
        time: Name of the column of timestamps; None for the one called time, timestamp, ts or t, if there is one. They
            are seconds, or what the name ends with (``time_ms``, ``timestamp_us``, ``t(ns)``), or ISO 8601 text (in
            UTC where it names no zone).
        on_error: What a line that is no reading is: ``"stop"``: an error, after the readings before it were given;
            ``"skip"``: left out and counted. What is wrong with the header or first line always is an error.
        format: ``"csv"``, ``"jsonl"``, or ``"auto"`` to see from the first line.

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
        on_error: OnError = "stop",
        format: Format = "auto",  # noqa: A002 - the command's word
    ) -> None:
        self._name = _name(source)
        super().__init__(LineParser(self._name, channels, time, on_error, format))
        self._stream, self._owned = _open(source)

    def _shut(self) -> None:
        if self._owned:
            self._stream.close()

    def _pull(self) -> Iterator[Readings]:
        while chunk := self._read():
            yield from self._parser.feed(chunk)
        if self._closed:
            return
        yield from self._parser.finish()
        if not self._parser.given:
            raise SourceError(f"{self._name} {self._nothing()}")

    def _nothing(self) -> str:
        if self.skipped:
            return f"holds no reading: all its lines were left out, {self.skipped} of them; on_error='stop' says why"
        if self._parser.has_columns:
            return "holds a header, but no readings after it"
        return "is empty; it should hold lines of CSV or JSON"

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


def _name(source: str | Path | BinaryIO) -> str:
    if source == "-":
        return "standard input"
    if isinstance(source, str | Path):
        return str(source)
    if not hasattr(source, "read"):
        raise InputError(f"expected a path, '-' or an open binary stream; got {type(source).__name__}")
    name = getattr(source, "name", None)
    return name if isinstance(name, str) else "the stream"


def _open(source: str | Path | BinaryIO) -> tuple[Any, bool]:
    """Return the stream, and whether it was opened here."""
    if source == "-":
        stream = getattr(sys.stdin, "buffer", None)
        if stream is None:
            raise SourceError("there is no standard input to read from; name a file")
        return stream, False
    if not isinstance(source, str | Path):
        return source, False
    try:
        if Path(source).is_dir():
            raise SourceError(f"{source} is a folder; name the file in it")
        return Path(source).open("rb", buffering=0), True
    except FileNotFoundError as error:
        raise SourceError(f"no such file: {source}") from error
    except (OSError, ValueError) as error:
        raise SourceError(f"cannot read {source}: {error}") from error
