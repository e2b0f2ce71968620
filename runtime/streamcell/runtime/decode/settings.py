"""What `Hysteresis` and `Smoothed` can be told, checked."""

import math
import sys
from dataclasses import dataclass
from typing import Any

from streamcell.runtime.errors import InputError
from streamcell.runtime.specs import OutputKind

__all__ = ["HysteresisSettings", "SmoothedSettings", "check_number", "in_frames"]

_MOST_FRAMES = 1 << 53


@dataclass(frozen=True, slots=True)
class _FramesSettings:
    """Hold what every decoder of task "frames" is made with."""

    labels: tuple[str, ...]
    seconds_per_step: float
    kind: OutputKind
    skip: tuple[int, ...]
    threshold: float
    release: float
    min_duration: float

    def __post_init__(self) -> None:
        if self.kind not in ("logits", "probabilities"):
            raise InputError(f"kind must be 'logits' or 'probabilities', got {self.kind!r}")
        known = all(type(column) is int and 0 <= column < len(self.labels) for column in self.skip)
        if not known or len(set(self.skip)) >= len(self.labels):
            raise InputError(
                f"skip must be some of {len(self.labels)} columns, with one at least left; got {self.skip!r}"
            )
        check_number("seconds_per_step", self.seconds_per_step, above=0)
        check_number("min_duration", self.min_duration)

    @property
    def min_frames(self) -> int:
        """Return how many frames a segment lasts at least."""
        return max(1, in_frames(self.min_duration, self.seconds_per_step))


@dataclass(frozen=True, slots=True)
class HysteresisSettings(_FramesSettings):
    """Hold what a `Hysteresis` was made with, nothing left open; its attributes are described there.

    Raises:
        InputError: If a value makes no sense.

    Examples:
        >>> settings = HysteresisSettings(("speech",), 0.03, "probabilities", (), 0.5, 0.35, 0.25, 0.1, 0.03)
        >>> settings.min_frames, settings.gap_frames
        (9, 4)
    """

    min_gap: float
    padding: float

    def __post_init__(self) -> None:
        _FramesSettings.__post_init__(self)
        check_number("threshold", self.threshold, above=0, most=1)
        check_number("release", self.release, above=0, most=self.threshold)
        check_number("min_gap", self.min_gap)
        check_number("padding", self.padding, most=self.min_gap / 2)

    @property
    def gap_frames(self) -> int:
        """Return how many frames it takes to end a segment: with padding at least two, as the last may be cut."""
        return max(2 if self.padding else 1, in_frames(self.min_gap, self.seconds_per_step))


@dataclass(frozen=True, slots=True)
class SmoothedSettings(_FramesSettings):
    """Hold what a `Smoothed` was made with, nothing left open; its attributes are described there.

    Raises:
        InputError: If a value makes no sense.

    Examples:
        >>> settings = SmoothedSettings(("rest", "walk"), 0.02, "logits", (), 0.5, 0.4, 0.25, 0.0, 0.02)
        >>> settings.min_frames, round(settings.gain, 3)
        (13, 0.632)
    """

    margin: float
    smoothing: float

    def __post_init__(self) -> None:
        _FramesSettings.__post_init__(self)
        check_number("threshold", self.threshold, most=1)
        check_number("release", self.release, most=self.threshold)
        check_number("margin", self.margin, most=1)
        check_number("smoothing", self.smoothing)

    @property
    def gain(self) -> float:
        """Return how much of a frame goes into the average: all of it without smoothing."""
        return -math.expm1(-self.seconds_per_step / self.smoothing) if self.smoothing else 1.0


def in_frames(seconds: float, step: float) -> int:
    """Return how many frames last at least that long, but for rounding.

    Examples:
        >>> in_frames(0.3, 0.1), in_frames(0.31, 0.1)
        (3, 4)
    """
    return math.ceil(min(seconds / step * (1 - 1e-9), _MOST_FRAMES))


def check_number(name: str, value: Any, *, above: float | None = None, most: float = math.inf) -> None:
    """Raise `InputError` unless a setting is a finite number from 0, or from ``above`` without it, to ``most``.

    Examples:
        >>> check_number("threshold", 1.5, above=0, most=1)
        Traceback (most recent call last):
        streamcell.runtime.errors.InputError: threshold must be a number above 0 to 1, got 1.5
    """
    number = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max
    if not number or value > most or (value < 0 if above is None else value <= above):
        least = "from 0" if above is None else f"above {above:g}"
        limit = "" if most == math.inf else f" to {most:g}"
        raise InputError(f"{name} must be a number {least}{limit}, got {value!r:.80}")
