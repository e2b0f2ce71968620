"""How results are written: one file a format, each with ``write(transcript) -> str`` and ``parts(transcript)``.

The parts, joined, are the whole; written one by one they keep a recording of many hours from being in memory twice.
Text and JSON lines also have ``line(event) -> str``, for results that are shown as they come.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from streamcell.runtime.events import Event, Segment, Utterance
from streamcell.runtime.phones import SILENCE

__all__ = ["Transcript", "relabel"]


@dataclass(frozen=True, slots=True)
class Transcript:
    """Hold what was found in one recording.

    Attributes:
        file: Its name, as the user gave it.
        duration: Seconds that could be read.
        events: Final segments, gaps and resets, in time order; where they were asked for, utterances behind theirs.
        cut: Whether the file was damaged or shorter than it should be.
        silence: The label that stands for a pause, or None.
        unit: What segments are, ``"phones"`` or ``"words"``.
    """

    file: str
    duration: float
    events: Sequence[Event]
    cut: bool = False
    silence: str | None = SILENCE
    unit: str = "phones"

    @property
    def segments(self) -> tuple[Segment, ...]:
        """Return the segments alone."""
        return tuple(event for event in self.events if isinstance(event, Segment))

    def relabel(self, rename: Callable[[str], str]) -> "Transcript":
        """Return the same with other labels; the one of pauses must keep its name.

        Examples:
            >>> Transcript("a.wav", 1.0, (Segment("AH", 0.0, 0.1, 0.9),)).relabel(str.lower).segments[0].label
            'ah'
        """
        return replace(self, events=tuple(relabel(event, rename) for event in self.events))


def relabel(event: Event, rename: Callable[[str], str]) -> Event:
    """Return a segment with another label, an utterance with others; gaps and resets as they are.

    Examples:
        >>> relabel(Segment("AH", 0.0, 0.1, 0.9), str.lower).label
        'ah'
    """
    if isinstance(event, Segment):
        return replace(event, label=rename(event.label))
    return replace(event, labels=tuple(map(rename, event.labels))) if isinstance(event, Utterance) else event
