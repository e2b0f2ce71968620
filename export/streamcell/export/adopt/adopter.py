"""Somebody's stateful ONNX file and a card -> the bytes of a proven, self-describing file."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from itertools import product
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from streamcell.export.adopt.card import Card
from streamcell.export.adopt.confirm import confirm
from streamcell.export.adopt.fold import fold
from streamcell.export.adopt.house import build, state_specs
from streamcell.export.adopt.original import Original, constants
from streamcell.export.adopt.pairs import drop_pairs
from streamcell.export.adopt.ports import Ports, read_ports
from streamcell.export.adopt.products import to_products
from streamcell.export.adopt.sizes import Carried, settle
from streamcell.export.adopt.source import Source, operators
from streamcell.export.adopt.states import pair_states
from streamcell.export.graph import with_manifest
from streamcell.export.parity import BOUND
from streamcell.runtime.errors import ModelError
from streamcell.runtime.manifest import InputSpec, Manifest, OutputSpec, Parity
from streamcell.runtime.model import Model
from streamcell.runtime.verify import Reference, VerifyReport, verify

__all__ = ["Adopted", "adopt"]

_STEPS = 150  # of random input


@dataclass(frozen=True, slots=True)
class Adopted:
    """Hold an adopted file and how it came about.

    Attributes:
        data: The file.
        manifest: What it says of itself.
        states: Its states and how they were found.
        reports: By input, the differences from the original, step by step.
        operators: The operators that are left, in the order in which they run.
        refused: Freer ways of running it that were tried, and why they do not hold.
    """

    data: bytes
    manifest: Manifest
    states: tuple[Carried, ...]
    reports: dict[str, VerifyReport]
    operators: tuple[str, ...]
    refused: tuple[str, ...]


def adopt(source: Source, card: Card, recordings: Mapping[str, NDArray[np.float32]]) -> Adopted:
    """Return a self-describing file that computes what ``source`` computes, proven on random input and recordings.

    Any number of steps a call and streams that share a call are promised only where they give what the original gives
    for one stream, call by call.

    Args:
        source: From `read_source`.
        card: From `read_card`.
        recordings: By name, each `[N]` at the card's rate, or `[T, channels]`; at least one call long.

    Raises:
        InputError: If the card does not fit the graph, or does not tell enough.
        ModelError: If the graph has what cannot be folded away, or the new file does not give what the old one gives.

    Examples:
        >>> source = read_source(Path("silero_vad.onnx"))  # doctest: +SKIP
        >>> Path("vad.onnx").write_bytes(adopt(source, card, {}).data)  # doctest: +SKIP
    """
    ports = read_ports(source, card)
    inputs = [value for value in source.inputs if value != ports.heard]
    fixed = constants(card, inputs)
    kept = {state.output for state in card.states}
    outputs = [value for value in source.outputs if value != ports.given or value.name in kept]
    pairs = pair_states([value for value in inputs if value.name not in fixed], outputs, card.states)
    feedback = {pair.input.name: pair.output.name for pair in pairs}
    original = Original(source.model.SerializeToString(), card, fixed, feedback, ports.steps or 1)
    states = settle(pairs, ports.batch, original, card.output.name)
    _manifest(source, card, states, ports.steps, 1)  # refuses what contradicts itself before any work
    confirm(original, states, card)
    refused: list[str] = []
    for steps, rows in _ways(source, ports, states):
        manifest = _manifest(source, card, states, steps, rows)
        try:
            forms = _forms(fold(build(source.model, card, states, fixed, steps=steps, rows=rows)))
        except ModelError as error:
            refused.append(f"{_said(steps, rows)}: {error}")
            continue
        for how, model in forms.items():
            try:
                made, reports = _proven(model, manifest, states, original, recordings)
            except ModelError as error:
                refused.append(f"{_said(steps, rows)}{how}: {error}")
                continue
            kinds = tuple(node.op_type for node in model.graph.node)
            return Adopted(made, Model.open(made).manifest, states, reports, kinds, tuple(refused))
    raise ModelError(f"{source.path}: {refused[-1]}")


def _forms(model: onnx.ModelProto) -> dict[str, onnx.ModelProto]:
    """Return what a folded graph may become, the fastest first, by what it is called."""
    lean = to_products(drop_pairs(model))
    return {"": model} if lean is model else {", in its fastest form": fold(lean), "": model}


def _ways(source: Source, ports: Ports, states: Sequence[Carried]) -> Iterator[tuple[int | None, int | str]]:
    """Yield how a call may be: steps and streams, the freest first."""
    mixes = any(node.op_type.startswith("DynamicQuantize") for node in operators(source.model.graph))
    rows: list[int | str] = [1] if mixes or ports.one_row or any(state.one_row for state in states) else ["B", 1]
    steps = [ports.steps] if ports.steps else [1] if mixes else [None, 1]
    yield from ((step, row) for row, step in product(rows, steps))


def _said(steps: int | None, rows: int | str) -> str:
    calls = "any number of steps a call" if steps is None else f"{steps} step{'s' * (steps > 1)} a call"
    return f"{calls}, {'any number of streams' if rows == 'B' else 'one stream'}"


def _manifest(source: Source, card: Card, states: Sequence[Carried], steps: int | None, rows: int | str) -> Manifest:
    """Return the manifest, still without its proof."""
    heard, given = card.input, card.output
    seconds = heard.samples_per_step / heard.sample_rate
    origin = {"file": source.path.name, "sha256": hashlib.sha256(source.path.read_bytes()).hexdigest()}
    return Manifest(
        name=card.name,
        description=card.description,
        task=card.task,
        input=InputSpec(
            heard.name, heard.kind, heard.sample_rate, heard.channels, heard.samples_per_step, heard.look_ahead_steps
        ),
        states=state_specs(card, states),
        outputs=(OutputSpec(given.name, given.kind, given.labels, given.blank, given.silence, seconds),),
        decoder=card.decoder,
        gap=card.gap,
        reset=card.reset,
        steps_per_call=steps,
        batch_invariant=rows == "B",
        training={"adopted": origin},
        licence=card.licence,
        created_by=f"streamcell {version('streamcell')}",
    )


def _proven(
    model: onnx.ModelProto,
    manifest: Manifest,
    states: Sequence[Carried],
    original: Original,
    recordings: Mapping[str, NDArray[np.float32]],
) -> tuple[bytes, dict[str, VerifyReport]]:
    """Return the file with its proof, and the proof."""
    unproven = Model.open(_written(model, manifest))
    reference = _reference(original, states, manifest)
    inputs = {"random": _noise(manifest), **recordings}
    reports = {}
    for name, x in inputs.items():
        reports[name] = report = verify(unproven, x, reference=reference)
        if not report.within(BOUND):
            largest = max(report.outputs, report.states)
            raise ModelError(
                f"it is not the original run step by step: {name}, {report.worst} differs by {largest:.2g}, allowed is "
                f"{BOUND:g}"
            )
    outputs, after = (max(getattr(report, part) for report in reports.values()) for part in ("outputs", "states"))
    parity = Parity(BOUND, outputs, after, sum(report.cases for report in reports.values()))
    data = _written(model, replace(manifest, parity=parity))
    Model.open(data)
    return data, reports


def _noise(manifest: Manifest) -> NDArray[np.float32]:
    """Return random input for three streams: soft noise, or features of variance 1."""
    spec, calls = manifest.input, -(-_STEPS // (manifest.steps_per_call or 1))
    count = calls * (manifest.steps_per_call or 1) * spec.samples_per_step
    shape, level = ((3, count), 0.1) if spec.kind == "audio" else ((3, count, spec.channels), 1.0)
    noise = np.random.default_rng(0).standard_normal(shape, np.float32)
    return (level * noise).clip(-5, 5).astype(np.float32)


def _written(model: onnx.ModelProto, manifest: Manifest) -> bytes:
    with_manifest(model, manifest)
    return bytes(model.SerializeToString())


def _reference(original: Original, states: Sequence[Carried], manifest: Manifest) -> Reference:
    """Return the original as `verify` takes it: each stream by itself, the past among the states."""
    carried = {state.spec.input: state for state in states}

    def one(x: NDArray[np.float32], row: Mapping[str, NDArray[Any]]) -> tuple[NDArray[np.float32], dict[str, Any]]:
        past = next((row[name] for name in row if name not in carried), original.past())
        before = {name: state.to_graph(row[name]) for name, state in carried.items()}
        answers, after, past = original(x, before, past)
        states = {name: carried[name].from_graph(np.asarray(value)) for name, value in after.items()}
        return answers, {**states, **{name: past for name in row if name not in carried}}

    def step(x: NDArray[np.float32], state: Mapping[str, NDArray[Any]]) -> tuple[NDArray[np.float32], dict[str, Any]]:
        axes = {spec.input: spec.batch_axis for spec in manifest.states}
        rows = [
            one(x[i : i + 1], {name: np.take(value, [i], axes[name]) for name, value in state.items()})
            for i in range(len(x))
        ]
        finals = {name: np.concatenate([row[1][name] for row in rows], axis) for name, axis in axes.items()}
        return np.concatenate([row[0] for row in rows]), finals

    return step
