"""`streamcell average`: several runs in, one run of their mean weights out."""

from __future__ import annotations

import argparse
import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from streamcell.runtime.errors import InputError, MissingExtraError

if TYPE_CHECKING:
    from torch import Tensor

    from streamcell.train.checkpoint import Best
    from streamcell.train.task import Task

HELP = "average the weights of runs that began with the same ones"
DESCRIPTION = """\
Average the best weights of several runs, of which each began with the same network or with another of them (`streamcell
train --from`). The mean often does better on new speakers than any of them (Wortsman et al., Model soups, ICML 2022)
and is as small and fast as one. What began differently has nothing to average."""
EPILOG = """examples:
  streamcell average runs/third runs/fourth --data DATA --out runs/phonemes       two: tries five shares, keeps the best
  streamcell average runs/a runs/b runs/c --shares 0.5 0.25 0.25 --data DATA --out runs/mean
  streamcell average runs/a runs/b --out runs/mean                                equal shares, not scored

With --data the mean is scored on what the last run's recipe holds out, which stands in the new run's validation.json;
a share that was chosen there was chosen on these data. Recordings that were decoded for the last run are not decoded
again. The new run is for `streamcell export` and `train --from`; it cannot be resumed."""

NEEDS = ("torch", "soundfile", "soxr", "msgspec", "rapidfuzz", "matplotlib", "rich", "tensorboard")
_TRIED = (0.0, 0.25, 0.5, 0.75, 1.0)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command takes."""
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="run folders, two or more")
    parser.add_argument("--out", type=Path, required=True, metavar="RUN", help="the run folder to make")
    parser.add_argument(
        "--shares", type=float, nargs="+", metavar="S", help="of each run, sum 1 (default: equal, see below)"
    )
    parser.add_argument("--data", type=Path, metavar="DIR", help="folder of the data, to score the mean")


def run(args: argparse.Namespace) -> int:
    """Average, score if asked to, write."""
    missing = [name for name in NEEDS if importlib.util.find_spec(name) is None]
    if missing:
        raise MissingExtraError(", ".join(missing), "train", "to average runs")
    _check(args.runs, args.shares, args.out)
    from streamcell.train.average import average
    from streamcell.train.checkpoint import load_best, save_best

    runs = [(folder, load_best(folder)) for folder in args.runs]
    last, equal = runs[-1][1], [1 / len(runs)] * len(runs)
    ways = [args.shares] if args.shares else [equal]
    if args.data and not args.shares and len(runs) == 2:
        ways = [[1 - share, share] for share in _TRIED]
    means = [(shares, average(runs, shares)) for shares in ways]
    if args.data:
        _keep_best(args, runs, means)
    else:
        args.out.mkdir(parents=True)
        (shares, weights), facts = means[0], {"updates": last.figures.get("updates", 0)}
        save_best(args.out / "best.pt", weights, last.text, last.columns, {**facts, **_said(args.runs, shares)})
    (args.out / "recipe.toml").write_text(last.text, encoding="utf-8")
    print(f"export it: streamcell export {args.out} --out model.onnx")
    return 0


def _check(runs: Sequence[Path], shares: Sequence[float] | None, out: Path) -> None:
    """Refuse, before any work, what cannot come right."""
    from streamcell.train.checkpoint import check_new_folder

    if len(runs) < 2:
        raise InputError(f"an average is of two runs or more, got {runs[0]} alone")
    if shares and not (len(shares) == len(runs) and min(shares) >= 0 and abs(sum(shares) - 1) <= 1e-6):
        raise InputError(
            f"--shares must be {len(runs)} numbers from 0 with the sum 1, got {' '.join(map(str, shares))}"
        )
    check_new_folder(out)


def _keep_best(
    args: argparse.Namespace, runs: Sequence[tuple[Path, Best]], means: list[tuple[list[float], dict[str, Tensor]]]
) -> None:
    """Score the means on what the last run's recipe holds out; print the scores and write the best."""
    from streamcell.train.keep import keep_best
    from streamcell.train.progress import Progress
    from streamcell.train.tasks import open_task

    last = runs[-1][1]
    with Progress(args.out / "tensorboard") as progress:
        task: Task[Any] = open_task(last.recipe, args.data, args.runs[-1] / "cache", progress.decoded)
    if task.columns != last.columns:
        raise InputError(f"the data in {args.data} have other labels, channels or symbols than the runs; name theirs")
    scored = []
    for shares, weights in means:
        last.network.load_state_dict(weights)
        score = task.validate(last.network)
        scored.append((score.rate, shares, weights, score))
        print(f"{task.measure} {100 * score.rate:.2f}%, loss {score.loss:.3f}: {_shown(args.runs, shares)}", flush=True)
    _, shares, weights, score = min(scored, key=lambda one: one[0])
    args.out.mkdir(parents=True)
    facts = {"updates": last.figures.get("updates", 0), **_said(args.runs, shares)}
    keep_best(args.out, weights, last.text, last.columns, score, facts)


def _said(runs: Sequence[Path], shares: Sequence[float]) -> dict[str, str]:
    return {"average": _shown(runs, shares)}


def _shown(runs: Sequence[Path], shares: Sequence[float]) -> str:
    names = [folder.absolute().name for folder in runs]
    if len(set(names)) < len(names):
        names = list(map(str, runs))
    return " + ".join(f"{share:g} {name}" for name, share in zip(names, shares, strict=True))
