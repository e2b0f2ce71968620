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
    """What was taken from where, the names of weights that stay as they were drawn, and of those that it lacks."""

    name: str
    updates: int
    drawn: tuple[str, ...]
    lacking: tuple[str, ...] = ()

    def __str__(self) -> str:
        drawn = f"; drawn anew, as its labels are others: {', '.join(self.drawn)}" if self.drawn else ""
        lacking = f"; new, as it has no gain control: {', '.join(self.lacking)}" if self.lacking else ""
        return f"begins with the weights of {self.name}, update {self.updates}{drawn}{lacking}"


def take_weights(network: Network, columns: Columns, run: Path) -> Transfer:
    """Put the best weights of the run folder `run` into `network`, whose data have `columns`.

    The scaling of the input comes along. The head stays as it is, with vectors of symbols that share its matrix, only
    if the labels are others; gain control only where the run has none.

    Raises:
        CheckpointError: no run there, another network than this, or one that heard another sample rate or other
            channels, units or symbols.
    """
    best = load_best(run)
    _refuse_other_input(best.columns, columns, run)
    if best.network.sample_rate != network.sample_rate:
        raise CheckpointError(
            f"--from {run}: its network hears {best.network.sample_rate} Hz, that of this recipe "
            f"{network.sample_rate} Hz; say the sample_rate of {run / 'recipe.toml'}"
        )
    ours: dict[str, Tensor] = network.state_dict()
    theirs: dict[str, Tensor] = best.network.state_dict()
    drawn = _of_head(ours) if best.columns.labels != columns.labels else ()
    lacking = tuple(name for name in ours if name.startswith("gain.") and name not in theirs)
    for name in {**ours, **theirs}:
        shapes = [tuple(weights[name].shape) if name in weights else None for weights in (theirs, ours)]
        if name not in (*drawn, *lacking) and shapes[0] != shapes[1]:
            raise CheckpointError(
                f"--from {run}: its network is another: {name} is {shape_text(shapes[0])} there and "
                f"{shape_text(shapes[1])} by this recipe; give the recipe the [model] of {run / 'recipe.toml'}"
            )
    network.load_state_dict({name: ours[name] if name in (*drawn, *lacking) else theirs[name] for name in ours})
    return Transfer(best.recipe.name, int(best.figures["updates"]), drawn, lacking)


def _refuse_other_input(theirs: Columns, ours: Columns, run: Path) -> None:
    """Raise where the same number of an input would mean something else."""
    for kind in ("channels", "units", "symbols"):
        there, here = getattr(theirs, kind), getattr(ours, kind)
        if there and here and there != here:
            place = next((i for i, pair in enumerate(zip(there, here, strict=False)) if len(set(pair)) > 1), None)
            first = "" if place is None else f", number {place + 1} {there[place]!r} there and {here[place]!r} here"
            raise CheckpointError(
                f"--from {run}: its {kind} are others ({len(there)} there, {len(here)} here{first}), so its weights "
                f"mean nothing here; use data with the same {kind}, or begin without --from"
            )


def _of_head(weights: dict[str, Tensor]) -> tuple[str, ...]:
    """Return the names of the head's weights, and of others that are the very same tensors."""
    places = {weight.data_ptr() for name, weight in weights.items() if name.startswith("head.")}
    return tuple(name for name, weight in weights.items() if weight.data_ptr() in places)


def shape_text(shape: Any) -> str:
    """Return a shape for people; None is of what is not there."""
    return "absent" if shape is None else " x ".join(map(str, shape)) or "one number"
