"""A recipe is a TOML file -> one checked, frozen configuration; unknown keys are refused with the nearest right one."""

from __future__ import annotations

import difflib
import tomllib
from pathlib import Path
from typing import Any

import msgspec

from streamcell.train.recipes.base import RecipeError, TrainRecipe
from streamcell.train.recipes.phonemes import LABELS, AugmentRecipe, Corpus, PhonemeRecipe, PhonemeTrainRecipe
from streamcell.train.recipes.sensor import MotionRecipe, SensorRecipe

__all__ = [
    "LABELS",
    "AnyRecipe",
    "AugmentRecipe",
    "Corpus",
    "MotionRecipe",
    "PhonemeRecipe",
    "PhonemeTrainRecipe",
    "RecipeError",
    "SensorRecipe",
    "TrainRecipe",
    "parse_recipe",
    "read_recipe",
]

AnyRecipe = PhonemeRecipe | SensorRecipe
_TASKS: dict[str, type[PhonemeRecipe] | type[SensorRecipe]] = {"phonemes": PhonemeRecipe, "sensor": SensorRecipe}


def _check_keys(table: Any, schema: Any, path: str) -> None:
    """Raise for the first key of `table` that `schema` (a msgspec type description) does not have."""
    if isinstance(schema, msgspec.inspect.VarTupleType) and isinstance(table, list):
        for i, item in enumerate(table):
            _check_keys(item, schema.item_type, f"{path}[{i}]")
    if not (isinstance(schema, msgspec.inspect.StructType) and isinstance(table, dict)):
        return
    fields = {field.name: field.type for field in schema.fields}
    for key, value in table.items():
        where = f"{path}.{key}" if path else key
        if key not in fields:
            near = difflib.get_close_matches(key, fields, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]!r}?" if near else f"known here: {', '.join(fields)}"
            raise RecipeError(f"unknown recipe key {where!r}; {hint}")
        _check_keys(value, fields[key], where)


def parse_recipe(text: str) -> AnyRecipe:
    """Return the recipe that `text` (TOML) describes.

    Raises:
        RecipeError: not TOML, an unknown key (the nearest right one is named), a missing key, a value out of range.
    """
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"the recipe is not valid TOML: {error}") from error
    task = table.get("task")
    kind = _TASKS.get(task) if isinstance(task, str) else None
    if kind is None:
        raise RecipeError(f"recipe key 'task' must be one of {', '.join(map(repr, _TASKS))}, got {task!r}")
    _check_keys(table, msgspec.inspect.type_info(kind), "")
    try:
        return msgspec.convert(table, kind)
    except msgspec.ValidationError as error:
        raise RecipeError(f"the recipe does not fit: {error}") from error


def read_recipe(path: Path) -> tuple[AnyRecipe, str]:
    """Return the recipe in the file `path`, and its text.

    Raises:
        RecipeError: the file cannot be read, or as `parse_recipe`.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"cannot read the recipe {path}: {error}") from error
    try:
        return parse_recipe(text), text
    except RecipeError as error:
        raise RecipeError(f"{path}: {error}") from error
