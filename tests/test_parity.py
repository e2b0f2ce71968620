"""A right graph passes, and whatever is wrong with one is found and named."""

from collections.abc import Callable

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper

from helpers import SAMPLES
from networks import random_network, spoken_manifest
from streamcell.export import exporter, parity
from streamcell.export.graph import build_model, with_manifest
from streamcell.export.parity import BOUND, Exact, ParityError, measure, prove, synthetic
from streamcell.runtime.model import Model
from streamcell.runtime.sources import AudioFile
from streamcell.runtime.verify import Case, VerifyReport
from streamcell.train.models import PhonemeNet

Edit = Callable[[onnx.GraphProto], None]


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take little random input."""
    monkeypatch.setattr(parity, "_STEPS", (1, 3))


def opened(network: PhonemeNet, edit: Edit = lambda graph: None) -> Model:
    manifest = spoken_manifest(network)
    model = build_model(network, manifest)
    edit(model.graph)
    return Model.open(with_manifest(model, manifest).SerializeToString())


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize("cell", ["gru", "lstm", "elman"])
def test_a_right_graph_is_proven(cell: str) -> None:
    network = random_network(cell=cell)
    proof = prove(measure(network, opened(network), {"voice": synthetic(1.0, 16000)}))
    assert proof.bound == BOUND
    assert 0 < max(proof.outputs, proof.states) < 2e-5
    assert proof.cases == 3 * 22, "three inputs; batches of 1 and 3, two starts, five cuttings, and each stream alone"


def test_random_input_of_all_lengths_and_real_speech() -> None:
    network = random_network(layers=1)
    with AudioFile(SAMPLES / "reader.flac") as audio:
        speech = next(iter(audio))[:32000]
    reports = measure(network, opened(network), {"reader": speech})
    assert list(reports) == [*(f"random, steps: {steps}" for steps in (1, 3, 10, 1000)), "reader"]
    assert all(report.within(2e-5) for report in reports.values())
    table = reports["reader"].table
    assert {case.cut for case in table} >= {"all at once", *(f"blocks of {n}" for n in (1, 7, 160, 481))}
    assert {(case.batch, case.start) for case in table} == {(b, s) for b in (1, 3) for s in ("initial", "random")}


def weights_of(graph: onnx.GraphProto, name: str) -> tuple[onnx.TensorProto, np.ndarray]:
    tensor = next(tensor for tensor in graph.initializer if tensor.name == name)
    return tensor, numpy_helper.to_array(tensor).copy()


def swap_gates(graph: onnx.GraphProto) -> None:
    tensor, array = weights_of(graph, "stack.layers.1.weight_hh")
    swapped = np.roll(array, array.shape[1] // 3, axis=1)
    tensor.CopyFrom(numpy_helper.from_array(swapped, tensor.name))


def scale(name: str) -> Edit:
    def edit(graph: onnx.GraphProto) -> None:
        tensor, array = weights_of(graph, name)
        tensor.CopyFrom(numpy_helper.from_array(array * np.float32(1.01), name))

    return edit


def reset_before(graph: onnx.GraphProto) -> None:
    node = next(node for node in graph.node if node.op_type == "GRU")
    next(item for item in node.attribute if item.name == "linear_before_reset").i = 0


def swap_states(graph: onnx.GraphProto) -> None:
    first, second = (node for node in graph.node if node.op_type == "GRU")
    first.output[1], second.output[1] = second.output[1], first.output[1]


def forget(state: str) -> Edit:
    """Give the state back as it came."""

    def edit(graph: onnx.GraphProto) -> None:
        node = next(node for node in graph.node if f"{state}_next" in node.output)
        names = [name if name != f"{state}_next" else "unused" for name in node.output]
        node.output[:] = names
        graph.node.append(onnx.helper.make_node("Identity", [state], [f"{state}_next"]))

    return edit


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize(
    ("edit", "tensors"),
    [
        (swap_gates, r"logits|h1"),
        (scale("frontend.filters"), r"logits|conv0"),
        (scale("head.weight"), r"logits"),
        (reset_before, r"logits|h0|h1"),
        (swap_states, r"h0|h1"),
        (forget("tail"), r"logits|tail"),
        (forget("conv0"), r"logits|conv0"),
        (forget("h1"), r"logits|h1"),
    ],
)
def test_a_wrong_graph_is_refused_and_the_tensor_named(edit: Edit, tensors: str) -> None:
    network = random_network()
    place = rf"random, steps: 1, batch [13], .* '({tensors})'"
    with pytest.raises(ParityError, match=place) as caught:
        prove(measure(network, opened(network, edit), {}))
    assert "allowed is 0.0001" in str(caught.value)


def test_the_step_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parity, "_STEPS", (5,))
    network = random_network()
    model = opened(network)
    right = network.forward

    def wrong(samples: torch.Tensor, state: dict[str, torch.Tensor]) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        logits, after = right(samples, state)
        logits[:, 3, 0] += 5
        return logits, after

    monkeypatch.setattr(network, "forward", wrong)
    with pytest.raises(ParityError, match=r"'logits', step 3"):
        prove(measure(network, model, {}))


@pytest.mark.parametrize("wrong", [1.1e-4, np.inf])
def test_the_bound(wrong: float) -> None:
    fits = VerifyReport((Case(1, "initial", "all at once", BOUND, BOUND, "final state 'h0'"),))
    assert prove({"noise": fits}).states == BOUND
    for outputs, states in ((wrong, 0.0), (0.0, wrong)):
        over = VerifyReport((Case(1, "initial", "all at once", outputs, states, "final state 'h0'"),))
        with pytest.raises(
            ParityError, match=r"speech, batch 1, initial state, all at once, final state 'h0' differs by"
        ):
            prove({"noise": fits, "speech": over})


@pytest.mark.usefixtures("short")
def test_a_sensitive_network_is_compared_in_float64_and_may_round_as_float32_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    network = random_network()
    for module in (parity, exporter):
        monkeypatch.setattr(module, "BOUND", 1e-9)  # so that float32's rounding is too much for it
    proof = Model.open(exporter.prove_file(network, spoken_manifest(network), {}).data).manifest.parity
    assert proof is not None
    assert 1e-9 < max(proof.outputs, proof.states) <= proof.bound < 1e-4


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize("edit", [scale("head.weight"), forget("h1"), swap_gates])
def test_a_wrong_graph_is_refused_in_float64_as_well(edit: Edit) -> None:
    network = random_network()
    exact = Exact(network)
    reports = measure(network, opened(network, edit), {}, reference=exact)
    assert 0 < exact.rounding < BOUND / 10
    assert exact.bound == BOUND
    with pytest.raises(ParityError, match=r"allowed is 0\.0001"):
        prove(reports, exact.bound)
