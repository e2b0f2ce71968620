"""Gradients on their way back: against products of Jacobians written out, and on networks whose answer is known."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from streamcell.train.cells import CELLS, Stack
from streamcell.train.frontend import State
from streamcell.train.gradients import Curve, fading, of_textbook

GROUPS = {"all": ["h"]}


def linear(matrix: Tensor) -> Callable[[Tensor, State], tuple[Tensor, State]]:
    """Return the recurrent network `h' = W h + x`."""

    def run(x: Tensor, state: State) -> tuple[Tensor, State]:
        h = state["h"]
        for t in range(x.shape[1]):
            h = h @ matrix.T + x[:, t]
        return h, {"h": h}

    return run


def start(rows: int, hidden: int) -> State:
    return {"h": torch.randn(1, rows, hidden, dtype=torch.float64, generator=torch.Generator().manual_seed(5))}


@pytest.mark.parametrize("factor", [0.9, 1.0, 1.1, -0.5])
def test_a_multiple_of_the_identity_gives_its_powers(factor: float) -> None:
    x = torch.randn(4, 150, 3, dtype=torch.float64)
    matrix = factor * torch.eye(3, dtype=torch.float64)
    curve = fading(linear(matrix), x, start(4, 3), 120, GROUPS)["all"]
    np.testing.assert_allclose(curve.shares, [abs(factor) ** k for k in range(121)], rtol=1e-12)


def test_the_half_life_of_nine_tenths() -> None:
    x = torch.zeros(2, 20, 3, dtype=torch.float64)
    curve = fading(linear(0.9 * torch.eye(3, dtype=torch.float64)), x, start(2, 3), 20, GROUPS)["all"]
    assert curve.half_life == pytest.approx(np.log(0.5) / np.log(0.9))
    assert Curve((1.0, 2.0, 4.0)).half_life == float("inf")
    assert Curve((1.0, 0.0)).half_life == 1.0


def test_many_rows_give_the_frobenius_norm_of_the_product() -> None:
    matrix = torch.tensor([[0.9, 0.5], [0.0, 0.3]], dtype=torch.float64)
    rows = 20000
    curve = fading(linear(matrix), torch.zeros(rows, 6, 2, dtype=torch.float64), start(rows, 2), 6, GROUPS)["all"]
    powers = [np.linalg.matrix_power(matrix.numpy(), k) for k in range(7)]
    np.testing.assert_allclose(curve.shares, [np.linalg.norm(p) / np.sqrt(2) for p in powers], rtol=0.03)


@pytest.mark.parametrize("cell", CELLS)
def test_every_cell_against_jacobians_by_torch(cell: str) -> None:
    torch.manual_seed(3)
    stack = Stack(cell, 3, 1).double()
    x = torch.randn(1, 7, 3, dtype=torch.float64)
    state = {name: torch.randn_like(value.double()) for name, value in stack.initial_state(1).items()}
    names, lags = stack.state_names, 5

    def step(t: int) -> Callable[[Tensor], Tensor]:
        def call(flat: Tensor) -> Tensor:
            parts = dict(zip(names, flat.view(len(names), 1, 1, -1), strict=True))
            _, after = stack(x[:, t : t + 1], parts)
            return torch.cat([after[name].flatten() for name in names])

        return call

    states = [torch.cat([state[name].flatten() for name in names])]
    for t in range(7):
        states.append(step(t)(states[-1]).detach())
    product, expected = torch.eye(len(states[0]), dtype=torch.float64), [1.0]
    drawn = torch.Generator().manual_seed(0)
    parts = [torch.randn(1, 1, len(states[0]) // len(names), generator=drawn, dtype=torch.float64) for _ in names]
    direction = torch.cat([part.flatten() for part in parts])
    direction = direction / direction.norm()
    for k in range(1, lags + 1):
        product = product @ torch.autograd.functional.jacobian(step(7 - k), states[7 - k])  # type: ignore[no-untyped-call]
        expected.append(float((direction @ product).norm()))
    curve = fading(stack, x, state, lags, {"all": names})["all"]
    np.testing.assert_allclose(curve.shares, expected, rtol=1e-9)


def test_layers_have_curves_of_their_own() -> None:
    stack = Stack(["gru", "lstm"], 4, 2).double()
    state = {name: value.double() for name, value in stack.initial_state(3).items()}
    groups = {"lower": ["h0"], "upper": ["h1", "c1"], "down": ["h0", "h1", "c1"]}
    curves = fading(stack, torch.randn(3, 9, 4, dtype=torch.float64), state, 4, groups)
    assert {name: len(curve.shares) for name, curve in curves.items()} == {"lower": 5, "upper": 5, "down": 5}
    assert curves["lower"].shares != curves["upper"].shares


@pytest.mark.parametrize("lags", [0, -1, 11])
def test_lags_must_fit(lags: int) -> None:
    with pytest.raises(ValueError, match="expected from 1 to 10 lags"):
        fading(linear(torch.eye(2)), torch.zeros(1, 10, 2), {"h": torch.zeros(1, 1, 2)}, lags, GROUPS)


def test_the_textbooks_are_right() -> None:
    before = torch.get_rng_state()
    curves = {name: curve.shares[60] for name, curve in of_textbook(60, hidden=16).items()}
    assert torch.equal(torch.get_rng_state(), before)
    assert curves["Elman as drawn"] < curves["Elman orthogonal"] < 1e-5
    assert curves["Elman orthogonal, times 2"] > 10
    assert min(curves["LSTM gates open"], curves["GRU gates open"]) > 0.1
    assert max(curves["LSTM as drawn"], curves["GRU as drawn"]) < 1e-5


def test_it_is_repeatable(tmp_path: Path) -> None:
    assert of_textbook(12, hidden=8) == of_textbook(12, hidden=8)
