"""``streamcell inspect``: what a model file says about itself."""

import argparse
import hashlib
import json
import math
import textwrap
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from streamcell.runtime.cli import options, texts
from streamcell.runtime.models import read_model
from streamcell.runtime.printable import printable

if TYPE_CHECKING:
    from streamcell.runtime.manifest import Manifest, OutputSpec
    from streamcell.runtime.model import Model

HELP = "print what a model takes, gives and carries"

DESCRIPTION = """\
Print what a model takes, gives and carries: input, states, labels, decoder, what lost samples do to it, the proof of
its streaming guarantee, training data and figures, licence. All of it stands inside the .onnx file."""

EPILOG = """\
examples:
  streamcell inspect                      the model that comes along
  streamcell inspect my.onnx
  streamcell inspect my.onnx --json       the manifest itself, e.g. for jq
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command takes."""
    parser.add_argument("model", nargs="?", metavar="MODEL", help=options.MODEL_HELP)
    options.add_trust(parser)
    parser.add_argument("--json", action="store_true", help="print the manifest as JSON")


def run(args: argparse.Namespace) -> int:
    """Print the manifest, readable or as JSON."""
    model = options.open_model(args)
    if args.json:
        print(json.dumps(json.loads(model.manifest.to_json()), indent=2))
        return 0
    for key, value in _facts(model, args.model):
        said = texts.plain(value, _LINE)
        print(f"{key:<14}{textwrap.fill(said, 100, subsequent_indent=' ' * 14, break_long_words=False)}")
    return 0


def _facts(model: "Model", name: str | None) -> Iterator[tuple[str, str]]:
    manifest = model.manifest
    yield "model", f"{manifest.name}: {manifest.description}"
    yield from _input(manifest)
    yield from _delay(manifest)
    for output in manifest.outputs:
        yield from _output(output)
    yield from _states(manifest)
    yield "task", f"{manifest.task}; decoder: {_plain(manifest.decoder)}"
    yield "gaps", f"up to {manifest.gap.reset_after:g} s: {_GAPS[manifest.gap.action]}; longer: the state is reset"
    yield "resets", _resets(manifest)
    yield "call", _call(manifest)
    yield "parity", _parity(manifest)
    for key, value in manifest.training.items():
        shown = f"{len(str(value).splitlines())} lines, see --json" if key == "recipe" else _plain(value)
        yield "training", f"{key}: {shown}"
    yield "licence", manifest.licence or "not said"
    yield "made by", manifest.created_by or "not said"
    yield "steps", f"fingerprint {model.fingerprint} (a saved stream goes on with any file that has the same)"
    data = read_model(name)
    yield "file", f"{len(data) / 1e6:.2f} MB, sha256 {hashlib.sha256(data).hexdigest()}"


_LONGEST, _SHOWN = 500, 40  # characters of a value
_LINE = 20_000  # of all that stands under one name
_MOST = 100  # labels
_RATES = (16000, 44100, 48000)  # Hz

_GAPS = {"fill": "heard as silence", "hold": "skipped, the state is kept"}


def _input(manifest: "Manifest") -> Iterator[tuple[str, str]]:
    spec = manifest.input
    step = spec.seconds_per_step * 1000
    if spec.kind == "tokens":
        yield "input", f"{spec.name}: tokens, int64 [B, T], {spec.split} of {len(spec.symbols)} symbols"
        yield "symbols", _many(spec.symbols)
        return
    shape = "[B, N]" if spec.kind == "audio" else f"[B, T, {spec.channels}]"
    rate = f"{spec.sample_rate} Hz" + (" (other rates are converted)" if spec.kind == "audio" else "")
    yield "input", f"{spec.name}: {spec.kind}, float32 {shape}, {rate}, {spec.channels} channel(s)"
    if spec.image:
        yield "image", "{} rows, {} columns, {} colours".format(*spec.image)
    for index, name in enumerate(spec.channel_names):
        yield "channel", f"{name}, {spec.units[index]}" if spec.units else name
    yield "step", f"{spec.samples_per_step} samples, {step:g} ms; look-ahead {spec.look_ahead_steps * step:g} ms"


