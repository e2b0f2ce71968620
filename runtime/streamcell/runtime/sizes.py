"""Sizes inside a graph that would depend on what a model hears, found before it runs.

A graph that cuts, splits or reshapes by numbers computed from its input can work well for an hour and then ask for all
the memory there is. Without that, what a call takes follows from the numbers of streams and steps alone, and a trial
of one call tells of all that follow.
"""

from collections import defaultdict

from streamcell.runtime.errors import ModelError
from streamcell.runtime.onnx_parts import Graph, Node

__all__ = ["check_sizes"]

_DECIDING = {
    "Reshape": slice(1, 2),
    "Slice": slice(1, 5),
    "Split": slice(1, 2),
    "Squeeze": slice(1, 2),
    "Unsqueeze": slice(1, 2),
    "ReduceMax": slice(1, 2),
    "ReduceMean": slice(1, 2),
    "ReduceSum": slice(1, 2),
}
"""Of all operators that are let in: which inputs decide by their values how large the output is (Pad is checked)."""


def check_sizes(graph: Graph) -> None:
    """Refuse a graph in which a value that the model hears or carries decides about the size of another.

    Raises:
        ModelError: If there is such an operator.
    """
    heard = _heard(graph)
    for node in graph.nodes:
        deciding = node.inputs[_DECIDING.get(node.operator, slice(0))]
        if found := heard.intersection(deciding):
            raise ModelError(
                f"a {node.operator} takes its sizes from {min(found)!r}, which depends on what the model hears or "
                "carries; expected constants, or what follows from Shape"
            )


def _heard(graph: Graph) -> set[str]:
    """Return the names of all values that depend on the values of the graph's inputs, not only on their shapes."""
    takers: defaultdict[str, list[Node]] = defaultdict(list)
    for node in graph.nodes:
        if node.operator != "Shape":
            for name in node.inputs:
                takers[name].append(node)
    found = {value.name for value in graph.inputs}
    waiting = list(found)
    while waiting:
        for node in takers.pop(waiting.pop(), ()):
            fresh = set(node.outputs) - found - {""}  # an output that is left out
            found |= fresh
            waiting += fresh
    return found
