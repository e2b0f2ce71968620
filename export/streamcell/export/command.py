"""`streamcell export`: a run folder in, one proven ONNX file out."""

import argparse
import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

from streamcell.export.files import add_audio, check_target, readings, recordings, whole_or_nothing
from streamcell.runtime.errors import InputError, MissingExtraError

if TYPE_CHECKING:
    from streamcell.export.exporter import Exported

HELP = "make one ONNX file of a trained network, and prove that it streams"
DESCRIPTION = """\
Make one self-describing ONNX file of a trained network: the front end inside, every recurrent layer one operator, every
state an input and an output. The file is written only if ONNX Runtime gives what torch gives, outputs and final states,
whole and in blocks of any size, within 1e-4; the proof is kept in the file."""
EPILOG = """\
examples:
  streamcell export runs/phonemes --out phonemes.onnx
  streamcell export runs/phonemes --out phonemes.onnx --audio samples/phonemes/reader.flac
  streamcell export runs/activity --out activity.onnx --readings samples/activity/simulated.csv
  streamcell inspect phonemes.onnx

The run folder is what `streamcell train` made; its best.pt is exported. The proof hears random input, and for models of
sound the recordings of --audio (else a synthetic voice), for models of sensors the readings of --readings.
"""

NEEDS = ("torch", "onnx", "msgspec")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command takes."""
    parser.add_argument("run", type=Path, metavar="RUN", help="run folder of `streamcell train`")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.onnx", help="the model file to write")
    add_audio(parser)
    parser.add_argument(
        "--readings",
        type=Path,
        nargs="+",
        default=[],
        metavar="FILE",
        help="CSV or JSON lines of a sensor to prove it on (first 10 s of each)",
    )
    parser.add_argument("--name", metavar="NAME", help="the model's name (default: the recipe's)")


def run(args: argparse.Namespace) -> int:
    """Export, prove, write; return the exit code."""
    missing = [name for name in NEEDS if importlib.util.find_spec(name) is None]
    if missing:
        raise MissingExtraError(", ".join(missing), "export", "to export a model")
    from streamcell.export.exporter import export_best
    from streamcell.train.checkpoint import load_best

    check_target(args.out)
    best = load_best(args.run)
    rate, channels = best.network.sample_rate, best.columns.channels
    takes, wrong, right = ("features", "audio", "readings") if channels else ("audio", "readings", "audio")
    if getattr(args, wrong):
        raise InputError(f"the network in {args.run} takes {takes}: give --{right} instead of --{wrong}")
    heard = readings(args.readings, channels, rate) if channels else recordings(args.audio, rate)
    exported = export_best(best, heard, args.name)
    with whole_or_nothing(args.out) as partial:
        partial.write_bytes(exported.data)
    print(_summary(args.out, exported))
    return 0


def _summary(path: Path, exported: "Exported") -> str:
    """Return the parity table and one line on what was written."""
    recurrent = [name for name in exported.operators if name in {"GRU", "LSTM", "RNN"}]
    kinds = f"{len(exported.operators)} operators, {len(recurrent)} of them {recurrent[0]}"
    table = [f"{r.outputs:8.1e} {r.states:8.1e} {r.cases:6}  {name}" for name, r in exported.reports.items()]
    head = f"{'outputs':>8} {'states':>8} {'cases':>6}  largest differences from torch, in"
    return "\n".join([head, *table, f"{path}: {len(exported.data) / 1e6:.2f} MB, {kinds}"])
