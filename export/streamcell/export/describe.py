"""What a manifest says of a trained network: one function a kind of recipe."""

from collections.abc import Mapping
from functools import singledispatch
from typing import Any

from streamcell.runtime.manifest import GapPolicy, InputSpec, OutputSpec
from streamcell.train.columns import Columns
from streamcell.train.models import Network
from streamcell.train.recipes.base import Recipe
from streamcell.train.recipes.phonemes import PhonemeRecipe
from streamcell.train.recipes.sensor import SensorRecipe

__all__ = ["describe_data", "describe_task"]


@singledispatch
def describe_task(recipe: Recipe, network: Network, columns: Columns) -> Mapping[str, Any]:
    """Return the manifest's task, input, outputs, decoder and gap policy; dispatched by the recipe's type.

    Args:
        recipe: What was asked for; this base case raises.
        network: What was trained.
        columns: What goes in and comes out.
    """
    raise NotImplementedError(type(recipe).__name__)


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


@singledispatch
def describe_data(recipe: Recipe) -> Mapping[str, Any]:
    """Return what the manifest says of the data; dispatched by the recipe's type."""
    raise NotImplementedError(type(recipe).__name__)


@describe_data.register
def _(recipe: PhonemeRecipe) -> Mapping[str, Any]:
    return {"corpora": {corpus.path: corpus.weight for corpus in recipe.data.corpora}, "noise": recipe.data.noise}


@describe_data.register
def _(recipe: SensorRecipe) -> Mapping[str, Any]:
    held = {"validation": len(recipe.data.validation_groups), "test": len(recipe.data.test_groups)}
    return {"path": recipe.data.path, "groups held out": held}
