"""Frames: log-probabilities with their place on the clock."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Frames", "log_softmax"]


@dataclass(frozen=True, slots=True, eq=False)
class Frames:
    """Hold the log-probabilities of some frames in a row.

    Attributes:
        log_probs: `[T, C]` float32.
        first: Number of the first; frame k lasts from ``origin + k * seconds_per_step``, for ``seconds_per_step``.
        origin: Seconds: when the stream began or was last reset.
    """

    log_probs: NDArray[np.float32]
    first: int
    origin: float = 0.0


def log_softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return log-probabilities over the last axis.

    Examples:
        >>> log_softmax(np.float32([[1000, 1000]])).round(4).tolist()
        [[-0.6930999755859375, -0.6930999755859375]]
    """
    shifted: NDArray[np.float32] = logits - logits.max(-1, keepdims=True)
    shifted -= np.log(np.exp(shifted).sum(-1, keepdims=True))
    return shifted
