"""The words that tokens have come by, as far as they may still differ."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["NOTHING", "History", "Word"]

NOTHING = -1
"""Number of the word before the first."""

_LARGEST = 1 << 53


class Word(NamedTuple):
    """Hold a word that a token ended.

    Attributes:
        string: Which string of phones.
        start: Frame.
        end: Frame; it rises while the last phone's stretch goes on.
        before: Number of the word before.
        confidence: From 0 to 1.
        spike: Frame after the last one in which the token was in the word.
    """

    string: int
    start: int
    end: int
    before: int
    confidence: float
    spike: int


class History:
    """Keep words as a tree that grows at its leaves and is settled at its root; a number that it lacks is `NOTHING`.

    Examples:
        >>> history = History()
        >>> one = history.add(Word(5, 0, 10, NOTHING, 0.9, 10))
        >>> two, three = history.add(Word(6, 10, 20, one, 0.9, 20)), history.add(Word(7, 10, 21, one, 0.8, 21))
        >>> history.grow(30, 0, np.zeros(8, np.int64), 9)  # so all have their end
        >>> [word.string for word in history.common([two, three])]
        [5]
        >>> history.settle([two, three], 1)
        >>> [word.string for word in history.path(two)]
        [6]
    """

    def __init__(self) -> None:
        self._words: dict[int, Word] = {}
        self._growing: list[int] = []
        self._count = 0

    def add(self, word: Word) -> int:
        """Take a word; return its number."""
        number, self._count = self._count, self._count + 1
        self._words[number] = word
        self._growing.append(number)
        return number

    def grow(self, frame: int, label: int, ends: NDArray[np.intp], reach: int) -> None:
        """Let words that ended before ``frame`` go on for it, where their last phone, in ``ends``, is its label."""
        growing = []
        for number in self._growing:
            word = self._words.get(number)
            if word and word.end == frame and ends[word.string] == label and frame - word.spike < reach:
                self._words[number] = word._replace(end=frame + 1)
                growing.append(number)
        self._growing = growing

    def path(self, number: int) -> list[Word]:
        """Return the words up to one, from the first that is not settled."""
        return [self._words[each] for each in self._numbers(number)]

    def holds(self, number: int, word: Word) -> bool:
        """Tell whether a word is on the path to another."""
        return any(each is word for each in self.path(number))

    def common(self, leaves: Iterable[int]) -> list[Word]:
        """Return the words that all paths share and that have their end."""
        paths = [self._numbers(leaf) for leaf in set(leaves)]
        shared = []
        for step in zip(*paths, strict=False):
            if len(set(step)) > 1 or step[0] in self._growing:
                break
            shared.append(self._words[step[0]])
        return shared

    def settle(self, leaves: Iterable[int], count: int) -> None:
        """Forget the first words of all paths, which share them, and all that lie on no path."""
        kept = {number for leaf in set(leaves) for number in self._numbers(leaf)[count:]}
        self._words = {number: word for number, word in self._words.items() if number in kept}
        self._growing = [number for number in self._growing if number in kept]

    @property
    def starts(self) -> Iterator[int]:
        """Yield where the words begin that are not settled."""
        return (word.start for word in self._words.values())

    def to_arrays(self) -> dict[str, NDArray[np.float64] | NDArray[np.int64]]:
        """Return everything, for `restore`."""
        rows = [[number, number in self._growing, *word] for number, word in self._words.items()]
        return {
            "history": np.array(rows, np.float64).reshape(-1, 8),
            "history_count": np.array(self._count, np.int64),
        }

    @classmethod
    def restore(cls, arrays: dict[str, NDArray[np.float64]], strings: int, end: int) -> "History":
        """Return what `to_arrays` saved.

        Raises:
            ValueError: If the words cannot be, with so many strings, up to frame ``end``.
        """
        rows, count = arrays["history"], arrays["history_count"]
        if rows.dtype != np.float64 or rows.shape[1:] != (8,) or count.dtype != np.int64 or count.shape:
            raise ValueError(f"a history of shape {rows.shape}")
        history = cls()
        history._count = int(count)
        for row in rows.tolist():
            number, growing, string, start, stop, before = (int(value) for value in row[:6])
            word = Word(string, start, stop, before, row[6], int(row[7]))
            times = 0 <= start < stop <= end and start < word.spike <= stop
            known = NOTHING <= before < number < history._count < _LARGEST and number not in history._words
            if not (times and known and 0 <= string < strings and 0 <= word.confidence <= 1):
                raise ValueError(f"a history with {row}")
            history._words[number] = word
            if growing:
                history._growing.append(number)
        return history

    def _numbers(self, number: int) -> list[int]:
        found = []
        while number in self._words:
            found.append(number)
            number = self._words[number].before
        return found[::-1]
