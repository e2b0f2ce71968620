"""A small real model of three channels, and readings for it."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from streamcell.runtime.manifest import MANIFEST_KEY, GapPolicy, InputSpec, Manifest, OutputSpec, StateSpec

CHANNELS = ("acc_x", "acc_y", "gyr_z")
LABELS = ("rest", "walk", "turn", "fall")


def sensor_manifest(rate: int = 50, look_ahead: int = 0, **changes: Any) -> Manifest:
    """Return the manifest of `sensor_model`; ``changes`` are fields of `Manifest`."""
    values: dict[str, Any] = {
        "name": "moves",
        "description": "Says which channel is large.",
        "task": "frames",
        "input": InputSpec("x", "features", rate, 3, 1, look_ahead, CHANNELS, ("g", "g", "rad/s")),
        "states": (StateSpec("h0", "h0_next", (1, "B", 3), 1),),
        "outputs": (OutputSpec("logits", "logits", LABELS, None, None, 1 / rate),),
        "decoder": {"min_duration": 0.1},
        "gap": GapPolicy("hold", 1.0),
    }
    return Manifest(**{**values, **changes})


def sensor_model(rate: int = 50, look_ahead: int = 0, **changes: Any) -> bytes:
    """Return an ONNX file: `x [B, T, 3]` -> one RNN of 3 units -> logits over `LABELS`.

    A unit is a leaky sum of a channel; the label of the largest one holds, or the first where all are small.
    """
    head = np.concatenate([np.zeros((3, 1)), 8 * np.eye(3)], axis=1)
    weights = {
        "w": 1.5 * np.eye(3)[None],
        "r": 0.6 * np.eye(3)[None],
        "head": head,
        "shift": np.array([3.0, 0, 0, 0]),
    }
    nodes = [
        helper.make_node("Transpose", ["x"], ["time_first"], perm=[1, 0, 2]),
        helper.make_node("RNN", ["time_first", "w", "r", "", "", "h0"], ["y", "h0_next"], hidden_size=3),
        helper.make_node("Squeeze", ["y", "one"], ["squeezed"]),
        helper.make_node("MatMul", ["squeezed", "head"], ["product"]),
        helper.make_node("Add", ["product", "shift"], ["scores"]),
        helper.make_node("Transpose", ["scores"], ["logits"], perm=[1, 0, 2]),
    ]
    shapes: dict[str, list[Any]] = {
        "x": ["B", "T", 3],
        "h0": [1, "B", 3],
        "logits": ["B", "T", len(LABELS)],
        "h0_next": [1, "B", 3],
    }
    infos = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()]
    arrays = [numpy_helper.from_array(array.astype(np.float32), name) for name, array in weights.items()]
    one = numpy_helper.from_array(np.array([1], np.int64), "one")
    graph = helper.make_graph(nodes, "moves", infos[:2], infos[2:], [*arrays, one])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, {MANIFEST_KEY: sensor_manifest(rate, look_ahead, **changes).to_json()})
    return bytes(model.SerializeToString())


def moves(count: int, rate: float = 50.0, seed: int = 0) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """Return times `[n]`, not quite regular, and values `[n, 3]` in which one channel after the other is large."""
    random = np.random.default_rng(seed)
    times = np.cumsum(random.uniform(0.7, 1.3, count)) / rate
    which = np.repeat(random.integers(0, 4, count // 40 + 1), 40)[:count]
    values = random.normal(0, 0.05, (count, 3))
    for channel in range(3):
        values[which == channel + 1, channel] += 0.8
    return times, values.astype(np.float32)
