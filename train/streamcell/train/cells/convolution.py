"""Convolution over time whose past inputs are its state."""

from __future__ import annotations

import torch
from torch import Tensor, nn


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
