"""Mistakes over hours and after disturbances, recording by recording, so that every comparison is a paired one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from streamcell.runtime.model import Model
from streamcell.train.drift.ears import Ear, ear_for
from streamcell.train.drift.pieces import Block, Piece

__all__ = ["Course", "Difference", "Norms", "Probe", "after_disturbances", "difference", "over_time"]

_DRAWS = 4000
_FEWEST = 10  # recordings of which an interval can be drawn
_REACH = 1.0  # seconds around a recording in which what is said may still be about it
_BLOCK = 10.0  # seconds of silence or noise that are pushed at a time
_LEAD, _PROBE = 60.0, 180.0  # seconds of recordings before and after a disturbance

Told: TypeAlias = Callable[[float], None]
"""Is told how many seconds were heard so far."""

_Spot: TypeAlias = tuple[int, float, float]  # number of a recording, where it began and ended (seconds)


@dataclass(slots=True)
class Norms:
    """Hold how large the numbers of each state were: mean and largest magnitude at some times (seconds)."""

    times: list[float] = field(default_factory=list)
    mean: dict[str, list[float]] = field(default_factory=dict)
    largest: dict[str, list[float]] = field(default_factory=dict)

    def look(self, ear: Ear) -> None:
        """Take the state as it is now."""
        self.times.append(ear.time)
        for name, array in ear.state.items():
            size = np.abs(array.astype(np.float64))
            self.mean.setdefault(name, []).append(float(size.mean()))
            self.largest.setdefault(name, []).append(float(size.max()))


@dataclass(frozen=True, slots=True)
class Course:
    """Hold what became of one stream of many blocks of the same recordings.

    Attributes:
        wrong: `[blocks, recordings]`, mistakes.
        of: `[recordings]`, phones or rows that could be mistaken.
        times: Seconds, where each block began.
        norms: Of the states.
        resets: How often the state began anew by the policy.
    """

    wrong: NDArray[np.int64]
    of: NDArray[np.int64]
    times: tuple[float, ...]
    norms: Norms
    resets: int

    @property
    def rates(self) -> NDArray[np.float64]:
        """Return the error rate of each block."""
        return np.asarray(self.wrong.sum(axis=1) / max(1, self.of.sum()), np.float64)


@dataclass(frozen=True, slots=True)
class Probe:
    """Hold what became of the same recordings right after a disturbance.

    Attributes:
        name: Of the disturbance.
        wrong: `[recordings]`, mistakes.
        of: `[recordings]`, phones or rows that could be mistaken.
        said: Phones that were heard in the disturbance itself, where nothing was said.
    """

    name: str
    wrong: NDArray[np.int64]
    of: NDArray[np.int64]
    said: int

    @property
    def rate(self) -> float:
        """Return the error rate."""
        return float(self.wrong.sum() / max(1, self.of.sum()))


@dataclass(frozen=True, slots=True)
class Difference:
    """Hold a difference of error rates and its 95% interval."""

    rate: float
    low: float
    high: float

    @property
    def known(self) -> bool:
        """Tell whether there were recordings enough for an interval."""
        return (self.low, self.high) != (-1.0, 1.0)


def difference(wrong: NDArray[np.int64], other: NDArray[np.int64], of: NDArray[np.int64], seed: int = 1) -> Difference:
    """Return the rate of ``wrong`` less that of ``other``, with its 95% interval by paired bootstrap over recordings.

    Fewer than 10 recordings say nothing of others: then the interval is -1 to 1.

    Args:
        wrong: `[recordings]`, mistakes.
        other: `[recordings]`, of the same recordings otherwise heard.
        of: `[recordings]`, what could be mistaken.
        seed: Of the draws.

    Examples:
        >>> difference(np.array([3, 4]), np.array([2, 3]), np.array([10, 10])).rate
        0.1
    """
    more = wrong - other
    rate = float(more.sum() / max(1, of.sum()))
    if len(more) < _FEWEST:
        return Difference(rate, -1.0, 1.0)
    drawn = np.random.default_rng(seed).integers(len(more), size=(_DRAWS, len(more)))
    low, high = np.quantile(more[drawn].sum(1) / np.maximum(1, of[drawn].sum(1)), [0.025, 0.975])
    return Difference(rate, float(low), float(high))


def over_time(model: Model, block: Block, count: int, told: Told) -> Course:
    """Hear the same recordings ``count`` times in one stream, in the same order with the same pauses.

    Args:
        model: With its reset policy.
        block: The recordings.
        count: How often.
        told: As it goes on.
    """
    ear, norms, spots = ear_for(model), Norms(), list[_Spot]()

    def look(ear: Ear) -> None:
        norms.look(ear)
        told(ear.time)

    for _ in range(count):
        spots += _hear(ear, block, look)
    ear.flush()
    wrong, of = _mistakes(ear, block.pieces, spots)
    size = len(block.pieces)
    times = tuple(spots[number * size][1] for number in range(count))
    return Course(wrong.reshape(count, -1), of[:size], times, norms, ear.resets)


def after_disturbances(model: Model, block: Block, minutes: float) -> tuple[Probe, ...]:
    """Hear recordings, a disturbance, and then the same recordings each time; first the same in a fresh stream.

    Args:
        model: With its reset policy.
        block: The recordings: the last minute of them leads in, the first three are heard afterwards.
        minutes: Of silence and of quiet noise.

    Returns:
        ``"a fresh stream"``, ``"nothing"``, and one for each disturbance.
    """
    rate, turned = model.manifest.input.sample_rate, Block(block.pieces[::-1], block.pauses[::-1], block.seconds)
    lead, probe = _part(turned, _LEAD * rate), _part(block, _PROBE * rate)
    disturbances: dict[str, Callable[[Ear], None]] = {"nothing": lambda _: None}
    disturbances |= _losses(model) | _sounds(model, minutes)
    found = [_probe("a fresh stream", model, _part(block, 0), lambda _: None, probe)]
    return tuple(found + [_probe(name, model, lead, do, probe) for name, do in disturbances.items()])


def _probe(name: str, model: Model, lead: Block, disturb: Callable[[Ear], None], probe: Block) -> Probe:
    ear = ear_for(model)
    _hear(ear, lead)
    quiet = ear.time
    disturb(ear)
    noisy = ear.time
    spots = _hear(ear, probe)
    ear.flush()
    wrong, of = _mistakes(ear, probe.pieces, spots)
    said, _ = ear.wrong((), quiet, noisy, quiet + _REACH, noisy - _REACH) if noisy - quiet > 2 * _REACH else (0, 0)
    return Probe(name, wrong, of, said)


def _hear(ear: Ear, block: Block, look: Callable[[Ear], None] = lambda _: None) -> list[_Spot]:
    """Hear recordings and the pauses behind them; return where they were."""
    spots = []
    for number, (piece, pause) in enumerate(zip(block.pieces, block.pauses, strict=True)):
        before = ear.time
        ear.hear(piece.x)
        spots.append((number, before, ear.time))
        ear.hear(pause)
        look(ear)
    return spots


def _mistakes(ear: Ear, pieces: Sequence[Piece], spots: Sequence[_Spot]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Count the mistakes of each spot; what is said in a pause belongs to the recording that is nearer."""
    found = []
    for index, (number, begin, end) in enumerate(spots):
        low = (spots[index - 1][2] + begin) / 2 if index else begin - _REACH
        high = (end + spots[index + 1][1]) / 2 if index + 1 < len(spots) else end + _REACH
        found.append(ear.wrong(pieces[number].truth, begin, end, low, high))
    return np.array([wrong for wrong, _ in found]), np.array([of for _, of in found])


