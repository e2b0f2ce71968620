"""How well each phone of an alignment was said: against every other phone in its place.

The goodness of pronunciation (Witt and Young 2000) compares a phone's frames with the best rival's on the same frames.
A wrong phone in the text then also spoils its neighbours, who take or lose frames. So here each rival gets the best
borders of its own, and the neighbours keep theirs free too, as in Cao et al. 2024 (arXiv:2406.02061): the rest of the
text is the same, the place of one phone is not.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["in_place"]

_AROUND = 3  # phones to each side whose borders are free


def in_place(
    scores: NDArray[np.float32], columns: Sequence[int], borders: Sequence[int], place: int, rivals: Sequence[int]
) -> NDArray[np.float64]:
    """Return how likely the sound is with each rival in the place of one phone, relative to the aligned text.

    Args:
        scores: Log-probabilities `[T, C]`.
        columns: Of the aligned phones and pauses, N.
        borders: Of them, N + 1 frame numbers that grow.
        place: Which of them to replace.
        rivals: Columns.

    Returns:
        Log-likelihoods `[len(rivals)]`, best borders for each, less that of the aligned column with its best.

    Examples:
        >>> scores = np.log(np.float32([[0.9, 0.1], [0.9, 0.1], [0.2, 0.8]]))
        >>> in_place(scores, [0, 1], [0, 2, 3], 0, [0, 1]).round(2).tolist()
        [0.0, -4.39]
    """
    low, high = max(0, place - _AROUND), min(len(columns), place + _AROUND + 1)
    begin, end = borders[low], borders[high]
    summed = np.zeros((end - begin + 1, scores.shape[1]))
    np.cumsum(scores[begin:end], axis=0, dtype=np.float64, out=summed[1:])
    before = _before(summed, columns[low:place])
    behind = _before(_turned(summed), columns[place + 1 : high][::-1])[::-1]
    wanted = [columns[place], *rivals]
    entered = _latest(before[:, None] - summed[:, wanted])  # [t, rivals]: best of all beginnings before t
    best = (entered[:-1] + summed[1:, wanted] + behind[1:, None]).max(axis=0)
    return np.asarray(best[1:] - best[0])


def _before(summed: NDArray[np.float64], columns: Sequence[int]) -> NDArray[np.float64]:
    """Return, for each border, the best score of all frames before it, one or more a column."""
    best = np.full(len(summed), -np.inf)
    best[0] = 0.0
    for column in columns:
        track = summed[:, column]
        best[1:] = np.maximum.accumulate(best - track)[:-1] + track[1:]
        best[0] = -np.inf
    return best


def _latest(values: NDArray[np.float64]) -> NDArray[np.float64]:
    latest: NDArray[np.float64] = np.maximum.accumulate(values, axis=0)
    return latest


def _turned(summed: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the sums of the frames in reverse order."""
    turned: NDArray[np.float64] = summed[-1] - summed[::-1]
    return turned
