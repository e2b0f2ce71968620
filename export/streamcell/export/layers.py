"""Layers without recurrence -> ONNX operators, see `emit`.

Framing, convolutions over time and the Fourier transform are matrix products over `[B, T, window]`: as fast as the
`Conv` operator for one stream, and nearly twice as fast for sixteen, whose frames share one product.
"""

import numpy as np
from torch import Tensor, nn

from streamcell.export.builder import END, Builder, emit
from streamcell.train.cells import CausalConv
from streamcell.train.frontend import LogMel, Standardise
from streamcell.train.gain import GainControl
from streamcell.train.pooling import RunningMean

__all__: list[str] = []


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
def _(module: GainControl, builder: Builder, x: str, name: str, states: tuple[str, ...]) -> str:
    """Append a recurrent layer without cross-talk, whose activation is none: each bin forgets by itself."""
    each, zero = np.eye(len(module.strength), dtype=np.float32)[None], builder.integers(0)
    inputs = [
        builder.apply("Transpose", x, perm=[1, 0, 2]),  # [T, B, mels]
        builder.constant(f"{name}.share", (1 - module.keep) * each),
        builder.constant(f"{name}.keep", module.keep * each),
        "",
        "",
        builder.apply("Unsqueeze", states[0], zero),
    ]
    affine = {"activations": ["Affine"], "activation_alpha": [1.0], "activation_beta": [0.0]}
    builder.node("RNN", inputs, [f"{name}.levels", f"{name}.last"], hidden_size=each.shape[1], **affine)
    builder.apply("Squeeze", f"{name}.last", zero, output=builder.following[states[0]])
    levels = builder.apply("Squeeze", f"{name}.levels", builder.integers(1))
    taken = builder.apply("Mul", levels, builder.constant(f"{name}.strength", module.strength))
    return builder.apply("Sub", x, builder.apply("Transpose", taken, perm=[1, 0, 2]))


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
def _(module: nn.LayerNorm, builder: Builder, x: str, name: str, _states: tuple[str, ...]) -> str:
    weight = builder.constant(f"{name}.weight", module.weight)
    bias = builder.constant(f"{name}.bias", module.bias)
    return builder.apply("LayerNormalization", x, weight, bias, axis=-1, epsilon=module.eps)


@emit.register
def _(module: nn.Linear, builder: Builder, x: str, name: str, _states: tuple[str, ...]) -> str:
    product = builder.apply("MatMul", x, builder.constant(f"{name}.weight", module.weight.T))
    return builder.apply("Add", product, builder.constant(f"{name}.bias", module.bias))


@emit.register
def _(_module: RunningMean, builder: Builder, x: str, name: str, states: tuple[str, ...]) -> str:
    mean, count = states  # [B, F], [B, 1]; x is [T, B, F]
    nought, one = (builder.constant(f"{name}.{n}", np.array(n, np.float32)) for n in (0, 1))
    ones = builder.apply("Add", builder.apply("Mul", builder.slice(x, 0, 1, 2), nought), one)
    axis = builder.constant("axis_0", np.array(0, np.int64))
    counts = builder.apply("Add", builder.apply("CumSum", ones, axis), count)
    total = builder.apply("Add", builder.apply("CumSum", x, axis), builder.apply("Mul", mean, count))
    means = builder.apply("Div", total, counts)
    for steps, state in ((means, mean), (counts, count)):
        last = builder.slice(steps, -1, END, 0)
        builder.apply("Squeeze", last, builder.integers(0), output=builder.following[state])
    return means
