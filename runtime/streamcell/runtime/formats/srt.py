"""SubRip subtitles: a cue a phrase."""

from collections.abc import Iterator

from streamcell.runtime.formats import Transcript
from streamcell.runtime.formats.cues import cues, timestamp

__all__ = ["parts", "write"]


def write(transcript: Transcript) -> str:
    """Write a transcript as SubRip; without a phone it is empty.

    SubRip has no escapes. An arrow in a label would look like a time, so it loses a dash.

    Examples:
        >>> from streamcell.runtime.events import Segment
        >>> print(write(Transcript("a.wav", 1.5, (Segment("HH", 0.25, 0.31, 0.9), Segment("AY", 0.31, 0.5, 0.9)))))
        1
        00:00:00,250 --> 00:00:00,500
        HH AY
        <BLANKLINE>
        <BLANKLINE>
    """
    return "".join(parts(transcript))


def parts(transcript: Transcript) -> Iterator[str]:
    """Yield what `write` returns, a cue at a time."""
    for number, (start, end, text) in enumerate(cues(transcript), 1):
        plain = text.replace("-->", "->")
        yield f"{number}\n{timestamp(start, ',')} --> {timestamp(end, ',')}\n{plain}\n\n"
