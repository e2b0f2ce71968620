"""Plain text for people: a header, then one aligned line an event."""

from collections.abc import Iterator

from streamcell.runtime.events import Event, Gap, Segment, Utterance
from streamcell.runtime.formats import Transcript
from streamcell.runtime.printable import printable

__all__ = ["line", "parts", "write"]


def write(transcript: Transcript) -> str:
    """Write a transcript: file and duration, then a line an event: start, end (seconds), label, confidence.

    An utterance is a line behind its segments, and an empty one.

    Examples:
        >>> segments = Segment("HH", 0.25, 0.31, 0.9), Segment("AY", 0.31, 0.5, 0.75)
        >>> print(write(Transcript("a.wav", 1.5, segments)), end="")
        a.wav  1.500 s
           0.250    0.310  HH    0.90
           0.310    0.500  AY    0.75
    """
    return "".join(parts(transcript))


def parts(transcript: Transcript) -> Iterator[str]:
    """Yield what `write` returns, line by line."""
    yield f"{transcript.file}  {transcript.duration:.3f} s\n"
    for event in transcript.events:
        yield f"{line(event)}\n\n" if isinstance(event, Utterance) else f"{line(event)}\n"


def line(event: Event) -> str:
    """Write one event, without the end of the line.

    Examples:
        >>> line(Gap(1.0, 1.5, 8000, "overflow", "fill"))
        '   1.000    1.500  (gap: 8000 samples lost, overflow; fill)'
        >>> line(Utterance(1.0, 1.5, ("HH", "AY"), "pause"))
        '   1.000    1.500  (HH AY)'
    """
    if isinstance(event, Segment):
        return f"{event.start:8.3f} {event.end:8.3f}  {printable(event.label):<4}  {event.confidence:.2f}"
    if isinstance(event, Gap):
        return (
            f"{event.start:8.3f} {event.end:8.3f}  (gap: {event.samples} samples lost, {event.reason}; {event.action})"
        )
    if isinstance(event, Utterance):
        return f"{event.start:8.3f} {event.end:8.3f}  ({printable(' '.join(event.labels))})"
    return f"{event.time:8.3f} {event.time:8.3f}  (reset: {event.reason})"
