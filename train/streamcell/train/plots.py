"""Pictures of a training: curves, and which label was taken for which."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

NO_LOSS = {"update", "gradient", "learning_rate", "validation", "error_rate"}
"""What a row of the log holds besides losses."""


def plot_curves(log: Sequence[dict[str, Any]], measure: str, path: Path) -> None:
    """Draw losses and error rate, called `measure`, against updates, from the rows of `log.jsonl`."""
    figure = Figure(figsize=(9, 4), layout="constrained")
    losses, rates = figure.subplots(1, 2)
    names = [name for name in log[-1] if name not in NO_LOSS]
    whole = [row for row in log if all(row.get(name) for name in names)]  # some losses come later than others
    for name in names:
        rows = [row for row in log if row.get(name)]
        losses.plot([row["update"] for row in rows], [row[name] for row in rows], label=f"training, {name}")
    losses.plot([row["update"] for row in whole], [row["validation"] for row in whole], label="validation")
    losses.set(xlabel="update", ylabel="loss a label (nats)", ylim=(0, None))
    losses.legend()
    rates.plot([row["update"] for row in log], [100 * row["error_rate"] for row in log], marker=".")
    rates.set(xlabel="update", ylabel=f"validation {measure} (%)", ylim=(0, 100))
    for axes in (losses, rates):
        axes.grid(alpha=0.3)
    figure.savefig(path, dpi=120)


def plot_fading(curves: Mapping[str, Sequence[float]], title: str, path: Path) -> None:
    """Draw how much of a gradient is left so many steps back, on a logarithmic scale.

    Args:
        curves: by name; each begins at lag 0. Names that begin with the same word share a colour.
        title: of the picture.
        path: of the picture.
    """
    figure = Figure(figsize=(9, 5), layout="constrained")
    axes = figure.subplots()
    families = list(dict.fromkeys(name.split()[0] for name in curves))
    drawn = dict.fromkeys(families, 0)
    for name, shares in curves.items():
        family = name.split()[0]
        line, colour = ("-", "--", ":", "-.")[drawn[family] % 4], f"C{families.index(family) % 10}"
        axes.plot([share if share > 0 else np.nan for share in shares], label=name, linestyle=line, color=colour)
        drawn[family] += 1
    axes.axhline(1, color="grey", linewidth=0.8)
    axes.set_yscale("log")
    axes.set_ylim(max(1e-12, axes.get_ylim()[0]), min(1e6, axes.get_ylim()[1]))
    axes.set(xlabel="lag k (steps back)", ylabel="gain of ds[t] / ds[t-k], what is left of a gradient", title=title)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.set_xlim(0, max(len(shares) for shares in curves.values()) - 1)
    axes.grid(alpha=0.3)
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False)
    figure.savefig(path, dpi=120)


def plot_confusions(counts: Mapping[tuple[str, str], int], path: Path, names: Sequence[str] = ()) -> None:
    """Draw the share of each reference label (row) that was heard as each label (column).

    Args:
        counts: of pairs (reference, answer); "-" stands for nothing.
        path: of the picture.
        names: the labels in their order; empty: all that are counted, sorted.
    """
    names = names or [*sorted({name for pair in counts for name in pair} - {"-"}), "-"]
    matrix = np.array([[counts.get((row, column), 0) for column in names] for row in names], float)
    share = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    figure = Figure(figsize=(10, 9), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(np.sqrt(share), cmap="viridis", vmin=0, vmax=1)
    axes.set_xticks(range(len(names)), names, rotation=90, fontsize=8)
    axes.set_yticks(range(len(names)), names, fontsize=8)
    axes.set(
        xlabel='answered ("-": missed)' if "-" in names else "answered",
        ylabel='true ("-": inserted)' if "-" in names else "true",
        title="share of each label (row) that was answered as each label (column)",
    )
    bar = figure.colorbar(image, ticks=np.sqrt([0, 0.05, 0.2, 0.5, 1]))
    bar.set_ticklabels(["0", "5%", "20%", "50%", "100%"])
    figure.savefig(path, dpi=110)


def plot_shares(x: Sequence[float], shares: Mapping[str, Sequence[float]], across: str, up: str, path: Path) -> None:
    """Draw shares (0 to 1), by name, as percents over `x`; `across` and `up` are what the axes are called."""
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    for name, values in shares.items():
        axes.plot(x, 100 * np.asarray(values, float), label=name, marker=".")
    axes.set(xlabel=across, ylabel=up, ylim=(0, 100))
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=110)
