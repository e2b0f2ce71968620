"""The best network of a run -> the bytes of a proven model file."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.metadata import version

import numpy as np
from numpy.typing import NDArray

from streamcell.export.describe import describe_data, describe_task
from streamcell.export.graph import build_model, state_specs
from streamcell.export.parity import BOUND, Exact, measure, prove
from streamcell.runtime.errors import InputError
from streamcell.runtime.manifest import Manifest
from streamcell.runtime.model import Model
from streamcell.runtime.verify import VerifyReport
from streamcell.train.checkpoint import Best
from streamcell.train.models import Network
from streamcell.train.pair_net import PairNet

__all__ = ["Exported", "describe", "export_best", "prove_file"]


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
        InputError: If the network is an encoder and a decoder.

    Examples:
        >>> best = load_best(Path("runs/phonemes"))  # doctest: +SKIP
        >>> Path("phonemes.onnx").write_bytes(export_best(best, {}).data)  # doctest: +SKIP
    """
    if isinstance(best.network, PairNet):
        raise InputError("an encoder and its decoder are two files: use streamcell.export.pairs.export_pair")
    return prove_file(best.network, describe(best, name), recordings)


def prove_file(network: Network, manifest: Manifest, recordings: Mapping[str, NDArray[np.float32]]) -> Exported:
    """Return the model file of a network in evaluation mode, proven as in `export_best`.

    The graph may differ from the network by `BOUND`; where it differs by more, it is compared with the network in
    float64, and may differ from that by 4 times as much as the network in float32 does. The manifest tells the bound.

    Args:
        network: What to write.
        manifest: What the file says of itself; the proof is added.
        recordings: As of `export_best`.

    Raises:
        ParityError: As `export_best`.
        ModelError: As `export_best`.
    """
    unproven = Model.open(build_model(network, manifest).SerializeToString())
    reports, bound = measure(network, unproven, recordings), BOUND
    if not all(report.within(BOUND) for report in reports.values()):
        exact = Exact(network, logs=manifest.outputs[0].kind == "logits")
        reports = measure(network, unproven, recordings, reference=exact)
        bound = exact.bound
    model = build_model(network, replace(manifest, parity=prove(reports, bound)))
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
    return Manifest(
        name=name or recipe.name,
        description=recipe.description,
        states=state_specs(best.network),
        training={
            "data": describe_data(recipe),
            "seed": recipe.train.seed,
            "cell": recipe.model.cell,
            "figures": best.figures,
            **({"recipe": best.text} if best.text else {}),
        },
        licence=recipe.licence,
        created_by=f"streamcell {version('streamcell')}",
        **describe_task(recipe, best.network, best.columns),
    )
