"""A stream that never ends: does memory grow, does a step become slower?"""

from collections.abc import Callable
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from streamcell.runtime.bench.heard import Heard
from streamcell.runtime.bench.latency import Step, pushing, timed
from streamcell.runtime.bench.machine import resident_mb
from streamcell.runtime.bench.report import Memory
from streamcell.runtime.model import Model

__all__ = ["measure_memory", "trend"]

_DAY = 24 * 3600.0
_LOOKS, _PART = 240, 10  # at the memory; how many are a 24th of the time
_LEAST = 20  # steps


def measure_memory(
    model: Model, heard: Heard, seconds: float | None, progress: Callable[[str], None] | None = None
) -> Memory:
    """Push steps as fast as can be for about ``seconds``, or 24 hours of sound with None; watch memory and latency.

    Args:
        model: The model.
        heard: What it hears.
        seconds: How long this may take.
        progress: Is told what is done, 24 times.
    """
    step = pushing(model)
    pilot = [timed(step, heard.step(number)) for number in range(2 * _LEAST)]
    speed = float(np.median(pilot[_LEAST:])) / 1e9
    steps = max(_LEAST, int(seconds / speed) if seconds is not None else round(_DAY / heard.seconds))
    hours, memory, medians = _watch(step, heard, steps, progress)
    begin, growth, slope = trend(hours, memory)
    first, last = (round(float(np.median(part)) / 1000, 3) for part in (medians[:_PART], medians[-_PART:]))
    return Memory(round(float(hours[-1]), 4), seconds is None, begin, growth, slope, first, last)


def trend(hours: NDArray[np.float64], memory: NDArray[np.float64]) -> tuple[float | None, float | None, float | None]:
    """Return memory after the first minute or, where there is less, the first fifth; its growth; its slope by 24 h.

    The slope is the median of those over a quarter of the time: a jump that happens once is no trend.

    Args:
        hours: When it was looked at, rising.
        memory: In MB, NaN where it cannot be known: then None is returned.

    Examples:
        >>> trend(np.arange(1, 25) * 1.0, 50 + 0.5 * np.arange(24))
        (50.0, 11.5, 12.0)
    """
    if np.isnan(memory).any():
        return None, None, None
    warm = int(np.searchsorted(hours, min(1 / 60, hours[-1] / 5)))
    hours, memory = hours[warm:], memory[warm:]
    apart = max(1, len(hours) // 4)
    slope = np.median((memory[apart:] - memory[:-apart]) / (hours[apart:] - hours[:-apart])) * 24
    return round(float(memory[0]), 3), round(float(memory[-1] - memory[0]), 3), round(float(slope), 3)


def _watch(
    step: Step, heard: Heard, steps: int, progress: Callable[[str], None] | None
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Take the steps; return hours of sound, memory and median duration (ns) of each part between two looks."""
    edges = np.linspace(0, steps, min(_LOOKS, steps) + 1).astype(int)
    took = np.ones(int(np.diff(edges).max()), np.int64)  # its memory is taken now
    memory, medians = np.ones((2, len(edges) - 1))
    for look, (begin, end) in enumerate(pairwise(edges.tolist())):
        for number in range(begin, end):
            took[number - begin] = timed(step, heard.step(number))
        medians[look] = np.median(took[: end - begin])
        memory[look] = np.nan if (now := resident_mb()) is None else now
        if progress is not None and (look + 1) % _PART == 0:
            progress(f"{end * heard.seconds / 3600:.1f} h heard, {memory[look]:.1f} MB resident")
    return edges[1:] * heard.seconds / 3600, memory, medians
