"""Constants in, control flow out: what is known before a graph runs is worked out once, here."""

import tempfile
from pathlib import Path

import onnx
import onnxruntime as ort
from onnxscript import optimizer

from streamcell.export.adopt.source import operators
from streamcell.runtime.errors import ModelError
from streamcell.runtime.model import ORT_ERRORS
from streamcell.runtime.onnx_file import check_graph, read_onnx

__all__ = ["fold"]

_ROUNDS = 6  # each takes an If away that the one before uncovered; two are enough for Silero's
_REASONS = {
    "If": "its condition depends on more than the constants and sizes that are known",
    "Loop": "how often it runs is not known before it does",
    "Scan": "how often it runs is not known before it does",
}


def fold(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a graph that computes the same with plain operators: constants worked out, branches taken, the rest gone.

    onnxscript takes the branches, ONNX Runtime works out what shapes tell; each uncovers work for the other.

    Args:
        model: Inputs and outputs must have their sizes, letters for free ones.

    Raises:
        ModelError: If the graph is wrong, or something is left that streamcell does not run; the message names it.
    """
    before = -1
    for _ in range(_ROUNDS):
        if (count := len(list(operators(model.graph)))) == before:
            break
        before = count
        model = _plain(optimizer.optimize(_basic(_optimized(model))))
    _refuse(model)
    return model


def _optimized(model: onnx.ModelProto) -> onnx.ModelProto:
    try:
        made: onnx.ModelProto = optimizer.optimize(model)
    except (ValueError, TypeError, RuntimeError, KeyError, onnx.checker.ValidationError) as error:
        raise ModelError(f"the graph cannot be folded: {error}") from error
    return made


def _basic(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model after ONNX Runtime's basic optimisations, which use standard operators only."""
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.log_severity_level = 4
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        options.optimized_model_filepath = str(path)
        try:
            ort.InferenceSession(
                model.SerializeToString(), options, providers=["CPUExecutionProvider"], enable_fallback=False
            )
        except ORT_ERRORS as error:
            raise ModelError(f"ONNX Runtime cannot load the graph: {error}") from error
        return onnx.load(path)


def _plain(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model without notes, and without operator sets that it does not use."""
    used = {node.domain for node in operators(model.graph)} | {""}
    kept = [item for item in model.opset_import if item.domain in used]
    del model.opset_import[:], model.graph.value_info[:], model.graph.metadata_props[:], model.metadata_props[:]
    model.opset_import.extend(kept)
    for node in model.graph.node:
        node.ClearField("doc_string")
        node.ClearField("metadata_props")
    return model


def _refuse(model: onnx.ModelProto) -> None:
    left = {node.op_type for node in operators(model.graph)}
    if flow := sorted(left & set(_REASONS)):
        reasons = "; ".join(f"{name}: {_REASONS[name]}" for name in flow)
        raise ModelError(f"the graph has control flow that cannot be folded away ({reasons})")
    check_graph(read_onnx(model.SerializeToString()))
