"""WebVTT subtitles (W3C): a cue a phrase."""

from collections.abc import Iterator
from html import escape

from streamcell.runtime.formats import Transcript
from streamcell.runtime.formats.cues import cues, timestamp

__all__ = ["parts", "write"]


def write(transcript: Transcript) -> str:
    """Write a transcript as WebVTT; ``&``, ``<`` and ``>`` of labels are escaped, so that none is taken for a tag.

    Examples:
        >>> from streamcell.runtime.events import Segment
        >>> print(write(Transcript("a.wav", 1.5, (Segment("HH", 0.25, 0.31, 0.9), Segment("AY", 0.31, 0.5, 0.9)))))
        WEBVTT
        <BLANKLINE>
        00:00:00.250 --> 00:00:00.500
        HH AY
        <BLANKLINE>
        <BLANKLINE>
    """
    return "".join(parts(transcript))


def parts(transcript: Transcript) -> Iterator[str]:
    """Yield what `write` returns, a cue at a time."""
    yield "WEBVTT\n\n"
    for start, end, text in cues(transcript):
        yield f"{timestamp(start, '.')} --> {timestamp(end, '.')}\n{escape(text, quote=False)}\n\n"
