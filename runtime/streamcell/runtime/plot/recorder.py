"""Hear as `Stream` does, and keep what is to be drawn, in bounded memory."""

from collections.abc import Iterable
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from streamcell.runtime.blocks import finite_runs
from streamcell.runtime.decode import make_decoder
from streamcell.runtime.events import Event, Gap, Reset, Segment, is_final
from streamcell.runtime.frames import Frames
from streamcell.runtime.model import Model
from streamcell.runtime.plot.columns import Columns, Join, Strip
from streamcell.runtime.plot.scene import MOST_LINES
from streamcell.runtime.plot.signals import Signals
from streamcell.runtime.posteriors import Posteriors

__all__ = ["Longest", "Recorder"]

_MOST_EVENTS = 10_000

_T = TypeVar("_T", Segment, Gap, Reset)


class Longest(Generic[_T]):
    """Keep the longest of many events.

    Args:
        most: How many.

    Attributes:
        left_out: How many are not kept.
    """

    def __init__(self, most: int = _MOST_EVENTS) -> None:
        self._most = most
        self._kept: list[_T] = []
        self.left_out = 0

    def add(self, event: _T) -> None:
        """Take one."""
        self._kept.append(event)
        if len(self._kept) > 2 * self._most:
            self._shorten()

    @property
    def events(self) -> tuple[_T, ...]:
        """Return them by their beginning."""
        self._shorten()
        return tuple(sorted(self._kept, key=lambda event: _times(event)[0]))

    def _shorten(self) -> None:
        if len(self._kept) > self._most:
            self.left_out += len(self._kept) - self._most
            self._kept = sorted(self._kept, key=_shortness)[: self._most]


class Recorder:
    """Hear samples; keep them, the model's probabilities and the final events, as far as they lie in a window.

    The events are those of a `Stream`. Memory is bounded: at most 4,096 columns of signals and probabilities, and the
    10,000 longest segments, gaps and resets each.

    Args:
        model: The model.
        sample_rate: Of the source in Hz; None for the model's.
        window: Seconds.

    Attributes:
        signals: What was heard.
        segments: The final segments.
        gaps: The gaps.
        resets: The resets.
    """

    def __init__(
        self, model: Model, sample_rate: int | None = None, window: tuple[float, float] = (0.0, np.inf)
    ) -> None:
        output, self._window = model.manifest.outputs[0], window
        self._posteriors, self._decoder = Posteriors(model, sample_rate, "file"), make_decoder(model.manifest)
        self._labelled = [column for column in range(len(output.labels)) if column != output.blank]
        self._labels, self._seconds = output.labels, output.seconds_per_step
        join: Join = "mean" if len(self._labelled) <= MOST_LINES else "max"
        self._probabilities = Columns(join, len(self._labelled), self._seconds, window)
        self._bad = 0  # samples that were not finite, not yet told as a gap: more may follow
        self.signals = Signals(model.manifest.input, self._posteriors.sample_rate, window)
        self.segments, self.gaps, self.resets = Longest[Segment](), Longest[Gap](), Longest[Reset]()

    @property
    def time(self) -> float:
        """Return how many seconds of the source have gone by, lost ones too."""
        return self._posteriors.time

    @property
    def done(self) -> bool:
        """Tell whether nothing that comes can lie in the window any more."""
        return self._decoder.settled >= self._window[1]

    @property
    def probabilities(self) -> Strip:
        """Return the probabilities of the labels, `[n, labels without a blank]`."""
        return self._probabilities.strip

    def push(self, block: ArrayLike) -> list[Event]:
        """Take the next samples `[n]`, or rows `[n, channels]`; return the final events, not in order.

        Raises:
            InputError: If the block does not fit.
            ModelError: If the model fails.
        """
        self.signals.add(np.asarray(block))
        events: list[Event] = []
        for part in finite_runs(block):
            if isinstance(part, int):
                self._bad += part
            else:
                events += [*self._lost(), *self._hear(self._posteriors.push(part))]
        return events

    def gap(self, samples: int, reason: str) -> list[Event]:
        """Say that samples were lost here."""
        self.signals.skip(samples)
        return [*self._lost(), *self._hear(self._posteriors.iter_gap(samples, reason))]

    def reset(self, reason: str) -> list[Event]:
        """Begin anew, the clock going on."""
        return [*self._lost(), *self._hear(self._posteriors.reset(reason))]

    def flush(self) -> list[Event]:
        """End."""
        self.signals.flush()
        events = [*self._lost(), *self._hear(self._posteriors.flush())]
        return [*events, *self._keep(self._decoder.flush(self.time))]

    def _lost(self) -> list[Event]:
        """Tell the samples that were not finite as one gap, now that it has an end."""
        samples, self._bad = self._bad, 0
        return self._hear(self._posteriors.iter_gap(samples, "invalid")) if samples else []

    def _hear(self, items: Iterable[Frames | Gap | Reset]) -> list[Event]:
        events: list[Event] = []
        for item in items:
            if isinstance(item, Frames):
                first = round(item.origin / self._seconds) + item.first
                self._probabilities.add(first, item.probs[:, self._labelled])
                if item.reset:
                    events += self._keep([Reset(first * self._seconds, item.reset)])
                events += self._keep(filter(is_final, self._decoder.push(item)))
                continue
            if isinstance(item, Reset) or item.action == "reset":
                events += self._keep(self._decoder.flush(_times(item)[0]))
            events += self._keep([item])
        return events

    def _keep(self, events: Iterable[Event]) -> list[Event]:
        """Keep what is in the window; return all."""
        found = list(events)
        for event in found:
            begin, end = _times(event)
            if begin >= self._window[1] or end <= self._window[0]:
                continue
            if isinstance(event, Segment):
                self.segments.add(event)
            elif isinstance(event, Gap):
                self.gaps.add(event)
            elif isinstance(event, Reset):
                self.resets.add(event)
        return found


def _times(event: Event) -> tuple[float, float]:
    return (event.time, event.time) if isinstance(event, Reset) else (event.start, event.end)


def _shortness(event: Event) -> float:
    begin, end = _times(event)
    return begin - end
