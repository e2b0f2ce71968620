"""Network -> ONNX graph: one function a module type, one node a recurrent layer, every state a named input and output.

Framing, convolutions and the Fourier transform are matrix products over `[B, T, window]`: as fast as the `Conv`
operator for one stream, and nearly twice as fast for sixteen, whose frames share one product. Between recurrent layers
time comes first, `[T, B, H]`, as the recurrent operators want it, so that nothing is transposed there.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import singledispatch
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from streamcell.runtime.errors import ModelError
from streamcell.runtime.manifest import MANIFEST_KEY, Manifest, StateSpec
from streamcell.train.cells import GRU, LSTM, CausalConv, Elman, Stack
from streamcell.train.frontend import LogMel, Standardise
from streamcell.train.models import Network, PhonemeNet, SensorNet

__all__ = ["Builder", "build_model", "emit", "state_specs"]

OPSET = 17  # the first with LayerNormalization; every ONNX Runtime since 2022, in browsers too, runs it
IR_VERSION = 8
END = int(np.iinfo(np.int64).max)


@dataclass(slots=True)
class Builder:
    """Collect nodes and constants; values are known by their names.

    Attributes:
        following: For each state's input name the name of the output that carries it on.
        output: Name of the network's output.
        nodes: The operators, in the order in which they run.
        constants: Weights and indices by name.
    """

    following: dict[str, str]
    output: str
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: dict[str, NDArray[Any]] = field(default_factory=dict)

    def node(self, operator: str, inputs: Sequence[str], outputs: Sequence[str], **attributes: Any) -> None:
        """Append one operator whose outputs are named ``outputs``."""
        self.nodes.append(helper.make_node(operator, inputs, outputs, name=outputs[0], **attributes))

    def apply(self, operator: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        """Append one operator with one output and return the output's name, ``output`` or a fresh one."""
        name = output or f"{operator.lower()}_{len(self.nodes)}"
        self.node(operator, inputs, [name], **attributes)
        return name

    def constant(self, name: str, value: Tensor | NDArray[Any]) -> str:
        """Store a constant and return its name."""
        array = value.detach().cpu().numpy() if isinstance(value, Tensor) else value
        self.constants[name] = np.ascontiguousarray(array)
        return name

    def integers(self, *values: int) -> str:
        """Store whole numbers (axes, shapes, indices) and return their name."""
        return self.constant("_".join(["int", *map(str, values)]), np.array(values, np.int64))

    def slice(self, x: str, start: int, end: int, axis: int, *, stride: int = 1, output: str = "") -> str:
        """Append ``x[start:end:stride]`` along ``axis`` and return its name."""
        indices = [self.integers(number) for number in (start, end, axis, stride)]
        return self.apply("Slice", x, *(indices if stride != 1 else indices[:3]), output=output)

    def weights(self) -> list[TensorProto]:
        """Return the constants as ONNX tensors."""
        return [numpy_helper.from_array(array, name) for name, array in self.constants.items()]


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

    The graph computes ``logits, state = network(x, state)``: `[B, N]` (audio) or `[B, T, channels]` (features) ->
    `logits [B, T, labels]`, for any batch and any number of steps.

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
    shape = ("B", "N") if manifest.input.kind == "audio" else ("B", "T", manifest.input.channels)
    graph = helper.make_graph(
        builder.nodes,
        "network",
        [_tensor(manifest.input.name, shape), *(_tensor(spec.input, spec.shape) for spec in manifest.states)],
        [_tensor(result.name, ("B", "T", len(result.labels))), *(_tensor(s.output, s.shape) for s in manifest.states)],
        builder.weights(),
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION, producer_name="streamcell"
    )
    helper.set_model_props(model, {MANIFEST_KEY: manifest.to_json()})
    return model


