"""What all recipes have: names, how they are trained, and the numbers that their keys may hold."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from streamcell.runtime.errors import StreamcellError
from streamcell.train.cells import StackOptions, cell_of_each

Cell = Literal["elman", "elman-relu", "elman-sigmoid", "lstm", "lstm-projected", "gru", "gru-reset-before"]
Positive = Annotated[int, Meta(gt=0, lt=2**31)]
Size = Annotated[int, Meta(gt=0, le=4096)]
Count = Annotated[int, Meta(ge=0, lt=2**31)]
Share = Annotated[float, Meta(ge=0, le=1)]
PositiveFloat = Annotated[float, Meta(gt=0)]
Amount = Annotated[float, Meta(ge=0)]


class RecipeError(StreamcellError):
    """A recipe cannot be read, or asks for something that does not exist."""


class TrainRecipe(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The optimisation: linear warm-up then `schedule`, gradient clipping, an average of the weights.

    `shards` times `lanes` endless streams are heard side by side (processes that train together share the shards); an
    update hears `chunk_steps` more steps of each and carries the state into the next (truncated back-propagation
    through time). A lane starts again from the initial state with probability `reset_share` a chunk.

    The `optimiser` is AdamW, or "muon": the matrices of recurrent layers take orthogonal steps (see `Muon`), the rest
    AdamW's. An update takes about a sixth longer and learns more.

    The rate falls to zero by half a "cosine" or in a straight "linear" line, or stays "constant". The network computes
    in `precision`, see `lower_precision`; weights, averages and states are float32 whatever it is. "auto" is bfloat16
    where this machine is fast at it: a run is the same again on machines that choose alike.
    """

    seed: Count = 1
    shards: Positive = 1
    lanes: Positive = 32
    chunk_steps: Positive = 128
    updates: Positive = 3000
    optimiser: Literal["adamw", "muon"] = "adamw"
    learning_rate: Annotated[float, Meta(gt=0, le=1000)] = 2e-3
    warmup: Count = 200
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "float32"
    weight_decay: Amount = 0.01
    clip: PositiveFloat = 1.0
    average: Annotated[float, Meta(ge=0, lt=1)] = 0.998
    reset_share: Share = 0.1
    validate_every: Positive = 250
    patience: Positive = 20


class StackRecipe(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The recurrent layers, see `Stack`.

    `cell` is one name for all layers or a list with one a layer; `memory` is for "lstm-projected": left out, it has
    twice as many memory cells as the stack is wide.
    """

    cell: Cell | tuple[Cell, ...] = "gru"
    layers: Annotated[int, Meta(ge=0, le=64)] = 1
    dropout: Share = 0.2
    norm: bool = True
    residual: bool = True
    memory: Size | None = None

    def __post_init__(self) -> None:
        cell_of_each(self.cell, self.layers, self.memory)

    def options(self) -> StackOptions:
        """Return what networks pass on to their `Stack`."""
        return {"norm": self.norm, "residual": self.residual, "memory": self.memory}


class Recipe(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A whole training: what, from what, how; each task's recipe has a `network(columns)` of its own."""

    name: str
    description: str = ""
    licence: str = ""
