"""`streamcell quantize`: a model file and data in, a smaller or faster file that was measured out."""

import argparse
import importlib.util
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from streamcell.export.files import check_target, whole_or_nothing
from streamcell.runtime.cli import options
from streamcell.runtime.errors import InputError, MissingExtraError

if TYPE_CHECKING:
    from streamcell.export.quantize.held_out import HeldOut
    from streamcell.export.quantize.quantizer import Outcome
    from streamcell.runtime.manifest import Manifest
    from streamcell.runtime.model import Model

HELP = "make a model file smaller or faster, and keep that only where it pays"
DESCRIPTION = """\
Make a model file smaller or faster with weights and products of few bits, and measure what that costs: every way is
tried on your data, and one table tells error rate, size and speed before and after. The front end (spectrum) stays
float. A file is written only if it pays."""
EPILOG = """\
examples:
  streamcell quantize phonemes.onnx --data DATA --recipe recipe.toml --out small.onnx
  streamcell quantize phonemes.onnx --data DATA/speech/librispeech/train --out small.onnx --seconds 600
  streamcell quantize phonemes.onnx --data DATA --recipe recipe.toml --out small.onnx --method weights-8
  streamcell quantize activity.onnx --data DATA --recipe activity.toml --out small.onnx --aim size

methods:
  weights-8     weights stored in 8 bits, computed in float: a quarter of the size, as fast as before
  weights-4     weights stored in 4 bits, computed in float
  dynamic-lstm  LSTM in integers, ranges from each call (ONNX Runtime's kernel)
  dynamic       the same, products too
  static-cells  LSTM and GRU in integers, ranges from the data
  static        the same, products too
What a method does not compute in integers it stores in 8 bits; in integers, numbers of 8 bits meet weights of 7, whose
sums fit every processor. dynamic*: an answer depends on all that is in the call, so the file takes a fixed number of
steps (--steps) and one stream a call. static*: a fixed number of steps too, as recurrent layers are written step by
step; streams may share a call. All that streams hold to it, and `streamcell verify` proves it. A fixed number of 1 is
best live; files then go step by step, slower than in calls of 64.

which is kept: of those that lose at most --lost points of error rate, have at most 0.8 of the size or are 1.2 times as
good for --aim, and whose live step is not slower, the best for --aim. Within a factor of 1.2 of it all count as equal;
then the one that asks least of a call, then the one that loses least.

data: without --recipe, folders with utterances.jsonl (see `streamcell train --help`), for models of phonemes. With
--recipe, the folder that its paths begin in: what the recipe holds out for validation is scored, for recipes of tasks
phonemes, sensor, pictures, labels and text. Never choose on data that you will report.

exit code: 0 written, with the table as JSON beside it (NEW.json); 1 nothing pays, nothing written: do not quantise;
2 an error
"""

