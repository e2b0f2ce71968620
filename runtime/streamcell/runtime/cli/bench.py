"""``streamcell bench``: what a model costs on this machine."""

import argparse
import json
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from streamcell.runtime.cli import options
from streamcell.runtime.errors import InputError, MissingExtraError, StreamcellError

if TYPE_CHECKING:
    from streamcell.runtime.bench import Report

HELP = "measure latency, throughput, streams and memory of a model on this machine"

DESCRIPTION = """\
Measure what a model costs on this machine: how long one live step takes, in a tight loop and paced at real time (they
differ: a processor that rests is slow when it wakes), how much faster than real time a file is, how many live streams
one core and all cores carry with 99 of 100 answers within a step, how long a start takes, whether memory grows."""

EPILOG = """\
examples:
  streamcell bench                                         the model that comes along, in about a minute
  streamcell bench my.onnx --audio speech.wav              another one, hearing a recording instead of noise
  streamcell bench --only latency --plot latency.png       a picture of the latencies (pip install 'streamcell[plot]')
  streamcell bench --json figures.json                     the figures for programs as well
  streamcell bench --only memory --day                     24 hours of sound in one stream, as fast as can be

parts: start latency file streams memory. Ctrl-C prints and writes what is known so far.
exit code: 0 done, 2 the model, the recording or an argument could not be used, 130 interrupted
"""

_PARTS = ("start", "latency", "file", "streams", "memory")
_PICTURES = (".png", ".svg", ".pdf")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command takes."""
    parser.add_argument("model", nargs="?", metavar="MODEL", help=options.MODEL_HELP)
    options.add_trust(parser)
    parser.add_argument(
        "--seconds", type=float, default=50.0, metavar="S", help="how long the parts take together, about (default: 50)"
    )
    parser.add_argument("--only", nargs="+", choices=_PARTS, default=_PARTS, metavar="PART", help="measure these only")
    parser.add_argument("--audio", metavar="FILE", help="a recording to hear instead of noise (its first minute)")
    parser.add_argument("--threads", type=int, default=1, metavar="N", help="threads within one call (default: 1)")
    parser.add_argument("--day", action="store_true", help="the memory of 24 hours of sound, not extrapolated")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures as JSON, too")
    parser.add_argument("--plot", type=Path, metavar="FILE.png", help="draw the latency histogram (png, svg or pdf)")


def run(args: argparse.Namespace) -> int:
    """Measure, print the table, write what was asked for."""
    _check(args)
    from streamcell.runtime.bench import measure

    options.open_model(args)  # what is measured, here and in new processes, has passed a trial

    report: Report | None = None
    settings = {"seconds": args.seconds, "threads": args.threads, "audio": args.audio, "day": args.day}
    try:
        for so_far in measure(args.model, parts=args.only, progress=_progress, **settings):
            report = so_far
    except (KeyboardInterrupt, StreamcellError):
        if report is not None:
            _tell(report, args)
        raise
    assert report is not None
    _tell(report, args)
    return 0


def _check(args: argparse.Namespace) -> None:
    """Refuse, before any work, what cannot be written or does not fit together."""
    for name, path in (("--json", args.json), ("--plot", args.plot)):
        if path is not None and (path.is_dir() or not path.absolute().parent.is_dir()):
            what = (
                "is a folder; name the file to write" if path.is_dir() else f"{path.parent} is no folder; make it first"
            )
            raise InputError(f"{name} {path}: {what}")
    if args.day and "memory" not in args.only:
        raise InputError("--day is about memory; add memory to --only")
    if args.plot is None:
        return
    if "latency" not in args.only:
        raise InputError("--plot draws latency; add latency to --only")
    if args.plot.suffix.lower() not in _PICTURES:
        raise InputError(f"--plot {args.plot}: expected a name that ends with {', '.join(_PICTURES)}")
    if find_spec("matplotlib") is None:
        raise MissingExtraError("matplotlib", "plot", "to draw a histogram")


def _progress(what: str) -> None:
    print(f"streamcell: {what}", file=sys.stderr, flush=True)


def _tell(report: "Report", args: argparse.Namespace) -> None:
    """Print and write what is known."""
    from streamcell.runtime.bench import table

    print(table(report), flush=True)
    if args.json is not None:
        args.json.write_text(json.dumps(report.as_dict(), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    if args.plot is not None and report.times:
        from streamcell.runtime.bench.picture import draw

        draw(report, args.plot)
