"""Every recurrent layer is one ONNX operator that computes the layer's equation."""

from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper
from torch import nn

import equations
from equations import TOLERANCE
from streamcell.export.builder import Builder, emit
from streamcell.export.graph import IR_VERSION, OPSET, build_model, state_specs
from streamcell.export.parity import measure, prove
from streamcell.runtime.manifest import InputSpec, Manifest, OutputSpec, StateSpec
from streamcell.runtime.model import Model
from streamcell.runtime.onnx_file import check_graph, read_onnx
from streamcell.train.cells import CELLS, Cell, Stack
from streamcell.train.models import SensorNet

ALL = list(CELLS)
OPERATORS: dict[str, tuple[str, dict[str, Any]]] = {
    "elman": ("RNN", {"activations": [b"Tanh"]}),
    "elman-relu": ("RNN", {"activations": [b"Relu"]}),
    "elman-sigmoid": ("RNN", {"activations": [b"Sigmoid"]}),
    "lstm": ("LSTM", {}),
    "lstm-projected": ("LSTM", {}),
    "gru": ("GRU", {"linear_before_reset": 1}),
    "gru-reset-before": ("GRU", {"linear_before_reset": 0}),
}
Arrays = tuple[NDArray[np.float32], ...]


def graph_of(module: nn.Module, states: list[str]) -> onnx.ModelProto:
    """Return `module` alone as a model: `x [T, B, in]` and states -> `y [T, B, H]` and states."""
    builder = Builder({name: f"{name}_next" for name in states}, "y")
    builder.apply("Identity", emit(module, builder, "x", "module", tuple(states)), output="y")

    def values(*names: str) -> list[onnx.ValueInfoProto]:
        return [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None] * 3) for name in names]

    taken, given = values("x", *states), values("y", *builder.following.values())
    graph = helper.make_graph(builder.nodes, "module", taken, given, builder.weights())
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)


def onnx_answer(model: onnx.ModelProto, x: Any, state: Any) -> tuple[Any, Arrays]:
    """Run a model of `graph_of` on `x [B, T, in]`."""
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_inputs()]
    values = [np.ascontiguousarray(np.swapaxes(x, 0, 1)), *map(np.asarray, state)]
    y, *after = session.run(None, dict(zip(names, values, strict=True)))
    return y.swapaxes(0, 1), tuple(after)


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("steps", [1, 3, 17])
@pytest.mark.parametrize("name", ALL)
def test_onnx_runtime_computes_the_equation(name: str, steps: int, batch: int) -> None:
    torch.manual_seed(100 + steps)
    inputs, hidden = (int(n) for n in torch.randint(1, 40, (2,)))
    cell = CELLS[name](inputs, hidden)
    x, state = equations.draw(cell, batch, steps, inputs)
    y, after = onnx_answer(graph_of(cell, list(cell.names)), x, state)
    wanted, last = equations.run(name, cell, x, state)
    case = f"{name}: {inputs} -> {hidden}, {steps} steps of {batch}"
    for value, right in zip((y, *after), (wanted, *last), strict=True):
        np.testing.assert_allclose(value, right, rtol=TOLERANCE, atol=TOLERANCE, err_msg=case)


@pytest.mark.parametrize("name", ALL)
def test_a_layer_is_one_operator(name: str) -> None:
    cell = CELLS[name](3, 4)
    nodes = list(graph_of(cell, list(cell.names)).graph.node)[:-1]  # the last one renames
    operator, attributes = OPERATORS[name]
    rest = ["Squeeze", "MatMul"] if name == "lstm-projected" else ["Squeeze"]
    assert [node.op_type for node in nodes] == [operator, *rest]
    assert list(nodes[0].input[5:]) == list(cell.names)
    assert list(nodes[0].output[1:]) == [f"{name}_next" for name in cell.names]
    found = {attribute.name: helper.get_attribute_value(attribute) for attribute in nodes[0].attribute}
    assert found == {"hidden_size": cell.hidden_size, **attributes}


