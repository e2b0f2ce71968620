"""Weights and products of few bits: what they compute, what they promise, what pays."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from onnx import numpy_helper

from networks import random_network, spoken_manifest
from streamcell.export.graph import build_model, with_manifest
from streamcell.export.quantize.cells import static_cell
from streamcell.export.quantize.dynamic import dynamic_lstm, dynamic_product
from streamcell.export.quantize.integers import FACTOR, to_codes, to_int8
from streamcell.export.quantize.network import FileNetwork
from streamcell.export.quantize.ranges import measure_ranges
from streamcell.export.quantize.rewrite import rewrite, weights_of
from streamcell.export.quantize.speed import Speed, measure_speeds
from streamcell.export.quantize.static import Ranges, static_product
from streamcell.export.quantize.storage import store_codes, store_int8
from streamcell.export.quantize.table import Row, best, doubts
from streamcell.export.quantize.variants import METHODS
from streamcell.runtime.errors import ModelError
from streamcell.runtime.frames import log_softmax
from streamcell.runtime.manifest import MANIFEST_KEY, Manifest
from streamcell.runtime.model import Model
from streamcell.runtime.verify import verify

CELLS = ["gru", "gru-reset-before", "lstm", "lstm-projected"]


def network_model(cell: str = "gru", **shape: Any) -> onnx.ModelProto:
    """Return the graph of a random network with weights that are large enough."""
    network = random_network(cell=cell, **{"hidden": 40, **shape})
    return build_model(network, spoken_manifest(network))


def opened(model: onnx.ModelProto, **changes: Any) -> Model:
    manifest = Manifest.from_json(next(item.value for item in model.metadata_props if item.key == MANIFEST_KEY))
    return Model.open(with_manifest(model, replace(manifest, **changes)).SerializeToString())


def sound(model: Model, steps: int, batch: int = 1, seed: int = 1) -> NDArray[np.float32]:
    size = model.manifest.input.samples_per_step * steps
    return (0.1 * np.random.default_rng(seed).standard_normal((batch, size))).astype(np.float32)


def answers(model: Model, x: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return log-probabilities `[B, T, C]`, in calls as the model takes them."""
    size = model.manifest.input.samples_per_step * (model.manifest.steps_per_call or x.shape[1])
    size = min(size, x.shape[1])
    state, found = model.initial_state(len(x)), []
    for begin in range(0, x.shape[1], size):
        outputs, state = model.step(x[:, begin : begin + size], state)
        found.append(outputs["logits"])
    return log_softmax(np.concatenate(found, axis=1))


def ranges_of(model: onnx.ModelProto) -> Ranges:
    return measure_ranges(model, [sound(opened(model), 40, seed=seed)[0] for seed in (1, 2)])


def arrays(model: onnx.ModelProto) -> dict[str, NDArray[Any]]:
    return {item.name: numpy_helper.to_array(item) for item in model.graph.initializer}


@pytest.mark.parametrize("most", [127, FACTOR])
def test_integers_are_the_nearest(most: int) -> None:
    weight = np.random.default_rng(0).standard_normal((3, 5, 7)).astype(np.float32)
    weight[1] = 0
    integers, scales = to_int8(weight, (1, 2), most)
    assert scales.shape == (3, 1, 1)
    assert np.abs(integers.astype(int)).max() == most
    assert (np.abs(integers * scales - weight) <= scales / 2 * 1.001).all()


def assert_sums_of_pairs_fit_16_bits(model: onnx.ModelProto) -> None:
    """Products of unsigned and signed integers, as processors without instructions for them take two at a time."""
    factors = {"MatMulIntegerToFloat": [1], "DynamicQuantizeMatMul": [1], "DynamicQuantizeLSTM": [1, 2]}
    found = arrays(model)
    weights = [found[node.input[place]] for node in model.graph.node for place in factors.get(node.op_type, [])]
    assert weights
    assert {array.dtype for array in weights} == {np.dtype(np.int8)}
    assert 2 * 255 * max(int(np.abs(array.astype(int)).max()) for array in weights) < 1 << 15


