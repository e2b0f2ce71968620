"""Gated recurrent layers, with the reset after the recurrent product (torch) and before it (the textbooks)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from streamcell.train.cells.weights import Weights


class GRU(nn.GRU):
    """One gated recurrent layer, `[B, T, in]` -> `[B, T, H]`, state `h [1, B, H]`.

    The reset gate acts after the recurrent product, as in torch and cuDNN (ONNX `linear_before_reset=1`). With s the
    logistic function:
    `r = s(W_ir x + b_ir + W_hr h + b_hr)`, `z = s(W_iz x + b_iz + W_hz h + b_hz)`,
    `n = tanh(W_in x + b_in + r * (W_hn h + b_hn))`, `h' = (1 - z) * n + z * h`
    (Cho et al. 2014, arXiv:1406.1078, up to the place of r; `ResetBeforeGRU` has it where they have it).
    """

    names = ("h",)

    def __init__(self, inputs: int, hidden: int) -> None:
        super().__init__(inputs, hidden, batch_first=True)

    def step(self, x: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Return `y [B, T, H]` and the state `(h,)` after the last frame."""
        y, h = self(x, state[0])
        return y, (h,)


class ResetBeforeGRU(Weights):
    """One gated recurrent layer as textbooks write it, `[B, T, in]` -> `[B, T, H]`, state `h [1, B, H]`.

    The reset gate acts before the recurrent product, and z is the share of what is new. With s the logistic function:
    `r = s(W_ir x + W_hr h + b_r)`, `z = s(W_iz x + W_hz h + b_z)`, `n = tanh(W_in x + W_hn (r * h) + b_n)`,
    `h' = (1 - z) * h + z * n` (Cho et al. 2014, arXiv:1406.1078, with z for their 1 - z as in Chung et al. 2014,
    arXiv:1412.3555).

    torch has no kernel for it: this is a loop over time, with the products of the input done at once. On a CPU it
    trains about as fast as `GRU`.
    """

    names = ("h",)

    def __init__(self, inputs: int, hidden: int) -> None:
        super().__init__(inputs, hidden, gates=3)

    def step(self, x: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Return `y [B, T, H]` and the state `(h,)` after the last frame."""
        h, size = state[0][0], self.hidden_size
        to_gates, to_new = self.weight_hh[: 2 * size].T, self.weight_hh[2 * size :].T
        heard = nn.functional.linear(x.transpose(0, 1), self.weight_ih, self.bias)  # [T, B, 3 * H]
        outputs = []
        for gates, new in zip(heard[..., : 2 * size], heard[..., 2 * size :], strict=True):
            r, z = torch.sigmoid(torch.addmm(gates, h, to_gates)).chunk(2, dim=1)
            n = torch.tanh(torch.addmm(new, r * h, to_new))
            h = h + z * (n - h)
            outputs.append(h)
        return torch.stack(outputs, dim=1), (h[None],)
