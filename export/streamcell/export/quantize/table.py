"""What was measured before and after, as a table and as JSON, and what of it pays."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias

from streamcell.export.quantize.speed import Speed

__all__ = ["LEGEND", "Aim", "Row", "best", "doubts", "gain", "table", "to_json"]

Aim: TypeAlias = Literal["live", "size", "file", "streams"]
"""What is to become better: the time of a live step, the size, the speed of files, streams a core carries."""

_SMALLER, _FASTER, _SLOWER = 0.8, 1.2, 0.8  # of the size, times as fast, times as fast
_EQUAL = 1.2


@dataclass(frozen=True, slots=True)
class Row:
    """Hold what was measured of one model.

    Attributes:
        method: How it was made; "float" for the model as it was.
        rate: Its error rate.
        size: Of the file in bytes.
        speed: How fast it is.
        steps: Of each call, None for any number.
        shared: Whether streams may share a call.
        differs: The largest difference between its ways of running, from `verify`.
    """

    method: str
    rate: float
    size: int
    speed: Speed
    steps: int | None
    shared: bool
    differs: float


def doubts(row: Row, first: Row, most_lost: float, aim: Aim) -> list[str]:
    """Return why a variant does not pay, nothing if it does.

    Args:
        row: Of the variant.
        first: Of the model as it was.
        most_lost: Percentage points of error rate that may be lost.
        aim: What is to become better.
    """
    lost, share = 100 * (row.rate - first.rate), row.size / first.size
    found = []
    if not lost <= most_lost:
        found.append(f"it loses {lost:.2f} points, {most_lost:g} may be lost")
    if share > _SMALLER and gain(row, first, aim) < _FASTER:
        found.append(f"it has {share:.2f} of the size and is {gain(row, first, aim):.2f} times as good for {aim}")
    if row.speed.times_live < _SLOWER:
        found.append(f"a live step is {row.speed.times_live:.2f} times as fast")
    return found


def gain(row: Row, first: Row, aim: Aim) -> float:
    """Return how many times as good a variant is."""
    speed = row.speed
    times = {"live": speed.times_live, "file": speed.times_file, "streams": speed.times_many}
    return first.size / row.size if aim == "size" else times[aim]


def best(rows: Sequence[Row], first: Row, most_lost: float, aim: Aim) -> Row | None:
    """Return the variant to keep, None if none pays.

    Of those that pay the best for the aim; those within a factor of 1.2 of it count as equal: then the one that asks
    least of a call (any number of steps before a fixed one, shared before not), then the one that loses least.

    Args:
        rows: Of the variants.
        first: Of the model as it was.
        most_lost: Percentage points of error rate that may be lost.
        aim: What is to become better.
    """
    good = [row for row in rows if not doubts(row, first, most_lost, aim)]
    most = max((gain(row, first, aim) for row in good), default=0.0)
    near = [row for row in good if gain(row, first, aim) * _EQUAL >= most]
    return min(near, key=lambda row: (row.steps is not None, not row.shared, row.rate), default=None)


def table(rows: Sequence[Row], seconds_per_step: float | None) -> str:
    """Return the figures, one line a model; the first is the model as it was.

    Args:
        rows: What was measured.
        seconds_per_step: Of sound or readings; None where steps have no clock: then speeds are steps a second.

    Examples:
        >>> speed = Speed(100.0, 20.0, 64, 10.0, 64, 1.0, 1.0, 1.0)
        >>> print(table([Row("float", 0.3, 8_700_000, speed, None, True, 1e-6)], 0.03))
        method         error   lost     MB share  live us times     file times steps  streams times a call
        float         30.00%  +0.00   8.70  1.00      100  1.00     1500  1.00    64     3000  1.00 any, shared
    """
    first, unit = rows[0], seconds_per_step or 1.0
    lines = ["method         error   lost     MB share  live us times     file times steps  streams times a call"]
    for row in rows:
        speed, lost = row.speed, 100 * (row.rate - first.rate)
        call = f"{row.steps or 'any'}, {'shared' if row.shared else 'alone'}"
        lines.append(
            f"{row.method:13} {100 * row.rate:5.2f}% {lost:+6.2f} {row.size / 1e6:6.2f} {row.size / first.size:5.2f} "
            f"{speed.live_us:8.0f} {speed.times_live:5.2f} {1e6 * unit / speed.file_us:8.0f} {speed.times_file:5.2f} "
            f"{speed.file_steps:5} {1e6 * unit / speed.many_us:8.0f} {speed.times_many:5.2f} {call}"
        )
    return "\n".join(lines)


LEGEND = """\
error: {measure}, on {about}; lost: points of it
live us: microseconds of one core (p50) for a step of one stream, in the shortest call that the model takes; times: as
fast as float in calls of as many steps, measured in turns
file: {file} of one stream in calls of so many steps
streams: {streams}, with 64 in a call where streams may share one
a call: how many steps it holds, and whether streams may share it"""
"""What the columns of `table` are."""


def to_json(rows: Sequence[Row], facts: Mapping[str, Any]) -> str:
    """Return the same as JSON, with whatever else is known."""
    return json.dumps({**facts, "rows": [asdict(row) for row in rows]}, indent=1) + "\n"
