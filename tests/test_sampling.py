"""Draws follow the probabilities that the settings define."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamcell.runtime.errors import InputError
from streamcell.runtime.sampling import Sampling

LOGITS = np.array([2.0, -1.0, 0.5, 0.5, 3.0, -4.0], np.float32)


def softmax(values: Any, temperature: float = 1.0) -> list[float]:
    powers = [math.exp(float(value) / temperature) for value in values]
    return [power / sum(powers) for power in powers]


@pytest.mark.parametrize("temperature", [0.3, 1.0, 2.5])
def test_all_symbols_have_their_share_of_the_softmax(temperature: float) -> None:
    np.testing.assert_allclose(Sampling(temperature).probabilities(LOGITS), softmax(LOGITS, temperature), rtol=1e-12)


@given(
    st.lists(st.integers(-40, 40).map(lambda number: number / 8), min_size=1, max_size=12),
    st.floats(0.1, 3),
    st.integers(0, 12),
    st.floats(0.01, 1),
)
def test_what_stays_is_what_a_slow_reading_of_the_definition_keeps(
    logits: list[float], temperature: float, top_k: int, top_p: float
) -> None:
    shares = softmax(np.array(logits, np.float32), temperature)
    order = sorted(range(len(logits)), key=lambda place: (-logits[place], place))
    order = order[:top_k] if top_k else order
    total, kept, reached = sum(shares[place] for place in order), list[int](), 0.0
    for place in order:
        if kept and reached >= top_p * total * (1 + 1e-9):
            break
        kept.append(place)
        reached += shares[place]
        if reached >= top_p * total * (1 - 1e-9):
            break
    found = Sampling(temperature, top_k, top_p).probabilities(np.array(logits, np.float32))
    assert abs(found.sum() - 1) < 1e-12
    if top_k != 1:
        assert len(np.flatnonzero(found)) in (len(kept), len(kept) + 1)  # one more where rounding decides
        assert set(kept) <= set(np.flatnonzero(found).tolist())


@pytest.mark.parametrize(
    "settings", [{}, {"temperature": 0.5}, {"top_k": 3}, {"top_p": 0.8}, {"top_k": 4, "top_p": 0.9}]
)
def test_draws_are_as_frequent_as_probable(settings: dict[str, Any]) -> None:
    sampling = Sampling(**settings, seed=7)
    expected, draw, count = sampling.probabilities(LOGITS), sampling.drawer(), 20000
    found = np.bincount([draw(LOGITS) for _ in range(count)], minlength=len(LOGITS))
    assert not found[expected == 0].any()
    kept = expected > 0
    chi = (np.square(found[kept] - count * expected[kept]) / (count * expected[kept])).sum()
    assert chi < 25  # the chance of that is below 2e-4 with 5 degrees of freedom, and the seed is fixed


def test_a_seed_is_a_text_on_any_machine() -> None:
    draw = Sampling(seed=2**40).drawer()
    assert "".join("abcdef"[draw(LOGITS)] for _ in range(40)) == "eeeaeeeeaaaaeeeeeeaeeeeeeedeaeaeaeeeaaad"
    assert [Sampling(seed=3).drawer()(LOGITS) for _ in range(3)] == [Sampling(seed=3).drawer()(LOGITS)] * 3


def test_without_temperature_the_first_of_the_best_is_taken() -> None:
    assert [Sampling(0.0).drawer()(np.array([1, 3, 3, 2], np.float32)) for _ in range(5)] == [1] * 5
    assert [Sampling(top_k=1).drawer()(np.array([1, 3, 3, 2], np.float32)) for _ in range(5)] == [1] * 5
    cold = Sampling(1e-300).drawer()
    assert [cold(LOGITS) for _ in range(5)] == [4] * 5


def test_what_is_barred_is_never_drawn() -> None:
    draw = Sampling(3.0, seed=1).drawer()
    barred = np.array([-np.inf, 0, -np.inf, 0.5, -np.inf], np.float32)
    assert {draw(barred) for _ in range(200)} == {1, 3}


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"temperature": -1}, "temperature must be a number from 0"),
        ({"temperature": float("nan")}, "temperature"),
        ({"temperature": True}, "temperature"),
        ({"top_p": 0}, "top_p must be a number above 0 to 1"),
        ({"top_p": 1.5}, "top_p"),
        ({"top_k": -1}, "top_k must be a whole number"),
        ({"top_k": 2.0}, "top_k"),
        ({"seed": -1}, "seed must be a whole number"),
        ({"seed": 1 << 64}, "seed"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        Sampling(**settings)
