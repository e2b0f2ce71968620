"""Weights that are only stored small: the graph makes float32 of them, which ONNX Runtime does once, when it loads.

Plain `Cast`, `Gather` and `Mul` of constants: every ONNX Runtime works these out at load, while it keeps a
`DequantizeLinear` for kernels that take integers. So a step is as fast as before, and the memory is that of float32.
"""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, numpy_helper

from streamcell.export.builder import Builder
from streamcell.export.quantize.integers import to_codes, to_int8
from streamcell.export.quantize.rewrite import weights_of

__all__ = ["store_codes", "store_int8"]

_Store: TypeAlias = Callable[[Builder, str, NDArray[np.float32], tuple[int, ...]], None]

_BLOCK = 32
_PAIRS = np.stack([np.arange(256) % 16, np.arange(256) // 16], axis=1).astype(np.float32) - 8  # halves of each byte


def store_int8(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model with its large weights as 8-bit integers, a scale for each row or column that is summed up."""
    return _stored(model, _int8)


def store_codes(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model with its large weights in 4 bits, a scale for each 32 of them."""
    return _stored(model, _codes)


def _stored(model: onnx.ModelProto, store: _Store) -> onnx.ModelProto:
    builder, names = Builder({}, ""), weights_of(model)
    constants = {item.name: numpy_helper.to_array(item) for item in model.graph.initializer}
    for name, summed in names.items():
        store(builder, name, constants[name], summed)
    made = onnx.ModelProto()
    made.CopyFrom(model)
    del made.graph.node[:], made.graph.initializer[:]
    made.graph.node.extend([*builder.nodes, *model.graph.node])
    made.graph.initializer.extend(item for item in model.graph.initializer if item.name not in names)
    made.graph.initializer.extend(item for item in builder.weights() if item.name not in constants)
    return made


def _int8(builder: Builder, name: str, weight: NDArray[np.float32], summed: tuple[int, ...]) -> None:
    integers, scales = to_int8(weight, summed)
    small = builder.constant(f"{name}/integers", integers)
    cast = builder.apply("Cast", small, to=TensorProto.FLOAT, output=f"{name}/cast")
    builder.apply("Mul", cast, builder.constant(f"{name}/scales", scales), output=name)


def _codes(builder: Builder, name: str, weight: NDArray[np.float32], _summed: tuple[int, ...]) -> None:
    """Look both halves of each byte up in a table: shifts and masks came to ONNX later."""
    codes, scales = to_codes(weight, _BLOCK)
    places = builder.constant(f"{name}/codes", codes)
    places = builder.apply("Cast", places, to=TensorProto.INT32, output=f"{name}/places")
    pairs = builder.apply("Gather", builder.constant("pairs", _PAIRS), places, output=f"{name}/pairs")
    blocks = builder.apply("Reshape", pairs, builder.integers(-1, _BLOCK), output=f"{name}/blocks")
    scaled = builder.apply("Mul", blocks, builder.constant(f"{name}/scales", scales), output=f"{name}/scaled")
    if weight.size % _BLOCK:
        flat = builder.apply("Reshape", scaled, builder.integers(-1), output=f"{name}/flat")
        ends = [builder.integers(number) for number in (0, weight.size, 0)]
        scaled = builder.apply("Slice", flat, *ends, output=f"{name}/whole")
    builder.apply("Reshape", scaled, builder.integers(*weight.shape), output=name)
