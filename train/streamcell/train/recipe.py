"""A recipe is a TOML file -> one checked, frozen configuration; unknown keys are refused with the nearest right one."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from streamcell.train.recipes.base import RecipeError, TrainRecipe
from streamcell.train.recipes.forecast import ForecastRecipe
from streamcell.train.recipes.labels import LabelsRecipe
from streamcell.train.recipes.pairs import PairRecipe
from streamcell.train.recipes.phonemes import LABELS, AugmentRecipe, Corpus, PhonemeRecipe, PhonemeTrainRecipe
from streamcell.train.recipes.pictures import PicturesRecipe
from streamcell.train.recipes.sensor import MotionRecipe, SensorRecipe
from streamcell.train.recipes.text import TextRecipe

__all__ = [
    "LABELS",
    "AnyRecipe",
    "AugmentRecipe",
    "Corpus",
    "ForecastRecipe",
    "LabelsRecipe",
    "MotionRecipe",
    "PairRecipe",
    "PhonemeRecipe",
    "PhonemeTrainRecipe",
    "PicturesRecipe",
    "RecipeError",
    "SensorRecipe",
    "TextRecipe",
    "TrainRecipe",
    "parse_recipe",
    "read_recipe",
]

AnyRecipe = PicturesRecipe | ForecastRecipe | LabelsRecipe | PairRecipe | PhonemeRecipe | SensorRecipe | TextRecipe
_TASKS: dict[str, type[AnyRecipe]] = {
    "pictures": PicturesRecipe,
    "forecast": ForecastRecipe,
    "labels": LabelsRecipe,
    "pairs": PairRecipe,
    "phonemes": PhonemeRecipe,
    "sensor": SensorRecipe,
    "text": TextRecipe,
}


def _check_keys(table: Any, schema: Any, path: str) -> None:
    """Raise for the first key of `table` that `schema` (a msgspec type description) does not have."""
    kinds = schema.types if isinstance(schema, msgspec.inspect.UnionType) else (schema,)
    if isinstance(table, str):
        _check_name(table, kinds, path)
    if isinstance(table, list):
        lists = [kind for kind in kinds if isinstance(kind, msgspec.inspect.VarTupleType)]
        for kind in lists:
            for i, item in enumerate(table):
                _check_keys(item, kind.item_type, f"{path}[{i}]")
    if isinstance(schema, msgspec.inspect.UnionType) and isinstance(table, dict):
        _check_keys(table, _named(table, schema, path), path)
    if not (isinstance(schema, msgspec.inspect.StructType) and isinstance(table, dict)):
        return
    fields = {field.name: field.type for field in schema.fields}
    if schema.tag_field is not None:
        fields[schema.tag_field] = msgspec.inspect.LiteralType((schema.tag,))
    for key, value in table.items():
        where = f"{path}.{key}" if path else key
        if key not in fields:
            near = difflib.get_close_matches(key, fields, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]!r}?" if near else f"known here: {', '.join(fields)}"
            raise RecipeError(f"unknown recipe key {where!r}; {hint}")
        _check_keys(value, fields[key], where)


def _check_name(name: str, kinds: Sequence[Any], path: str) -> None:
    """Raise if only certain names are allowed and `name` is none of them."""
    names = [str(value) for kind in kinds if isinstance(kind, msgspec.inspect.LiteralType) for value in kind.values]
    if names and name not in names:
        near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise RecipeError(f"recipe key {path!r} must be one of {', '.join(map(repr, names))}, got {name!r}{hint}")


def _named(table: dict[str, Any], schema: msgspec.inspect.UnionType, path: str) -> Any:
    """Return the one of `schema`'s tables that `table` says it is."""
    kinds = {kind.tag: kind for kind in schema.types if isinstance(kind, msgspec.inspect.StructType)}
    field = next((kind.tag_field for kind in kinds.values()), None)
    if field is None:
        return schema
    if table.get(field) not in kinds:
        known = ", ".join(map(repr, kinds))
        raise RecipeError(f"recipe key '{path}.{field}' must be one of {known}, got {table.get(field)!r}")
    return kinds[table[field]]


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
