"""Network -> ONNX graph: every recurrent layer one operator, every state a named input and output."""

from collections.abc import Sequence
from dataclasses import replace

import onnx
from onnx import TensorProto, helper

from streamcell.export import fronts, layers, recurrent  # noqa: F401 - each registers what it emits
from streamcell.export.builder import END, Builder, emit
from streamcell.runtime.errors import ModelError
from streamcell.runtime.manifest import MANIFEST_KEY, Manifest, StateSpec
from streamcell.runtime.onnx_file import read_onnx
from streamcell.train.forecast_net import ForecastNet
from streamcell.train.models import Network, PhonemeNet, SensorNet, SequenceNet

__all__ = ["build_model", "state_specs", "with_manifest"]

OPSET = 17  # the first with LayerNormalization; every ONNX Runtime since 2022, in browsers too, runs it
IR_VERSION = 8
_TYPES = {"float32": TensorProto.FLOAT, "int64": TensorProto.INT64}


def state_specs(network: Network) -> tuple[StateSpec, ...]:
    """Return how each state of ``network`` appears in the graph: `<state>` comes in, `<state>_next` goes out.

    Examples:
        >>> state_specs(PhonemeNet(labels=3, channels=8, hidden=16, layers=1))[-1]
        StateSpec(input='h0', output='h0_next', shape=(1, 'B', 16), batch_axis=1, dtype='float32', initial=0.0)
    """
    specs = []
    for name, value in network.initial_state(1).items():
        axis = network.batch_axis(name)
        shape = tuple("B" if i == axis else size for i, size in enumerate(value.shape))
        specs.append(StateSpec(name, f"{name}_next", shape, axis))
    return tuple(specs)


def build_model(network: Network, manifest: Manifest) -> onnx.ModelProto:
    """Return ``network`` as an ONNX model that carries ``manifest``.

    The graph computes ``logits, state = network(x, state)``: `[B, N]` (audio), `[B, T, channels]` (features)
    or `[B, T]` (tokens) -> `logits [B, T, labels]`, for any batch and any number of steps.

    Args:
        network: The network; its dropout is left out.
        manifest: Names the input and the output; its states must be `state_specs` of the network.

    Raises:
        ModelError: If the manifest has other states, or a module has no ONNX form.

    Examples:
        >>> from streamcell.runtime.manifest import InputSpec, OutputSpec
        >>> network = PhonemeNet(labels=2, channels=8, hidden=16, layers=1)
        >>> heard = InputSpec("samples", "audio", 16000, 1, network.samples_per_step, 0)
        >>> output = OutputSpec("logits", "logits", ("<blank>", "SIL"), 0, "SIL", 0.03)
        >>> manifest = Manifest("tiny", "", "ctc", heard, state_specs(network), (output,))
        >>> [value.name for value in build_model(network, manifest).graph.output]
        ['logits', 'tail_next', 'conv0_next', 'conv1_next', 'h0_next']
    """
    expected, result = state_specs(network), manifest.outputs[0]
    if manifest.states != expected:
        raise ModelError(f"expected a manifest with the network's states {expected}, got {manifest.states}")
    builder = Builder({spec.input: spec.output for spec in manifest.states}, result.name)
    emit(network, builder, manifest.input.name, "", tuple(builder.following))
    heard = manifest.input
    shape = ("B", "N" if heard.kind == "audio" else "T", *heard.sizes(1, 1)[2:])
    graph = helper.make_graph(
        builder.nodes,
        "network",
        [_tensor(heard.name, shape, heard.dtype), *(_tensor(spec.input, spec.shape) for spec in manifest.states)],
        [_tensor(result.name, ("B", "T", len(result.labels))), *(_tensor(s.output, s.shape) for s in manifest.states)],
        builder.weights(),
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION, producer_name="streamcell"
    )
    return with_manifest(model, manifest)


def with_manifest(model: onnx.ModelProto, manifest: Manifest) -> onnx.ModelProto:
    """Write a manifest into a model, with the checksum of its graph; return it."""
    checksum = read_onnx(model.SerializeToString()).program.hex()
    helper.set_model_props(model, {MANIFEST_KEY: replace(manifest, checksum=checksum).to_json()})
    return model


def _tensor(name: str, shape: Sequence[int | str], dtype: str = "float32") -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, _TYPES[dtype], shape)


@emit.register
def _(module: PhonemeNet, builder: Builder, x: str, _name: str, states: tuple[str, ...]) -> str:
    tail, conv0, conv1, *others = states
    x = emit(module.frontend, builder, x, "frontend", (tail,))
    x = emit(module.standardise, builder, x, "standardise", ())
    if module.gain:
        x = emit(module.gain, builder, x, "gain", (others.pop(0),))
    x = emit(module.conv0, builder, x, "conv0", (conv0,))
    x = emit(module.conv1, builder, x, "conv1", (conv1,))
    return _answer(module, builder, x, tuple(others))


@emit.register
def _(module: SequenceNet, builder: Builder, x: str, _name: str, states: tuple[str, ...]) -> str:
    count = len(module.front.initial_state(1))
    return _answer(module, builder, emit(module.front, builder, x, "front", states[:count]), states[count:])


@emit.register
def _(module: SensorNet, builder: Builder, x: str, _name: str, states: tuple[str, ...]) -> str:
    x = emit(module.standardise, builder, x, "standardise", ())
    x = builder.apply("Relu", emit(module.inputs, builder, x, "inputs", ()))
    return _answer(module, builder, x, states)


@emit.register
def _(module: ForecastNet, builder: Builder, x: str, _name: str, states: tuple[str, ...]) -> str:
    count = len(module.front.initial_state(1))
    front = emit(module.front, builder, x, "front", states[:count])
    y = _answer(module, builder, front, states[count:], output="")
    rises = builder.apply("Softplus", builder.slice(y, module.horizons, END, 2))
    y = builder.apply("Concat", builder.slice(y, 0, module.horizons, 2), rises, axis=2)
    y = builder.apply("MatMul", y, builder.constant("spread", module.spread()))
    now = builder.slice(x, module.target, module.target + 1, 2)
    anchor = now if module.relative else builder.constant("centre", module.centre)
    return builder.apply("Add", y, anchor, output=builder.output)


def _answer(module: Network, builder: Builder, x: str, states: tuple[str, ...], *, output: str | None = None) -> str:
    """Append stack, norm and head, `[B, T, H]` -> `[B, T, labels]`, by default as the network's output."""
    x = builder.apply("Transpose", x, perm=[1, 0, 2])  # [T, B, H]
    count = len(module.stack.state_names)
    x = emit(module.stack, builder, x, "stack", states[:count])
    x = emit(module.norm, builder, x, "norm", ())
    if isinstance(module, SequenceNet) and module.pool:
        x = builder.apply("Concat", x, emit(module.pool, builder, x, "pool", states[count:]), axis=2)
    x = emit(module.head, builder, x, "head", ())
    return builder.apply("Transpose", x, perm=[1, 0, 2], output=builder.output if output is None else output)
