"""How fast models are beside each other: in turns of some milliseconds, so that all meet the same machine.

Times are the processor's of the one thread that runs a model: on an idle machine those of the clock, on a busy one what
they would be.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamcell.runtime.model import Model
from streamcell.runtime.stepper import Stepper

__all__ = ["Speed", "measure_speeds"]

_FILE, _MANY = 64, 64  # steps of a call, streams of a call
_ROUNDS = 20
_TURN = 10_000_000  # nanoseconds


@dataclass(frozen=True, slots=True)
class Speed:
    """Hold how long a model takes, microseconds of one core (p50).

    Attributes:
        live_us: A step of one stream, in the shortest call that the model takes.
        file_us: A step of one stream in calls of ``file_steps``.
        file_steps: Steps of a call of a file: 64, or as many as each call must hold.
        many_us: A step of one stream of ``together`` that are stepped in one call.
        together: 64, or 1 where streams must not share a call.
        times_live: How many times as fast as the first model in calls of as many steps, each turn compared with that
            beside it (median).
        times_file: How many times as fast as the first model in its own calls.
        times_many: As ``times_live``, for many streams.
    """

    live_us: float
    file_us: float
    file_steps: int
    many_us: float
    together: int
    times_live: float
    times_file: float
    times_many: float


@dataclass(frozen=True, slots=True)
class _Way:
    """Hold one way of running a model, and how many steps of streams a run takes."""

    run: Callable[[], object]
    steps: int


def measure_speeds(models: Sequence[Model], heard: NDArray[Any], rounds: int = _ROUNDS) -> list[Speed]:
    """Time models of the same input on bound buffers, one thread, without rate conversion and decoding.

    Args:
        models: The first is what the others are compared with.
        heard: A stream as the models take it, without the axis of the batch; it goes round.
        rounds: How many turns each has.
    """
    lengths = [model.manifest.steps_per_call or 1 for model in models]
    others = sorted(set(lengths) - {lengths[0]})  # long calls alone are no merit of a model that must have them
    ways = [_ways(model, heard, steps) for model, steps in zip(models, lengths, strict=True)]
    ways += [_ways(models[0], heard, steps) for steps in others]
    times = np.array([[[_turn(way) for way in row] for row in ways] for _ in range(rounds)])  # [rounds, rows, 3]
    beside = [len(models) + others.index(steps) if steps in others else 0 for steps in lengths]
    middle, ratios = np.median(times, axis=0), np.median(times[:, beside] / times[:, : len(models)], axis=0)
    return [_speed(model, *map(float, (*middle[i], *ratios[i]))) for i, model in enumerate(models)]


def _speed(
    model: Model, live: float, file: float, many: float, times_live: float, times_file: float, times_many: float
) -> Speed:
    steps, together = model.manifest.steps_per_call or _FILE, _MANY if model.manifest.batch_invariant else 1
    return Speed(live, file, steps, many, together, times_live, times_file, times_many)


def _ways(model: Model, heard: NDArray[Any], least: int) -> list[_Way]:
    """Return how a model runs live, in calls of ``least`` steps, on a file, and for many streams."""
    manifest = model.manifest
    most = manifest.steps_per_call or _FILE
    together = _MANY if manifest.batch_invariant else 1
    return [_way(model, heard, batch, steps) for batch, steps in ((1, least), (1, most), (together, least))]


def _way(model: Model, heard: NDArray[Any], batch: int, steps: int) -> _Way:
    stepper = Stepper(model, batch)
    buffer = stepper.input(steps)
    size, place = buffer.shape[1], 0
    long = np.resize(heard, (max(len(heard), 2 * size), *heard.shape[1:]))

    def run() -> None:
        nonlocal place
        buffer[:] = long[place : place + size]
        place = (place + size) % (len(long) - size)
        stepper.run(steps)

    return _Way(run, batch * steps)


def _turn(way: _Way) -> float:
    """Return the median microseconds of a step of a stream in one turn."""
    way.run()
    found: list[float] = []
    end = time.thread_time_ns() + _TURN
    while len(found) < 3 or time.thread_time_ns() < end:
        begin = time.thread_time_ns()
        way.run()
        found.append((time.thread_time_ns() - begin) / 1000 / way.steps)
    return float(np.median(found))
