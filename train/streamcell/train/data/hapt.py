"""The corpus HAPT: a phone at the waist of people, six activities and the changes of posture between them, 50 Hz.

Reyes-Ortiz, Oneto, Sama, Parra, Anguita: Transition-Aware Human Activity Recognition Using Smartphones,
Neurocomputing 171, 2016 (UCI data set 341). Its terms forbid commercial use.
"""

from __future__ import annotations

import re
import zipfile
import zlib
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import msgspec
import numpy as np

from streamcell.runtime.errors import InputError, SourceError
from streamcell.train.data.recording import UNSAID, Labels, Recording, SensorData, Values

CHANNELS = ("acc_x", "acc_y", "acc_z", "gyro_x", "gyro_y", "gyro_z")
UNITS = ("g", "g", "g", "rad/s", "rad/s", "rad/s")
SAMPLE_RATE = 50
SLACK = SAMPLE_RATE  # rows by which accelerometer, gyroscope and labels of an experiment may differ in length

_Span = tuple[int, int, int, int]  # line of labels.txt, activity, first sample, end

_LABELS = "RawData/labels.txt"
_FILE = re.compile(r"(?:.*/)?RawData/acc_exp(\d+)_user(\d+)\.txt")
_ROW_MARKS = np.frombuffer(b"  \n", np.uint8)
_COMMAS = bytes.maketrans(b" \n", b",,")
_decode = msgspec.json.Decoder(list[float]).decode


def read_hapt(
    path: Path,
    *,
    sample_rate: int = SAMPLE_RATE,
    channels: Sequence[str] = (),
    units: Sequence[str] = (),
    labels: Sequence[str] = (),
) -> SensorData:
    """Read HAPT: one recording an experiment, the user's number its group.

    Where accelerometer and gyroscope differ by up to a second in length, the longer one is cut at its end; labels that
    reach beyond the recording by up to a second are cut too.

    Args:
        path: The archive as it is published (it is read in place), or the folder unpacked from it.
        sample_rate: Hz; must be 50.
        channels: Some of the six, in any order; empty for all.
        units: As published (g, rad/s), or empty.
        labels: Some of the activities, in lower case; the others count as unsaid (-1). Empty for all twelve.

    Raises:
        InputError: An argument does not fit.
        SourceError: The corpus is not there, or not as published.
    """
    with closing(_Files(path)) as files:  # first: what is wrong elsewhere matters once the corpus is there
        columns = _places(channels or CHANNELS, CHANNELS, "channels")
        own = tuple(UNITS[column] for column in columns)
        if sample_rate != SAMPLE_RATE or (units and tuple(units) != own):
            raise InputError(
                f"HAPT is recorded at {SAMPLE_RATE} Hz in units of {list(own)}; got {sample_rate} Hz, {list(units)}"
            )
        activities = _activities(files)
        chosen = _places(labels or activities, activities, "labels")
        index = np.full(len(activities), UNSAID, np.int64)
        index[chosen] = np.arange(len(chosen))
        spans = _spans(files, len(activities))
        recordings = tuple(_recording(files, key, spans.pop(key, []), columns, index) for key in files.experiments())
    if spans:
        experiment, user = next(iter(spans))
        raise SourceError(f"{files.name(_LABELS)} labels experiment {experiment} of user {user}, which is not there")
    names = tuple(activities[place] for place in chosen)
    return SensorData(tuple(CHANNELS[column] for column in columns), own, names, SAMPLE_RATE, recordings)


