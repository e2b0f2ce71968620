"""What an ONNX file consists of, as far as it must be known to judge it."""

from dataclasses import dataclass

__all__ = ["Graph", "Node", "OnnxFile", "Tensor", "Value"]


@dataclass(frozen=True, slots=True)
class Tensor:
    """Describe a constant tensor: ``stored`` bytes of data lie in the file, or elsewhere if ``external``.

    ``numbers`` are its values where it holds few integers, as indices and amounts are; ``finite`` says whether none is
    NaN, nor infinite but where it holds one number, a bound.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    stored: int
    raw: bool
    external: bool
    numbers: tuple[int, ...]
    finite: bool


@dataclass(frozen=True, slots=True)
class Value:
    """Describe an input or output: a size is an integer, a letter or None; the shape is None if the file has none."""

    name: str
    dtype: str
    shape: tuple[int | str | None, ...] | None


@dataclass(frozen=True, slots=True)
class Node:
    """Describe one operator: inputs, outputs, integer attributes, constant tensors, subgraphs, if any are sparse."""

    operator: str
    domain: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    integers: tuple[int, ...]
    tensors: tuple[Tensor, ...]
    subgraphs: tuple["Graph", ...]
    sparse: bool


@dataclass(frozen=True, slots=True)
class Graph:
    """Describe a graph; ``inputs`` are those that no initializer fills."""

    nodes: tuple[Node, ...]
    initializers: tuple[Tensor, ...]
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    sparse: bool


@dataclass(frozen=True, slots=True)
class OnnxFile:
    """Describe a file: its graph, its metadata, the functions it defines, and whether it holds training.

    ``program`` is the SHA-256 of what runs, graph and operator sets, without metadata.
    """

    graph: Graph
    program: bytes
    metadata: dict[str, str]
    functions: tuple[str, ...]
    training: bool
