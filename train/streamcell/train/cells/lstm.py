"""Long short-term memory, with and without a projection."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from streamcell.train.cells.weights import Weights


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


class ProjectedLSTM(Weights):
    """One LSTM layer with a recurrent projection, `[B, T, in]` -> `[B, T, H]`, states `h` and `c`, each `[1, B, C]`.

    C memory cells give m; only their projection `y` to H numbers is heard by the next layer and by the gates. With s
    the logistic function: `i = s(W_ii x + W_hi y + b_i)`, `f = s(W_if x + W_hf y + b_f)`,
    `o = s(W_io x + W_ho y + b_o)`, `g = tanh(W_ig x + W_hg y + b_g)`, `c' = f * c + i * g`, `m' = o * tanh(c')`,
    `y' = P m'` (Sak et al. 2014, arXiv:1402.1128, without peepholes; `torch.nn.LSTM(in, C, proj_size=H)`).

    As `W_h y = (W_h P) m`, this is an ordinary LSTM layer over m, computed by torch's kernel. The state `h` is m, which
    gives y but does not follow from it.

    Args:
        inputs: width of the input.
        hidden: width of the output, H.
        memory: number of memory cells, C; None takes twice H.

    >>> cell = ProjectedLSTM(3, hidden=4, memory=16)
    >>> y, (h, c) = cell.step(torch.zeros(2, 5, 3), (torch.zeros(1, 2, 16), torch.zeros(1, 2, 16)))
    >>> y.shape, h.shape
    (torch.Size([2, 5, 4]), torch.Size([1, 2, 16]))
    """

    names = ("h", "c")

    def __init__(self, inputs: int, hidden: int, memory: int | None = None) -> None:
        super().__init__(inputs, memory or 2 * hidden, gates=4, recurrent=hidden)
        self.weight_hr = self._draw(hidden, self.hidden_size)

    def recurrent_weight(self) -> Tensor:
        """Return `W_h P [4 * C, C]`, the recurrent weight over m."""
        return self.weight_hh @ self.weight_hr

    def step(self, x: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Return `y [B, T, H]` and the states `(h, c)` after the last frame."""
        weights = [self.weight_ih, self.recurrent_weight(), self.bias, torch.zeros_like(self.bias)]
        # has_biases, num_layers, dropout, train, bidirectional, batch_first
        m, h, c = torch.lstm(x, state, weights, True, 1, 0.0, self.training, False, True)
        return nn.functional.linear(m, self.weight_hr), (h, c)
