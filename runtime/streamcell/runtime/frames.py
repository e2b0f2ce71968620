"""Frames: what a model said step by step, with its place on the clock."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamcell.runtime.errors import ModelError
from streamcell.runtime.specs import OutputKind

__all__ = ["Frames", "check_finite", "log_softmax"]


@dataclass(frozen=True, slots=True, eq=False)
class Frames:
    """Hold the answers of some steps in a row.

    Attributes:
        values: `[T, C]` float32, as the model gave them.
        first: Number of the first; frame k lasts from ``origin + k * seconds_per_step``, for ``seconds_per_step``.
        origin: Seconds: when the stream began or was last reset.
        kind: What `values` are, as in `OutputSpec`.
        reset: Why the state began anew before the first, by the manifest's reset policy: ``"silence"``, ``"interval"``,
            or empty where it did not.

    Examples:
        >>> Frames(np.float32([[0, 0]]), first=7).probs.tolist()
        [[0.5, 0.5]]
    """

    values: NDArray[np.float32]
    first: int
    origin: float = 0.0
    kind: OutputKind = "logits"
    reset: str = ""

    @property
    def log_probs(self) -> NDArray[np.float32]:
        """Return log-probabilities `[T, C]`: of a softmax over logits, or the logarithm of probabilities."""
        if self.kind == "logits":
            return log_softmax(self.values)
        with np.errstate(divide="ignore"):
            return np.log(self.values)

    @property
    def probs(self) -> NDArray[np.float32]:
        """Return probabilities `[T, C]`."""
        return np.exp(log_softmax(self.values)) if self.kind == "logits" else self.values


def check_finite(values: NDArray[np.float32]) -> None:
    """Raise what is wrong with a model that gives NaN or infinite values.

    Raises:
        ModelError: If there are some.
    """
    if not np.isfinite(values).all():
        raise ModelError("the model gave values that are not finite; its weights or its input are broken")


def log_softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return log-probabilities over the last axis.

    Examples:
        >>> log_softmax(np.float32([[1000, 1000]])).round(4).tolist()
        [[-0.6930999755859375, -0.6930999755859375]]
    """
    shifted: NDArray[np.float32] = logits - logits.max(-1, keepdims=True)
    shifted -= np.log(np.exp(shifted).sum(-1, keepdims=True))
    return shifted