def _part(block: Block, samples: float) -> Block:
    """Return the first recordings of a block, as many as last for so many samples."""
    count, left = 0, samples
    while left > 0 and count < len(block.pieces):
        left -= len(block.pieces[count].x)
        count += 1
    return Block(block.pieces[:count], block.pauses[:count], block.seconds)


def _losses(model: Model) -> dict[str, Callable[[Ear], None]]:
    short, long = _whole_steps(model, 0.3), _whole_steps(model, 30.0)
    return {
        "NaN refused": lambda ear: ear.refuse(short),
        "a gap of 0.3 s": lambda ear: ear.lose(short),
        "a gap of 30 s": lambda ear: ear.lose(long),
    }


def _whole_steps(model: Model, seconds: float) -> int:
    """Return about so many seconds in samples, so that what follows begins at a step."""
    spec = model.manifest.input
    return max(1, round(seconds / spec.seconds_per_step)) * spec.samples_per_step


def _sounds(model: Model, minutes: float) -> dict[str, Callable[[Ear], None]]:
    """Make silence and noise: for sound in the scale of full scale, for sensors in the scale of 1."""
    spec = model.manifest.input
    shape = (spec.channels,) if spec.kind == "features" else ()

    def play(level: float, seconds: float) -> Callable[[Ear], None]:
        def disturb(ear: Ear) -> None:
            random, left = np.random.default_rng(7), _whole_steps(model, seconds)
            while left > 0:
                size = min(left, round(_BLOCK * spec.sample_rate))
                ear.hear((random.standard_normal((size, *shape)) * level).astype(np.float32))
                left -= size

        return disturb

    return {
        f"zeros for {minutes:g} min": play(0.0, 60 * minutes),
        f"quiet noise for {minutes:g} min": play(0.001, 60 * minutes),
        "loud noise for 30 s": play(0.3, 30.0),
    }
