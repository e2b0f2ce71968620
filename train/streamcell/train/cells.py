"""Stateful layers: functions `y, state = layer(x, state)`; nothing is kept on a module between calls."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from streamcell.train.frontend import State


class CausalConv(nn.Module):
    """Convolution over time that sees only the past: `[B, T * stride, in]` -> `[B, T, out]`, followed by ReLU.

    The state `[B, kernel - stride, in]` holds the last inputs that the next call still needs.

    >>> conv = CausalConv(40, 8, kernel=5, stride=3)
    >>> y, past = conv(torch.zeros(2, 6, 40), conv.initial_state(2))
    >>> y.shape, past.shape
    (torch.Size([2, 2, 8]), torch.Size([2, 2, 40]))
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        if kernel < stride:
            raise ValueError(
                f"kernel must be at least the stride so that no input is skipped, got kernel {kernel}, stride {stride}"
            )
        self.conv = nn.Conv1d(inputs, outputs, kernel, stride)
        self.context = kernel - stride

    def initial_state(self, batch: int) -> Tensor:
        """Return zeros `[batch, kernel - stride, in]`."""
        return torch.zeros(batch, self.context, self.conv.in_channels)

    def forward(self, x: Tensor, past: Tensor) -> tuple[Tensor, Tensor]:
        """Return the outputs and the inputs that the next call needs."""
        x = torch.cat([past, x], dim=1)
        y: Tensor = torch.relu(self.conv(x.transpose(1, 2)).transpose(1, 2))
        return y, x[:, x.shape[1] - self.context :]


class GRU(nn.GRU):
    """One gated recurrent layer, `[B, T, in]` -> `[B, T, H]`, state `h [1, B, H]`.

    The reset gate acts after the recurrent product, as in torch and cuDNN (ONNX `linear_before_reset=1`). With s the
    logistic function:
    `r = s(W_ir x + b_ir + W_hr h + b_hr)`, `z = s(W_iz x + b_iz + W_hz h + b_hz)`,
    `n = tanh(W_in x + b_in + r * (W_hn h + b_hn))`, `h' = (1 - z) * n + z * h`
    (Cho et al. 2014, arXiv:1406.1078, up to the place of r and the name of 1 - z).
    """

    names = ("h",)

    def __init__(self, inputs: int, hidden: int) -> None:
        super().__init__(inputs, hidden, batch_first=True)

    def step(self, x: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Return `y [B, T, H]` and the state `(h,)` after the last frame."""
        y, h = self(x, state[0])
        return y, (h,)


class LSTM(nn.LSTM):
    """One long short-term memory layer, `[B, T, in]` -> `[B, T, H]`, states `h` and `c`, each `[1, B, H]`.

    With s the logistic function: `i = s(W_ii x + W_hi h + b_i)`, `f = s(W_if x + W_hf h + b_f)`,
    `o = s(W_io x + W_ho h + b_o)`, `g = tanh(W_ig x + W_hg h + b_g)`, `c' = f * c + i * g`, `h' = o * tanh(c')`
    (Hochreiter and Schmidhuber 1997; forget gate of Gers et al. 2000).
    """

    names = ("h", "c")

    def __init__(self, inputs: int, hidden: int) -> None:
        super().__init__(inputs, hidden, batch_first=True)

    def step(self, x: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Return `y [B, T, H]` and the states `(h, c)` after the last frame."""
        y, (h, c) = self(x, (state[0], state[1]))
        return y, (h, c)


class Elman(nn.RNN):
    """One Elman layer, `[B, T, in]` -> `[B, T, H]`, state `h [1, B, H]`.

    `h' = tanh(W_i x + b_i + W_h h + b_h)` (Elman 1990).
    """

    names = ("h",)

    def __init__(self, inputs: int, hidden: int) -> None:
        super().__init__(inputs, hidden, batch_first=True)

    def step(self, x: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Return `y [B, T, H]` and the state `(h,)` after the last frame."""
        y, h = self(x, state[0])
        return y, (h,)


Cell = GRU | LSTM | Elman
CELLS: dict[str, type[Cell]] = {"gru": GRU, "lstm": LSTM, "elman": Elman}


class Stack(nn.Module):
    """Recurrent layers, `[B, T, H]` -> `[B, T, H]`, with layer norm before each and a residual around it.

    Each layer does `x = x + layer(norm(x))`. States are named by layer: `h0, c0, h1, ...`, each `[1, B, H]`.

    >>> stack = Stack("lstm", hidden=8, layers=2)
    >>> y, state = stack(torch.zeros(3, 5, 8), stack.initial_state(3))
    >>> list(state), y.shape
    (['h0', 'c0', 'h1', 'c1'], torch.Size([3, 5, 8]))
    """

    def __init__(self, cell: str, hidden: int, layers: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.hidden = hidden
        self.norms = nn.ModuleList(nn.LayerNorm(hidden) for _ in range(layers))
        self.layers = nn.ModuleList(CELLS[cell](hidden, hidden) for _ in range(layers))
        self.dropout = nn.Dropout(dropout)
        self.state_names = [f"{name}{i}" for i, layer in enumerate(self.cells()) for name in layer.names]

    def cells(self) -> list[Cell]:
        """Return the recurrent layers, first to last."""
        return cast("list[Cell]", list(self.layers))

    def initial_state(self, batch: int) -> State:
        """Return zeros, one entry a layer and state."""
        return {name: torch.zeros(1, batch, self.hidden) for name in self.state_names}

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Return the outputs and every layer's state after the last frame."""
        after: State = {}
        for i, (norm, layer) in enumerate(zip(self.norms, self.cells(), strict=True)):
            names = [f"{name}{i}" for name in layer.names]
            y, new = layer.step(norm(x), tuple(state[name] for name in names))
            x = x + self.dropout(y)
            after.update(zip(names, new, strict=True))
        return x, after
