"""State as a value: rows, bytes, checks."""

from typing import Any

import numpy as np
import pytest

from helpers import tiny_manifest
from streamcell.runtime.errors import InputError
from streamcell.runtime.manifest import StateSpec
from streamcell.runtime.state import State
from streamcell.runtime.wire import pack, unpack

SPECS = (
    StateSpec("tail", "tail_next", ("B", 3), 0),
    StateSpec("h0", "h0_next", (1, "B", 2), 1),
    StateSpec("count", "count_next", ("B",), 0, "int64", 7),
)
MANIFEST = tiny_manifest(states=SPECS)


def drawn(batch: int, seed: int = 0) -> State:
    random = np.random.default_rng(seed)
    arrays = {spec.input: (random.standard_normal(spec.sizes(batch)) * 9).astype(spec.dtype) for spec in SPECS}
    return State(SPECS, arrays)


def test_initial() -> None:
    state = State.initial(SPECS, 4)
    assert state.batch == 4
    assert list(state) == ["tail", "h0", "count"]
    assert state["count"].tolist() == [7] * 4
    assert state == State.initial(SPECS, 4) != State.initial(SPECS, 3)
    with pytest.raises(InputError, match="at least 1 stream, got 0"):
        State.initial(SPECS, 0)


def test_it_copies_what_it_is_given_and_never_changes() -> None:
    arrays = {spec.input: np.zeros(spec.sizes(2), spec.dtype) for spec in SPECS}
    state = State(SPECS, arrays)
    arrays["h0"][...] = 5
    assert not state["h0"].any()
    for found in (state, state.rows([1]), state.put([0], state.rows([1])), State.initial(SPECS)):
        for array in found.values():
            with pytest.raises(ValueError, match="read-only"):
                array[...] = 1
    with pytest.raises(TypeError):
        hash(state)


@pytest.mark.parametrize("indices", [[0], [4, 1], [0, 1, 2, 3, 4], [2, 2]])
def test_rows_gathers(indices: list[int]) -> None:
    state, found = drawn(5), drawn(5).rows(indices)
    assert found.batch == len(indices)
    for place, index in enumerate(indices):
        assert found.rows([place]) == state.rows(np.array([index]))


def test_put_scatters_and_changes_neither() -> None:
    state, rows = drawn(5), drawn(2, seed=1)
    found = state.put([3, 0], rows)
    assert found.rows([3, 0]) == rows
    assert found.rows([1, 2, 4]) == state.rows([1, 2, 4])
    assert (state, rows) == (drawn(5), drawn(2, seed=1))


@pytest.mark.parametrize("indices", [[], [5], [-1], [0.5], [[0]], [True], "a"])
def test_wrong_indices(indices: Any) -> None:
    with pytest.raises(InputError, match="stream numbers"):
        drawn(5).rows(indices)


def test_put_refuses_what_does_not_match() -> None:
    state = drawn(5)
    for indices, rows in (([0, 0], drawn(2)), ([0], drawn(2)), ([0], State.initial(SPECS[:1]))):
        with pytest.raises(InputError, match="different indices"):
            state.put(indices, rows)


@pytest.mark.parametrize("batch", [1, 5])
def test_bytes_round_trip(batch: int) -> None:
    state = drawn(batch)
    found = State.from_bytes(state.to_bytes(), MANIFEST)
    assert found == state
    assert found.to_bytes() == state.to_bytes()


def test_bytes_of_another_model_version_or_value_are_refused() -> None:
    data = drawn(2).to_bytes()
    with pytest.raises(InputError, match="expected the states tail, h0; got tail, h0, count"):
        State.from_bytes(data, tiny_manifest())
    other = (StateSpec("tail", "tail_next", ("B", 4), 0), *SPECS[1:])
    with pytest.raises(InputError, match=r"state 'tail' must be float32 \[2, 4\], got float32 \[2, 3\]"):
        State.from_bytes(data, tiny_manifest(states=other))
    meta, arrays = unpack(data, "state")
    for change in ({"version": 2}, {"batch": None}, {"batch": 3}, {"batch": 0}):
        with pytest.raises(InputError):
            State.from_bytes(pack("state", {**meta, **change}, arrays), MANIFEST)
    arrays["h0"][0, 1, 0] = np.nan
    with pytest.raises(InputError, match="'h0' has values that are not finite"):
        State.from_bytes(pack("state", meta, arrays), MANIFEST)


def test_wrong_arrays() -> None:
    good = dict(drawn(2))
    for change, message in (
        ({"h0": good["h0"].astype(np.float64)}, "must be float32"),
        ({"h0": good["h0"][:, :1]}, r"must be float32 \[1, 2, 2\], got float32 \[1, 1, 2\]"),
        ({"tail": good["tail"][0]}, r"must have shape \['B', 3\], got \[3\]"),
        ({"more": good["tail"]}, "expected the states"),
    ):
        with pytest.raises(InputError, match=message):
            State(SPECS, {**good, **change})


def test_a_model_without_states_still_has_streams() -> None:
    state = State.initial((), 3)
    assert state.batch == 3
    assert state.rows([0, 2]).batch == 2
    assert State.from_bytes(state.to_bytes(), tiny_manifest(states=())) == state
    assert state.put([1], State((), {}, 1)) == state
    with pytest.raises(InputError, match="at least 1 stream, got None"):
        State((), {})


def test_repr_shows_shapes() -> None:
    assert repr(State.initial(SPECS[1:2])) == "State(batch=1, {h0: float32[1, 1, 2]})"
