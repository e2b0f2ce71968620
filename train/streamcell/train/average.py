"""The average of several runs' networks, which is often better than each of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from streamcell.train.checkpoint import Best, CheckpointError


def average(runs: Sequence[tuple[Path, Best]], shares: Sequence[float]) -> dict[str, Tensor]:
    """Return the weighted mean of the weights of networks that were trained from the same one.

    Runs that begin with the same weights end in one basin of the loss, where the mean generalises better than they do
    (Wortsman et al., Model soups, ICML 2022). Networks of different beginnings have nothing to average.

    Args:
        runs: folders and their best networks.
        shares: one each, their sum 1.

    Returns:
        Weights for the network of any of them.

    Raises:
        CheckpointError: they have other labels, channels or symbols, or other shapes.
    """
    (first, best), *others = runs
    theirs = [one.network.state_dict() for _, one in runs]
    shapes = {name: value.shape for name, value in theirs[0].items()}
    for (folder, other), weights in zip(others, theirs[1:], strict=True):
        if other.columns != best.columns:
            raise CheckpointError(f"{folder} and {first} have other labels, channels or symbols: nothing to average")
        sizes = {name: value.shape for name, value in weights.items()}
        if wrong := [name for name in {**shapes, **sizes} if shapes.get(name) != sizes.get(name)]:
            raise CheckpointError(f"{folder} and {first} have other networks: {', '.join(wrong)} differ")
    parts = [{name: share * value for name, value in w.items()} for share, w in zip(shares, theirs, strict=True)]
    return {name: sum((part[name] for part in parts[1:]), parts[0][name]) for name in shapes}
