"""First weights: matrices that keep lengths, gates that forget when they should."""

import pytest
import torch
from torch import nn

from streamcell.train.starts import open_gates, orthogonal


@pytest.mark.parametrize("kind", [nn.RNN, nn.LSTM, nn.GRU])
def test_every_gate_is_orthogonal(kind: type[nn.RNN | nn.LSTM | nn.GRU]) -> None:
    cell = kind(3, 6, 2)
    orthogonal(cell, gain=1.5)
    for name in ("weight_hh_l0", "weight_hh_l1"):
        for gate in torch.split(getattr(cell, name).detach(), 6):
            torch.testing.assert_close(gate @ gate.T, 2.25 * torch.eye(6), atol=1e-5, rtol=0)


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU])
def test_units_without_input_forget_within_the_steps(kind: type[nn.LSTM | nn.GRU]) -> None:
    torch.manual_seed(0)
    cell = kind(2, 500, batch_first=True)
    inputs, hidden = (cell.get_parameter(name).detach().view(-1, 500) for name in ("bias_ih_l0", "bias_hh_l0"))
    before = inputs.clone()
    open_gates(cell, 200)
    gates = inputs + hidden
    times = 1 / (1 - torch.sigmoid(gates[1]))
    assert 2 <= float(times.min()) < 10
    assert 190 < float(times.max()) <= 200.01
    if kind is nn.LSTM:
        torch.testing.assert_close(torch.sigmoid(gates[0]), 1 / times, rtol=1e-3, atol=0)
    assert torch.equal(inputs[2:], before[2:])
    assert not torch.equal(inputs[:2], before[:2])


def test_too_few_steps_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 3 steps"):
        open_gates(nn.GRU(2, 3), 2)
