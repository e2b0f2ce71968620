"""Read an ONNX file far enough to judge it, before ONNX Runtime sees it.

A minimal reader of https://github.com/onnx/onnx/blob/main/onnx/onnx.proto: operators, tensors, inputs, outputs and
metadata.
A model file is a program: one of 144 bytes can ask for 256 GiB, and a Loop can run for ever. `check_graph` lets in the
operators that streaming networks need and refuses the rest, external data and absurd sizes. It is a fence, not a
sandbox: open strangers' files in a process with limited memory and time.
"""

import hashlib
import math
from collections.abc import Iterator, Mapping

import numpy as np

from streamcell.runtime.errors import ModelError
from streamcell.runtime.onnx_parts import Graph, Node, OnnxFile, Tensor, Value
from streamcell.runtime.protobuf import Budget, Message
from streamcell.runtime.sizes import check_sizes

__all__ = ["MAX_FILE", "check_graph", "read_onnx"]

MAX_FILE = 512 << 20
"""The largest model file that is opened, in bytes."""

_MAX_NUMBERS = 1 << 28  # of one tensor
_MAX_NODES = 10_000
_MAX_DEPTH = 8
_MAX_RANK = 8
_MAX_WINDOW = 1 << 12  # a convolution's padding, stride, dilation: padding is memory for nothing
_MAX_PADDED = 2  # axes of a Pad

# fmt: off
_OPERATORS = {
    "": frozenset((
        "Abs", "Add", "BatchNormalization", "Cast", "Clip", "Concat", "Constant", "Conv", "ConvInteger", "CumSum",
        "DequantizeLinear", "Div", "DynamicQuantizeLinear", "Elu", "Erf", "Exp", "Flatten", "GRU", "Gather", "Gemm",
        "HardSigmoid", "HardSwish", "Identity", "LSTM", "LayerNormalization", "LeakyRelu", "Log", "LogSoftmax",
        "MatMul", "MatMulInteger", "Max", "Min", "Mul", "Neg", "PRelu", "Pad", "Pow", "QLinearConv", "QLinearMatMul",
        "QuantizeLinear", "RNN", "Reciprocal", "ReduceMax", "ReduceMean", "ReduceSum", "Relu", "Reshape", "Shape",
        "Sigmoid", "Slice", "Softmax", "Softplus", "Split", "Sqrt", "Squeeze", "Sub", "Tanh", "Transpose", "Unsqueeze",
    )),
    # ONNX Runtime's own int8 kernels
    "com.microsoft": frozenset(("DynamicQuantizeLSTM", "DynamicQuantizeMatMul", "MatMulIntegerToFloat")),
}
# fmt: on
_DTYPES = {
    1: ("float32", 4),
    2: ("uint8", 1),
    3: ("int8", 1),
    4: ("uint16", 2),
    5: ("int16", 2),
    6: ("int32", 4),
    7: ("int64", 8),
    9: ("bool", 1),
    10: ("float16", 2),
    11: ("float64", 8),
    12: ("uint32", 4),
    13: ("uint64", 8),
    16: ("bfloat16", 2),
}
_SIZES = dict(_DTYPES.values())


def read_onnx(data: bytes) -> OnnxFile:
    """Read an ONNX file.

    Args:
        data: The whole file.

    Raises:
        ModelError: If it is empty, too large, cut short, damaged or no ONNX file.
    """
    if not 0 < len(data) <= MAX_FILE:
        raise ModelError(f"expected an ONNX file of 1 to {MAX_FILE} bytes, got {len(data)} bytes")
    try:
        model = Message(memoryview(data), "the model", Budget())
        return _file(model)
    except ModelError as error:
        raise ModelError(f"expected a whole ONNX file: {error}. Download or export it again") from error


