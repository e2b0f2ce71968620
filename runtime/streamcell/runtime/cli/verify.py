"""``streamcell verify``: prove a model's streaming guarantee on this machine."""

import argparse
import sys
from typing import TYPE_CHECKING

from streamcell.runtime.cli import options
from streamcell.runtime.printable import printable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from streamcell.runtime.model import Model

HELP = "prove on this machine that a model streams as it should"

DESCRIPTION = """\
Prove on this machine that a model gives the same log-probabilities and the same final states whether samples come all
at once or in blocks of 1, 7, 160 and 481, for one stream and for three, from random states too."""

EPILOG = """\
examples:
  streamcell verify                               the model that comes along, on random input
  streamcell verify my.onnx --audio speech.wav    on random input and on a recording (its first 10 s)

exit code: 0 within the bound (the model's, or 1e-4 if that is smaller), 1 the bound is broken, 2 the model or the
recording could not be read
"""

_BOUND = 1e-4  # whatever the file says about itself
_ODD = 1e-3  # a sensitive network's own bound against PyTorch may be a few times 1e-4, more is odd


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command takes."""
    parser.add_argument("model", nargs="?", metavar="MODEL", help=options.MODEL_HELP)
    options.add_trust(parser)
    parser.add_argument("--audio", metavar="FILE", help="a recording to try as well")


def run(args: argparse.Namespace) -> int:
    """Print the differences, a table an input; return 1 if one is above the bound."""
    from streamcell.runtime.verify import verify

    model = options.open_model(args)
    inputs = (
        {"random input": None} if args.audio is None else {"random input": None, args.audio: _read(model, args.audio)}
    )
    bound = _bound(model)
    broken = 0
    for name, samples in inputs.items():
        report = verify(model, samples)
        verdict = "kept" if report.within(bound) else "BROKEN"
        print(f"{printable(model.manifest.name)}, {name}:\n{report}\nbound {bound:g}: {verdict}\n", flush=True)
        broken |= verdict == "BROKEN"
    return int(broken)


def _bound(model: "Model") -> float:
    """Return what no difference may exceed: the model's own bound, if that is strict enough."""
    proof = model.manifest.parity
    if proof is None:
        return _BOUND
    if proof.bound > _ODD:
        print(f"streamcell: warning: the model's own bound is {proof.bound:g}; judged by {_BOUND:g}", file=sys.stderr)
    return min(_BOUND, proof.bound)


def _read(model: "Model", path: str) -> "NDArray[np.float32]":
    """Return the first seconds of a recording at the model's rate, `[N]`."""
    from streamcell.runtime.errors import InputError
    from streamcell.runtime.sources import read_excerpt

    spec = model.manifest.input
    if spec.kind != "audio":
        raise InputError(f"{model.manifest.name} takes {spec.kind}, not audio; leave --audio out")
    return read_excerpt(path, spec.sample_rate)
