"""The events of one recording, packed: a long recording has hundreds of thousands."""

from array import array
from collections.abc import Iterator, Sequence
from typing import overload

from streamcell.runtime.events import Event, Segment

__all__ = ["Record"]


class Record(Sequence[Event]):
    """Keep final events in their order, 26 bytes a segment; each is made anew when it is asked for.

    A segment's ``id`` is its place among the events; its ``revision`` is not kept.

    Examples:
        >>> record = Record()
        >>> record.append(Segment("HH", 0.25, 0.5, 0.75))
        >>> record[0].label, len(record)
        ('HH', 1)
    """

    def __init__(self) -> None:
        self._labels: dict[str, int] = {}
        self._names: list[str] = []
        self._label, self._times = array("H"), array("d")
        self._others: dict[int, Event] = {}

    def append(self, event: Event) -> None:
        """Add an event behind the others."""
        if not isinstance(event, Segment):
            self._others[len(self._label)] = event
            self._label.append(0)
            self._times.extend((0.0, 0.0, 0.0))
            return
        number = self._labels.setdefault(event.label, len(self._names))
        if number == len(self._names):
            self._names.append(event.label)
        self._label.append(number)
        self._times.extend((event.start, event.end, event.confidence))

    def __len__(self) -> int:
        return len(self._label)

    @overload
    def __getitem__(self, index: int) -> Event: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Event, ...]: ...
    def __getitem__(self, index: int | slice) -> Event | tuple[Event, ...]:
        if isinstance(index, slice):
            return tuple(map(self._at, range(len(self))[index]))
        return self._at(range(len(self))[index])

    def __iter__(self) -> Iterator[Event]:
        times, names, others = iter(self._times), self._names, self._others
        for index, (label, start, end, confidence) in enumerate(zip(self._label, times, times, times, strict=True)):
            if others and index in others:
                yield others[index]
            else:
                yield Segment(names[label], start, end, confidence, True, index)

    def _at(self, index: int) -> Event:
        if index in self._others:
            return self._others[index]
        start, end, confidence = self._times[3 * index : 3 * index + 3]
        return Segment(self._names[self._label[index]], start, end, confidence, id=index)
