"""The recurrent layers as textbooks write them: numpy, float64, one step after the other, no kernel of torch."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from streamcell.train.cells import Cell

Array = NDArray[np.float64]
Step = Callable[[dict[str, Array], Array, tuple[Array, ...]], tuple[Array, tuple[Array, ...]]]
"""Takes weights, `x [B, in]` and states `[B, H]`; returns `y [B, H]` and the states after."""

TOLERANCE = 1e-5


def logistic(a: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-a)))


def elman(f: Callable[[Array], Array]) -> Step:
    """s_t = f(U x_t + W s_{t-1} + b)."""

    def step(w: dict[str, Array], x: Array, state: tuple[Array, ...]) -> tuple[Array, tuple[Array, ...]]:
        s = f(x @ w["weight_ih"].T + state[0] @ w["weight_hh"].T + bias(w))
        return s, (s,)

    return step


def memory(w: dict[str, Array], x: Array, y: Array, c: Array) -> tuple[Array, Array]:
    """i, f, o and the candidate g of (x, y); c_t = f * c_{t-1} + i * g; returns o * tanh(c_t) and c_t."""
    i, f, g, o = (
        x @ u.T + y @ v.T + b
        for u, v, b in zip(parts(w["weight_ih"], 4), parts(w["weight_hh"], 4), parts(bias(w), 4), strict=True)
    )
    c = logistic(f) * c + logistic(i) * np.tanh(g)
    return logistic(o) * np.tanh(c), c


def lstm(w: dict[str, Array], x: Array, state: tuple[Array, ...]) -> tuple[Array, tuple[Array, ...]]:
    h, c = memory(w, x, *state)
    return h, (h, c)


def lstm_projected(w: dict[str, Array], x: Array, state: tuple[Array, ...]) -> tuple[Array, tuple[Array, ...]]:
    """The gates hear y_{t-1} = P m_{t-1}."""
    m, c = memory(w, x, state[0] @ w["weight_hr"].T, state[1])
    return m @ w["weight_hr"].T, (m, c)


def gru(w: dict[str, Array], x: Array, state: tuple[Array, ...]) -> tuple[Array, tuple[Array, ...]]:
    """n = tanh(W x + b + r * (U h + d)); h_t = (1 - z) * n + z * h_{t-1}."""
    (h,) = state
    ir, iz, candidate = (x @ u.T + b for u, b in zip(parts(w["weight_ih"], 3), parts(w["bias_ih"], 3), strict=True))
    hr, hz, hn = (h @ u.T + b for u, b in zip(parts(w["weight_hh"], 3), parts(w["bias_hh"], 3), strict=True))
    r, z = logistic(ir + hr), logistic(iz + hz)
    h = (1 - z) * np.tanh(candidate + r * hn) + z * h
    return h, (h,)


def gru_reset_before(w: dict[str, Array], x: Array, state: tuple[Array, ...]) -> tuple[Array, tuple[Array, ...]]:
    """h~ = tanh(W x + U (r * h) + b); h_t = (1 - z) * h_{t-1} + z * h~."""
    (h,) = state
    wr, wz, wn = parts(w["weight_ih"], 3)
    ur, uz, un = parts(w["weight_hh"], 3)
    br, bz, bn = parts(w["bias"], 3)
    r, z = logistic(x @ wr.T + h @ ur.T + br), logistic(x @ wz.T + h @ uz.T + bz)
    h = (1 - z) * h + z * np.tanh(x @ wn.T + (r * h) @ un.T + bn)
    return h, (h,)


EQUATIONS: dict[str, Step] = {
    "elman": elman(np.tanh),
    "elman-relu": elman(lambda a: np.maximum(a, 0)),
    "elman-sigmoid": elman(logistic),
    "lstm": lstm,
    "lstm-projected": lstm_projected,
    "gru": gru,
    "gru-reset-before": gru_reset_before,
}


def parts(weight: Array, gates: int) -> list[Array]:
    return np.split(weight, gates)


def bias(w: dict[str, Array]) -> Array:
    """Return the sum of all biases."""
    return np.asarray(sum(value for name, value in w.items() if name.startswith("bias")))


def run(name: str, cell: Cell, x: Any, state: Sequence[Any]) -> tuple[Array, tuple[Array, ...]]:
    """Return what the equation gives for `x [B, T, in]` and states `[1, B, H]`: `y [B, T, H]` and the states after."""
    weights = {key.removesuffix("_l0"): value.detach().double().numpy() for key, value in cell.named_parameters()}
    now = tuple(np.asarray(value, np.float64)[0] for value in state)
    outputs = []
    for row in np.asarray(x, np.float64).swapaxes(0, 1):
        y, now = EQUATIONS[name](weights, row, now)
        outputs.append(y)
    return np.stack(outputs, axis=1), tuple(value[None] for value in now)


def draw(cell: Cell, batch: int, steps: int, inputs: int, strength: float = 1.0) -> tuple[Any, tuple[Any, ...]]:
    """Draw the weights of `cell` anew, normal, `strength` strong; return an input and states that are not zero."""
    for weight in cell.parameters():
        torch.nn.init.normal_(weight, 0, strength * cell.hidden_size**-0.5)
    shape, dtype = (1, batch, cell.hidden_size), next(cell.parameters()).dtype
    state = tuple(torch.randn(shape, dtype=dtype) for _ in cell.names)
    return torch.randn(batch, steps, inputs, dtype=dtype), state
