"""Text as the numbers that a model of tokens takes, and back."""

import re
from collections.abc import Iterable, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from streamcell.runtime.errors import InputError

__all__ = ["UNKNOWN", "Split", "Symbols", "cut", "is_special"]

Split = Literal["characters", "words"]
"""What text is cut into."""

UNKNOWN = "<unk>"
"""The symbol that stands for all text that is no symbol."""

_WORDS = re.compile(r"\w+(?:['\u2019]\w+)*|[^\w\s]")
_CLOSING = frozenset(".,;:!?)]}%\u2026\u3002\u3001\uff01\uff1f")
_OPENING = frozenset("([{")


def cut(text: str, split: Split) -> list[str]:
    r"""Cut text into characters as they are, or into words and marks in lower case.

    Examples:
        >>> cut("Don't stop!", "words")
        ["don't", 'stop', '!']
        >>> cut("No\n", "characters")
        ['N', 'o', '\n']
    """
    return _WORDS.findall(text.lower()) if split == "words" else list(text)


class Symbols:
    """Turn text into places in a list of symbols, and places into text.

    Symbols in angle brackets, e.g. ``"<end>"``, are never text: nothing in a text becomes one but `UNKNOWN`.

    Args:
        symbols: All different.
        split: What text is cut into.

    Attributes:
        symbols: As given.

    Raises:
        InputError: If ``split`` is not known.

    Examples:
        >>> words = Symbols(("<unk>", "a", "good", "film", "."), "words")
        >>> words.encode("A good movie.").tolist()
        [1, 2, 0, 4]
        >>> words.decode([1, 2, 3, 4])
        'a good film.'
        >>> Symbols(("a", "b"), "characters").encode("abc")
        Traceback (most recent call last):
        streamcell.runtime.errors.InputError: 'c' at place 2 is none of the model's 2 symbols, and it has no '<unk>'
    """

    def __init__(self, symbols: Sequence[str], split: str) -> None:
        if split not in ("characters", "words"):
            raise InputError(f"split must be 'characters' or 'words', got {split!r}")
        self.symbols = tuple(symbols)
        self._split: Split = "words" if split == "words" else "characters"
        special = [symbol for symbol in symbols if is_special(symbol)]
        self._special = {symbol: self.symbols.index(symbol) for symbol in special}
        self._text = {symbol: place for place, symbol in enumerate(symbols) if symbol not in self._special}
        self._unknown = self._special.get(UNKNOWN)

    def __len__(self) -> int:
        return len(self.symbols)

    def encode(self, text: str) -> NDArray[np.int64]:
        """Return the places `[n]` of a text's symbols.

        Raises:
            InputError: If something is no symbol and there is no `UNKNOWN`.
        """
        pieces = cut(text, self._split)
        places = [self._text.get(piece, self._unknown) for piece in pieces]
        for at, (piece, place) in enumerate(zip(pieces, places, strict=True)):
            if place is None:
                raise InputError(
                    f"{piece!r} at place {at} is none of the model's {len(self)} symbols, and it has no {UNKNOWN!r}"
                )
        return np.array(places, np.int64)

    def special(self, symbol: str) -> int | None:
        """Return the place of a symbol in angle brackets, or None."""
        return self._special.get(symbol)

    def decode(self, places: Iterable[int]) -> str:
        """Return the text of symbols; those in angle brackets have none, but for `UNKNOWN`."""
        shown = [self.symbols[place] for place in places]
        pieces = [piece for piece in shown if piece == UNKNOWN or not is_special(piece)]
        if self._split == "characters":
            return "".join(pieces)
        text = ""
        for piece in pieces:
            close = not text or piece in _CLOSING or text[-1] in _OPENING
            text += piece if close else f" {piece}"
        return text


def is_special(symbol: str) -> bool:
    """Tell whether a symbol is no text.

    Examples:
        >>> is_special("<end>"), is_special("<")
        (True, False)
    """
    return len(symbol) > 2 and symbol[0] == "<" and symbol[-1] == ">"
