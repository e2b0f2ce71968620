"""The parameters of recurrent layers for which torch has no kernel."""

from __future__ import annotations

import torch
from torch import nn


class Weights(nn.Module):
    """Hold `gates` gates' weights one below the other, drawn as torch draws those of its own recurrent layers.

    `weight_ih [gates * H, in]` meets the input, `weight_hh [gates * H, recurrent]` what is fed back, and
    `bias [gates * H]` is added; each number is uniform between -1 and 1 over the root of H.

    Args:
        inputs: width of the input.
        hidden: units of the layer, H.
        gates: how many products of width H each step takes.
        recurrent: width of what is fed back; H unless it is projected.
    """

    def __init__(self, inputs: int, hidden: int, gates: int, recurrent: int | None = None) -> None:
        super().__init__()
        self.input_size, self.hidden_size = inputs, hidden
        self.weight_ih = self._draw(gates * hidden, inputs)
        self.weight_hh = self._draw(gates * hidden, recurrent or hidden)
        self.bias = self._draw(gates * hidden)

    def _draw(self, *shape: int) -> nn.Parameter:
        bound = self.hidden_size**-0.5
        return nn.Parameter(torch.empty(*shape).uniform_(-bound, bound))
