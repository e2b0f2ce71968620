"""A toy network that counts: exact integers, so that a lost, doubled, swapped or mixed step is a wrong number."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from streamcell.runtime.manifest import MANIFEST_KEY, InputSpec, Manifest, OutputSpec, StateSpec

LABELS = ("<blank>", "zero", "one", "two", "three", "four")
TALLY = ("steps", "sum", "weighted")
RATE = 100  # steps a second
LOUDEST = 8  # a sample of 1.0 counts for this much
_WEIGHTS = (1, 2, 3, 4)  # of the samples of one step, so that swapping two of them shows
_PRIME = 9973
_MOST_STEPS = 1024  # a call
_ROWS = 256  # of the table that `fragile` looks steps up in


def accumulator(
    kind: str = "features", *, fragile: bool = False, look_ahead: int = 0, hidden_nan: bool = False, **changes: Any
) -> bytes:
    """Return an ONNX file whose states are what `Tally` counts.

    A relu network adds up (state ``h0``, float32, exact below 2 ** 24), whole numbers take the remainder of a
    polynomial (state ``order``, int64, for up to 1024 steps a call). The label of a step, the best one by far, is the
    order-sensitive sum modulo 5; a second output holds the sums themselves.

    Args:
        kind: ``"features"``: one whole number a step, 0 to 7; ``"audio"``: four samples a step, eighths of 0 to 7.
        fragile: ONNX Runtime fails where a step counts for 256 or more.
        look_ahead: Steps, said in the manifest only.
        hidden_nan: A third state is NaN where a step counts for less than 0, which no output shows.
        changes: Fields of the manifest to change. The answer is -inf where a step counts for -1, NaN below that.
    """
    audio = kind == "audio"
    spec = InputSpec(
        "x", "audio" if audio else "features", RATE * (4 if audio else 1), 1, 4 if audio else 1, look_ahead
    )
    states = [StateSpec("h0", "h0_next", (1, "B", 3), 1), StateSpec("order", "order_next", ("B", 1), 0, "int64")]
    nodes, answer = [*_steps(audio=audio), *_SUMS, *_LABEL, *_ODD], "label"
    if fragile:
        nodes += [_node("Gather", ["table", "whole"], "looked_up"), _node("Add", [answer, "looked_up"], "looked")]
        answer = "looked"
    if hidden_nan:
        states.append(StateSpec("ill", "ill_next", ("B", 1), 0))
        nodes += [_node("ReduceSum", ["odd", "axis1"], "new", keepdims=0), _node("Add", ["ill", "new"], "ill_next")]
    nodes.append(_node("Identity", [answer], "logits") if hidden_nan else _node("Add", [answer, "odd"], "logits"))
    values: dict[str, Any] = {
        "name": f"accumulator-{kind}",
        "description": "Counts its steps.",
        "task": "ctc",
        "input": spec,
        "states": tuple(states),
        "outputs": (
            OutputSpec("logits", "logits", LABELS, 0, None, 1 / RATE),
            OutputSpec("tally", "logits", TALLY, None, None, 1 / RATE),
        ),
    }
    return _file(nodes, Manifest(**{**values, **changes}))


def stateless(**changes: Any) -> bytes:
    """Return an ONNX file without states: the label of a step is what it counts for, modulo 5."""
    values: dict[str, Any] = {
        "name": "stateless",
        "description": "Knows only the present.",
        "task": "ctc",
        "input": InputSpec("x", "features", RATE, 1, 1, 0),
        "states": (),
        "outputs": (OutputSpec("logits", "logits", LABELS, 0, None, 1 / RATE),),
    }
    nodes = [_node("Identity", ["x"], "weighted_f"), *_LABEL, _node("Identity", ["label"], "logits")]
    return _file(nodes, Manifest(**{**values, **changes}))


class Tally:
    """Count in plain Python what the network counts: the steps of one stream.

    Args:
        kind: As for `accumulator`.

    Attributes:
        steps: How many.
        total: Sum of what they count for.
        weighted: Sum of the sums: each step by how long ago it was.
        order: A polynomial of the steps modulo a prime.
        rows: ``(steps, total, weighted)`` after each step.
    """

    def __init__(self, kind: str = "features") -> None:
        self._size = 4 if kind == "audio" else 1
        self.steps = self.total = self.weighted = self.order = 0
        self.rows: list[tuple[int, int, int]] = []

    def take(self, values: Sequence[int]) -> None:
        """Take whole steps: a whole number for each sample."""
        weights = _WEIGHTS if self._size == 4 else (1,)
        for begin in range(0, len(values), self._size):
            step = sum(a * b for a, b in zip(weights, values[begin : begin + self._size], strict=True))
            self.steps += 1
            self.total += step
            self.weighted += self.total
            self.order = (3 * self.order + step) % _PRIME
            self.rows.append((self.steps, self.total, self.weighted))

    @property
    def labels(self) -> list[str]:
        """Return the label of each step."""
        return [LABELS[1 + weighted % 5] for _, _, weighted in self.rows]

    @property
    def state(self) -> dict[str, list[int]]:
        """Return the state of the network after these steps."""
        return {"h0": [self.steps, self.total, self.weighted], "order": [self.order]}


def drawn(steps: int, seed: int = 0, kind: str = "features") -> tuple[list[int], np.ndarray[Any, np.dtype[np.float32]]]:
    """Return random steps: the whole numbers for `Tally`, and the same as the network takes them, `[n]` or `[n, 1]`."""
    numbers = np.random.default_rng(seed).integers(0, LOUDEST, steps * (4 if kind == "audio" else 1)).tolist()
    return numbers, as_input(numbers, kind)


def as_input(numbers: Sequence[int], kind: str = "features") -> np.ndarray[Any, np.dtype[np.float32]]:
    """Return whole numbers as what the network takes."""
    array = np.array(numbers, np.float32)
    return array / np.float32(LOUDEST) if kind == "audio" else array[:, None]


def as_numbers(state: Any) -> dict[str, list[int]]:
    """Return a state of one stream as `Tally.state` does."""
    return {name: [int(number) for number in np.ravel(state[name])] for name in ("h0", "order")}


def _node(operator: str, inputs: list[str], output: str | list[str], **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(operator, inputs, [output] if isinstance(output, str) else output, **attributes)


def _steps(*, audio: bool) -> list[onnx.NodeProto]:
    """Make ``step [B, T, 1]``, what each step counts for."""
    if not audio:
        return [_node("Identity", ["x"], "step")]
    return [_node("Reshape", ["x", "by_four"], "samples"), _node("MatMul", ["samples", "weights"], "step")]


_SUMS = [
    # the sums: h = relu(W (step, 1) + R h), with steps = 1 + steps, sum = x + sum, weighted = x + sum + weighted
    _node("Mul", ["step", "zero_f"], "zeros"),
    _node("Add", ["zeros", "one_f"], "ones"),
    _node("Concat", ["step", "ones"], "pairs", axis=2),
    _node("Transpose", ["pairs"], "time_first", perm=[1, 0, 2]),
    _node("RNN", ["time_first", "w", "r", "", "", "h0"], ["y", "h0_next"], hidden_size=3, activations=["Relu"]),
    _node("Squeeze", ["y", "axis1"], "sums"),
    _node("Transpose", ["sums"], "tally", perm=[1, 0, 2]),
    # the polynomial: (3 ** T * order + sum of 3 ** (T - 1 - t) * step_t) mod the prime
    _node("Cast", ["step"], "whole", to=TensorProto.INT64),
    _node("Shape", ["step"], "shape"),
    _node("Gather", ["shape", "axis1"], "count", axis=0),
    _node("Sub", ["most", "count"], "begin"),
    _node("Sub", ["begin", "axis1"], "before"),
    _node("Slice", ["powers", "begin", "most", "axis0"], "factors"),
    _node("Slice", ["powers", "before", "begin", "axis0"], "factor"),
    _node("Mul", ["whole", "factors"], "terms"),
    _node("ReduceSum", ["terms", "axis1"], "heard", keepdims=0),
    _node("Squeeze", ["factor", "axis1"], "power"),
    _node("Mul", ["order", "power"], "kept"),
    _node("Add", ["kept", "heard"], "polynomial"),
    _node("Div", ["polynomial", "prime"], "times"),
    _node("Mul", ["times", "prime"], "multiple"),
    _node("Sub", ["polynomial", "multiple"], "order_next"),
    _node("Slice", ["tally", "last", "end", "axis2"], "weighted_f"),
]

_LABEL = [  # -9 * (weighted mod 5 - column) ** 2
    _node("Cast", ["weighted_f"], "weighted", to=TensorProto.INT64),
    _node("Div", ["weighted", "five"], "fives"),
    _node("Mul", ["fives", "five"], "all_fives"),
    _node("Sub", ["weighted", "all_fives"], "rest"),
    _node("Cast", ["rest"], "rest_f", to=TensorProto.FLOAT),
    _node("Sub", ["rest_f", "columns"], "distance"),
    _node("Mul", ["distance", "distance"], "square"),
    _node("Mul", ["square", "minus_nine"], "label"),
]

_ODD = [  # 0 for what may come, -inf for -1, NaN below
    _node("Add", ["step", "one_f"], "above_one"),
    _node("Log", ["above_one"], "log"),
    _node("Min", ["log", "zero_f"], "odd"),
]

_CONSTANTS: dict[str, np.ndarray[Any, Any]] = {
    "weights": np.array(_WEIGHTS, np.float32)[:, None] * LOUDEST,
    "by_four": np.array([0, -1, 4], np.int64),
    "zero_f": np.array([0], np.float32),
    "one_f": np.array([1], np.float32),
    "minus_nine": np.array([-9], np.float32),
    "w": np.array([[[0, 1], [1, 0], [1, 0]]], np.float32),
    "r": np.array([[[1, 0, 0], [0, 1, 0], [0, 1, 1]]], np.float32),
    "axis0": np.array([0], np.int64),
    "axis1": np.array([1], np.int64),
    "axis2": np.array([2], np.int64),
    "last": np.array([2], np.int64),
    "end": np.array([3], np.int64),
    "most": np.array([_MOST_STEPS + 1], np.int64),
    "powers": np.array([[pow(3, n, _PRIME)] for n in range(_MOST_STEPS, -1, -1)], np.int64),
    "prime": np.array([_PRIME], np.int64),
    "five": np.array([5], np.int64),
    "columns": np.array([-9, 0, 1, 2, 3, 4], np.float32),
    "table": np.zeros(_ROWS, np.float32),
}


def _file(nodes: list[onnx.NodeProto], manifest: Manifest) -> bytes:
    spec, audio = manifest.input, manifest.input.kind == "audio"
    kinds = {"float32": TensorProto.FLOAT, "int64": TensorProto.INT64}
    x = helper.make_tensor_value_info(spec.name, TensorProto.FLOAT, ["B", "N"] if audio else ["B", "T", 1])
    inputs = [helper.make_tensor_value_info(s.input, kinds[s.dtype], s.shape) for s in manifest.states]
    after = [helper.make_tensor_value_info(s.output, kinds[s.dtype], s.shape) for s in manifest.states]
    outputs = [
        helper.make_tensor_value_info(o.name, TensorProto.FLOAT, ["B", "T", len(o.labels)]) for o in manifest.outputs
    ]
    used = {name for node in nodes for name in node.input}
    tensors = [numpy_helper.from_array(array, name) for name, array in _CONSTANTS.items() if name in used]
    graph = helper.make_graph(nodes, "accumulator", [x, *inputs], [*outputs, *after], tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, {MANIFEST_KEY: manifest.to_json()})
    return bytes(model.SerializeToString())
