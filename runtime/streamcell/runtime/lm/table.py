"""An n-gram as one array, so that a whole beam is scored by one look-up."""

import numpy as np
from numpy.typing import NDArray

from streamcell.runtime.errors import InputError
from streamcell.runtime.lm.ngram import BEGIN, END, NGram

__all__ = ["Table"]

_LARGEST = 1 << 24  # numbers: four of some 60 tokens


class Table:
    """Hold what an n-gram says of some labels behind every context.

    A context is a number: its tokens as digits, the last one lowest.

    Args:
        model: The n-gram.
        labels: Of the columns; what the n-gram does not know is its ``<unk>``.

    Attributes:
        scores: `[contexts, labels]`, natural logarithms of probabilities.
        ends: `[contexts]`, that of the utterance's end.
        start: The context of an utterance's beginning.
        size: How many tokens there are.
        numbers: `[labels]`, the token of each: the context behind a label is
            ``(context * size + numbers[label]) % contexts``.

    Raises:
        InputError: If the n-gram knows a label not, nor ``<unk>``, or has too many tokens for its order.

    Examples:
        >>> from streamcell.runtime.lm import train_ngram
        >>> table = Table(train_ngram([["HH", "AY"]], order=3), ["AY", "HH"])
        >>> context = table.follow(table.start, 1)
        >>> round(float(np.exp(table.score(context, 0))), 3)
        0.833
    """

    def __init__(self, model: NGram, labels: list[str] | tuple[str, ...]) -> None:
        size = len(model.tokens)
        if size**model.order > _LARGEST:
            raise InputError(f"a {model.order}-gram of {size} tokens is too large for a table; take a lower order")
        self.size, contexts = size, size ** (model.order - 1)
        self.numbers = np.array([model.number(label) for label in labels], np.int64)
        dense = _dense(model).reshape(contexts, size) * np.log(10)
        self.scores: NDArray[np.float64] = np.ascontiguousarray(dense[:, self.numbers])
        self.ends: NDArray[np.float64] = dense[:, model.numbers[END]].copy()
        self.start = 0
        for _ in range(model.order - 1):
            self.start = self.start * size + model.numbers[BEGIN]

    def score(self, context: int, label: int) -> float:
        """Return the natural logarithm of the probability of a label, by its column, behind a context."""
        return float(self.scores[context, label])

    def follow(self, context: int, label: int) -> int:
        """Return the context behind a label."""
        return (context * self.size + int(self.numbers[label])) % len(self.ends)


def _dense(model: NGram) -> NDArray[np.float64]:
    """Return log10 of the probability of each token behind each context, one axis a token."""
    size = len(model.tokens)
    level: NDArray[np.float64] = np.full(size, -99.0)
    _put(level, model.probs[0])
    for probs, backoffs in zip(model.probs[1:], model.backoffs, strict=True):
        weights = np.zeros(level.shape)
        _put(weights, backoffs)
        level = weights[..., None] + level[None]
        _put(level, probs)
    return np.maximum(level, -99.0, out=level)


def _put(array: NDArray[np.float64], values: dict[tuple[int, ...], float]) -> None:
    if values:
        array[tuple(np.array(list(values)).T)] = list(values.values())
