"""The average of several runs' networks, which is often better than each of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
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
        if keys := _differing(other, best):
            raise CheckpointError(f"{folder} and {first} have other networks, by {', '.join(keys)} of their recipes")
        sizes = {name: value.shape for name, value in weights.items()}
        if wrong := [name for name in {**shapes, **sizes} if shapes.get(name) != sizes.get(name)]:
            raise CheckpointError(f"{folder} and {first} have other networks: {', '.join(wrong)} differ")
    parts = [{name: share * value for name, value in w.items()} for share, w in zip(shares, theirs, strict=True)]
    return {name: sum((part[name] for part in parts[1:]), parts[0][name]) for name in shapes}


def _differing(one: Best, other: Best) -> list[str]:
    """Return by which keys of their recipes two networks are others; dropout is of training alone."""
    recipes: list[dict[str, Any]] = [msgspec.to_builtins(best.recipe) for best in (one, other)]
    parts = [name for name in ("model", "encoder", "decoder") if all(isinstance(r.get(name), dict) for r in recipes)]
    found = [
        f"{part}.{key}"
        for part in parts
        for key in {**recipes[0][part], **recipes[1][part]}
        if key != "dropout" and recipes[0][part].get(key) != recipes[1][part].get(key)
    ]
    return found if one.network.sample_rate == other.network.sample_rate else [*found, "sample_rate"]
