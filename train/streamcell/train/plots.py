"""Pictures of a training: curves, and which phone was taken for which."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from streamcell.train.metrics import confusions


def plot_curves(log: Sequence[dict[str, Any]], path: Path) -> None:
    """Draw losses and phone error rate against updates, from the rows of `log.jsonl`."""
    figure = Figure(figsize=(9, 4), layout="constrained")
    losses, rates = figure.subplots(1, 2)
    updates = [row["update"] for row in log]
    spoken = [row for row in log if row["ctc"]]
    losses.plot(updates, [row["frame"] for row in log], label="training, frame")
    losses.plot([row["update"] for row in spoken], [row["ctc"] for row in spoken], label="training, CTC")
    losses.plot([row["update"] for row in spoken], [row["validation"] for row in spoken], label="validation, CTC")
    losses.set(xlabel="update", ylabel="loss a label (nats)", ylim=(0, None))
    losses.legend()
    rates.plot(updates, [100 * row["error_rate"] for row in log], marker=".")
    rates.set(xlabel="update", ylabel="validation phone error rate (%)", ylim=(0, 100))
    for axes in (losses, rates):
        axes.grid(alpha=0.3)
    figure.savefig(path, dpi=120)


def plot_confusions(pairs: Sequence[tuple[Sequence[str], Sequence[str]]], path: Path) -> None:
    """Draw, over (reference, hypothesis) sequences, the share of each reference phone heard as each phone."""
    counts = confusions(pairs)
    names = [*sorted({name for pair in counts for name in pair} - {"-"}), "-"]
    matrix = np.array([[counts[row, column] for column in names] for row in names], float)
    share = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    figure = Figure(figsize=(10, 9), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(np.sqrt(share), cmap="viridis", vmin=0, vmax=1)
    axes.set_xticks(range(len(names)), names, rotation=90, fontsize=8)
    axes.set_yticks(range(len(names)), names, fontsize=8)
    axes.set(
        xlabel='heard ("-": missed)',
        ylabel='spoken ("-": inserted)',
        title="share of each spoken phone (row) heard as each phone (column)",
    )
    bar = figure.colorbar(image, ticks=np.sqrt([0, 0.05, 0.2, 0.5, 1]))
    bar.set_ticklabels(["0", "5%", "20%", "50%", "100%"])
    figure.savefig(path, dpi=110)
