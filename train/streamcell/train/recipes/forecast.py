"""Recipes for forecasts of a series."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from streamcell.train.columns import Columns
from streamcell.train.forecast_net import ForecastNet
from streamcell.train.recipes.base import Amount, Positive, Recipe, Share, Size, StackRecipe, TrainRecipe

MOST = 1000  # horizons times quantiles
Window = Annotated[int, Meta(ge=0, le=1000)]


class SeriesRecipe(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A CSV file below `--data`, a row a step: its columns, which of them to forecast, and how far it is read.

    The first `training_rows` are trained on and the next `validation_rows` choose the network; what comes after them is
    not looked at.
    """

    path: str
    channels: Annotated[tuple[str, ...], Meta(min_length=1)]
    target: str
    training_rows: Positive
    validation_rows: Positive
    units: tuple[str, ...] = ()


class ForecastNetRecipe(StackRecipe, frozen=True, forbid_unknown_fields=True):
    """The network, see `ForecastNet`; it forecasts the `quantiles` at horizons 1 to `horizons`.

    `window` is for what wanders (0: it does not): levels are then nothing, changes from now are all.
    """

    horizons: Size = 24
    quantiles: Annotated[tuple[Share, ...], Meta(min_length=1)] = (0.1, 0.5, 0.9)
    hidden: Size = 64
    window: Window = 0
    norm: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        inside = (0.0, *self.quantiles, 1.0)
        if not all(one < other for one, other in pairwise(inside)):
            raise ValueError(f"quantiles must rise, between 0 and 1, got {list(self.quantiles)}")
        if self.window == 1:
            raise ValueError("window must be 0, for none, or at least 2")
        if self.horizons * len(self.quantiles) > MOST:
            raise ValueError(f"horizons times quantiles must be at most {MOST}")


class SwingRecipe(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How strongly the swings of the channels are changed before they are heard, see `SeriesLanes`."""

    scale: Amount = 0.0


class ForecastRecipe(Recipe, frozen=True, forbid_unknown_fields=True, kw_only=True):
    r"""Quantiles of what a series will be.

    >>> from streamcell.train.recipe import parse_recipe
    >>> data = 'path = "a.csv"\nchannels = ["a", "b"]\ntarget = "b"\ntraining_rows = 900\nvalidation_rows = 90\n'
    >>> recipe = parse_recipe(f'task = "forecast"\nname = "tiny"\n[data]\n{data}')
    >>> recipe.labels()[:3]
    ('b +1 q0.1', 'b +1 q0.5', 'b +1 q0.9')
    """

    task: Literal["forecast"]
    data: SeriesRecipe
    model: ForecastNetRecipe = ForecastNetRecipe()
    augment: SwingRecipe = SwingRecipe()
    train: TrainRecipe = TrainRecipe()

    def __post_init__(self) -> None:
        if self.data.target not in self.data.channels:
            raise ValueError(f"data.target must be one of data.channels, got {self.data.target!r}")
        if len(self.data.units) not in (0, len(self.data.channels)):
            raise ValueError(f"data.units must be one a channel, got {list(self.data.units)}")

    def labels(self) -> tuple[str, ...]:
        """Return the names of the outputs, horizon by horizon."""
        m = self.model
        return tuple(f"{self.data.target} +{h} q{q:g}" for h in range(1, m.horizons + 1) for q in m.quantiles)

    def network(self, columns: Columns) -> ForecastNet:
        """Return a fresh network of this recipe's shape, for data with `columns`."""
        m = self.model
        return ForecastNet(
            len(columns.channels),
            target=columns.channels.index(self.data.target),
            horizons=m.horizons,
            quantiles=len(m.quantiles),
            cell=m.cell,
            hidden=m.hidden,
            layers=m.layers,
            dropout=m.dropout,
            window=m.window,
            **m.options(),
        )
