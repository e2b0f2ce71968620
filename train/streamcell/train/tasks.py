"""The task that a recipe names."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from streamcell.train.phonemes import PhonemeTask
from streamcell.train.recipe import AnyRecipe, PhonemeRecipe
from streamcell.train.sensor import SensorTask
from streamcell.train.task import Task


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
    return SensorTask(recipe, data)
