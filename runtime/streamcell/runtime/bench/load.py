"""Many live streams at once: arrivals that are staggered, and the delay of each answer."""

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from streamcell.runtime.errors import OverloadError
from streamcell.runtime.pool import StreamPool

__all__ = ["Clock", "Played", "play"]

_LOOK = 50  # pushes until patience is asked for again
_TICK = 0.001  # s: when nothing is due, the next look is after that; what came meanwhile is pushed in one go


@dataclass(frozen=True, slots=True)
class Played:
    """Hold how streams fared in a pool.

    Attributes:
        delays: Seconds from the moment when the last sample of a step was due to its answer, in the order of answers.
        calls: Of the model.
        refused: Blocks that the pool did not take.
        unanswered: Blocks that it took and did not answer in time.
        given_up: Whether the end was not waited for, because answers came too late.
    """

    delays: NDArray[np.float64]
    calls: int
    refused: int
    unanswered: int
    given_up: bool

    def p99(self, skip: int = 0) -> float:
        """Return the p99 delay in seconds without the first ``skip`` answers; what was never answered is infinite.

        Examples:
            >>> Played(np.array([9.0, 0.1, 0.2]), 3, 0, 0, False).p99(skip=1)
            0.2
            >>> Played(np.array([9.0, 0.1, 0.2]), 3, 1, 0, False).p99(skip=1)
            inf
        """
        late = np.concatenate([self.delays[skip:], np.full(self.refused + self.unanswered, np.inf)])
        return np.inf if self.given_up or not len(late) else float(np.quantile(late, 0.99, method="higher"))


class Clock:
    """Note when the steps of streams were answered, against when they were due.

    Stream k of N has its step n due ``(k / N + n + 1) * step`` seconds after the beginning. `answered` is the pool's
    ``notify``; `play` does the rest.

    Args:
        step: Length of a step in seconds: of a call, where the model takes a fixed number of its steps.
        unit: That number.
    """

    def __init__(self, step: float, unit: int = 1) -> None:
        self.step, self._unit, self._lock = step, unit, Lock()
        self.start([], 0.0)

    def start(self, streams: Sequence[int], begin: float) -> None:
        """Begin anew with these streams at ``begin``, a time of `time.perf_counter`."""
        with self._lock:
            self._begin, self._places = begin, {stream: k for k, stream in enumerate(streams)}
            self._offsets = np.arange(len(streams)) / max(1, len(streams))
            self._pushed, self._done = [0] * len(streams), np.zeros(len(streams), np.int64)
            self._told: deque[tuple[float, Sequence[int], int]] = deque()  # not yet in what follows
            self._delays: list[NDArray[np.float64]] = []

    def dues(self, step: int) -> list[float]:
        """Return when a step of each stream is due, on the clock of `time.perf_counter`."""
        times: list[float] = (self._begin + (self._offsets + (step + 1)) * self.step).tolist()
        return times

    def expect(self, k: int) -> None:
        """Take note that the next step of stream k is about to be pushed."""
        self._pushed[k] += 1

    def answered(self, streams: Sequence[int], steps: int) -> None:
        """Take note that these were just stepped, each by so many of the model's steps; reckon when somebody asks."""
        self._told.append((time.perf_counter(), streams, steps))

    @property
    def unanswered(self) -> int:
        """Return how many steps were expected and not answered."""
        return sum(self._pushed) - sum(map(len, self.delays))

    @property
    def last(self) -> float:
        """Return the largest delay of the last call of the model, in seconds."""
        with self._lock:
            self._catch_up()
            return float(self._delays[-1].max(initial=0.0)) if self._delays else 0.0

    @property
    def delays(self) -> list[NDArray[np.float64]]:
        """Return the delays in seconds, an array for each call of the model."""
        with self._lock:
            self._catch_up()
            return list(self._delays)

    def _catch_up(self) -> None:
        while self._told:
            self._delays.append(self._reckon(*self._told.popleft()))

    def _reckon(self, now: float, streams: Sequence[int], steps: int) -> NDArray[np.float64]:
        index = np.array([self._places[stream] for stream in streams if stream in self._places], np.intp)
        steps //= self._unit
        number = self._done[index] + np.arange(1, steps + 1)[:, None]
        self._done[index] += steps
        delays: NDArray[np.float64] = (now - self._begin - (self._offsets[index] + number) * self.step).ravel()
        return delays


def play(
    pool: StreamPool,
    clock: Clock,
    streams: Sequence[int],
    block: Callable[[int, int], NDArray[np.float32]],
    steps: int,
    patience: float = np.inf,
    ending: float = 10.0,
) -> Played:
    """Push every stream's steps as they become due, and wait for the answers.

    Steps come in bursts of a millisecond (an eighth of a step, where that is less), as through a server's event loop,
    and their delays count from when each was due.

    Args:
        pool: Where ``streams`` are open; its ``notify`` is ``clock.answered``.
        clock: Is started anew.
        streams: Their numbers.
        block: Gives the samples of stream k, from 0, and its step n.
        steps: Of each stream.
        patience: Seconds; if an answer comes later than that, no more is pushed.
        ending: Seconds that the last answers may take.
    """
    now = time.perf_counter()
    clock.start(streams, now + 0.05)
    refused, given_up, tick, hurry = 0, False, min(_TICK, clock.step / 8), patience < np.inf
    for k, stream, step, due in _arrivals(clock, streams, steps):
        if hurry and k % _LOOK == 0 and (given_up := max(clock.last, time.perf_counter() - due) > patience):
            break
        while due > now:
            time.sleep(max(due - now, tick))
            now = time.perf_counter()
        clock.expect(k)
        try:
            pool.push(stream, block(k, step))
        except OverloadError:
            refused += 1
    pool.wait(ending)
    if clock.unanswered > refused:
        time.sleep(0.05)  # the last call may not be told yet
    calls = clock.delays
    lost = max(0, clock.unanswered - refused)
    return Played(np.concatenate([np.zeros(0), *calls]), len(calls), refused, lost, given_up)


def _arrivals(clock: Clock, streams: Sequence[int], steps: int) -> Iterator[tuple[int, int, int, float]]:
    """Yield a stream's place, its number, its step and when that is due, in order of time."""
    for step in range(steps):
        for k, (stream, due) in enumerate(zip(streams, clock.dues(step), strict=True)):
            yield k, stream, step, due
