"""A model file and data in; every way to quantise tried and measured, and the file that pays, or none, out."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from typing import Any

import onnx

from streamcell.export.graph import with_manifest
from streamcell.export.parity import BOUND
from streamcell.export.quantize.held_out import HeldOut
from streamcell.export.quantize.ranges import measure_ranges
from streamcell.export.quantize.speed import measure_speeds
from streamcell.export.quantize.static import Ranges
from streamcell.export.quantize.table import Aim, Row, best
from streamcell.export.quantize.variants import METHODS, Method
from streamcell.runtime.errors import InputError, ModelError
from streamcell.runtime.manifest import Manifest, Parity
from streamcell.runtime.model import Model
from streamcell.runtime.verify import VerifyReport, verify

__all__ = ["Outcome", "Wish", "check_float", "quantize"]

_INTEGERS = frozenset((onnx.TensorProto.INT8, onnx.TensorProto.UINT8))


@dataclass(frozen=True, slots=True)
class Wish:
    """Say what is wanted.

    Attributes:
        methods: Names of `METHODS` to try.
        aim: What is to become better.
        most_lost: Percentage points of error rate that may be lost.
        steps: Of a call, where a method needs a fixed number.
        name: Of the new model; None keeps the old one.
    """

    methods: Sequence[str] = tuple(METHODS)
    aim: Aim = "live"
    most_lost: float = 0.5
    steps: int = 1
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """Hold what came of it.

    Attributes:
        rows: What was measured, the model as it was first.
        chosen: The row of the file that pays, None if none does.
        data: That file.
        failed: Why a method cannot be used on this model, by its name.
    """

    rows: tuple[Row, ...]
    chosen: Row | None
    data: bytes | None
    failed: dict[str, str]


@dataclass(frozen=True, slots=True)
class _Made:
    """Hold a variant before it is timed."""

    method: str
    data: bytes
    model: Model
    report: VerifyReport
    rate: float


def quantize(data: bytes, held_out: HeldOut, wish: Wish, progress: Callable[[str], None] = lambda _: None) -> Outcome:
    """Try every way that is wished for on a model file, measure each, and keep the best that pays.

    Args:
        data: The model file, of floats.
        held_out: What it is scored and calibrated on.
        wish: What is wanted.
        progress: Is told what is done now.

    Raises:
        InputError: If a method is unknown, or ``steps`` below 1.
        ModelError: If the file cannot be run rightly, or is quantised already.

    Examples:
        >>> outcome = quantize(Path("phonemes.onnx").read_bytes(), held_out, Wish(aim="size"))  # doctest: +SKIP
        >>> print(table(outcome.rows, 0.03))  # doctest: +SKIP
    """
    model, opened = onnx.load_from_string(data), Model.open(data)
    check_float(model, opened.manifest)
    _check_wish(wish, opened.manifest)
    progress(f"the model as it is, on {held_out.about}")
    first = _Made("float", data, opened, _proof(opened), held_out.rate(opened))
    made, failed, ranges = [first], dict[str, str](), None
    for name in wish.methods:
        method = METHODS[name]
        if method.forms is not None and not method.mixes and ranges is None:
            progress("ranges, on the data for calibration")
            ranges = measure_ranges(model, held_out.streams())
        progress(f"{name}: {method.about}")
        try:
            variant = _try(model, opened, name, ranges or Ranges({}), wish, held_out)
        except ModelError as error:
            failed[name] = str(error)
            continue
        if variant is None:
            failed[name] = "there is nothing in this model that it serves"
        else:
            made.append(variant)
    progress("speed, all beside each other")
    rows = _rows(made, held_out)
    chosen = best(rows[1:], rows[0], wish.most_lost, wish.aim)
    if chosen is None:
        return Outcome(rows, None, None, failed)
    kept = next(one for one in made if one.method == chosen.method)
    return Outcome(rows, chosen, _noted(kept, rows[0], held_out, opened), failed)


def check_float(model: onnx.ModelProto, manifest: Manifest) -> None:
    """Refuse a model that is quantised already.

    Raises:
        ModelError: If it is.
    """
    whole = [item.name for item in model.graph.initializer if item.data_type in _INTEGERS]
    if note := manifest.training.get("quantised"):
        method = note.get("method") if isinstance(note, dict) else note
        raise ModelError(f"{manifest.name} is quantised already ({method}); give the file that it was made of")
    if whole:
        raise ModelError(
            f"{manifest.name} has weights of 8 bits already ({', '.join(whole[:3])}); give a file of floats"
        )


def _check_wish(wish: Wish, manifest: Manifest) -> None:
    if unknown := [name for name in wish.methods if name not in METHODS]:
        raise InputError(f"unknown method {unknown[0]!r}; expected some of {', '.join(METHODS)}")
    if not 1 <= wish.steps <= 64:
        raise InputError(f"expected 1 to 64 steps a call, got {wish.steps}")
    if manifest.steps_per_call not in (None, wish.steps):
        raise InputError(
            f"{manifest.name} takes {manifest.steps_per_call} steps a call; give --steps {manifest.steps_per_call}"
        )


def _try(
    model: onnx.ModelProto, opened: Model, name: str, ranges: Ranges, wish: Wish, held_out: HeldOut
) -> _Made | None:
    """Return a variant, proven and scored; None if the method changes nothing."""
    method, manifest = METHODS[name], opened.manifest
    graph = method.apply(model, ranges, wish.steps)
    if graph is None:
        return None
    made = replace(manifest, **_calls(method, manifest, wish.steps), name=wish.name or manifest.name, parity=None)
    if made.steps_per_call is not None:
        _fix_sizes(graph, made)
    data, variant, report = _proven(graph, made)
    return _Made(name, data, variant, report, held_out.rate(variant))


def _calls(method: Method, manifest: Manifest, steps: int) -> dict[str, Any]:
    """Return how calls must be."""
    fixed = manifest.steps_per_call if method.forms is None else steps
    return {"steps_per_call": fixed, "batch_invariant": manifest.batch_invariant and not method.mixes}


def _fix_sizes(graph: onnx.ModelProto, manifest: Manifest) -> None:
    """Write the number of steps into the graph, so that no other manifest fits it."""
    steps, spec = manifest.steps_per_call or 1, manifest.input
    sizes = {spec.name: spec.sizes(1, steps)[1], **{output.name: steps for output in manifest.outputs}}
    for value in (*graph.graph.input, *graph.graph.output):
        if value.name in sizes:
            value.type.tensor_type.shape.dim[1].dim_value = sizes[value.name]


def _proven(graph: onnx.ModelProto, manifest: Manifest) -> tuple[bytes, Model, VerifyReport]:
    """Return the file, opened, and its proof; streams share a call only where that is proven."""
    model = _opened(graph, manifest)
    report = _proof(model)
    if not report.within(BOUND) and manifest.batch_invariant:
        return _proven(graph, replace(manifest, batch_invariant=False))
    if not report.within(BOUND):
        raise ModelError(f"it does not stream: {report.worst} differs by {max(report.outputs, report.states):.2g}")
    proven = replace(manifest, parity=Parity(BOUND, report.outputs, report.states, report.cases))
    return _written(graph, proven), _opened(graph, proven), report


def _proof(model: Model) -> VerifyReport:
    return verify(model, blocks=(1, 481, "all"))


def _opened(graph: onnx.ModelProto, manifest: Manifest) -> Model:
    return Model.open(_written(graph, manifest))


def _written(graph: onnx.ModelProto, manifest: Manifest) -> bytes:
    return bytes(with_manifest(graph, manifest).SerializeToString())


def _rows(made: Sequence[_Made], held_out: HeldOut) -> tuple[Row, ...]:
    speeds = measure_speeds([one.model for one in made], held_out.streams()[0])
    return tuple(
        Row(
            one.method,
            one.rate,
            len(one.data),
            speed,
            one.model.manifest.steps_per_call,
            one.model.manifest.batch_invariant,
            max(one.report.outputs, one.report.states),
        )
        for one, speed in zip(made, speeds, strict=True)
    )


def _noted(made: _Made, first: Row, held_out: HeldOut, original: Model) -> bytes:
    """Return the file with a note of how it came about."""
    note = {
        "method": made.method,
        "about": METHODS[made.method].about,
        "from": {"name": original.manifest.name, "fingerprint": original.fingerprint},
        "measure": held_out.measure,
        "data": held_out.about,
        "before": round(first.rate, 5),
        "after": round(made.rate, 5),
    }
    manifest = replace(
        made.model.manifest,
        training={**original.manifest.training, "quantised": note},
        created_by=f"streamcell {version('streamcell')}",
    )
    data = _written(onnx.load_from_string(made.data), manifest)
    Model.open(data)
    return data
