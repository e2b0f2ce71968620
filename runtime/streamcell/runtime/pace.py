"""How many readings come a second: what tells a sensor of another rate from one that pauses or bursts."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["FACTOR", "Pace"]

FACTOR = 1.5
"""Between the rates of source and model, from which on it is told."""

_MOST_ALIKE = 1.2  # half of the intervals must differ by more: a hole or a burst is no other rate
_FEWEST = 8  # intervals that a rate is measured on


@dataclass(slots=True)
class Pace:
    """Measure the rate of readings, a second or more at a time, in constant memory; it may be saved as it is.

    Attributes:
        start: Time of the first reading that is measured on, seconds.
        count: How many intervals came since.
        longer: How many of them are clearly longer than those of the expected rate.
        shorter: How many are clearly shorter.
        longest: The longest; it is left out of the mean, as it may be a hole.
        told: Whether another rate was told; it is told once.
    """

    start: float = 0.0
    count: int = 0
    longer: int = 0
    shorter: int = 0
    longest: float = 0.0
    told: bool = False

    def begin(self, time: float) -> None:
        """Measure anew from a reading at ``time`` on."""
        self.start, self.count, self.longer, self.shorter, self.longest = time, 0, 0, 0, 0.0

    def hear(self, times: NDArray[np.float64], rate: int) -> tuple[int, float] | None:
        """Take more readings; return where another rate than ``rate`` shows, and which (Hz).

        Args:
            times: `[n]`, rising, seconds; the first is known already.
            rate: Hz, as expected.
        """
        index, last = 0, len(times) - 1
        intervals = np.diff(times)
        while index < last and not self.told:
            end = max(index + _FEWEST - self.count, int(np.searchsorted(times, self.start + 1.0)))
            part = intervals[index : min(end, last)]
            self.count += len(part)
            self.longer += int(np.count_nonzero(part * rate > _MOST_ALIKE))
            self.shorter += int(np.count_nonzero(part * rate * _MOST_ALIKE < 1))
            self.longest = max(self.longest, float(part.max(initial=0)))
            index += len(part)
            if end <= last:
                found = (self.count - 1) / max(float(times[end]) - self.start - self.longest, 1e-9)
                slow = found * FACTOR < rate and 2 * self.longer > self.count
                self.told = slow or (found > FACTOR * rate and 2 * self.shorter > self.count)
                self.begin(float(times[end]))
                if self.told:
                    return end, found
        return None