NEEDS = ("torch", "onnx", "msgspec", "rapidfuzz", "soxr")
METHODS = ("weights-8", "weights-4", "dynamic-lstm", "dynamic", "static-cells", "static")
AIMS = ("live", "size", "file", "streams")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command takes."""
    parser.add_argument("model", metavar="MODEL", help="model file, or phonemes-en")
    parser.add_argument("--data", type=Path, nargs="+", required=True, metavar="FOLDER", help="what it is measured on")
    parser.add_argument("--out", type=Path, required=True, metavar="NEW.onnx", help="the file to write")
    parser.add_argument("--recipe", type=Path, metavar="FILE.toml", help="what the model was trained by")
    parser.add_argument(
        "--method",
        choices=METHODS,
        nargs="+",
        default=list(METHODS),
        metavar="METHOD",
        help="what to try, see below (default: all)",
    )
    parser.add_argument("--aim", choices=AIMS, default="live", help="what is to become better (default: live)")
    parser.add_argument(
        "--lost", type=float, default=0.5, metavar="POINTS", help="of error rate that may be lost (default: 0.5)"
    )
    parser.add_argument("--steps", type=int, default=1, metavar="N", help="of a call where it is fixed (default: 1)")
    parser.add_argument("--seconds", type=float, metavar="S", help="of speech to score on at most (default: all)")
    parser.add_argument("--name", metavar="NAME", help="the new model's name (default: as before)")
    options.add_trust(parser)


def run(args: argparse.Namespace) -> int:
    """Try, measure, print, write what pays; return the exit code."""
    missing = [name for name in NEEDS if importlib.util.find_spec(name) is None]
    if missing:
        raise MissingExtraError(", ".join(missing), "train,export", "to quantise a model and score it")
    from streamcell.export.quantize.held_out import open_held_out
    from streamcell.export.quantize.quantizer import Wish, quantize

    _check(args)
    model, data = options.open_model(args), _read(args.model)
    with tempfile.TemporaryDirectory() as cache:
        held_out = open_held_out(model, args.data, args.recipe, Path(cache), args.seconds)
        wish = Wish(args.method, args.aim, args.lost, args.steps, args.name)
        outcome = quantize(data, held_out, wish, lambda text: print(f"streamcell: {text}", file=sys.stderr, flush=True))
    print("\n".join(_summary(args, model.manifest, held_out, outcome)))
    if outcome.data is None:
        return 1
    _write(args, model, held_out, outcome)
    return 0


def _check(args: argparse.Namespace) -> None:
    """Refuse, before any work, what cannot come right."""
    check_target(args.out)
    if _json_beside(args.out) == args.out:
        raise InputError(
            f"--out {args.out} is where the table goes; name a model file, e.g. {args.out.with_suffix('.onnx')}"
        )
    for path in (args.out, _json_beside(args.out)):
        if path.exists():
            raise InputError(f"{path} is there already; name another file as --out, or remove it")
    if args.seconds is not None and not args.seconds > 0:
        raise InputError(f"--seconds must be above 0, got {args.seconds:g}")
    if not 0 <= args.lost <= 100:
        raise InputError(f"--lost must be from 0 to 100 percentage points, got {args.lost:g}")


def _json_beside(path: Path) -> Path:
    return path.with_suffix(".json")


def _read(name: str) -> bytes:
    from streamcell.runtime.models import read_model

    return read_model(name)


def _summary(args: argparse.Namespace, manifest: "Manifest", held_out: "HeldOut", outcome: "Outcome") -> Iterator[str]:
    """Yield the table, why variants do not pay, and the verdict."""
    from streamcell.export.quantize.table import LEGEND, doubts, gain, table

    clock = manifest.input.kind != "tokens"
    yield table(outcome.rows, manifest.input.seconds_per_step if clock else None)
    yield LEGEND.format(
        measure=held_out.measure,
        about=held_out.about,
        file="times real time" if clock else "steps a second",
        streams="how many one core carries" if clock else "steps of all a second",
    )
    first = outcome.rows[0]
    for row in outcome.rows[1:]:
        if reasons := doubts(row, first, args.lost, args.aim):
            yield f"{row.method} does not pay: {'; '.join(reasons)}"
    yield from (f"{name} is not for this model: {reason}" for name, reason in outcome.failed.items())
    chosen = outcome.chosen
    if chosen is None:
        yield f"do not quantise {manifest.name}: nothing pays for {args.aim}; nothing was written"
        return
    share, better = chosen.size / first.size, gain(chosen, first, args.aim)
    yield (
        f"{args.out}: {chosen.method}, {chosen.size / 1e6:.2f} MB ({share:.2f} of the size), {better:.2f} times "
        f"as good for {args.aim}, {100 * (chosen.rate - first.rate):+.2f} points of {held_out.measure}"
    )


def _write(args: argparse.Namespace, model: "Model", held_out: "HeldOut", outcome: "Outcome") -> None:
    from streamcell.export.quantize.table import to_json

    assert outcome.data is not None
    assert outcome.chosen is not None
    facts = {
        "model": model.manifest.name,
        "fingerprint": model.fingerprint,
        "measure": held_out.measure,
        "data": held_out.about,
        "aim": args.aim,
        "chosen": outcome.chosen.method,
        "failed": outcome.failed,
    }
    with whole_or_nothing(args.out) as file, whole_or_nothing(_json_beside(args.out)) as beside:
        file.write_bytes(outcome.data)
        beside.write_text(to_json(outcome.rows, facts), encoding="utf-8")
