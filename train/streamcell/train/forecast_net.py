"""A network that forecasts: quantiles of what one of its channels will be."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from streamcell.train.cells import Stack
from streamcell.train.frontend import State
from streamcell.train.fronts import Changes, Dense
from streamcell.train.models import Network


class ForecastNet(Network):
    """Quantiles of a target at horizons 1 to H: `x [B, T, channels]` -> `values [B, T, H * Q]`, horizon by horizon.

    A front, a recurrent stack, by default without layer norm, which would take away how large things are, and a head
    that gives for each horizon the lowest quantile and Q - 1 rises, each made positive by softplus, so that quantiles
    never cross. They come out in the target's own unit. States: the front's, then those of the stack.

    Args:
        channels: columns of the input.
        target: the column that is forecast.
        horizons: H.
        quantiles: Q.
        cell: of the stack, see `Stack`.
        hidden: width of the stack.
        layers: depth of the stack, from 0.
        dropout: on what enters the stack and what each layer adds.
        window: 0: the front is `Dense`, and what the head gives is added to the target's mean. Otherwise, for what
            wanders: the front is `Changes` over so many rows, and it is added to the target's last value.
        norm: layer norm before each layer and the head.
        options: of the stack, see `Stack`.

    >>> net = ForecastNet(7, target=6, horizons=24, quantiles=3, hidden=16)
    >>> values, state = net(torch.zeros(2, 5, 7), net.initial_state(2))
    >>> values.shape, bool((values.reshape(2, 5, 24, 3).diff(dim=-1) > 0).all())
    (torch.Size([2, 5, 72]), True)
    """

    sample_rate = 1
    samples_per_step = 1
    unit: Tensor
    centre: Tensor
    rises: Tensor

    def __init__(
        self,
        channels: int,
        *,
        target: int,
        horizons: int,
        quantiles: int,
        cell: str | Sequence[str] = "gru",
        hidden: int = 64,
        layers: int = 1,
        dropout: float = 0.0,
        window: int = 0,
        norm: bool = False,
        residual: bool = True,
        memory: int | None = None,
    ) -> None:
        super().__init__()
        self.target, self.horizons, self.relative = target, horizons, window > 0
        self.front = Changes(channels, hidden, window=window) if window else Dense(channels, hidden)
        self.stack = Stack(cell, hidden, layers, dropout, norm=norm, residual=residual, memory=memory)
        self.norm = nn.LayerNorm(hidden) if norm else nn.Identity()
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(hidden, horizons * quantiles)
        self.register_buffer("unit", torch.ones(horizons))
        self.register_buffer("centre", torch.zeros(1))
        self.register_buffer("rises", _add_up(horizons, quantiles), persistent=False)

    def fit(self, values: Tensor, known: Tensor) -> None:
        """Measure on `values [N, channels]` and what came after each, `known [N, H]`, how much there is to forecast."""
        self.front.standardise.fit(values)
        now = values[:, self.target, None]
        apart = known - now if self.relative else known
        spread = torch.stack([column[column.isfinite()].std() for column in apart.T])
        self.unit.copy_(spread.clamp(min=1e-6))
        self.centre.copy_(now.mean())

    def spread(self) -> Tensor:
        """Return the matrix `[H * Q, H * Q]` from lowest quantiles and rises to quantiles in the target's unit."""
        return self.rises * self.unit.repeat_interleave(self.rises.shape[0] // self.horizons)

    def example(self, batch: int, steps: int, random: np.random.Generator) -> NDArray[np.generic]:
        """Return noise `[B, T, channels]` as the front's `example`."""
        return self.front.example(batch, steps, random)

    def initial_state(self, batch: int) -> State:
        """Return the state before the first row: all channels had been at their means."""
        front = {name: x.to(self.head.weight.device) for name, x in self.front.initial_state(batch).items()}
        return {**front, **super().initial_state(batch)}

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Return the quantiles and the state after `x`."""
        y, heard = self.front(x, state)
        y, after = self.stack(self.dropout(y), state)
        y = self.head(self.norm(y))
        lowest, rises = y[..., : self.horizons], F.softplus(y[..., self.horizons :])
        anchor = x[..., self.target, None] if self.relative else self.centre
        return torch.cat([lowest, rises], -1) @ self.spread() + anchor, {**heard, **after}


def _add_up(horizons: int, quantiles: int) -> Tensor:
    """Return zeros and ones `[H * Q, H * Q]`: quantile q of a horizon is its lowest one and the first q rises.

    >>> _add_up(2, 2).tolist()
    [[1.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 1.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0]]
    """
    lowest = torch.kron(torch.eye(horizons), torch.ones(1, quantiles))
    after = torch.ones(quantiles, quantiles).triu()[1:]
    return torch.cat([lowest, torch.kron(torch.eye(horizons), after)])
