"""Symbols through a model: torch, one call, single symbols and a restored stream say the same."""

import numpy as np
import pytest
import torch

from helpers import forged, tiny_model
from sequences import LETTERS, letters, pair, writer
from streamcell.runtime.errors import InputError, ModelError
from streamcell.runtime.model import Model
from streamcell.runtime.state import State
from streamcell.runtime.stream import Stream
from streamcell.runtime.tokens import TokenStream
from tally import counts, tally_model

TEXT = "a bad cab, aged.\u2603bee fed "


def test_torch_one_call_and_single_symbols_give_the_same() -> None:
    network, model = writer()
    stream = TokenStream(model)
    places = stream.symbols.encode(TEXT)
    with torch.no_grad():
        expected, after = network(torch.tensor(places[None]), network.initial_state(1))
    whole = stream.push(TEXT)
    np.testing.assert_allclose(whole, expected[0].numpy(), atol=1e-5)
    np.testing.assert_allclose(stream.state["h1"], after["h1"].numpy(), atol=1e-5)
    single = TokenStream(model)
    answers = np.concatenate([single.push([place]) for place in places])
    np.testing.assert_allclose(answers, whole, atol=1e-5)
    assert single.count == stream.count == len(TEXT)
    last = single.last
    assert last is not None
    np.testing.assert_array_equal(last, answers[-1])
    last[:] = 0
    assert single.last is not None
    assert single.last.any()  # a copy was given


@pytest.mark.parametrize("sizes", [(1, 2, 3, 5), (7,), (1500, 1), (0, 4), (1024, 1024)])
def test_any_cutting_counts_exactly(sizes: tuple[int, ...]) -> None:
    """The toy model counts with whole numbers: a lost, doubled or swapped symbol is another number."""
    places = np.random.default_rng(sum(sizes)).integers(0, 5, 2050)
    stream = TokenStream(tally_model())
    answers, begin = [], 0
    while begin < len(places):
        for size in sizes:
            answers.append(stream.push(places[begin : begin + size]))
            begin += size
    np.testing.assert_array_equal(np.concatenate(answers), counts(places.tolist()))
    assert stream.count == len(places)
    np.testing.assert_array_equal(stream.state["h0"].ravel(), counts(places.tolist())[-1][:3])


def test_a_snapshot_goes_on_exactly_and_reset_begins_anew() -> None:
    _, model = writer()
    stream = TokenStream(model)
    first = stream.push(TEXT)
    again = TokenStream.restore(model, stream.snapshot())
    assert again.count == stream.count
    np.testing.assert_array_equal(again.last, stream.last)
    np.testing.assert_array_equal(again.push("dead"), stream.push("dead"))
    again.reset()
    assert (again.count, again.last) == (0, None)
    np.testing.assert_array_equal(again.push(TEXT), first)
    fresh = TokenStream.restore(model, TokenStream(model).snapshot())
    np.testing.assert_array_equal(fresh.push(TEXT), first)


def test_a_linked_snapshot_begins_anew_where_it_began() -> None:
    _, _, _, model = pair()
    random = np.random.default_rng(0)
    arrays = {
        name: random.standard_normal(array.shape).astype(np.float32) for name, array in model.initial_state().items()
    }
    stream = TokenStream(model, State(model.manifest.states, arrays))
    first = stream.push("the cat")
    again = TokenStream.restore(model, stream.snapshot())
    again.reset()
    np.testing.assert_array_equal(again.push("the cat"), first)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("version", 2),
        ("count", -1),
        ("count", True),
        ("count", 1.5),
        ("count", 0),
        ("last", np.zeros(3, np.float32)),
        ("last", np.full(len(LETTERS), np.nan, np.float32)),
        ("last", np.zeros(len(LETTERS), np.float64)),
        ("state", np.zeros(4, np.uint8)),
        ("fingerprint", "0" * 64),
    ],
)
def test_a_forged_snapshot_is_refused(path: str, value: object) -> None:
    _, model = writer()
    stream = TokenStream(model)
    stream.push(TEXT)
    with pytest.raises(InputError, match=r"saved"):
        TokenStream.restore(model, forged(stream.snapshot(), "tokens", path, value))


def test_another_models_snapshot_is_refused() -> None:
    stream = TokenStream(writer()[1])
    with pytest.raises(InputError, match="open the model that it was saved with"):
        TokenStream.restore(writer(seed=1)[1], stream.snapshot())


def test_what_does_not_fit_is_refused_and_changes_nothing() -> None:
    _, model = writer(letters(("a", "b", "c")))
    stream = TokenStream(model)
    before = stream.snapshot()
    for wrong, words in (
        ("abd", "'d' at place 2 is none"),
        ([3], "from 0 to 2, got 3 to 3"),
        ([-1, 0], "got -1 to 0"),
        ([0.5], "list of symbols' places"),
        ([[0, 1]], r"got int64 \[1, 2\]"),
    ):
        with pytest.raises(InputError, match=words):
            stream.push(wrong)
    assert stream.snapshot() == before
    assert stream.push("").shape == stream.push([]).shape == (0, 3)


def test_wrong_models_are_named() -> None:
    with pytest.raises(InputError, match=r"takes audio, not tokens; make a Stream"):
        TokenStream(Model.open(tiny_model()))
    with pytest.raises(InputError, match=r"second begins with what first gives.*Linked"):
        TokenStream(pair()[3])
    with pytest.raises(ModelError, match=r"takes 4 steps a call"):
        TokenStream(writer(steps_per_call=4)[1])
    with pytest.raises(ModelError, match=r"it writes text: use `streamcell generate`"):
        Stream(writer()[1])


def test_one_step_a_call_is_enough() -> None:
    _, free = writer()
    _, fixed = writer(steps_per_call=1)
    np.testing.assert_allclose(TokenStream(fixed).push(TEXT), TokenStream(free).push(TEXT), atol=1e-5)
