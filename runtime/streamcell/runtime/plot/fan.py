"""Draw a forecast: the past, and a fan of quantiles behind it; needs matplotlib, as `picture` does."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamcell.runtime.errors import InputError, MissingExtraError
from streamcell.runtime.forecast import Horizons
from streamcell.runtime.past import Past, is_date

try:
    from matplotlib.figure import Figure
except ImportError as error:
    raise MissingExtraError("matplotlib", "plot", "to draw a picture") from error

__all__ = ["compose", "draw"]

_LEAST_PAST = 48  # rows
_SUFFIXES = (".png", ".svg")
_DPI = 150


def draw(figure: Figure, path: Path) -> None:
    """Write a picture, whole or not at all.

    Raises:
        InputError: If the name does not end with .png or .svg.
    """
    form = path.suffix.lower()
    if form not in _SUFFIXES:
        raise InputError(f"{path}: expected a name that ends with {' or '.join(_SUFFIXES)}")
    unfinished = path.with_name(f"{path.name}.partial")
    try:
        figure.savefig(unfinished, format=form[1:], dpi=_DPI, metadata={"Date": None} if form == ".svg" else {})
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def compose(
    horizons: Horizons,
    table: NDArray[np.float32],
    past: Past,
    column: int | None,
    *,
    came: NDArray[np.float32] | None = None,
    title: str = "",
) -> Figure:
    """Return the figure: the last rows of the past, bands between pairs of quantiles, the middle quantile.

    Args:
        horizons: What the columns of the table are.
        table: `[horizons, quantiles]`.
        past: What was heard.
        column: The target's, or None where it is not among the channels.
        came: The rows that really came after it `[n, channels]`, or None.
        title: Of the picture.
    """
    figure = Figure(figsize=(11, 5), layout="constrained")
    axes, quantiles = figure.subplots(), horizons.quantiles
    steps = np.array(horizons.horizons)
    ahead = _places(past, steps)
    for low in range(len(quantiles) // 2):
        high = len(quantiles) - 1 - low
        band = f"{quantiles[low]:.0%} to {quantiles[high]:.0%}"
        shade = 0.15 + 0.15 * low
        if len(steps) > 1:
            axes.fill_between(ahead, table[:, low], table[:, high], color="C0", alpha=shade, linewidth=0, label=band)
        else:
            axes.vlines(ahead, table[:, low], table[:, high], color="C0", alpha=shade, linewidth=9, label=band)
    middle = int(np.abs(np.array(quantiles) - 0.5).argmin())
    marker = "o" if len(steps) == 1 else None
    name = "median" if quantiles[middle] == 0.5 else f"{quantiles[middle]:.0%}"
    axes.plot(ahead, table[:, middle], color="C0", marker=marker, label=name)
    if column is not None:
        rows = min(len(past.values), max(_LEAST_PAST, 3 * int(steps[-1])))
        axes.plot(_places(past, np.arange(1 - rows, 1)), past.values[-rows:, column], color="0.3", label="past")
        if came is not None and len(came):
            after = np.arange(1, min(len(came), int(steps[-1])) + 1)
            axes.plot(_places(past, after), came[: len(after), column], "k.", markersize=4, label="what came")
    axes.axvline(_places(past, np.array([0]))[0], color="0.6", linestyle="--", linewidth=1)
    axes.set(ylabel=horizons.target, title=title, xlabel="" if _dated(past) else _unit(past))
    axes.legend(loc="upper left", bbox_to_anchor=(1.005, 1), fontsize="small", frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.3)
    return figure


def _dated(past: Past) -> bool:
    last = past.seconds(0)
    return past.interval is not None and last is not None and is_date(last)


def _unit(past: Past) -> str:
    return "steps after the last one heard" if past.interval is None else "time (s)"


def _places(past: Past, steps: NDArray[np.int64]) -> list[Any]:
    """Return where steps lie on the axis of time: dates, seconds, or the numbers of the steps."""
    if past.interval is None:
        return [int(step) for step in steps]
    seconds = [past.seconds(int(step)) or 0.0 for step in steps]
    return [datetime.fromtimestamp(one, UTC) for one in seconds] if _dated(past) else list(seconds)
