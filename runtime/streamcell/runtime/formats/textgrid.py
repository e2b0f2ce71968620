"""Praat's TextGrid, long text form (Praat manual, "TextGrid file formats").

Written by hand: praatio's writer wants all intervals in memory and saves to a path, and the form is a few lines.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeAlias

from streamcell.runtime.events import Gap, Segment, Utterance
from streamcell.runtime.formats import Transcript

__all__ = ["Interval", "Tier", "grid", "parts", "write"]

_PLACES = 6  # microseconds; what is shorter is no interval

Interval: TypeAlias = tuple[float, float, str]
"""Start and end (s), and what is said."""

Tier: TypeAlias = tuple[str, Callable[[], Iterable[Interval]]]
"""A name, and what gives the intervals in order, as often as it is asked."""


def write(transcript: Transcript) -> str:
    """Write a transcript as a TextGrid: a tier ``phones`` or ``words``; ``utterances`` and ``gaps`` if any.

    Each tier covers 0 to the duration without a hole; a pause is an interval with an empty label. Where several labels
    hold at once, those that find no room on the first tier are on a second one, ``phones 2``, and so on.

    Examples:
        >>> lines = write(Transcript("a.wav", 1.5, (Segment("HH", 0.25, 0.5, 0.9),))).splitlines()
        >>> [line.strip() for line in lines if "text" in line]
        ['text = ""', 'text = "HH"', 'text = ""']
    """
    return "".join(parts(transcript))


def parts(transcript: Transcript) -> Iterator[str]:
    """Yield what `write` returns, an interval at a time."""
    yield from grid(transcript.duration, list(_tiers(transcript)))


def grid(end: float, tiers: Sequence[Tier]) -> Iterator[str]:
    """Yield a TextGrid of tiers from 0 to ``end`` (seconds), an interval at a time; holes become empty intervals."""
    yield 'File type = "ooTextFile"\nObject class = "TextGrid"\n\n'
    yield f"xmin = 0\nxmax = {end!r}\ntiers? <exists>\nsize = {len(tiers)}\nitem []:\n"
    for number, (name, intervals) in enumerate(tiers, 1):
        count = sum(1 for _ in _filled(intervals(), end))
        yield f'    item [{number}]:\n        class = "IntervalTier"\n        name = {_quoted(name)}\n'
        yield f"        xmin = 0\n        xmax = {end!r}\n        intervals: size = {count}\n"
        for index, (begin, stop, text) in enumerate(_filled(intervals(), end), 1):
            yield f"        intervals [{index}]:\n            xmin = {begin!r}\n            xmax = {stop!r}\n"
            yield f"            text = {_quoted(text)}\n"


def _tiers(transcript: Transcript) -> Iterator[Tier]:
    """Yield each tier's name and what gives its intervals, as often as asked."""
    layers = max((layer for layer, _ in _layered(transcript)), default=0)
    for wanted in range(layers + 1):
        name = f"{transcript.unit} {wanted + 1}" if wanted else transcript.unit
        yield name, lambda wanted=wanted: (found for layer, found in _layered(transcript) if layer == wanted)  # type: ignore[misc]
    utterances = [event for event in transcript.events if isinstance(event, Utterance)]
    if utterances:
        yield "utterances", lambda: ((one.start, one.end, " ".join(one.labels)) for one in utterances)
    gaps = [event for event in transcript.events if isinstance(event, Gap)]
    if gaps:
        yield (
            "gaps",
            lambda: ((gap.start, gap.end, f"{gap.reason}: {gap.samples} samples, {gap.action}") for gap in gaps),
        )


def _layered(transcript: Transcript) -> Iterator[tuple[int, Interval]]:
    """Yield each interval with the first tier that has room for it."""
    ends: list[float] = []
    for segment in transcript.events:
        if not isinstance(segment, Segment) or segment.label == transcript.silence:
            continue
        start, end = round(segment.start, _PLACES), round(segment.end, _PLACES)
        layer = next((i for i, before in enumerate(ends) if before <= start), len(ends))
        ends[layer : layer + 1] = [end]
        yield layer, (start, end, segment.label)


def _filled(intervals: Iterable[Interval], end: float) -> Iterator[Interval]:
    """Fill what is between intervals with empty ones, so that they cover 0 to ``end``."""
    at = 0.0
    for start, stop, text in intervals:
        begin, until = max(at, round(start, _PLACES)), min(round(stop, _PLACES), end)
        if until <= begin:
            continue
        if begin > at:
            yield at, begin, ""
        yield begin, until, text
        at = until
    if at < end:
        yield at, end, ""


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'
