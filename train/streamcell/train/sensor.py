"""Labels of a sensor's samples."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from streamcell.train.columns import Columns
from streamcell.train.data.motion import change
from streamcell.train.data.sensor import Recording, read_sensor, split
from streamcell.train.models import Network, SensorNet
from streamcell.train.recipe import SensorRecipe
from streamcell.train.steps import StepTask


class SensorTask(StepTask):
    """Learn labels of samples as `recipe` says, from recordings below the folder `data`.

    Raises:
        SourceError: the data are missing or unreadable, or do not fit the recipe.
    """

    def __init__(self, recipe: SensorRecipe, data: Path) -> None:
        self.recipe, what = recipe, recipe.data
        found = read_sensor(
            what.format,
            data / what.path,
            sample_rate=what.sample_rate,
            channels=what.channels,
            units=what.units,
            labels=what.labels,
            label=what.label,
        )
        parts = split(found, what.validation_groups, what.test_groups)
        super().__init__(
            recipe.train, Columns(found.labels, found.channels, found.units), *parts, fingerprint=found.fingerprint
        )

    def change(self, recording: Recording, random: np.random.Generator) -> Recording:
        """Return a recording, turned, scaled and disturbed as the recipe says."""
        return change(recording, random, settings=self.recipe.augment)

    def fit(self, network: Network) -> None:
        """Measure mean and scale of each channel."""
        if not isinstance(network, SensorNet):
            raise TypeError(f"expected a SensorNet, got {type(network).__name__}")
        network.standardise.fit(torch.from_numpy(np.concatenate([one.values for one in self.training])))
