"""An n-gram language model with backoff, as an ARPA file holds it."""

import hashlib
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from streamcell.runtime.errors import InputError

__all__ = ["BEGIN", "END", "MAX_ORDER", "UNKNOWN", "ZERO", "Gram", "NGram"]

BEGIN, END, UNKNOWN = "<s>", "</s>", "<unk>"
"""The tokens of an utterance's beginning and end, and the one that stands for every token that is not listed."""

MAX_ORDER = 4

ZERO = -99.0
"""What an ARPA file writes for the logarithm of 0."""

Gram = tuple[int, ...]
"""Tokens in a row, by number."""


@dataclass(frozen=True, eq=False)
class NGram:
    """Hold log-probabilities of tokens after up to three others (Katz, 1987, for the backing off).

    The probability of a token behind a context is the listed one of context and token; where that is not listed, it is
    the context's backoff weight (1 without one) times the token's behind the context without its first token.

    Attributes:
        tokens: Their names; ``<s>`` and ``</s>`` are the beginning and the end of an utterance.
        probs: For orders 1, 2, ...: log10 of the probability of a gram's last token behind the others.
        backoffs: For orders 1, 2, ... without the highest: log10 of the backoff weight behind a gram.

    Raises:
        InputError: If a token is twice there, or the beginning or the end is not, or there is no order.

    Examples:
        >>> from streamcell.runtime.lm import train_ngram
        >>> model = train_ngram([["HH", "AY"], ["AY"]], order=2)
        >>> round(10 ** model.log10(["<s>"], "HH"), 3), round(model.perplexity([["AY"]]), 3)
        (0.375, 1.699)
    """

    tokens: tuple[str, ...]
    probs: tuple[dict[Gram, float], ...]
    backoffs: tuple[dict[Gram, float], ...]

    def __post_init__(self) -> None:
        if not 1 <= len(self.probs) <= MAX_ORDER or len(self.backoffs) != len(self.probs) - 1:
            raise InputError(f"expected an n-gram of order 1 to {MAX_ORDER}, got order {len(self.probs)}")
        if len(self.numbers) != len(self.tokens) or not {BEGIN, END} <= self.numbers.keys():
            raise InputError(f"expected tokens that differ, {BEGIN} and {END} among them, got {self.tokens!r:.80}")

    @property
    def order(self) -> int:
        """Return how many tokens a gram has at most."""
        return len(self.probs)

    @cached_property
    def numbers(self) -> dict[str, int]:
        """Return the number of each token."""
        return {token: number for number, token in enumerate(self.tokens)}

    @cached_property
    def digest(self) -> str:
        """Return 64 hexadecimal digits: n-grams that say the same have the same."""
        facts = (self.tokens, *(sorted(level.items()) for level in (*self.probs, *self.backoffs)))
        return hashlib.sha256(repr(facts).encode()).hexdigest()

    def number(self, token: str) -> int:
        """Return a token's number, or that of ``<unk>`` for one that is not listed.

        Raises:
            InputError: If there is neither.
        """
        found = self.numbers.get(token, self.numbers.get(UNKNOWN))
        if found is None:
            raise InputError(f"the language model knows no {token!r}; it knows {', '.join(self.tokens[:5])}, ...")
        return found

    def log10(self, context: Sequence[str], token: str) -> float:
        """Return log10 of the probability of a token behind a context, -99 for 0.

        Raises:
            InputError: If a token is not listed, nor ``<unk>``.
        """
        before = [self.number(one) for one in context][max(0, len(context) - self.order + 1) :]
        return self._log10((*before, self.number(token)))

    def perplexity(self, utterances: Iterable[Sequence[str]]) -> float:
        """Return the inverse geometric mean of the probabilities of all tokens and ends; nan without utterances.

        Raises:
            InputError: If a token is not listed, nor ``<unk>``.
        """
        total, count, reach = 0.0, 0, self.order
        for utterance in utterances:
            said = [self.number(token) for token in (BEGIN, *utterance, END)]
            total += sum(self._log10(tuple(said[max(0, end - reach) : end])) for end in range(2, len(said) + 1))
            count += len(said) - 1
        return math.pow(10, -total / count) if count else math.nan

    def _log10(self, gram: Gram) -> float:
        total = 0.0
        for first in range(len(gram)):
            rest = gram[first:]
            if (found := self.probs[len(rest) - 1].get(rest)) is not None:
                return max(ZERO, total + found)
            if len(rest) > 1:
                total += self.backoffs[len(rest) - 2].get(rest[:-1], 0.0)
        return ZERO
