"""From a sensor's readings to events: onto the model's grid, into a stream; what is odd about the readings is told."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from streamcell.runtime.errors import InputError
from streamcell.runtime.events import Event, Segment
from streamcell.runtime.manifest import InputSpec
from streamcell.runtime.model import Model
from streamcell.runtime.regular import FARTHEST_LATE, Item, Lost, Oddity, Regular
from streamcell.runtime.sources import Readings
from streamcell.runtime.stream import Stream

__all__ = ["SensorStream", "Stage", "channel_names"]

_RECENT = 64  # timestamps that the rate is measured on
_FEWEST = 8


class Stage(Protocol):
    """Hear rows on the model's grid, as a `Stream` does."""

    @property
    def time(self) -> float:
        """Return how many seconds have gone by, lost ones too."""

    def push(self, block: ArrayLike) -> list[Event]:
        """Take the next rows `[n, channels]`."""

    def gap(self, samples: int, reason: str) -> list[Event]:
        """Say that rows were lost here."""

    def reset(self, reason: str) -> list[Event]:
        """Begin anew, the clock going on."""

    def flush(self) -> list[Event]:
        """End."""


class SensorStream:
    """Hear readings of any regularity, tell events: `Regular`, then a `Stream` at the model's rate.

    Where readings are missing there is a `Gap`, and the manifest's gap policy says what follows. Rows of a source
    without timestamps that are not finite are one too. Where the source's clock was set nobody knows how much is
    missing, so the stream is reset, with the reason ``"clock"``. The same final events and oddities come in the same
    order for any cutting of the readings; partial segments, which still go on, come last.

    How long a source was away its timestamps tell. Where it has none, or they went back meanwhile, the ``outage`` of
    `Readings` does.

    Events are on the clock of the stream: seconds since the first reading, what a jump of the source's clock left out
    not counted.

    Args:
        model: One that takes features.
        max_gap: Seconds, as in `Regular`; None for 5 intervals of the model's rate.
        max_jump: Seconds, as in `Regular`.
        stage: What hears the rows; None for a `Stream` of the model.

    Raises:
        InputError: If the model takes audio, or a length does not fit.

    Examples:
        >>> from streamcell.runtime.sources import Lines
        >>> model = Model.open("activity.onnx")  # doctest: +SKIP
        >>> stream = SensorStream(model)  # doctest: +SKIP
        >>> with Lines("walk.csv", channel_names(model.manifest.input)) as lines:  # doctest: +SKIP
        ...     for readings in lines:
        ...         for event in stream.push(readings):
        ...             print(event)
        >>> stream.flush()  # doctest: +SKIP
    """

    def __init__(
        self, model: Model, max_gap: float | None = None, max_jump: float = 3600.0, stage: Stage | None = None
    ) -> None:
        spec = model.manifest.input
        if spec.kind != "features":
            raise InputError(f"{model.manifest.name} takes {spec.kind}, not readings of sensors; choose another model")
        self._spec, self._max_gap, self._max_jump = spec, max_gap, max_jump
        self._regular = self._fresh()
        self._stage = Stream(model) if stage is None else stage
        self._origin = 0.0  # time of the stage when the grid began
        self._began = False
        self._recent: NDArray[np.float64] = np.zeros(0)  # the last timestamps
        self._oddities: Counter[str] = Counter()
        self._lost = 0

    @property
    def time(self) -> float:
        """Return how many seconds of the stream have gone by, lost ones too."""
        return self._stage.time

    @property
    def rate(self) -> float | None:
        """Return how many readings a second came of late, by their timestamps; None where these do not tell."""
        steps = np.diff(self._recent)
        jumps = np.flatnonzero((steps > self._max_jump) | (steps < -FARTHEST_LATE))
        recent = self._recent[jumps[-1] + 1 :] if jumps.size else self._recent
        seconds = float(np.ptp(recent)) if len(recent) >= _FEWEST else 0.0
        return (len(recent) - 1) / seconds if seconds > 0 else None

    @property
    def lost(self) -> int:
        """Return how many rows of the model's rate were lost."""
        return self._lost

    @property
    def oddities(self) -> dict[str, int]:
        """Return how many of each kind of `Oddity` there were."""
        return dict(self._oddities)

    def push(self, readings: Readings) -> list[Event | Oddity]:
        """Take the next readings; return what can be said now.

        The time of an `Oddity` is that of the source's clock; where it has none, that of the stream.

        Raises:
            InputError: If the readings do not fit the model, timestamps come or end in between, or `flush` was called.
            ModelError: If the model fails.
        """
        times, values = readings.times, readings.values
        found = self._away(readings) if readings.outage else []
        if times is None:
            found += self._hear(self._regular.push_regular(values), timed=False)
        else:
            found += self._hear(self._regular.push(times, values), timed=True)
            self._recent = np.concatenate([self._recent, times[np.isfinite(times)]])[-_RECENT:]
        self._began = self._began or len(values) > 0
        return _in_order(found)

    def flush(self) -> list[Event | Oddity]:
        """End the readings; return what was not final yet."""
        return [*_in_order(self._end()), *self._stage.flush()]

    def _fresh(self) -> Regular:
        return Regular(self._spec.sample_rate, self._spec.channels, self._max_gap, self._max_jump)

    def _away(self, readings: Readings) -> list[Event | Oddity]:
        """Tell how long the source was away, if its timestamps do not; then the grid begins anew."""
        times, outage = readings.times, readings.outage
        if not 0 < outage < float("inf"):
            raise InputError(f"an outage must be a number of seconds, 0 or more; got {outage!r}")
        last = self._recent[-1:]
        back = 0.0 if times is None or not len(times) or not len(last) else float(last[0] - times[0])
        if not self._began or (times is not None and not back > FARTHEST_LATE):
            return []
        missing = round(outage * self._spec.sample_rate) - len(readings.values)  # they came at its end
        found = [*self._end(), *self._gap(max(0, missing), "missing")]
        self._regular, self._origin = self._fresh(), self._stage.time
        if times is not None:
            self._oddities["jump"] += 1
            detail = f"the clock went back by {back:.6g} s while the source was away; the grid begins anew"
            found.append(Oddity("jump", float(times[0]), detail))
        return found

    def _end(self) -> list[Event | Oddity]:
        """End the grid, which may still owe rows that were not finite."""
        return self._hear(self._regular.flush(), timed=False)

    def _hear(self, items: Iterable[Item], *, timed: bool) -> list[Event | Oddity]:
        found: list[Event | Oddity] = []
        for item in items:
            if isinstance(item, Lost):
                found += self._gap(item.samples, "missing" if timed else "invalid")
            elif isinstance(item, Oddity):
                self._oddities[item.kind] += 1
                found.append(item if timed else replace(item, time=item.time + self._origin))
                found += self._stage.reset("clock") if item.kind == "jump" else []
            else:
                found += self._stage.push(item)
        return found

    def _gap(self, samples: int, reason: str) -> list[Event]:
        self._lost += samples
        return self._stage.gap(samples, reason) if samples else []


def channel_names(spec: InputSpec) -> list[str]:
    """Return the names of a model's channels, as `Lines` and other sources take them.

    Where the manifest has none they are called ``"channel 0"``, ``"channel 1"``, and so on: no names that a line of
    numbers could be taken for.

    Examples:
        >>> channel_names(InputSpec("x", "features", 50, 2, 1, 0, ("acc_x", "acc_y")))
        ['acc_x', 'acc_y']
        >>> channel_names(InputSpec("x", "features", 50, 2, 1, 0))
        ['channel 0', 'channel 1']
    """
    return list(spec.channel_names) or [f"channel {index}" for index in range(spec.channels)]


def _in_order(found: list[Event | Oddity]) -> list[Event | Oddity]:
    """Put the partial segments that still go on behind everything else, the newest of each."""
    finals: list[Event | Oddity] = []
    partials: dict[int, Segment] = {}
    for one in found:
        if isinstance(one, Segment) and not one.final:
            partials[one.id] = one
            continue
        if isinstance(one, Segment):
            partials.pop(one.id, None)
        finals.append(one)
    return [*finals, *partials.values()]
