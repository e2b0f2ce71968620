"""A label for each picture of films, or for single pictures."""

from __future__ import annotations

from pathlib import Path

from streamcell.train.columns import Columns
from streamcell.train.data.films import read_films
from streamcell.train.data.sensor import split
from streamcell.train.models import Network
from streamcell.train.recipes.pictures import PicturesRecipe
from streamcell.train.steps import StepTask


class PicturesTask(StepTask):
    """Learn labels of pictures as `recipe` says, from films below the folder `data`.

    Raises:
        SourceError: the films are missing or unreadable, or do not fit the recipe.
    """

    measure = "share of pictures mistaken"

    def __init__(self, recipe: PicturesRecipe, data: Path) -> None:
        self.recipe, what = recipe, recipe.data
        image = (what.rows, what.columns, what.colours)
        found = read_films(data / what.path, image=image, sample_rate=what.sample_rate)
        parts = split(found, what.validation_groups, what.test_groups)
        super().__init__(recipe.train, Columns(found.labels), *parts, fingerprint=found.fingerprint)

    def fit(self, network: Network) -> None:
        """Measure nothing: pictures are from 0 to 1."""
