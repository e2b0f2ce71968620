"""A graph gone through once, operator by operator, each kept or replaced."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from streamcell.export.builder import Builder
from streamcell.export.quantize.tidy import tidied

__all__ = ["MICROSOFT", "Form", "Site", "rewrite", "rounded_of", "weights_of"]

MICROSOFT = "com.microsoft"
"""The domain of ONNX Runtime's own operators."""

_WEIGHTS = {"MatMul": (1,), "Gemm": (1,), "Conv": (1,), "Gather": (0,), "LSTM": (1, 2), "GRU": (1, 2), "RNN": (1, 2)}
_ROUNDED = frozenset(("MatMul", "LSTM", "GRU"))
_RECURRENT = frozenset(("LSTM", "GRU", "RNN"))
_LEAST = 1024  # numbers of a weight below which nothing is won


@dataclass(slots=True)
class Site:
    """Hold what a form may read and where it writes.

    Attributes:
        constants: The graph's initializers by name.
        spectrum: Names of what leads to a logarithm: the front end, which stays float.
        builder: Takes the new operators and constants; their names begin with that of the value they make, and a slash.
    """

    constants: dict[str, NDArray[Any]]
    spectrum: frozenset[str]
    builder: Builder = field(default_factory=lambda: Builder({}, ""))

    def weight(self, node: onnx.NodeProto, place: int) -> NDArray[np.float32] | None:
        """Return an operator's weight, None if it is no float32 constant, small, or of the front end."""
        array = self.constants.get(node.input[place]) if len(node.input) > place else None
        if array is None or array.dtype != np.float32 or array.size < _LEAST or node.output[0] in self.spectrum:
            return None
        return array


Form: TypeAlias = Callable[[onnx.NodeProto, Site], bool]
"""Append what takes an operator's place and return True, or return False and leave it."""


def rewrite(model: onnx.ModelProto, forms: Mapping[str, Form]) -> onnx.ModelProto:
    """Return a model in which operators were replaced, without constants that nothing needs any more.

    Args:
        model: A plain graph, as `read_onnx` lets it in.
        forms: By operator, of ONNX's own domain.

    Returns:
        Another model, or the same one if no form took an operator's place.
    """
    graph = model.graph
    site = Site(_constants(graph), _spectrum(graph.node))
    replaced = False
    for node in graph.node:
        form = forms.get(node.op_type) if node.domain in ("", "ai.onnx") else None
        if form is not None and form(node, site):
            replaced = True
        else:
            site.builder.nodes.append(node)
    if not replaced:
        return model
    made = onnx.ModelProto()
    made.CopyFrom(model)
    del made.graph.node[:], made.graph.initializer[:]
    outputs = [value.name for value in graph.output]
    made.graph.node.extend(tidied(site.builder.nodes, {**site.constants, **site.builder.constants}, outputs))
    used = {name for node in made.graph.node for name in node.input}
    made.graph.initializer.extend(item for item in graph.initializer if item.name in used)
    made.graph.initializer.extend(item for item in site.builder.weights() if item.name not in site.constants)
    domains = {item.domain for item in made.opset_import}
    if MICROSOFT not in domains and any(node.domain == MICROSOFT for node in made.graph.node):
        made.opset_import.append(helper.make_opsetid(MICROSOFT, 1))
    return made


def weights_of(model: onnx.ModelProto) -> dict[str, tuple[int, ...]]:
    """Return what is large of products, convolutions, cells and embeddings, but for the front end's.

    Returns:
        By name, the axes that a product sums up: what lies along them may share a scale.
    """
    site = Site(_constants(model.graph), _spectrum(model.graph.node))
    found: dict[str, tuple[int, ...]] = {}
    for node in model.graph.node:
        for place in _WEIGHTS.get(node.op_type, ()):
            if (weight := site.weight(node, place)) is not None:
                found.setdefault(node.input[place], _summed(node, weight.ndim))
    return found


def rounded_of(model: onnx.ModelProto) -> list[str]:
    """Return the names of what goes into those products, and of what recurrent layers answer, which they hear again."""
    site = Site(_constants(model.graph), _spectrum(model.graph.node))
    names = dict.fromkeys(
        name
        for node in model.graph.node
        if node.op_type in _ROUNDED and site.weight(node, 1) is not None
        for name in (node.input[0], *(node.output[:1] if node.op_type in _RECURRENT else ()))
    )
    given = {value.name for value in (*model.graph.input, *model.graph.output)}
    return [name for name in names if name and name not in given]


def _summed(node: onnx.NodeProto, rank: int) -> tuple[int, ...]:
    if node.op_type == "MatMul":
        return (rank - 2,)
    if node.op_type == "Gemm":
        return (1 if any(item.name == "transB" and item.i for item in node.attribute) else 0,)
    return tuple(range(1, rank)) if node.op_type in ("Conv", "Gather") else (rank - 1,)


def _constants(graph: onnx.GraphProto) -> dict[str, NDArray[Any]]:
    return {item.name: numpy_helper.to_array(item) for item in graph.initializer}


def _spectrum(nodes: Sequence[onnx.NodeProto]) -> frozenset[str]:
    """Return the names of all values that lead to a logarithm before any recurrent layer."""
    found: set[str] = set()
    for place, node in enumerate(nodes):
        if node.op_type == "Log":
            leading = _leading(nodes[:place], set(node.input))
            found |= leading if leading is not None else set()
    return frozenset(found)


def _leading(nodes: Sequence[onnx.NodeProto], found: set[str]) -> set[str] | None:
    """Return the names of all values that ``found`` is computed from, None if a recurrent layer is among them."""
    for node in reversed(nodes):
        if found.intersection(node.output):
            if node.op_type in _RECURRENT:
                return None
            found.update(node.input)
    return found
