"""Recipes for the next symbol of running text."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta
from torch import nn

from streamcell.train.columns import Columns
from streamcell.train.fronts import Embed
from streamcell.train.models import SequenceNet
from streamcell.train.recipes.base import (
    Amount,
    Cell,
    Count,
    Positive,
    PositiveFloat,
    Recipe,
    Size,
    StackRecipe,
    TrainRecipe,
)


class TextDataRecipe(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One text file (UTF-8) below `--data`, cut into characters or words; its last `validation_share` is held out.

    What is rarer than `least` in the part that is trained on is no symbol of its own but "<unk>".
    """

    path: str
    split: Literal["characters", "words"] = "characters"
    least: Positive = 1
    validation_share: Annotated[float, Meta(gt=0, lt=1)] = 0.1


class TextNetRecipe(StackRecipe, frozen=True, forbid_unknown_fields=True):
    """The network, see `SequenceNet`; `tied` gives the head the embedding's matrix (Press and Wolf 2017)."""

    cell: Cell | tuple[Cell, ...] = "lstm"
    hidden: Size = 240
    layers: Annotated[int, Meta(gt=0, le=64)] = 2
    tied: bool = True


class GenerateRecipe(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How `streamcell generate` draws symbols unless it is told otherwise; goes into the manifest."""

    temperature: Amount = 1.0
    top_k: Count = 0
    top_p: Annotated[PositiveFloat, Meta(le=1)] = 1.0
    length: Positive = 200


class TextRecipe(Recipe, frozen=True, forbid_unknown_fields=True, kw_only=True):
    r"""The next symbol of running text.

    >>> from streamcell.train.recipe import parse_recipe
    >>> recipe = parse_recipe('task = "text"\nname = "tiny"\n[data]\npath = "a.txt"\n')
    >>> network = recipe.network(Columns(("a", "b"), symbols=("a", "b")))
    >>> network.head.weight is network.front.embedding.weight
    True
    """

    task: Literal["text"]
    data: TextDataRecipe
    model: TextNetRecipe = TextNetRecipe()
    train: TrainRecipe = TrainRecipe()
    decoder: GenerateRecipe = GenerateRecipe()

    def network(self, columns: Columns) -> SequenceNet:
        """Return a fresh network of this recipe's shape, for data with `columns`."""
        m, symbols = self.model, len(columns.symbols)
        front = Embed(symbols, m.hidden)
        network = SequenceNet(front, symbols, cell=m.cell, layers=m.layers, dropout=m.dropout, **m.options())
        if m.tied:
            nn.init.normal_(front.embedding.weight, std=m.hidden**-0.5)
            network.head.weight = front.embedding.weight
        return network
