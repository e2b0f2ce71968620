"""What labels add to a beam search beside what is heard: a language model, a bonus."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from streamcell.runtime.lm import NGram, Table

__all__ = ["Gains", "make_gains"]


@dataclass(frozen=True, eq=False)
class Gains:
    """Hold what a label adds to the score of a prefix, beside its acoustic log-probability.

    Attributes:
        scores: `[contexts, C]`.
        ends: `[contexts]`, what the end of the utterance adds.
        start: The context of the beginning.
        digits: `[C]`, a label's number in a context.
        base: How many such numbers there are.
    """

    scores: NDArray[np.float64]
    ends: NDArray[np.float64]
    start: int
    digits: NDArray[np.int64]
    base: int

    def follow(self, contexts: NDArray[np.int64], labels: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the context behind each label, `[n]`."""
        behind: NDArray[np.int64] = (contexts * self.base + self.digits[labels]) % len(self.ends)
        return behind


@lru_cache(maxsize=8)
def make_gains(
    labels: tuple[str, ...], model: NGram | None, weight: float, prior: float, bonus: float, skip: tuple[int, ...]
) -> Gains:
    """Return ``weight * log P(label | context) - prior * log P(label) + bonus``, without a model only the bonus.

    It is kept, as it may be large and many streams share it.

    Args:
        labels: Of the columns.
        model: An n-gram, or None.
        weight: Of its log-probabilities.
        prior: Share of the label's own log-probability, by the n-gram's 1-grams, that is taken away: the network has
            learnt how frequent labels are, so that would count twice (the density ratio of McDermott et al., 2019,
            with 1-grams in the network's place).
        bonus: For each label.
        skip: Columns that no prefix has: blank, silence.

    Raises:
        InputError: If the model knows a label not, or is too large.
    """
    digits = np.zeros(len(labels), np.int64)
    if model is None:
        return Gains(np.full((1, len(labels)), float(bonus)), np.zeros(1), 0, digits, 1)
    heard = [column for column in range(len(labels)) if column not in skip]
    table = Table(model, [labels[column] for column in heard])
    usual = np.array([model.log10((), labels[column]) for column in heard]) * np.log(10)
    scores = np.zeros((len(table.ends), len(labels)))
    scores[:, heard] = weight * table.scores - prior * usual + bonus
    digits[heard] = table.numbers
    return Gains(scores, weight * table.ends, table.start, digits, table.size)
