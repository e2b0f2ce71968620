"""``streamcell generate``: text that a model writes, symbol by symbol."""

import argparse
import secrets
import sys
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from streamcell.runtime.cli import options, texts
from streamcell.runtime.errors import InputError

if TYPE_CHECKING:
    from streamcell.runtime.linked import Linked
    from streamcell.runtime.manifest import Manifest
    from streamcell.runtime.model import Model
    from streamcell.runtime.sampling import Sampling
    from streamcell.runtime.state import State

HELP = "print text that a model writes, or what it says of a sentence or a picture"

DESCRIPTION = """\
Print text that a model writes, symbol by symbol as it is drawn, after a prompt; or, with the encoder that belongs to
it, what it says of a sentence (a translation), a picture (a caption), a recording or rows of numbers."""

EPILOG = """\
examples:
  streamcell generate shakespeare.onnx --prompt ROMEO: --length 300       goes on from the prompt
  streamcell generate shakespeare.onnx --temperature 0.7 --seed 1         surer; the same text with each call
  streamcell generate shakespeare.onnx --top-k 10 --top-p 0.9             never what is improbable
  streamcell generate shakespeare.onnx --prompt ROMEO: --stop 'JULIET:'   ends before that text
  streamcell generate german.onnx --encoder english.onnx --input 'I am cold.' --temperature 0
  streamcell generate german.onnx --encoder english.onnx --input - --beam 4 < sentences.txt      a line each
  streamcell generate caption.onnx --encoder scene.onnx --input scene.png

Where an option is not given, the model says how it is (`streamcell inspect MODEL`). Without --seed it is another text
each time; the seed is told on stderr. Temperature 0 takes the most probable symbol, --beam N the most probable text.

exit code: 0 done, 2 the model, the prompt or the input could not be used, 130 interrupted. The text goes to stdout.
"""

_MOST_SECONDS = 3600.0  # of a recording


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command takes."""
    parser.add_argument("model", metavar="MODEL", help="an .onnx file that writes text")
    options.add_trust(parser)
    parser.add_argument("--prompt", default="", metavar="TEXT", help="what the text begins with")
    parser.add_argument("--encoder", metavar="MODEL", help="the .onnx file whose answer this model begins with")
    heard = "what the encoder hears: a text (- for lines of standard input), or a picture, recording or CSV file"
    parser.add_argument("--input", metavar="TEXT|FILE", help=heard)
    parser.add_argument("--length", type=int, metavar="N", help="symbols at most")
    parser.add_argument("--temperature", type=float, metavar="T", help="below 1 surer, above bolder; 0 most probable")
    parser.add_argument("--top-k", type=int, metavar="K", help="draw from the K most probable symbols (0: all)")
    parser.add_argument("--top-p", type=float, metavar="P", help="draw from the fewest that together have P")
    parser.add_argument("--seed", type=int, metavar="N", help="the same seed gives the same text")
    parser.add_argument("--stop", default="", metavar="TEXT", help="end before this text")
    parser.add_argument("--beam", type=int, metavar="N", help="the most probable text, searched with N at a time")
    parser.add_argument("--resize", action="store_true", help="fit a picture of another size than the encoder's")


def run(args: argparse.Namespace) -> int:
    """Print the text as it is written."""
    from streamcell.runtime.generate import Writing

    model = options.open_model(args)
    sampling = _sampling(args, Writing.of(model.manifest))
    pair = _pair(args, model)
    states: Iterator[State | None] = iter([None]) if pair is None else (pair.begin(x) for x in _inputs(args, pair))
    try:
        for number, state in enumerate(states):
            pieces = _pieces(args, model, sampling, state)  # what is wrong is said here, before anything is printed
            if not number and args.seed is None and sampling.seed:
                print(f"streamcell: --seed {sampling.seed} writes this text again", file=sys.stderr)
            for piece in chain([args.prompt], pieces):
                print(piece, end="", flush=True)
            print(flush=True)
    except KeyboardInterrupt:
        print(flush=True)
        raise
    return 0


def _sampling(args: argparse.Namespace, writing: Any) -> "Sampling":
    """Return how symbols are drawn: as asked for, else as the model says."""
    from streamcell.runtime.sampling import Sampling

    given = {name: getattr(args, name) for name in ("temperature", "top_k", "top_p")}
    settings = {name: getattr(writing, name) if value is None else value for name, value in given.items()}
    if args.beam is not None:
        if odd := [name for name in (*given, "seed") if getattr(args, name) is not None]:
            raise InputError(f"--{odd[0].replace('_', '-')} is about drawing; --beam takes the most probable text")
        if args.stop:
            raise InputError("--stop is about text as it is written; --beam ends where the model ends it")
    chance = settings["temperature"] > 0 and settings["top_k"] != 1 and args.beam is None
    drawn = 1 + secrets.randbelow(1 << 32) if chance else 0
    return Sampling(**settings, seed=drawn if args.seed is None else args.seed)


def _pair(args: argparse.Namespace, model: "Model") -> "Linked | None":
    """Open the encoder, where there is one."""
    from streamcell.runtime.linked import Linked

    link = model.manifest.link
    if args.encoder is None:
        if link is not None:
            raise InputError(
                f"{model.manifest.name} begins with what {link.name} gives: name its file with --encoder, and with "
                "--input what it hears"
            )
        if args.input is not None:
            raise InputError("--input is what an encoder hears; name one with --encoder, or use --prompt")
        return None
    pair = Linked(options.open_model(args, args.encoder), model)
    if args.input is None:
        raise InputError(f"say with --input what {pair.encoder.manifest.name} hears")
    return pair


def _inputs(args: argparse.Namespace, pair: "Linked") -> Iterator[Any]:
    """Yield what the encoder hears."""
    from streamcell.runtime.sources import read_excerpt
    from streamcell.runtime.sources.pictures import read_pictures

    spec = pair.encoder.manifest.input
    if spec.kind == "tokens":
        yield from texts.lines("-") if args.input == "-" else [args.input]
    elif spec.image:
        film = read_pictures(args.input, spec.image, spec.sample_rate, resize=args.resize)
        yield film.reshape(-1, *spec.image)
    elif spec.kind == "audio":
        yield read_excerpt(args.input, spec.sample_rate, _MOST_SECONDS)
    else:
        yield _rows(args.input, pair.encoder.manifest)


def _rows(name: str, manifest: "Manifest") -> Any:
    from streamcell.runtime.past import read_past
    from streamcell.runtime.sense import channel_names
    from streamcell.runtime.sources.pictures import load_array

    if Path(name).suffix.lower() == ".npy":
        return load_array(name)
    return read_past(name, channel_names(manifest.input)).values


def _pieces(args: argparse.Namespace, model: "Model", sampling: "Sampling", state: "State | None") -> Iterator[str]:
    """Return what is written, as it is written."""
    from streamcell.runtime.beam_text import beam_text
    from streamcell.runtime.generate import generate

    if args.beam is not None:
        return iter([beam_text(model, args.beam, prompt=args.prompt, length=args.length, state=state)])
    return generate(model, args.prompt, sampling, length=args.length, stop=args.stop, state=state)
