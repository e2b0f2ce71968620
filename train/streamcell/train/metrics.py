"""Error rates, and what was mistaken for what."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rapidfuzz.distance import Levenshtein


@dataclass(frozen=True, slots=True)
class ErrorRate:
    """Edits needed to turn hypotheses into references; `rate` is edits per reference phone.

    >>> ErrorRate(1, 2, 3, 12) + ErrorRate(0, 0, 0, 8)
    ErrorRate(substitutions=1, deletions=2, insertions=3, phones=20)
    """

    substitutions: int = 0
    deletions: int = 0
    insertions: int = 0
    phones: int = 0

    @property
    def rate(self) -> float:
        """Edits per reference phone; nan without phones."""
        return (self.substitutions + self.deletions + self.insertions) / self.phones if self.phones else float("nan")

    def __add__(self, other: ErrorRate) -> ErrorRate:
        return ErrorRate(
            self.substitutions + other.substitutions,
            self.deletions + other.deletions,
            self.insertions + other.insertions,
            self.phones + other.phones,
        )


def align(reference: Sequence[str], hypothesis: Sequence[str]) -> list[tuple[int | None, int | None]]:
    """Return the least-edits pairing of the two (Levenshtein) as index pairs; None stands for nothing on that side.

    >>> align(["K", "AE", "T"], ["K", "AH", "T", "S"])
    [(0, 0), (1, 1), (2, 2), (None, 3)]
    """
    pairs: list[tuple[int | None, int | None]] = []
    for op in Levenshtein.opcodes(reference, hypothesis):
        left, right = range(op.src_start, op.src_end), range(op.dest_start, op.dest_end)
        if op.tag in {"equal", "replace"}:
            pairs.extend(zip(left, right, strict=True))
        else:
            pairs.extend((i, None) for i in left)
            pairs.extend((None, j) for j in right)
    return pairs


def error_rate(reference: Sequence[str], hypothesis: Sequence[str]) -> ErrorRate:
    """Return the edits between two phone sequences.

    >>> round(error_rate(["K", "AE", "T"], ["K", "AH", "T", "S"]).rate, 3)
    0.667
    """
    kinds = Counter(op.tag for op in Levenshtein.editops(reference, hypothesis))
    return ErrorRate(kinds["replace"], kinds["delete"], kinds["insert"], len(reference))


def confusions(pairs: Iterable[tuple[Sequence[str], Sequence[str]]]) -> Counter[tuple[str, str]]:
    """Count (reference phone, hypothesis phone) over aligned pairs of sequences; "-" stands for nothing."""
    counts: Counter[tuple[str, str]] = Counter()
    for reference, hypothesis in pairs:
        for i, j in align(reference, hypothesis):
            counts["-" if i is None else reference[i], "-" if j is None else hypothesis[j]] += 1
    return counts


def by_group(rates: Iterable[tuple[str, ErrorRate]]) -> Mapping[str, ErrorRate]:
    """Sum rates that share a name (a speaker, a corpus)."""
    groups: dict[str, ErrorRate] = {}
    for name, rate in rates:
        groups[name] = groups.get(name, ErrorRate()) + rate
    return groups


def confusion_matrix(true: NDArray[np.int64], answered: NDArray[np.int64], labels: int) -> NDArray[np.int64]:
    """Count pairs of labels, `[labels, labels]`: row the true one, column the answer.

    >>> confusion_matrix(np.array([0, 0, 1]), np.array([0, 1, 1]), 2).tolist()
    [[1, 1], [0, 1]]
    """
    return np.bincount(true * labels + answered, minlength=labels * labels).reshape(labels, labels)


def macro_f1(matrix: NDArray[np.int64]) -> float:
    """Return the mean over labels of F1 = 2 right / (true + answered), of a `confusion_matrix`.

    A label that is neither true nor answered anywhere does not count.

    >>> round(macro_f1(np.array([[1, 1], [0, 1]])), 3)
    0.667
    """
    seen = matrix.sum(axis=0) + matrix.sum(axis=1)
    return float(np.mean(2 * matrix.diagonal()[seen > 0] / seen[seen > 0]))
