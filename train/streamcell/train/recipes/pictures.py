"""Recipes for a label for each picture."""

from __future__ import annotations

from typing import Literal

import msgspec

from streamcell.train.columns import Columns
from streamcell.train.fronts import Picture
from streamcell.train.models import SequenceNet
from streamcell.train.recipes.base import Positive, Recipe, Share, Size, StackRecipe
from streamcell.train.recipes.sensor import SensorTrainRecipe


class FilmsRecipe(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Films below `--data`, see `read_films`: how large, pictures a second (1: no clock), whom to hold out."""

    path: str
    rows: Size
    columns: Size
    colours: Literal[1, 3] = 1
    sample_rate: Positive = 1
    validation_groups: tuple[str, ...] = ()
    test_groups: tuple[str, ...] = ()


class PictureNetRecipe(StackRecipe, frozen=True, forbid_unknown_fields=True):
    """The network: `Picture` with `channels`, then as `SequenceNet`; no layers: each picture stands for itself."""

    channels: Size = 8
    hidden: Size = 32
    dropout: Share = 0.1


class PicturesRecipe(Recipe, frozen=True, forbid_unknown_fields=True, kw_only=True):
    r"""A label for each picture of a film, or for a single one; `decoder` goes into the manifest.

    >>> from streamcell.train.recipe import parse_recipe
    >>> recipe = parse_recipe('task = "pictures"\nname = "tiny"\n[data]\npath = "a.npz"\nrows = 16\ncolumns = 16\n')
    >>> list(recipe.network(Columns(("left", "right"))).initial_state(1))
    ['h0']
    """

    task: Literal["pictures"]
    data: FilmsRecipe
    model: PictureNetRecipe = PictureNetRecipe()
    train: SensorTrainRecipe = SensorTrainRecipe()
    decoder: dict[str, float] = {}  # noqa: RUF012 - msgspec copies it

    def network(self, columns: Columns) -> SequenceNet:
        """Return a fresh network of this recipe's shape, for data with `columns`."""
        data, m = self.data, self.model
        front = Picture(
            data.rows, data.columns, data.colours, channels=m.channels, width=m.hidden, sample_rate=data.sample_rate
        )
        return SequenceNet(front, len(columns.labels), cell=m.cell, layers=m.layers, dropout=m.dropout, **m.options())
