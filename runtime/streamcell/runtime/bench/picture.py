"""A picture of latency: how many steps took how long, in a loop and paced."""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from streamcell.runtime.bench.report import Latency, Report

__all__ = ["draw", "histogram"]

_BINS = 80
_ROWS = (("in a loop", "push_loop", "model_loop"), ("paced at real time", "push_paced", "model_paced"))


def draw(report: Report, path: Path) -> None:
    """Write the latency histogram of a report as the picture that the ending of ``path`` names."""
    title = f"{report.model.name} on {report.machine.processor}, {report.machine.threads} thread(s)"
    histogram(report.times, report.model.step_ms, title).savefig(path, dpi=120)


def histogram(times: dict[str, NDArray[np.int64]], step_ms: float, title: str) -> Figure:
    """Draw durations of steps: above in a loop, below paced, `Stream.push` and the bare model each.

    Args:
        times: Nanoseconds, by the names of `Latencies`.
        step_ms: Length of a step, marked as the limit.
        title: Of the picture.
    """
    figure = Figure(figsize=(9, 6), layout="constrained")
    every = np.concatenate(list(times.values())) / 1000
    edges = np.geomspace(0.9 * every.min(), 1.1 * max(every.max(), 1000 * step_ms), _BINS + 1)
    for axes, (name, push, model) in zip(figure.subplots(2, 1, sharex=True), _ROWS, strict=True):
        for key, label, colour in ((push, "Stream.push", "C0"), (model, "bare model", "C1")):
            one = Latency.of(times[key])
            shares = f"p50 {one.p50_us:.1f}, p99 {one.p99_us:.1f}, max {one.max_us:.1f} us"
            axes.hist(times[key] / 1000, bins=edges, color=colour, alpha=0.6, label=f"{label}: {shares}")
        axes.axvline(1000 * step_ms, color="C3", linestyle="--", label=f"one step lasts {step_ms:g} ms")
        axes.set(xscale="log", yscale="log", ylabel="steps", title=name)
        axes.legend(fontsize=8)
        axes.grid(alpha=0.3)
    axes.set_xlabel("time that a step takes (microseconds)")
    figure.suptitle(title)
    return figure