def mixed(seed: int, cell: str | list[str], **settings: Any) -> SensorNet:
    """Return a network in evaluation mode with random weights and a stack of `cell`."""
    torch.manual_seed(seed)
    network = SensorNet(3, 5, sample_rate=50, hidden=12, dropout=0.3)
    network.stack = Stack(cell, 12, len(cell) if isinstance(cell, list) else 2, **settings)
    for module in network.modules():
        if isinstance(module, nn.LayerNorm):
            nn.init.normal_(module.weight, 1.0, 0.2)
            nn.init.normal_(module.bias, 0.0, 0.2)
    network.standardise.fit(torch.randn(50, 3))
    return network.eval()


def described(network: SensorNet) -> Manifest:
    heard = InputSpec("x", "features", 50, 3, 1, 0)
    output = OutputSpec("logits", "logits", tuple("abcde"), None, None, 0.02)
    return Manifest("mixed", "", "frames", heard, state_specs(network), (output,))


@pytest.mark.parametrize(
    ("cell", "settings"),
    [
        *((name, {}) for name in ALL),
        (ALL, {}),
        (ALL[::-1], {"norm": False}),
        (ALL, {"residual": False}),
        (ALL[::-1], {"norm": False, "residual": False, "memory": 5}),
    ],
    ids=str,
)
def test_a_network_is_exported_whole_by_step_and_in_blocks(cell: str | list[str], settings: Any) -> None:
    network = mixed(1, cell, **settings)
    model = build_model(network, described(network))
    check_graph(read_onnx(model.SerializeToString()))
    reports = measure(network, Model.open(model.SerializeToString()), {})
    proof = prove(reports)
    assert max(proof.outputs, proof.states) < TOLERANCE, proof


def test_states_of_a_mix_are_those_of_its_layers() -> None:
    network = mixed(0, ["gru-reset-before", "lstm-projected", "elman-sigmoid"], memory=20)
    small, large = (1, "B", 12), (1, "B", 20)
    shapes = {"h0": small, "h1": large, "c1": large, "h2": small}
    assert state_specs(network) == tuple(StateSpec(name, f"{name}_next", shape, 1) for name, shape in shapes.items())
    graph = build_model(network, described(network)).graph
    nodes = [node for node in graph.node if node.op_type in {"RNN", "LSTM", "GRU"}]
    assert [list(node.input[5:]) for node in nodes] == [["h0"], ["h1", "c1"], ["h2"]]
    assert [list(node.output[1:]) for node in nodes] == [["h0_next"], ["h1_next", "c1_next"], ["h2_next"]]


def test_what_a_stack_leaves_out_is_not_in_the_graph() -> None:
    def operators(**settings: Any) -> list[str]:
        stack = Stack(["gru", "elman"], 4, 2, **settings)
        return [node.op_type for node in graph_of(stack, stack.state_names).graph.node]

    layers = [["GRU", "Squeeze"], ["RNN", "Squeeze"]]
    norm, add, end = ["LayerNormalization"], ["Add"], ["Identity"]
    assert operators() == [*norm, *layers[0], *add, *norm, *layers[1], *add, *end]
    assert operators(norm=False) == [*layers[0], *add, *layers[1], *add, *end]
    assert operators(norm=False, residual=False) == [*layers[0], *layers[1], *end]


def test_the_weights_of_a_projection_are_stored_as_their_product() -> None:
    stack = Stack("lstm-projected", 6, 1, memory=9)
    sizes = {tensor.name: tuple(tensor.dims) for tensor in graph_of(stack, stack.state_names).graph.initializer}
    assert sizes["module.layers.0.weight_hh"] == (1, 4 * 9, 9)
    assert sizes["module.layers.0.weight_hr"] == (9, 6)


@pytest.mark.parametrize("name", ALL)
def test_the_layer_stays_as_it_was(name: str) -> None:
    cell: Cell = CELLS[name](3, 4)
    weights = {key: value.clone() for key, value in cell.state_dict().items()}
    graph_of(cell, list(cell.names))
    assert all(torch.equal(value, weights[key]) for key, value in cell.state_dict().items())
