"""What stands before the recurrent layers -> ONNX operators, see `emit`."""

import numpy as np
from onnx import TensorProto
from torch import nn

from streamcell.export.builder import END, Builder, emit
from streamcell.train.cells import CausalConv
from streamcell.train.fronts import Changes, Dense, Embed, Motifs, Picture, Sound

__all__: list[str] = []


@emit.register
def _(module: Embed, builder: Builder, x: str, name: str, _states: tuple[str, ...]) -> str:
    return builder.apply("Gather", builder.constant(f"{name}.embedding", module.embedding.weight), x)


@emit.register
def _(module: Motifs, builder: Builder, x: str, name: str, states: tuple[str, ...]) -> str:
    place, conv0 = states
    nought, one = (builder.constant(f"{name}.{n}", np.array(n, np.float32)) for n in (0, 1))
    ones = builder.apply("Add", builder.apply("Mul", builder.apply("Cast", x, to=TensorProto.FLOAT), nought), one)
    steps = builder.apply("CumSum", ones, builder.constant("axis_1", np.array(1, np.int64)))  # 1, 2, ...
    after = builder.apply("Add", steps, place)
    most = builder.constant(f"{name}.most", np.array(module.places.num_embeddings, np.float32))
    after = builder.apply("Min", after, most)
    builder.slice(after, -1, END, 1, output=builder.following[place])
    places = builder.apply("Cast", builder.apply("Sub", after, one), to=TensorProto.INT64)
    vectors = [
        builder.apply("Gather", builder.constant(f"{name}.{part}", table.weight), index)
        for part, table, index in (("embedding", module.embedding, x), ("places", module.places, places))
    ]
    return emit(module.conv0, builder, builder.apply("Add", *vectors), f"{name}.conv0", (conv0,))


@emit.register
def _(module: Dense, builder: Builder, x: str, name: str, _states: tuple[str, ...]) -> str:
    x = emit(module.standardise, builder, x, f"{name}.standardise", ())
    return builder.apply("Relu", emit(module.inputs, builder, x, f"{name}.inputs", ()))


@emit.register
def _(module: Changes, builder: Builder, x: str, name: str, states: tuple[str, ...]) -> str:
    conv = CausalConv(module.before.in_channels, module.width, kernel=module.window)
    conv.load_state_dict({"conv.weight": module.weight(), "conv.bias": module.before.bias})
    x = emit(module.standardise, builder, x, f"{name}.standardise", ())
    return emit(conv, builder, x, f"{name}.before", states)


@emit.register
def _(module: Sound, builder: Builder, x: str, name: str, states: tuple[str, ...]) -> str:
    tail, conv0, conv1 = states
    x = emit(module.frontend, builder, x, f"{name}.frontend", (tail,))
    x = emit(module.standardise, builder, x, f"{name}.standardise", ())
    x = emit(module.conv0, builder, x, f"{name}.conv0", (conv0,))
    return emit(module.conv1, builder, x, f"{name}.conv1", (conv1,))


@emit.register
def _(module: Picture, builder: Builder, x: str, name: str, _states: tuple[str, ...]) -> str:
    rows, columns, colours = module.shape
    pictures = builder.apply("Reshape", x, builder.integers(-1, rows, columns, colours))  # [B * T, ...]
    y = builder.apply("Transpose", pictures, perm=[0, 3, 1, 2])
    for part, conv in (("conv0", module.conv0), ("conv1", module.conv1)):
        y = builder.apply("Relu", _convolve(conv, builder, y, f"{name}.{part}"))
    flat = builder.apply("Reshape", y, builder.integers(0, -1))
    y = builder.apply("Relu", emit(module.dense, builder, flat, f"{name}.dense", ()))
    steps = builder.slice(builder.apply("Shape", x), 0, 2, 0)  # [B, T]
    width = builder.constant(f"{name}.width", np.array([module.width], np.int64))
    return builder.apply("Reshape", y, builder.apply("Concat", steps, width, axis=0))


def _convolve(conv: nn.Conv2d, builder: Builder, x: str, name: str) -> str:
    assert conv.bias is not None
    weight, bias = builder.constant(f"{name}.weight", conv.weight), builder.constant(f"{name}.bias", conv.bias)
    pads = [int(size) for size in conv.padding] * 2
    return builder.apply("Conv", x, weight, bias, strides=list(conv.stride), pads=pads)
