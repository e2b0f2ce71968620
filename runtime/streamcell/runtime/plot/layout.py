"""Where things go in a picture, in which colour and in which words; nothing here draws."""

import math
from collections.abc import Sequence

import numpy as np

from streamcell.runtime.events import Segment
from streamcell.runtime.plot.scene import Panel, Scene

__all__ = [
    "AREAS",
    "LINES",
    "SILENT",
    "colours",
    "lanes",
    "likely_labels",
    "limits",
    "reset_times",
    "time_ticks",
    "written",
]

LINES = (
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9",
    "#8877ff", "#770000", "#dd1144", "#001188", "#441133", "#442266",
)  # fmt: skip
"""Of lines: six of Okabe and Ito's and six more; any two differ, to the colour-blind too."""

AREAS = (
    "#77aadd", "#ee8866", "#aaeeaa", "#cc8899", "#eedd77", "#99ddff",
    "#7788dd", "#aa9933", "#aaccaa", "#ddaacc", "#9988aa", "#99aaff",
)  # fmt: skip
"""Of areas, light enough for black text; any two differ, to the colour-blind too."""

SILENT = "#dddddd"
"""Of a label that stands for a pause."""

_LIKELY = 0.05
_MOST_ROWS = 60
_MARGIN = 0.06
_MOST_TICKS = 8
_STEPS = (10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400)  # seconds
_LONG = 120.0  # seconds; longer times are told in minutes


def colours(labels: Sequence[str], silence: str | None) -> dict[str, str]:
    """Give each label a colour; of many labels several share one.

    Examples:
        >>> colours(["SIL", "AA"], "SIL")
        {'SIL': '#dddddd', 'AA': '#77aadd'}
    """
    spoken = [label for label in labels if label != silence]
    shades = {label: AREAS[index % len(AREAS)] for index, label in enumerate(spoken)}
    return {label: shades.get(label, SILENT) for label in labels}


def lanes(segments: Sequence[Segment]) -> list[int]:
    """Put segments, ordered by their beginning, side by side where they overlap: return the lane of each, from 0.

    Examples:
        >>> lanes([Segment("a", 0, 2, 1), Segment("b", 1, 3, 1), Segment("c", 2, 4, 1)])
        [0, 1, 0]
    """
    ends: list[float] = []
    found = []
    for segment in segments:
        free = next((lane for lane, end in enumerate(ends) if end <= segment.start), len(ends))
        ends[free : free + 1] = [segment.end]
        found.append(free)
    return found


def likely_labels(scene: Scene) -> list[int]:
    """Return which of many labels are worth a row: those that ever are above 5%; at least one, at most 60."""
    values = np.where(np.isnan(scene.probabilities.values), 0.0, scene.probabilities.values)
    peaks = values.max(axis=0, initial=0.0)
    count = max(1, min(int((peaks > _LIKELY).sum()), _MOST_ROWS))
    return sorted(np.argsort(-peaks, kind="stable")[:count].tolist())


def limits(panel: Panel, *, symmetric: bool) -> tuple[float, float]:
    """Return between what the axis of a panel lies."""
    values = np.concatenate([panel.low.values.ravel(), panel.high.values.ravel()])
    values = values[~np.isnan(values)]
    low, high = (float(values.min()), float(values.max())) if len(values) else (0.0, 0.0)
    if symmetric:
        low, high = -max(-low, high), max(-low, high)
    margin = _MARGIN * (high - low) or _MARGIN * abs(high) or 1.0
    return low - margin, high + margin


def reset_times(scene: Scene) -> list[float]:
    """Return when the model began anew, after gaps that were too long for it as well."""
    times = [reset.time for reset in scene.resets] + [gap.end for gap in scene.gaps if gap.action == "reset"]
    return [time for time in times if scene.start <= time < scene.end]


def time_ticks(start: float, end: float) -> tuple[list[float], list[str], str] | None:
    """Return ticks of a long time axis, what stands at them, and what they are; None where seconds will do.

    Examples:
        >>> time_ticks(3000.0, 4000.0)
        ([3000.0, 3300.0, 3600.0, 3900.0], ['0:50:00', '0:55:00', '1:00:00', '1:05:00'], 'time (h:min:s)')
    """
    if end - start <= _LONG:
        return None
    step = next((step for step in _STEPS if (end - start) / step < _MOST_TICKS), 86400)
    places = [float(step * index) for index in range(math.ceil(start / step), math.floor(end / step) + 1)]
    hours = end >= 3600
    return places, [_clock(round(place), hours=hours) for place in places], f"time ({'h:' if hours else ''}min:s)"


def written(text: str, most: int = 40) -> str:
    r"""Return a name as it is written: the middle of a long one left out, and what cannot stand in an SVG file marked.

    Examples:
        >>> written("a-rather-long-name.flac", 12), written("a\x00b")
        ('a-rat...flac', 'a�b')
    """
    text = "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)
    end = max(1, (most - 3) // 2)
    return text if len(text) <= most else f"{text[: most - 3 - end]}...{text[-end:]}"


def _clock(seconds: int, *, hours: bool) -> str:
    """Write a time of day.

    Examples:
        >>> _clock(3725, hours=True), _clock(125, hours=False)
        ('1:02:05', '2:05')
    """
    minutes, rest = divmod(seconds, 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
