"""The likeliest way through a text: which pronunciations, which pauses, which frames (Viterbi 1967)."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from streamcell.runtime.errors import InputError

__all__ = ["Run", "best_path"]

_MOST = 1 << 29  # choices that are kept, a byte each
_MOST_BEFORE = 200


@dataclass(frozen=True, slots=True)
class Run:
    """Say that frames ``start`` to ``end`` (exclusive) are of one column; a pause belongs to ``word`` -1."""

    column: int
    word: int
    way: int
    start: int
    end: int


class _Graph:
    """Columns one after the other: all ways of each word side by side, a pause possible around each."""

    def __init__(self, words: Sequence[Sequence[Sequence[int]]], pause: int | None) -> None:
        self.columns: list[int] = []
        self.places: list[tuple[int, int]] = []  # word and way
        self.before: list[list[int]] = []  # -1: the beginning
        ends = [-1]
        for number, ways in enumerate(words):
            ends = self._pause(pause, ends)
            ends = [self._chain(number, way, columns, ends) for way, columns in enumerate(ways)]
        self.ends = self._pause(pause, ends)

    def _pause(self, pause: int | None, ends: list[int]) -> list[int]:
        return ends if pause is None else [*ends, self._add(pause, (-1, 0), ends)]

    def _chain(self, word: int, way: int, columns: Sequence[int], ends: list[int]) -> int:
        for column in columns:
            ends = [self._add(column, (word, way), ends)]
        return ends[0]

    def _add(self, column: int, place: tuple[int, int], before: list[int]) -> int:
        self.columns.append(column)
        self.places.append(place)
        self.before.append(list(before))
        return len(self.columns) - 1


def best_path(scores: NDArray[np.float32], words: Sequence[Sequence[Sequence[int]]], pause: int | None) -> list[Run]:
    """Return the runs of the likeliest path, in order, without a hole from frame 0 to the last.

    Args:
        scores: Log-probabilities `[T, C]`.
        words: For each word and each of its ways the columns of its phones, at least one.
        pause: The column of silence, which may lie before, between and behind words; or None.

    Raises:
        InputError: If there are fewer frames than phones, or so much of both that it would not fit in memory.

    Examples:
        >>> scores = np.log(np.float32([[0.1, 0.8, 0.1], [0.1, 0.1, 0.8], [0.8, 0.1, 0.1]]))
        >>> [(run.column, run.start, run.end) for run in best_path(scores, [[[1, 2], [2]]], 0)]
        [(1, 0, 1), (2, 1, 2), (0, 2, 3)]
    """
    least = sum(min(map(len, ways)) for ways in words)
    graph = _Graph(words, pause)
    if len(scores) < least:
        raise InputError(f"the text has {least} phones, a frame each at least; the recording has {len(scores)} frames")
    if len(scores) * len(graph.columns) > _MOST or max(map(len, graph.before)) > _MOST_BEFORE:
        raise InputError(
            f"{len(scores)} frames and {len(graph.columns)} places for phones are too many to align at once; cut the "
            "recording and its text at pauses"
        )
    return _runs(graph, _trace(graph, *_forward(graph, scores)))


def _forward(graph: _Graph, scores: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
    """Return the last scores `[N]`, and for each frame and node where it was best entered from: 0 from itself."""
    size, most = len(graph.columns), max(map(len, graph.before))
    before = np.full((size, most), size + 1)  # a place that is never reached; `size` is the beginning
    for node, entries in enumerate(graph.before):
        before[node, : len(entries)] = [size if entry < 0 else entry for entry in entries]
    best = np.full(size + 2, -np.inf)
    best[size] = 0.0
    choices = np.zeros((len(scores), size), np.uint8)
    emitted = scores[:, graph.columns].astype(np.float64)
    for frame in range(len(scores)):
        entries = best[before]
        entry = entries.argmax(axis=1)
        entered = entries[np.arange(size), entry]
        stays = best[:size] >= entered
        choices[frame] = np.where(stays, 0, entry + 1)
        best[:size] = np.where(stays, best[:size], entered) + emitted[frame]
        best[size] = -np.inf
    return best[:size], choices


def _trace(graph: _Graph, last: NDArray[np.float64], choices: NDArray[np.uint8]) -> list[int]:
    """Return the node of each frame."""
    node = max(graph.ends, key=lambda end: last[end])
    nodes = [0] * len(choices)
    for frame in range(len(choices) - 1, -1, -1):
        nodes[frame] = node
        choice = int(choices[frame, node])
        if choice:
            node = graph.before[node][choice - 1]
    return nodes


def _runs(graph: _Graph, nodes: list[int]) -> list[Run]:
    runs, at = [], 0
    for node, same in groupby(nodes):
        end = at + sum(1 for _ in same)
        runs.append(Run(graph.columns[node], *graph.places[node], at, end))
        at = end
    return runs
