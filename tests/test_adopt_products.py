"""Convolutions as products over windows: the same numbers, and no other operator changed."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from streamcell.export.adopt.adopter import Adopted, adopt
from streamcell.export.adopt.card import Card, InputCard, OutputCard, StateCard
from streamcell.export.adopt.fold import fold
from streamcell.export.adopt.pairs import drop_pairs
from streamcell.export.adopt.products import to_products
from streamcell.export.adopt.source import read_source

Arrays = dict[str, NDArray[Any]]


def model(nodes: Sequence[onnx.NodeProto], weights: Arrays, sizes: Sequence[int | str], **more: Any) -> onnx.ModelProto:
    """Return a graph `x` of those sizes -> `y`."""
    ports = [helper.make_tensor_value_info(name, 1, shape) for name, shape in {"x": sizes, **more}.items()]
    graph = helper.make_graph(
        nodes,
        "g",
        ports,
        [helper.make_tensor_value_info("y", 1, None)],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def run(file: onnx.ModelProto, **inputs: NDArray[np.float32]) -> NDArray[np.float32]:
    session = ort.InferenceSession(file.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(["y"], inputs)[0])


def kinds(file: onnx.ModelProto) -> list[str]:
    return [node.op_type for node in file.graph.node]


def normal(random: np.random.Generator, *shape: int) -> NDArray[np.float32]:
    return random.standard_normal(shape, np.float32)


@pytest.mark.parametrize("seed", range(150))
def test_a_convolution_gives_the_same(seed: int) -> None:
    random = np.random.default_rng(seed)
    inputs, taps, stride, positions = (int(random.integers(1, high)) for high in (40, 12, 9, 9))
    pads = [int(pad) for pad in random.integers(0, taps + 3, 2)] if seed % 3 else [0, 0]
    length = (positions - 1) * stride + taps - sum(pads) + int(random.integers(0, stride))
    length = max(length, 1)
    outputs = -(-(1 << 14) // inputs) + int(random.integers(0, 5))
    weight = normal(random, outputs, inputs, taps) / np.sqrt(np.float32(inputs * taps))
    weights = {"w": weight, "b": normal(random, outputs)} if seed % 2 else {"w": weight}
    node = helper.make_node("Conv", ["x", *weights], ["y"], strides=[stride], pads=pads)
    before = model([node], weights, ["B", inputs, length])
    after = to_products(before)
    positions = (length + sum(pads) - taps) // stride + 1
    overlaps = positions > 1 and stride != taps
    if positions > 8 or (overlaps and inputs * np.gcd(stride, taps) < 16):
        assert "Conv" in kinds(after)
    if "Conv" in kinds(after):
        assert after is before
        return
    assert "Gather" not in kinds(after) or overlaps
    for rows in (1, 2, 5):
        x = normal(random, rows, inputs, length)
        padded = torch.nn.functional.pad(torch.from_numpy(x).double(), pads)
        bias = torch.from_numpy(weights["b"]).double() if "b" in weights else None
        expected = torch.nn.functional.conv1d(padded, torch.from_numpy(weight).double(), bias, stride).numpy()
        for found in (run(after, x=x), run(fold(after), x=x), run(before, x=x)):
            assert found.shape == expected.shape == (rows, outputs, positions)
            assert np.abs(found - expected).max() <= 1e-5


@pytest.mark.parametrize(
    ("inputs", "taps", "stride", "positions"), [(64, 3, 1, 4), (1, 256, 128, 4), (40, 12, 8, 1), (30, 4, 4, 8)]
)
def test_convolutions_of_few_positions_are_products(inputs: int, taps: int, stride: int, positions: int) -> None:
    length, outputs = (positions - 1) * stride + taps, -(-(1 << 14) // (inputs * taps))
    node = helper.make_node("Conv", ["x", "w"], ["y"], strides=[stride])
    before = model([node], {"w": np.ones((outputs, inputs, taps), np.float32)}, ["B", inputs, length])
    assert "Conv" not in kinds(to_products(before))
    fewer = model([node], {"w": np.ones((outputs - 1, inputs, taps), np.float32)}, ["B", inputs, length])
    assert to_products(fewer) is fewer


def plain(**changes: Any) -> onnx.ModelProto:
    """Return a convolution of 64 channels over 6 positions that is worth a product, but for the changes."""
    attributes = {"pads": [1, 1], **changes}
    shape = attributes.pop("weight", (128, 64, 3))
    dtype = attributes.pop("dtype", np.float32)
    sizes = attributes.pop("sizes", ["B", 64, 6])
    node = helper.make_node("Conv", ["x", "w"], ["y"], **attributes)
    return model([node], {"w": np.ones(shape, dtype)}, sizes)


@pytest.mark.parametrize(
    "changes",
    [
        {"group": 2, "weight": (256, 32, 3)},
        {"dilations": [2]},
        {"auto_pad": "SAME_UPPER", "pads": [0, 0]},
        {"sizes": ["B", 64, "N"]},
        {"sizes": ["B", 64, 9]},
        {"weight": (64, 64, 3)},
        {"weight": (128, 64, 3, 1), "sizes": ["B", 64, 6, 1], "pads": [1, 0, 1, 0]},
        {"weight": (4096, 1, 7), "sizes": ["B", 1, 12], "pads": [0, 0]},
        {"dtype": np.float16},
        {"domain": "elsewhere"},
    ],
)
def test_what_is_left_alone(changes: dict[str, Any]) -> None:
    assert "Conv" not in kinds(to_products(plain()))
    before = plain(**changes)
    assert to_products(before) is before


def test_weights_or_a_bias_that_change_are_left_alone() -> None:
    node = helper.make_node("Conv", ["x", "w"], ["y"])
    before = model([node], {}, ["B", 64, 6], w=[128, 64, 3])
    assert to_products(before) is before
    node = helper.make_node("Conv", ["x", "w", "b"], ["y"])
    before = model([node], {"w": np.ones((128, 64, 3), np.float32)}, ["B", 64, 6], b=[128])
    assert to_products(before) is before


def chain() -> onnx.ModelProto:
    """Return a spectrum's magnitudes, three convolutions and a head, as many networks have them."""
    random = np.random.default_rng(0)
    weights: Arrays = {
        "dft": normal(random, 130, 1, 256) / np.float32(16),
        "w0": normal(random, 96, 65, 3) / np.float32(14),
        "b0": normal(random, 96),
        "w1": normal(random, 64, 96, 3) / np.float32(17),
        "b1": normal(random, 64),
        "w2": normal(random, 3, 64, 1) / np.float32(8),
        "one": np.array([1], np.int64),
        "last": np.array([-1], np.int64),
        "none": np.array([0], np.int64),
        "half": np.array([65], np.int64),
        "end": np.array([130], np.int64),
        "two": np.array(2, np.float32),
        "slope": np.array([0.5], np.float32),
    }
    node = helper.make_node
    nodes = [
        node("Unsqueeze", ["x", "one"], ["wide"]),
        node("Conv", ["wide", "dft"], ["waves"], strides=[128]),
        node("Slice", ["waves", "none", "half", "one"], ["cosines"]),
        node("Slice", ["waves", "half", "end", "one"], ["sines"]),
        node("Mul", ["cosines", "cosines"], ["squared cosines"]),
        node("Pow", ["sines", "two"], ["squared sines"]),
        node("Add", ["squared cosines", "squared sines"], ["power"]),
        node("Sqrt", ["power"], ["magnitudes"]),
        node("Conv", ["magnitudes", "w0", "b0"], ["c0"], pads=[1, 1]),
        node("LeakyRelu", ["c0"], ["r0"], alpha=0.1),
        node("Conv", ["r0", "w1", "b1"], ["c1"], pads=[1, 1], strides=[4]),
        node("Clip", ["c1", "", "two"], ["r1"]),
        node("Conv", ["r1", "w2"], ["c2"]),
        node("Mul", ["c2", "slope"], ["scaled"]),
        node("Squeeze", ["scaled", "last"], ["y"]),
    ]
    return model(nodes, weights, ["B", 640])


