"""`streamcell gradients`: how far back a gradient reaches, of a trained run or of the textbooks' networks."""

from __future__ import annotations

import argparse
import importlib.util
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from streamcell.runtime.errors import InputError, MissingExtraError

if TYPE_CHECKING:
    from streamcell.train.gradients import Curve

HELP = "draw how a gradient fades or explodes over time lags"
DESCRIPTION = """\
Draw how much of a gradient at step t reaches the state k steps before: the mean gain of the Jacobian ds[t] / ds[t-k],
by exact back-propagation in float64 (Bengio et al. 1994; Pascanu et al. 2013). Below 1 it fades, above 1 it explodes.
With RUN, of each recurrent layer of its best network, on its training data; without, of fresh Elman, LSTM and GRU
networks on the same noise."""
EPILOG = """examples:
  streamcell gradients                               the textbooks' comparison, as gradients.png
  streamcell gradients runs/gestures                 a trained run, as runs/gestures/gradients.png
  streamcell gradients runs/gestures --data samples/gestures --lags 400 --out far.png

The table on stdout says after how many steps half is left, and how much at some lags."""

NEEDS = ("torch", "soundfile", "soxr", "msgspec", "rapidfuzz", "matplotlib")
_LAGS = (10, 50, 100)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command takes."""
    parser.add_argument("run", nargs="?", type=Path, metavar="RUN", help="run folder that `streamcell train` made")
    parser.add_argument(
        "--data", type=Path, metavar="DIR", help="folder of the run's data (default: where they were in training)"
    )
    parser.add_argument(
        "--out", type=Path, metavar="PICTURE.png", help="the picture (default: gradients.png, in RUN if there is one)"
    )
    parser.add_argument("--lags", type=int, default=100, metavar="N", help="how many steps back (default: 100)")


def run(args: argparse.Namespace) -> int:
    """Measure, print the table, draw."""
    missing = [name for name in NEEDS if importlib.util.find_spec(name) is None]
    if missing:
        raise MissingExtraError(", ".join(missing), "train", "to follow gradients")
    if not 2 < args.lags <= 10_000:
        raise InputError(f"--lags must be from 3 to 10000, got {args.lags}")
    if args.data and not args.run:
        raise InputError("--data belongs to a run; name its folder, too: streamcell gradients RUN --data DIR")
    picture = args.out or (args.run or Path()) / "gradients.png"
    if picture.suffix != ".png" or not picture.absolute().parent.is_dir():
        raise InputError(f"--out must name a .png in a folder that is there, got {picture}")
    from streamcell.train.gradients import of_textbook
    from streamcell.train.plots import plot_fading

    curves = _of_run(args.run, args.data, args.lags) if args.run else of_textbook(args.lags)
    title = f"{args.run.absolute().name}: each layer" if args.run else "fresh networks of 64 units, the same noise"
    plot_fading({name: curve.shares for name, curve in curves.items()}, title, picture)
    print("\n".join([*_table(curves, args.lags), f"picture: {picture}"]))
    return 0


def _of_run(run: Path, data: Path | None, lags: int) -> dict[str, Curve]:
    from streamcell.train.checkpoint import load, load_best
    from streamcell.train.gradients import of_network
    from streamcell.train.shortage import explain_shortage
    from streamcell.train.tasks import open_task

    best = load_best(run)
    if not best.network.stack.state_names:
        raise InputError(f"the network of {run} has no recurrent layers, so nothing goes back through time")
    folder = data or _remembered(load(run / "checkpoint.pt"), run)
    with explain_shortage(lambda: f"ask for fewer than {lags} steps with --lags"):
        return of_network(best.network, open_task(best.recipe, folder, run / "cache", lambda *_: None), lags)


def _remembered(stored: Mapping[str, Any], run: Path) -> Path:
    """Return the folder of the data that a checkpoint was trained on."""
    if "folder" not in stored:
        raise InputError(f"{run} does not say where its data are; give the folder with --data")
    return Path(stored["folder"])


def _table(curves: Mapping[str, Curve], lags: int) -> Sequence[str]:
    """Return a header and a line a curve."""
    shown = [lag for lag in _LAGS if lag <= lags]
    wide = max(len(name) for name in curves)
    heads = "".join(f"{f'left at {lag}':>13}" for lag in shown)
    lines = [f"{'':{wide}}  half left after{heads}"]
    for name, curve in curves.items():
        half = f"over {lags}" if math.isinf(curve.half_life) else f"{curve.half_life:.1f}"
        shares = "".join(f"{curve.shares[lag]:13.2g}" for lag in shown)
        lines.append(f"{name:{wide}}  {half + ' steps':>15}{shares}")
    return lines
