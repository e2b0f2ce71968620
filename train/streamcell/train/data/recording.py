"""Recordings of sensors with a label for every sample: the values that training passes around."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamcell.runtime.errors import InputError
from streamcell.runtime.regular import Lost, Oddity, Regular

UNSAID = -1
"""The label of a sample that nobody labelled."""

Values = NDArray[np.float32]
Labels = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Recording:
    """One stretch of a sensor's signals without a hole.

    Attributes:
        name: Of the file or sequence, for people.
        group: Who or what recordings share that must not be split between training and validation: a person, a take.
        values: float32 `[N, C]`, at the sample rate of the data.
        labels: int64 `[N]`, indices of the data's labels, -1 where nobody says.
    """

    name: str
    group: str
    values: Values
    labels: Labels


@dataclass(frozen=True, slots=True, eq=False)
class SensorData:
    """All recordings of a corpus.

    Attributes:
        channels: Names, one a column of the values.
        units: One a channel, or empty.
        labels: Names, in the order of the indices.
        sample_rate: Hz.
        recordings: In the order of the files.
    """

    channels: tuple[str, ...]
    units: tuple[str, ...]
    labels: tuple[str, ...]
    sample_rate: int
    recordings: tuple[Recording, ...]

    @property
    def fingerprint(self) -> str:
        """Return a hash (SHA-256) of everything in it: equal data, equal fingerprint."""
        seen = hashlib.sha256(repr((self.channels, self.units, self.labels, self.sample_rate)).encode())
        for one in self.recordings:
            seen.update(repr((one.name, one.group, one.values.shape)).encode())
            seen.update(one.values.tobytes())
            seen.update(one.labels.tobytes())
        return seen.hexdigest()


def need_channels(channels: Sequence[str], form: str) -> tuple[str, ...]:
    """Return `channels`.

    Raises:
        InputError: there are none, and the format `form` does not say any itself.
    """
    if not channels:
        raise InputError(
            f'data of the format "{form}" does not say its channels; name them in the recipe: channels = ["acc_x", ...]'
        )
    return tuple(channels)


def grid_runs(times: NDArray[np.float64], values: Values, sample_rate: int) -> list[tuple[float, Values]]:
    """Bring readings onto the regular grid as the runtime's `Regular` does, cut where more than 4 points are lost.

    Args:
        times: `[n]`, seconds, rising.
        values: `[n, C]`.
        sample_rate: Hz, of the grid, which begins at the first time.

    Returns:
        For each run without a hole: the time of its first row, and its rows `[m, C]`.

    Examples:
        >>> times = np.array([0.0, 1.0, 3.0, 9.0, 10.0])
        >>> [(start, rows.ravel().tolist()) for start, rows in grid_runs(times, np.float32(times)[:, None], 1)]
        [(0.0, [0.0, 1.0, 2.0, 3.0]), (9.0, [9.0, 10.0])]
    """
    origin, point, fresh = float(times[0]), 0, True
    runs: list[tuple[float, list[Values]]] = []
    for item in Regular(sample_rate, values.shape[1]).push(times, values):
        if isinstance(item, Lost):
            point, fresh = point + item.samples, True
        elif isinstance(item, Oddity):
            if item.kind == "jump":  # a hole of more than an hour: the grid begins anew
                origin, point = item.time, 0
        else:
            if fresh:
                runs.append((origin + point / sample_rate, []))
            runs[-1][1].append(item)
            point, fresh = point + len(item), False
    return [(start, np.concatenate(rows)) for start, rows in runs]
