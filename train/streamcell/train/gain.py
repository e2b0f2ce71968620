"""Automatic gain control of spectra, as a stateful module like any other."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from streamcell.train.frontend import State

_STRENGTH = 0.4  # at first
_MOST = 512  # frames a matrix product


class GainControl(nn.Module):
    """Take off a share of each bin's level: standardised log-mel spectra `[B, T, mels]` -> `[B, T, mels]`.

    The level is the mean of what was heard, older frames counting less by a factor of e each `seconds`; what share of
    it is taken off is learnt for each bin. So loudness and colour of a microphone matter less, as by the gain control
    of PCEN (Wang et al., Trainable frontend for robust and far-field keyword spotting, ICASSP 2017), here on logarithms
    throughout. State: `level [B, mels]`.

    Args:
        mels: Bins.
        seconds: Above 0.
        hop_seconds: From frame to frame.

    >>> gain = GainControl(1, seconds=1 / math.log(2), hop_seconds=1.0)
    >>> _ = nn.init.ones_(gain.strength)
    >>> y, state = gain(torch.tensor([[[8.0], [8.0], [8.0]]]), gain.initial_state(1))
    >>> y.flatten().tolist(), state
    ([4.0, 2.0, 1.0], {'level': tensor([[7.]])})
    """

    def __init__(self, mels: int, seconds: float, hop_seconds: float) -> None:
        super().__init__()
        self.strength = nn.Parameter(torch.full((mels,), _STRENGTH))
        self.keep = math.exp(-hop_seconds / seconds)

    def initial_state(self, batch: int) -> State:
        """Return the level of silence before the first frame: the mean of all spectra."""
        return {"level": torch.zeros(batch, len(self.strength))}

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Return the spectra and the state after `x`."""
        level, parts = state["level"], []
        for part in torch.split(x, _MOST, dim=1):
            time = torch.arange(part.shape[1], device=x.device)
            kept = self.keep ** (time + 1).to(x.dtype)
            shares = (1 - self.keep) * (self.keep ** (time[:, None] - time).to(x.dtype)).tril()
            levels = shares @ part + kept[:, None] * level[:, None]  # [B, T, mels]
            parts.append(part - self.strength * levels)
            level = levels[:, -1]
        return torch.cat(parts, 1), {"level": level}
