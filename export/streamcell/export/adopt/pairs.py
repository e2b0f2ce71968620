"""Axes that go and come again: two operators that do nothing together become one, or none."""

from collections.abc import Mapping
from typing import Any

import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

__all__ = ["drop_pairs"]


def drop_pairs(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a graph that computes the same without axes that go and come again.

    An `Unsqueeze` of a `Squeeze` of the same axes does nothing; an `Unsqueeze` of a `Gather` of one place along the
    same axis is a `Gather` that keeps the axis.

    Args:
        model: Folded.

    Returns:
        Another model, with operators that nothing needs any more; the same one if there is nothing to do.
    """
    made = onnx.ModelProto()
    made.CopyFrom(model)
    makers = {name: node for node in model.graph.node for name in node.output}
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    for node in made.graph.node:
        if node.op_type != "Unsqueeze" or node.input[0] not in makers or node.input[1] not in constants:
            continue
        before, axes = makers[node.input[0]], constants[node.input[1]].tolist()
        if before.op_type == "Squeeze" and all(axis >= 0 for axis in axes) and _second(before, constants) == axes:
            node.CopyFrom(helper.make_node("Identity", before.input[:1], node.output, name=node.name))
        elif before.op_type == "Gather" and isinstance(_second(before, constants), int) and axes == [_axis(before)]:
            place = numpy_helper.from_array(constants[before.input[1]].reshape(1), f"{node.output[0]}/place")
            made.graph.initializer.append(place)
            inputs = [before.input[0], place.name]
            node.CopyFrom(helper.make_node("Gather", inputs, node.output, name=node.name, axis=axes[0]))
    return model if made == model else made


def _second(node: onnx.NodeProto, constants: Mapping[str, NDArray[Any]]) -> list[int] | int | None:
    """Return an operator's second input, None if it has none that is constant."""
    return constants[node.input[1]].tolist() if len(node.input) > 1 and node.input[1] in constants else None


def _axis(node: onnx.NodeProto) -> int:
    return next((item.i for item in node.attribute if item.name == "axis"), 0)
