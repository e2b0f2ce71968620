"""Whole sequences of about the same length side by side, padded, for labels of sequences."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamcell.train.data.labelled import Labelled

_POOL = 16  # batches' worth of sequences that are sorted by length


@dataclass(frozen=True, slots=True)
class Batch:
    """What one update hears.

    Attributes:
        x: the sequences side by side, `[B, N]` or `[B, N, C]`, zeros behind their ends.
        lengths: int64 `[B]`, steps of each.
        labels: int64 `[B]`.
        fresh: bool `[B]`, all true: every sequence begins with the initial state.
    """

    x: NDArray[Any]
    lengths: NDArray[np.int64]
    labels: NDArray[np.int64]
    fresh: NDArray[np.bool_]


def pad(sequences: Sequence[Labelled], step: int = 1) -> Batch:
    """Put sequences side by side, each filled up with zeros to whole steps of `step` samples, and to the longest.

    >>> two = [Labelled(np.array([1, 2, 3]), 0, ""), Labelled(np.array([4]), 1, "")]
    >>> batch = pad(two, step=2)
    >>> batch.x.tolist(), batch.lengths.tolist(), batch.labels.tolist()
    ([[1, 2, 3, 0], [4, 0, 0, 0]], [2, 1], [0, 1])
    """
    lengths = np.array([-(-len(one.x) // step) for one in sequences], np.int64)
    first = sequences[0].x
    x = np.zeros((len(sequences), int(lengths.max()) * step, *first.shape[1:]), first.dtype)
    for row, one in zip(x, sequences, strict=True):
        row[: len(one.x)] = one.x
    labels = np.array([one.label for one in sequences], np.int64)
    return Batch(x, lengths, labels, np.ones(len(sequences), np.bool_))


class Batches:
    """Draws batches without end, all randomness from `seed`; `state_dict` and `load_state_dict` continue exactly.

    A pass hears each sequence once. Sequences are drawn for 16 batches at a time, sorted by length, so that little is
    padding, and these batches come in any order.

    Args:
        sequences: what is heard.
        change: makes a changed copy of what a sequence holds.
        lanes: sequences a batch.
        step: samples a step of the network.
        seed: of everything random.
    """

    def __init__(
        self,
        sequences: Sequence[Labelled],
        change: Callable[[NDArray[Any], np.random.Generator], NDArray[Any]],
        *,
        lanes: int,
        step: int,
        seed: int,
    ) -> None:
        self._sequences, self._change, self._width, self._step = sequences, change, lanes, step
        self._rng = np.random.Generator(np.random.PCG64(seed))
        self._deck: NDArray[np.int64] = np.zeros(0, np.int64)
        self._next: NDArray[np.int64] = np.zeros((0, lanes), np.int64)

    def draw(self) -> Batch:
        """Return the next batch."""
        if not len(self._next):
            self._next = self._sort(self._take(self._width * _POOL))
        rows, self._next = self._next[0], self._next[1:]
        drawn = [self._sequences[row] for row in rows]
        changed = [Labelled(self._change(one.x, self._rng), one.label, one.group) for one in drawn]
        return pad(changed, self._step)

    def state_dict(self) -> dict[str, Any]:
        """Return all that decides what comes next; the arrays are shared with this object but never changed by it."""
        rng = json.dumps(self._rng.bit_generator.state)
        return {"rng": rng, "deck": self._deck, "next": self._next}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where `state_dict` was taken."""
        self._rng.bit_generator.state = json.loads(state["rng"])
        self._deck, self._next = np.asarray(state["deck"]), np.asarray(state["next"])

    def _take(self, count: int) -> NDArray[np.int64]:
        while len(self._deck) < count:
            self._deck = np.concatenate([self._deck, self._rng.permutation(len(self._sequences))])
        taken, self._deck = self._deck[:count], self._deck[count:]
        return taken

    def _sort(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        lengths = [len(self._sequences[row].x) for row in rows]
        batches = rows[np.argsort(lengths, kind="stable")].reshape(-1, self._width)
        return batches[self._rng.permutation(len(batches))]
