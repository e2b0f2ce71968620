"""What a source of sensors' readings brings to a model, block by block, for as long as it is wanted."""

import math
import time as clock
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from streamcell.runtime.errors import InputError, SourceError
from streamcell.runtime.events import Event, Segment, is_final
from streamcell.runtime.frames import Frames
from streamcell.runtime.model import Model
from streamcell.runtime.regular import Oddity
from streamcell.runtime.sense import SensorStream
from streamcell.runtime.sources import Readings
from streamcell.runtime.stepper import Stepper
from streamcell.runtime.stream import Stream

__all__ = ["Beginnings", "ReadingsSource", "Sensed", "classify", "finals"]

_PIECES = 10  # a second, where an end must be met
_BIN = 0.2  # seconds of arrivals that are counted together
_BINS = 25
_LEAST = 2.0  # seconds that arrivals are measured for
_FACTOR = 1.5  # between the rates of source and model, from which on it is told, as in `Regular`
_SAME_CLOCK = 1800.0  # seconds that a source's clock may differ from this machine's


class ReadingsSource(Protocol):
    """Give readings, as `Lines`, `Serial` and `Mqtt` do."""

    def __iter__(self) -> Iterator[Readings]:
        """Wait for readings; yield them."""

    def close(self) -> None:
        """End the iteration."""


@dataclass(frozen=True, slots=True, eq=False)
class Sensed:
    """Hold what one block of readings brought.

    Attributes:
        events: Partial and final segments, gaps, resets, oddities.
        seconds: Time of the stream after this block.
        going_on: The segments that go on now.
        probabilities: What the model said last, `[labels]`; None where it has said nothing since it began anew.
        readings: How many came since the beginning.
        timed: Whether they have timestamps.
        rate: Readings a second of late: by their timestamps, or, where these do not tell and the source is live, by
            this machine's clock; None where that does not tell either.
        lag: Seconds that the last timestamp lies behind this machine's clock; None where they show other times: half an
            hour or more apart.
    """

    events: list[Event | Oddity]
    seconds: float
    going_on: list[Segment]
    probabilities: NDArray[np.float32] | None
    readings: int
    timed: bool
    rate: float | None
    lag: float | None


