"""Changes to recordings of motion that other people, phones and radios make too."""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from streamcell.runtime.errors import InputError
from streamcell.train.data.recording import Labels, Recording, Values, grid_runs

MEAN_LOSS = 4  # samples that are lost in a row, on average

_RATE = 1024  # Hz, of a clock on which every sample lies exactly


class Motion(Protocol):
    """How strongly a recording is changed; with 0 everywhere, and speeds of 1, not at all."""

    @property
    def rotation(self) -> float:
        """Standard deviation of the angle by which the device sits otherwise, rad."""

    @property
    def scale(self) -> float:
        """Standard deviation of the logarithm of each channel's factor."""

    @property
    def jitter(self) -> float:
        """White noise on every sample, in standard deviations of its channel."""

    @property
    def offset(self) -> float:
        """Standard deviation of each channel's constant, in standard deviations of the channel."""

    @property
    def dropped(self) -> float:
        """Largest share of samples that are lost on the way."""

    @property
    def speed(self) -> tuple[float, float]:
        """Lowest and highest factor of speed."""


def change(recording: Recording, rng: np.random.Generator, settings: Motion) -> Recording:
    """Return a changed copy of `recording`, everything drawn from `rng`.

    In this order: speed, rotation, scale, offset, jitter, loss; as the movement, the device's place, its errors, its
    radio follow each other.

    Raises:
        InputError: The speeds are not a lowest and a highest above 0, or every sample may be lost.
    """
    slowest, fastest = settings.speed
    if not 0 < slowest <= fastest or not 0 <= settings.dropped < 1:
        raise InputError(
            f"expected speed = [lowest, highest], both above 0, and dropped from 0 to below 1; "
            f"got {list(settings.speed)} and {settings.dropped}"
        )
    values, labels = stretch(recording.values, recording.labels, float(rng.uniform(slowest, fastest)))
    if settings.rotation and values.shape[1] % 3:
        raise InputError(
            f"rotation turns sensors of three channels each, in the order of channels; got {values.shape[1]} channels: "
            "leave rotation out of the recipe's [augment]"
        )
    if settings.rotation:
        values = rotate(values, random_rotation(settings.rotation, rng))
    values = scale(values, settings.scale, rng)
    spread = values.std(axis=0)
    values = add_offset(values, settings.offset * spread, rng)
    values = add_jitter(values, settings.jitter * spread, rng)
    if settings.dropped:
        values, labels = lose(values, labels, float(rng.uniform(0, settings.dropped)), rng)
    return replace(recording, values=values, labels=labels)


def stretch(values: Values, labels: Labels, factor: float) -> tuple[Values, Labels]:
    """Return values `[N, C]` and labels `[N]` `factor` times as fast, about `N / factor` of them.

    Values lie on the line between their neighbours; a label is the nearest one. Accelerations and turning rates are not
    made larger, as they would be of a person who moves faster.

    Examples:
        >>> values, labels = stretch(np.float32([[0], [2], [4]]), np.array([0, 0, 1]), 0.5)
        >>> values.ravel().tolist(), labels.tolist()
        ([0.0, 1.0, 2.0, 3.0, 4.0], [0, 0, 0, 1, 1])
    """
    if factor == 1:
        return values, labels
    last = len(values) - 1
    places = np.arange(int(last / factor) + 1) * factor
    left = np.minimum(places.astype(np.int64), max(0, last - 1))
    share = (places - left).astype(np.float32)[:, None]
    right = np.minimum(left + 1, last)
    stretched: Values = values[left] + share * (values[right] - values[left])
    return stretched, labels[np.minimum(np.floor(places + 0.5).astype(np.int64), last)]


def random_rotation(deviation: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return a rotation `[3, 3]` about an axis of any direction, by a normally distributed angle.

    Rodrigues: R = I + sin(a) K + (1 - cos(a)) K K, where K v is the cross product of the axis and v.

    Args:
        deviation: Standard deviation of the angle, rad.
        rng: Draws both.
    """
    axis = rng.standard_normal(3)
    x, y, z = axis / np.linalg.norm(axis)
    angle = deviation * rng.standard_normal()
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    rotation = np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross
    return np.asarray(rotation, np.float32)


def rotate(values: Values, rotation: NDArray[np.float32]) -> Values:
    """Return `values` `[N, C]` with every three channels in a row (a sensor's x, y, z) turned alike.

    Examples:
        >>> quarter = np.float32([[0, -1, 0], [1, 0, 0], [0, 0, 1]])
        >>> rotate(np.float32([[1, 0, 0, 0, 2, 5]]), quarter).tolist()
        [[0.0, 1.0, 0.0, -2.0, 0.0, 5.0]]
    """
    turned: Values = (values.reshape(len(values), -1, 3) @ rotation.T).reshape(values.shape)
    return turned


def scale(values: Values, deviation: float, rng: np.random.Generator) -> Values:
    """Return each channel times a factor of its own, log-normal with `deviation` of its logarithm."""
    factors: NDArray[np.float32] = np.exp(deviation * rng.standard_normal(values.shape[1])).astype(np.float32)
    return values * factors


def add_offset(values: Values, deviations: NDArray[np.float32], rng: np.random.Generator) -> Values:
    """Return each channel plus a constant of its own, normal with `deviations` `[C]` in the channels' units."""
    return values + deviations * rng.standard_normal(values.shape[1], np.float32)


def add_jitter(values: Values, deviations: NDArray[np.float32], rng: np.random.Generator) -> Values:
    """Return `values` plus white noise, normal with `deviations` `[C]` in the channels' units."""
    return values + deviations * rng.standard_normal(values.shape, np.float32)


def lose(values: Values, labels: Labels, share: float, rng: np.random.Generator) -> tuple[Values, Labels]:
    """Return what the runtime makes of `values` when about a `share` of them never arrives.

    Stretches of 4 samples on average are lost, never the first. Up to 4 in a row become the line between their
    neighbours, longer ones are gone, labels too: what `Regular` and the gap policy "hold" make of them.

    Examples:
        >>> values, labels = np.arange(1000, dtype=np.float32)[:, None], np.arange(1000)
        >>> heard, left = lose(values, labels, 0.2, np.random.default_rng(0))
        >>> bool(np.allclose(heard[:, 0], left)), 800 < len(heard) < 1000
        (True, True)
    """
    lost = np.zeros(len(values), np.bool_)
    number = round(share * len(values) / MEAN_LOSS)
    starts = rng.integers(len(values), size=number)
    for start, length in zip(starts.tolist(), rng.geometric(1 / MEAN_LOSS, number).tolist(), strict=True):
        lost[start : start + length] = True
    lost[0] = False
    arrived = np.flatnonzero(~lost)
    runs = grid_runs(arrived / _RATE, values[arrived], _RATE)
    begins = [int(start * _RATE) for start, _ in runs]
    kept = [labels[begin : begin + len(rows)] for begin, (_, rows) in zip(begins, runs, strict=True)]
    return np.concatenate([rows for _, rows in runs]), np.concatenate(kept)
