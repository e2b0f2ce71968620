"""JSON into dataclasses: exactly the fields, exactly the types."""

import json
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest

from streamcell.runtime.errors import ModelError
from streamcell.runtime.schema import read


@dataclass(frozen=True)
class Inner:
    size: int | str


@dataclass(frozen=True)
class Outer:
    name: str
    rate: float
    kind: Literal["a", "b"]
    inners: tuple[Inner, ...]
    maybe: Inner | None
    count: int | None
    share: float | None
    flag: bool
    free: dict[str, Any]


GOOD: dict[str, Any] = {
    "name": "n",
    "rate": 2,
    "kind": "a",
    "inners": [{"size": 1}, {"size": "B"}],
    "maybe": None,
    "count": 3,
    "share": 1,
    "flag": True,
    "free": {"x": [1]},
}


def test_reads_every_kind_of_annotation() -> None:
    made = read(Outer, GOOD, "outer")
    assert made == Outer("n", 2.0, "a", (Inner(1), Inner("B")), None, 3, 1.0, flag=True, free={"x": [1]})
    assert isinstance(made.rate, float)
    assert isinstance(made.share, float)
    assert read(Outer, {**GOOD, "maybe": {"size": 4}}, "outer").maybe == Inner(4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": 3}, "outer.name must be a string, got 3"),
        ({"rate": True}, "outer.rate must be a number, got True"),
        ({"rate": 10**400}, "outer.rate is too large"),
        ({"kind": "c"}, "outer.kind must be one of 'a', 'b', got 'c'"),
        ({"kind": []}, "outer.kind must be one of"),
        ({"inners": {}}, "outer.inners must be a list"),
        ({"inners": [{"size": 1}, {"size": 1.5}]}, r"outer.inners\[1\].size must be an integer or a string, got 1.5"),
        ({"inners": [{}]}, r"outer.inners\[0\].size is missing"),
        ({"maybe": 1}, "outer.maybe must be a JSON object"),
        ({"maybe": {"size": 1, "hue": 2}}, "outer.maybe.hue is not a known key"),
        ({"count": True}, "outer.count must be an integer or null, got True"),
        ({"flag": 1}, "outer.flag must be true or false"),
        ({"free": []}, "outer.free must be an object"),
        ({"free": {"x": json.loads("[" * 32 + "]" * 32)}}, "outer.free is nested more than 32 deep"),
    ],
)
def test_errors_name_the_path(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        read(Outer, {**GOOD, **change}, "outer")


def test_what_is_nested_a_little_is_read() -> None:
    free = {"x": json.loads("[" * 31 + "]" * 31), "y": {"z": 1}}
    assert read(Outer, {**GOOD, "free": free}, "outer").free == free


def test_not_an_object() -> None:
    with pytest.raises(ModelError, match="outer must be a JSON object"):
        read(Outer, [], "outer")


@dataclass(frozen=True)
class Grown:
    name: str
    added: tuple[str, ...] = field(default=("usual",), metadata={"optional": True})
    kept: int = 3


def test_only_what_is_optional_may_be_missing() -> None:
    assert read(Grown, {"name": "n", "kept": 4}, "it") == Grown("n", ("usual",), 4)
    assert read(Grown, {"name": "n", "added": [], "kept": 4}, "it") == Grown("n", (), 4)
    with pytest.raises(ModelError, match=r"it\.kept is missing"):
        read(Grown, {"name": "n", "added": []}, "it")
