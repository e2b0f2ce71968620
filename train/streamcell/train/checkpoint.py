"""Checkpoints: written whole or not at all, read without pickle's code execution (`weights_only`)."""

from __future__ import annotations

import os
import pickle
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import torch

from streamcell.runtime.errors import StreamcellError
from streamcell.train.columns import Columns
from streamcell.train.models import Network
from streamcell.train.recipe import AnyRecipe, parse_recipe

FORMAT = 1


class CheckpointError(StreamcellError):
    """A checkpoint is absent, unreadable, or of another recipe."""


@dataclass(frozen=True, slots=True)
class Best:
    """The best network of a run: averaged weights, evaluation mode, with the recipe, its text and figures."""

    network: Network
    recipe: AnyRecipe
    columns: Columns
    figures: dict[str, Any]
    text: str = ""


def save(path: Path, content: dict[str, Any]) -> None:
    """Write `content` to `path` so that a crash leaves the old file or the new one, never half of one."""
    partial = path.with_suffix(".partial")
    with partial.open("wb") as file:
        torch.save({"format": FORMAT, **content}, file)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def check_new_folder(out: Path) -> None:
    """Refuse, before any work, a run folder that cannot be made.

    Raises:
        CheckpointError: it is there already, or what it should be in is no folder that can be written to.
    """
    if out.is_symlink() or out.exists():
        raise CheckpointError(f"--out {out} is there already; name a folder that is not")
    above = next(parent for parent in out.absolute().parents if parent.exists())
    if not above.is_dir() or not os.access(above, os.W_OK):
        raise CheckpointError(f"--out {out} cannot be made: {above} is no folder that can be written to")


def load(path: Path) -> dict[str, Any]:
    """Return what `save` wrote.

    Raises:
        CheckpointError: no such file, damaged, or of a format that this version does not know.
    """
    if not path.is_file():
        raise CheckpointError(
            f"expected a checkpoint at {path}, found none; "
            f"train first: streamcell train RECIPE.toml --data DIR --out {path.parent}"
        )
    try:
        content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"cannot read the checkpoint {path}: it holds more than tensors and plain values"
        ) from error
    except (RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        raise CheckpointError(f"cannot read the checkpoint {path}: it is damaged ({error!r:.80})") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise CheckpointError(f"expected {path} to be a streamcell checkpoint of format {FORMAT}")
    return content


def save_best(
    path: Path, weights: dict[str, torch.Tensor], recipe_text: str, columns: Columns, figures: dict[str, Any]
) -> None:
    """Write what export needs: averaged weights, recipe text, names of columns, figures."""
    names = {name: list(values) for name, values in asdict(columns).items()}
    save(path, {"weights": weights, "recipe": recipe_text, **names, "figures": figures})


def load_best(run: Path) -> Best:
    """Return the best network of the run folder `run`, ready to export.

    Raises:
        CheckpointError: no run there, or its `best.pt` is damaged or does not fit its own recipe.
    """
    if not run.is_dir():
        raise CheckpointError(f"expected a run folder at {run}, found none")
    content = load(run / "best.pt")
    try:
        recipe = parse_recipe(content["recipe"])
        columns = Columns(
            tuple(content["labels"]),  # what comes after them may be younger than the file
            *(tuple(content.get(field.name, ())) for field in fields(Columns)[1:]),
        )
        network = recipe.network(columns)
        network.load_state_dict(content["weights"])
        return Best(network.eval(), recipe, columns, dict(content["figures"]), content["recipe"])
    except (KeyError, TypeError, RuntimeError) as error:
        raise CheckpointError(f"{run / 'best.pt'} does not fit its own recipe: {str(error).splitlines()[0]}") from error
