"""The mean of all that was heard so far, as a stateful module like any other."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from streamcell.train.frontend import State


class RunningMean(nn.Module):
    """The mean of each number over time, `[B, T, F]` -> `[B, T, F]`: frame t has the mean of all frames up to t.

    States: `mean [B, F]` and `count [B, 1]`, the frames that it is of. Answers from the mean over time are as good
    for sentences as those from the last state alone or better, and here they stream.

    >>> pool = RunningMean(1)
    >>> y, state = pool(torch.tensor([[[1.0], [3.0], [8.0]]]), pool.initial_state(1))
    >>> y.flatten().tolist(), state
    ([1.0, 2.0, 4.0], {'mean': tensor([[4.]]), 'count': tensor([[3.]])})
    """

    names = ("mean", "count")

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width

    def initial_state(self, batch: int) -> State:
        """Return the state before the first frame."""
        return {"mean": torch.zeros(batch, self.width), "count": torch.zeros(batch, 1)}

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Return the means and the state after `x`."""
        count = state["count"].unsqueeze(1) + torch.cumsum(torch.ones_like(x[..., :1]), 1)  # [B, T, 1]
        before = (state["mean"] * state["count"]).unsqueeze(1)
        y = (before + torch.cumsum(x, 1)) / count
        return y, {"mean": y[:, -1], "count": count[:, -1]}
