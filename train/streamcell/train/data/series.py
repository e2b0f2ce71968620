"""One long series of numbers, a row a step, and endless stretches of it side by side."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamcell.runtime.errors import SourceError
from streamcell.runtime.sources import Lines


@dataclass(frozen=True, slots=True)
class SeriesChunk:
    """What one update hears.

    Attributes:
        values: float32 `[B, T, C]`.
        futures: float32 `[B, T, H]`, the target 1 to H steps after each; NaN where nobody knows.
        fresh: bool `[B]`, true where the lane starts again from the initial state.
    """

    values: NDArray[np.float32]
    futures: NDArray[np.float32]
    fresh: NDArray[np.bool_]


def read_series(path: Path, channels: Sequence[str]) -> NDArray[np.float32]:
    """Read a CSV file with a header, one row a step, as float32 `[N, C]`.

    Args:
        path: The file, as `Lines` reads it; columns that are not asked for are left out.
        channels: Names of columns.

    Raises:
        SourceError: There is no such file or column, or a number is not finite; the row is named.
    """
    if not path.is_file():
        raise SourceError(f"expected a series at {path}, found no file; give the folder that holds it as --data")
    with Lines(path, channels, format="csv") as source:
        values = np.concatenate([block.values for block in source])
    bad = np.argwhere(~np.isfinite(values))
    if len(bad):
        row, column = bad[0].tolist()
        raise SourceError(
            f"{path}, row {row + 1} below the header, column {channels[column]!r}: expected a number that is finite "
            f"in float32, got {values[row, column]}; correct it, or cut the file there"
        )
    return values


def futures(target: NDArray[np.float32], horizons: int) -> NDArray[np.float32]:
    """Return what `target [N]` is 1 to `horizons` steps after each, `[N, H]`; NaN behind its end.

    >>> futures(np.float32([1, 2, 3]), 2).tolist()
    [[2.0, 3.0], [3.0, nan], [nan, nan]]
    """
    padded = np.pad(target, (0, horizons), constant_values=np.nan)
    return np.stack([padded[h : h + len(target)] for h in range(1, horizons + 1)], axis=1)


def fingerprint(values: NDArray[np.float32], channels: Sequence[str]) -> str:
    """Return a hash (SHA-256) of a series."""
    return hashlib.sha256(repr((tuple(channels), values.shape)).encode() + values.tobytes()).hexdigest()


class SeriesLanes:
    """Draws stretches of a series without end; `state_dict` and `load_state_dict` continue exactly.

    Each lane begins anywhere, from the initial state, and goes on to the end; then it begins anywhere again.

    Args:
        values: `[N, C]`.
        known: `[N, H]`, see `futures`.
        target: The column that `known` is of.
        scale: Standard deviation of the logarithm of a factor, by which each channel gets further from its mean,
            drawn anew wherever a lane starts afresh.
        lanes: Streams side by side.
        steps: Length of a chunk, at most N.
        reset_share: Probability that a lane starts afresh at a chunk.
        seed: Of everything random.
    """

    def __init__(
        self,
        values: NDArray[np.float32],
        known: NDArray[np.float32],
        *,
        target: int,
        lanes: int,
        steps: int,
        reset_share: float,
        seed: int,
        scale: float = 0.0,
    ) -> None:
        self._values, self._known, self._steps, self._reset_share = values, known, steps, reset_share
        self._target, self._scale, self._mean = target, scale, values.mean(axis=0)
        self._rng = np.random.Generator(np.random.PCG64(seed))
        self._places = np.full(lanes, len(values))
        self._factors = np.ones((lanes, values.shape[1]), np.float32)

    def draw(self) -> SeriesChunk:
        """Return the next chunk of every lane."""
        last = len(self._values) - self._steps
        over = self._places > last
        fresh = over | (self._rng.random(len(over)) < self._reset_share)
        places = np.where(over, self._rng.integers(last + 1, size=len(over)), self._places)
        rows = places[:, None] + np.arange(self._steps)
        self._places = places + self._steps
        drawn = np.exp(np.float32(self._scale) * self._rng.standard_normal(self._factors.shape, np.float32))
        self._factors = np.where(fresh[:, None], drawn, self._factors)
        factors, t = self._factors[:, None], self._target
        values = self._mean + factors * (self._values[rows] - self._mean)
        return SeriesChunk(values, self._mean[t] + factors[..., [t]] * (self._known[rows] - self._mean[t]), fresh)

    def state_dict(self) -> dict[str, Any]:
        """Return all that decides what comes next; the arrays are shared with this object but never changed by it."""
        return {"rng": json.dumps(self._rng.bit_generator.state), "places": self._places, "factors": self._factors}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where `state_dict` was taken."""
        self._rng.bit_generator.state = json.loads(state["rng"])
        self._places, self._factors = np.asarray(state["places"]), np.asarray(state["factors"])
