"""A toy network of symbols that counts with whole numbers, and says what it counted as logits."""

from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from streamcell.runtime.manifest import MANIFEST_KEY, InputSpec, Manifest, OutputSpec, StateSpec
from streamcell.runtime.model import Model

DIGITS = ("0", "1", "2", "3", "4")

_NODES = [
    helper.make_node("Cast", ["x"], ["whole"], to=TensorProto.FLOAT),
    helper.make_node("Transpose", ["whole"], ["turned"], perm=[1, 0]),
    helper.make_node("Unsqueeze", ["turned", "two"], ["each"]),
    helper.make_node("RNN", ["each", "w", "r", "b", "", "h0"], ["y", "h0_next"], activations=["Relu"], hidden_size=3),
    helper.make_node("Squeeze", ["y", "one"], ["counted"]),
    helper.make_node("Transpose", ["counted"], ["batch_first"], perm=[1, 0, 2]),
    helper.make_node("MatMul", ["batch_first", "place"], ["logits"]),
]
_WEIGHTS: dict[str, np.ndarray[Any, Any]] = {
    "one": np.array([1], np.int64),
    "two": np.array([2], np.int64),
    "w": np.array([[[0], [1], [1]]], np.float32),
    "r": np.array([[[1, 0, 0], [0, 1, 0], [0, 1, 1]]], np.float32),
    "b": np.array([[1, 0, 0, 0, 0, 0]], np.float32),
    "place": np.eye(3, 5, dtype=np.float32),
}


def tally_model(**changes: Any) -> Model:
    """Return a model whose logits are [steps, sum, weighted sum, 0, 0] of the symbols so far, exact below 2 ** 24.

    The weighted sum is the sum of the sums: swapping two symbols shows. ``changes`` are fields of the manifest.
    """
    graph = helper.make_graph(
        _NODES,
        "tally",
        [
            helper.make_tensor_value_info("x", TensorProto.INT64, ["B", "T"]),
            helper.make_tensor_value_info("h0", TensorProto.FLOAT, [1, "B", 3]),
        ],
        [
            helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["B", "T", 5]),
            helper.make_tensor_value_info("h0_next", TensorProto.FLOAT, [1, "B", 3]),
        ],
        [numpy_helper.from_array(array, name) for name, array in _WEIGHTS.items()],
    )
    spec = InputSpec("x", "tokens", 1, 1, 1, 0, symbols=DIGITS, split="characters")
    output = OutputSpec("logits", "logits", DIGITS, None, None, 1.0)
    state = StateSpec("h0", "h0_next", (1, "B", 3), 1)
    manifest = Manifest("tally", "Counts.", "next", spec, (state,), (output,), **changes)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, {MANIFEST_KEY: manifest.to_json()})
    return Model.open(bytes(model.SerializeToString()))


def counts(places: list[int]) -> list[list[int]]:
    """Return what the model says after each symbol."""
    total = weighted = 0
    rows = []
    for step, place in enumerate(places, 1):
        total += place
        weighted += total
        rows.append([step, total, weighted, 0, 0])
    return rows
