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

    A label has a token for each of its forms, see `make_gains`; the first of column c is token c.

    Attributes:
        scores: `[contexts, tokens]`.
        ends: `[contexts]`, what the end of the utterance adds.
        start: The context of the beginning.
        digits: `[tokens]`, a token's number in a context.
        base: How many such numbers there are.
        columns: `[tokens]`, the label's column.
    """

    scores: NDArray[np.float64]
    ends: NDArray[np.float64]
    start: int
    digits: NDArray[np.int64]
    base: int
    columns: NDArray[np.int64]

    def follow(self, contexts: NDArray[np.int64], tokens: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the context behind each token, `[n]`."""
        behind: NDArray[np.int64] = (contexts * self.base + self.digits[tokens]) % len(self.ends)
        return behind


@lru_cache(maxsize=8)
def make_gains(
    labels: tuple[str, ...], model: NGram | None, weight: float, prior: float, bonus: float, skip: tuple[int, ...]
) -> Gains:
    """Return ``weight * log P(label | context) - prior * log P(label) + bonus``, without a model only the bonus.

    It is kept, as it may be large and many streams share it.

    The n-gram may list a label in several forms: ``AH_B`` is heard as ``AH``, as any other ``AH_...`` is that is no
    label itself. So phones may be told apart by their place in a word (as Kaldi does), though they sound alike.

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
    columns = np.arange(len(labels))
    if model is None:
        return Gains(np.full((1, len(labels)), float(bonus)), np.zeros(1), 0, np.zeros_like(columns), 1, columns)
    heard = [column for column in range(len(labels)) if column not in skip]
    by_label = _forms(model, labels)
    forms = [by_label[labels[column]] for column in heard]
    more = [(column, form) for column, some in zip(heard, forms, strict=True) for form in some[1:]]
    table = Table(model, [*(some[0] for some in forms), *(form for _, form in more)])
    columns = np.array([*columns, *(column for column, _ in more)], np.int64)
    tokens = [*heard, *range(len(labels), len(columns))]
    usual = np.zeros(len(labels))
    usual[heard] = [np.logaddexp.reduce([model.log10((), form) * np.log(10) for form in some]) for some in forms]
    scores, digits = np.zeros((len(table.ends), len(columns))), np.zeros(len(columns), np.int64)
    scores[:, tokens] = weight * table.scores - prior * usual[columns[tokens]] + bonus
    digits[tokens] = table.numbers
    return Gains(scores, weight * table.ends, table.start, digits, table.size, columns)


def _forms(model: NGram, labels: tuple[str, ...]) -> dict[str, list[str]]:
    """Return for each label the n-gram's tokens that are heard as it; itself if there is none (``<unk>``)."""
    known = set(labels)
    forms = {label: [label] if label in model.numbers else [] for label in labels}
    for token in model.tokens:
        label, bar, _ = token.rpartition("_")
        if bar and label in known and token not in known:
            forms[label].append(token)
    return {label: some or [label] for label, some in forms.items()}