class _Files:
    """The files of the corpus, in a folder or in an archive."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._archive = None if path.is_dir() else zipfile.ZipFile(path)
        except (OSError, zipfile.BadZipFile) as error:
            raise SourceError(f"cannot read {path} as the archive of HAPT: {error}") from error
        names = self._archive.namelist() if self._archive else self._listed()
        roots = [name.removesuffix(_LABELS) for name in names if name.endswith(_LABELS)]
        if len(roots) != 1:
            raise SourceError(
                f"expected HAPT (RawData/labels.txt, RawData/acc_exp01_user01.txt, ...) in {path}, found it "
                f"{len(roots)} times; give the archive, or the folder that holds RawData"
            )
        self._root = roots[0]
        self._names = sorted(name for name in names if name.startswith(f"{self._root}RawData/"))

    def _listed(self) -> list[str]:
        found = (file for folder in ("RawData", "*/RawData") for file in self._path.glob(f"{folder}/*.txt"))
        return [file.relative_to(self._path).as_posix() for file in found]

    def close(self) -> None:
        """Close the archive."""
        if self._archive:
            self._archive.close()

    def name(self, file: str) -> str:
        """Say where a file is."""
        return f"{self._path}/{self._root}{file}"

    def read(self, file: str) -> bytes:
        """Return what is in a file, with line feeds alone between the lines."""
        name = f"{self._root}{file}"
        try:
            data = self._archive.read(name) if self._archive else (self._path / name).read_bytes()
        except (OSError, KeyError, RuntimeError, zlib.error, zipfile.BadZipFile) as error:
            raise SourceError(f"cannot read {self.name(file)} of HAPT: {error}") from error
        return data.replace(b"\r\n", b"\n") if b"\r" in data else data

    def experiments(self) -> list[tuple[int, int]]:
        """Return (experiment, user) of each recording."""
        found = [_FILE.fullmatch(name) for name in self._names]
        return sorted((int(one[1]), int(one[2])) for one in found if one)


def _places(wanted: Sequence[str], there: Sequence[str], what: str) -> list[int]:
    if unknown := [name for name in wanted if name not in there]:
        raise InputError(f"HAPT has no {what} {unknown}; there are {list(there)}")
    return [there.index(name) for name in wanted]


def _activities(files: _Files) -> list[str]:
    """Return the names of the activities 1, 2, ... in lower case."""
    rows = [line.split() for line in files.read("activity_labels.txt").decode("utf-8", "replace").splitlines()]
    rows = [row for row in rows if row]
    if not rows or [row[0] for row in rows] != [str(number) for number in range(1, len(rows) + 1)]:
        raise SourceError(f"{files.name('activity_labels.txt')}: expected lines as '1 WALKING', numbered from 1")
    return [" ".join(row[1:]).lower() for row in rows]


def _spans(files: _Files, activities: int) -> dict[tuple[int, int], list[_Span]]:
    """Return the labelled stretches of each (experiment, user)."""
    spans: dict[tuple[int, int], list[_Span]] = {}
    for number, line in enumerate(files.read(_LABELS).decode("utf-8", "replace").split("\n"), 1):
        words = line.split()
        row = [int(word) for word in words if word.isdecimal()]
        if not words:
            continue
        if not len(words) == len(row) == 5 or not 1 <= row[2] <= activities or not 1 <= row[3] <= row[4]:
            raise SourceError(
                f"{files.name(_LABELS)}, line {number}: expected experiment, user, activity from 1 to {activities}, "
                f"first and last sample from 1; got {line[:80]!r}"
            )
        spans.setdefault((row[0], row[1]), []).append((number, row[2] - 1, row[3] - 1, row[4]))
    return spans


def _recording(files: _Files, key: tuple[int, int], spans: list[_Span], columns: list[int], index: Labels) -> Recording:
    name = "exp{:02}_user{:02}".format(*key)
    parts = [_numbers(files, f"RawData/{sensor}_{name}.txt") for sensor in ("acc", "gyro")]
    longest, rows = max(map(len, parts)), min(map(len, parts))
    if longest - rows > SLACK:
        raise SourceError(
            f"{files.name('RawData')}: accelerometer and gyroscope of {name} differ by more than {SLACK} rows: "
            f"{len(parts[0])} and {len(parts[1])}"
        )
    values = np.concatenate([part[:rows] for part in parts], axis=1)[:, columns]
    labels = np.full(rows, UNSAID, np.int64)
    taken = np.zeros(longest + SLACK, np.bool_)
    for number, activity, first, last in spans:
        if last > len(taken) or taken[first:last].any():
            raise SourceError(
                f"{files.name(_LABELS)}, line {number}: samples {first + 1} to {last} of {name} are labelled already, "
                f"or beyond its end at {rows}"
            )
        taken[first:last] = True
        labels[first:last] = index[activity]
    return Recording(name, str(key[1]), np.ascontiguousarray(values), labels)


def _numbers(files: _Files, file: str) -> Values:
    """Return three numbers a line, `[N, 3]`; as JSON they are read five times as fast as word by word."""
    data = files.read(file)
    codes = np.frombuffer(data, np.uint8)
    marks = codes[codes <= ord(" ")]
    if data and not len(marks) % 3 and (marks.reshape(-1, 3) == _ROW_MARKS).all() and data.endswith(b"\n"):
        try:
            return _float32(_decode(b"[" + data.translate(_COMMAS)[:-1] + b"]"))
        except msgspec.DecodeError:
            pass  # text, or a number as JSON does not write it
    numbers: list[float] = []
    for number, line in enumerate(data.decode("utf-8", "replace").rstrip("\n").split("\n"), 1):
        try:
            x, y, z = map(float, line.split())
        except ValueError as error:
            raise SourceError(
                f"{files.name(file)}, line {number}: expected three numbers (x, y, z), got {line[:80]!r}"
            ) from error
        numbers += (x, y, z)
    return _float32(numbers)


def _float32(numbers: list[float]) -> Values:
    with np.errstate(over="ignore"):
        return np.array(numbers, np.float32).reshape(-1, 3)
