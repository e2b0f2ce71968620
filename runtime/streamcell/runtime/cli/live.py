"""The live view of ``streamcell mic``."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from streamcell.runtime.cli.screen import Console, Group, Text, bar, screen
from streamcell.runtime.events import POLICY_REASONS, Gap, Reset, Segment, Utterance
from streamcell.runtime.phones import SILENCE
from streamcell.runtime.printable import printable
from streamcell.runtime.transcribe import Heard

_METER = 30  # columns
_FLOOR = -60.0  # dBFS at the meter's left end
_LONGEST = 100  # phones in a line, where no pause comes


@contextmanager
def live(rename: Callable[[str], str], *, utterances: bool = False) -> Iterator[Callable[[Heard], None]]:
    """Give what shows each block: the phones or words since the last pause, and below them the meter.

    What was said is printed for good at a pause, after 100 phones and at the end, even if that is an exception.

    Args:
        rename: How a label is written.
        utterances: Whether only the end of an utterance is such a pause.
    """
    view = _View(rename, utterances=utterances)
    with screen(view.draw) as console:

        def show(heard: Heard) -> None:
            for done in view.add(heard):
                console.print(done)

        try:
            yield show
        finally:  # also where the device goes away or Ctrl-C comes twice
            for done in view.end():
                console.print(done)


class _View:
    """Remember what was said since the last pause."""

    def __init__(self, rename: Callable[[str], str], *, utterances: bool) -> None:
        self._rename, self._utterances = rename, utterances
        self._said: list[Segment] = []
        self._guess: list[Segment] = []
        self._heard: Heard | None = None

    def add(self, heard: Heard) -> Iterator[Text]:
        """Take a block's events; yield the lines that are complete: phrases, gaps and resets."""
        self._heard = heard
        for event in heard.events:
            if isinstance(event, Utterance):
                self._guess = []
                yield from self.end()
            elif isinstance(event, Reset) and event.reason in POLICY_REASONS:
                continue  # by the manifest, in the midst of sound: nothing that a speaker should mind
            elif not isinstance(event, Segment):
                yield Text(_describe(event), style="yellow")
            elif event.label == SILENCE:
                if event.final and not self._utterances:
                    yield from self.end()
            elif event.final:
                self._said.append(event)
                self._guess = [guess for guess in self._guess if guess.id > event.id]
                if len(self._said) == _LONGEST:
                    yield from self.end()
            else:
                self._guess = [guess for guess in self._guess if guess.id < event.id] + [event]

    def end(self) -> Iterator[Text]:
        """Yield the phrase, if there is one, with the time of its beginning, and forget it."""
        if self._said:
            yield Text.assemble((f"{self._said[0].start:8.2f}  ", "dim"), self._write(self._said))
            self._said = []

    def draw(self, console: Console) -> Group:
        """Return the phrase that goes on, and the meter."""
        return Group(self.phones(console.width), meter(self._heard) if self._heard else Text())

    def phones(self, width: int) -> Text:
        """Return the phrase and what may follow, its end as far as it fits."""
        text = Text.assemble(self._write(self._said), " ", (self._write(self._guess), "dim"))
        return text[max(0, len(text) - width + 1) :]

    def _write(self, segments: list[Segment]) -> str:
        return " ".join(printable(self._rename(segment.label)) for segment in segments)


def meter(heard: Heard) -> Text:
    """Return level, latency, time and losses as one line."""
    return Text.assemble(
        bar(1 - heard.level / _FLOOR, _METER, "red" if heard.level > -3 else "green"),
        f" {heard.level:6.1f} dBFS  {heard.latency * 1000:4.0f} ms behind  {heard.seconds:7.1f} s  ",
        (f"{heard.dropped} dropped", "bold red" if heard.dropped else "dim"),
    )


def _describe(event: Gap | Reset) -> str:
    if isinstance(event, Gap):
        return f"{event.start:8.2f}  (gap: {event.samples} samples lost, {event.reason}; {event.action})"
    return f"{event.time:8.2f}  (reset: {event.reason})"
