"""How long one live step takes: in a tight loop, and paced at real time, where caches are cold and clocks low."""

import time
from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from streamcell.runtime.bench.heard import Heard
from streamcell.runtime.bench.report import Latencies, Latency
from streamcell.runtime.model import Model
from streamcell.runtime.stepper import Stepper
from streamcell.runtime.stream import Stream

__all__ = ["Step", "bare", "in_turns", "measure_latency", "paced", "pushing", "timed"]

Step: TypeAlias = Callable[[NDArray[np.float32]], object]
"""What takes the samples of one step."""

_SLICE = 0.05  # seconds until the other one's turn
_WARM = 20  # steps that are not counted
_MOST = 200_000  # steps that are counted


def pushing(model: Model) -> Step:
    """Return what pushes one step into a new live stream."""
    return Stream(model).push


def bare(model: Model) -> Step:
    """Return what runs one step of the bare model on bound buffers."""
    stepper, steps = Stepper(model), model.manifest.steps_per_call or 1
    x = stepper.input(steps)[0]

    def step(samples: NDArray[np.float32]) -> None:
        x[:] = samples
        stepper.run(steps)

    return step


def in_turns(heard: Heard, steps: list[Step], seconds: float) -> list[NDArray[np.int64]]:
    """Time several ways to step in one loop, in turns of some milliseconds, so that all meet the same machine.

    Returns:
        Their durations in nanoseconds, at least one each.
    """
    for step in steps:
        for number in range(_WARM):
            step(heard.step(number))
    found: list[list[int]] = [[] for _ in steps]
    end = time.perf_counter() + seconds
    while not found[0] or (time.perf_counter() < end and len(found[0]) < _MOST):
        for step, times in zip(steps, found, strict=True):
            _turn(heard, step, times)
    return [np.array(times, np.int64) for times in found]


def paced(heard: Heard, step: Step, seconds: float) -> NDArray[np.int64]:
    """Time steps that come in real time, each after a sleep until its last sample is due; nanoseconds."""
    for number in range(_WARM):
        step(heard.step(number))
    times = np.empty(max(1, min(_MOST, int(seconds / heard.seconds))), np.int64)
    begin = time.perf_counter()
    for number in range(len(times)):
        wait = begin + number * heard.seconds - time.perf_counter()
        if wait > 0:
            time.sleep(wait)
        times[number] = timed(step, heard.step(number))
    return times


def timed(step: Step, samples: NDArray[np.float32]) -> int:
    """Return the nanoseconds of one step."""
    begin = time.perf_counter_ns()
    step(samples)
    return time.perf_counter_ns() - begin


def measure_latency(model: Model, heard: Heard, seconds: float) -> tuple[Latencies, dict[str, NDArray[np.int64]]]:
    """Measure one step of a stream and of the bare model, in a loop and paced, for about ``seconds``.

    Returns:
        The figures, and the nanoseconds behind them by the figures' names.
    """
    stream = pushing(model)
    loop = in_turns(heard, [stream, bare(model)], 0.25 * seconds)
    cpu, begin = time.process_time(), time.perf_counter()
    live = paced(heard, stream, 0.5 * seconds)
    share = (time.process_time() - cpu) / (time.perf_counter() - begin)
    times = {
        "push_loop": loop[0],
        "push_paced": live,
        "model_loop": loop[1],
        "model_paced": paced(heard, bare(model), 0.25 * seconds),
    }
    figures = {name: Latency.of(values) for name, values in times.items()}
    return Latencies(**figures, cpu_share=round(share, 5)), times


def _turn(heard: Heard, step: Step, times: list[int]) -> None:
    end, number = time.perf_counter() + _SLICE, len(times)
    while True:
        times.append(timed(step, heard.step(number)))
        number += 1
        if time.perf_counter() >= end:
            return
