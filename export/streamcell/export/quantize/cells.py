"""LSTM and GRU step by step, their products in integers: what serves GRU too, for which ONNX Runtime has no kernel.

The equations are those of https://onnx.ai/onnx/operators/onnx__LSTM.html and onnx__GRU.html. The input's product is one
for all steps of a call; what is fed back has one a step, so that a call holds a fixed number of them.
"""

from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper

from streamcell.export.builder import Builder
from streamcell.export.quantize.rewrite import Form, Site
from streamcell.export.quantize.static import Ranges

__all__ = ["static_cell"]

_Array: TypeAlias = NDArray[np.float32]
_KNOWN = {"hidden_size", "direction", "linear_before_reset", "layout"}
_GATES = {"LSTM": 4, "GRU": 3}


def static_cell(ranges: Ranges, steps: int) -> Form:
    """Return what writes an `LSTM` or a `GRU` in integers, ``steps`` a call.

    Left as they are: layers of two directions, with peepholes, with other activations than the usual or of batches of
    unequal length.
    """

    def form(node: onnx.NodeProto, site: Site) -> bool:
        cell = _read(node, site, ranges)
        if cell is None:
            return False
        states, answers = [node.input[5], *node.input[6:7]], []
        step = _lstm_step if node.op_type == "LSTM" else _gru_step
        for number, x in enumerate(_heard(cell, node.input[0], steps)):
            states = step(replace(cell, step=number), x, *states)
            answers.append(states[0])
        _give(cell.builder, node, answers, states)
        return True

    return form


@dataclass(frozen=True, slots=True)
class _Cell:
    """Hold one recurrent layer.

    Attributes:
        name: Of its answer; all other names begin with it.
        builder: Takes the operators.
        ranges: Of what goes into products.
        w: Of what is heard, `[in, gates * H]`.
        r: Of what is fed back, `[H, gates * H]`.
        biases: Of both, each `[gates * H]`.
        resets_last: Of a GRU: whether what is fed back is reset after its product.
        step: Of those of a call.
    """

    name: str
    builder: Builder
    ranges: Ranges
    w: _Array
    r: _Array
    biases: tuple[_Array, _Array]
    resets_last: bool
    step: int = 0

    def apply(self, operator: str, name: str, *inputs: str) -> str:
        """Append an operator of this step and return the name of what it gives."""
        return self.builder.apply(operator, *inputs, output=f"{self.name}/{self.step}/{name}")

    def back(
        self, h: str, name: str = "back", begin: int = 0, end: int | None = None, bias: _Array | None = None
    ) -> str:
        """Append the product of what is fed back for the gates from ``begin`` to ``end``."""
        size, output = len(self.r), f"{self.name}/{self.step}/{name}"
        columns = self.r[:, begin * size : None if end is None else end * size]
        return self.ranges.product(
            self.builder, h, columns, output, like=self.name, shared=f"{self.name}/{name}", bias=bias
        )

    def cut(self, name: str, x: str, *gates: int) -> list[str]:
        """Append a cut of ``x`` into pieces of so many gates."""
        names = [f"{self.name}/{self.step}/{name}/{place}" for place in range(len(gates))]
        sizes = self.builder.integers(*(count * len(self.r) for count in gates))
        self.builder.node("Split", [x, sizes], names, axis=2)
        return names


def _read(node: onnx.NodeProto, site: Site, ranges: Ranges) -> _Cell | None:
    """Return a layer that can be written, else None."""
    given = {item.name: helper.get_attribute_value(item) for item in node.attribute}
    inputs = [*node.input, *[""] * (8 - len(node.input))]
    w, r, gates = site.weight(node, 1), site.weight(node, 2), _GATES[node.op_type]
    plain = set(given) <= _KNOWN and not given.get("layout") and given.get("direction", b"forward") == b"forward"
    states = all(inputs[5 : gates + 3]) and not inputs[4] and not (inputs[7] or (gates == 3 and inputs[6]))
    if w is None or r is None or not plain or not states or not ranges.knows(inputs[0], node.output[0]):
        return None
    bias = site.constants.get(inputs[3]) if inputs[3] else np.zeros((1, 2 * r.shape[1]), np.float32)
    if bias is None:
        return None
    biases: Any = np.split(bias[0], 2)
    last = bool(given.get("linear_before_reset"))
    return _Cell(node.output[0], site.builder, ranges, w[0].T, r[0].T, tuple(biases), last)


def _heard(cell: _Cell, x: str, steps: int) -> list[str]:
    """Append the product of what is heard, and return its part of each step `[1, B, gates * H]`."""
    heard, back = cell.biases
    own = 2 * len(cell.r) if cell.resets_last else len(back)  # a later bias is reset with its product
    bias = np.concatenate([heard[:own] + back[:own], heard[own:]])
    product = cell.ranges.product(cell.builder, x, cell.w, f"{cell.name}/heard", bias=bias)
    if steps == 1:
        return [product]
    names = [f"{product}/{step}" for step in range(steps)]
    cell.builder.node("Split", [product, cell.builder.integers(*[1] * steps)], names, axis=0)
    return names


def _lstm_step(cell: _Cell, x: str, h: str, c: str) -> list[str]:
    gates = cell.apply("Add", "gates", x, cell.back(h))
    open_, new = cell.cut("parts", gates, 3, 1)
    i, o, f = cell.cut("gate", cell.apply("Sigmoid", "open", open_), 1, 1, 1)
    kept = cell.apply("Mul", "kept", f, c)
    written = cell.apply("Mul", "written", i, cell.apply("Tanh", "new", new))
    c = cell.apply("Add", "c", kept, written)
    return [cell.apply("Mul", "h", o, cell.apply("Tanh", "shown", c)), c]


def _gru_step(cell: _Cell, x: str, h: str) -> list[str]:
    open_, new = cell.cut("heard", x, 2, 1)
    if cell.resets_last:
        size = len(cell.r)
        bias = np.concatenate([np.zeros(2 * size, np.float32), cell.biases[1][2 * size :]])
        back, again = cell.cut("fed", cell.back(h, bias=bias), 2, 1)
    else:
        back, again = cell.back(h, end=2), ""
    z, r = cell.cut("gate", cell.apply("Sigmoid", "open", cell.apply("Add", "gates", open_, back)), 1, 1)
    reset = cell.apply("Mul", "reset", r, again or h)
    again = reset if again else cell.back(reset, "again", begin=2)
    new = cell.apply("Tanh", "new", cell.apply("Add", "both", new, again))
    return [cell.apply("Add", "h", new, cell.apply("Mul", "kept", z, cell.apply("Sub", "less", h, new)))]


def _give(builder: Builder, node: onnx.NodeProto, answers: list[str], states: list[str]) -> None:
    """Append what gives answers `[T, 1, B, H]` and last states the layer's own names."""
    whole = answers[0]
    if len(answers) > 1:
        whole = builder.apply("Concat", *answers, axis=0, output=f"{node.output[0]}/all")
    builder.apply("Unsqueeze", whole, builder.integers(1), output=node.output[0])
    for state, name in zip(states, node.output[1:], strict=False):
        if name:
            builder.apply("Identity", state, output=name)
