"""First weights out of another run: fine-tuning on other data, or training that goes on with another recipe."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from streamcell.train.checkpoint import CheckpointError, load_best
from streamcell.train.columns import Columns
from streamcell.train.models import Network


@dataclass(frozen=True, slots=True)
class Transfer:
    """What was taken from where, and the names of weights that stay as they were drawn."""

    name: str
    updates: int
    drawn: tuple[str, ...]

    def __str__(self) -> str:
        drawn = f"; drawn anew, as its labels are others: {', '.join(self.drawn)}" if self.drawn else ""
        return f"begins with the weights of {self.name}, update {self.updates}{drawn}"


def take_weights(network: Network, columns: Columns, run: Path) -> Transfer:
    """Put the best weights of the run folder `run` into `network`, whose data have `columns`.

    The scaling of the input comes along. Only the head stays as it is, and only if the labels are others.

    Raises:
        CheckpointError: no run there, or another network than this.
    """
    best = load_best(run)
    theirs: dict[str, Tensor] = best.network.state_dict()
    ours: dict[str, Tensor] = network.state_dict()
    drawn = tuple(name for name in ours if name.startswith("head.")) if best.columns.labels != columns.labels else ()
    for name in {**ours, **theirs}:
        shapes = [tuple(weights[name].shape) if name in weights else None for weights in (theirs, ours)]
        if name not in drawn and shapes[0] != shapes[1]:
            raise CheckpointError(
                f"--from {run}: its network is another: {name} is {_shape(shapes[0])} there and {_shape(shapes[1])} by "
                f"this recipe; give the recipe the [model] of {run / 'recipe.toml'}"
            )
    network.load_state_dict({name: ours[name] if name in drawn else theirs[name] for name in ours})
    return Transfer(best.recipe.name, int(best.figures["updates"]), drawn)


def _shape(shape: Any) -> str:
    return "absent" if shape is None else " x ".join(map(str, shape)) or "one number"
