"""Where tokens entered the words that they are in."""

import numpy as np
from numpy.typing import NDArray

from streamcell.runtime.words.history import NOTHING

__all__ = ["Entrances"]


class Entrances:
    """Remember for each of the last frames which two tokens could enter words there, and where these words begin.

    A token keeps a mark: the frame, which of the two it was, and whether its word begins with the run of the frame's
    label, or with the frame itself.

    Args:
        size: How many frames are remembered.

    Attributes:
        bases: `[size, 2]`, scores of the two.
        parents: `[size, 2]`, numbers of their last words.
        runs: `[size]`, where the run of the frame's label began.

    Examples:
        >>> entrances = Entrances(4)
        >>> entrances.note(9, np.array([-1.0, -2.0]), np.array([5, 6]), run=7)
        >>> mark = entrances.marks(9, np.array([True]), np.array([True]))
        >>> entrances.of(int(mark[0]))
        (7, 6, -2.0)
    """

    def __init__(self, size: int) -> None:
        self.bases, self.parents = np.zeros((size, 2)), np.full((size, 2), NOTHING)
        self.runs = np.zeros(size, np.int64)

    def note(self, frame: int, scores: NDArray[np.float64], words: NDArray[np.int64], run: int) -> None:
        """Remember a frame: scores and last words `[2]` of the two tokens, and where its run began."""
        place = frame % len(self.runs)
        self.bases[place], self.parents[place], self.runs[place] = scores, words, run

    @staticmethod
    def marks(frame: int, second: NDArray[np.bool_], begins: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Return the marks of tokens that enter now.

        Args:
            frame: Now.
            second: Whether each is the second of the two.
            begins: Whether its word begins with the run.
        """
        found: NDArray[np.int64] = 4 * frame + 2 * second.astype(np.int64) + begins
        return found

    @staticmethod
    def since(frame: int) -> int:
        """Return the least mark of tokens that entered at ``frame`` or later."""
        return 4 * frame

    def of(self, mark: int) -> tuple[int, int, float]:
        """Return where a token's word begins, the number of the word before, and the score with which it began."""
        frame, second, begins = mark >> 2, mark >> 1 & 1, mark & 1
        place = frame % len(self.runs)
        start = int(self.runs[place]) if begins else frame
        return start, int(self.parents[place, second]), float(self.bases[place, second])

    def words_before(self, marks: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the numbers of the words before those of tokens."""
        found: NDArray[np.int64] = self.parents[(marks >> 2) % len(self.runs), marks >> 1 & 1]
        return found

    def starts(self, marks: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return where the words of tokens begin."""
        frames = marks >> 2
        return np.where(marks & 1, self.runs[frames % len(self.runs)], frames)
