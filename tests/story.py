"""What a stream of the counting network must say, computed in plain Python from what it was given."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from accumulator import Tally
from streamcell.runtime.events import Event, Gap, Reset, Segment

SECONDS = 0.01  # a step
REACH = 100  # frames that the decoder remembers
LONGEST = 0.2  # seconds of a gap that does not reset


@dataclass
class Story:
    """What a stream was given, and what it must have said: the numbers of one stream in plain Python."""

    kind: str
    action: str
    look_ahead: int
    over: list[Event] = field(default_factory=list)  # what was said of earlier lives, up to the last reset
    ids: int = 0  # segments before this life
    clock: int = 0
    epoch: int = 0
    heard: list[int] = field(default_factory=list)  # in this life, silence in place of lost samples too
    held: int = 0
    jumps: list[tuple[int, int]] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)

    @property
    def size(self) -> int:
        return 4 if self.kind == "audio" else 1

    @property
    def rate(self) -> int:
        return 100 * self.size

    @property
    def steps(self) -> int:
        return len(self.heard) // self.size

    def state(self, steps: int) -> dict[str, list[int]]:
        tally = Tally(self.kind)
        tally.take(self.heard[: steps * self.size])
        return tally.state

    def push(self, numbers: list[int]) -> None:
        self.heard += numbers
        self.clock += len(numbers)

    def gap(self, samples: int, reason: str) -> None:
        if not samples:
            return
        action = "reset" if samples > LONGEST * self.rate else self.action
        gap = Gap(self.clock / self.rate, (self.clock + samples) / self.rate, samples, reason, action)
        if action == "reset":
            self.over = [*self.told(ended=True), gap]
            self._begin(self.clock + samples)
            return
        self.gaps.append(gap)
        if action == "fill":
            self.push([0] * samples)
            return
        self.clock += samples
        self.held += samples
        junction = (2 * len(self.heard) + self.size) // (2 * self.size)  # the nearest step
        self.jumps = [jump for jump in self.jumps if jump[0] != junction]
        self.jumps.append((junction, self.held // self.size))

    def reset(self, reason: str) -> None:
        self.over = [*self.told(ended=True), Reset(self.clock / self.rate, reason)]
        self._begin(self.clock)

    def told(self, *, ended: bool) -> list[Event]:
        """Return all finals that must have been told by now, or by the end if it ends now."""
        segments, _, settled = self._segments(ended=ended)
        due: list[Gap | Segment] = [*segments, *(gap for gap in self.gaps if ended or gap.start <= settled)]
        return [*self.over, *sorted(due, key=lambda event: (event.start, isinstance(event, Segment)))]

    def partial(self) -> list[Segment]:
        return self._segments(ended=False)[1]

    def _begin(self, clock: int) -> None:
        self.ids += self.lasts
        self.clock = self.epoch = clock
        self.heard, self.held, self.jumps, self.gaps = [], 0, [], []

    @property
    def lasts(self) -> int:
        """Return how many segments this life has."""
        return len(self._segments(ended=True)[0])

    def _frames(self, *, ended: bool) -> list[tuple[int, str]]:
        """Return number and label of each frame."""
        count = self.steps - self.look_ahead
        if ended:
            count = -(-len(self.heard) // self.size) if self.steps else 0
        tally = Tally(self.kind)
        tally.take((self.heard + [0] * 10 * self.size)[: max(0, count + self.look_ahead) * self.size])
        labels = tally.labels[self.look_ahead :]
        shifts = [next((s for j, s in reversed(self.jumps) if j <= k), 0) for k in range(len(labels))]
        return [(k + shift, label) for k, (shift, label) in enumerate(zip(shifts, labels, strict=True))]

    def _segments(self, *, ended: bool) -> tuple[list[Segment], list[Segment], float]:
        """Return final segments, the one that goes on, and the time before which none will begin."""
        frames = self._frames(ended=ended)
        origin, end_time = self.epoch / self.rate, self.clock / self.rate if ended else np.inf
        runs: list[list[Any]] = []  # label, first, last, whether it is told
        for number, label in frames:
            same = bool(runs) and runs[-1][0] == label
            if same and runs[-1][2] + 1 == number:
                runs[-1][2] = number
            else:  # where a label goes on behind a hole, the decoder hears the same spike again
                runs.append([label, number, number, not same])

        def segment(place: int, label: str, first: int, last: int, *, final: bool) -> Segment:
            start, end = (min(origin + frame * SECONDS, end_time) for frame in (first, last + 1))
            return Segment(label, start, end, 1.0, final, self.ids + place, last + 1 - first - (not final))

        told = [run[:3] for run in runs if run[3]]
        goes_on = bool(runs) and runs[-1][3] and not ended
        found = [segment(i, *run, final=i < len(told) - goes_on) for i, run in enumerate(told)]
        settled = -np.inf
        if runs:
            first, last = runs[-1][1:3]
            settled = origin + (first if runs[-1][3] else max(first, last + 1 - REACH)) * SECONDS
        return (found[:-1], found[-1:], settled) if goes_on else (found, [], settled)


def rounded(events: list[Event]) -> list[Any]:
    """Return events with confidences checked and times rounded, for comparison."""
    found: list[Any] = []
    for event in events:
        if isinstance(event, Segment):
            assert 0.99 < event.confidence <= 1
            times = round(event.start, 7), round(event.end, 7)
            found.append((event.label, *times, event.final, event.id, event.revision))
        else:
            found.append(event)
    return found
