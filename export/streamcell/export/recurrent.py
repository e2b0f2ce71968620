"""Recurrent layers -> ONNX operators, one each, see `emit`.

Time comes first, `[T, B, H]`, as the recurrent operators want it, so that nothing is transposed between layers. The
equations are those of https://onnx.ai/onnx/operators/ (RNN, LSTM, GRU); where ours differ, the weights make up for it.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from streamcell.export.builder import Builder, emit
from streamcell.train.cells import GRU, LSTM, Elman, ProjectedLSTM, ResetBeforeGRU, SigmoidElman, Stack

__all__: list[str] = []

_LSTM = (0, 3, 1, 2)  # torch has i, f, g, o; ONNX has i, o, f, g
_GRU = (1, 0, 2)  # torch has r, z, n; ONNX has z, r, n


@emit.register
def _(module: Stack, builder: Builder, x: str, name: str, states: tuple[str, ...]) -> str:
    rest = list(states)
    for i, (norm, layer) in enumerate(zip(module.norms, module.cells(), strict=True)):
        own, rest = tuple(rest[: len(layer.names)]), rest[len(layer.names) :]
        normed = emit(norm, builder, x, f"{name}.norms.{i}", ())
        y = emit(layer, builder, normed, f"{name}.layers.{i}", own)
        x = builder.apply("Add", x, y) if module.residual else y
    return x


@emit.register
def _(_module: nn.Identity, _builder: Builder, x: str, _name: str, _states: tuple[str, ...]) -> str:
    return x


@emit.register
def _(module: Elman, builder: Builder, x: str, name: str, states: tuple[str, ...]) -> str:
    activation = module.nonlinearity.capitalize()
    return _recurrent("RNN", module.all_weights[0], builder, x, name, states, activations=[activation])


@emit.register
def _(module: SigmoidElman, builder: Builder, x: str, name: str, states: tuple[str, ...]) -> str:
    weights = (module.weight_ih, module.weight_hh, module.bias)
    return _recurrent("RNN", weights, builder, x, name, states, activations=["Sigmoid"])


@emit.register
def _(module: LSTM, builder: Builder, x: str, name: str, states: tuple[str, ...]) -> str:
    return _recurrent("LSTM", module.all_weights[0], builder, x, name, states, gates=_LSTM)


@emit.register
def _(module: ProjectedLSTM, builder: Builder, x: str, name: str, states: tuple[str, ...]) -> str:
    weights = (module.weight_ih, module.recurrent_weight(), module.bias)
    memory = _recurrent("LSTM", weights, builder, x, name, states, gates=_LSTM)
    return builder.apply("MatMul", memory, builder.constant(f"{name}.weight_hr", module.weight_hr.T))


@emit.register
def _(module: GRU, builder: Builder, x: str, name: str, states: tuple[str, ...]) -> str:
    return _recurrent("GRU", module.all_weights[0], builder, x, name, states, gates=_GRU, linear_before_reset=1)


@emit.register
def _(module: ResetBeforeGRU, builder: Builder, x: str, name: str, states: tuple[str, ...]) -> str:
    sign = module.bias.new_tensor([1, -1, 1]).repeat_interleave(module.hidden_size)  # ONNX's z is our 1 - z = s(-...)
    weights = (sign[:, None] * module.weight_ih, sign[:, None] * module.weight_hh, sign * module.bias)
    return _recurrent("GRU", weights, builder, x, name, states, gates=_GRU, linear_before_reset=0)


def _recurrent(
    operator: str,
    weights: Sequence[Tensor],
    builder: Builder,
    x: str,
    name: str,
    states: tuple[str, ...],
    *,
    gates: tuple[int, ...] = (0,),
    **attributes: Any,
) -> str:
    """Append one recurrent operator, `[T, B, in]` -> `[T, B, H]`.

    ``weights`` are those of the input, of what is fed back, and one bias or two, the gates one below the other in
    torch's order; ``gates`` are these in ONNX's order. The others are as for `emit`.
    """

    def ordered(weight: Tensor) -> NDArray[Any]:
        parts = weight.detach().cpu().chunk(len(gates))
        return np.concatenate([parts[gate].numpy() for gate in gates])

    ih, hh, *biases = map(ordered, weights)
    w = builder.constant(f"{name}.weight_ih", ih[None])
    r = builder.constant(f"{name}.weight_hh", hh[None])
    both = biases if len(biases) == 2 else [*biases, np.zeros_like(biases[0])]
    b = builder.constant(f"{name}.bias", np.concatenate(both)[None])
    y = f"{name}.y"  # [T, 1, B, H]: the 1 is the number of directions
    after = [builder.following[state] for state in states]
    builder.node(operator, [x, w, r, b, "", *states], [y, *after], hidden_size=hh.shape[1], **attributes)
    return builder.apply("Squeeze", y, builder.integers(1))
