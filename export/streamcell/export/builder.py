"""What an ONNX graph is built with: a collector of operators and constants, and one function a module type."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import singledispatch
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from streamcell.runtime.errors import ModelError

__all__ = ["END", "Builder", "emit"]

END = int(np.iinfo(np.int64).max)
"""Where a slice ends that goes on to the end."""


@dataclass(slots=True)
class Builder:
    """Collect nodes and constants; values are known by their names.

    Attributes:
        following: For each state's input name the name of the output that carries it on.
        output: Name of the network's output.
        nodes: The operators, in the order in which they run.
        constants: Weights and indices by name.
    """

    following: dict[str, str]
    output: str
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: dict[str, NDArray[Any]] = field(default_factory=dict)

    def node(self, operator: str, inputs: Sequence[str], outputs: Sequence[str], **attributes: Any) -> None:
        """Append one operator whose outputs are named ``outputs``."""
        self.nodes.append(helper.make_node(operator, inputs, outputs, name=outputs[0], **attributes))

    def apply(self, operator: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        """Append one operator with one output and return the output's name, ``output`` or a fresh one."""
        name = output or f"{operator.lower()}_{len(self.nodes)}"
        self.node(operator, inputs, [name], **attributes)
        return name

    def constant(self, name: str, value: Tensor | NDArray[Any]) -> str:
        """Store a constant and return its name."""
        array = value.detach().cpu().numpy() if isinstance(value, Tensor) else value
        self.constants[name] = np.ascontiguousarray(array)
        return name

    def integers(self, *values: int) -> str:
        """Store whole numbers (axes, shapes, indices) and return their name."""
        return self.constant("_".join(["int", *map(str, values)]), np.array(values, np.int64))

    def slice(self, x: str, start: int, end: int, axis: int, *, stride: int = 1, output: str = "") -> str:
        """Append ``x[start:end:stride]`` along ``axis`` and return its name."""
        indices = [self.integers(number) for number in (start, end, axis, stride)]
        return self.apply("Slice", x, *(indices if stride != 1 else indices[:3]), output=output)

    def weights(self) -> list[TensorProto]:
        """Return the constants as ONNX tensors."""
        return [numpy_helper.from_array(array, name) for name, array in self.constants.items()]


@singledispatch
def emit(module: nn.Module, builder: Builder, x: str, name: str, states: tuple[str, ...]) -> str:
    """Append the operators of ``module``; dispatched by its type, so a new module registers one more function.

    Args:
        module: The module; this base case raises.
        builder: Takes the operators.
        x: Name of the module's input: `[B, N]` for `LogMel`, `[B, T, F]` for `CausalConv`, `[T, B, F]` for `Stack` and
            recurrent layers.
        name: Path of the module in the network: its constants' names begin with it.
        states: Names of its states; the function must compute ``builder.following[state]`` for each.

    Returns:
        The name of the module's output.

    Raises:
        ModelError: If nobody has registered a function for this type.
    """
    del builder, x, states
    raise ModelError(f"cannot export {name!r}: no ONNX form is known for a {type(module).__name__}")