def test_operators_between_are_carried_over() -> None:
    before = chain()
    after = fold(to_products(before))
    assert not {"Conv", "Transpose", "Squeeze"} & set(kinds(after))
    assert kinds(after).count("LeakyRelu") == kinds(after).count("Clip") == 1
    for rows in (1, 7):
        x = normal(np.random.default_rng(rows), rows, 640)
        expected, found = run(before, x=x), run(after, x=x)
        assert found.shape == expected.shape == (rows, 3)
        assert np.abs(found - expected).max() <= 1e-5


def test_rows_do_not_depend_on_their_company() -> None:
    after = fold(to_products(chain()))
    x = normal(np.random.default_rng(0), 32, 640)
    alone = np.concatenate([run(after, x=x[row : row + 1]) for row in range(32)])
    assert np.abs(run(after, x=x) - alone).max() <= 1e-6


@pytest.mark.parametrize(
    ("follows", "transposes"),
    [
        (("Relu", ["made"]), 2),
        (("Add", ["made", "row"]), 1),
        (("Add", ["made", "wide number"]), 1),
        (("Softmax", ["made"]), 1),
        (("Slice", ["made", "from", "to", "last"]), 1),
        (("Squeeze", ["narrow", "one"]), 1),
        (("Unsqueeze", ["made", "one"]), 1),
    ],
)
def test_axes_go_back_where_others_follow(follows: tuple[str, list[str]], transposes: int) -> None:
    weights: Arrays = {
        "w": normal(np.random.default_rng(0), 128, 64, 3),
        "row": np.arange(4, dtype=np.float32),
        "wide number": np.full((1, 1, 1, 1), 2, np.float32),
        "from": np.array([1], np.int64),
        "to": np.array([3], np.int64),
        "last": np.array([2], np.int64),
        "one": np.array([1], np.int64),
    }
    kind, names = follows
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["made"]),
        helper.make_node("ReduceMax", ["made"], ["narrow"], axes=[1]),
        helper.make_node(kind, names, ["y"]),
    ]
    before = model(nodes, weights, ["B", 64, 6])
    after = to_products(before)
    assert "Conv" not in kinds(after)
    assert kinds(after).count("Transpose") == 1 + transposes
    x = normal(np.random.default_rng(1), 3, 64, 6)
    assert np.abs(run(after, x=x) - run(before, x=x)).max() <= 1e-4 * np.abs(run(before, x=x)).max()


