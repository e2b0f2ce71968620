"""Lists of recordings: lines on standard input, or a manifest in JSON lines or CSV."""

import csv
import io
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from streamcell.runtime.errors import InputError

__all__ = ["Named", "read_lines", "read_manifest"]

_KEYS = ("audio", "file", "path", "audio_filepath")


@dataclass(frozen=True, slots=True)
class Named:
    """Hold what the user named: a file or a folder.

    Attributes:
        path: As it can be opened from here.
        id: Its name among the results, or None for one made of the path.
        given: The path as it was written, where that differs.
    """

    path: str
    id: str | None = None
    given: str | None = None


def read_lines(stream: BinaryIO, *, null: bool = False) -> list[Named]:
    r"""Read one path a line; any bytes but the line's end belong to the name.

    Args:
        stream: Where from.
        null: Whether a NUL ends a name instead, as ``find -print0`` writes them.

    Raises:
        InputError: If there are NULs where none are meant.

    Examples:
        >>> import io
        >>> [named.path for named in read_lines(io.BytesIO(b"a b.wav\r\n\nc.wav"))]
        ['a b.wav', 'c.wav']
    """
    data = stream.read()
    if null:
        names = data.split(b"\0")
    elif b"\0" in data:
        raise InputError("the list has NUL characters; if they end the names, say --null")
    else:
        names = [line.removesuffix(b"\r") for line in data.split(b"\n")]
    return [Named(os.fsdecode(name)) for name in names if name]


def read_manifest(path: str | Path) -> list[Named]:
    """Read a manifest: JSON lines, or CSV (TSV) with a header.

    The recording is under ``audio``, ``file``, ``path`` or ``audio_filepath``, below the manifest's own folder where it
    is no absolute path. ``id``, if there is one, becomes its name among the results. Everything else is not read.

    Raises:
        InputError: If the file cannot be read, or an entry names no recording; the message says which line.
    """
    try:
        with Path(path).open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            text = file.read()
    except OSError as error:
        raise InputError(f"cannot read the list {path}: {error.strerror}") from error
    rows = _json_rows(text) if text.lstrip().startswith("{") else _csv_rows(text)
    folder = Path(path).parent
    try:
        return [_named(row, folder, line) for line, row in rows]
    except (ValueError, csv.Error) as error:
        raise InputError(f"the list {path} cannot be used: {error}") from error


def _json_rows(text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    for line, row in enumerate(text.split("\n"), 1):
        if row.strip():
            try:
                values = json.loads(row)
            except ValueError as error:
                raise ValueError(f"line {line} is no JSON ({error})") from error
            if not isinstance(values, dict):
                raise ValueError(f"line {line} is no JSON object")
            yield line, values


def _csv_rows(text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    header = text.partition("\n")[0]
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter="\t" if "\t" in header else ",")
    columns: Iterable[str] = reader.fieldnames or ()
    if not set(_KEYS) & set(columns):
        raise ValueError(f"expected JSON objects, or a CSV header with one of {', '.join(_KEYS)}; got {header[:80]!r}")
    for row in reader:
        yield reader.line_num, row


def _named(row: dict[str, Any], folder: Path, line: int) -> Named:
    given = next((row[key] for key in _KEYS if row.get(key)), None)
    name = row.get("id")
    if not isinstance(given, str) or "\0" in given:
        raise ValueError(f"line {line} names no recording; expected a path under one of {', '.join(_KEYS)}")
    if name is not None and not isinstance(name, str | int):
        raise ValueError(f"the id in line {line} is neither text nor a whole number: {name!r}")
    return Named(str(folder / given), None if name in (None, "") else str(name), given)
