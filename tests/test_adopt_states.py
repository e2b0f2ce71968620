"""Which output comes back into which input."""

import pytest

from streamcell.export.adopt.card import StateCard
from streamcell.export.adopt.states import pair_states
from streamcell.runtime.errors import InputError
from streamcell.runtime.onnx_parts import Value

SHAPE = (2, None, 8)


def values(names: str, shape: tuple[int | str | None, ...] = SHAPE, dtype: str = "float32") -> tuple[Value, ...]:
    return tuple(Value(name, dtype, shape) for name in names.split())


@pytest.mark.parametrize(
    ("inputs", "outputs"),
    [
        ("state", "stateN"),
        ("h0 c0", "hn cn"),
        ("h c", "h_next c_next"),
        ("h_0 c_0", "h_n c_n"),
        ("hidden_in cell_in", "hidden_out cell_out"),
        ("h_prev c_prev", "h_new c_new"),
        ("prev_h prev_c", "next_h next_c"),
        ("in_cache0 in_cache1", "out_cache0 out_cache1"),
        ("cached_key_0 cached_key_1", "new_cached_key_0 new_cached_key_1"),
        ("past_key.0 past_key.1", "present_key.0 present_key.1"),
        ("input_states_1 input_states_2", "output_states_1 output_states_2"),
        ("hx cx", "hy cy"),
        ("tail h0 h1", "tail_next h0_next h1_next"),
    ],
)
def test_names_tell_whatever_the_order(inputs: str, outputs: str) -> None:
    entries, results = values(inputs), values(outputs)
    for order in (results, results[::-1]):
        pairs = pair_states(entries, order, ())
        assert [pair.input.name for pair in pairs] == inputs.split()
        assert [pair.output.name for pair in pairs] == outputs.split()
        assert {pair.found for pair in pairs} == {"names"}


def test_shapes_tell_where_names_do_not() -> None:
    inputs = (*values("a", (1, "B", 8)), *values("b", ("B", 4)))
    outputs = (*values("u", ("B", 4)), *values("v", (1, None, 8)), *values("w", ("B", 4), "int64"))
    pairs = pair_states(inputs, outputs, ())
    assert [(pair.input.name, pair.output.name, pair.found) for pair in pairs] == [
        ("a", "v", "shapes"),
        ("b", "u", "shapes"),
    ]


def test_names_that_contradict_shapes_do_not_count() -> None:
    pairs = pair_states(values("h", (1, "B", 8)), (*values("hn", (1, "B", 9)), *values("z", (1, "B", 8))), ())
    assert [(pair.output.name, pair.found) for pair in pairs] == [("z", "shapes")]


def test_two_of_one_shape_without_names_are_asked_for() -> None:
    with pytest.raises(InputError, match="more than one pairing of states fits") as caught:
        pair_states(values("a b"), values("41 42"), ())
    lines = '[[states]]\ninput = "a"\noutput = "41"\n[[states]]\ninput = "b"\noutput = "42"'
    assert str(caught.value).endswith(lines)


def test_one_line_of_the_card_settles_the_rest() -> None:
    pairs = pair_states(values("a b"), values("41 42"), [StateCard("a", "42")])
    assert [(pair.input.name, pair.output.name, pair.found) for pair in pairs] == [
        ("a", "42", "card"),
        ("b", "41", "shapes"),
    ]


def test_more_outputs_than_states_are_asked_for() -> None:
    with pytest.raises(InputError, match="more than one pairing"):
        pair_states(values("a"), values("41 42"), ())


def test_an_input_without_a_partner_may_be_a_constant() -> None:
    with pytest.raises(InputError, match="nothing that the graph gives can be fed back into sr int64") as caught:
        pair_states((*values("h"), *values("sr", (), "int64")), values("hn"), ())
    assert "[constants]\nsr = 0" in str(caught.value)


@pytest.mark.parametrize(
    ("cards", "message"),
    [
        ([StateCard("x", "hn")], "input = 'x': the graph has no such input .*: h float32 .2, ., 8."),
        ([StateCard("h", "y")], "output = 'y': the graph has no such output"),
        ([StateCard("h", "wide")], "wide float32 .2, B, 9. cannot be fed back into h"),
        ([StateCard("h", "hn"), StateCard("h", "hn")], "twice"),
    ],
)
def test_cards_that_do_not_fit(cards: list[StateCard], message: str) -> None:
    with pytest.raises(InputError, match=message):
        pair_states(values("h"), (*values("hn"), *values("wide", (2, "B", 9))), cards)