def test_one_input_of_two_convolutions_and_an_output() -> None:
    random = np.random.default_rng(0)
    weights = {"u": normal(random, 128, 64, 3), "v": normal(random, 128, 64, 3)}
    nodes = [
        helper.make_node("Conv", ["x", "u"], ["left"], pads=[1, 1]),
        helper.make_node("Conv", ["x", "v"], ["right"], pads=[1, 1]),
        helper.make_node("Sub", ["left", "right"], ["y"]),
    ]
    before = model(nodes, weights, ["B", 64, 6])
    after = to_products(before)
    assert kinds(after).count("Transpose") == 2
    x = normal(random, 3, 64, 6)
    assert np.abs(run(after, x=x) - run(before, x=x)).max() <= 1e-4


def test_axes_that_go_and_come_again() -> None:
    nodes = [
        helper.make_node("Gather", ["x", "place"], ["taken"], axis=0),
        helper.make_node("Unsqueeze", ["taken", "first"], ["kept"]),
        helper.make_node("Squeeze", ["kept", "first"], ["thin"]),
        helper.make_node("Tanh", ["thin"], ["other"]),
        helper.make_node("Unsqueeze", ["thin", "first"], ["again"]),
        helper.make_node("Unsqueeze", ["other", "first"], ["changed"]),
        helper.make_node("Concat", ["again", "changed"], ["y"], axis=0),
    ]
    before = model(nodes, {"place": np.array(-1, np.int64), "first": np.array([0], np.int64)}, [2, "B", 3])
    after = drop_pairs(before)
    assert kinds(after) == ["Gather", "Gather", "Squeeze", "Tanh", "Identity", "Unsqueeze", "Concat"]
    x = normal(np.random.default_rng(0), 2, 4, 3)
    assert np.array_equal(run(after, x=x), run(before, x=x))
    assert drop_pairs(after) is after


@pytest.mark.parametrize("axes", [[0], [2]])
def test_other_axes_stay(axes: list[int]) -> None:
    nodes = [
        helper.make_node("Gather", ["x", "place"], ["taken"], axis=1),
        helper.make_node("Unsqueeze", ["taken", "axes"], ["y"]),
    ]
    before = model(nodes, {"place": np.array(0, np.int64), "axes": np.array(axes, np.int64)}, ["B", 2, 3])
    assert drop_pairs(before) is before


def adopted(scale: float, folder: Path) -> Adopted:
    """Adopt a convolution of which ``scale`` times the sum is the answer; a state adds the sums up."""
    weights: Arrays = {
        "w": normal(np.random.default_rng(0), 128, 1, 256),
        "scale": np.array(scale, np.float32),
        "axis": np.array([1], np.int64),
    }
    node = helper.make_node
    nodes = [
        node("Unsqueeze", ["x", "axis"], ["wide"]),
        node("Conv", ["wide", "w"], ["made"], strides=[128]),
        node("ReduceMean", ["made"], ["sum"], axes=[1, 2], keepdims=0),
        node("Unsqueeze", ["sum", "axis"], ["column"]),
        node("Mul", ["column", "scale"], ["scaled"]),
        node("Sub", ["scaled", "scaled"], ["nothing"]),
        node("Concat", ["scaled", "nothing"], ["y"], axis=1),
        node("Add", ["total", "column"], ["total_next"]),
    ]
    theirs = model(nodes, weights, ["B", 512], total=["B", 1])
    theirs.graph.output[0].CopyFrom(helper.make_tensor_value_info("y", 1, ["B", 2]))
    theirs.graph.output.append(helper.make_tensor_value_info("total_next", 1, ["B", 1]))
    onnx.save(theirs, folder / "theirs.onnx")
    heard = InputCard("x", "audio", 16000, 512, 1)
    output = OutputCard("y", "logits", ("a", "b"), layout="BC")
    card = Card("theirs", "frames", heard, output, states=(StateCard("total", "total_next"),))
    return adopt(read_source(folder / "theirs.onnx"), card, {})


def test_an_adopted_file_has_products(tmp_path: Path) -> None:
    made = adopted(1.0, tmp_path)
    assert "Conv" not in made.operators
    assert (made.manifest.steps_per_call, made.manifest.batch_invariant, made.refused) == (1, True, ())


def test_a_convolution_stays_where_a_product_leaves_the_bound(tmp_path: Path) -> None:
    made = adopted(1e5, tmp_path)
    assert "Conv" in made.operators
    assert (made.manifest.steps_per_call, made.manifest.batch_invariant) == (1, True)
    assert [reason.partition(": ")[0] for reason in made.refused] == [
        "1 step a call, any number of streams, in its fastest form"
    ]
