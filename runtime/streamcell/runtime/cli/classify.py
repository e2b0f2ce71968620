"""``streamcell classify``: what sensors' readings mean, as they come."""

import argparse
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from streamcell.runtime.cli import options
from streamcell.runtime.cli.signals import Flag, until_signal
from streamcell.runtime.errors import InputError, MissingExtraError

if TYPE_CHECKING:
    from streamcell.runtime.classify import Sensed
    from streamcell.runtime.cli.classify_report import Summary
    from streamcell.runtime.events import Event
    from streamcell.runtime.manifest import Manifest
    from streamcell.runtime.model import Model
    from streamcell.runtime.regular import Oddity
    from streamcell.runtime.sources import MqttPublisher
    from streamcell.runtime.sources.line_parser import OnError
    from streamcell.runtime.sources.line_source import LineSource

    Show: TypeAlias = Callable[[Sensed, list[Event | Oddity]], None]

HELP = "print what a model makes of sensors' readings, as they come"

DESCRIPTION = """\
Print what a model makes of the readings of sensors: from a file, a pipe, a serial port or an MQTT broker, as they come,
sample by sample, until the source ends or Ctrl-C. Readings are lines of CSV or JSON; a header or keys are mapped to the
model's channels (`streamcell inspect MODEL` shows them). Where they have timestamps they may come at any rate, and
irregularly: missing ones become gaps."""

EPILOG = """\
examples:
  streamcell classify walk.csv --model activity.onnx               start, end, label, confidence of each segment
  imu-reader | streamcell classify - --model activity.onnx         what a program prints, while it prints it
  streamcell classify 'serial:/dev/ttyUSB0?baud=115200' --model activity.onnx      what a board writes to its port
  streamcell classify mqtt://broker/home/watch --model activity.onnx               what comes through a broker
  streamcell classify mqtt://broker/home/watch --model activity.onnx --publish mqtt://broker/home/activity
  streamcell classify walk.csv --model activity.onnx --channels ax,ay,az,gx,gy,gz  other names than the model's
  streamcell classify - --model activity.onnx --format jsonl | my-program          one JSON object an event

A line of readings:  time,ax,ay,az  (a header, then numbers)  or  {"time": 0.02, "ax": 0.1, "ay": -0.2, "az": 9.8}

JSON lines are segments {"type": "segment", "label", "start", "end", "confidence"}, gaps, resets, and oddities of the
readings {"type": "oddity", "kind", "time", "detail"}. Of a live source (not a file) a segment is also told when it
begins, with "final": false and the end so far, and then once more when it has ended, with the same start; as text a
beginning has ... for its end. --no-partial leaves beginnings out.

exit code: 0 done (Ctrl-C too), 1 events could not be sent, 2 the model or the source could not be read (any further;
what was heard before is printed). Results go to stdout, the summary and remarks to stderr.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command takes."""
    sources = "a file, - for standard input, serial:PORT?baud=115200, or mqtt://[user:password@]host[:port]/topic"
    parser.add_argument("source", metavar="SOURCE", help=sources)
    parser.add_argument("--model", metavar="PATH", required=True, help="an .onnx file that takes readings")
    options.add_trust(parser)
    options.add_readings(parser)
    limit = "end after N seconds of readings; of a live source after N seconds of waiting for them, too"
    parser.add_argument("--seconds", type=float, metavar="N", help=limit)
    formats = "default: live for a live source in a terminal, else text"
    parser.add_argument("--format", choices=("live", "text", "jsonl"), help=formats)
    begin = "tell when a segment begins, not only when it has ended (default: of a live source)"
    parser.add_argument("--partial", action=argparse.BooleanOptionalAction, help=begin)
    parser.add_argument("--publish", metavar="URL", help="also send each event, as JSON, to mqtt://host/topic")


def run(args: argparse.Namespace) -> int:
    """Hear the source until it ends; print events, and a summary on stderr. Return 1 if events were not sent."""
    from streamcell.runtime.cli.classify_report import Summary
    from streamcell.runtime.sources import open_readings

    model = options.open_model(args)
    _check(args, model.manifest)
    names = options.channels(args, model.manifest.input)
    on_error: OnError = args.on_error or "stop"
    with _publisher(args.publish) as publisher, open_readings(args.source, names, args.time, on_error) as source:
        summary, done = Summary(source, publisher), False
        try:
            _hear(args, model, source, summary, publisher)
            done = True
        finally:
            if publisher is not None:
                publisher.close()
            if done or summary.readings:
                print(f"streamcell: {summary}", file=sys.stderr)
    return int(publisher is not None and publisher.unsent > 0)


