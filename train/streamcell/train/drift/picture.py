"""The measurement as a picture: mistakes over time, sizes of states over time, mistakes after disturbances."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from streamcell.train.drift.policies import NEVER, Trial

__all__ = ["draw"]


def draw(trials: Mapping[str, Trial], chosen: str, title: str, path: Path) -> None:
    """Write the picture.

    Args:
        trials: By the names of their policies, never among them.
        chosen: The best, drawn beside never after disturbances.
        title: Of the picture.
        path: A PNG file.
    """
    figure = Figure(figsize=(10, 11), layout="constrained")
    over, states, after = figure.subplots(3, 1, height_ratios=(3, 2, 3))
    _over_time(over, trials)
    _sizes(states, trials[NEVER])
    _bars(after, {name: trials[name] for name in dict.fromkeys((NEVER, chosen))})
    figure.suptitle(title)
    figure.savefig(path, dpi=110)


def _over_time(axes: Axes, trials: Mapping[str, Trial]) -> None:
    for name, trial in trials.items():
        course = trial.course
        width = 2.5 if name == NEVER else 1.2
        axes.plot(np.array(course.times) / 3600, 100 * course.rates, marker=".", linewidth=width, label=name)
    axes.axhline(100 * trials[NEVER].course.rates[0], color="grey", linewidth=0.8, linestyle=":")
    highest = max(float(trial.course.rates.max()) for trial in trials.values())
    axes.set(xlabel="hours since the stream began", ylabel="error rate (%)", ylim=(0, 110 * highest + 1))
    axes.set_title("the same recordings again and again in one stream", fontsize=10)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8, ncols=2)


def _sizes(axes: Axes, trial: Trial) -> None:
    norms = trial.course.norms
    hours = np.array(norms.times) / 3600
    for index, name in enumerate(norms.mean):
        axes.plot(hours, _smooth(norms.mean[name]), color=f"C{index}", label=f"{name}: mean")
        axes.plot(hours, _smooth(norms.largest[name]), color=f"C{index}", linestyle="--", linewidth=0.8)
    axes.set(xlabel="hours since the stream began", ylabel="magnitude")
    if norms.mean:  # a model without states has nothing to draw
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.yaxis.set_minor_formatter(lambda *_: "")
        axes.legend(fontsize=8, ncols=3)
    axes.set_title("states, never reset: mean (lines) and largest (dashed) over their numbers", fontsize=10)
    axes.grid(alpha=0.3)


def _bars(axes: Axes, trials: Mapping[str, Trial]) -> None:
    names = [probe.name for probe in next(iter(trials.values())).probes]
    places, width = np.arange(len(names)), 0.8 / len(trials)
    for index, (name, trial) in enumerate(trials.items()):
        rates = [100 * probe.rate for probe in trial.probes]
        axes.bar(places + (index + 0.5) * width - 0.4, rates, width, label=name)
    axes.axhline(100 * trials[NEVER].probes[0].rate, color="grey", linewidth=0.8, linestyle=":")
    axes.set_xticks(places, names, rotation=20, ha="right", fontsize=8)
    axes.set(ylabel="error rate (%)")
    axes.set_title("the same recordings in a fresh stream, and right after what disturbs", fontsize=10)
    axes.legend(fontsize=8)


def _smooth(values: list[float]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Return the mean over some neighbours: speech and pauses take turns."""
    size = max(1, len(values) // 100)
    padded = np.pad(np.array(values), (size // 2, size - 1 - size // 2), mode="edge")
    return np.convolve(padded, np.full(size, 1 / size), "valid")