def _tensor(name: str, shape: Sequence[int | str]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


@singledispatch
def emit(module: nn.Module, builder: Builder, x: str, name: str, states: tuple[str, ...]) -> str:
    """Append the operators of ``module``; dispatched by its type, so a new module registers one more function.

    Args:
        module: The module; this base case raises.
        builder: Takes the operators.
        x: Name of the module's input: `[B, N]` for `LogMel`, `[B, T, F]` for `CausalConv`, `[T, B, F]` for `Stack` and
            recurrent layers.
        name: Path of the module in the network: its constants' names begin with it.
        states: Names of its states; the function must compute ``builder.following[state]`` for each.

    Returns:
        The name of the module's output.

    Raises:
        ModelError: If nobody has registered a function for this type.
    """
    del builder, x, states
    raise ModelError(f"cannot export {name!r}: no ONNX form is known for a {type(module).__name__}")


@emit.register
def _(module: PhonemeNet, builder: Builder, x: str, _name: str, states: tuple[str, ...]) -> str:
    tail, conv0, conv1, *recurrent = states
    x = emit(module.frontend, builder, x, "frontend", (tail,))
    x = emit(module.standardise, builder, x, "standardise", ())
    x = emit(module.conv0, builder, x, "conv0", (conv0,))
    x = emit(module.conv1, builder, x, "conv1", (conv1,))
    return _answer(module, builder, x, tuple(recurrent))


@emit.register
def _(module: SensorNet, builder: Builder, x: str, _name: str, states: tuple[str, ...]) -> str:
    x = emit(module.standardise, builder, x, "standardise", ())
    x = builder.apply("Relu", emit(module.inputs, builder, x, "inputs", ()))
    return _answer(module, builder, x, states)


def _answer(module: Network, builder: Builder, x: str, states: tuple[str, ...]) -> str:
    """Append stack, norm and head, `[B, T, H]` -> `[B, T, labels]`."""
    x = builder.apply("Transpose", x, perm=[1, 0, 2])  # [T, B, H]
    x = emit(module.stack, builder, x, "stack", states)
    x = emit(module.norm, builder, x, "norm", ())
    x = emit(module.head, builder, x, "head", ())
    return builder.apply("Transpose", x, perm=[1, 0, 2], output=builder.output)


@emit.register
def _(module: LogMel, builder: Builder, x: str, name: str, states: tuple[str, ...]) -> str:
    frames = _frames(builder, x, states[0], window=module.n_fft, hop=module.hop, width=1)
    power = _power(builder, frames, module.kernel.squeeze(1), name)  # [B, T, bins]
    mel = builder.apply("MatMul", power, builder.constant(f"{name}.filters", module.filters))
    floor = builder.constant(f"{name}.floor", np.array(module.floor, np.float32))
    return builder.apply("Log", builder.apply("Add", mel, floor))


def _power(builder: Builder, frames: str, kernel: Tensor, name: str) -> str:
    """Append the power spectrum, with half the products that the Fourier kernel `[2 * bins, n]` asks for.

    The window is 0 at 0 and symmetric about `n / 2`, so cosines meet only `x_j + x_{n-j}` and sines only
    `x_j - x_{n-j}`, j = 1 ... n / 2.
    """
    half = kernel.shape[1] // 2
    rise = builder.slice(frames, 1, half + 1, 2)
    fall = builder.slice(frames, -1, half - 1, 2, stride=-1)
    middle = np.ones(half, np.float32)
    middle[-1] = 0.5  # x_{n/2} meets itself: twice in the sum, zero in the difference
    squares = []
    for operator, part in zip(("Add", "Sub"), kernel[:, 1 : half + 1].chunk(2), strict=True):
        basis = builder.constant(f"{name}.{operator.lower()}", (part.cpu().numpy() * middle).T)
        wave = builder.apply("MatMul", builder.apply(operator, rise, fall), basis)
        squares.append(builder.apply("Mul", wave, wave))
    return builder.apply("Add", *squares)


@emit.register
def _(module: Standardise, builder: Builder, x: str, name: str, _states: tuple[str, ...]) -> str:
    centred = builder.apply("Sub", x, builder.constant(f"{name}.mean", module.mean))
    return builder.apply("Div", centred, builder.constant(f"{name}.scale", module.scale))


@emit.register
def _(module: CausalConv, builder: Builder, x: str, name: str, states: tuple[str, ...]) -> str:
    conv = module.conv
    frames = _frames(builder, x, states[0], window=conv.kernel_size[0], hop=conv.stride[0], width=conv.in_channels)
    matrix = conv.weight.permute(2, 1, 0).flatten(0, 1)  # [kernel * in, out]
    product = builder.apply("MatMul", frames, builder.constant(f"{name}.weight", matrix))
    assert conv.bias is not None
    return builder.apply("Relu", builder.apply("Add", product, builder.constant(f"{name}.bias", conv.bias)))


def _frames(builder: Builder, x: str, past: str, *, window: int, hop: int, width: int) -> str:
    """Append the overlapping windows of `past, x` along axis 1, `[B, T, window * width]`, and the next `past`.

    `past` has the `window - hop` rows that go before `x`. Windows are put together from pieces of one hop: piece i of
    all windows is a slice of the signal, reshaped. The last piece, perhaps shorter than a hop, lies wholly in `x`.
    """
    heard = builder.apply("Concat", past, x, axis=1)
    context = window - hop
    builder.slice(heard, -context, END, 1, output=builder.following[past])

    def rows(signal: str) -> str:
        return signal if hop == 1 else builder.apply("Reshape", signal, builder.integers(0, -1, hop * width))

    starts = range(0, context, hop)
    pieces = [rows(builder.slice(heard, start, start - context, 1)) for start in starts]
    missing = len(starts) * hop + hop - window
    last = rows(x)
    pieces.append(builder.slice(last, missing * width, END, 2) if missing else last)
    return builder.apply("Concat", *pieces, axis=2)


@emit.register
def _(module: Stack, builder: Builder, x: str, name: str, states: tuple[str, ...]) -> str:
    each = len(states) // len(module.layers)
    for i, (norm, layer) in enumerate(zip(module.norms, module.layers, strict=True)):
        normed = emit(norm, builder, x, f"{name}.norms.{i}", ())
        y = emit(layer, builder, normed, f"{name}.layers.{i}", states[i * each : (i + 1) * each])
        x = builder.apply("Add", x, y)
    return x


@emit.register
def _(module: GRU, builder: Builder, x: str, name: str, states: tuple[str, ...]) -> str:
    return _recurrent(module, builder, x, name, states, operator="GRU", gates=(1, 0, 2), linear_before_reset=1)


@emit.register
def _(module: LSTM, builder: Builder, x: str, name: str, states: tuple[str, ...]) -> str:
    return _recurrent(module, builder, x, name, states, operator="LSTM", gates=(0, 3, 1, 2))


@emit.register
def _(module: Elman, builder: Builder, x: str, name: str, states: tuple[str, ...]) -> str:
    return _recurrent(module, builder, x, name, states, operator="RNN", gates=(0,), activations=["Tanh"])


def _recurrent(
    module: nn.RNNBase,
    builder: Builder,
    x: str,
    name: str,
    states: tuple[str, ...],
    *,
    operator: str,
    gates: tuple[int, ...],
    **attributes: Any,
) -> str:
    """Append one recurrent operator, `[T, B, in]` -> `[T, B, H]`; ``gates`` are torch's gates in ONNX's order."""
    weights = dict(module.named_parameters())

    def reorder(weight: str) -> NDArray[Any]:
        parts = weights[f"{weight}_l0"].detach().cpu().numpy().reshape(len(gates), module.hidden_size, -1)
        return np.concatenate([parts[gate] for gate in gates])

    w = builder.constant(f"{name}.weight_ih", reorder("weight_ih")[None])
    r = builder.constant(f"{name}.weight_hh", reorder("weight_hh")[None])
    b = builder.constant(f"{name}.bias", np.concatenate([reorder("bias_ih"), reorder("bias_hh")]).T)
    y = f"{name}.y"  # [T, 1, B, H]: the 1 is the number of directions
    after = [builder.following[state] for state in states]
    builder.node(operator, [x, w, r, b, "", *states], [y, *after], hidden_size=module.hidden_size, **attributes)
    return builder.apply("Squeeze", y, builder.integers(1))


@emit.register
def _(module: nn.LayerNorm, builder: Builder, x: str, name: str, _states: tuple[str, ...]) -> str:
    weight = builder.constant(f"{name}.weight", module.weight)
    bias = builder.constant(f"{name}.bias", module.bias)
    return builder.apply("LayerNormalization", x, weight, bias, axis=-1, epsilon=module.eps)


@emit.register
def _(module: nn.Linear, builder: Builder, x: str, name: str, _states: tuple[str, ...]) -> str:
    product = builder.apply("MatMul", x, builder.constant(f"{name}.weight", module.weight.T))
    return builder.apply("Add", product, builder.constant(f"{name}.bias", module.bias))
