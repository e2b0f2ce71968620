"""One clock: a source's samples, a model's steps, and which step's answer is which frame."""

from dataclasses import asdict, dataclass
from itertools import chain, pairwise
from typing import Any, NamedTuple

from streamcell.runtime.schema import read
from streamcell.runtime.specs import InputSpec

__all__ = ["Span", "Timeline"]

_LARGEST = 1 << 53  # saved counter


class Span(NamedTuple):
    """Say which frames the rows ``begin`` to ``end - 1`` of a model's answer are; other fields as in `Frames`."""

    first: int
    origin: float
    begin: int
    end: int
    reset: str = ""


@dataclass(frozen=True, slots=True)
class _Counters:
    """What is saved of the numbers that `Timeline.begin` explains."""

    clock: int
    epoch: int
    held: int
    steps: int
    shift: int
    jumps: tuple[tuple[int, ...], ...]
    flushed: bool

    def __post_init__(self) -> None:
        places = [(0, self.shift), *self.jumps]
        pairs = all(len(place) == 2 for place in places)
        rising = pairs and all(a[0] <= b[0] and a[1] <= b[1] for a, b in pairwise(places))
        numbers = (self.clock, self.epoch, self.held, self.steps, *chain.from_iterable(places))
        if not rising or not 0 <= min(numbers) <= max(numbers) < _LARGEST or self.epoch + self.held > self.clock:
            raise ValueError(f"{self} contradict each other")


class Timeline:
    """Count samples and steps, and put each frame on the clock.

    The clock counts the source's samples, lost ones too. Frames describe what was heard at their time: the model's
    look-ahead is taken out, and samples that were skipped with the state kept move what follows by whole steps.

    Args:
        spec: The model's input.
        sample_rate: Of the source in Hz.

    Attributes:
        clock: Samples of the source so far, lost ones too.
        steps: Steps that the model has done since the stream began or was last reset.
        shift: Steps that frames lie later than the model thinks, since samples were skipped.
        jumps: `[step of the model, shift from there on]`, not yet reached.
        flushed: Whether the stream has ended.
        origin: When the stream began or was last reset, in seconds.

    Examples:
        >>> timeline = Timeline(InputSpec("x", "audio", 100, 1, 10, look_ahead_steps=2), sample_rate=100)
        >>> timeline.clock += 50
        >>> timeline.accept(5)  # of the first two answers none is a frame
        [Span(first=0, origin=0.0, begin=2, end=5, reset='')]
    """

    __slots__ = (
        "_epoch",
        "_held",
        "_look_ahead",
        "_rate",
        "_spec",
        "clock",
        "flushed",
        "jumps",
        "origin",
        "shift",
        "steps",
    )

    jumps: list[list[int]]

    def __init__(self, spec: InputSpec, sample_rate: int) -> None:
        self._spec, self._rate, self._look_ahead = spec, sample_rate, spec.look_ahead_steps
        self.clock = 0
        self.begin()

    def begin(self) -> None:
        """Begin anew, the clock going on."""
        self._epoch = self.clock  # when this began
        self.origin = self._epoch / self._rate
        self._held = 0  # samples since then that were skipped with the state kept
        self.steps = self.shift = 0
        self.jumps = []
        self.flushed = False

    @property
    def time(self) -> float:
        """Return how many seconds of the source have gone by, lost ones too."""
        return self.clock / self._rate

    @property
    def heard(self) -> int:
        """Return how many of the source's samples were heard since the stream began or was last reset."""
        return self.clock - self._epoch - self._held

    @property
    def place(self) -> tuple[int, float]:
        """Return number and origin of the next frame, as in `Frames`."""
        begin = max(0, self.steps - self._look_ahead)
        shift = next((shift for step, shift in reversed(self.jumps) if step <= begin), self.shift)
        return begin + shift, self.origin

    @property
    def early(self) -> int:
        """Return how many of the next answers lie before the beginning and describe nothing."""
        return max(0, self._look_ahead - self.steps)

    def accept(self, steps: int, stop: int | None = None) -> list[Span]:
        """Count ``steps`` steps; say which frames came of them: from ``stop`` on none.

        Frames before the beginning, which the model's look-ahead has, are none either.
        """
        first = self.steps - self._look_ahead
        self.steps += steps
        end = first + steps if stop is None else min(stop, first + steps)
        origin = self.origin
        if first >= 0 and not self.jumps and end > first:
            return [Span(first + self.shift, origin, 0, end - first)]
        begin, spans = max(first, 0), []
        while begin < end:
            while self.jumps and self.jumps[0][0] <= begin:
                self.shift = self.jumps.pop(0)[1]
            until = min(end, self.jumps[0][0]) if self.jumps else end
            spans.append(Span(begin + self.shift, origin, begin - first, until - first))
            begin = until
        return spans

    def accept_one(self) -> int | None:
        """Count one step and return its frame; None, and nothing is counted, where it may be none or a gap is held."""
        frame = self.steps - self._look_ahead
        if frame < 0 or self.jumps:
            return None
        self.steps += 1
        return frame + self.shift

    def hold(self, samples: int) -> None:
        """Move the clock on; have frames follow in whole steps, the rest with the next gap."""
        heard, step = self.in_steps(self.heard)
        self.clock += samples
        self._held += samples
        lost, _ = self.in_steps(self._held)
        junction, shift = (2 * heard + step) // (2 * step), lost // step
        if self.jumps and self.jumps[-1][0] == junction:
            self.jumps[-1][1] = shift
        else:
            self.jumps.append([junction, shift])

    def in_steps(self, samples: int) -> tuple[int, int]:
        """Return a count of the source's samples as a fraction of steps, two whole numbers."""
        return samples * self._spec.sample_rate, self._rate * self._spec.samples_per_step

    def to_dict(self) -> dict[str, Any]:
        """Return everything as JSON values, for `restore`."""
        jumps = tuple(map(tuple, self.jumps))
        return asdict(
            _Counters(self.clock, self._epoch, self._held, self.steps, self.shift, jumps, flushed=self.flushed)
        )

    def restore(self, saved: object) -> None:
        """Go on where `to_dict` was called.

        Raises:
            ModelError: If something is missing or of a wrong type.
            ValueError: If the numbers contradict each other.
        """
        counters = read(_Counters, saved, "counters")
        self.clock, self._epoch, self._held = counters.clock, counters.epoch, counters.held
        self.origin = self._epoch / self._rate
        self.steps, self.shift, self.flushed = counters.steps, counters.shift, counters.flushed
        self.jumps = list(map(list, counters.jumps))
