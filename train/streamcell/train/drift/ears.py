"""One stream, and what it said when: phones with their times, or the likeliest label of each frame."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from streamcell.runtime.errors import InputError
from streamcell.runtime.events import Event, Gap, Reset, Segment
from streamcell.runtime.frames import Frames
from streamcell.runtime.model import Model
from streamcell.runtime.posteriors import Posteriors
from streamcell.runtime.state import State
from streamcell.runtime.stream import Stream
from streamcell.train.metrics import error_rate

__all__ = ["Ear", "Labels", "Phones", "ear_for"]


class Ear(Protocol):
    """Hear one stream; say how wrong it was about a stretch of it."""

    @property
    def time(self) -> float:
        """Return how many seconds have gone by."""

    @property
    def state(self) -> State:
        """Return a copy of the model's state."""

    @property
    def resets(self) -> int:
        """Return how often the state began anew by the model's policy."""

    def hear(self, x: NDArray[np.float32]) -> None:
        """Take the next samples or rows."""

    def lose(self, samples: int) -> None:
        """Say that samples were lost."""

    def refuse(self, samples: int) -> None:
        """Be given samples that are no numbers, which are refused: nothing changes."""

    def flush(self) -> None:
        """End."""

    def wrong(self, truth: Sequence[str], begin: float, end: float, low: float, high: float) -> tuple[int, int]:
        """Return how many mistakes were made about a recording, and of how many.

        Args:
            truth: As in `Piece`.
            begin: Seconds, where it began.
            end: Seconds, where it ended.
            low: Seconds, from where what was said counts as about it.
            high: Seconds, up to where.
        """


class Phones:
    """Hear as `Stream` does; mistakes are edits between phones, silence left out.

    Args:
        model: One of task ``"ctc"``.
    """

    def __init__(self, model: Model) -> None:
        self._stream, self._silence = Stream(model, quality="file"), model.manifest.outputs[0].silence
        self._middles, self._said = list[float](), list[str]()
        self.resets = 0

    @property
    def time(self) -> float:
        """Return how many seconds have gone by."""
        return self._stream.time

    @property
    def state(self) -> State:
        """Return a copy of the model's state."""
        return self._stream.state

    def hear(self, x: NDArray[np.float32]) -> None:
        """Take the next samples."""
        self._keep(self._stream.push(x))

    def lose(self, samples: int) -> None:
        """Say that samples were lost."""
        self._keep(self._stream.gap(samples))

    def refuse(self, samples: int) -> None:
        """Push NaN, which is refused."""
        _refused(self._stream, np.full(samples, np.nan, np.float32))

    def flush(self) -> None:
        """End."""
        self._keep(self._stream.flush())

    def wrong(self, truth: Sequence[str], begin: float, end: float, low: float, high: float) -> tuple[int, int]:  # noqa: ARG002
        """Return the edits between what was said from ``low`` to ``high`` and ``truth``, and how long that is."""
        first, last = np.searchsorted(self._middles, [low, high]).tolist()
        errors = error_rate(truth, self._said[first:last])
        return errors.substitutions + errors.deletions + errors.insertions, errors.phones

    def _keep(self, events: Iterable[Event]) -> None:
        for event in events:
            if isinstance(event, Segment) and event.final and event.label != self._silence:
                self._middles.append((event.start + event.end) / 2)
                self._said.append(event.label)
            elif isinstance(event, Reset):
                self.resets += 1


class Labels:
    """Hear as `Posteriors` does; a mistake is a labelled row of which another label is the likeliest.

    Args:
        model: One of task ``"frames"`` that takes features.
    """

    def __init__(self, model: Model) -> None:
        self._posteriors, self._channels = Posteriors(model, quality="file"), model.manifest.input.channels
        self._rate = model.manifest.input.sample_rate
        self._names = np.array(model.manifest.outputs[0].labels)
        self._frames, self._said = list[NDArray[np.int64]](), list[NDArray[np.int64]]()
        self.resets = 0

    @property
    def time(self) -> float:
        """Return how many seconds have gone by."""
        return self._posteriors.time

    @property
    def state(self) -> State:
        """Return a copy of the model's state."""
        return self._posteriors.state

    def hear(self, x: NDArray[np.float32]) -> None:
        """Take the next rows."""
        self._keep(self._posteriors.push(x))

    def lose(self, samples: int) -> None:
        """Say that rows were lost."""
        self._keep(self._posteriors.iter_gap(samples))

    def refuse(self, samples: int) -> None:
        """Push NaN, which is refused."""
        _refused(self._posteriors, np.full((samples, self._channels), np.nan, np.float32))

    def flush(self) -> None:
        """End."""
        self._keep(self._posteriors.flush())

    def wrong(self, truth: Sequence[str], begin: float, end: float, low: float, high: float) -> tuple[int, int]:  # noqa: ARG002
        """Return how many labelled rows from ``begin`` on were taken for another label, and how many there are."""
        known = np.array([bool(label) for label in truth], bool)
        frames, said = np.concatenate(self._frames), np.concatenate(self._said)
        first = round(begin * self._rate)
        index = np.searchsorted(frames, np.arange(first, first + len(truth)))
        right = self._names[said[np.minimum(index, len(said) - 1)]] == np.array(truth)
        return int((known & ~right).sum()), int(known.sum())

    def _keep(self, items: Iterable[Frames | Gap]) -> None:
        for item in items:
            if isinstance(item, Frames):
                first = round(item.origin * self._rate) + item.first
                self._frames.append(np.arange(first, first + len(item.values)))
                self._said.append(item.values.argmax(1))
                self.resets += bool(item.reset)


def ear_for(model: Model) -> Ear:
    """Return a fresh stream of a model, of the kind that its task asks for."""
    return Phones(model) if model.manifest.task == "ctc" else Labels(model)


def _refused(stage: Stream | Posteriors, bad: NDArray[np.float32]) -> None:
    try:
        stage.push(bad)
    except InputError:
        return
    raise InputError("a block of NaN was not refused")
