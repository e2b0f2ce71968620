from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from helpers import tiny_model
from streamcell.runtime.errors import InputError
from streamcell.runtime.frames import log_softmax
from streamcell.runtime.model import Model
from streamcell.runtime.state import State
from streamcell.runtime.verify import verify


def test_a_right_model_is_within_the_bound_in_every_case() -> None:
    report = verify(Model.open(tiny_model()))
    assert report.within(1e-4)
    assert not report.within(-1.0)
    assert report.cases == 2 * (5 + 5) + 2  # starts x (blocks of batch 1 and 3), and each alone
    assert {case.batch for case in report.table} == {1, 3}
    assert str(report).count("\n") == report.cases + 1


def forget_state(model: onnx.ModelProto) -> None:
    next(node for node in model.graph.node if node.op_type == "GRU").input[5] = ""


def test_a_model_that_forgets_its_state_is_caught_and_named() -> None:
    report = verify(Model.open(tiny_model(change=forget_state)))
    assert report.outputs > 0.1
    assert report.states > 0.01
    assert not report.within(1e-4)
    assert "'logits', step" in report.worst


def mix_streams(model: onnx.ModelProto) -> None:
    """Add the mean of all streams to each stream's features."""
    graph = model.graph
    at = next(i for i, node in enumerate(graph.node) if node.output[0] == "squashed")
    graph.node[at].output[0] = "own"
    graph.node.insert(at + 1, onnx.helper.make_node("ReduceMean", ["own"], ["shared"], axes=[0]))
    graph.node.insert(at + 2, onnx.helper.make_node("Add", ["own", "shared"], ["squashed"]))


def test_a_model_whose_streams_disturb_each_other_is_caught() -> None:
    report = verify(Model.open(tiny_model(change=mix_streams)))
    assert not report.within(1e-4)
    assert "batch 3" in report.worst
    assert "each alone" in report.worst


def test_fixed_steps_are_kept() -> None:
    assert verify(Model.open(tiny_model(steps_per_call=4))).within(1e-6)


def test_own_samples_of_any_number_of_streams() -> None:
    model = Model.open(tiny_model())
    samples = np.random.default_rng(0).standard_normal((2, 1605)).astype(np.float32) * np.float32(0.3)
    for given in (samples, samples[0], samples.astype(np.float64)):
        assert verify(model, given).within(1e-4)


class Reference:
    """Answer as a model does, but for one error."""

    def __init__(self, model: Model, wrong: str | None = None) -> None:
        self._model, self._wrong = model, wrong

    def __call__(
        self, x: NDArray[np.float32], state: Mapping[str, NDArray[Any]]
    ) -> tuple[NDArray[np.float32], dict[str, NDArray[Any]]]:
        outputs, after = self._model.step(x, State(self._model.manifest.states, state))
        log_probs, states = log_softmax(outputs["logits"]), {name: np.array(value) for name, value in after.items()}
        if self._wrong == "logits":
            log_probs[:, 17, 2] *= np.float32(0.99)  # all are below -1
        elif self._wrong is not None:
            states[self._wrong] += np.float32(0.01)
        return log_probs, states


@pytest.mark.parametrize(("wrong", "place"), [("logits", "'logits', step 17"), ("h0", "final state 'h0'")])
def test_a_reference_that_differs_is_placed(wrong: str, place: str) -> None:
    model = Model.open(tiny_model())
    assert verify(model, reference=Reference(model)).within(1e-4)
    report = verify(model, reference=Reference(model, wrong))
    assert max(report.outputs, report.states) == pytest.approx(0.01, rel=0.02)
    assert place in report.worst


def test_a_reference_with_nan_is_infinitely_far() -> None:
    model = Model.open(tiny_model())

    def reference(x: NDArray[np.float32], state: Mapping[str, NDArray[Any]]) -> Any:
        log_probs, after = Reference(model)(x, state)
        return log_probs * np.nan, after

    assert verify(model, reference=reference).outputs == np.inf


def test_misuse_is_refused() -> None:
    model = Model.open(tiny_model())
    with pytest.raises(InputError, match=r"the reference must give the tensors .*'h0'"):
        verify(model, reference=lambda x, state: (np.zeros((len(x), 1, 6)), state))
    with pytest.raises(InputError, match="at least 16 samples"):
        verify(model, np.zeros(15, np.float32))
    with pytest.raises(InputError, match="at least 16 samples"):
        verify(model, np.float32(1.0))
    with pytest.raises(InputError, match="NaN"):
        verify(model, np.full(160, np.nan))
    with pytest.raises(InputError, match="at least 1"):
        verify(model, blocks=(0,))
    with pytest.raises(InputError, match="at least 1"):
        verify(model, batches=())
