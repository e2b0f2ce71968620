"""One convolution as a product over windows: what the graph says of it, and which numbers meet."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper

from streamcell.export.builder import Builder

__all__ = ["Conv", "Rows", "read_conv"]

_POSITIONS = 8  # at most; with 16, as wide as ONNX Runtime's kernels, Conv is as fast for any number of streams
_WORK = 1 << 14  # least weights: with fewer, one stream pays more for the operators around than the product saves
_WORK_LAID = _WORK // 4  # where the product before leaves numbers as this one wants them
_PIECE = 16  # least numbers that are copied at a time


@dataclass(frozen=True, slots=True)
class Rows:
    """Hold where a tensor `[B, width, length]` lies with its last axes changed round: one row a position.

    Attributes:
        name: Of the tensor whose numbers are in the order of `[B, length, width]`.
        length: Positions.
        width: Numbers a position.
        ends: The tensor's sizes after its first, which is free.
    """

    name: str
    length: int
    width: int
    ends: tuple[int, ...]

    def shaped(self, builder: Builder, name: str, *ends: int) -> str:
        """Return the name of the numbers with the sizes ``ends`` after a free one; ``name``, if that has to be made."""
        if ends == self.ends:
            return self.name
        return builder.apply("Reshape", self.name, builder.integers(-1, *ends), output=name)


@dataclass(frozen=True, slots=True)
class Conv:
    """Hold a convolution `[B, inputs, length]` -> `[B, outputs, positions]`.

    Attributes:
        weight: `[outputs, inputs, taps]`, without the taps that never meet input.
        bias: `[outputs]`, or None.
        stride: From one window to the next.
        before: Zeros that go before the input; negative: how much of it is cut off.
        length: Of the input.
        positions: Windows.
    """

    weight: NDArray[np.float32]
    bias: NDArray[np.float32] | None
    stride: int
    before: int
    length: int
    positions: int

    @property
    def reach(self) -> int:
        """Return how much padded or cut input the windows cover."""
        taps: int = self.weight.shape[2]
        return (self.positions - 1) * self.stride + taps

    @property
    def piece(self) -> int:
        """Return of what size the pieces are from which all windows can be put together."""
        taps = self.weight.shape[2]
        return taps if self.positions == 1 else math.gcd(self.stride, taps)

    @property
    def overlaps(self) -> bool:
        """Tell whether windows must be put together: they overlap, or numbers between them are left out."""
        return self.positions > 1 and self.stride != self.weight.shape[2]

    def pays(self, *, laid: bool) -> bool:
        """Tell whether a product is faster than the operator, for one stream or many.

        Args:
            laid: Whether the input lies as `Rows`.
        """
        _, inputs, taps = self.weight.shape
        if not 1 <= self.positions <= _POSITIONS or not taps or (self.overlaps and inputs * self.piece < _PIECE):
            return False
        as_it_lies = not self.overlaps and self.before == 0 and self.reach == self.length
        return self.weight.size >= (_WORK_LAID if laid else _WORK) or (laid and as_it_lies)

    def append(self, builder: Builder, x: Rows, name: str) -> Rows:
        """Append the product of all windows with the weights; what is made is named ``name`` and more."""
        outputs, _, _ = self.weight.shape
        matrix = builder.constant(f"{name}/weight", self.weight.transpose(2, 1, 0).reshape(-1, outputs))
        bias = [] if self.bias is None else [builder.constant(f"{name}/bias", self.bias)]
        windows = self._windows(builder, x, name)
        made = builder.apply("Gemm" if bias else "MatMul", windows, matrix, *bias, output=f"{name}/product")
        return Rows(made, self.positions, outputs, (outputs,))

    def _windows(self, builder: Builder, x: Rows, name: str) -> str:
        """Append the windows, `[B * positions, taps * inputs]`."""
        _, inputs, taps = self.weight.shape
        after = self.reach - self.before - self.length
        if self.before or after:
            rows = x.shaped(builder, f"{name}/rows", self.length, inputs)
            pads = builder.integers(0, self.before, 0, 0, after, 0)
            padded = builder.apply("Pad", rows, pads, output=f"{name}/padded")
            x = Rows(padded, self.reach, inputs, (self.reach, inputs))
        if self.overlaps:
            pieces = x.shaped(builder, f"{name}/pieces", self.reach // self.piece, self.piece * inputs)
            places = np.arange(self.positions)[:, None] * (self.stride // self.piece) + np.arange(taps // self.piece)
            taken = builder.constant(f"{name}/places", places)
            x = replace(x, name=builder.apply("Gather", pieces, taken, axis=1, output=f"{name}/taken"), ends=())
        return x.shaped(builder, f"{name}/windows", taps * inputs)


def read_conv(
    node: onnx.NodeProto, constants: Mapping[str, NDArray[Any]], shapes: Mapping[str, list[int | None]]
) -> Conv | None:
    """Return what an operator computes; None if it is no plain one-dimensional convolution of known sizes.

    Args:
        node: Any operator.
        constants: The graph's, by name.
        shapes: Of the graph's tensors, by name; None for a size that is free.
    """
    if node.op_type != "Conv" or node.domain:
        return None
    weight, bias = (constants.get(name) for name in (*node.input, "")[1:3])
    shape = shapes.get(node.input[0], [])
    given = {item.name: helper.get_attribute_value(item) for item in node.attribute}
    ordinary = given.get("auto_pad", b"NOTSET") == b"NOTSET" and given.get("group", 1) == 1
    if not ordinary or set(given.get("dilations", [1])) != {1} or len(shape) != 3 or shape[2] is None:
        return None
    if weight is None or weight.dtype != np.float32 or (bias is None and any(node.input[2:])):
        return None
    stride, (before, after) = given.get("strides", [1])[0], given.get("pads", [0, 0])
    positions = (shape[2] + before + after - weight.shape[2]) // stride + 1
    return _trimmed(Conv(weight, bias, stride, before, shape[2], positions))


def _trimmed(conv: Conv) -> Conv:
    """Return the convolution without the taps that meet zeros only."""
    first = max(0, conv.before - (conv.positions - 1) * conv.stride)
    last = min(conv.weight.shape[2], conv.before + conv.length)
    weight = conv.weight[:, :, first:last]
    return Conv(weight, conv.bias, conv.stride, conv.before - first, conv.length, conv.positions)