def check_graph(file: OnnxFile) -> None:
    """Refuse a graph that streamcell does not run.

    Raises:
        ModelError: If there are operators outside the allow-list (Loop, If, Scan, custom ones), functions, subgraphs,
            sparse or external tensors, tensors whose data does not match their shape or is not finite, absurd sizes,
            sizes that depend on what the model hears, or a Concat of something with itself.
    """
    if file.functions or file.training:
        what = f"functions ({', '.join(file.functions)})" if file.functions else "training information"
        raise ModelError(f"the graph has {what}; expected plain operators. Export it with `streamcell export`")
    graphs = list(_walk(file.graph))
    nodes = [node for graph in graphs for node in graph.nodes]
    _check_operators(nodes)
    constants = {tensor.name: tensor.numbers for tensor in file.graph.initializers}
    for node in nodes:
        if node.operator == "Pad":
            _check_pad(node, constants)
    if len(graphs) > 1 or file.graph.sparse or any(node.sparse for node in nodes):
        raise ModelError("the graph has subgraphs or sparse tensors; expected plain operators and dense tensors")
    tensors = [*file.graph.initializers, *(tensor for node in nodes for tensor in node.tensors)]
    for tensor in tensors:
        _check_tensor(tensor)
    check_sizes(file.graph)
    for value in (*file.graph.inputs, *file.graph.outputs):
        sizes = [size for size in value.shape or () if isinstance(size, int)]
        if math.prod(sizes) > _MAX_NUMBERS or any(size < 0 for size in sizes):
            raise ModelError(f"{value.name!r} has an absurd shape: {list(value.shape or ())}")


def _check_operators(nodes: list[Node]) -> None:
    if len(nodes) > _MAX_NODES:
        raise ModelError(f"the graph has {len(nodes)} operators; expected at most {_MAX_NODES}")
    if foreign := sorted({_name(node) for node in nodes if node.operator not in _OPERATORS.get(node.domain, ())}):
        raise ModelError(
            f"the graph uses operators that streamcell does not run: {', '.join(foreign[:5])}. "
            "Express the model without them and export it again"
        )
    for node in nodes:
        if "Conv" in node.operator and max(map(abs, node.integers), default=0) > _MAX_WINDOW:
            raise ModelError(f"a {node.operator} has a padding, stride or size above {_MAX_WINDOW}")
        if node.operator == "Concat" and len(set(node.inputs)) < len(node.inputs):  # 30 in a row: 2 ** 30 times as much
            raise ModelError("a Concat takes the same input twice; expected each once")


def _check_pad(node: Node, constants: Mapping[str, tuple[int, ...]]) -> None:
    """Refuse a Pad whose amounts are unknown, large, or on so many axes that they multiply."""
    pads = constants.get(node.inputs[1], ()) if len(node.inputs) > 1 else node.integers
    half = len(pads) // 2
    padded = sum(any(pair) for pair in zip(pads[:half], pads[half:], strict=False))
    if not half or max(map(abs, pads)) > _MAX_WINDOW or padded > _MAX_PADDED:
        raise ModelError(
            f"a Pad must have constant amounts of at most {_MAX_WINDOW}, on at most {_MAX_PADDED} axes; got "
            f"{list(pads) or 'amounts that are no initializer'}"
        )


def _check_tensor(tensor: Tensor) -> None:
    if tensor.external:
        raise ModelError(f"tensor {tensor.name!r} lies in another file; save the model as one file")
    count = math.prod(tensor.shape)
    if min(tensor.shape, default=0) < 0 or count > _MAX_NUMBERS:
        raise ModelError(f"tensor {tensor.name!r} has an absurd shape: {list(tensor.shape)}")
    expected = count * _SIZES[tensor.dtype] if tensor.raw else count
    if tensor.stored < expected or (tensor.raw and tensor.stored != expected):
        raise ModelError(
            f"tensor {tensor.name!r} of shape {list(tensor.shape)} needs {expected} bytes, "
            f"the file has {tensor.stored}. Download or export it again"
        )
    if not tensor.finite:
        raise ModelError(f"tensor {tensor.name!r} holds NaN or infinite numbers; train or export the model again")


def _name(node: Node) -> str:
    return f"{node.domain}.{node.operator}" if node.domain else node.operator


def _walk(graph: Graph) -> Iterator[Graph]:
    yield graph
    for node in graph.nodes:
        for inner in node.subgraphs:
            yield from _walk(inner)


def _file(model: Message) -> OnnxFile:
    graph = model.message(7, "the graph")
    if graph is None or model.integer(1) < 1 or not model.has(8):
        raise ModelError("it has no graph, format version or operator set")
    return OnnxFile(
        graph=_graph(graph, 0),
        program=_digest(model),
        metadata=_pairs(model),
        functions=tuple(item.text(1) for item in model.messages(25, "a function")),
        training=model.has(20),
    )


def _digest(model: Message) -> bytes:
    parts = [model.blob(7) or b"", *(item.data for item in model.messages(8, "an operator set"))]
    return hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).digest()


def _pairs(model: Message) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for item in model.messages(14, "the metadata"):
        if (key := item.text(1)) in pairs:
            raise ModelError(f"its metadata has {key!r} twice")
        pairs[key] = item.text(2)
    return pairs


