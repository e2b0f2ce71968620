"""An encoder and its decoder -> two ONNX files, the second one naming the first."""

from dataclasses import replace
from importlib.metadata import version

from streamcell.export.builder import Builder, emit
from streamcell.export.describe import describe_data
from streamcell.export.exporter import Exported, describe, prove_file
from streamcell.export.graph import state_specs
from streamcell.runtime.errors import InputError
from streamcell.runtime.manifest import InputSpec, Link, Manifest, OutputSpec
from streamcell.runtime.model import Model
from streamcell.train.checkpoint import Best
from streamcell.train.pair_net import Narrow, PairNet
from streamcell.train.recipes.pairs import PairRecipe

__all__ = ["describe_encoder", "export_pair"]

VALUES = "values"
"""The encoder's output."""


def export_pair(best: Best, name: str | None = None) -> tuple[Exported, Exported]:
    """Return the files of a run's encoder and decoder, each proven on random input.

    The decoder's manifest links each of its states to the encoder's answer, and to no other encoder.

    Args:
        best: From `load_best`, of a recipe for pairs.
        name: The decoder's name; None takes the recipe's. The encoder's has "-encoder" behind it.

    Raises:
        InputError: If the run is of another task.
        ParityError: If ONNX Runtime does not give what torch gives, or blocks not what the whole gives.
        ModelError: If the network cannot be exported, or its weights are not finite.

    Examples:
        >>> encoder, decoder = export_pair(load_best(Path("runs/translate")))  # doctest: +SKIP
    """
    network = best.network
    if not isinstance(network, PairNet):
        raise InputError(f"expected a run of task 'pairs', got one of {best.recipe.task!r}")
    manifest = describe_encoder(best, name)
    encoder = prove_file(network.encoder, manifest, {})
    states = {spec.input: VALUES for spec in state_specs(network)}
    link = Link(manifest.name, Model.open(encoder.data).fingerprint, states)
    return encoder, prove_file(network, replace(describe(best, name), link=link), {})


def describe_encoder(best: Best, name: str | None = None) -> Manifest:
    """Return the manifest of a run's encoder, still without its proof; arguments as of `export_pair`."""
    recipe, network = best.recipe, best.network
    assert isinstance(recipe, PairRecipe)
    assert isinstance(network, PairNet)
    encoder, image = network.encoder, recipe.data.image
    if image:
        channels = image[0] * image[1] * image[2]
        heard = InputSpec("x", "features", 1, channels, 1, 0, image=image)
    else:
        heard = InputSpec("x", "tokens", 1, 1, 1, 0, symbols=best.columns.symbols, split=recipe.data.source_split)
    numbers = tuple(f"v{place}" for place in range(network.stack.hidden))
    return Manifest(
        name=f"{name or recipe.name}-encoder",
        description=f"Encoder of {name or recipe.name}. {recipe.description}".strip(),
        task="encode",
        input=heard,
        states=state_specs(encoder),
        outputs=(OutputSpec(VALUES, "values", numbers, None, None, seconds_per_step=1.0),),
        training={"data": describe_data(recipe), "seed": recipe.train.seed, "cell": recipe.encoder.cell},
        licence=recipe.licence,
        created_by=f"streamcell {version('streamcell')}",
    )


@emit.register
def _(module: Narrow, builder: Builder, x: str, name: str, _states: tuple[str, ...]) -> str:
    vectors = builder.apply("Gather", builder.constant(f"{name}.embedding", module.embedding.weight), x)
    return emit(module.dense, builder, vectors, f"{name}.dense", ())


@emit.register
def _(module: PairNet, builder: Builder, x: str, _name: str, states: tuple[str, ...]) -> str:
    *recurrent, context = states
    builder.node("Identity", [context], [builder.following[context]])
    heard = builder.apply("MatMul", context, builder.constant("hear.weight", module.hear.weight.T))  # [B, H]
    x = builder.apply("Transpose", emit(module.front, builder, x, "front", ()), perm=[1, 0, 2])  # [T, B, H]
    x = emit(module.stack, builder, builder.apply("Add", x, heard), "stack", tuple(recurrent))
    x = emit(module.narrow, builder, emit(module.norm, builder, x, "norm", ()), "narrow", ())
    # the matrix that `Gather` reads is in the file once; ONNX Runtime turns it when it loads
    turned = builder.apply("Transpose", "front.embedding", perm=[1, 0])
    logits = builder.apply("Add", builder.apply("MatMul", x, turned), builder.constant("head.bias", module.head.bias))
    return builder.apply("Transpose", logits, perm=[1, 0, 2], output=builder.output)
