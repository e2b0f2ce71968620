"""How the next symbol is drawn from a model's answer."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamcell.runtime.decode.settings import check_number
from streamcell.runtime.errors import InputError

__all__ = ["Sampling"]

_MOST_SEED = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class Sampling:
    """Say how symbols are drawn: the softmax of ``logits / temperature``, cut to the most probable ones.

    First all but the ``top_k`` most probable symbols are left out, then all but the fewest that together have
    ``top_p`` of what is left (the nucleus of Holtzman et al., 2020). Of equally probable symbols the first stays.

    Everything after the logits is computed in float64 and drawn by inverting the cumulative sum with numpy's PCG64, so
    the same seed gives the same text on any machine, unless two machines' logits differ in their last places right
    where a draw falls.

    Attributes:
        temperature: Below 1 surer, above 1 bolder; 0 takes the most probable symbol, without chance.
        top_k: How many symbols stay; 0: all.
        top_p: From above 0 to 1.
        seed: A whole number, 0 or more.

    Raises:
        InputError: If a value makes no sense.

    Examples:
        >>> Sampling(top_p=0.7).probabilities(np.log([0.5, 0.3, 0.2])).round(3).tolist()
        [0.625, 0.375, 0.0]
        >>> draw = Sampling(seed=1).drawer()
        >>> [draw(np.log([0.5, 0.3, 0.2])) for _ in range(5)]
        [1, 2, 0, 2, 0]
    """

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        check_number("temperature", self.temperature)
        check_number("top_p", self.top_p, above=0, most=1)
        if type(self.top_k) is not int or self.top_k < 0:
            raise InputError(f"top_k must be a whole number, 0 or more, got {self.top_k!r:.80}")
        if type(self.seed) is not int or not 0 <= self.seed <= _MOST_SEED:
            raise InputError(f"seed must be a whole number from 0 to {_MOST_SEED}, got {self.seed!r:.80}")

    def probabilities(self, logits: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return how probable each symbol is to be drawn, `[n]`; -inf among the logits never is."""
        values = logits.astype(np.float64)
        if self.temperature == 0 or self.top_k == 1:
            surely: NDArray[np.float64] = np.eye(1, len(values), int(values.argmax()))[0]
            return surely
        with np.errstate(over="ignore"):
            powers = np.exp((values - values.max()) / self.temperature)
        if self.top_k or self.top_p < 1:
            order = np.argsort(-powers, kind="stable")
            powers[order[self.top_k or len(order) :]] = 0
            reached = np.cumsum(powers[order])
            powers[order[int(np.searchsorted(reached, self.top_p * reached[-1])) + 1 :]] = 0
        shares: NDArray[np.float64] = powers / powers.sum()
        return shares

    def drawer(self) -> Callable[[NDArray[np.floating]], int]:
        """Return what draws a symbol's place from logits `[n]`, again and again, from the seed on."""
        random = np.random.Generator(np.random.PCG64(self.seed))

        def draw(logits: NDArray[np.floating]) -> int:
            cumulated = np.cumsum(self.probabilities(logits))
            point = random.random() * cumulated[-1]
            return int(np.searchsorted(cumulated, point, side="right"))

        return draw
