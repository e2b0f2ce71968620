import gc
import tracemalloc
from typing import Any

import numpy as np
import pytest

from accumulator import Tally, accumulator, as_input, as_numbers, drawn
from helpers import tiny_model
from streamcell.runtime.errors import InputError, ModelError
from streamcell.runtime.model import Model
from streamcell.runtime.state import State
from streamcell.runtime.stepper import Stepper

FILES = {"features": accumulator(), "audio": accumulator("audio"), "tiny": tiny_model()}


def random_input(model: Model, batch: int, steps: int, seed: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    spec, random = model.manifest.input, np.random.default_rng(seed)
    size = (batch, steps * spec.samples_per_step)
    shape = size if spec.kind == "audio" else (*size, spec.channels)
    return random.integers(0, 8, shape).astype(np.float32) / np.float32(8)


def random_state(model: Model, batch: int, seed: int) -> State:
    random, specs = np.random.default_rng(seed), model.manifest.states
    return State(specs, {s.input: random.integers(0, 50, s.sizes(batch)).astype(s.dtype) for s in specs}, batch)


@pytest.mark.parametrize("start", ["fresh", "loaded"])
@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("name", FILES)
def test_it_does_what_model_step_does(name: str, batch: int, start: str) -> None:
    model = Model.open(FILES[name])
    stepper, state = Stepper(model, batch), model.initial_state(batch)
    if start == "loaded":
        state = random_state(model, batch, 5)
        stepper.load(state)
    for turn, steps in enumerate(np.random.default_rng(batch).integers(1, 8, 40).tolist()):
        x = random_input(model, batch, steps, turn)
        expected, state = model.step(x, state)
        stepper.input(steps)[...] = x
        found = stepper.run(steps)
        assert found.keys() == expected.keys()
        for output, values in expected.items():
            np.testing.assert_array_equal(found[output], values, f"{steps} steps, turn {turn}")
        assert stepper.state == state, f"{steps} steps, turn {turn}"
    assert stepper.batch == batch


@pytest.mark.parametrize("kind", ["features", "audio"])
def test_no_step_is_lost_doubled_or_swapped(kind: str) -> None:
    stepper, tally, begin = Stepper(Model.open(accumulator(kind))), Tally(kind), 0
    numbers, x = drawn(400, 3, kind)
    size, found = len(numbers) // 400, []
    for steps in np.random.default_rng(0).integers(1, 8, 90).tolist():
        samples = x[begin * size : (begin + steps) * size]
        stepper.input(steps)[0] = samples
        found += stepper.run(steps)["tally"][0].astype(int).tolist()
        tally.take(numbers[begin * size : (begin + steps) * size])
        begin += steps
        assert as_numbers(stepper.state) == tally.state
    assert found == [list(row) for row in tally.rows]


def test_advance_is_a_run_of_the_only_stream() -> None:
    model = Model.open(FILES["tiny"])
    a, b = Stepper(model), Stepper(model)
    for steps in (1, 5, 2):
        x = random_input(model, 1, steps, steps)
        b.input(steps)[...] = x
        np.testing.assert_array_equal(a.advance(x[0]), b.run(steps)["logits"][0])
    assert a.state == b.state


@pytest.mark.parametrize("name", FILES)
def test_reset_is_fresh(name: str) -> None:
    model = Model.open(FILES[name])
    stepper, x = Stepper(model, 3), random_input(model, 3, 4, 0)
    for warm in (0, 1, 2):  # whichever set of buffers is at turn
        for _ in range(warm):
            stepper.input(4)[...] = x
            stepper.run(4)
        stepper.reset()
        assert stepper.state == model.initial_state(3)
        stepper.input(4)[...] = x
        expected, after = model.step(x, model.initial_state(3))
        np.testing.assert_array_equal(stepper.run(4)["logits"], expected["logits"])
        assert stepper.state == after


def test_a_new_number_of_steps_changes_no_state() -> None:
    stepper, tally = Stepper(Model.open(FILES["features"])), Tally()
    for steps in (3, 1, 5):
        tally.take([7] * steps)
        stepper.advance(np.full((steps, 1), 7, np.float32))
        stepper.input(steps + 10)[...] = 7
        assert as_numbers(stepper.state) == tally.state


def test_the_state_is_a_copy() -> None:
    stepper = Stepper(Model.open(FILES["features"]))
    stepper.advance(as_input([1, 2]))
    state = stepper.state
    stepper.advance(as_input([3]))
    stepper.advance(as_input([4]))
    tally = Tally()
    tally.take([1, 2])
    assert as_numbers(state) == tally.state
    stepper.load(state)
    stepper.advance(as_input([5]))
    stepper.advance(as_input([6]))
    assert as_numbers(state) == tally.state
    assert stepper.buffers["h0"][0, 0, 0] == 4


def test_a_foreign_state_is_refused_and_changes_nothing() -> None:
    model, other = Model.open(FILES["features"]), Model.open(FILES["tiny"])
    stepper = Stepper(model)
    stepper.advance(as_input([1, 2]))
    before = stepper.state
    for state in (other.initial_state(), model.initial_state(2)):
        with pytest.raises(InputError, match="state of 1 streams of this model"):
            stepper.load(state)
    assert stepper.state == before


def test_a_step_that_fails_leaves_the_state() -> None:
    """A table is asked for a row that it does not have: ONNX Runtime gives up in the middle of the graph."""
    model, tally = Model.open(accumulator(fragile=True)), Tally()
    stepper = Stepper(model)
    for good in ([1, 2, 3], [4, 5, 6], [7]):
        for bad in ([255, 256, 1], [300]):
            with pytest.raises(ModelError, match=f"the model failed on {len(bad)} steps: .*out of data bounds"):
                stepper.advance(as_input(bad))
            assert as_numbers(stepper.state) == tally.state
        tally.take(good)
        stepper.advance(as_input(good))
        assert as_numbers(stepper.state) == tally.state


def test_a_state_that_is_not_finite_is_never_handed_out() -> None:
    stepper = Stepper(Model.open(accumulator(hidden_nan=True)))
    stepper.advance(as_input([1]))
    assert stepper.state["ill"].tolist() == [[0]]
    assert np.isfinite(stepper.advance(as_input([-2]))).all(), "the answer does not show it"
    with pytest.raises(InputError, match="state 'ill' has values that are not finite"):
        _ = stepper.state
    stepper.reset()
    assert stepper.state["ill"].tolist() == [[0]]


def test_streams_that_must_not_share_a_call_do_not() -> None:
    model = Model.open(accumulator(batch_invariant=False))
    with pytest.raises(InputError, match="must not share a call; expected batch 1, got 2"):
        Stepper(model, 2)
    assert Stepper(model).advance(as_input([1])).shape == (1, 6)


@pytest.mark.parametrize(("fixed", "wrong"), [(None, (0, -1)), (4, (0, 1, 3, 5, 8))])
def test_a_wrong_number_of_steps(fixed: int | None, wrong: tuple[int, ...]) -> None:
    stepper = Stepper(Model.open(accumulator(steps_per_call=fixed)))
    for steps in wrong:
        for call in (stepper.input, stepper.run):
            with pytest.raises(InputError, match=f"{fixed or 'one or more'} steps a call, got {steps}"):
                call(steps)
    assert stepper.run(fixed or 1)["tally"][0, -1, 0] == (fixed or 1)


def test_a_model_without_room_for_more_steps_says_so_at_once() -> None:
    """2000 steps ask for more powers than the network has: the call that binds the buffers fails, no later one."""
    stepper = Stepper(Model.open(FILES["features"]))
    with pytest.raises(ModelError, match="the model failed on 2000 steps"):
        stepper.input(2000)
    assert stepper.run(1)["tally"].tolist() == [[[1, 0, 0]]]


def test_a_stepper_that_is_not_warm_answers_the_same() -> None:
    model = Model.open(FILES["tiny"])
    warm, cold, x = Stepper(model), Stepper(model, warm=False), random_input(model, 1, 1, 7)[0]
    for _ in range(3):
        np.testing.assert_array_equal(cold.advance_once(x), warm.advance_once(x))
    assert cold.state == warm.state


@pytest.mark.parametrize("name", FILES)
def test_nothing_is_allocated(name: str) -> None:
    model = Model.open(FILES[name])
    stepper = Stepper(model, 3)
    places = set()
    for _ in range(5):
        x, outputs = stepper.input(2), stepper.run(2)
        arrays = [x, *outputs.values(), *stepper.buffers.values()]
        places |= {array.__array_interface__["data"][0] for array in arrays}
    states = len(model.manifest.states)
    assert len(places) == 1 + len(model.manifest.outputs) + 2 * states, "two sets of states, one of all else"
    tracemalloc.start()
    sizes = []
    for _ in range(4):
        for _ in range(1000):
            stepper.run(2)
        gc.collect()
        sizes.append(tracemalloc.get_traced_memory()[0])
    tracemalloc.stop()
    assert sizes[3] - sizes[2] < 1000, "a byte a run, once the interpreter's own stores are full"


def test_two_steppers_of_one_model_know_nothing_of_each_other() -> None:
    model = Model.open(FILES["features"])
    steppers, tallies = [Stepper(model) for _ in range(4)], [Tally() for _ in range(4)]
    for turn, who in enumerate(np.random.default_rng(0).integers(0, 4, 200).tolist()):
        numbers = [turn % 8] * (1 + turn % 3)
        steppers[who].advance(as_input(numbers))
        tallies[who].take(numbers)
    for stepper, tally in zip(steppers, tallies, strict=True):
        assert as_numbers(stepper.state) == tally.state
