"""Operators that only hand values on, left out."""

from collections.abc import Mapping, Sequence
from typing import Any

import onnx
from numpy.typing import NDArray

__all__ = ["tidied"]


def tidied(
    nodes: Sequence[onnx.NodeProto], constants: Mapping[str, NDArray[Any]], given: Sequence[str]
) -> list[onnx.NodeProto]:
    """Return operators that compute the same, without copies and without axes that come and go again.

    Args:
        nodes: In the order in which they run.
        constants: By name.
        given: Names that must stay: the graph's outputs.
    """
    makers = {name: node for node in nodes for name in node.output}
    renamed: dict[str, str] = {}
    kept = []
    for node in nodes:
        source = node.input[0] if node.input else ""
        before = makers.get(source)
        if node.op_type == "Identity" and before is not None and source not in {*renamed, *given}:
            renamed[source] = node.output[0]
        elif node.op_type == "Squeeze" and _undoes(node, before, constants) and node.output[0] not in given:
            assert before is not None
            renamed[node.output[0]] = before.input[0]
        else:
            kept.append(node)
    made = [_renamed(node, renamed) for node in kept]
    used = {*given, *(name for node in made for name in node.input)}
    return [node for node in made if node.op_type != "Unsqueeze" or node.output[0] in used]


def _undoes(node: onnx.NodeProto, before: onnx.NodeProto | None, constants: Mapping[str, NDArray[Any]]) -> bool:
    """Tell whether a `Squeeze` takes away the axes that an `Unsqueeze` has just made."""
    if before is None or before.op_type != "Unsqueeze" or min(len(node.input), len(before.input)) < 2:
        return False
    axes = [constants[name].tolist() for name in (node.input[1], before.input[1]) if name in constants]
    return len(axes) == 2 and axes[0] == axes[1] and min(axes[0]) >= 0


def _renamed(node: onnx.NodeProto, names: Mapping[str, str]) -> onnx.NodeProto:
    def last(name: str) -> str:
        while name in names:
            name = names[name]
        return name

    made = onnx.NodeProto()
    made.CopyFrom(node)
    made.input[:] = map(last, node.input)
    made.output[:] = map(last, node.output)
    return made
