"""`streamcell adopt`: somebody's stateful ONNX file and a card in, one proven, self-describing file out."""

import argparse
import importlib.util
import sys
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from streamcell.export.files import add_audio, check_target, recordings, whole_or_nothing
from streamcell.runtime.cli import options
from streamcell.runtime.errors import InputError, MissingExtraError, ModelError
from streamcell.runtime.trial import apart

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from streamcell.export.adopt.adopter import Adopted
    from streamcell.export.adopt.card import Card
    from streamcell.export.adopt.source import Source

HELP = "make somebody's stateful ONNX file self-describing, and prove that it still gives the same"
DESCRIPTION = """\
Make a stateful ONNX file that someone else made self-describing, so that streamcell runs it like its own. Its
states are found by their names and shapes and confirmed by running; constants are put in and control flow is folded
away; samples of the past that the graph wants before the new ones become one more state. The file is written only
if it gives what the original gives step by step, outputs and states, in blocks of any size, within 1e-4, and it
keeps the proof."""
EPILOG = """\
examples:
  streamcell adopt silero_vad.onnx --manifest silero.toml --out vad.onnx
  streamcell adopt silero_vad.onnx --manifest silero.toml --out vad.onnx --audio speech.flac
  streamcell inspect vad.onnx

The card is TOML:

  name = "silero-vad"
  licence = "MIT"
  task = "frames"               # or "ctc"
  [constants]                   # inputs that never change
  sr = 16000
  [input]
  name = "input"                # in the graph
  kind = "audio"                # or "features", with channels = 40
  sample_rate = 16000
  samples_per_step = 512
  left_context = 64             # samples of the past before the new ones
  [output]
  name = "output"
  kind = "probabilities"        # or "logits"
  labels = ["speech"]
  layout = "BC"                 # axes: batch, columns; BTC unless said
  [[states]]                    # only where it cannot be guessed
  input = "state"
  output = "stateN"
  batch_axis = 1
  [reset]                       # only where the state is to begin anew while sound goes on
  after_silence = 2.0           # seconds of silence, or
  every = 60.0                  # seconds since it began
"""

_SECONDS = 300.0  # of processor time
_MEMORY = 8 << 30  # of address space, beside 16 times the file

NEEDS = ("torch", "onnx", "onnxscript")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command takes."""
    parser.add_argument("model", type=Path, metavar="MODEL.onnx", help="the file to adopt; it stays as it is")
    parser.add_argument("--manifest", type=Path, required=True, metavar="CARD.toml", help="what you know of it")
    parser.add_argument("--out", type=Path, required=True, metavar="NEW.onnx", help="the file to write")
    add_audio(parser)
    options.add_trust(parser)


def run(args: argparse.Namespace) -> int:
    """Adopt, prove, write, in a process of its own unless the file is trusted; return the exit code."""
    missing = [name for name in NEEDS if importlib.util.find_spec(name) is None]
    if missing:
        raise MissingExtraError(", ".join(missing), "export", "to adopt a model")
    from streamcell.export.adopt.adopter import adopt
    from streamcell.export.adopt.card import read_card
    from streamcell.export.adopt.example import example
    from streamcell.export.adopt.source import read_source

    check_target(args.out)
    if not args.trust:
        return _apart(args)
    source = read_source(args.model)
    card = read_card(args.manifest, partial(example, source))
    adopted = adopt(source, card, _sounds(args, card))
    with whole_or_nothing(args.out) as partial_file:
        partial_file.write_bytes(adopted.data)
    print("\n".join(_summary(args.out, source, card, adopted)))
    return 0


def _apart(args: argparse.Namespace) -> int:
    """Do the same in a process with limits: all operators of ONNX may be in the file, loops without end too."""
    arguments = [str(args.model), f"--manifest={args.manifest}", f"--out={args.out}"]
    if args.audio:
        arguments += ["--audio", *map(str, args.audio)]
    size = args.model.stat().st_size if args.model.is_file() else 0
    try:
        code, out, err = apart(
            "streamcell.export.adopt.limited", arguments, seconds=_SECONDS, memory=_MEMORY + 16 * size
        )
    except ModelError as error:
        raise ModelError(f"{args.model}: {error}") from error
    print(out, end="", flush=True)
    print(err, end="", file=sys.stderr, flush=True)
    return code


def _sounds(args: argparse.Namespace, card: "Card") -> "Mapping[str, NDArray[np.float32]]":
    """Return what the model is to hear for the proof, besides random input."""
    if card.input.kind == "audio":
        return recordings(args.audio, card.input.sample_rate)
    if args.audio:
        raise InputError("--audio: the card says that the model takes features; leave --audio out")
    return {}


def _summary(path: Path, source: "Source", card: "Card", adopted: "Adopted") -> Iterator[str]:
    """Yield what was found, what was done and the proof, line by line."""
    from streamcell.export.adopt.source import describe, operators

    manifest, before = adopted.manifest, len(list(operators(source.model.graph)))
    yield f"{source.path}: operators of version {source.opset}"
    for value in source.inputs:
        if value.name in card.constants:
            yield f"  constant   {value.name} = {card.constants[value.name]}"
        elif value.name == card.input.name:
            context = f", after {card.input.left_context} of the past" if card.input.left_context else ""
            yield f"  input      {describe(value)}: {card.input.samples_per_step} new a step{context}"
    for state in adopted.states:
        found = "from the card" if state.pair.found == "card" else f"by {state.pair.found}, confirmed by running"
        yield f"  state      {state.spec.input} <- {state.pair.output.name} {list(state.spec.shape)}: {found}"
    for spec in manifest.states[: len(manifest.states) - len(adopted.states)]:
        yield f"  new state  {spec.input} <- {spec.output} {list(spec.shape)}: the past, kept by the graph itself"
    for value in source.outputs:
        if value.name == card.output.name:
            yield f"  output     {describe(value)}: {card.output.kind} of {', '.join(card.output.labels)}"
        elif value.name not in {state.pair.output.name for state in adopted.states}:
            yield f"  left out   {describe(value)}"
    yield f"  operators  {before} before, {len(adopted.operators)} now: {', '.join(sorted(set(adopted.operators)))}"
    yield from (f"  not so     {reason}" for reason in adopted.refused)
    steps = "any number of steps" if manifest.steps_per_call is None else f"steps: {manifest.steps_per_call}"
    yield f"  a call     {steps}, {'any number of streams' if manifest.batch_invariant else 'one stream'}"
    yield f"{'outputs':>8} {'states':>8} {'cases':>6}  largest differences from the original step by step, in"
    for name, report in adopted.reports.items():
        yield f"{report.outputs:8.1e} {report.states:8.1e} {report.cases:6}  {name}"
    yield f"{path}: {len(adopted.data) / 1e6:.2f} MB"
