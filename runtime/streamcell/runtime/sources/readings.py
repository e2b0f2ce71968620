"""What sources of sensors' readings give."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Readings"]


@dataclass(frozen=True, slots=True, eq=False)
class Readings:
    """Hold some readings in a row.

    Attributes:
        times: `[n]` float64, seconds of the source's clock, or None where it gives none.
        values: `[n, channels]` float32.
        outage: Seconds, by this machine's clock, from the last readings before the source was away to these; else 0.
    """

    times: NDArray[np.float64] | None
    values: NDArray[np.float32]
    outage: float = 0.0
