"""Token passing through the strings of phones that words are: all words at once, frame by frame."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from streamcell.runtime.errors import InputError
from streamcell.runtime.words.lexicon import Way

__all__ = ["Chains", "Row", "Rows"]


class Row(NamedTuple):
    """What a frame says to token passing.

    Attributes:
        scores: `[C + 1]` float64: for each column its log-probability less the best column's, so 0 for the best;
            behind them the better of blank and silence, which a pause between words may be.
        best: The best column.
        label: The best column without the blank.
    """

    scores: NDArray[np.float64]
    best: int
    label: int


class Rows:
    """Turn a model's answers into `Row` items.

    The free path through any phones takes the best column of every frame, so it scores 0, and what a word scores is its
    log-likelihood ratio against that path.

    Args:
        labels: Name of each column.
        blank: The blank's column.
        silence: The column of the label that stands for a pause, or None.
        floor: What a column loses in one frame at most, as a log-probability: so one phone that was said otherwise, or
            a sound between two, costs no more.

    Raises:
        InputError: If a column is none.

    Examples:
        >>> rows = Rows(["<blank>", "SIL", "AA"], blank=0, silence=1, floor=8.0)
        >>> rows.read(np.float32([[-3, -1, -9]]))[0].scores.tolist()
        [-2.0, 0.0, -8.0, 0.0]
    """

    def __init__(self, labels: Sequence[str], blank: int, silence: int | None, floor: float) -> None:
        columns = [blank] if silence is None else [blank, silence]
        if len(labels) < 2 or not all(0 <= column < len(labels) for column in columns):
            raise InputError(f"blank and silence must be some of {len(labels)} columns, got {columns}")
        self.labels = tuple(labels)
        self._blank, self._pause, self._floor = blank, columns, floor

    def read(self, values: NDArray[np.float32]) -> list[Row]:
        """Return a row for each of `values [N, C]`, logits or log-probabilities, finite.

        Raises:
            InputError: If the shape does not fit.
        """
        if values.ndim != 2 or values.shape[1] != len(self.labels):
            raise InputError(f"expected frames [T, {len(self.labels)}], got {list(values.shape)}")
        best = values.argmax(1)
        scores = np.empty((len(values), len(self.labels) + 1))
        heard = scores[:, :-1]
        np.subtract(values, values.max(1, keepdims=True), out=heard, dtype=np.float64)
        np.maximum(heard, -self._floor, out=heard)
        scores[:, -1] = heard[:, self._pause].max(1)
        spoken = values.copy()
        spoken[:, self._blank] = -np.inf
        return [Row(*row) for row in zip(scores, best.tolist(), spoken.argmax(1).tolist(), strict=True)]


class Chains:
    """Hold many strings of phones as one array of states, and pass tokens through them.

    The states of a string are CTC's (Graves et al., 2006): a state for each phone and a blank between two, which may be
    skipped unless both phones are the same. Between two words the blank may be silence too. There is no blank before
    the first phone nor after the last: what lies between strings is the caller's. A token has a score and a mark; of
    those that meet in a state the best goes on (Viterbi), and of equals the one that came the shorter way.

    Args:
        ways: One a string, words of phones.
        columns: Column of each phone.
        blank: The blank's column.
        pause: The column of `Row.scores` that stands for a pause.

    Attributes:
        first, last: `[K]`, the first and last state of each string.
        phones: `[K]`, how many phones each string has.
        size: How many states there are.

    Raises:
        InputError: If a phone has no column.

    Examples:
        >>> chains = Chains([(("B", "AA"),)], {"AA": 1, "B": 2}, blank=0, pause=3)
        >>> scores, marks = chains.fresh()
        >>> for row in np.log([[0.1, 0.1, 0.8, 0.1], [0.2, 0.6, 0.2, 0.2]]):
        ...     chains.step(scores, marks, row, entry=np.float64(0.0), mark=np.int64(7))
        >>> float(np.exp(scores[chains.last[0]]).round(3)), int(marks[chains.last[0]])
        (0.48, 7)
    """

    def __init__(self, ways: Sequence[Way], columns: dict[str, int], blank: int, pause: int) -> None:
        states: list[int] = []
        skips: list[bool] = []
        first: list[int] = []
        for way in ways:
            first.append(len(states))
            before = -1
            for word in way:
                gap = pause
                for phone in word:
                    column = _column(phone, columns)
                    if before >= 0:
                        states.append(gap)
                        skips.append(False)
                    states.append(column)
                    skips.append(before >= 0 and column != before)
                    before, gap = column, blank
        self.size = len(states)
        self.first = np.array(first)
        self.last = np.array([*first[1:], len(states)]) - 1
        self.phones = (self.last - self.first) // 2 + 1
        self.columns = np.array(states)
        self._by_one = np.zeros(self.size)
        self._by_one[self.first] = -np.inf
        self._by_two = np.where(skips, 0.0, -np.inf)
        self._from = np.full(self.size + 2, -np.inf)
        self._marks = np.zeros(self.size + 2, np.int64)
        self._way, self._heard, self._better = np.empty(self.size), np.empty(self.size), np.empty(self.size, bool)

    def fresh(self) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Return scores and marks `[size]` without any token."""
        return np.full(self.size, -np.inf), np.zeros(self.size, np.int64)

    def step(
        self,
        scores: NDArray[np.float64],
        marks: NDArray[np.int64],
        row: NDArray[np.float64],
        entry: NDArray[np.float64] | np.float64,
        mark: NDArray[np.int64] | np.int64,
    ) -> None:
        """Take one frame: change `scores [size]` and `marks [size]` in place.

        Args:
            scores: Of the token in each state, -inf where there is none.
            marks: Of the same tokens.
            row: `Row.scores`.
            entry: Score of a token that enters a string in this frame, one for all or `[K]`.
            mark: Its mark, likewise.
        """
        before, old, way, better = self._from, self._marks, self._way, self._better
        before[2:] = scores
        old[2:] = marks
        for shift, price in ((1, self._by_one), (0, self._by_two)):
            np.add(before[shift : shift + self.size], price, out=way)
            np.greater(way, scores, out=better)
            np.copyto(scores, way, where=better)
            np.copyto(marks, old[shift : shift + self.size], where=better)
        enter = entry > scores[self.first]
        scores[self.first] = np.where(enter, entry, scores[self.first])
        marks[self.first] = np.where(enter, mark, marks[self.first])
        scores += np.take(row, self.columns, out=self._heard, mode="clip")


def _column(phone: str, columns: dict[str, int]) -> int:
    if phone not in columns:
        raise InputError(f"the model has no label {phone!r}; it has {', '.join(columns)}")
    return columns[phone]
