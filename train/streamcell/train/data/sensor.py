"""The sensor data that a recipe names: read, checked, split by who or what was recorded."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from streamcell.runtime.errors import InputError, SourceError
from streamcell.train.data.csv_recordings import read_csv_recordings
from streamcell.train.data.csv_sequences import read_csv_sequences
from streamcell.train.data.groups import MOST_NAMES, check_groups
from streamcell.train.data.hapt import read_hapt
from streamcell.train.data.recording import UNSAID, Recording, SensorData

__all__ = ["UNSAID", "Recording", "SensorData", "read_sensor", "split"]


def read_sensor(
    format: Literal["recordings", "sequences", "hapt"],  # noqa: A002 - the recipe's word
    path: Path,
    *,
    sample_rate: int,
    channels: Sequence[str] = (),
    units: Sequence[str] = (),
    labels: Sequence[str] = (),
    label: str = "label",
) -> SensorData:
    """Read sensor data with labels.

    Args:
        format: `"recordings"`, see `read_csv_recordings`; `"sequences"`, see `read_csv_sequences`; `"hapt"`, see
            `read_hapt`.
        path: Folder or file.
        sample_rate: Hz, of the data.
        channels: Names; empty where the format has its own.
        units: One a channel; empty for the format's own, or none.
        labels: Names, in the order of the indices; empty for all that the data has.
        label: Column of the labels in `"recordings"`.

    Raises:
        InputError: an argument does not fit.
        SourceError: there is no such file, or what it holds does not fit; file and line are named.
    """
    for name, names in (("channels", channels), ("labels", labels)):
        if len(set(names)) < len(names) or not all(names):
            raise InputError(f"{name} must be names that differ, got {list(names)}")
    if not path.exists():
        raise SourceError(f"expected sensor data at {path}, found nothing; give the folder that holds it as --data")
    if format == "hapt":
        data = read_hapt(path, sample_rate=sample_rate, channels=channels, units=units, labels=labels)
    elif format == "sequences":
        data = read_csv_sequences(path, sample_rate=sample_rate, channels=channels, units=units, labels=labels)
    elif format == "recordings":
        data = read_csv_recordings(
            path, sample_rate=sample_rate, channels=channels, units=units, labels=labels, label=label
        )
    else:
        raise InputError(f"expected the format 'recordings', 'sequences' or 'hapt', got {format!r}")
    _check(data)
    return data


def split(
    data: SensorData, validation_groups: Sequence[str], test_groups: Sequence[str] = ()
) -> tuple[list[Recording], list[Recording]]:
    """Return what to train on and what to validate on; recordings of `test_groups` are in neither.

    Raises:
        InputError: a group is not in the data or named twice, or no labelled sample is left to train or validate on.
    """
    held, test = set(validation_groups), set(test_groups)
    there = list(dict.fromkeys(one.group for one in data.recordings))
    check_groups(there, validation_groups, test_groups)
    training = [one for one in data.recordings if one.group not in held | test]
    validation = [one for one in data.recordings if one.group in held]
    for part, purpose, advice in (
        (training, "train", "hold fewer groups out"),
        (validation, "validate", f"hold some of the groups out: validation_groups = [...], of {there[:MOST_NAMES]}"),
    ):
        if not any((one.labels != UNSAID).any() for one in part):
            raise InputError(f"no labelled samples are left to {purpose} on; {advice}")
    return training, validation


def _check(data: SensorData) -> None:
    """Refuse what no network can be trained on."""
    if data.units and len(data.units) != len(data.channels):
        raise InputError(
            f"expected units for each of the channels {list(data.channels)}, or none; got {list(data.units)}"
        )
    if not data.labels:
        raise SourceError("nothing in the data has a label, so there is nothing to learn; label some of it")
    for one in data.recordings:
        bad = np.argwhere(~np.isfinite(one.values))
        if len(bad):
            row, column = bad[0].tolist()
            raise SourceError(
                f"{one.name}: sample {row + 1} of {data.channels[column]!r} is {one.values[row, column]}; expected "
                "numbers that are finite in float32; correct it, or cut the recording there"
            )
