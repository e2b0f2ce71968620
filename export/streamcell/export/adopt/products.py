"""Convolutions of few positions -> matrix products over windows: all streams of a call share one product.

ONNX Runtime's one-dimensional `Conv` makes one product a stream, as wide as there are positions. Where a call holds one
step these are few, often one to four, and the weights are read for every stream anew.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from streamcell.export.adopt.conv import Conv, Rows, read_conv
from streamcell.export.adopt.source import inferred
from streamcell.export.builder import Builder

__all__ = ["to_products"]

_INNER = "products/"  # before every name made here
# fmt: off
_NUMBERWISE = (
    "Abs", "Add", "Clip", "Div", "Elu", "Erf", "Exp", "HardSigmoid", "HardSwish", "LeakyRelu", "Log", "Max", "Min",
    "Mul", "Neg", "Pow", "Reciprocal", "Relu", "Sigmoid", "Softplus", "Sqrt", "Sub", "Tanh",
)
# fmt: on
_LAST, _MIDDLE = ([2], [-1]), ([1], [-2])  # axes of `[B, C, T]`


def to_products(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a graph that computes the same, with matrix products for convolutions where that is faster.

    Between two of them numbers stay as the products want them, through operators that work number by number and
    through slices of channels. A convolution is left alone that has groups, dilations or two dimensions, weights that
    are no float32 constants, a length that is not known, many positions, little work or scattered windows.

    Args:
        model: Folded, with the sizes of its inputs.

    Returns:
        Another model, with operators that nothing needs any more; the same one if there is nothing to do.

    Examples:
        >>> lean = fold(to_products(fold(model)))  # doctest: +SKIP
    """
    graph = model.graph
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    sized = inferred(model).graph
    shapes = {value.name: _sizes(value) for value in (*sized.input, *sized.value_info, *sized.output)}
    read = {node.output[0]: read_conv(node, constants, shapes) for node in graph.node}
    convs = {name: conv for name, conv in read.items() if conv is not None}
    if not any(conv.pays(laid=False) for conv in convs.values()):
        return model
    walk = _Walk(constants, shapes, convs)
    for node in graph.node:
        walk.take(node)
    for value in graph.output:
        walk.give_back(value.name)
    made = onnx.ModelProto()
    made.CopyFrom(model)
    del made.graph.node[:]
    made.graph.node.extend(walk.builder.nodes)
    made.graph.initializer.extend(tensor for tensor in walk.builder.weights() if tensor.name not in constants)
    return made


def _sizes(value: onnx.ValueInfoProto) -> list[int | None]:
    dims = value.type.tensor_type.shape.dim
    return [item.dim_value if item.HasField("dim_value") else None for item in dims]


