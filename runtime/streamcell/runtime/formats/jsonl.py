"""JSON lines for programs: one object a recording, or one an event."""

import json
from collections.abc import Iterator
from typing import Any

from streamcell.runtime.events import Event, Gap, Segment, Utterance, as_dict
from streamcell.runtime.formats import Transcript

__all__ = ["line", "parts", "write"]


def write(transcript: Transcript) -> str:
    """Write a transcript as one line: ``file``, ``duration`` (s) and ``segments`` of label, start, end, confidence.

    ``utterances`` (start, end, labels, reason) are there only where they were asked for and there are any, ``gaps`` and
    ``cut`` only where something is missing. Numbers are rounded to three places. All of it is ASCII, other characters
    are escaped, so that no terminal's encoding can spoil it. ``transcript.schema.json`` beside this module is the
    schema.

    Examples:
        >>> from streamcell.runtime.events import Segment
        >>> print(write(Transcript("a.wav", 1.5, (Segment("HH", 0.25, 0.3104, 0.9),))), end="")
        {"file": "a.wav", "duration": 1.5, "segments": [{"label": "HH", "start": 0.25, "end": 0.31, "confidence": 0.9}]}
    """
    return "".join(parts(transcript))


def parts(transcript: Transcript) -> Iterator[str]:
    """Yield what `write` returns, a segment at a time."""
    duration = round(transcript.duration, 3)
    yield f'{{"file": {json.dumps(transcript.file)}, "duration": {json.dumps(duration)}, "segments": ['
    labels: dict[str, str] = {}
    comma = ""
    for event in transcript.events:
        if isinstance(event, Segment):
            label = labels.get(event.label) or labels.setdefault(event.label, json.dumps(event.label))
            yield f'{comma}{{"label": {label}, "start": {round(event.start, 3)}, "end": {round(event.end, 3)}, '
            yield f'"confidence": {round(event.confidence, 3)}}}'
            comma = ", "
    for key, kind in (("utterances", Utterance), ("gaps", Gap)):
        if found := [json.dumps(_plain(event)) for event in transcript.events if isinstance(event, kind)]:
            yield f'], "{key}": [{", ".join(found)}'
    yield '], "cut": true}\n' if transcript.cut else "]}\n"


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
