"""What there is to be drawn of a file."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from streamcell.runtime.events import Gap, Reset, Segment
from streamcell.runtime.plot.columns import Strip

__all__ = ["MOST_LINES", "Panel", "Scene"]

MOST_LINES = 12
"""More channels or labels than that are drawn as an image, not as lines or areas."""


@dataclass(frozen=True, slots=True)
class Panel:
    """Hold signals that share an axis.

    Attributes:
        quantity: What the axis is of, e.g. ``"amplitude"``, or a unit.
        names: Of the channels; empty for the only one of sound.
        low: Their smallest values in each column, `[n, channels]`.
        high: Their largest.
    """

    quantity: str
    names: tuple[str, ...]
    low: Strip
    high: Strip


@dataclass(frozen=True, slots=True)
class Scene:
    """Hold what a model heard in a file and what it said, within some time.

    Attributes:
        file: Its name, as the user gave it.
        model: The model's name.
        start: Seconds, where the drawn time begins; like all times those of the events.
        end: Seconds.
        panels: Signals.
        mel: The log-mel spectrogram of sound in dB, `[n, 64]`, or None.
        top: Hz, where that ends.
        labels: What the model may say, without a blank.
        probabilities: Of the labels, `[n, labels]`: means of what shares a column, or, of more than `MOST_LINES`
            labels, the largest.
        exclusive: Whether only one label holds at a time.
        silence: The label that stands for a pause, or None.
        segments: By their beginning.
        gaps: By their beginning.
        resets: By their time.
        left_out: How many segments and gaps are not there, since there are too many longer ones.
        oddities: How many of each kind of `streamcell.runtime.regular.Oddity` there were before ``end``.
        skipped: How many lines of readings were no readings.
        skipped_lines: The numbers of the first of them.
        cut: Whether the file was damaged or shorter than it should be.
    """

    file: str
    model: str
    start: float
    end: float
    panels: tuple[Panel, ...]
    mel: Strip | None
    top: float
    labels: tuple[str, ...]
    probabilities: Strip
    exclusive: bool
    silence: str | None
    segments: tuple[Segment, ...]
    gaps: tuple[Gap, ...]
    resets: tuple[Reset, ...]
    left_out: int = 0
    oddities: dict[str, int] = field(default_factory=dict)
    skipped: int = 0
    skipped_lines: tuple[int, ...] = ()
    cut: bool = False

    def relabel(self, rename: Callable[[str], str]) -> "Scene":
        """Return the same with other labels."""
        return replace(
            self,
            labels=tuple(map(rename, self.labels)),
            silence=None if self.silence is None else rename(self.silence),
            segments=tuple(replace(segment, label=rename(segment.label)) for segment in self.segments),
        )
