"""`streamcell export`: a run folder in, one proven ONNX file out."""

import argparse
import importlib.util
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from streamcell.export.files import add_audio, check_target, readings, recordings, whole_or_nothing
from streamcell.runtime.errors import InputError, MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    from streamcell.export.exporter import Exported
    from streamcell.runtime.manifest import InputSpec
    from streamcell.train.checkpoint import Best

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
  streamcell export runs/translate --out japanese-english.onnx --encoder japanese.onnx
  streamcell inspect phonemes.onnx

The run folder is what `streamcell train` made; its best.pt is exported. The proof hears random input, and for models of
sound the recordings of --audio (else a synthetic voice), for models of sensors the readings of --readings. An encoder
and its decoder (task "pairs") become two files, both or neither; the decoder's names the encoder's fingerprint.
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
    parser.add_argument(
        "--encoder",
        type=Path,
        metavar="FILE.onnx",
        help="the second file of a pair, an encoder and its decoder (default: beside --out, with -encoder in its name)",
    )
    parser.add_argument("--name", metavar="NAME", help="the model's name (default: the recipe's)")


def run(args: argparse.Namespace) -> int:
    """Export, prove, write; return the exit code."""
    missing = [name for name in NEEDS if importlib.util.find_spec(name) is None]
    if missing:
        raise MissingExtraError(", ".join(missing), "export", "to export a model")
    from streamcell.train.checkpoint import load_best
    from streamcell.train.pair_net import PairNet

    check_target(args.out)
    best = load_best(args.run)
    if isinstance(best.network, PairNet):
        _write_pair(args, best)
        return 0
    if args.encoder:
        raise InputError(f"the network in {args.run} is one file; leave --encoder out")
    from streamcell.export.exporter import describe, export_best

    exported = export_best(best, _heard(args, describe(best).input), args.name)
    with whole_or_nothing(args.out) as partial:
        partial.write_bytes(exported.data)
    print(_summary(args.out, exported))
    return 0


def _heard(args: argparse.Namespace, spec: "InputSpec") -> "Mapping[str, NDArray[np.float32]]":
    """Return what the proof hears besides random input.

    Raises:
        InputError: If that is no input for the network.
    """
    takes = "pictures" if spec.image else spec.kind
    fitting = {"audio": "audio", "features": "readings"}.get(takes)
    for option in ("audio", "readings"):
        if option != fitting and getattr(args, option):
            advice = f"give --{fitting} instead of --{option}" if fitting else f"leave --{option} out"
            raise InputError(f"the network in {args.run} takes {takes}: {advice}")
    if takes == "audio":
        return recordings(args.audio, spec.sample_rate)
    return readings(args.readings, spec.channel_names, spec.sample_rate)


def _write_pair(args: argparse.Namespace, best: "Best") -> None:
    """Write encoder and decoder, both or neither, and say so.

    Raises:
        InputError: If an option does not fit, or a file cannot be written.
    """
    from streamcell.export.pairs import describe_encoder, export_pair

    _heard(args, describe_encoder(best).input)
    beside = args.encoder or args.out.with_name(f"{args.out.stem}-encoder{args.out.suffix}")
    check_target(beside, "--encoder")
    if beside.absolute() == args.out.absolute():
        raise InputError(f"--encoder and --out are both {beside}; name two files")
    encoder, decoder = export_pair(best, args.name)
    with whole_or_nothing(args.out) as last, whole_or_nothing(beside) as first:
        first.write_bytes(encoder.data)
        last.write_bytes(decoder.data)
    print(f"{_summary(beside, encoder)}\n{_summary(args.out, decoder)}")


def _summary(path: Path, exported: "Exported") -> str:
    """Return the parity table and one line on what was written."""
    recurrent = Counter(name for name in exported.operators if name in {"GRU", "LSTM", "RNN"})
    (kind, count), *others = recurrent.most_common() or [("recurrent", 0)]
    kinds = f"{len(exported.operators)} operators, {count} of them {kind}"
    kinds += "".join(f", {count} {kind}" for kind, count in others)
    table = [f"{r.outputs:8.1e} {r.states:8.1e} {r.cases:6}  {name}" for name, r in exported.reports.items()]
    head = f"{'outputs':>8} {'states':>8} {'cases':>6}  largest differences from torch, in"
    return "\n".join([head, *table, f"{path}: {len(exported.data) / 1e6:.2f} MB, {kinds}"])