def _check(args: argparse.Namespace, manifest: "Manifest") -> None:
    """Refuse what cannot be done, before anything is opened."""
    from streamcell.runtime.sources.mqtt_link import Address

    if manifest.input.kind != "features":
        raise InputError(
            f"{manifest.name} takes {manifest.input.kind}, not readings of sensors: use `streamcell transcribe` or "
            "`streamcell mic` with it, or name another model"
        )
    if args.source.startswith("/dev/tty") and Path(args.source).is_char_device():
        raise InputError(f"{args.source} is a port; write serial:{args.source}?baud=115200, with its baud rate")
    if args.seconds is not None and not 0 < args.seconds < float("inf"):
        raise InputError(f"--seconds must be a number above 0, got {args.seconds:g}")
    if args.publish is not None and args.source.startswith(("mqtt://", "mqtts://")):
        topic = str(Address.of_url(args.publish))
        if topic == str(Address.of_url(args.source)):
            raise InputError(f"--publish {topic}: is the topic that readings come from; name another")
    if args.format == "live" and find_spec("rich") is None:
        raise MissingExtraError("rich", "sensor", "for --format live (or use --format text)")


def _publisher(url: str | None) -> "AbstractContextManager[MqttPublisher | None]":
    from streamcell.runtime.sources import MqttPublisher

    return nullcontext() if url is None else MqttPublisher(url)


def _hear(
    args: argparse.Namespace,
    model: "Model",
    source: "LineSource",
    summary: "Summary",
    publisher: "MqttPublisher | None",
) -> None:
    """Tell what is heard, until the source ends, or it is closed since the time is over or a signal came."""
    from streamcell.runtime.classify import Beginnings, classify, finals
    from streamcell.runtime.cli.classify_report import json_line
    from streamcell.runtime.sources import Mqtt, Serial
    from streamcell.runtime.sources.pipe_lines import PipeLines

    device = isinstance(source, Serial | Mqtt)
    live = device or isinstance(source, PipeLines)
    pick = Beginnings().pick if (live if args.partial is None else args.partial) else finals
    if live:
        print(f"streamcell: listening to {_name(args.source, source)}; Ctrl-C ends", file=sys.stderr)
    with (
        until_signal() as ended,
        _closing(source, ended, args.seconds if live else None),
        _printer(args.format or ("live" if live else "text"), model.manifest, source, summary) as show,
    ):
        seconds = args.seconds or float("inf")
        for sensed in classify(model, source, live=device, max_gap=args.max_gap, seconds=seconds):
            if sensed.readings and not summary.readings and not sensed.timed:
                rate = model.manifest.input.sample_rate
                print(f"streamcell: no timestamps: taken as {rate} readings a second (--time)", file=sys.stderr)
            summary.add(sensed)
            told = pick(sensed.events)
            if publisher is not None:
                for event in told:
                    publisher.send(json_line(event))
            show(sensed, told)


def _printer(
    form: str, manifest: "Manifest", source: "LineSource", summary: "Summary"
) -> "AbstractContextManager[Show]":
    """Give what shows a block and what is told of it: a live view, where there is a terminal and rich, or lines."""
    from streamcell.runtime.cli.classify_report import print_json, text_printer
    from streamcell.runtime.sources import Mqtt

    if form == "live" and sys.stdout.isatty() and find_spec("rich") is not None:
        from streamcell.runtime.cli.classify_view import view

        return view(manifest, summary, lambda: source.connected if isinstance(source, Mqtt) else True)
    return nullcontext(print_json if form == "jsonl" else text_printer())


def _name(text: str, source: "LineSource") -> str:
    """Return the name of a source, without user and password."""
    from streamcell.runtime.sources import Mqtt
    from streamcell.runtime.sources.mqtt_link import Address

    if isinstance(source, Mqtt):
        return str(Address.of_url(text))
    return "standard input" if text == "-" else text


@contextmanager
def _closing(source: "LineSource", ended: Flag, seconds: float | None) -> Iterator[None]:
    """Close the source, which may wait for readings for ever, as soon as the flag is set or the time is over."""

    def close() -> None:
        ended.wait(seconds)
        source.close()

    thread = threading.Thread(target=close, name="streamcell close", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
