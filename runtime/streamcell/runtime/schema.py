"""JSON values into frozen dataclasses, strictly: the annotations are the schema, errors name the key's path."""

from dataclasses import fields, is_dataclass
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from streamcell.runtime.errors import ModelError

__all__ = ["read"]

_T = TypeVar("_T")
_MAX_DEPTH = 32  # of what has no fields of its own, so that whoever walks it needs no care


def read(kind: type[_T], value: object, path: str) -> _T:
    """Make a dataclass of a JSON object that has exactly its fields, none missing and none more.

    A field with ``metadata={"optional": True}`` may be missing: then it takes its default.

    Annotations may be str, int, float (an integer is one too), bool, dict, ``Literal`` of strings, ``tuple[X, ...]``
    (a JSON list), a union of these, and dataclasses.

    Raises:
        ModelError: If something is missing, unknown, of the wrong type or nested too deep; it begins
            with ``path`` and the key.

    Examples:
        >>> from dataclasses import dataclass
        >>> @dataclass(frozen=True)
        ... class Point:
        ...     x: int
        ...     tags: tuple[str, ...]
        >>> read(Point, {"x": 1, "tags": ["a"]}, "point")
        Point(x=1, tags=('a',))
        >>> read(Point, {"x": 1, "tags": [2]}, "point")
        Traceback (most recent call last):
        streamcell.runtime.errors.ModelError: point.tags[0] must be a string, got 2
    """
    made: _T = _read(kind, value, path)
    return made


def _read(kind: Any, value: Any, path: str) -> Any:
    """Turn a JSON value into what a dataclass field's annotation asks for; ``path`` names it in errors."""
    if is_dataclass(kind):
        return _read_fields(kind, value, path)
    origin = get_origin(kind)
    if origin is UnionType:
        return _read(_choose(kind, value, path), value, path)
    if origin is tuple and isinstance(value, list):
        return tuple(_read(get_args(kind)[0], item, f"{path}[{index}]") for index, item in enumerate(value))
    if origin is Literal and isinstance(value, str) and value in get_args(kind):
        return value
    if kind is float and type(value) is int:
        return _read_float(value, path)
    if type(value) is (origin or kind):
        if _deeper(value, _MAX_DEPTH):
            raise ModelError(f"{path} is nested more than {_MAX_DEPTH} deep")
        return value
    raise ModelError(f"{path} must be {_describe(kind)}, got {value!r:.80}")


def _deeper(value: Any, most: int) -> bool:
    """Tell whether lists and objects lie more than ``most`` deep in each other."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return inner is not None and (most == 0 or any(_deeper(item, most - 1) for item in inner))


def _choose(kind: Any, value: Any, path: str) -> Any:
    """Return the member of a union that ``value`` is meant to be."""
    choices = get_args(kind)
    for choice in choices:
        if type(value) is choice or (is_dataclass(choice) and value is not None):
            return choice
    if type(value) is int and float in choices:
        return float
    raise ModelError(f"{path} must be {_describe(kind)}, got {value!r:.80}")


def _read_float(value: int, path: str) -> float:
    try:
        return float(value)
    except OverflowError as error:
        raise ModelError(f"{path} is too large a number") from error


def _read_fields(kind: Any, value: Any, path: str) -> Any:
    """Make a dataclass of a JSON object that has exactly its fields."""
    if not isinstance(value, dict):
        raise ModelError(f"{path} must be a JSON object, got {value!r:.80}")
    names = [item.name for item in fields(kind)]
    optional = {item.name for item in fields(kind) if item.metadata.get("optional")}
    if unknown := [key for key in value if key not in names]:
        raise ModelError(f"{path}.{unknown[0]} is not a known key; expected: {', '.join(names)}")
    if missing := [name for name in names if name not in value and name not in optional]:
        raise ModelError(f"{path}.{missing[0]} is missing; export the model again")
    hints = get_type_hints(kind)
    return kind(**{name: _read(hints[name], value[name], f"{path}.{name}") for name in names if name in value})


def _describe(kind: Any) -> str:
    """Name a type in the words of JSON."""
    words = {
        str: "a string",
        int: "an integer",
        float: "a number",
        bool: "true or false",
        NoneType: "null",
        dict: "an object",
    }
    origin = get_origin(kind)
    if origin is Literal:
        return "one of " + ", ".join(map(repr, get_args(kind)))
    if origin is UnionType:
        return " or ".join(_describe(choice) for choice in get_args(kind))
    if origin is tuple:
        return "a list"
    return words.get(origin or kind, "an object")
