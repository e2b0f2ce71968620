"""NIST's time-marked conversation file (CTM), for scoring: a line a phone."""

import re
from collections.abc import Iterator
from pathlib import PurePath

from streamcell.runtime.events import Segment
from streamcell.runtime.formats import Transcript

__all__ = ["parts", "write"]

_UNSAFE = re.compile(r"[\s%\x00-\x1f\x7f-\x9f\ud800-\udfff]")


def write(transcript: Transcript) -> str:
    """Write a transcript as CTM: recording, channel, start and duration (s), label, confidence; pauses are left out.

    As NIST has it (SCTK, ctm), the recording is the file's name without folder and suffix. The fields have no quotes,
    so white space, control characters and percent signs are written like in a URL, e.g. ``%20``; so is a semicolon at
    the beginning, where it would make a comment. Gaps and resets have no place in a CTM.

    Examples:
        >>> print(write(Transcript("talks/my talk.wav", 1.5, (Segment("HH", 0.25, 0.3104, 0.9),))), end="")
        my%20talk 1 0.250 0.060 HH 0.900
    """
    return "".join(parts(transcript))


def parts(transcript: Transcript) -> Iterator[str]:
    """Yield what `write` returns, line by line."""
    name = _field(PurePath(transcript.file).stem)
    if name.startswith(";"):
        name = f"%3B{name[1:]}"
    for event in transcript.events:
        if isinstance(event, Segment) and event.label != transcript.silence:
            start = round(event.start, 3)
            length = round(event.end, 3) - start
            yield f"{name} 1 {start:.3f} {length:.3f} {_field(event.label)} {event.confidence:.3f}\n"


def _field(text: str) -> str:
    """Write what may stand in a field.

    Examples:
        >>> _field("100% sure"), _field("")
        ('100%25%20sure', '-')
    """
    return _UNSAFE.sub(_escape, text) or "-"


def _escape(found: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in found[0].encode(errors="surrogateescape"))
