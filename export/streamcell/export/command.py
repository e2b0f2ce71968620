"""`streamcell export`: a run folder in, one proven ONNX file out."""

import argparse
import importlib.util
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from streamcell.runtime.errors import InputError, MissingExtraError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

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
  streamcell inspect phonemes.onnx

The run folder is what `streamcell train` made; its best.pt is exported. Without --audio a synthetic voice is used.
"""

NEEDS = ("torch", "onnx", "msgspec")
SECONDS = 10.0  # of each recording, for the proof


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command takes."""
    parser.add_argument("run", type=Path, metavar="RUN", help="run folder of `streamcell train`")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.onnx", help="the model file to write")
    parser.add_argument(
        "--audio",
        type=Path,
        nargs="+",
        default=[],
        metavar="FILE",
        help="recordings to prove it on (first 10 s of each)",
    )
    parser.add_argument("--name", metavar="NAME", help="the model's name (default: the recipe's)")


def run(args: argparse.Namespace) -> int:
    """Export, prove, write; return the exit code."""
    missing = [name for name in NEEDS if importlib.util.find_spec(name) is None]
    if missing:
        raise MissingExtraError(", ".join(missing), "export", "to export a model")
    from streamcell.export.exporter import export_best
    from streamcell.train.checkpoint import load_best

    _check_target(args.out)
    best = load_best(args.run)
    exported = export_best(best, _recordings(args.audio, best.network.sample_rate), args.name)
    with _whole_or_nothing(args.out) as partial:
        partial.write_bytes(exported.data)
    print(_summary(args.out, exported))
    return 0


def _check_target(path: Path) -> None:
    """Refuse, before any work, a file that cannot be written."""
    if path.is_dir():
        raise InputError(f"--out {path} is a folder; name the file to write, e.g. {path / 'model.onnx'}")
    if not path.absolute().parent.is_dir():
        raise InputError(f"--out {path}: the folder {path.parent} does not exist; make it first")


def _recordings(paths: Sequence[Path], sample_rate: int) -> "Mapping[str, NDArray[np.float32]]":
    """Return the first seconds of each recording, or of a synthetic voice, by name."""
    from streamcell.export.parity import synthetic

    if not paths:
        return {"synthetic voice": synthetic(SECONDS, sample_rate)}
    return {str(path): _read(path, sample_rate) for path in paths}


def _read(path: Path, sample_rate: int) -> "NDArray[np.float32]":
    from streamcell.runtime.sources import read_excerpt

    samples = read_excerpt(path, sample_rate, SECONDS)
    if len(samples) < sample_rate:
        raise InputError(f"--audio {path} has {len(samples) / sample_rate:.2f} s; expected a recording of at least 1 s")
    return samples


@contextmanager
def _whole_or_nothing(path: Path) -> Iterator[Path]:
    """Give a path beside ``path`` to write to; rename it to ``path`` at the end, or leave nothing behind."""
    partial = path.with_name(f"{path.name}.partial")
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _summary(path: Path, exported: "Exported") -> str:
    """Return the parity table and one line on what was written."""
    recurrent = [name for name in exported.operators if name in {"GRU", "LSTM", "RNN"}]
    kinds = f"{len(exported.operators)} operators, {len(recurrent)} of them {recurrent[0]}"
    table = [f"{r.outputs:8.1e} {r.states:8.1e} {r.cases:6}  {name}" for name, r in exported.reports.items()]
    head = f"{'outputs':>8} {'states':>8} {'cases':>6}  largest differences from torch, in"
    return "\n".join([head, *table, f"{path}: {len(exported.data) / 1e6:.2f} MB, {kinds}"])
