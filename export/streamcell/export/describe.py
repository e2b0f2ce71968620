"""What a manifest says of a trained network: one function a kind of recipe."""

from collections.abc import Mapping
from functools import singledispatch
from math import prod
from typing import Any, Literal

import msgspec

from streamcell.runtime.errors import ModelError
from streamcell.runtime.manifest import GapPolicy, InputSpec, OutputSpec
from streamcell.runtime.symbols import Split
from streamcell.train.columns import Columns
from streamcell.train.fronts import Embed, Front, Motifs, Picture, Sound
from streamcell.train.models import Network, SequenceNet
from streamcell.train.recipes.base import Recipe
from streamcell.train.recipes.forecast import ForecastRecipe
from streamcell.train.recipes.labelled_text import TextsRecipe
from streamcell.train.recipes.labels import LabelsRecipe
from streamcell.train.recipes.pairs import PairRecipe
from streamcell.train.recipes.phonemes import PhonemeRecipe
from streamcell.train.recipes.pictures import PicturesRecipe
from streamcell.train.recipes.sensor import SensorRecipe
from streamcell.train.recipes.text import TextRecipe

__all__ = ["describe_data", "describe_task"]


@singledispatch
def describe_task(recipe: Recipe, network: Network, columns: Columns) -> Mapping[str, Any]:
    """Return the manifest's task, input, outputs, decoder and gap policy; dispatched by the recipe's type.

    Args:
        recipe: What was asked for; this base case raises.
        network: What was trained.
        columns: What goes in and comes out.

    Raises:
        ModelError: If nobody has registered a function for this type.
    """
    del network, columns
    raise ModelError(f"cannot export {recipe.name!r}: no manifest is known for a {type(recipe).__name__}")


@describe_task.register
def _(recipe: PhonemeRecipe, network: Network, columns: Columns) -> Mapping[str, Any]:
    size, rate = network.samples_per_step, network.sample_rate
    return {
        "task": "ctc",
        "input": InputSpec("samples", "audio", rate, 1, size, recipe.model.look_ahead),
        "outputs": (OutputSpec("logits", "logits", columns.labels, 0, "SIL", seconds_per_step=size / rate),),
        "decoder": {"name": "ctc-greedy"},
        "gap": GapPolicy("fill", reset_after=1.0),
    }


@describe_task.register
def _(recipe: SensorRecipe, network: Network, columns: Columns) -> Mapping[str, Any]:
    rate, channels = network.sample_rate, len(columns.channels)
    return {
        "task": "frames",
        "input": InputSpec("x", "features", rate, channels, 1, 0, columns.channels, columns.units),
        "outputs": (OutputSpec("logits", "logits", columns.labels, None, None, seconds_per_step=1 / rate),),
        "decoder": {"name": "smoothed", **recipe.decoder},
        "gap": GapPolicy(recipe.gap.action, recipe.gap.reset_after),
    }


@describe_task.register
def _(recipe: ForecastRecipe, _network: Network, columns: Columns) -> Mapping[str, Any]:
    model, channels = recipe.model, len(columns.channels)
    return {
        "task": "forecast",
        "input": InputSpec("x", "features", 1, channels, 1, 0, columns.channels, columns.units),
        "outputs": (OutputSpec("forecast", "values", columns.labels, None, None, seconds_per_step=1.0),),
        "decoder": {
            "target": recipe.data.target,
            "horizons": list(range(1, model.horizons + 1)),
            "quantiles": list(model.quantiles),
        },
        "gap": GapPolicy("hold", reset_after=1.0),
    }


@describe_task.register
def _(recipe: PairRecipe, _network: Network, columns: Columns) -> Mapping[str, Any]:
    labels = columns.labels
    return {
        "task": "next",
        "input": InputSpec("x", "tokens", 1, 1, 1, 0, symbols=labels, split=recipe.data.target_split),
        "outputs": (OutputSpec("logits", "logits", labels, None, None, seconds_per_step=1.0),),
        "decoder": {"temperature": 0.0, "length": 100, "start": "<start>", "stop": "<end>", **recipe.decoder},
        "gap": GapPolicy("hold", reset_after=1.0),
    }


