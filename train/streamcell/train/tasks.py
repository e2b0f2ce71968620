"""The task that a recipe names."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from streamcell.train.forecast import ForecastTask
from streamcell.train.labels import LabelsTask
from streamcell.train.pairs import PairTask
from streamcell.train.phonemes import PhonemeTask
from streamcell.train.pictures import PicturesTask
from streamcell.train.recipe import (
    AnyRecipe,
    ForecastRecipe,
    LabelsRecipe,
    PairRecipe,
    PhonemeRecipe,
    PicturesRecipe,
    SensorRecipe,
    TextRecipe,
)
from streamcell.train.sensor import SensorTask
from streamcell.train.task import Task
from streamcell.train.text import TextTask

_TASKS: dict[type[AnyRecipe], Callable[[Any, Path], Task[Any]]] = {
    ForecastRecipe: ForecastTask,
    LabelsRecipe: LabelsTask,
    PairRecipe: PairTask,
    PicturesRecipe: PicturesTask,
    SensorRecipe: SensorTask,
    TextRecipe: TextTask,
}


def open_task(recipe: AnyRecipe, data: Path, cache: Path, progress: Callable[[int, int], None]) -> Task[Any]:
    """Load what `recipe` asks for below the folder `data`.

    Args:
        recipe: names the data.
        data: folder that its paths are relative to.
        cache: folder for what is decoded once.
        progress: called with (files decoded, files in all).

    Raises:
        SourceError: something is missing, unreadable, or does not fit the recipe.
    """
    if isinstance(recipe, PhonemeRecipe):
        return PhonemeTask(recipe, data, cache, progress)
    return _TASKS[type(recipe)](recipe, data)