@pytest.mark.parametrize("count", [64, 61])
def test_codes_lose_less_than_the_scale_of_the_largest_allows(count: int) -> None:
    weight = np.random.default_rng(0).standard_normal(count).astype(np.float32)
    codes, scales = to_codes(weight, 32)
    values = np.stack([codes % 16, codes // 16], axis=1).astype(int).reshape(-1, 32) - 8
    lost = (values * scales).ravel()[:count] - weight
    plain = np.abs(np.pad(weight, (0, 64 - count)).reshape(2, 32)).max(1).repeat(32)[:count] / 7
    rounded = np.rint(weight / plain) * plain - weight
    assert codes.shape == (32,)
    assert (lost**2).sum() <= (rounded**2).sum() * 1.0001


def test_stored_weights_compute_what_rounded_weights_compute() -> None:
    model, names = network_model(), weights_of(network_model())
    stored = store_int8(model)
    rounded = onnx.ModelProto()
    rounded.CopyFrom(model)
    for item in rounded.graph.initializer:
        if item.name in names:
            integers, scales = to_int8(numpy_helper.to_array(item), names[item.name])
            item.CopyFrom(numpy_helper.from_array(integers.astype(np.float32) * scales, item.name))
    x = sound(opened(model), 30, batch=2)
    assert "stack.layers.0.weight_ih" in names
    assert answers(opened(stored), x).tobytes() == answers(opened(rounded), x).tobytes()
    assert np.abs(answers(opened(stored), x) - answers(opened(model), x)).max() < 0.05


@pytest.mark.parametrize("hidden", [40, 37])
def test_codes_are_read_whatever_the_sizes(hidden: int) -> None:
    model = network_model(hidden=hidden)
    stored, names = store_codes(model), weights_of(model)
    x = sound(opened(model), 30)
    assert np.abs(answers(opened(stored), x) - answers(opened(model), x)).max() < 1
    assert not set(names) & set(arrays(stored))
    before, after = (sum(a.nbytes for n, a in arrays(one).items() if "frontend" not in n) for one in (model, stored))
    assert after < 0.3 * before


@pytest.mark.parametrize("store", [store_int8, store_codes])
def test_the_front_end_stays_float(store: Callable[[onnx.ModelProto], onnx.ModelProto]) -> None:
    model = network_model()
    before, after = arrays(model), arrays(store(model))
    front = [name for name in before if name.startswith("frontend.")]
    assert len(front) == 4
    for name in front:
        assert after[name].dtype == np.float32
        assert after[name].tobytes() == before[name].tobytes()


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("steps", [1, 3])
def test_static_cells_give_nearly_the_same(cell: str, steps: int) -> None:
    model = network_model(cell)
    cells = static_cell(ranges_of(model), steps)
    made = rewrite(model, {"LSTM": cells, "GRU": cells})
    kinds = {node.op_type for node in made.graph.node}
    x = sound(opened(model), 30, batch=2)
    assert "MatMulIntegerToFloat" in kinds
    assert_sums_of_pairs_fit_16_bits(made)
    assert not kinds & {"LSTM", "GRU"}
    assert np.abs(answers(opened(made, steps_per_call=steps), x) - answers(opened(model), x)).max() < 0.1


@pytest.mark.parametrize("cell", CELLS)
def test_static_answers_depend_neither_on_neighbours_nor_on_the_size_of_a_call(cell: str) -> None:
    model = network_model(cell)
    ranges = ranges_of(model)

    def made(steps: int) -> Model:
        cells = static_cell(ranges, steps)
        return opened(
            rewrite(model, {"LSTM": cells, "GRU": cells, "MatMul": static_product(ranges)}), steps_per_call=steps
        )

    one, four = made(1), made(4)
    x = sound(one, 24, batch=3)
    together = answers(one, x)
    for row in range(3):
        assert np.abs(answers(one, x[row : row + 1]) - together[row]).max() < 1e-5
    assert np.abs(answers(four, x) - together).max() < 1e-5
    assert verify(one).within(1e-4)


def test_what_only_hands_values_on_is_left_out() -> None:
    model = network_model("lstm")
    cells = static_cell(ranges_of(model), 1)
    made = rewrite(model, {"LSTM": cells})
    kinds = {node.op_type for node in made.graph.node}
    assert not kinds & {"Identity", "Squeeze", "Unsqueeze"}
    assert [value.name for value in made.graph.output] == [value.name for value in model.graph.output]
    assert rewrite(model, {"GRU": cells}) is model


def test_a_dynamic_lstm_is_near_and_takes_calls_of_one_size_only() -> None:
    model = network_model("lstm")
    made = rewrite(model, {"LSTM": dynamic_lstm, "MatMul": dynamic_product})
    kinds = [node.op_type for node in made.graph.node]
    x = sound(opened(model), 30)
    assert kinds.count("DynamicQuantizeLSTM") == 2
    assert_sums_of_pairs_fit_16_bits(made)
    with pytest.raises(ModelError, match="depend on what shares the call"):
        opened(made)
    fixed = opened(made, steps_per_call=1, batch_invariant=False)
    assert np.abs(answers(fixed, x) - answers(opened(model), x)).max() < 0.1
    assert verify(fixed).within(0)


def test_ranges_are_what_went_through() -> None:
    model = network_model("lstm")
    quiet, loud = (measure_ranges(model, [factor * sound(opened(model), 70)[0]]) for factor in (1e-3, 1.0))
    assert set(quiet.largest) == set(loud.largest)
    assert quiet.largest != loud.largest
    assert all(0 < value <= 1 for name, value in loud.largest.items() if name.endswith(".y"))
    assert any(value > 1 for value in loud.largest.values())


def test_a_method_that_serves_nothing_makes_nothing() -> None:
    model = network_model("elman", hidden=24)
    assert METHODS["dynamic-lstm"].apply(model, Ranges({}), 1) is None
    assert METHODS["static-cells"].apply(model, Ranges({}), 1) is None
    assert METHODS["weights-8"].apply(network_model(hidden=8, channels=4, mels=8), Ranges({}), 1) is None


@pytest.mark.parametrize("steps", [None, 4])
def test_a_file_in_a_networks_place_answers_as_the_network(steps: int | None) -> None:
    network = random_network()
    manifest = spoken_manifest(network)
    file = FileNetwork(opened(build_model(network, manifest), steps_per_call=steps))
    x = torch.from_numpy(sound(file.model, 10, batch=2))
    expected, states = network(x, network.initial_state(2))
    found, after = file(x, file.initial_state(2))
    assert torch.allclose(found, expected, atol=1e-4)
    assert set(after) == set(states)
    assert steps or all(torch.allclose(after[name], states[name], atol=1e-4) for name in states)
    assert [one.tolist() for one in file.heard] == x.tolist()


def test_speed_is_measured_beside_the_first() -> None:
    models = [opened(network_model(hidden=hidden)) for hidden in (16, 200)]
    small, large = measure_speeds(models, sound(models[0], 200)[0], rounds=3)
    assert (small.times_live, small.times_file, small.times_many) == (1, 1, 1)
    assert large.live_us > small.live_us
    assert large.times_live < 1
    assert (small.file_steps, small.together) == (64, 64)


def test_long_calls_alone_are_no_merit() -> None:
    model = network_model()
    free, fixed = measure_speeds([opened(model), opened(model, steps_per_call=32)], sound(opened(model), 200)[0], 5)
    assert fixed.live_us < 0.7 * free.live_us, "the example gains by long calls"
    assert 0.7 < fixed.times_live < 1.4
    assert 0.7 < fixed.times_many < 1.4
    assert fixed.file_steps == 32


def row(method: str, rate: float, size: int, live: float, *, steps: int | None = None, shared: bool = True) -> Row:
    speed = Speed(100 / live, 10, 64, 10, 64, live, live, live)
    return Row(method, rate, size, speed, steps, shared, 0.0)


def test_the_best_is_kept_by_the_rules() -> None:
    first = row("float", 0.30, 1000, 1.0)
    stored, static = row("weights-8", 0.300, 280, 1.0), row("static", 0.302, 280, 2.0, steps=1)
    dynamic = row("dynamic", 0.303, 280, 2.1, steps=1, shared=False)
    assert best([stored, static, dynamic], first, 0.5, "live") == static, "within 1.2 times, and streams share calls"
    assert best([stored, static, dynamic], first, 0.5, "size") == stored, "equal, and calls of any size"
    assert best([stored, static, dynamic], first, 0.1, "live") == stored, "the others lose too much"
    fast = replace(dynamic, speed=replace(dynamic.speed, times_live=3.0))
    assert best([stored, static, fast], first, 0.5, "live") == fast
    assert best([], first, 0.5, "live") is None


def test_what_does_not_pay_is_said() -> None:
    first = row("float", 0.30, 1000, 1.0)
    assert doubts(row("a", 0.3049, 280, 1.0), first, 0.5, "live") == []
    assert doubts(row("a", 0.31, 280, 1.0), first, 0.5, "live") == ["it loses 1.00 points, 0.5 may be lost"]
    assert "of the size" in doubts(row("a", 0.30, 900, 1.1), first, 0.5, "live")[0]
    assert doubts(row("a", 0.30, 900, 1.3), first, 0.5, "live") == []
    assert doubts(row("a", 0.30, 280, 0.5), first, 0.5, "size") == ["a live step is 0.50 times as fast"]
    assert doubts(row("a", float("nan"), 280, 1.0), first, 0.5, "size")