@describe_task.register
def _(recipe: TextRecipe, _network: Network, columns: Columns) -> Mapping[str, Any]:
    tokens = InputSpec("x", "tokens", 1, 1, 1, 0, symbols=columns.symbols, split=recipe.data.split)
    return {
        "task": "next",
        "input": tokens,
        "outputs": (OutputSpec("logits", "logits", columns.symbols, None, None, seconds_per_step=1.0),),
        "decoder": msgspec.to_builtins(recipe.decoder),
        "gap": GapPolicy("hold", reset_after=1.0),
    }


@describe_task.register
def _(recipe: LabelsRecipe, network: Network, columns: Columns) -> Mapping[str, Any]:
    if not isinstance(network, SequenceNet):
        raise TypeError(f"expected a SequenceNet, got {type(network).__name__}")
    split = recipe.data.split if isinstance(recipe.data, TextsRecipe) else ""
    heard = _heard(network.front, columns, split)
    return {
        "task": "sequence",
        "input": heard,
        "outputs": (OutputSpec("logits", "logits", columns.labels, None, None, heard.seconds_per_step),),
        "decoder": {"name": "whole"},
        "gap": GapPolicy("hold", reset_after=1.0),
    }


def _heard(front: Front, columns: Columns, split: Split | Literal[""]) -> InputSpec:
    """Return what a front takes."""
    rate = front.sample_rate
    if isinstance(front, Embed | Motifs):
        return InputSpec("x", "tokens", 1, 1, 1, 0, symbols=columns.symbols, split=split)
    if isinstance(front, Sound):
        return InputSpec("samples", "audio", rate, 1, front.samples_per_step, 0)
    if isinstance(front, Picture):
        return InputSpec("x", "features", rate, prod(front.shape), 1, 0, image=front.shape)
    return InputSpec("x", "features", rate, len(columns.channels), 1, 0, columns.channels, columns.units)


@describe_task.register
def _(recipe: PicturesRecipe, _network: Network, columns: Columns) -> Mapping[str, Any]:
    data, alone = recipe.data, not recipe.model.layers
    image = (data.rows, data.columns, data.colours)
    return {
        "task": "sequence" if alone else "frames",
        "input": InputSpec("x", "features", data.sample_rate, prod(image), 1, 0, image=image),
        "outputs": (OutputSpec("logits", "logits", columns.labels, None, None, 1 / data.sample_rate),),
        "decoder": {"name": "whole"} if alone else {"name": "smoothed", **recipe.decoder},
        "gap": GapPolicy("hold", reset_after=2.0),
    }


@singledispatch
def describe_data(recipe: Recipe) -> Mapping[str, Any]:
    """Return what the manifest says of the data; dispatched by the recipe's type.

    Raises:
        ModelError: If nobody has registered a function for this type.
    """
    raise ModelError(f"cannot export {recipe.name!r}: nothing is known of the data of a {type(recipe).__name__}")


@describe_data.register
def _(recipe: PhonemeRecipe) -> Mapping[str, Any]:
    return {"corpora": {corpus.path: corpus.weight for corpus in recipe.data.corpora}, "noise": recipe.data.noise}


@describe_data.register
def _(recipe: SensorRecipe | PicturesRecipe) -> Mapping[str, Any]:
    held = {"validation": len(recipe.data.validation_groups), "test": len(recipe.data.test_groups)}
    return {"path": recipe.data.path, "groups held out": held}


@describe_data.register
def _(recipe: ForecastRecipe) -> Mapping[str, Any]:
    data = recipe.data
    return {"path": data.path, "training rows": data.training_rows, "validation rows": data.validation_rows}


@describe_data.register
def _(recipe: PairRecipe) -> Mapping[str, Any]:
    data = recipe.data
    held = {"validation": data.validation, "test": data.test, "seed": data.split_seed}
    return {"path": data.path, "pairs held out": held if data.format == "tsv" else "as the file says"}


@describe_data.register
def _(recipe: TextRecipe) -> Mapping[str, Any]:
    return {"path": recipe.data.path, "share held out": recipe.data.validation_share}


@describe_data.register
def _(recipe: LabelsRecipe) -> Mapping[str, Any]:
    data = recipe.data
    return {"path": data.path, "groups held out": {"validation": data.validation_groups, "test": data.test_groups}}