@dataclass(slots=True)
class _Walk:
    """Go through a graph's operators in order and write them anew.

    Attributes:
        constants: By name.
        shapes: By name.
        convs: What can become a product, by the name of the output.
        builder: Takes the new operators.
        rows: Of tensors that lie as rows, by name.
        given: Those of them that there are as they were, too.
    """

    constants: dict[str, NDArray[Any]]
    shapes: dict[str, list[int | None]]
    convs: dict[str, Conv]
    builder: Builder = field(default_factory=lambda: Builder({}, ""))
    rows: dict[str, Rows] = field(default_factory=dict)
    given: set[str] = field(default_factory=set)

    def take(self, node: onnx.NodeProto) -> None:
        """Append what one operator becomes."""
        ways: dict[str, Callable[[onnx.NodeProto], bool]] = {
            "Conv": self._conv,
            "Slice": self._slice,
            "Squeeze": self._squeeze,
            **dict.fromkeys(_NUMBERWISE, self._numberwise),
        }
        if node.op_type in ways and ways[node.op_type](node):
            return
        for name in node.input:
            self.give_back(name)
        self.builder.nodes.append(node)
        if node.op_type == "Unsqueeze":
            self._unsqueezed(node)

    def give_back(self, name: str) -> None:
        """Append what gives a tensor its own order again, if it has another."""
        if name not in self.rows or name in self.given:
            return
        x = self.rows[name]
        if 1 in (x.length, x.width):
            self._name(x, name, x.width, x.length)
        else:
            rows = x.shaped(self.builder, f"{_INNER}{name}/back", x.length, x.width)
            self.builder.apply("Transpose", rows, perm=[0, 2, 1], output=name)
        self.given.add(name)

    def _name(self, x: Rows, name: str, *ends: int) -> None:
        """Append what gives numbers that sizes and that name."""
        if x.shaped(self.builder, name, *ends) != name:
            self.builder.apply("Identity", x.name, output=name)

    def _conv(self, node: onnx.NodeProto) -> bool:
        name, heard = node.output[0], node.input[0]
        conv = self.convs.get(name)
        if conv is None or not conv.pays(laid=heard in self.rows):
            return False
        if heard not in self.rows:
            self.rows[heard] = self._laid(heard, conv.length, conv.weight.shape[1])
            self.given.add(heard)
        self.rows[name] = conv.append(self.builder, self.rows[heard], _INNER + name)
        return True

    def _laid(self, name: str, length: int, width: int) -> Rows:
        if 1 in (length, width):
            return Rows(name, length, width, (width, length))
        made = self.builder.apply("Transpose", name, perm=[0, 2, 1], output=f"{_INNER}{name}/turned")
        return Rows(made, length, width, (length, width))

    def _numberwise(self, node: onnx.NodeProto) -> bool:
        laid = [self.rows[name] for name in node.input if name in self.rows]
        others = [name for name in node.input if name and name not in self.rows]
        if len({(x.length, x.width) for x in laid}) != 1 or not all(map(self._is_number, others)):
            return False
        made, ends = _INNER + node.output[0], laid[0].ends
        new = onnx.NodeProto()
        new.CopyFrom(node)
        for place, name in enumerate(node.input):
            if name in self.rows:
                new.input[place] = self.rows[name].shaped(self.builder, f"{made}/{place}", *ends)
        new.output[:] = [made]
        self.builder.nodes.append(new)
        self.rows[node.output[0]] = replace(laid[0], name=made)
        return True

    def _is_number(self, name: str) -> bool:
        """Tell whether a tensor is one constant number, which fits any shape."""
        return name in self.constants and self.constants[name].size == 1 and self.constants[name].ndim < 2

    def _slice(self, node: onnx.NodeProto) -> bool:
        """Carry a slice of channels over."""
        name, x = node.output[0], self.rows.get(node.input[0])
        if x is None or self._axes(node, 3) != [1] or (width := self.shapes.get(name, [None, None])[1]) is None:
            return False
        whole = x.shaped(self.builder, f"{_INNER}{name}/whole", x.width)
        made = self.builder.apply("Slice", whole, *node.input[1:], output=_INNER + name)
        self.rows[name] = Rows(made, x.length, width, (width,))
        return True

    def _squeeze(self, node: onnx.NodeProto) -> bool:
        """Take the numbers as they lie where an axis of size 1 goes."""
        x, axes = self.rows.get(node.input[0]), self._axes(node, 1)
        if x is None or node.input[0] in self.given or axes not in _LAST + _MIDDLE:
            return False
        self._name(x, node.output[0], x.width if axes in _LAST else x.length)
        return True

    def _unsqueezed(self, node: onnx.NodeProto) -> None:
        """Know rows where an axis of size 1 comes."""
        heard, name, axes = node.input[0], node.output[0], self._axes(node, 1)
        shape = self.shapes.get(heard, [])
        if len(shape) != 2 or shape[1] is None or axes not in _LAST + _MIDDLE:
            return
        length, width = (1, shape[1]) if axes in _LAST else (shape[1], 1)
        self.rows[name] = Rows(heard, length, width, (shape[1],))
        self.given.add(name)

    def _axes(self, node: onnx.NodeProto, place: int) -> list[int] | None:
        """Return an operator's axes, None if it does not tell them."""
        axes = self.constants.get(node.input[place]) if len(node.input) > place else None
        return None if axes is None else axes.tolist()
