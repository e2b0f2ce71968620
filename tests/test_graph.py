"""The ONNX graph computes what the torch network computes, with as few operators as can be."""

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from networks import random_network, spoken_manifest
from streamcell.export.builder import Builder, emit
from streamcell.export.graph import build_model, state_specs
from streamcell.runtime.errors import ModelError
from streamcell.runtime.manifest import StateSpec
from streamcell.runtime.model import Model
from streamcell.runtime.onnx_file import check_graph, read_onnx
from streamcell.runtime.state import State
from streamcell.runtime.stream import Stream
from streamcell.train.models import PhonemeNet

OPERATORS = {"gru": "GRU", "lstm": "LSTM", "elman": "RNN"}
CELLS = sorted(OPERATORS)

Named = dict[str, NDArray[np.float32]]


def opened(network: PhonemeNet) -> Model:
    return Model.open(build_model(network, spoken_manifest(network)).SerializeToString())


def drawn(network: PhonemeNet, random: np.random.Generator, batch: int, steps: int) -> tuple[Any, State]:
    """Draw samples and a non-zero state."""
    samples = random.normal(0, 0.1, (batch, steps * network.samples_per_step)).astype(np.float32)
    specs = state_specs(network)
    state = {spec.input: random.uniform(-1, 1, spec.sizes(batch)).astype(np.float32) for spec in specs}
    return samples, State(specs, state)


def torch_answer(network: PhonemeNet, samples: Any, state: State) -> Named:
    with torch.no_grad():
        logits, after = network(torch.tensor(samples), {name: torch.tensor(x) for name, x in state.items()})
    return {"logits": logits.numpy(), **{name: x.numpy() for name, x in after.items()}}