def _delay(manifest: "Manifest") -> Iterator[tuple[str, str]]:
    """Say how the delay of a stream comes about, for the rates that microphones have."""
    from streamcell.runtime.delay import delay_of
    from streamcell.runtime.errors import MissingExtraError

    if manifest.task not in ("ctc", "frames"):
        return
    own = delay_of(manifest)
    parts = f"look-ahead {_ms(own.look_ahead)}, step up to {_ms(own.step)}, decoder {_ms(own.decoder)}"
    yield "delay", f"{parts}; in all up to {_ms(own.total)} from the end of a sound to its final segment"
    for rate in _RATES if manifest.input.kind == "audio" else ():
        if rate == manifest.input.sample_rate:
            continue
        try:
            delay = delay_of(manifest, rate)
        except MissingExtraError as error:
            yield "delay", str(error)
            return
        yield "delay", f"from {rate} Hz: resampler {_ms(delay.resampler)} more, in all up to {_ms(delay.total)}"


def _ms(seconds: float) -> str:
    """Write a delay; what depends on what follows is not known."""
    return "unbounded" if math.isinf(seconds) else f"{1000 * seconds:.0f} ms"


def _output(output: "OutputSpec") -> Iterator[tuple[str, str]]:
    blank = "none" if output.blank is None else output.labels[output.blank]
    shape = f"[B, T, {len(output.labels)}]"
    yield (
        "output",
        f"{output.name}: {output.kind}, float32 {shape}, a frame every {output.seconds_per_step * 1000:g} ms",
    )
    yield "labels", f"{_many(output.labels)} (blank: {blank}, silence: {output.silence or 'none'})"


def _many(labels: tuple[str, ...]) -> str:
    """Return names in one line, the first only where there are very many."""
    shown = " ".join(printable(label) if label.strip() else repr(label) for label in labels[:_MOST])
    return shown if len(labels) <= _MOST else f"{shown} ... ({len(labels)})"


def _states(manifest: "Manifest") -> Iterator[tuple[str, str]]:
    for state in manifest.states:
        shape = ", ".join(map(str, state.shape))
        yield "state", f"{state.input} -> {state.output}: {state.dtype} [{shape}], begins as {state.initial:g}"
    if not manifest.states:
        yield "state", "none"
    if (link := manifest.link) is not None:
        yield "linked", f"begins with what {link.name} gives ({link.fingerprint[:16]}): {_plain(link.states)}"


def _call(manifest: "Manifest") -> str:
    fixed = manifest.steps_per_call
    steps = "any number of steps" if fixed is None else f"exactly {fixed} step{'s' * (fixed > 1)}"
    shared = (
        "streams may share it" if manifest.batch_invariant else "streams run one by one, as sharing changes answers"
    )
    return f"{steps} a call; {shared}"


def _resets(manifest: "Manifest") -> str:
    if (policy := manifest.reset) is None:
        return "none while sound goes on"
    found = [] if policy.after_silence is None else [f"after {policy.after_silence:g} s of silence"]
    found += [] if policy.every is None else [f"every {policy.every:g} s"]
    return f"the state begins anew {' and '.join(found)}"


def _parity(manifest: "Manifest") -> str:
    proof = manifest.parity
    if proof is None:
        return "never proved; run `streamcell verify`"
    measured = f"outputs {proof.outputs:.1e}, states {proof.states:.1e}, {proof.cases} cases"
    return f"whole, step by step and in any blocks: the same within {proof.bound:g} (measured: {measured})"


def _plain(value: Any) -> str:
    """Write a JSON value without its quotes and braces."""
    if isinstance(value, dict):
        return ", ".join(f"{key} {_plain(item)}" for key, item in value.items()) or "defaults"
    if isinstance(value, list):
        return ", ".join(map(_plain, value))
    text = str(value)
    return text if len(text) <= _LONGEST else f"{text[:_SHOWN].strip()} ... ({len(text)} characters)"
