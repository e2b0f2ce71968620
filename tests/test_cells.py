"""Stateful layers are their equations; any cutting gives the same; the future never changes the past."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import equations
from equations import EQUATIONS, TOLERANCE
from streamcell.train.cells import CELLS, CausalConv, ProjectedLSTM, Stack
from streamcell.train.frontend import State

ALL = list(CELLS)


def stack_of(cell: str | list[str], hidden: int, **settings: Any) -> Stack:
    return Stack(cell, hidden, len(cell) if isinstance(cell, list) else 2, **settings)


def drawn_state(stack: Stack, batch: int) -> State:
    return {name: torch.randn_like(value) for name, value in stack.initial_state(batch).items()}


def test_every_cell_has_its_equation() -> None:
    assert sorted(EQUATIONS) == sorted(CELLS)


@pytest.mark.parametrize(("dtype", "strength", "tolerance"), [(torch.float32, 1, TOLERANCE), (torch.float64, 3, 1e-9)])
@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("steps", [1, 3, 17])
@pytest.mark.parametrize("name", ALL)
def test_a_cell_is_its_equation(
    name: str, steps: int, batch: int, dtype: torch.dtype, strength: int, tolerance: float
) -> None:
    torch.manual_seed(steps)
    inputs, hidden = (int(n) for n in torch.randint(1, 40, (2,)))
    cell = CELLS[name](inputs, hidden).to(dtype)
    x, state = equations.draw(cell, batch, steps, inputs, strength)
    with torch.no_grad():
        y, after = cell.step(x, state)
    wanted, last = equations.run(name, cell, x, state)
    assert y.shape == (batch, steps, hidden)
    case = f"{name}: {inputs} -> {hidden}, {steps} steps of {batch}"
    for value, right in zip((y, *after), (wanted, *last), strict=True):
        np.testing.assert_allclose(value, right, rtol=tolerance, atol=tolerance, err_msg=case)


@pytest.mark.parametrize("inference", [True, False])
@pytest.mark.parametrize("name", ALL)
def test_a_cell_leaves_what_it_was_given(name: str, inference: bool) -> None:
    torch.manual_seed(0)
    cell = CELLS[name](3, 4)
    x, state = equations.draw(cell, 2, 5, 3)
    before = [value.clone() for value in (x, *state, *cell.parameters())]
    with torch.inference_mode(inference):
        cell.step(x, state)
    assert all(torch.equal(*pair) for pair in zip(before, (x, *state, *cell.parameters()), strict=True))


MIXES: list[str | list[str]] = [*ALL, ALL, ALL[::-1]]


@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize("cell", MIXES, ids=str)
@pytest.mark.parametrize("block", [1, 3, 12, 50])
def test_stack_in_blocks_is_the_whole(cell: str | list[str], block: int, plain: bool) -> None:
    torch.manual_seed(block)
    stack = stack_of(cell, 12, norm=not plain, residual=not plain)
    state = drawn_state(stack, 2)
    x = torch.randn(2, 12, 12)
    whole, last = stack(x, state)
    parts = []
    for piece in torch.split(x, block, dim=1):
        y, state = stack(piece, state)
        parts.append(y)
    torch.testing.assert_close(torch.cat(parts, dim=1), whole, rtol=0, atol=1e-5)
    assert list(state) == stack.state_names
    for name, value in last.items():
        torch.testing.assert_close(state[name], value, rtol=0, atol=1e-5)


@pytest.mark.parametrize("cell", MIXES, ids=str)
def test_the_future_never_changes_the_past(cell: str | list[str]) -> None:
    torch.manual_seed(5)
    stack = stack_of(cell, 8)
    x, state = torch.randn(2, 9, 8), drawn_state(stack, 2)
    changed = torch.cat([x[:, :5], torch.randn(2, 4, 8)], dim=1)
    one, other = stack(x, state)[0], stack(changed, state)[0]
    torch.testing.assert_close(one[:, :5], other[:, :5], rtol=0, atol=1e-6)
    assert not torch.allclose(one[:, 5], other[:, 5], atol=1e-3)


@pytest.mark.parametrize("name", ALL)
def test_the_gradient_of_a_cell_is_right(name: str) -> None:
    torch.manual_seed(1)
    cell = CELLS[name](3, 4).double()
    x, state = equations.draw(cell, 2, 6, 3)
    assert gradients_are_right(cell.step, cell, x, state)


@pytest.mark.parametrize("cell", [["lstm", "gru-reset-before", "elman-sigmoid"], ALL], ids=str)
def test_the_gradient_of_a_stack_is_right(cell: list[str]) -> None:
    torch.manual_seed(2)
    stack = stack_of(cell, 2).double()
    names = stack.state_names

    def run(x: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
        y, after = stack(x, dict(zip(names, state, strict=True)))
        return y, tuple(after.values())

    x, *state = (value.double() for value in (torch.randn(1, 3, 2), *drawn_state(stack, 1).values()))
    assert gradients_are_right(run, stack, x, tuple(state))


def gradients_are_right(run: Any, module: nn.Module, x: Tensor, state: tuple[Tensor, ...]) -> bool:
    """Compare the derivatives of outputs and final states by input, first states and weights with differences."""
    given = [value.requires_grad_() for value in (x, *state)]

    def flat(x: Tensor, *others: Tensor) -> tuple[Tensor, ...]:
        y, after = run(x, others[: len(state)])  # the others are the weights, which the module holds itself
        return (y, *after)

    return torch.autograd.gradcheck(flat, (*given, *module.parameters()))


def test_a_projected_lstm_is_torchs() -> None:
    torch.manual_seed(3)
    cell = ProjectedLSTM(5, 3, memory=7).double()
    torchs = nn.LSTM(5, 7, proj_size=3, batch_first=True).double()
    own = {f"{name}_l0": value for name, value in cell.state_dict().items() if name != "bias"}
    torchs.load_state_dict({**own, "bias_ih_l0": cell.bias / 4, "bias_hh_l0": cell.bias * 3 / 4})
    x, m, c = (torch.randn(*shape, dtype=torch.float64) for shape in ((2, 11, 5), (1, 2, 7), (1, 2, 7)))
    y, (m_last, c_last) = cell.step(x, (m, c))
    wanted, (h, last) = torchs(x, (m @ cell.weight_hr.T, c))
    for one, other in ((y, wanted), (m_last @ cell.weight_hr.T, h), (c_last, last)):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", ["elman-sigmoid", "gru-reset-before"])
def test_a_cell_of_our_own_learns_under_mixed_precision(name: str) -> None:
    torch.manual_seed(0)
    stack = Stack(name, 8, 2)
    with torch.autocast("cpu", torch.bfloat16):
        y, state = stack(torch.randn(2, 5, 8), stack.initial_state(2))
        y, _ = stack(y, state)
    y.sum().backward()
    assert all(weight.grad is not None and weight.grad.isfinite().all() for weight in stack.parameters())


def test_a_stack_adds_each_layer_to_what_it_hears() -> None:
    torch.manual_seed(0)
    x, y = torch.randn(2, 5, 8), torch.zeros(())
    for norm in (False, True):
        for residual in (False, True):
            stack = Stack(["gru", "lstm"], 8, 2, norm=norm, residual=residual)
            state = drawn_state(stack, 2)
            heard = x
            for layer, normed, names in zip(stack.cells(), stack.norms, (["h0"], ["h1", "c1"]), strict=True):
                before = nn.functional.layer_norm(heard, (8,)) if norm else heard
                y, _ = layer.step(before, tuple(state[name] for name in names))
                heard = heard + y if residual else y
                assert isinstance(normed, nn.LayerNorm) is norm
            torch.testing.assert_close(stack(x, state)[0], heard, rtol=0, atol=1e-6)


def test_dropout_acts_on_what_a_layer_adds_in_training_only() -> None:
    stack = Stack(["gru", "lstm"], 8, 2, dropout=1.0)
    x, state = torch.randn(2, 5, 8), stack.initial_state(2)
    assert torch.equal(stack(x, state)[0], x)
    assert not torch.equal(stack.eval()(x, state)[0], x)


def test_states_are_named_by_layer_and_as_wide_as_their_layer() -> None:
    stack = Stack(["gru", "lstm-projected", "elman", "lstm"], 6, 4, memory=10)
    shapes = {name: tuple(value.shape) for name, value in stack.initial_state(3).items()}
    small, large = (1, 3, 6), (1, 3, 10)
    assert shapes == {"h0": small, "h1": large, "c1": large, "h2": small, "h3": small, "c3": small}
    assert stack.state_names == list(shapes)
    assert Stack("lstm-projected", 6, 1).initial_state(1)["c0"].shape == (1, 1, 12)


def test_the_names_of_weights_stay_so_that_old_checkpoints_load() -> None:
    recurrent = ["weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"]
    for name in ("gru", "lstm", "elman"):
        weights = [f"layers.{i}.{weight}" for i in range(2) for weight in recurrent]
        norms = [f"norms.{i}.{weight}" for i in range(2) for weight in ("weight", "bias")]
        assert list(Stack(name, 4, 2).state_dict()) == [*norms, *weights]


@pytest.mark.parametrize(
    ("cell", "layers", "settings", "message"),
    [
        ("rnn", 1, {}, "cell must be of elman, .*, got 'rnn'"),
        (["gru", "lstm"], 3, {}, "one cell for each of 3 layers, got 2: gru, lstm"),
        ("gru", 2, {"memory": 8}, "memory = 8 is for layers of 'lstm-projected', got gru, gru"),
    ],
)
def test_a_stack_that_cannot_be_built_is_refused(cell: Any, layers: int, settings: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Stack(cell, 4, layers, **settings)


@pytest.mark.parametrize(("kernel", "stride"), [(1, 1), (3, 1), (5, 3), (3, 3)])
def test_convolution_in_blocks_is_the_whole_and_causal(kernel: int, stride: int) -> None:
    torch.manual_seed(kernel)
    conv = CausalConv(4, 6, kernel, stride)
    x = torch.randn(2, 8 * stride, 4)
    whole, _ = conv(x, conv.initial_state(2))
    past, parts = conv.initial_state(2), []
    for piece in torch.split(x, stride, dim=1):
        y, past = conv(piece, past)
        parts.append(y)
    torch.testing.assert_close(torch.cat(parts, dim=1), whole, rtol=0, atol=1e-6)
    changed = x.clone()
    changed[:, 4 * stride :] += 1
    assert torch.equal(conv(changed, conv.initial_state(2))[0][:, :4], whole[:, :4])


def test_a_stride_that_skips_inputs_is_refused() -> None:
    with pytest.raises(ValueError, match="got kernel 2, stride 3"):
        CausalConv(4, 4, kernel=2, stride=3)
