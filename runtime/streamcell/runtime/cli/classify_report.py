"""What ``streamcell classify`` writes of events, and counts of them."""

import json
import sys
from collections import Counter
from collections.abc import Callable, Iterable

from streamcell.runtime.classify import Sensed
from streamcell.runtime.events import Event, Gap, Segment
from streamcell.runtime.formats import jsonl, text
from streamcell.runtime.printable import printable
from streamcell.runtime.regular import Oddity
from streamcell.runtime.sources import Mqtt, MqttPublisher
from streamcell.runtime.sources.line_source import LineSource

__all__ = ["Summary", "describe", "json_line", "print_json", "text_line", "text_printer"]

_MOST_LABELS = 12


def json_line(event: Event | Oddity) -> str:
    """Write an event, without the end of the line, as `jsonl.line` does; a beginning is marked as not final.

    Examples:
        >>> json_line(Segment("walk", 1.0, 1.5, 0.8, final=False))
        '{"type": "segment", "label": "walk", "start": 1.0, "end": 1.5, "confidence": 0.8, "final": false}'
        >>> json_line(Oddity("late", 7.25, "0.5 s before the last timestamp; left out"))
        '{"type": "oddity", "kind": "late", "time": 7.25, "detail": "0.5 s before the last timestamp; left out"}'
    """
    if isinstance(event, Oddity):
        return json.dumps({"type": "oddity", "kind": event.kind, "time": round(event.time, 3), "detail": event.detail})
    if isinstance(event, Segment) and not event.final:
        return json.dumps({**json.loads(jsonl.line(event)), "final": False})
    return jsonl.line(event)


def text_line(event: Event) -> str:
    """Write an event for people, without the end of the line, as `text.line` does; a beginning has no end.

    Examples:
        >>> text_line(Segment("walk", 1.0, 1.5, 0.8, final=False))
        '   1.000      ...  walk  0.80'
    """
    if isinstance(event, Segment) and not event.final:
        return f"{event.start:8.3f} {'...':>8}  {printable(event.label):<4}  {event.confidence:.2f}"
    return text.line(event)


def describe(oddity: Oddity) -> str:
    """Say what is odd.

    Examples:
        >>> describe(Oddity("late", 7.25, "0.5 s before the last timestamp; left out"))
        'odd reading (late) at 7.250 s: 0.5 s before the last timestamp; left out'
    """
    return f"odd reading ({oddity.kind}) at {oddity.time:.3f} s: {oddity.detail}"


def print_json(_: Sensed, told: Iterable[Event | Oddity]) -> None:
    """Print a line of JSON for each event."""
    for event in told:
        print(json_line(event), flush=True)


def text_printer() -> Callable[[Sensed, Iterable[Event | Oddity]], None]:
    """Return what prints a line for each event, and on stderr the first oddity of each kind."""
    seen: set[str] = set()

    def show(_: Sensed, told: Iterable[Event | Oddity]) -> None:
        for event in told:
            if not isinstance(event, Oddity):
                print(text_line(event), flush=True)
            elif event.kind not in seen:
                print(f"streamcell: {describe(event)}", file=sys.stderr)
                seen.add(event.kind)

    return show


class Summary:
    """Count what was heard.

    Args:
        source: What was heard.
        publisher: Where events were sent, or None.

    Attributes:
        readings: How many came.
    """

    def __init__(self, source: LineSource, publisher: MqttPublisher | None) -> None:
        self._source, self._publisher = source, publisher
        self._seconds = 0.0
        self._segments: Counter[str] = Counter()
        self._oddities: Counter[str] = Counter()
        self._gaps = self._lost = self.readings = 0

    def add(self, sensed: Sensed) -> None:
        """Count what a block brought."""
        self._seconds, self.readings = sensed.seconds, sensed.readings
        for event in sensed.events:
            if isinstance(event, Gap):
                self._gaps += 1
                self._lost += event.samples
            elif isinstance(event, Oddity):
                self._oddities[event.kind] += 1
            elif isinstance(event, Segment) and event.final:
                self._segments[event.label] += 1

    @property
    def losses(self) -> list[str]:
        """Return what is missing or odd; nothing where nothing is."""
        source, publisher = self._source, self._publisher
        lines = ", ".join([*map(str, source.skipped_lines), *(["..."] * (source.skipped > len(source.skipped_lines)))])
        dropped = source.dropped if isinstance(source, Mqtt) else 0
        unsent = 0 if publisher is None else publisher.unsent
        counts = (
            (self._gaps, f"{_count(self._gaps, 'gap')} ({_count(self._lost, 'row')} lost)"),
            (len(self._oddities), f"odd readings: {_listed(self._oddities)}"),
            (source.skipped, f"{_count(source.skipped, 'line')} left out ({lines})"),
            (dropped, f"{_count(dropped, 'message')} dropped, since they came too fast"),
            (unsent, f"{_count(unsent, 'event')} not sent"),
        )
        return [said for count, said in counts if count]

    def __str__(self) -> str:
        labels = f" ({_listed(self._segments)})" if self._segments else ""
        heard = f"heard {self._seconds:.1f} s, {_count(self.readings, 'reading')}"
        found = f"{heard}: {_count(self._segments.total(), 'segment')}{labels}"
        return "; ".join([found, *(self.losses or ["no gaps"])])


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}{'s' * (number != 1)}"


def _listed(counts: "Counter[str]") -> str:
    """Name the most frequent first.

    Examples:
        >>> _listed(Counter(["walk", "rest", "walk"]))
        'walk 2, rest 1'
    """
    found = list(counts.items())  # at once: another thread may count
    found.sort(key=lambda item: -item[1])
    shown = [f"{printable(name)} {count}" for name, count in found[:_MOST_LABELS]]
    return ", ".join([*shown, *(["..."] * (len(found) > _MOST_LABELS))])
