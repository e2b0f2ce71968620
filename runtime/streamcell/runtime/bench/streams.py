"""How many live streams one core and all cores carry: real-time trials, more and fewer, until the limit is found."""

import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from streamcell.runtime.bench.heard import Heard
from streamcell.runtime.bench.load import Clock, play
from streamcell.runtime.bench.machine import cores, one_core
from streamcell.runtime.bench.report import Carried, Streams
from streamcell.runtime.model import Model
from streamcell.runtime.pool import StreamPool

__all__ = ["measure_streams", "search", "too_slow"]

_MOST = 16384  # streams
_MOST_NUMBERS = 1 << 27  # of all their states
_TRIAL, _STEPS, _LEAST = 1.5, 40, 5  # a trial's seconds, its steps where these are more, and where time is short
_PILOT, _WARM = 0.3, 0.5  # seconds
_PATIENCE = 0.15  # seconds, and four steps: what is later ends a trial
_TRIES = 2  # of a number before it is too many: what else runs can only spoil a trial
_SKIP = 2  # steps of each stream that are not judged
_FINE = 0.08  # how close the two ends come, as a share


def measure_streams(model: Model, heard: Heard, seconds: float, progress: Callable[[str], None]) -> Streams:
    """Search for the most streams that one core, then all cores, carry at a p99 delay below one step.

    Args:
        model: The model.
        heard: What the streams hear, each from a place of its own.
        seconds: How long this may take, about; trials go on until one was carried.
        progress: Is told each trial's outcome.
    """
    count = cores()
    trials = _Trials(model, heard, seconds / min(2, count), progress)
    with one_core() as pinned:
        guess = max(1, int(heard.seconds / trials.pilot()))
        one = trials.run(1, pinned, max(1, guess // 2), 2 * guess)
    if count == 1:
        return Streams(one, None)
    return Streams(one, trials.run(count, False, max(1, one.streams), 2 * count * guess))


def too_slow(heard: Heard, seconds: float) -> bool:
    """Tell whether steps are so long that ``seconds`` do not do for `measure_streams`."""
    return 4 * _LEAST * heard.seconds > seconds


def search(
    carries: Callable[[int], bool], start: int, most: int, goes_on: Callable[[], bool]
) -> tuple[int, int | None]:
    """Find the largest number for which ``carries`` holds, by doubling or halving from ``start``, then by bisection.

    Args:
        carries: Holds up to some number and not beyond.
        start: Tried first.
        most: Never exceeded.
        goes_on: Is asked before each trial, once there is a number that was carried.

    Returns:
        The largest that was carried, 0 if none was, and the smallest that was not, None if all were; within 8% if
        there was time.

    Examples:
        >>> search(lambda number: number <= 700, 100, 10_000, lambda: True)
        (700, 750)
    """
    low, high, number = 0, None, min(start, most)
    while True:
        if carries(number):
            low = number
        else:
            high = number
        following = _following(low, high, most)
        if following is None or (low and not goes_on()):
            return low, high
        number = following


def _following(low: int, high: int | None, most: int) -> int | None:
    """Return what to try next, None at the end."""
    if high is None:
        return min(2 * low, most) if low < most else None
    if low == 0:
        return high // 2 or None
    return (low + high) // 2 if high - low > max(1, _FINE * low) else None


class _Trials:
    """Run trials of one model, each of many streams in real time.

    Args:
        model: The model.
        heard: What the streams hear.
        seconds: For all trials together.
        progress: Is told what came of each.
    """

    def __init__(self, model: Model, heard: Heard, seconds: float, progress: Callable[[str], None]) -> None:
        self._model, self._heard, self._seconds, self._progress = model, heard, seconds, progress
        wanted, least = max(_TRIAL, _STEPS * heard.seconds), _LEAST * heard.seconds
        self._steps = round(max(least, min(wanted, seconds / 2)) / heard.seconds)
        numbers = sum(int(np.prod(state.sizes(1))) for state in model.manifest.states)
        self._most = max(1, min(_MOST, _MOST_NUMBERS // max(1, numbers)))
        self._waiting, self._wait_ms = max(2.0, 4 * heard.seconds), min(5.0, 1000 * heard.seconds / 4)
        self._places = np.random.default_rng(0).integers(0, heard.steps, self._most)

    def pilot(self) -> float:
        """Return seconds that a step takes when 64 streams are stepped together, pushing and decoding included."""
        streams = min(64, self._most) if self._model.manifest.batch_invariant else 1
        with StreamPool(self._model, streams, workers=0, max_waiting=self._waiting) as pool:
            ids = [pool.open() for _ in range(streams)]
            took: list[float] = []
            while len(took) < 3 or sum(took) < _PILOT:
                begin = time.perf_counter()
                for k, stream in enumerate(ids):
                    pool.push(stream, self._block(k, len(took)))
                while pool.step():
                    pass
                took.append(time.perf_counter() - begin)
        return float(np.median(took)) / streams

    def run(self, workers: int, pinned: bool, start: int, most: int) -> Carried:
        """Search from ``start`` streams up to ``most`` in a pool of so many workers."""
        clock = Clock(self._heard.seconds, self._model.manifest.steps_per_call or 1)
        most, p99 = min(most, self._most), dict[int, float]()
        with StreamPool(self._model, most, max_waiting=self._waiting, workers=workers, notify=clock.answered) as pool:
            ids: list[int] = []

            def carries(number: int) -> bool:
                ids.extend(pool.open() for _ in range(number - len(ids)))
                tries = (self._trial(pool, clock, ids[:number], workers) for _ in range(_TRIES))
                p99[number] = next((found for found in tries if found < self._heard.seconds), np.inf)
                return p99[number] < np.inf

            ends = time.perf_counter() + self._seconds - self._steps * self._heard.seconds
            low, high = search(carries, start, most, lambda: time.perf_counter() < ends)
        delay = round(1000 * p99[low], 3) if low else None
        return Carried(low, delay, high, workers, pinned, self._wait_ms, round(self._steps * self._heard.seconds, 3))

    def _trial(self, pool: StreamPool, clock: Clock, ids: list[int], workers: int) -> float:
        """Play some streams; return their p99 delay in seconds."""
        step = self._heard.seconds
        p99 = play(pool, clock, ids, self._block, self._steps, _PATIENCE + 4 * step).p99(skip=_SKIP * len(ids))
        self._progress(_outcome(workers, len(ids), p99, step))
        return p99

    def _block(self, k: int, step: int) -> NDArray[np.float32]:
        return self._heard.step(int(self._places[k]) + step)


def _outcome(workers: int, streams: int, p99: float, step: float) -> str:
    delay = f"p99 {1000 * p99:.1f} ms" if np.isfinite(p99) else "they fell behind"
    verdict = "carried" if p99 < step else "too many"
    return f"{workers} worker{'s' if workers > 1 else ''}, {streams} streams: {delay}, {verdict}"
