"""``streamcell plot``: a picture of what a model hears and says."""

import argparse
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from streamcell.runtime.cli import options
from streamcell.runtime.errors import InputError

if TYPE_CHECKING:
    from streamcell.runtime.manifest import InputSpec
    from streamcell.runtime.plot import Scene

HELP = "draw signals, probabilities and segments of a file, as PNG or SVG"

DESCRIPTION = """\
Draw what a model hears in a file and what it says of it, under one time axis, as PNG or SVG. Of sound (wav, flac, ogg,
opus, mp3): waveform, log-mel spectrogram, probabilities, phones. Of readings of sensors (CSV or JSON lines): the
channels, probabilities, segments. Gaps are hatched, resets are dashed lines. The name of the picture is printed."""

EPILOG = """\
examples:
  streamcell plot speech.wav                                   writes speech.png into the current folder
  streamcell plot speech.wav --ipa --out speech.svg            text in an SVG file stays text
  streamcell plot speech.wav --start 12.5 --end 15             a part; the model hears all that is before it, too
  streamcell plot walk.csv --model activity.onnx --size 16x9   readings of a sensor, at any rate, times in seconds

Files of any length are read in bounded memory: beyond 4,096 columns neighbours are joined, and of more than 10,000
segments or gaps the shortest are left out. Zoom in with --start and --end to see them.

exit code: 0 done, 1 the file is cut or damaged and what could be read is drawn, 2 it could not be drawn
"""

_LARGEST = 40.0  # inches


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command takes."""
    parser.add_argument("file", metavar="FILE", help="an audio file, or CSV or JSON lines (- for standard input)")
    options.add_model(parser)
    parser.add_argument(
        "--out", type=Path, metavar="PICTURE", help="what to write, .png or .svg (default: FILE's name with .png, here)"
    )
    parser.add_argument("--start", type=float, default=0.0, metavar="S", help="seconds where the picture begins")
    parser.add_argument("--end", type=float, metavar="S", help="seconds where it ends")
    parser.add_argument("--size", type=_size, metavar="WxH", help="inches, e.g. 12x8 (default: 12 wide)")
    parser.add_argument("--title", help="instead of FILE's name")
    options.add_gap(parser)
    options.add_readings(parser)


def run(args: argparse.Namespace) -> int:
    """Draw the picture and print its name; return 1 if the file was cut."""
    from streamcell.runtime.phones import to_ipa
    from streamcell.runtime.plot import gather
    from streamcell.runtime.plot.picture import SUFFIXES, draw

    out = _target(args, SUFFIXES)
    model = options.open_model(args)
    _check(args, model.manifest.input)
    scene = gather(
        model,
        args.file,
        start=args.start,
        end=args.end,
        invalid=options.invalid(args),
        channels=options.channels(args, model.manifest.input) if model.manifest.input.kind == "features" else None,
        time=args.time,
        on_error=args.on_error or "stop",
        max_gap=args.max_gap,
    )
    draw(scene.relabel(to_ipa) if args.ipa else scene, out, size=args.size, title=args.title)
    print(out)
    for remark in _remarks(scene):
        print(f"streamcell: {remark}", file=sys.stderr)
    return int(scene.cut)


def _target(args: argparse.Namespace, suffixes: tuple[str, ...]) -> Path:
    """Return what to write; refuse, before any work, what cannot be written."""
    if args.out is None and args.file == "-":
        raise InputError("standard input has no name; say with --out what to write")
    out: Path = args.out or Path(f"{Path(args.file).stem}.png")
    if out.suffix.lower() not in suffixes:
        raise InputError(f"--out {out}: expected a name that ends with {' or '.join(suffixes)}")
    if out.is_dir():
        raise InputError(f"--out {out}: is a folder; name the file to write")
    if not out.absolute().parent.is_dir():
        raise InputError(f"--out {out}: {out.parent} is no folder; make it first")
    if out.exists() and Path(args.file).exists() and out.samefile(args.file):
        raise InputError(f"--out {out}: is the file that is to be read; name another")
    return out


def _check(args: argparse.Namespace, spec: "InputSpec") -> None:
    """Refuse options that say nothing about what the model takes."""
    given = [name for name in ("channels", "time", "on_error", "max_gap") if getattr(args, name) is not None]
    if spec.kind == "audio" and given:
        option = f"--{given[0].replace('_', '-')}"
        raise InputError(f"{option} is about readings of sensors; the model takes audio")
    if spec.kind != "audio" and args.gap:
        raise InputError("--gap is about audio; readings that are not finite are left out as it is")


def _size(text: str) -> tuple[float, float]:
    """Read width and height in inches."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)x(\d+(?:\.\d+)?)", text)
    size = (float(found[1]), float(found[2])) if found else (0.0, 0.0)
    if not 1 <= min(size) <= max(size) <= _LARGEST:
        raise argparse.ArgumentTypeError(f"expected WxH, inches from 1 to {_LARGEST:g}, e.g. 12x8; got {text!r}")
    return size


def _remarks(scene: "Scene") -> list[str]:
    """Say what is odd."""
    remarks = []
    if scene.cut:
        remarks.append(f"warning: {scene.file} is cut or damaged; what could be read of it is drawn")
    if scene.skipped:
        numbers = ", ".join(map(str, scene.skipped_lines)) + (
            ", ..." if scene.skipped > len(scene.skipped_lines) else ""
        )
        remarks.append(f"warning: {scene.skipped} lines of {scene.file} were left out: {numbers}")
    if scene.oddities:
        kinds = ", ".join(f"{kind} {count}" for kind, count in scene.oddities.items())
        remarks.append(f"warning: {scene.file} has odd readings: {kinds}")
    if not scene.segments:
        remarks.append(f"note: nothing was found in {scene.file} from {scene.start:.3f} to {scene.end:.3f} s")
    if scene.left_out:
        remarks.append(f"note: {scene.left_out} segments and gaps are too short to be seen; --start and --end zoom in")
    return remarks
