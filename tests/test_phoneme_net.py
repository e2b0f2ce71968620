"""The phoneme network as a function of samples and state."""

import pytest
import torch

from streamcell.train.models import PhonemeNet, detach


def small(cell: str = "gru") -> PhonemeNet:
    torch.manual_seed(0)
    return PhonemeNet(9, cell=cell, mels=12, channels=8, hidden=16, layers=2).eval()


@pytest.mark.parametrize("cell", ["gru", "lstm", "elman"])
@pytest.mark.parametrize("steps", [1, 2, 5])
def test_in_blocks_is_the_whole(cell: str, steps: int) -> None:
    network = small(cell)
    samples = torch.randn(3, 10 * 480) * 0.1
    whole, last = network(samples, network.initial_state(3))
    state, parts = network.initial_state(3), []
    for block in torch.split(samples, steps * 480, dim=1):
        logits, state = network(block, state)
        parts.append(logits)
    torch.testing.assert_close(torch.cat(parts, dim=1), whole, rtol=0, atol=1e-4)
    for name, value in last.items():
        torch.testing.assert_close(state[name], value, rtol=0, atol=1e-4)


def test_the_future_never_changes_the_past() -> None:
    network = small()
    samples = torch.randn(1, 6 * 480)
    changed = samples.clone()
    changed[:, 3 * 480 :] = 0
    before, _ = network(samples, network.initial_state(1))
    after, _ = network(changed, network.initial_state(1))
    torch.testing.assert_close(before[:, :3], after[:, :3], rtol=0, atol=1e-6)
    assert not torch.allclose(before[:, 3:], after[:, 3:])


def test_keep_resets_only_the_rows_asked_for() -> None:
    network = small("lstm")
    state = {name: torch.ones_like(value) for name, value in network.initial_state(3).items()}
    kept = network.keep(state, torch.tensor([True, False, True]))
    for name, value in kept.items():
        rows = value.movedim(network.batch_axis(name), 0).flatten(1)
        assert rows.sum(dim=1).gt(0).tolist() == [True, False, True], name


def test_detach_cuts_the_gradient() -> None:
    network = small()
    _, state = network(torch.randn(1, 480), network.initial_state(1))
    assert state["h0"].requires_grad
    assert not any(value.requires_grad for value in detach(state).values())
