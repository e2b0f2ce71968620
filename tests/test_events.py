"""Events as JSON and back."""

import json
from dataclasses import FrozenInstanceError
from typing import Any

import pytest

from streamcell.runtime.errors import InputError
from streamcell.runtime.events import Event, Gap, Reset, Segment, Utterance, as_dict, from_dict

EVENTS: list[Event] = [
    Segment("AA", 0.5, 0.75, 0.9),
    Segment("B", 1.0, 1.0, 0.0, final=False, id=3, revision=2),
    Gap(1.0, 1.25, 12000, "overflow", "fill"),
    Reset(2.0, "asked"),
    Utterance(0.5, 1.0, ("AA", "B"), "pause"),
]


@pytest.mark.parametrize("event", EVENTS)
def test_round_trip_through_json(event: Event) -> None:
    values = as_dict(event)
    assert next(iter(values)) == "type"
    assert from_dict(json.loads(json.dumps(values))) == event


def test_an_event_never_changes() -> None:
    with pytest.raises(FrozenInstanceError):
        EVENTS[0].label = "B"  # type: ignore[misc, union-attr]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"type": "word"}, "expected an event of type segment, gap, reset, utterance; got 'word'"),
        ({"type": None}, "expected an event of type"),
        ({"type": []}, "expected an event of type"),
        ({"colour": "red"}, "a gap has no colour"),
        ({"start": "0"}, "'start' of a gap must be float, got '0'"),
        ({"end": True}, "'end' of a gap"),
        ({"end": float("nan")}, "'end' of a gap"),
        ({"samples": 1.5}, "'samples' of a gap must be int"),
        ({"labels": []}, "a gap has no labels"),
        ({"reason": "rain"}, "'reason' of a gap must be one of overflow, missing"),
    ],
)
def test_wrong_values_are_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        from_dict({**as_dict(EVENTS[2]), **change})


def test_a_missing_value_is_named() -> None:
    with pytest.raises(InputError, match="time"):
        from_dict({"type": "reset", "reason": "asked"})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": "AA"}, "'labels' of an utterance must be list, got 'AA'"),
        ({"labels": [1]}, "'labels' of an utterance must be strings, got \\(1,\\)"),
        ({"reason": "overflow"}, "'reason' of an utterance must be one of pause, length, end; got 'overflow'"),
    ],
)
def test_utterances_are_checked(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        from_dict({**as_dict(EVENTS[-1]), **change})
