"""Short sequences in one CSV file, one a row: a class, then the points."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from streamcell.runtime.errors import SourceError
from streamcell.train.data.recording import Recording, SensorData, need_channels

BLOCK = 32  # rows
_MOST_NAMES = 5  # of files in a message


def read_csv_sequences(
    path: Path, *, sample_rate: int, channels: Sequence[str], units: Sequence[str] = (), labels: Sequence[str] = ()
) -> SensorData:
    """Read a CSV file without header: each row a class (0, 1, ...) and the points of a sequence (x0, y0, x1, y1, ...).

    Each row is a recording, all its samples have its label. Rows of such files are often cut from one long movement, a
    point or some further each, so that neighbours overlap, and a split by rows would train on what it validates on.
    Groups are blocks of 32 rows in the file's order, named `block 000` and so on: hold out long runs of blocks, and do
    not score their first and last.

    Args:
        path: The file.
        sample_rate: Hz, of the points.
        channels: Names of the numbers of a point.
        units: One a channel, or empty.
        labels: Names of the classes; empty for their numbers.

    Raises:
        InputError: There are no channels.
        SourceError: The file cannot be read, or a row is no sequence.
    """
    names = need_channels(channels, "sequences")
    if path.is_dir():
        there = ", ".join(sorted(file.name for file in path.glob("*.csv"))[:_MOST_NAMES]) or "none"
        raise SourceError(
            f'expected one CSV file with a sequence a row (format "sequences"), got the folder {path}; name the file '
            f'in the recipe (CSV files there: {there}), or say format = "recordings" for a folder of recordings'
        )
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(f"cannot read {path} as CSV: {error}") from error
    most = len(labels) or len(lines)
    rows = [
        (number, *_row(line, f"{path}, line {number}", len(names), most))
        for number, line in enumerate(lines, 1)
        if line.strip()
    ]
    if not rows:
        raise SourceError(f"{path} is empty; it should hold a sequence a row: class, then the points")
    recordings = tuple(
        Recording(
            f"row {number}",
            f"block {place // BLOCK:03}",
            points.astype(np.float32),
            np.full(len(points), kind, np.int64),
        )
        for place, (number, kind, points) in enumerate(rows)
    )
    found = tuple(labels) or tuple(str(kind) for kind in range(max(kind for _, kind, _ in rows) + 1))
    return SensorData(names, tuple(units), found, sample_rate, recordings)


def _row(line: str, where: str, width: int, classes: int) -> tuple[int, NDArray[np.float64]]:
    """Return class and points `[T, width]`."""
    numbers: list[float] = []
    cells = line.split(",")
    for column, cell in enumerate(cells, 1):
        try:
            numbers.append(float(cell))
        except ValueError as error:
            raise SourceError(f"{where}, column {column}: expected a number, got {cell.strip()[:40]!r}") from error
    kind, points = numbers[0], np.array(numbers[1:])
    if not (kind.is_integer() and 0 <= kind < classes):
        raise SourceError(f"{where}, column 1: expected the number of a class, 0 to {classes - 1}, got {kind:g}")
    if not len(points) or len(points) % width:
        raise SourceError(f"{where}: expected a class and points of {width} numbers each, got {len(points)} numbers")
    return int(kind), points.reshape(-1, width)