def onnx_answer(model: Model, samples: Any, state: State) -> Named:
    outputs, after = model.step(samples, state)
    return {**outputs, **after}


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("cell", CELLS)
def test_onnx_equals_torch_in_outputs_and_states(cell: str, seed: int) -> None:
    random = np.random.default_rng(seed)
    hidden, layers, mels = (int(n) for n in (random.integers(8, 65), random.integers(1, 4), random.integers(8, 81)))
    network = random_network(seed, cell=cell, hidden=hidden, layers=layers, mels=mels, channels=hidden // 2 + 1)
    model = opened(network)
    for batch in (1, 3):
        for steps in (1, 3, 10, 200):
            samples, state = drawn(network, random, batch, steps)
            wanted, got = torch_answer(network, samples, state), onnx_answer(model, samples, state)
            for name, value in wanted.items():
                case = f"{name}: {cell} {hidden} x {layers}, {mels} mels, batch {batch}, {steps} steps"
                np.testing.assert_allclose(got[name], value, rtol=0, atol=1e-5, err_msg=case)


@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("cell", CELLS)
def test_a_recurrent_layer_is_one_operator_fed_by_named_states(cell: str, layers: int) -> None:
    network = random_network(cell=cell, layers=layers)
    graph = build_model(network, spoken_manifest(network)).graph
    nodes = [node for node in graph.node if node.op_type in OPERATORS.values()]
    letters = "hc" if cell == "lstm" else "h"
    assert [node.op_type for node in nodes] == [OPERATORS[cell]] * layers
    for i, node in enumerate(nodes):
        assert list(node.input[5:]) == [f"{letter}{i}" for letter in letters]
        assert list(node.output[1:]) == [f"{letter}{i}_next" for letter in letters]
        assert {axis.dim_param for axis in shape_of(graph, f"h{i}")} == {"B", ""}


def shape_of(graph: onnx.GraphProto, name: str) -> Any:
    return next(value.type.tensor_type.shape.dim for value in graph.input if value.name == name)


@pytest.mark.parametrize("cell", CELLS)
def test_the_runtime_and_the_checker_let_the_graph_in(cell: str) -> None:
    network = random_network(cell=cell)
    model = build_model(network, spoken_manifest(network))
    onnx.checker.check_model(model, full_check=True)
    check_graph(read_onnx(model.SerializeToString()))
    assert Counter(node.op_type for node in model.graph.node)["Transpose"] == 2


@pytest.mark.parametrize("cell", CELLS)
def test_onnx_runtime_finds_no_operator_to_remove(cell: str, tmp_path: Path) -> None:
    network = random_network(cell=cell)
    model = build_model(network, spoken_manifest(network))
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    optimised = onnx.load(tmp_path / "optimised.onnx")
    assert len(model.graph.node) <= len(optimised.graph.node)


def test_every_constant_is_used_and_stored_once() -> None:
    network = random_network(layers=3)
    graph = build_model(network, spoken_manifest(network)).graph
    names = [tensor.name for tensor in graph.initializer]
    assert len(set(names)) == len(names)
    assert set(names) <= {name for node in graph.node for name in node.input}
    stored = sum(int(np.prod(tensor.dims)) for tensor in graph.initializer)
    fourier = 2 * 201 * 200
    buffers = network.frontend.filters.numel() + 1 + 2 * network.frontend.n_mels
    weights = sum(parameter.numel() for parameter in network.parameters())
    assert stored - fourier - buffers - weights < 40, "only indices come on top"


def test_axes_are_named_and_the_manifest_comes_along() -> None:
    network = random_network()
    manifest = spoken_manifest(network)
    data = build_model(network, manifest).SerializeToString()
    file = read_onnx(data)
    assert Model.open(data).manifest == replace(manifest, checksum=file.program.hex())
    assert {value.name: value.shape for value in (*file.graph.inputs, *file.graph.outputs)} == {
        "samples": ("B", "N"),
        "logits": ("B", "T", len(manifest.outputs[0].labels)),
        **{spec.input: spec.shape for spec in manifest.states},
        **{spec.output: spec.shape for spec in manifest.states},
    }


def test_the_same_network_gives_the_same_bytes() -> None:
    one, other = (build_model(net, spoken_manifest(net)) for net in (random_network(5), random_network(5)))
    assert one.SerializeToString() == other.SerializeToString()


def test_dropout_is_left_out_and_the_network_stays_as_it_was() -> None:
    network = random_network(dropout=0.5).train()
    weights = {name: value.clone() for name, value in network.state_dict().items()}
    samples, state = drawn(network, np.random.default_rng(0), 1, 5)
    got = onnx_answer(opened(network), samples, state)
    assert network.training
    assert all(torch.equal(value, weights[name]) for name, value in network.state_dict().items())
    wanted = torch_answer(network.eval(), samples, state)
    np.testing.assert_allclose(got["logits"], wanted["logits"], atol=1e-5)


def test_a_model_streams_whatever_the_blocks() -> None:
    network = random_network()
    model = opened(network)
    sound = np.random.default_rng(3).normal(0, 0.1, 16000).astype(np.float32)
    found = []
    for size in (160, 481, len(sound)):
        stream = Stream(model)
        blocks = (sound[start : start + size] for start in range(0, len(sound), size))
        events = [event for block in blocks for event in stream.push(block)] + stream.flush()
        found.append([event for event in events if getattr(event, "final", True)])
    assert found[0] == found[1] == found[2]


def test_a_manifest_of_another_network_is_refused() -> None:
    manifest = spoken_manifest(random_network(layers=2))
    with pytest.raises(ModelError, match="network's states"):
        build_model(random_network(layers=1), manifest)


def test_a_module_without_an_onnx_form_is_named() -> None:
    with pytest.raises(ModelError, match=r"'head'.*Bilinear"):
        emit(nn.Bilinear(1, 1, 1), Builder({}, "y"), "x", "head", ())


def test_a_new_module_registers_one_function() -> None:
    class Twice(nn.Module):
        pass

    @emit.register
    def _(_module: Twice, builder: Builder, x: str, _name: str, _states: tuple[str, ...]) -> str:
        return builder.apply("Add", x, x)

    builder = Builder({}, "y")
    assert emit(Twice(), builder, "x", "", ()) == builder.nodes[0].output[0]


def test_states_are_the_networks() -> None:
    specs = state_specs(random_network(cell="lstm", hidden=16, layers=1, mels=40, channels=12))
    assert specs == (
        StateSpec("tail", "tail_next", ("B", 240), 0),
        StateSpec("conv0", "conv0_next", ("B", 2, 40), 0),
        StateSpec("conv1", "conv1_next", ("B", 2, 12), 0),
        StateSpec("h0", "h0_next", (1, "B", 16), 1),
        StateSpec("c0", "c0_next", (1, "B", 16), 1),
    )
