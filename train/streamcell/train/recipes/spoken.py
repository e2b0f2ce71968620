"""Short recordings with one label each in a recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from streamcell.train.columns import Columns
from streamcell.train.data.labelled import LabelledData
from streamcell.train.data.spoken import SpokenChange, change_spoken, read_spoken
from streamcell.train.fronts import Sound
from streamcell.train.recipes.base import PositiveFloat, Size
from streamcell.train.recipes.sequences import SequencesRecipe


class SpokenRecipe(SequencesRecipe, frozen=True, kw_only=True, tag="spoken"):
    """Recordings named `LABEL_SPEAKER_TAKE`, see `read_spoken`, `also` being further folders; heard through `Sound`.

    `speed`, `colour_db`, `snr_db`, `level_dbfs` and `shift_s` are the ranges of what changes in training, see
    `SpokenChange`.
    """

    sample_rate: Annotated[int, Meta(ge=4000, le=48000)] = 16000
    also: tuple[str, ...] = ()
    validation_takes: tuple[str, ...] = ()
    mels: Annotated[int, Meta(gt=0, le=128)] = 40
    channels: Size = 32
    stride: Annotated[int, Meta(gt=0, le=8)] = 2
    speed: tuple[PositiveFloat, PositiveFloat] = (1.0, 1.0)
    colour_db: tuple[float, float] = (0.0, 0.0)
    snr_db: tuple[float, float] = (60.0, 60.0)
    level_dbfs: tuple[float, float] = (-26.0, -26.0)
    shift_s: tuple[float, float] = (0.0, 0.0)

    def __post_init__(self) -> None:
        for name in ("speed", "colour_db", "snr_db", "level_dbfs", "shift_s"):
            low, high = getattr(self, name)
            if low > high:
                raise ValueError(f"data.{name} must be a lowest and a highest, got {[low, high]}")

    def read(self, folder: Path) -> LabelledData:
        """Return the recordings below `folder`."""
        return read_spoken(
            folder / self.path,
            sample_rate=self.sample_rate,
            also=[folder / name for name in self.also],
            validation_takes=self.validation_takes,
            validation_groups=self.validation_groups,
            test_groups=self.test_groups,
        )

    def change(self, x: NDArray[np.float32], random: np.random.Generator) -> NDArray[np.float32]:
        """Return a recording at another speed and level, in noise, earlier or later."""
        ranges = SpokenChange(self.speed, self.colour_db, self.snr_db, self.level_dbfs, self.shift_s)
        return change_spoken(x, random, ranges, self.sample_rate)

    def front(self, _columns: Columns, width: int) -> Sound:
        """Return a fresh spectrum with two convolutions."""
        return Sound(self.sample_rate, width, mels=self.mels, channels=self.channels, stride=self.stride)
