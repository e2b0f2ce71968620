"""`streamcell train`: a recipe and data in, a run folder out."""

from __future__ import annotations

import argparse
import importlib.util
import sys
from pathlib import Path

from streamcell.runtime.errors import MissingExtraError

HELP = "train a network from a recipe"
DESCRIPTION = "Train a recurrent network from a recipe (TOML): checkpoints, validation, curves, TensorBoard logs."
EPILOG = """examples:
  streamcell train samples/phonemes/recipe.toml --data DATA --out runs/phonemes
  streamcell train samples/phonemes/recipe.toml --data DATA --out runs/phonemes --resume
  streamcell train samples/gestures/recipe.toml --data samples/gestures --out runs/gestures
  streamcell unpack phonemes-en --out runs/phonemes-en
  streamcell train mine.toml --data MINE --out runs/mine --from runs/phonemes-en
  torchrun --nproc-per-node 2 --no-python streamcell train samples/phonemes/recipe.toml --data DATA --out runs/phonemes
  tensorboard --logdir runs/phonemes/tensorboard

A recipe names its task: phonemes, sensor, labels, text, pairs, forecast or pictures; samples/ has a recipe of each, and
the classes of streamcell.train.recipes say every key and its default. Corpora of task phonemes are folders of
recordings with utterances.jsonl, see samples/phonemes/README.md; `streamcell import` makes them of what you have.

--from fine-tunes: another recipe goes on from the weights of a run, on your own data or with other settings. The head
is drawn anew where the labels are others, and gain control is new where the run has none; another shape of the network,
sample rate, or other channels or symbols are refused. A low train.learning_rate (a tenth) keeps what was learnt.
Under torchrun the processes share the recipe's shards; each takes a GPU where there are any.
The run folder then holds best.pt (for `streamcell export`), checkpoint.pt (for --resume), curves.png, confusions.png,
log.jsonl and validation.json; for speech also cache/, the decoded recordings, about 115 MB an hour.
Ctrl-C finishes the update, saves a checkpoint and ends; --resume takes the same updates as if nothing had happened
(exactly the same with as many --threads and processes)."""

NEEDS = ("torch", "soundfile", "soxr", "msgspec", "rapidfuzz", "matplotlib", "rich", "tensorboard")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command takes."""
    parser.add_argument("recipe", type=Path, metavar="RECIPE.toml", help="what to train, from what, how")
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="folder that the recipe's data are in")
    parser.add_argument("--out", type=Path, required=True, metavar="RUN", help="run folder, made if it is not there")
    resume = (
        'continue the run in RUN where its last checkpoint is: exactly with the same recipe (precision "auto": on a '
        "machine that chooses alike); learning_rate, warmup, "
        "schedule, precision, clip, updates, validate_every and patience may be others from there on"
    )
    parser.add_argument("--resume", action="store_true", help=resume)
    start = (
        "begin with the best weights of this run folder instead of random ones; its [model] must have the same shape "
        "(dropout may differ, gain_seconds may be new); `streamcell unpack` makes a run folder of a model file"
    )
    parser.add_argument("--from", type=Path, dest="start", metavar="RUN", help=start)
    parser.add_argument(
        "--threads", type=_count, default=0, metavar="N", help="threads for the network (default: torch's choice)"
    )


def _count(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1, got {text!r}")
    return int(text)


def run(args: argparse.Namespace) -> int:
    """Train; return the exit code."""
    missing = [name for name in NEEDS if importlib.util.find_spec(name) is None]
    if missing:
        raise MissingExtraError(", ".join(missing), "train", "to train")
    import torch

    from streamcell.runtime.cli.signals import until_signal
    from streamcell.train.recipe import read_recipe
    from streamcell.train.session import Session
    from streamcell.train.team import Team

    recipe, text = read_recipe(args.recipe)
    if args.threads:
        torch.set_num_threads(args.threads)
    with Team() as team:
        session = Session(recipe, text, args.data, args.out, resume=args.resume, team=team, start=args.start)
        with until_signal() as ended:
            best = session.run(ended.is_set)
    if team.leads:
        advice = f"export it: streamcell export {args.out} --out model.onnx"
        print(f"best validation {session.task.measure} {100 * best:.2f}%; {advice}", file=sys.stderr)
    return 0
