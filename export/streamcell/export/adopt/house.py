"""The house's inputs and outputs put around somebody's graph; the names stay the author's."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from streamcell.export.adopt.card import Card
from streamcell.export.adopt.layout import append
from streamcell.export.adopt.sizes import Carried
from streamcell.export.builder import END, Builder
from streamcell.runtime.manifest import StateSpec

__all__ = ["build", "context_spec", "state_specs"]

_INNER = "adopted/"  # before every name of the author's


def context_spec(card: Card) -> tuple[StateSpec, ...]:
    """Return the state that holds the past which the graph wants before new samples; none if it wants none."""
    spec = card.input
    if not spec.left_context:
        return ()
    shape = ("B", spec.left_context) if spec.kind == "audio" else ("B", spec.left_context, spec.channels)
    return (StateSpec(f"{spec.name}_context", f"{spec.name}_context_next", shape, 0),)


def state_specs(card: Card, carried: Sequence[Carried]) -> tuple[StateSpec, ...]:
    """Return all states of the adopted file."""
    return (*context_spec(card), *(state.spec for state in carried))


def build(
    model: onnx.ModelProto,
    card: Card,
    carried: Sequence[Carried],
    fixed: Mapping[str, NDArray[Any]],
    *,
    steps: int | None,
    rows: int | str,
) -> onnx.ModelProto:
    """Return the graph with the house's inputs, states and outputs, before anything is folded.

    Args:
        model: Somebody's.
        card: What is known of it.
        carried: Its states.
        fixed: Its constants.
        steps: How many steps a call holds; None for any number.
        rows: How many streams a call holds: 1, or ``"B"`` for any number.
    """
    inner = onnx.ModelProto()
    inner.CopyFrom(model)
    _rename(inner.graph)
    builder = Builder({}, card.output.name)
    _enter(builder, card, carried)
    builder.nodes.extend(inner.graph.node)
    append(builder, _INNER + card.output.name, card.output.layout, "BTC", card.output.name)
    for state in carried:
        axes = "xyzuvw"[: len(state.spec.shape) - 1]
        old, new = ("", "") if state.has_rows else (axes, f"B{axes}")
        append(builder, _INNER + state.pair.output.name, old, new, state.spec.output)
    graph = helper.make_graph(
        builder.nodes,
        "network",
        *_ports(card, carried, steps, rows),
        [
            *inner.graph.initializer,
            *builder.weights(),
            *(numpy_helper.from_array(array, _INNER + name) for name, array in fixed.items()),
        ],
    )
    made = helper.make_model(graph, opset_imports=inner.opset_import, ir_version=inner.ir_version)
    made.functions.extend(inner.functions)
    made.producer_name = "streamcell"
    return made


def _rename(graph: onnx.GraphProto) -> None:
    """Put `_INNER` before every name, in the graphs inside too, so that none is in the way of the house's."""
    for node in graph.node:
        node.name = _INNER + node.name
        for names in (node.input, node.output):
            names[:] = [name and _INNER + name for name in names]
        for attribute in node.attribute:
            for inside in (*attribute.graphs, *([attribute.g] if attribute.HasField("g") else [])):
                _rename(inside)
    for named in (*graph.input, *graph.output, *graph.initializer):
        named.name = _INNER + named.name
    del graph.value_info[:]


def _enter(builder: Builder, card: Card, carried: Sequence[Carried]) -> None:
    """Append what lies between the house's inputs and the graph's."""
    spec, heard = card.input, card.input.name
    for context in context_spec(card):
        heard = builder.apply("Concat", context.input, heard, axis=1, output=f"{spec.name}_heard")
        builder.slice(heard, -spec.left_context, END, 1, output=context.output)
    append(builder, heard, spec.house, spec.axes, _INNER + spec.name)
    for state in carried:
        axes = "xyzuvw"[: len(state.spec.shape) - 1]
        old, new = ("", "") if state.has_rows else (f"B{axes}", axes)
        append(builder, state.spec.input, old, new, _INNER + state.spec.input)


def _ports(
    card: Card, carried: Sequence[Carried], steps: int | None, rows: int | str
) -> tuple[list[onnx.ValueInfoProto], list[onnx.ValueInfoProto]]:
    """Return the inputs and outputs of the adopted file."""
    spec, labels = card.input, len(card.output.labels)
    time = ("N" if spec.kind == "audio" else "T") if steps is None else steps * spec.samples_per_step
    states = [(state, [rows if size == "B" else size for size in state.shape]) for state in state_specs(card, carried)]
    inputs = [_port(spec.name, "float32", [rows, time] if spec.kind == "audio" else [rows, time, spec.channels])]
    outputs = [_port(card.output.name, "float32", [rows, "T" if steps is None else steps, labels])]
    inputs += [_port(state.input, state.dtype, shape) for state, shape in states]
    outputs += [_port(state.output, state.dtype, shape) for state, shape in states]
    return inputs, outputs


def _port(name: str, dtype: str, shape: Sequence[int | str]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), shape)
