r"""ARPA files: n-grams as text, as SRILM, KenLM and Kaldi write and read them.

Layout, with tabs between::

    \data\
    ngram 1=3
    ngram 2=2

    \1-grams:
    -99	<s>	-0.30103
    -0.30103	</s>
    -0.30103	AY

    \2-grams:
    ...

    \end\

Each line holds log10 of a probability, the tokens, and log10 of a backoff weight or nothing. Lines before ``\data\``
are remarks.
"""

import math
from collections.abc import Iterator

from streamcell.runtime.errors import InputError
from streamcell.runtime.lm.ngram import MAX_ORDER, Gram, NGram

__all__ = ["MAX_TEXT", "read_arpa", "write_arpa"]

MAX_TEXT = 1 << 26
"""No text that is longer is read."""

_MOST_TOKENS = 4096


def write_arpa(model: NGram) -> str:
    r"""Write an n-gram as an ARPA file, with seven digits behind the point.

    Examples:
        >>> from streamcell.runtime.lm import train_ngram
        >>> print(write_arpa(train_ngram([["AY"]], order=1)).expandtabs(), end="")
        \data\
        ngram 1=3
        <BLANKLINE>
        \1-grams:
        -99	<s>
        -0.30103	</s>
        -0.30103	AY
        <BLANKLINE>
        \end\
    """
    return "\n".join([*_lines(model), "\\end\\", ""])


def _lines(model: NGram) -> Iterator[str]:
    yield "\\data\\"
    yield from (f"ngram {length}={len(grams)}" for length, grams in enumerate(model.probs, 1))
    yield ""
    for length, grams in enumerate(model.probs, 1):
        yield f"\\{length}-grams:"
        backoffs = model.backoffs[length - 1] if length < model.order else {}
        for gram in sorted(grams):
            words = " ".join(model.tokens[number] for number in gram)
            weight = f"\t{_write(backoffs[gram])}" if gram in backoffs else ""
            yield f"{_write(grams[gram])}\t{words}{weight}"
        yield ""


def _write(number: float) -> str:
    return f"{number:.7f}".rstrip("0").rstrip(".") if abs(number) >= 5e-8 else "0"


def read_arpa(text: str, name: str = "the ARPA file") -> NGram:
    r"""Read an ARPA file of order 1 to 4.

    Args:
        text: All of it.
        name: For errors.

    Raises:
        InputError: If it is none, contradicts itself, or is too large; the message has the line.

    Examples:
        >>> read_arpa("\\data\\\nngram 1=2\n\n\\1-grams:\n-99 <s>\n0 </s>\n\\end\\").tokens
        ('<s>', '</s>')
    """
    if len(text) > MAX_TEXT:
        raise InputError(f"{name} has {len(text)} characters; at most {MAX_TEXT} are read. Prune the model")
    return _Reader(text, name).read()


class _Reader:
    """Go through the lines that are not empty."""

    def __init__(self, text: str, name: str) -> None:
        self._lines = enumerate(text.split("\n"), 1)
        self._name = name
        self._number, self._line = 0, ""
        self._numbers: dict[str, int] = {}

    def read(self) -> NGram:
        while self._next() != "\\data\\":
            pass
        sizes = self._sizes()
        probs: list[dict[Gram, float]] = []
        backoffs: list[dict[Gram, float]] = []
        for length, size in enumerate(sizes, 1):
            grams, weights = self._section(length, size, last=length == len(sizes))
            probs.append(grams)
            backoffs.append(weights)
        if self._line != "\\end\\":
            raise self._error("\\end\\")
        try:
            return NGram(tuple(self._numbers), tuple(probs), tuple(backoffs[:-1]))
        except InputError as error:
            raise InputError(f"{self._name}: {error}") from error

    def _next(self) -> str:
        for number, line in self._lines:
            if (stripped := line.strip()) != "":
                self._number, self._line = number, stripped
                return stripped
        self._line = "its end"
        raise self._error("\\data\\ ... \\end\\")

    def _sizes(self) -> list[int]:
        """Read how many grams there are of each order, and the line behind."""
        sizes: list[int] = []
        while self._next().startswith("ngram "):
            order, _, size = self._line.removeprefix("ngram ").partition("=")
            if order.strip() != str(len(sizes) + 1) or not size.strip().isdecimal() or len(size) > 12:
                raise self._error(f"'ngram {len(sizes) + 1}=NUMBER'")
            sizes.append(int(size))
        if not 1 <= len(sizes) <= MAX_ORDER or sizes[0] > _MOST_TOKENS:
            raise self._error(f"an n-gram of order 1 to {MAX_ORDER} with at most {_MOST_TOKENS} tokens before")
        return sizes

    def _section(self, length: int, size: int, *, last: bool) -> tuple[dict[Gram, float], dict[Gram, float]]:
        if self._line != f"\\{length}-grams:":
            raise self._error(f"\\{length}-grams:")
        grams: dict[Gram, float] = {}
        weights: dict[Gram, float] = {}
        while not self._next().startswith("\\"):
            parts = self._line.split()
            if len(grams) == size or not length + 1 <= len(parts) <= length + (1 if last else 2):
                raise self._error(f"one of {size} lines with a number, {length} tokens{'' if last else ', a number'}")
            gram = self._gram(parts[1 : length + 1])
            if gram in grams:
                raise self._error("each n-gram once")
            grams[gram] = self._value(parts[0], most=1e-6)
            if len(parts) == length + 2:
                weights[gram] = self._value(parts[-1])
        if len(grams) != size:
            raise self._error(f"{size} {length}-grams before, as \\data\\ says; there were {len(grams)}")
        return grams, weights

    def _gram(self, words: list[str]) -> Gram:
        if len(words) == 1:
            return (self._numbers.setdefault(words[0], len(self._numbers)),)
        if unknown := [word for word in words if word not in self._numbers]:
            raise self._error(f"tokens that are 1-grams ({unknown[0]!r:.40} is none)")
        return tuple(self._numbers[word] for word in words)

    def _value(self, text: str, most: float = math.inf) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not -math.inf < value <= most or abs(value) == math.inf:
            raise self._error("log10 of a probability" if most < 1 else "log10 of a backoff weight")
        return value

    def _error(self, expected: str) -> InputError:
        return InputError(f"{self._name}, line {self._number}: expected {expected}, got {self._line!r:.80}")
