"""`streamcell unpack`: a model file in, a run folder out, to fine-tune from."""

import argparse
import importlib.util
from pathlib import Path

from streamcell.runtime.cli import options
from streamcell.runtime.errors import InputError, MissingExtraError
from streamcell.runtime.printable import printable

HELP = "make a run folder of a model file, to fine-tune it"
DESCRIPTION = """\
Make a run folder of a model file that `streamcell export` wrote: the very weights, as training wants them. Then
`streamcell train --from RUN` goes on from there, with your own recordings. It is proven by exporting them again: the
graph must hold the same numbers."""
EPILOG = """\
examples:
  streamcell unpack phonemes-en --out runs/phonemes-en
  streamcell train mine.toml --data MINE --out runs/mine --from runs/phonemes-en
  streamcell unpack old.onnx --recipe old.toml --out runs/old

The file holds the recipe that it was trained by; files of older releases do not: give it with --recipe (what counts is
its [model]). What `quantize` or `adopt` wrote cannot be unpacked, nor can one file of a pair. What was written into the
file after its export, a calibration or a reset policy, is not in the run: a new file needs its own.
"""

NEEDS = ("torch", "onnx", "msgspec")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command takes."""
    parser.add_argument("model", metavar="MODEL", help="model file, or phonemes-en")
    parser.add_argument("--out", type=Path, required=True, metavar="RUN", help="the run folder to make")
    parser.add_argument("--recipe", type=Path, metavar="RECIPE.toml", help="its recipe (default: the one in the file)")
    options.add_trust(parser)


def run(args: argparse.Namespace) -> int:
    """Unpack, prove, write; return the exit code."""
    missing = [name for name in NEEDS if importlib.util.find_spec(name) is None]
    if missing:
        raise MissingExtraError(", ".join(missing), "export", "to unpack a model")
    from streamcell.export.exporter import describe
    from streamcell.export.unpack import unpack
    from streamcell.runtime.models import read_model
    from streamcell.train.checkpoint import check_new_folder, save_best
    from streamcell.train.recipe import read_recipe

    check_new_folder(args.out)
    manifest = options.open_model(args).manifest
    text = read_recipe(args.recipe)[1] if args.recipe else manifest.training.get("recipe")
    if not isinstance(text, str):
        raise InputError(f"{args.model} does not hold its recipe, as it is older; give it with --recipe RECIPE.toml")
    best = unpack(read_model(args.model), manifest, text)
    args.out.mkdir(parents=True)
    (args.out / "recipe.toml").write_text(text, encoding="utf-8")
    save_best(args.out / "best.pt", best.network.state_dict(), text, best.columns, best.figures)
    count = sum(weight.numel() for weight in best.network.state_dict().values())
    name = printable(manifest.name)
    print(f"{args.out}: {count} weights of {name}; go on with `streamcell train RECIPE --from {args.out}`")
    added = [*sorted(manifest.decoder.keys() - describe(best).decoder.keys()), *(["reset"] if manifest.reset else [])]
    if added:
        print(f"not in the run, as they were written into the file later: {', '.join(map(printable, added))}")
    return 0
