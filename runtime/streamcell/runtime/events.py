"""What comes out of a stream: segments, utterances, gaps and resets, on one clock (seconds since the stream began)."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, TypeAlias

from streamcell.runtime.errors import InputError

__all__ = ["GAP_REASONS", "Event", "Gap", "Reset", "Segment", "Utterance", "as_dict", "from_dict", "is_final"]


@dataclass(frozen=True, slots=True)
class Segment:
    """Say that a label holds from ``start`` to ``end``.

    A partial segment (``final=False``) may come again with the same ``id`` and a higher ``revision``; a final one never
    changes.

    Attributes:
        label: One of the model's labels.
        start: Seconds.
        end: Seconds, at least ``start``.
        confidence: From 0 to 1.
        final: Whether it can no longer change.
        id: Counts the segments of a stream from 0.
        revision: Counts what was said about this segment from 0.
    """

    label: str
    start: float
    end: float
    confidence: float
    final: bool = True
    id: int = 0
    revision: int = 0


@dataclass(frozen=True, slots=True)
class Gap:
    """Say that samples were lost between ``start`` and ``end``.

    Attributes:
        start: Seconds.
        end: Seconds.
        samples: How many were lost, counted at the source's rate.
        reason: ``"overflow"`` (they came faster than they were taken), ``"missing"`` (they never came) or ``"invalid"``
            (they were NaN or infinite).
        action: What it did to the model's state: ``"fill"`` (it heard silence), ``"hold"`` (kept) or ``"reset"``.
    """

    start: float
    end: float
    samples: int
    reason: str
    action: str


@dataclass(frozen=True, slots=True)
class Reset:
    """Say that the state was set back to the beginning's at ``time`` (seconds), and why."""

    time: float
    reason: str


@dataclass(frozen=True, slots=True)
class Utterance:
    """Say that the segments since the last utterance belong together, and that no other does.

    Attributes:
        start: Seconds, where its first segment begins.
        end: Seconds, where its last segment ends.
        labels: Of its segments, silence left out.
        reason: Why it ended: ``"pause"``, ``"length"`` (it would have become too long) or ``"end"`` (of the sound, or
            of the model's state).
    """

    start: float
    end: float
    labels: tuple[str, ...]
    reason: str


Event: TypeAlias = Segment | Gap | Reset | Utterance

POLICY_REASONS = ("silence", "interval")
"""Why a state begins anew by a manifest's reset policy, in the midst of sound."""

GAP_REASONS = ("overflow", "missing", "invalid")
"""Why samples may be lost, see `Gap`."""

_TYPES: dict[str, type[Segment] | type[Gap] | type[Reset] | type[Utterance]] = {
    "segment": Segment,
    "gap": Gap,
    "reset": Reset,
    "utterance": Utterance,
}
_CHECKS: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(("start", "end", "confidence", "time"), (int, float)),
    **dict.fromkeys(("label", "reason", "action"), (str,)),
    **dict.fromkeys(("samples", "id", "revision"), (int,)),
    "final": (bool,),
    "labels": (tuple, list),
}
_CHOICES: dict[type, dict[str, tuple[str, ...]]] = {
    Gap: {"reason": GAP_REASONS, "action": ("fill", "hold", "reset")},
    Utterance: {"reason": ("pause", "length", "end")},
}


def is_final(event: Event) -> bool:
    """Tell whether an event can no longer change.

    Examples:
        >>> is_final(Segment("AA", 0.0, 0.1, 0.5, final=False))
        False
    """
    return not isinstance(event, Segment) or event.final


def as_dict(event: Event) -> dict[str, Any]:
    """Return an event as plain JSON values, its ``"type"`` first.

    Examples:
        >>> as_dict(Reset(1.5, "asked"))
        {'type': 'reset', 'time': 1.5, 'reason': 'asked'}
    """
    return {"type": type(event).__name__.lower(), **asdict(event)}


def from_dict(values: Mapping[str, Any]) -> Event:
    """Make an event of what `as_dict` returned.

    Raises:
        InputError: If the type is unknown, or a value is missing, unknown or of the wrong kind.

    Examples:
        >>> from_dict({"type": "reset", "time": 1.5, "reason": "asked"})
        Reset(time=1.5, reason='asked')
    """
    name = values.get("type")
    kind = _TYPES.get(name) if isinstance(name, str) else None
    if kind is None:
        raise InputError(f"expected an event of type {', '.join(_TYPES)}; got {name!r}")
    what = f"{'an' if kind is Utterance else 'a'} {name}"
    names = {field.name for field in fields(kind)}
    given: dict[str, Any] = {key: value for key, value in values.items() if key != "type"}
    if unknown := sorted(given.keys() - names):
        raise InputError(f"{what} has no {', '.join(unknown)}; it has {', '.join(sorted(names))}")
    for key, value in given.items():
        odd = isinstance(value, float) and not math.isfinite(value)
        if odd or not isinstance(value, _CHECKS[key]) or (isinstance(value, bool) and key != "final"):
            raise InputError(f"{key!r} of {what} must be {_CHECKS[key][-1].__name__}, got {value!r}")
        choices = _CHOICES.get(kind, {}).get(key)
        if choices and value not in choices:
            raise InputError(f"{key!r} of {what} must be one of {', '.join(choices)}; got {value!r}")
    if "labels" in given:
        given["labels"] = tuple(given["labels"])
        if not all(isinstance(label, str) for label in given["labels"]):
            raise InputError(f"'labels' of {what} must be strings, got {given['labels']!r:.80}")
    try:
        return kind(**given)
    except TypeError as error:
        raise InputError(f"{what} lacks values: {error}") from error
