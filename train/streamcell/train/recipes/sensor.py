"""Recipes for labels of a sensor's samples."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from streamcell.train.columns import Columns
from streamcell.train.models import SensorNet
from streamcell.train.recipes.base import Amount, Positive, PositiveFloat, Recipe, Share, Size, StackRecipe, TrainRecipe


class SensorDataRecipe(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Recordings of sensors below `--data`, see `read_sensor`: where, in which form, and whom to hold out.

    `validation_groups` (people, takes) choose the network; `test_groups` are never heard in training at all.
    """

    format: Literal["recordings", "sequences", "hapt"]
    path: str
    sample_rate: Positive
    channels: tuple[str, ...] = ()
    units: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    label: str = "label"
    validation_groups: tuple[str, ...] = ()
    test_groups: tuple[str, ...] = ()


class SensorNetRecipe(StackRecipe, frozen=True, forbid_unknown_fields=True):
    """The network, see `SensorNet`."""

    hidden: Size = 64
    layers: Annotated[int, Meta(gt=0, le=64)] = 1


class MotionRecipe(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How strongly a recording of sensors is changed before it is heard, see `Motion`."""

    rotation: Amount = 0.0
    scale: Amount = 0.0
    jitter: Amount = 0.0
    offset: Amount = 0.0
    dropped: Share = 0.0
    speed: tuple[PositiveFloat, PositiveFloat] = (1.0, 1.0)


class GapRecipe(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What lost samples do to the state, see `GapPolicy`."""

    action: Literal["fill", "hold"] = "hold"
    reset_after: Amount = 2.0


class SensorTrainRecipe(TrainRecipe, frozen=True, forbid_unknown_fields=True):
    """Cross-entropy at every sample; a label counts by its samples to the power -`balance` (0: as often as it is)."""

    balance: Share = 0.5


class SensorRecipe(Recipe, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A label for every sample of a sensor's signals; `decoder` and `gap` go into the manifest."""

    task: Literal["sensor"]
    data: SensorDataRecipe
    model: SensorNetRecipe = SensorNetRecipe()
    augment: MotionRecipe = MotionRecipe()
    train: SensorTrainRecipe = SensorTrainRecipe()
    decoder: dict[str, float] = {}  # noqa: RUF012 - msgspec copies it
    gap: GapRecipe = GapRecipe()

    def network(self, columns: Columns) -> SensorNet:
        """Return a fresh network of this recipe's shape, for data with `columns`."""
        m = self.model
        return SensorNet(
            len(columns.channels),
            len(columns.labels),
            sample_rate=self.data.sample_rate,
            cell=m.cell,
            hidden=m.hidden,
            layers=m.layers,
            dropout=m.dropout,
            **m.options(),
        )
