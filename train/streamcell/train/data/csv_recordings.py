"""Continuous recordings as CSV files with a header, in a folder: channels, labels, maybe times and a group."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from streamcell.runtime.errors import SourceError
from streamcell.runtime.sources import Lines
from streamcell.train.data.recording import (
    UNSAID,
    Labels,
    Recording,
    SensorData,
    Values,
    grid_runs,
    need_channels,
)

NOBODY_SAYS = ("", "-")
GROUPS = ("group", "subject")
RATE_SLACK = 0.2  # share by which the rate of times may differ from the sample rate
_HOLE = 5  # intervals, as in `Regular`: longer ones are no part of the rate


@dataclass(frozen=True, slots=True)
class _Words:
    """The text columns of a file: its group ('' where no column says), and for each reading line and label."""

    group: str
    lines: list[int]
    labels: list[str]


def read_csv_recordings(
    path: Path,
    *,
    sample_rate: int,
    channels: Sequence[str],
    units: Sequence[str] = (),
    labels: Sequence[str] = (),
    label: str = "label",
) -> SensorData:
    """Read every CSV file below a folder, each one recording.

    The numbers are read as `Lines` reads them: separated by comma, semicolon or tab, channels found by their names in
    the header, with the time in a column called time, timestamp, ts or t, if there is one (`time_ms`: milliseconds).
    Times must rise at `sample_rate`, give or take 20%; the readings are brought onto its regular grid as the runtime
    does it, and where more than 4 points in a row are lost, a further recording begins. Files without times are taken
    to be regular.

    The group of a file is what its column `group` or `subject` says throughout; without one, the first folder below
    `path` that the file lies in, or else the file's name.

    Args:
        path: The folder.
        sample_rate: Hz.
        channels: Names of columns.
        units: One a channel, or empty.
        labels: All labels that there are; empty for those in the files, sorted.
        label: Column of the labels; an empty cell or `-` says that nobody knows.

    Raises:
        InputError: There are no channels.
        SourceError: A file cannot be read, or what it holds does not fit.
    """
    names = need_channels(channels, "recordings")
    files = sorted(file for file in path.rglob("*") if file.suffix.lower() == ".csv" and file.is_file())
    if not files:
        raise SourceError(f"expected CSV files with a header in the folder {path}, found none")
    texts = [_read_words(file, label, names) for file in files]
    found = {word for words in texts for word in words.labels}.difference(NOBODY_SAYS)
    index = {name: number for number, name in enumerate(tuple(labels) or sorted(found))}
    recordings: list[Recording] = []
    for file, words in zip(files, texts, strict=True):
        inner = file.relative_to(path)
        group = words.group or (inner.parts[0] if len(inner.parts) > 1 else inner.stem)
        numbers = _indices(words, index, file)
        recordings += _read(file, inner.with_suffix("").as_posix(), group, words.lines, numbers, names, sample_rate)
    return SensorData(names, tuple(units), tuple(index), sample_rate, tuple(recordings))


def _read_words(file: Path, label: str, channels: Sequence[str]) -> _Words:
    try:
        lines = file.read_bytes().decode("utf-8-sig").split("\n")  # as `Lines` counts them
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(f"cannot read {file} as CSV: {error}") from error
    numbers = [number for number, line in enumerate(lines, 1) if line.strip()]
    if len(numbers) < 2:
        raise SourceError(f"{file} holds no readings; it should hold a header and a reading a line")
    header = lines[numbers[0] - 1]
    separator = next((mark for mark in "\t;" if mark in header), ",")
    where = f"{file}, line"
    names = [cell.strip() for cell in _cells(header, separator, f"{where} {numbers[0]}")]
    folded = [name.casefold() for name in names]
    if folded.count(label.casefold()) != 1:
        raise SourceError(
            f"{where} {numbers[0]}: expected a header with one column {label!r} for the labels, got {names[:20]}; "
            'name another in the recipe: label = "..."'
        )
    used = {label.casefold(), *(name.casefold() for name in channels)}
    places = [folded.index(name) for name in GROUPS if name in folded and name not in used][:1]
    rows = [_cells(lines[number - 1], separator, f"{where} {number}") for number in numbers[1:]]
    for number, row in zip(numbers[1:], rows, strict=True):
        if len(row) != len(names):
            raise SourceError(f"{where} {number}: expected {len(names)} columns as in the header, got {len(row)}")
    place = folded.index(label.casefold())
    group = _one_group(file, numbers[1:], [row[places[0]].strip() for row in rows]) if places else ""
    return _Words(group, numbers[1:], [row[place].strip() for row in rows])


def _cells(line: str, separator: str, where: str) -> list[str]:
    if '"' not in line:
        return line.split(separator)
    try:
        return next(csv.reader([line.rstrip("\r")], delimiter=separator))
    except csv.Error as error:
        raise SourceError(f"{where}: expected CSV, got {line[:40]!r} ({error})") from error


def _one_group(file: Path, lines: list[int], groups: list[str]) -> str:
    for line, group in zip(lines, groups, strict=True):
        if group != groups[0] or not group:
            raise SourceError(
                f"{file}, line {line}: expected one group throughout a file, got {group!r} after {groups[0]!r}; "
                "write a file for each"
            )
    return groups[0]


def _indices(words: _Words, index: dict[str, int], file: Path) -> NDArray[np.int64]:
    known = {**index, **dict.fromkeys(NOBODY_SAYS, UNSAID)}
    for line, word in zip(words.lines, words.labels, strict=True):
        if word not in known:
            raise SourceError(
                f"{file}, line {line}: expected one of the recipe's labels {list(index)}, or nothing where nobody "
                f"knows; got {word[:40]!r}"
            )
    return np.array([known[word] for word in words.labels], np.int64)


def _read(
    file: Path, name: str, group: str, lines: list[int], labels: Labels, channels: Sequence[str], sample_rate: int
) -> list[Recording]:
    with Lines(file, channels, format="csv") as source:
        blocks = list(source)
    values = np.concatenate([block.values for block in blocks])
    stamps = [block.times for block in blocks if block.times is not None]
    _check_finite(file, lines, values, channels)
    if not stamps:
        return [Recording(name, group, values, labels)]
    times = np.concatenate(stamps)
    _check_times(file, lines, times, sample_rate)
    middles = (times[1:] + times[:-1]) / 2
    recordings: list[Recording] = []
    for start, rows in grid_runs(times, values, sample_rate):
        nearest = np.searchsorted(middles, start + np.arange(len(rows)) / sample_rate)
        part = f" ({len(recordings) + 1})" if recordings else ""
        recordings.append(Recording(name + part, group, rows, labels[nearest]))
    return recordings


def _check_finite(file: Path, lines: list[int], values: Values, channels: Sequence[str]) -> None:
    bad = np.argwhere(~np.isfinite(values))
    if len(bad):
        row, column = bad[0].tolist()
        raise SourceError(
            f"{file}, line {lines[row]}, column {channels[column]!r}: expected a number that is finite in float32, "
            f"got {values[row, column]}; leave such lines out where there are times, or cut the file there"
        )


def _check_times(file: Path, lines: list[int], times: NDArray[np.float64], sample_rate: int) -> None:
    steps = np.diff(times)
    back = np.flatnonzero(~(steps > 0))
    if len(back) or not np.isfinite(times).all():
        row = int(back[0]) + 1 if len(back) else 0
        raise SourceError(
            f"{file}, line {lines[row]}: expected times that rise, got {times[row]:g} s"
            f"{f' after {times[row - 1]:g} s' if row else ''}; sort the lines and leave out what repeats"
        )
    if not len(steps):
        return
    rate = 1 / float(np.mean(steps[steps <= max(_HOLE / sample_rate, float(np.median(steps)))]))
    if abs(rate / sample_rate - 1) > RATE_SLACK:
        raise SourceError(
            f"{file}: the readings come at {rate:.4g} Hz, the recipe says sample_rate = {sample_rate}; set it to what "
            "the files have, or resample them"
        )
