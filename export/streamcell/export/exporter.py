"""The best network of a run -> the bytes of a proven model file."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.metadata import version
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from streamcell.export.graph import build_model, state_specs
from streamcell.export.parity import measure, prove
from streamcell.runtime.manifest import GapPolicy, InputSpec, Manifest, OutputSpec
from streamcell.runtime.model import Model
from streamcell.runtime.verify import VerifyReport
from streamcell.train.checkpoint import Best
from streamcell.train.recipe import PhonemeRecipe, SensorRecipe

__all__ = ["Exported", "describe", "export_best"]


@dataclass(frozen=True, slots=True)
class Exported:
    """Hold a model file and the proof that it is right.

    Attributes:
        data: The file.
        reports: By input, the differences that were found.
        operators: The graph's operators in the order in which they run.
    """

    data: bytes
    reports: dict[str, VerifyReport]
    operators: tuple[str, ...]


def export_best(best: Best, recordings: Mapping[str, NDArray[np.float32]], name: str | None = None) -> Exported:
    """Return the model file of a run's best network, proven on random input and on ``recordings``.

    Args:
        best: From `load_best`.
        recordings: By name, each `[N]` or `[T, channels]` at the network's rate, at least one step long.
        name: The model's name; None takes the recipe's.

    Raises:
        ParityError: If ONNX Runtime does not give what torch gives, or blocks not what the whole gives.
        ModelError: If the network cannot be exported, or its weights are not finite.

    Examples:
        >>> best = load_best(Path("runs/phonemes"))  # doctest: +SKIP
        >>> Path("phonemes.onnx").write_bytes(export_best(best, {}).data)  # doctest: +SKIP
    """
    manifest = describe(best, name)
    unproven = Model.open(build_model(best.network, manifest).SerializeToString())
    reports = measure(best.network, unproven, recordings)
    model = build_model(best.network, replace(manifest, parity=prove(reports)))
    data = model.SerializeToString()
    Model.open(data)
    return Exported(data, reports, tuple(node.op_type for node in model.graph.node))


def describe(best: Best, name: str | None = None) -> Manifest:
    """Return the manifest of a run's best network, still without its proof.

    Args:
        best: From `load_best`.
        name: The model's name; None takes the recipe's.
    """
    recipe = best.recipe
    describe_task = _phonemes if isinstance(recipe, PhonemeRecipe) else _sensor
    return Manifest(
        name=name or recipe.name,
        description=recipe.description,
        states=state_specs(best.network),
        training=_training(best),
        licence=recipe.licence,
        created_by=f"streamcell {version('streamcell')}",
        **describe_task(best),
    )


def _phonemes(best: Best) -> dict[str, Any]:
    """Return what the manifest of a phoneme network says of its task."""
    recipe, network = cast("PhonemeRecipe", best.recipe), best.network
    size, rate = network.samples_per_step, network.sample_rate
    output = OutputSpec("logits", "logits", best.columns.labels, blank=0, silence="SIL", seconds_per_step=size / rate)
    return {
        "task": "ctc",
        "input": InputSpec("samples", "audio", rate, 1, size, recipe.model.look_ahead),
        "outputs": (output,),
        "decoder": {"name": "ctc-greedy"},
        "gap": GapPolicy("fill", reset_after=1.0),
    }


def _sensor(best: Best) -> dict[str, Any]:
    """Return what the manifest of a sensor network says of its task."""
    recipe, columns = cast("SensorRecipe", best.recipe), best.columns
    rate, channels = best.network.sample_rate, len(columns.channels)
    return {
        "task": "frames",
        "input": InputSpec("x", "features", rate, channels, 1, 0, columns.channels, columns.units),
        "outputs": (OutputSpec("logits", "logits", columns.labels, None, None, seconds_per_step=1 / rate),),
        "decoder": {"name": "smoothed", **recipe.decoder},
        "gap": GapPolicy(recipe.gap.action, recipe.gap.reset_after),
    }


def _training(best: Best) -> dict[str, Any]:
    """Return what the network was trained on and what came of it."""
    recipe = best.recipe
    if isinstance(recipe, PhonemeRecipe):
        data: dict[str, Any] = {"corpora": {corpus.path: corpus.weight for corpus in recipe.data.corpora}}
        data["noise"] = recipe.data.noise
    else:
        held = {"validation": len(recipe.data.validation_groups), "test": len(recipe.data.test_groups)}
        data = {"path": recipe.data.path, "groups held out": held}
    return {"data": data, "seed": recipe.train.seed, "cell": recipe.model.cell, "figures": best.figures}
