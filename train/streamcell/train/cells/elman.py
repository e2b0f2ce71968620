"""The simple recurrent layer of Elman, with each of the textbooks' activations."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from streamcell.train.cells.weights import Weights


class Elman(nn.RNN):
    """One Elman layer, `[B, T, in]` -> `[B, T, H]`, state `h [1, B, H]`.

    `h' = tanh(W_i x + b_i + W_h h + b_h)` (Elman 1990).
    """

    names = ("h",)

    def __init__(self, inputs: int, hidden: int, nonlinearity: str = "tanh") -> None:
        super().__init__(inputs, hidden, nonlinearity=nonlinearity, batch_first=True)

    def step(self, x: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Return `y [B, T, H]` and the state `(h,)` after the last frame."""
        y, h = self(x, state[0])
        return y, (h,)


class ReluElman(Elman):
    """One Elman layer of rectified units, `[B, T, in]` -> `[B, T, H]`, state `h [1, B, H]`.

    `h' = max(0, W_i x + b_i + W_h h + b_h)` (Le, Jaitly and Hinton 2015, arXiv:1504.00941, without their beginning at
    the identity matrix). Nothing bounds its state: gradients should be clipped.
    """

    def __init__(self, inputs: int, hidden: int) -> None:
        super().__init__(inputs, hidden, nonlinearity="relu")


class SigmoidElman(Weights):
    """One Elman layer of logistic units, `[B, T, in]` -> `[B, T, H]`, state `h [1, B, H]`.

    With s the logistic function: `h' = s(W_i x + W_h h + b)` (Elman 1990, who used just that).

    torch has a kernel for tanh only, but `s(a) = (tanh(a / 2) + 1) / 2`. So `u = 2 h - 1` is the state of a tanh layer:
    `u' = tanh(W_i / 2 x + W_h / 4 u + b / 2 + W_h / 4 1)`, 1 a vector of ones.
    """

    names = ("h",)

    def __init__(self, inputs: int, hidden: int) -> None:
        super().__init__(inputs, hidden, gates=1)

    def step(self, x: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Return `y [B, T, H]` and the state `(h,)` after the last frame."""
        quarter = self.weight_hh / 4
        weights = [self.weight_ih / 2, quarter, self.bias / 2, quarter.sum(1)]
        # has_biases, num_layers, dropout, train, bidirectional, batch_first
        u, last = torch.rnn_tanh(x, 2 * state[0] - 1, weights, True, 1, 0.0, self.training, False, True)
        return (u + 1) / 2, ((last + 1) / 2,)
