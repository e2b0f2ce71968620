"""Utterances: segments between two pauses, as they come."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from streamcell.runtime.decode.settings import check_number
from streamcell.runtime.errors import InputError, ModelError
from streamcell.runtime.events import Event, Reset, Segment, Utterance
from streamcell.runtime.schema import read

__all__ = ["PAUSE", "Endpointer"]

PAUSE = 0.6
"""Seconds, where nobody says otherwise: longer than a plosive's closure or a hesitation, shorter than between turns."""


@dataclass(slots=True)
class _Open:
    """The utterance that goes on; without labels there is none."""

    start: float
    end: float
    labels: tuple[str, ...]


class Endpointer:
    """Put an `Utterance` behind the segments that it holds, as soon as it is known to have ended.

    It ends where no label but silence is for ``pause`` seconds, before a segment with which it would last longer than
    ``longest``, and where the sound or the model's state ends. (Those are the rules of online decoders such as Kaldi's,
    `OnlineEndpointConfig`, without the one that waits for speech.) Times are those of segments, so utterances and their
    places among the other events are the same for any cutting into blocks.

    Args:
        silence: The label that stands for a pause, or None.
        pause: Seconds.
        longest: Seconds; also bounds the memory.

    Attributes:
        silence: As given.

    Raises:
        InputError: If a length makes no sense.

    Examples:
        >>> endpointer = Endpointer("SIL", pause=0.5)
        >>> said = [Segment("HH", 0.2, 0.3, 0.9), Segment("AY", 0.3, 0.5, 0.9)]
        >>> endpointer.push(said, quiet=0.9) == said
        True
        >>> endpointer.push([], quiet=1.0)
        [Utterance(start=0.2, end=0.5, labels=('HH', 'AY'), reason='pause')]
    """

    def __init__(self, silence: str | None, pause: float = PAUSE, longest: float = 20.0) -> None:
        check_number("pause", pause, above=0)
        check_number("longest", longest, above=0)
        self.silence, self._pause, self._longest = silence, pause, longest
        self._open = _Open(0.0, 0.0, ())

    def push(self, events: Iterable[Event], quiet: float) -> list[Event]:
        """Return final events, with the utterances that they end between them.

        Args:
            events: In their order.
            quiet: Seconds, the time before which no label but silence will begin any more.
        """
        found: list[Event] = []
        for event in events:
            if self._open.labels and (reason := self._ended(event)):
                found += self._end(reason)
            found.append(event)
            if isinstance(event, Segment) and event.label != self.silence:
                self._add(event)
        return [*found, *self._end("pause")] if self._open.labels and quiet >= self._due else found

    def flush(self) -> list[Utterance]:
        """End the utterance that goes on, if any: there will be no more sound."""
        return self._end("end") if self._open.labels else []

    def to_dict(self) -> dict[str, Any]:
        """Return everything as JSON values, for `restore`."""
        return asdict(self._open)

    def restore(self, saved: object) -> None:
        """Go on where `to_dict` was called, on one of the same settings.

        Raises:
            InputError: If it cannot have been saved.
        """
        try:
            self._open = read(_Open, saved, "utterance")
        except ModelError as error:
            raise InputError(f"a saved utterance is damaged: {error}") from error
        if not 0 <= self._open.start <= self._open.end < float("inf"):
            raise InputError(f"a saved utterance is damaged: {saved!r:.200}")

    @property
    def _due(self) -> float:
        return self._open.end + self._pause

    def _ended(self, event: Event) -> str | None:
        """Return why an event shows that the utterance ended before it, if it does."""
        if isinstance(event, Reset) or getattr(event, "action", None) == "reset":
            return "end"
        if isinstance(event, Segment) and event.label == self.silence:
            return "pause" if event.end >= self._due else None
        if event.start >= self._due:
            return "pause"
        return "length" if isinstance(event, Segment) and event.end > self._open.start + self._longest else None

    def _add(self, segment: Segment) -> None:
        if not self._open.labels:
            self._open = _Open(segment.start, segment.end, ())
        self._open.end = max(self._open.end, segment.end)
        self._open.labels += (segment.label,)

    def _end(self, reason: str) -> list[Utterance]:
        ended = Utterance(self._open.start, self._open.end, self._open.labels, reason)
        self._open = _Open(0.0, 0.0, ())
        return [ended]