def _graph(message: Message, depth: int) -> Graph:
    if depth > _MAX_DEPTH:
        raise ModelError(f"its graphs are nested more than {_MAX_DEPTH} deep")
    initializers = tuple(_tensor(item) for item in message.messages(5, "a tensor"))
    filled = {tensor.name for tensor in initializers}
    inputs = (_value(item) for item in message.messages(11, "an input"))
    return Graph(
        nodes=tuple(_node(item, depth) for item in message.messages(1, "an operator")),
        initializers=initializers,
        inputs=tuple(value for value in inputs if value.name not in filled),
        outputs=tuple(_value(item) for item in message.messages(12, "an output")),
        sparse=message.has(15),
    )


def _node(message: Message, depth: int) -> Node:
    attributes = message.messages(5, "an attribute")
    domain = message.text(7)
    graphs = [graph for item in attributes for graph in _one_or_many(item, 6, 11, "a subgraph")]
    tensors = [tensor for item in attributes for tensor in _one_or_many(item, 5, 10, "a tensor")]
    return Node(
        operator=message.text(4),
        domain="" if domain == "ai.onnx" else domain,
        inputs=message.texts(1),
        outputs=message.texts(2),
        integers=tuple(number for item in attributes for number in (item.integer(3), *item.integers(8))),
        tensors=tuple(map(_tensor, tensors)),
        subgraphs=tuple(_graph(graph, depth + 1) for graph in graphs),
        sparse=any(item.has(22) or item.has(23) for item in attributes),
    )


def _one_or_many(attribute: Message, one: int, many: int, name: str) -> list[Message]:
    single = attribute.message(one, name)
    return attribute.messages(many, name) + ([] if single is None else [single])


def _tensor(message: Message) -> Tensor:
    name, raw, shape = message.text(8), message.blob(9), message.integers(1)
    _check_rank(len(shape), name)
    dtype = _dtype(message.integer(2), name)
    return Tensor(
        name=name,
        dtype=dtype,
        shape=shape,
        stored=sum(map(message.size, (4, 5, 7, 10, 11))) if raw is None else len(raw),
        raw=raw is not None,
        external=message.has(13) or message.integer(14) != 0,
        numbers=_numbers(message, raw, shape) if dtype == "int64" else (),
        finite=_finite(message.arrays(4) + message.arrays(10) if raw is None else [raw], dtype),
    )


def _finite(parts: list[memoryview], dtype: str) -> bool:
    """Say whether floating-point numbers have no NaN among them, nor infinity where there are several."""
    if "float" not in dtype:
        return True
    size = _SIZES[dtype]
    for part in parts:
        numbers = np.frombuffer(part[: len(part) // size * size], "<u2" if dtype == "bfloat16" else f"<f{size}")
        if dtype == "bfloat16":  # the upper half of a float32
            numbers = (numbers.astype(np.uint32) << 16).view(np.float32)
        lone = len(parts) == len(numbers) == 1
        ends = np.array([numbers.min(initial=0), numbers.max(initial=0)])
        if not np.isfinite(ends).all() and not (lone and not np.isnan(ends).any()):
            return False
    return True


def _numbers(message: Message, raw: memoryview | None, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the values of a small int64 tensor, nothing of a large one."""
    if not 0 <= (count := math.prod(shape)) <= 2 * _MAX_RANK:
        return ()
    if raw is None:
        return message.integers(7)[:count]
    return tuple(int.from_bytes(raw[at : at + 8], "little", signed=True) for at in range(0, 8 * count, 8))


def _value(message: Message) -> Value:
    name = message.text(1)
    kind = message.message(2, "a type")
    tensor = None if kind is None else kind.message(1, "a tensor type")
    if tensor is None:
        raise ModelError(f"{name!r} is no tensor")
    shape = tensor.message(2, "a shape")
    sizes = None if shape is None else tuple(map(_size, shape.messages(1, "a size")))
    _check_rank(len(sizes or ()), name)
    return Value(name, _dtype(tensor.integer(1), name), sizes)


def _size(message: Message) -> int | str | None:
    return message.integer(1) if message.has(1) else message.text(2) or None


def _check_rank(rank: int, name: str) -> None:
    if rank > _MAX_RANK:
        raise ModelError(f"{name!r} has {rank} axes, more than {_MAX_RANK}")


def _dtype(code: int, name: str) -> str:
    if code not in _DTYPES:
        raise ModelError(f"{name!r} holds numbers of type {code}, which streamcell does not read")
    return _DTYPES[code][0]
