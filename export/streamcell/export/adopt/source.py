"""An ONNX file that someone else made: read, lifted to operators of today, and what it takes and gives."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from onnx import helper, version_converter

from streamcell.runtime.errors import InputError, ModelError
from streamcell.runtime.onnx_file import MAX_FILE
from streamcell.runtime.onnx_parts import Value

__all__ = ["Source", "describe", "inferred", "operators", "read_source"]

_OLDEST = 13  # Squeeze and Unsqueeze take their axes as inputs since then
_IR_VERSION = 8, 10  # initializers need not be inputs; what ONNX Runtime 1.28 and browsers read


@dataclass(frozen=True, slots=True)
class Source:
    """Hold somebody's ONNX file.

    Attributes:
        path: Where it lay.
        model: The file, with all its weights.
        inputs: What it takes, without what an initializer fills.
        outputs: What it gives.
        opset: The version of its operators as it came.
    """

    path: Path
    model: onnx.ModelProto
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    opset: int


def read_source(path: Path) -> Source:
    """Read an ONNX file, weights in files beside it included.

    Raises:
        InputError: If there is no such file.
        ModelError: If it is no ONNX file, or its operators are too old and cannot be lifted.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file; expected an ONNX file")
    if path.stat().st_size > MAX_FILE:
        raise ModelError(f"{path}: expected a model of at most {MAX_FILE} bytes, got {path.stat().st_size}")
    try:
        loaded = onnx.load(path)
        opset = next((item.version for item in loaded.opset_import if item.domain in {"", "ai.onnx"}), 0)
        model = _lifted(loaded, opset)
        inputs, outputs = (tuple(map(_value, values)) for values in (model.graph.input, inferred(model).graph.output))
    except (ModelError, DecodeError, onnx.checker.ValidationError, OSError, ValueError) as error:
        raise ModelError(f"{path}: expected a whole ONNX file: {error}") from error
    return Source(path, model, inputs, outputs, opset)


def describe(value: Value) -> str:
    """Return name, type and shape in one phrase.

    Examples:
        >>> describe(Value("state", "float32", (2, None, 128)))
        'state float32 [2, ?, 128]'
    """
    sizes = "of unknown shape" if value.shape is None else str([size or "?" for size in value.shape]).replace("'", "")
    return f"{value.name} {value.dtype} {sizes}"


def operators(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    """Yield the operators of a graph and of the graphs inside them, constants left out."""
    yield from (node for node in _nodes(graph) if node.op_type != "Constant")


def _nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                yield from _nodes(attribute.g)


def _lifted(model: onnx.ModelProto, opset: int) -> onnx.ModelProto:
    """Return the model with operators, format and inputs of today."""
    if not (opset and model.ir_version and model.graph.node):
        raise ModelError("it has no operators")
    _check_names(model.graph)
    if opset < _OLDEST:
        try:
            model = version_converter.convert_version(model, _OLDEST)
        except RuntimeError as error:
            raise ModelError(
                f"its operators are of version {opset} and cannot be lifted to {_OLDEST} ({error}). Export it again "
                "with a newer opset"
            ) from error
    model.ir_version = min(max(model.ir_version, _IR_VERSION[0]), _IR_VERSION[1])
    filled = {tensor.name for tensor in model.graph.initializer}
    for value in [value for value in model.graph.input if value.name in filled]:
        model.graph.input.remove(value)
    return model


def _check_names(graph: onnx.GraphProto) -> None:
    names = [value.name for value in (*graph.input, *graph.output, *graph.initializer)]
    names += [name for node in _nodes(graph) for name in (node.op_type, node.name, *node.input, *node.output)]
    if not all(isinstance(name, str) for name in names):  # protobuf gives bytes where it is no UTF-8
        raise ModelError("it has names that are no text")


def inferred(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model with the sizes of its outputs that follow from the operators, where they do."""
    try:
        return onnx.shape_inference.infer_shapes(model, data_prop=True)
    except onnx.shape_inference.InferenceError:
        return model


def _value(info: onnx.ValueInfoProto) -> Value:
    tensor = info.type.tensor_type
    known = tensor.elem_type in helper.get_all_tensor_dtypes()
    dtype = helper.tensor_dtype_to_np_dtype(tensor.elem_type) if known else np.dtype(object)
    if dtype.kind not in "biuf":
        raise ModelError(f"{info.name!r} is no tensor of numbers, which is all that streamcell runs")
    letters = [str(item.dim_param) for item in tensor.shape.dim]
    sizes = [
        item.dim_value if item.HasField("dim_value") else None if letter.startswith("unk__") else letter or None
        for item, letter in zip(tensor.shape.dim, letters, strict=True)
    ]  # shape inference calls what it does not know `unk__0`
    return Value(info.name, dtype.name, tuple(sizes) if tensor.HasField("shape") else None)
