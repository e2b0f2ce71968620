import threading

import numpy as np
import pytest

from accumulator import Tally, accumulator, as_input, as_numbers, stateless
from helpers import tiny_model
from streamcell.runtime.errors import ModelError
from streamcell.runtime.model import Model
from streamcell.runtime.rows import MOST_ROWS, Row, Rows
from streamcell.runtime.state import State

CAPACITY = 9


def tallies(count: int, kind: str) -> list[Tally]:
    return [Tally(kind) for _ in range(count)]


def run(rows: Rows, chosen: list[int], numbers: list[list[int]], kind: str = "features") -> None:
    """Run some rows on whole numbers, a list a row."""
    x = np.array([as_input(row, kind) for row in numbers])
    rows.run(chosen, len(numbers[0]) // (4 if kind == "audio" else 1), x)


@pytest.mark.parametrize("kind", ["features", "audio"])
@pytest.mark.parametrize("seed", range(5))
def test_any_rows_in_any_order_keep_to_themselves(seed: int, kind: str) -> None:
    """Random runs, puts and resets; each row must be what its own tally says."""
    model, random = Model.open(accumulator(kind)), np.random.default_rng(seed)
    rows, counts = Rows(model, CAPACITY), tallies(CAPACITY, kind)
    size = 4 if kind == "audio" else 1
    for turn in range(150):
        chosen = random.permutation(CAPACITY)[: random.integers(1, CAPACITY + 1)].tolist()
        if random.random() < 0.2:
            a, b = int(random.integers(CAPACITY)), chosen[0]
            rows.put(a, rows.get(b))
            copy = Tally(kind)
            copy.__dict__.update({**counts[b].__dict__, "rows": list(counts[b].rows)})
            counts[a] = copy
        elif random.random() < 0.1:
            Row(rows, chosen[0], model).reset()
            counts[chosen[0]] = Tally(kind)
        else:
            steps = int(random.choice([1, 2, 5]))
            numbers = random.integers(0, 8, (len(chosen), steps * size)).tolist()
            run(rows, chosen, numbers, kind)
            for row, values in zip(chosen, numbers, strict=True):
                counts[row].take(values)
        for row, tally in enumerate(counts):
            assert as_numbers(rows.get(row)) == tally.state, f"seed {seed}, turn {turn}, row {row}"


@pytest.mark.parametrize("count", [1, 2, 3, 5, 9, 13, 20, 31, 33, 63, 65, 100, MOST_ROWS])
def test_a_run_is_the_models_step(count: int) -> None:
    model, random = Model.open(tiny_model()), np.random.default_rng(count)
    rows, state = Rows(model, 150), model.initial_state(150)
    for _ in range(3):
        chosen = random.permutation(150)[:count].tolist()
        x = random.standard_normal((count, 32)).astype(np.float32)
        expected, after = model.step(x, state.rows(chosen))
        state = state.put(chosen, after)
        found = rows.run(chosen, 2, x)
        np.testing.assert_allclose(found, expected["logits"], atol=1e-5)
        for row in range(150):
            for name, array in rows.get(row).items():
                np.testing.assert_allclose(array, state.rows([row])[name], atol=1e-6)


def test_rows_that_fill_a_call_up_leave_no_trace() -> None:
    """Batches of 3, 5 and 9 are run as 4, 8 and 12; what fills them was another row's in the call before."""
    rows, counts = Rows(Model.open(accumulator()), 12), tallies(12, "features")
    for count in (12, 9, 5, 8, 3, 4, 3, 9, 12, 5, 1, 2):
        chosen = list(range(count))[::-1]
        run(rows, chosen, [[row % 8] for row in chosen])
        for row in chosen:
            counts[row].take([row % 8])
    assert [as_numbers(rows.get(row)) for row in range(12)] == [tally.state for tally in counts]


def test_what_filled_a_call_up_cannot_break_it() -> None:
    """A step that ONNX Runtime gives up on must not stay behind in the places that smaller calls fill up."""
    rows = Rows(Model.open(accumulator(fragile=True)), 4)
    with pytest.raises(ModelError, match="the model failed"):
        run(rows, [0, 1, 2, 3], [[1], [1], [1], [999]])
    assert [as_numbers(rows.get(row)) for row in range(4)] == [Tally().state] * 4
    run(rows, [0, 1, 2], [[1], [2], [3]])
    assert [rows.get(row)["h0"][0, 0, 1] for row in range(4)] == [1, 2, 3, 0]


def test_get_is_a_copy_and_put_takes_one() -> None:
    model = Model.open(accumulator())
    rows, tally = Rows(model, 3), Tally()
    tally.take([1, 2, 3])
    run(rows, [1], [[1, 2, 3]])
    state = rows.get(1)
    run(rows, [1], [[4]])
    assert as_numbers(state) == tally.state
    rows.put(0, state)
    run(rows, [0], [[5]])
    assert as_numbers(state) == tally.state
    tally.take([5])
    assert as_numbers(rows.get(0)) == tally.state
    assert as_numbers(rows.get(2)) == Tally().state


def test_a_row_is_the_steps_of_a_stream() -> None:
    model = Model.open(accumulator("audio"))
    rows, tally = Rows(model, 3), Tally("audio")
    row = Row(rows, 2, model)
    for numbers in ([1, 2, 3, 4], [5, 6, 7, 0, 1, 1, 2, 2]):
        tally.take(numbers)
        assert row.advance(as_input(numbers, "audio")).argmax(1).tolist() == [
            1 + weighted % 5 for _, _, weighted in tally.rows[-len(numbers) // 4 :]
        ]
    assert as_numbers(row.state) == tally.state
    row.reset()
    assert row.state == model.initial_state()
    row.load(rows.get(0))
    assert [as_numbers(rows.get(i)) for i in range(3)] == [Tally().state] * 3


def test_warming_up_changes_no_state() -> None:
    model = Model.open(accumulator())
    rows = Rows(model, 5)
    run(rows, [3], [[7, 7]])
    before = [rows.get(row) for row in range(5)]
    rows.warm(5)
    assert [rows.get(row) for row in range(5)] == before


def test_threads_may_step_different_rows_at_once() -> None:
    model = Model.open(accumulator())
    rows, counts = Rows(model, 32), tallies(32, "features")
    errors: list[BaseException] = []

    def work(mine: list[int]) -> None:
        random = np.random.default_rng(mine[0])
        try:
            for _ in range(150):
                chosen = random.permutation(mine)[: random.integers(1, 9)].tolist()
                numbers = random.integers(0, 8, (len(chosen), 2)).tolist()
                run(rows, chosen, numbers)
                for row, values in zip(chosen, numbers, strict=True):
                    counts[row].take(values)
        except BaseException as error:  # noqa: BLE001  # the test tells
            errors.append(error)

    threads = [threading.Thread(target=work, args=(list(range(k, 32, 4)),)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert [as_numbers(rows.get(row)) for row in range(32)] == [tally.state for tally in counts]


def test_a_model_without_states_has_rows_too() -> None:
    model = Model.open(stateless())
    rows = Rows(model, 5)
    x = np.random.default_rng(0).standard_normal((3, 2, 1)).astype(np.float32)
    expected, _ = model.step(x, model.initial_state(3))
    np.testing.assert_array_equal(rows.run([4, 0, 2], 2, x), expected["logits"])
    assert rows.get(1) == State((), {}, 1)
    rows.put(1, rows.get(0))
