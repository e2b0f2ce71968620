"""First weights for a long memory: a recurrent matrix that neither shrinks nor stretches, gates that begin open."""

from __future__ import annotations

import torch
from torch import nn


def orthogonal(cell: nn.RNNBase, gain: float = 1.0) -> None:
    """Draw the recurrent matrix of each gate orthogonal, times `gain` (Saxe et al. 2014, arXiv:1312.6120).

    >>> cell = nn.RNN(3, 4)
    >>> orthogonal(cell, gain=2.0)
    >>> torch.allclose(cell.weight_hh_l0 @ cell.weight_hh_l0.T, 4 * torch.eye(4), atol=1e-5)
    True
    """
    for name, weight in cell.named_parameters():
        if name.startswith("weight_hh"):
            for gate in torch.split(weight.detach(), weight.shape[1]):
                nn.init.orthogonal_(gate, gain)


def open_gates(cell: nn.LSTM | nn.GRU, steps: int) -> None:
    """Set the biases so that units forget within 1 to `steps` steps, each within its own time.

    The forget gate of an LSTM, or the update gate of a GRU, begins at 1 - 1 / u with u drawn evenly from 1 to
    `steps - 1`; an LSTM's input gate begins at 1 / u (Tallec and Ollivier 2018, arXiv:1804.11188).

    Raises:
        ValueError: `steps` is less than 3.

    >>> cell = nn.LSTM(2, 5)
    >>> open_gates(cell, 100)
    >>> gates = torch.sigmoid(cell.bias_ih_l0 + cell.bias_hh_l0).view(4, 5)
    >>> torch.allclose(gates[0] + gates[1], torch.ones(5)), bool((gates[1] < 0.99).all())
    (True, True)
    """
    if steps < 3:
        raise ValueError(f"expected at least 3 steps to remember, got {steps}")
    hidden = cell.hidden_size
    for name, bias in cell.named_parameters():
        if not name.startswith("bias"):
            continue
        gates = bias.detach().view(-1, hidden)
        gates[:2] = 0.0
        if name.startswith("bias_ih"):
            gates[1] = torch.empty(hidden).uniform_(1, steps - 1).log()
            if isinstance(cell, nn.LSTM):
                gates[0] = -gates[1]
