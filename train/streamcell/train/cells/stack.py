"""Recurrent layers of any kind, one above the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict, cast

import torch
from torch import Tensor, nn

from streamcell.train.cells.elman import Elman, ReluElman, SigmoidElman
from streamcell.train.cells.gru import GRU, ResetBeforeGRU
from streamcell.train.cells.lstm import LSTM, ProjectedLSTM
from streamcell.train.frontend import State

Cell = Elman | ReluElman | SigmoidElman | LSTM | ProjectedLSTM | GRU | ResetBeforeGRU
CELLS: dict[str, type[Cell]] = {
    "elman": Elman,
    "elman-relu": ReluElman,
    "elman-sigmoid": SigmoidElman,
    "lstm": LSTM,
    "lstm-projected": ProjectedLSTM,
    "gru": GRU,
    "gru-reset-before": ResetBeforeGRU,
}
"""The recurrent layers by the names that recipes give them."""


class StackOptions(TypedDict, total=False):
    """What else a `Stack` may be told."""

    norm: bool
    residual: bool
    memory: int | None


class Stack(nn.Module):
    """Recurrent layers, `[B, T, H]` -> `[B, T, H]`, with layer norm before each and a residual around it.

    Each layer does `x = x + layer(norm(x))`. States are named by layer: `h0, c0, h1, ...`, each `[1, B, H]`, or
    `[1, B, memory]` for `ProjectedLSTM`.

    Args:
        cell: name of all layers in `CELLS`, or one name a layer.
        hidden: width of the stack, H.
        layers: how many.
        dropout: on what each layer adds.
        norm: without it, each layer hears the one below as it is.
        residual: without it, each layer's answer stands alone, `x = layer(norm(x))`.
        memory: memory cells of each "lstm-projected"; None takes twice H.

    Raises:
        ValueError: an unknown name, not one name a layer, or `memory` for a stack that has no use for it.

    >>> stack = Stack(["lstm", "gru"], hidden=8, layers=2)
    >>> y, state = stack(torch.zeros(3, 5, 8), stack.initial_state(3))
    >>> list(state), y.shape
    (['h0', 'c0', 'h1'], torch.Size([3, 5, 8]))
    """

    def __init__(
        self,
        cell: str | Sequence[str],
        hidden: int,
        layers: int,
        dropout: float = 0.0,
        *,
        norm: bool = True,
        residual: bool = True,
        memory: int | None = None,
    ) -> None:
        super().__init__()
        kinds = cell_of_each(cell, layers, memory)
        self.hidden, self.residual = hidden, residual
        self.norms = nn.ModuleList(nn.LayerNorm(hidden) if norm else nn.Identity() for _ in kinds)
        self.layers = nn.ModuleList(_layer(kind, hidden, memory) for kind in kinds)
        self.dropout = nn.Dropout(dropout)
        self.state_names = [name for names in self.layer_states() for name in names]

    def cells(self) -> list[Cell]:
        """Return the recurrent layers, first to last."""
        return cast("list[Cell]", list(self.layers))

    def layer_states(self) -> list[list[str]]:
        """Return the names of each layer's states."""
        return [[f"{name}{i}" for name in layer.names] for i, layer in enumerate(self.cells())]

    def initial_state(self, batch: int) -> State:
        """Return zeros, one entry a layer and state."""
        each = zip(self.cells(), self.layer_states(), strict=True)
        return {name: torch.zeros(1, batch, layer.hidden_size) for layer, names in each for name in names}

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Return the outputs and every layer's state after the last frame."""
        after: State = {}
        for norm, layer, names in zip(self.norms, self.cells(), self.layer_states(), strict=True):
            y, new = layer.step(norm(x), tuple(state[name] for name in names))
            y = self.dropout(y)
            x = x + y if self.residual else y
            after.update(zip(names, new, strict=True))
        return x, after


def _layer(kind: str, hidden: int, memory: int | None) -> Cell:
    """Return one layer, `[B, T, hidden]` -> `[B, T, hidden]`."""
    projected = kind == "lstm-projected"
    return ProjectedLSTM(hidden, hidden, memory) if projected else CELLS[kind](hidden, hidden)


def cell_of_each(cell: str | Sequence[str], layers: int, memory: int | None = None) -> list[str]:
    """Return the name of each layer's cell.

    Raises:
        ValueError: as `Stack`.

    >>> cell_of_each("gru", 2), cell_of_each(["lstm", "gru"], 2)
    (['gru', 'gru'], ['lstm', 'gru'])
    """
    kinds = [cell] * layers if isinstance(cell, str) else list(cell)
    if unknown := [kind for kind in kinds if kind not in CELLS]:
        raise ValueError(f"cell must be of {', '.join(CELLS)}, got {unknown[0]!r}")
    if len(kinds) != layers:
        raise ValueError(f"expected one cell for each of {layers} layers, got {len(kinds)}: {', '.join(kinds)}")
    if memory is not None and "lstm-projected" not in kinds:
        raise ValueError(f"memory = {memory} is for layers of 'lstm-projected', got {', '.join(kinds)}")
    return kinds
