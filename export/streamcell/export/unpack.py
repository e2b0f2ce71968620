"""A model file that `streamcell export` wrote -> the network it was made of, to go on training with.

Nothing here knows how a layer is exported. Export moves numbers: each weight of a network stands in one place of the
graph or several, perhaps with another sign. So a network of the same recipe is filled with numbers that say where they
stand, exported, and where they come out shows what every place of the file's graph holds.
"""

import warnings
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import numpy_helper
from torch import Tensor

from streamcell.export.exporter import describe
from streamcell.export.graph import build_model
from streamcell.runtime.errors import ModelError
from streamcell.runtime.manifest import Manifest
from streamcell.train.checkpoint import Best
from streamcell.train.columns import Columns
from streamcell.train.models import Network
from streamcell.train.pair_net import PairNet
from streamcell.train.recipe import AnyRecipe, parse_recipe
from streamcell.train.transfer import shape_text

__all__ = ["unpack"]

_ADVICE = "give the recipe with the [model] that it was trained by"
_BASE = 4096  # places are written in two digits: both are exact in float32, with either sign

Arrays = dict[str, NDArray[Any]]


def unpack(data: bytes, manifest: Manifest, recipe_text: str) -> Best:
    """Return the network of a model file, its weights exactly those that were exported.

    Args:
        data: The file.
        manifest: The file's.
        recipe_text: A recipe whose [model] is that of the recipe that the file was trained by.

    Raises:
        RecipeError: If the recipe cannot be read.
        ModelError: If the recipe describes another network, or the file holds its weights in another form, as
            `streamcell quantize` and `streamcell adopt` write them.

    Examples:
        >>> best = unpack(data, Model.open(data).manifest, Path("recipe.toml").read_text())  # doctest: +SKIP
    """
    if "quantised" in manifest.training:
        raise ModelError("`streamcell quantize` made this file: unpack the one that it was made of")
    best, blank = _begin(manifest, parse_recipe(recipe_text), recipe_text, len(data))
    network, model = best.network, onnx.load_from_string(data)
    stored = _constants(model)
    _refuse_others(stored, _numbered(network, blank, None))
    network.load_state_dict(_weights(network, blank, stored))
    again = build_model(network, blank)
    found = _constants(again)
    if wrong := [name for name in stored if not np.array_equal(stored[name], found[name])]:
        raise ModelError(f"cannot be unpacked: {', '.join(wrong)} cannot be told from the graph, or [model] is another")
    if list(again.graph.node) != list(model.graph.node) or _described(blank) != _described(manifest):
        raise ModelError(f"the file's network does otherwise than the recipe's: {_ADVICE}")
    return best


def _begin(manifest: Manifest, recipe: AnyRecipe, text: str, size: int) -> tuple[Best, Manifest]:
    """Return the recipe's network for what the file takes and gives, not yet its weights, and its manifest."""
    heard, figures = manifest.input, manifest.training.get("figures")
    columns = Columns(manifest.outputs[0].labels, heard.channel_names, heard.units, heard.symbols)
    known = dict(figures) if isinstance(figures, dict) else {}
    known["updates"] = known["updates"] if type(known.get("updates")) is int else 0
    try:
        with warnings.catch_warnings(action="ignore"):
            best = Best(_network(recipe, columns, size), recipe, columns, known, text)
            return best, describe(best)
    except (ModelError, RuntimeError, ValueError) as error:
        raise ModelError(f"the file does not hold the network of the recipe: {error}") from error


def _network(recipe: AnyRecipe, columns: Columns, size: int) -> Network:
    """Return the recipe's network; a stranger's recipe may ask for more than a file of ``size`` bytes can hold."""
    with torch.device("meta"):
        sketch = recipe.network(columns)
    if isinstance(sketch, PairNet):
        raise ModelError("an encoder and its decoder are two files, which cannot be unpacked")
    if 4 * (weights := sum(weight.numel() for weight in sketch.parameters())) > size:
        raise ModelError(f"it has {weights} weights, more than a file of {size} bytes holds")
    return recipe.network(columns).eval()


def _described(manifest: Manifest) -> tuple[Any, ...]:
    return manifest.input, manifest.outputs, manifest.states


def _weights(network: Network, manifest: Manifest, stored: Arrays) -> dict[str, Tensor]:
    """Return what the network's weights must be for the graph to hold ``stored``."""
    before = {name: value.clone() for name, value in network.state_dict().items()}
    sizes = [value.numel() for value in before.values()]
    nothing, low, high = (_numbered(network, manifest, digit) for digit in (None, 0, 1))
    network.load_state_dict(before)
    flat = np.full(sum(sizes), np.nan, np.float32)
    for name, values in stored.items():
        here, there = low[name] - nothing[name], high[name] - nothing[name]
        moved = here != 0
        if values.dtype != np.float32 or (here % 1 != 0).any() or (there % 1 != 0).any():
            continue
        digits = [np.abs(one[moved]).astype(np.int64) - 1 for one in (here, there)]
        places = digits[0] + digits[1] * _BASE
        if ((places >= 0) & (places < len(flat))).all():
            flat[places] = values[moved] * np.sign(here[moved])
    parts = np.split(flat, np.cumsum(sizes)[:-1])
    found = {name: torch.from_numpy(part).reshape(before[name].shape) for name, part in zip(before, parts, strict=True)}
    if lost := [name for name, value in found.items() if value.isnan().any() and not value.isnan().all()]:
        raise ModelError(f"cannot be unpacked: {', '.join(lost)} cannot be told from the graph")
    return {name: before[name] if value.isnan().all() else value for name, value in found.items()}  # not in the graph


def _numbered(network: Network, manifest: Manifest, digit: int | None) -> Arrays:
    """Return the graph's constants where each weight is a digit of its place plus 1, from the lowest, or all are 0."""
    at = 0
    with torch.no_grad():
        for weight in network.state_dict().values():
            places = torch.arange(at, at + weight.numel()).reshape(weight.shape)
            digits = {None: torch.zeros_like(places), 0: places % _BASE + 1, 1: places // _BASE + 1}[digit]
            weight.copy_(digits)
            at += weight.numel()
    return _constants(build_model(network, manifest))


def _constants(model: onnx.ModelProto) -> Arrays:
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}


def _refuse_others(stored: Arrays, expected: Arrays) -> None:
    """Raise where the graph's constants are not those that the recipe's network has.

    Raises:
        ModelError: See above.
    """
    for name in {**expected, **stored}:
        there, here = (arrays[name].shape if name in arrays else None for arrays in (stored, expected))
        if there != here:
            raise ModelError(
                f"{name} is {shape_text(there)} in the file and {shape_text(here)} by the recipe: {_ADVICE}; a file "
                "that `adopt` wrote cannot be unpacked"
            )
