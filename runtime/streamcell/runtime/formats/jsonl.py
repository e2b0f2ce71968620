"""JSON lines for programs: one object a recording, or one an event."""

import json
from typing import Any

from streamcell.runtime.events import Event, Gap, as_dict
from streamcell.runtime.formats import Transcript

__all__ = ["line", "write"]


def write(transcript: Transcript) -> str:
    """Write a transcript as one line: ``file``, ``duration`` (s) and ``segments`` of label, start, end, confidence.

    ``gaps`` and ``cut`` are there only where something is missing. Numbers are rounded to three places. All of it is
    ASCII, other characters are escaped, so that no terminal's encoding can spoil it.

    Examples:
        >>> from streamcell.runtime.events import Segment
        >>> print(write(Transcript("a.wav", 1.5, (Segment("HH", 0.25, 0.3104, 0.9),))), end="")
        {"file": "a.wav", "duration": 1.5, "segments": [{"label": "HH", "start": 0.25, "end": 0.31, "confidence": 0.9}]}
    """
    values: dict[str, Any] = {"file": transcript.file, "duration": round(transcript.duration, 3)}
    values["segments"] = [_plain(segment) for segment in transcript.segments]
    if gaps := [_plain(event) for event in transcript.events if isinstance(event, Gap)]:
        values["gaps"] = gaps
    if transcript.cut:
        values["cut"] = True
    return json.dumps(values) + "\n"


def line(event: Event) -> str:
    """Write one event, without the end of the line.

    Examples:
        >>> from streamcell.runtime.events import Segment
        >>> line(Segment("HH", 0.25, 0.3104, 0.9))
        '{"type": "segment", "label": "HH", "start": 0.25, "end": 0.31, "confidence": 0.9}'
    """
    return json.dumps({"type": type(event).__name__.lower(), **_plain(event)})


def _plain(event: Event) -> dict[str, Any]:
    """Return what a reader of final events needs, rounded."""
    hidden = {"type", "final", "id", "revision"}
    return {
        key: round(value, 3) if isinstance(value, float) else value
        for key, value in as_dict(event).items()
        if key not in hidden
    }
