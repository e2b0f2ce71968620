"""Stateful layers: any cutting gives the same outputs and final state; the future never changes the past."""

import pytest
import torch

from streamcell.train.cells import CELLS, CausalConv, Stack


@pytest.mark.parametrize("cell", sorted(CELLS))
@pytest.mark.parametrize("block", [1, 3, 12, 50])
def test_stack_in_blocks_is_the_whole(cell: str, block: int) -> None:
    torch.manual_seed(block)
    stack = Stack(cell, hidden=12, layers=3)
    state = {name: torch.randn_like(value) for name, value in stack.initial_state(2).items()}
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
