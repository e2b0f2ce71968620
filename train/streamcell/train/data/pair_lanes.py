"""Endless batches of pairs of like length, padded at the end."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamcell.runtime.symbols import UNKNOWN
from streamcell.train.data.pairs import START, STOP, Pair

UNSAID = -1
"""In place of an answer where there is none, or none that is a symbol."""

_POOL = 50  # batches that are sorted by length together


@dataclass(frozen=True, slots=True)
class PairChunk:
    """What one update hears.

    Attributes:
        source: symbols int64 `[B, S]`, or pictures uint8 `[B, 1, numbers]`.
        lengths: int64 `[B]`, steps of each source.
        given: int64 `[B, T]`, what the decoder hears: the start, then the text.
        answers: int64 `[B, T]`, what it should say: the text, then the end; `UNSAID` behind it.
        fresh: bool `[B]`, all true: each pair stands for itself.
    """

    source: NDArray[np.generic]
    lengths: NDArray[np.int64]
    given: NDArray[np.int64]
    answers: NDArray[np.int64]
    fresh: NDArray[np.bool_]


def stack(pairs: Sequence[Pair], labels: Sequence[str]) -> PairChunk:
    """Return pairs side by side; unknown symbols of a text are heard, but not asked for."""
    start, stop, unknown = (labels.index(symbol) for symbol in (START, STOP, UNKNOWN))
    lengths = np.array([len(pair.source) for pair in pairs], np.int64)
    source = np.zeros((len(pairs), lengths.max(), *pairs[0].source.shape[1:]), pairs[0].source.dtype)
    shape = (len(pairs), max(len(pair.target) for pair in pairs) + 1)
    given, answers = np.full(shape, stop, np.int64), np.full(shape, UNSAID, np.int64)
    for row, pair in enumerate(pairs):
        size = len(pair.target)
        source[row, : lengths[row]] = pair.source
        given[row, : size + 1] = [start, *pair.target]
        answers[row, : size + 1] = [*np.where(pair.target == unknown, UNSAID, pair.target), stop]
    return PairChunk(source, lengths, given, answers, np.ones(len(pairs), bool))


class PairLanes:
    """Draws batches without end, all randomness from `seed`; `state_dict` and `load_state_dict` continue exactly.

    A pass hears each pair once. Pairs are shuffled, then sorted by length within so many batches, so that little is
    padding.

    Args:
        pairs: what is heard.
        labels: symbols of the texts.
        lanes: pairs a batch.
        seed: of everything random.
    """

    def __init__(self, pairs: Sequence[Pair], labels: Sequence[str], *, lanes: int, seed: int) -> None:
        self._pairs, self._labels, self._count = pairs, labels, lanes
        self._keys = np.array([[len(pair.target), len(pair.source)] for pair in pairs])
        self._rng = np.random.Generator(np.random.PCG64(seed))
        self._deck: NDArray[np.int64] = np.zeros(0, np.int64)
        self._batches: NDArray[np.int64] = np.zeros((0, lanes), np.int64)

    def draw(self) -> PairChunk:
        """Return the next batch."""
        if not len(self._batches):
            self._batches = self._sorted()
        rows, self._batches = self._batches[0], self._batches[1:]
        return stack([self._pairs[row] for row in rows], self._labels)

    def state_dict(self) -> dict[str, Any]:
        """Return all that decides what comes next; the arrays are shared with this object but never changed by it."""
        return {"rng": json.dumps(self._rng.bit_generator.state), "deck": self._deck, "batches": self._batches}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where `state_dict` was taken."""
        self._rng.bit_generator.state = json.loads(state["rng"])
        self._deck, self._batches = np.asarray(state["deck"]), np.asarray(state["batches"])

    def _sorted(self) -> NDArray[np.int64]:
        wanted = self._count * min(_POOL, max(1, len(self._pairs) // self._count))
        while len(self._deck) < wanted:
            self._deck = np.concatenate([self._deck, self._rng.permutation(len(self._pairs))])
        pool, self._deck = self._deck[:wanted], self._deck[wanted:]
        ordered = pool[np.lexsort(self._keys[pool].T)]  # by source, then by target
        return self._rng.permutation(ordered.reshape(-1, self._count))
