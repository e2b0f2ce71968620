"""The live view of ``streamcell classify``."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from streamcell.runtime.classify import Sensed
from streamcell.runtime.cli.classify_report import Summary, describe, text_line
from streamcell.runtime.cli.screen import Console, Group, Text, bar, screen
from streamcell.runtime.events import Event, Segment
from streamcell.runtime.manifest import Manifest
from streamcell.runtime.printable import printable
from streamcell.runtime.regular import Oddity

__all__ = ["view"]

_MOST_BARS = 10
_LONGEST_LABEL = 24  # columns
_LONGEST_BAR = 40
_QUIET = 1.0  # seconds without readings that are told


@contextmanager
def view(
    manifest: Manifest, summary: Summary, connected: Callable[[], bool]
) -> Iterator[Callable[[Sensed, list[Event | Oddity]], None]]:
    """Give what shows each block and what is told of it: what goes on, a bar for each label, rate, losses.

    Final segments, gaps, resets, and the first oddity of each kind stay on the screen above.

    Args:
        manifest: Of the model.
        summary: What was counted so far, this block too.
        connected: Tells whether the source is there now.
    """
    drawn = _View(manifest, summary, connected)
    seen: set[str] = set()
    with screen(drawn.draw) as console:

        def show(sensed: Sensed, told: list[Event | Oddity]) -> None:
            drawn.update(sensed)
            for event in told:
                if isinstance(event, Oddity):
                    if event.kind not in seen:
                        console.print(Text(describe(event), style="yellow"))
                    seen.add(event.kind)
                elif not isinstance(event, Segment):
                    console.print(Text(text_line(event), style="yellow"))
                elif event.final:
                    console.print(Text(text_line(event)))

        yield show


class _View:
    """Draw the last block, always in as many lines."""

    def __init__(self, manifest: Manifest, summary: Summary, connected: Callable[[], bool]) -> None:
        output = manifest.outputs[0]
        self._labels, self._rate = output.labels, manifest.input.sample_rate
        self._columns = [column for column in range(len(output.labels)) if column != output.blank]
        self._width = min(_LONGEST_LABEL, max(len(printable(output.labels[column])) for column in self._columns))
        self._summary, self._connected = summary, connected
        self._last: Sensed | None = None
        self._came = time.monotonic()

    def update(self, sensed: Sensed) -> None:
        self._last, self._came = sensed, time.monotonic()

    def draw(self, console: Console) -> Group:
        """Return everything; it is asked for from another thread."""
        last, room = self._last, max(1, min(_MOST_BARS, console.height - 5))
        lines = [_heading(last), *self._bars(last, room, console.width), self._status(last), self._absence()]
        lines.append(Text("   ".join(self._summary.losses), "yellow"))
        for line in lines:
            line.no_wrap, line.overflow = True, "ellipsis"
        return Group(*lines)

    def _bars(self, sensed: Sensed | None, most: int, width: int) -> Iterator[Text]:
        """Draw the most probable labels, in the model's order."""
        said, now = sensed.probabilities if sensed else None, sensed.going_on if sensed else []
        probs = {column: 0.0 if said is None else float(said[column]) for column in self._columns}
        held, length = {segment.label for segment in now}, min(_LONGEST_BAR, max(1, width - self._width - 7))
        for column in sorted(sorted(probs, key=lambda column: -probs[column])[:most]):
            name = f"{printable(self._labels[column])[: self._width]:<{self._width}} "
            style = "bold green" if self._labels[column] in held else ""
            yield Text.assemble((name, style), bar(probs[column], length), f" {probs[column]:4.2f}")

    def _status(self, sensed: Sensed | None) -> Text:
        """Return time, rate and lag as one line."""
        if sensed is None:
            return Text()
        rate = "?" if sensed.rate is None else f"{sensed.rate:.1f}"
        lag = "" if sensed.lag is None else f"   {sensed.lag:.2f} s behind this clock"
        return Text(f"{sensed.seconds:.1f} s   {rate} Hz of {self._rate}{lag}")

    def _absence(self) -> Text:
        """Say that nothing comes, if so."""
        seconds = time.monotonic() - self._came
        if not self._connected():
            return Text(f"the broker is away; nothing came for {seconds:.1f} s", "bold red")
        quiet = seconds > max(_QUIET, 5 / self._rate)
        return Text(f"no readings for {seconds:.1f} s" if quiet else "", "bold red")


def _heading(sensed: Sensed | None) -> Text:
    """Say what goes on, and since when."""
    if sensed is None or not sensed.going_on:
        return Text("(no label holds)" if sensed else "(no readings yet)", "dim")
    return Text("   ").join(
        Text.assemble(
            (printable(segment.label), "bold green"),
            f"  since {segment.start:.2f} s, for {segment.end - segment.start:.1f} s",
        )
        for segment in sensed.going_on
    )
