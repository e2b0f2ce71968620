"""Endless streams of sensor recordings side by side, in chunks of equal length, the state carried through each."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamcell.train.data.sensor import Recording


@dataclass(frozen=True, slots=True)
class SensorChunk:
    """What one update hears.

    Attributes:
        values: float32 `[B, T, C]`.
        labels: int64 `[B, T]`, -1 where nobody says, and behind a recording's end.
        fresh: bool `[B]`, true where the lane starts again from the initial state.
    """

    values: NDArray[np.float32]
    labels: NDArray[np.int64]
    fresh: NDArray[np.bool_]


@dataclass(slots=True)
class _Lane:
    """What is left of the recording that the lane hears."""

    values: NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 0), np.float32))
    labels: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))


class SensorLanes:
    """Draws chunks without end, all randomness from `seed`; `state_dict` and `load_state_dict` continue exactly.

    Each lane hears one recording after another, from its beginning and from the initial state; the last chunk of each
    is filled up with zeros that have no label. The first recording of a lane begins somewhere within, so that lanes
    are never in step.

    Args:
        recordings: what is heard; a pass hears each once.
        change: makes a changed copy of a recording.
        lanes: streams side by side.
        steps: length of a chunk, samples.
        reset_share: probability that a lane starts afresh at a chunk within a recording.
        seed: of everything random.
    """

    def __init__(
        self,
        recordings: Sequence[Recording],
        change: Callable[[Recording, np.random.Generator], Recording],
        *,
        lanes: int,
        steps: int,
        reset_share: float,
        seed: int,
    ) -> None:
        self._recordings, self._change, self._steps, self._reset_share = recordings, change, steps, reset_share
        self._rng = np.random.Generator(np.random.PCG64(seed))
        self._lanes = [_Lane() for _ in range(lanes)]
        self._deck: NDArray[np.int64] = np.zeros(0, np.int64)
        self._begun = False

    def draw(self) -> SensorChunk:
        """Return the next chunk of every lane."""
        fresh = self._rng.random(len(self._lanes)) < self._reset_share
        for index, lane in enumerate(self._lanes):
            if not len(lane.labels):
                self._begin(lane)
                fresh[index] = True
        self._begun = True
        pairs = [self._cut(lane) for lane in self._lanes]
        return SensorChunk(np.stack([values for values, _ in pairs]), np.stack([labels for _, labels in pairs]), fresh)

    def state_dict(self) -> dict[str, Any]:
        """Return all that decides what comes next; the arrays are shared with this object but never changed by it."""
        return {
            "rng": json.dumps(self._rng.bit_generator.state),
            "deck": self._deck,
            "begun": self._begun,
            "values": [lane.values for lane in self._lanes],
            "labels": [lane.labels for lane in self._lanes],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where `state_dict` was taken."""
        self._rng.bit_generator.state = json.loads(state["rng"])
        self._deck, self._begun = np.asarray(state["deck"]), state["begun"]
        pairs = zip(state["values"], state["labels"], strict=True)
        self._lanes = [_Lane(np.asarray(values), np.asarray(labels)) for values, labels in pairs]

    def _begin(self, lane: _Lane) -> None:
        if not len(self._deck):
            self._deck = self._rng.permutation(len(self._recordings))
        index, self._deck = int(self._deck[0]), self._deck[1:]
        changed = self._change(self._recordings[index], self._rng)
        start = 0 if self._begun else int(self._rng.integers(len(changed.labels)))
        lane.values, lane.labels = changed.values[start:], changed.labels[start:]

    def _cut(self, lane: _Lane) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        values, labels = lane.values[: self._steps], lane.labels[: self._steps]
        lane.values, lane.labels = lane.values[self._steps :], lane.labels[self._steps :]
        missing = self._steps - len(labels)
        return np.pad(values, ((0, missing), (0, 0))), np.pad(labels, (0, missing), constant_values=-1)