def classify(
    model: Model,
    source: ReadingsSource,
    *,
    live: bool = False,
    max_gap: float | None = None,
    seconds: float = math.inf,
) -> Iterator[Sensed]:
    """Hear a source, and yield what each block of readings brought; at the end, flush.

    It ends with the source, whose `close` may be called from any thread; the source is closed then. If the source
    fails, what came before is flushed before its error is raised.

    Args:
        model: One that takes features.
        source: What gives the readings of its channels.
        live: Whether readings come when they are taken. Then, where they have no timestamps, a rate that is not the
            model's is told as an oddity all the same: by this machine's clock, after 2 seconds at least.
        max_gap: Seconds, as for `SensorStream`.
        seconds: Of the stream, after which to end; met within a tenth of a second.

    Raises:
        InputError: If the model takes audio, or an argument or the readings do not fit.
        SourceError: If the source fails.
        ModelError: If the model fails.

    Examples:
        >>> from streamcell.runtime.sources import Serial
        >>> port = Serial("/dev/ttyUSB0", ["ax", "ay", "az"])  # doctest: +SKIP
        >>> for sensed in classify(Model.open("activity.onnx"), port, live=True):  # doctest: +SKIP
        ...     for event in sensed.events:
        ...         print(event)
    """
    ear = _Ear(model, max_gap, live=live)
    rows = max(1, model.manifest.input.sample_rate // _PIECES)
    gone: SourceError | InputError | None = None
    try:
        for readings in source if seconds == math.inf else _cut(source, rows):
            yield ear.push(readings)
            if ear.seconds >= seconds:
                break
    except (SourceError, InputError) as error:
        gone = error
    finally:
        source.close()
    yield ear.flush()
    if gone is not None:
        raise gone


class Beginnings:
    """Pick what is told of events where every beginning counts: all that is final, and segments once when they begin.

    Partial segments are told when they appear, and again where their label changes.

    Examples:
        >>> from dataclasses import replace
        >>> walk = Segment("walk", 1.0, 1.5, 0.8, final=False)
        >>> begun = Beginnings()
        >>> [len(begun.pick(events)) for events in ([walk], [replace(walk, end=1.6)], [replace(walk, final=True)])]
        [1, 0, 1]
    """

    def __init__(self) -> None:
        self._told: dict[int, str] = {}  # labels of what goes on

    def pick(self, events: Iterable[Event | Oddity]) -> list[Event | Oddity]:
        """Return those that are told."""
        picked: list[Event | Oddity] = []
        for event in events:
            if isinstance(event, Segment) and not event.final:
                if self._told.get(event.id) == event.label:
                    continue
                self._told[event.id] = event.label
            elif isinstance(event, Segment):
                self._told.pop(event.id, None)
            picked.append(event)
        return picked


def finals(events: Iterable[Event | Oddity]) -> list[Event | Oddity]:
    """Return the events that can no longer change."""
    return [event for event in events if isinstance(event, Oddity) or is_final(event)]


class _Ear:
    """Hear readings; know what is to be said after each block."""

    def __init__(self, model: Model, max_gap: float | None, *, live: bool) -> None:
        self._stepper = _Stepper(model)
        self._stage = Stream(model, steps=self._stepper)
        self._stream = SensorStream(model, max_gap, stage=self._stage)
        self._kind, self._rate = model.manifest.outputs[0].kind, model.manifest.input.sample_rate
        self._arrivals = _Arrivals() if live else None
        self._readings, self._timed = 0, False
        self._lag: float | None = None
        self._told = False  # that the rate is another

    @property
    def seconds(self) -> float:
        return self._stream.time

    def push(self, readings: Readings) -> Sensed:
        self._readings += len(readings.values)
        times = readings.times
        self._timed = times is not None
        if times is not None:
            lag = clock.time() - float(times[-1]) if len(times) else math.nan
            self._lag = lag if abs(lag) < _SAME_CLOCK else None
        elif self._arrivals is not None:
            self._arrivals.add(len(readings.values), clock.monotonic())
        events = self._stream.push(readings)
        return self._sensed([*self._pace(), *events])

    def flush(self) -> Sensed:
        return self._sensed(self._stream.flush())

    def _sensed(self, events: list[Event | Oddity]) -> Sensed:
        last = self._stepper.last
        said = None if last is None else Frames(last[None], 0, kind=self._kind).probs[0]
        rate = self._stream.rate or (self._arrivals.rate if self._arrivals else None)
        return Sensed(events, self.seconds, self._stage.partial(), said, self._readings, self._timed, rate, self._lag)

    def _pace(self) -> list[Oddity]:
        """Tell, once, that readings without timestamps come at another rate than the model's."""
        rate = self._arrivals.rate if self._arrivals and not self._told else None
        if rate is None or 1 / _FACTOR <= rate / self._rate <= _FACTOR:
            return []
        self._told = True
        detail = f"readings without timestamps come at {rate:.4g} Hz, the model takes {self._rate} Hz"
        return [Oddity("rate", self.seconds, detail)]


class _Stepper(Stepper):
    """Remember what the model said last."""

    last: NDArray[np.float32] | None = None

    def advance(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        values = super().advance(x)
        self.last = values[-1].copy()
        return values

    def advance_once(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        values = super().advance_once(x)
        self.last = values[-1].copy()
        return values

    def reset(self) -> None:
        super().reset()
        self.last = None


class _Arrivals:
    """Measure how many readings come a second, over the last 5 seconds."""

    def __init__(self) -> None:
        self._bins: deque[tuple[float, int]] = deque(maxlen=_BINS)  # when each began, and how many came

    def add(self, count: int, now: float) -> None:
        """Count readings that came ``now`` (seconds of any clock that does not jump)."""
        begin, before = self._bins[-1] if self._bins else (-math.inf, 0)
        if now - begin < _BIN:
            self._bins[-1] = (begin, before + count)
        else:
            self._bins.append((now, count))

    @property
    def rate(self) -> float | None:
        """Return readings a second; the longest pause is left out, it may be an outage."""
        spans = [(after - begin, count) for (begin, count), (after, _) in pairwise(self._bins)]
        if spans:
            spans.remove(max(spans))
        seconds = sum(span for span, _ in spans)
        return sum(count for _, count in spans) / seconds if seconds >= _LEAST else None


def _cut(source: ReadingsSource, rows: int) -> Iterator[Readings]:
    """Yield readings in pieces of ``rows`` at most."""
    for whole in source:
        outage = whole.outage
        for begin in range(0, len(whole.values), rows):
            part = slice(begin, begin + rows)
            yield Readings(None if whole.times is None else whole.times[part], whole.values[part], outage)
            outage = 0.0
