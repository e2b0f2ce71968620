"""``streamcell mic``: the phones of what is being said."""

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from streamcell.runtime.cli import decoding, options
from streamcell.runtime.cli.signals import until_signal
from streamcell.runtime.models import DEFAULT_LIVE_MODEL

if TYPE_CHECKING:
    from streamcell.runtime.events import Event
    from streamcell.runtime.sources import Microphone
    from streamcell.runtime.transcribe import Heard

HELP = "print what a model hears through a microphone, live"

DESCRIPTION = """\
Print what a model hears through a microphone, live, until Ctrl-C. In a terminal: the phones as they are heard, a level
meter (dBFS), the latency and the dropped samples. Elsewhere: a line for each phone once it is final. With --lexicon the
words of a list instead; they, and phones with --pause, are grouped into utterances, each told when it has ended."""

EPILOG = """\
examples:
  streamcell mic                                 listen to the default microphone until Ctrl-C
  streamcell mic --list-devices                  the microphones that there are
  streamcell mic --device USB --seconds 10       ten seconds of the one whose name holds "USB"
  streamcell mic --format jsonl > phones.jsonl   one JSON object for each phone, pause or gap
  streamcell mic --lexicon orders.txt --dictionary cmudict.dict    words, none but those of orders.txt

A microphone needs the PortAudio library; on Debian and Ubuntu: apt install libportaudio2
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command takes."""
    parser.add_argument("--device", metavar="NAME|NUMBER", help="a microphone (default: the system's)")
    parser.add_argument("--list-devices", action="store_true", help="print the microphones that there are, and end")
    options.add_model(parser, DEFAULT_LIVE_MODEL)
    decoding.add_decoding(parser)
    parser.add_argument("--seconds", type=options.seconds, metavar="N", help="end after N seconds (default: at Ctrl-C)")
    parser.add_argument("--format", choices=("live", "jsonl"), default="live", help="default: live")
    options.add_gap(parser)


def run(args: argparse.Namespace) -> int:
    """Listen until the time is over or Ctrl-C; print what is heard, and a summary on stderr."""
    from streamcell.runtime.sources import Microphone

    if args.list_devices:
        return _list()
    from streamcell.runtime.decode import labels_of
    from streamcell.runtime.decode.endpointer import PAUSE
    from streamcell.runtime.stream import Stream
    from streamcell.runtime.transcribe import listen

    if args.lexicon and args.pause is None:
        args.pause = PAUSE
    microphone = Microphone(args.device)
    model = decoding.decoded(args, options.open_model(args))
    stream = Stream(model, microphone.sample_rate, invalid=options.invalid(args))
    limit = args.seconds or float("inf")
    summary = _Summary(labels_of(model.manifest)[0])
    try:
        with until_signal() as ended, _printer(args) as show:
            for heard in listen(stream, microphone, lambda seconds: ended.is_set() or seconds >= limit):
                if not summary.blocks:
                    _announce(microphone)
                summary.add(heard)
                show(heard)
    finally:
        if summary.blocks:
            print(f"streamcell: {summary}", file=sys.stderr)
    return 0


def _announce(microphone: "Microphone") -> None:
    name, rate = microphone.device.name, microphone.sample_rate
    print(f"streamcell: listening to {name!r} at {rate} Hz; Ctrl-C ends", file=sys.stderr)


class _Summary:
    """Count what was heard."""

    def __init__(self, unit: str) -> None:
        self.unit, self.seconds = unit, 0.0
        self.blocks = self.segments = self.dropped = self.gaps = 0

    def add(self, heard: "Heard") -> None:
        from streamcell.runtime.events import Gap, Segment
        from streamcell.runtime.phones import SILENCE

        self.blocks += 1
        self.seconds, self.dropped = heard.seconds, heard.dropped
        self.gaps += sum(isinstance(event, Gap) for event in heard.events)
        self.segments += sum(
            isinstance(event, Segment) and event.final and event.label != SILENCE for event in heard.events
        )

    def __str__(self) -> str:
        return (
            f"heard {self.seconds:.1f} s: {self.segments} {self.unit}, {self.dropped} samples dropped, {self.gaps} gaps"
        )


@contextmanager
def _printer(args: argparse.Namespace) -> "Iterator[Callable[[Heard], None]]":
    """Give what shows a block's events: a live line in a terminal, else one line for each final event."""
    from streamcell.runtime.formats import jsonl, text
    from streamcell.runtime.phones import to_ipa

    rename = to_ipa if args.ipa else str
    if args.format == "live" and sys.stdout.isatty():
        from streamcell.runtime.cli.live import live

        with live(rename, utterances=args.pause is not None) as show:
            yield show
    else:
        yield _lines(jsonl.line if args.format == "jsonl" else text.line, rename)


def _lines(line: "Callable[[Event], str]", rename: Callable[[str], str]) -> "Callable[[Heard], None]":
    from streamcell.runtime.events import is_final
    from streamcell.runtime.formats import relabel

    def show(heard: "Heard") -> None:
        for event in filter(is_final, heard.events):
            print(line(relabel(event, rename)), flush=True)

    return show


def _list() -> int:
    from streamcell.runtime.errors import SourceError
    from streamcell.runtime.sources import list_devices
    from streamcell.runtime.sources.microphone import NO_MICROPHONE

    devices = list_devices()
    if not devices:
        raise SourceError(NO_MICROPHONE)
    for device in devices:
        mark = "*" if device.default else " "
        print(f"{mark} {device.index:>3}  {device.name}  ({device.channels} in, {device.sample_rate} Hz)")
    return 0
