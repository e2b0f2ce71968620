"""Optimisers: Muon against torch's, and what it is given of a network."""

from copy import deepcopy

import pytest
import torch
from torch import nn

from streamcell.train.models import PhonemeNet
from streamcell.train.optimiser import Muon, make_optimiser, orthogonal
from streamcell.train.recipe import TrainRecipe


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("shape", [(32, 32), (3, 32, 32), (16, 48), (48, 16), (2, 48, 16)])
def test_singular_values_become_one_and_their_vectors_stay(shape: tuple[int, ...]) -> None:
    x = drawn(*shape)
    u, _, v = torch.linalg.svd(x, full_matrices=False)
    y = orthogonal(x)
    inner = u.mT @ y @ v.mT  # diagonal, if the vectors are the same
    values = inner.diagonal(dim1=-2, dim2=-1)
    assert (values < 1.25).all()
    assert values.flatten().sort().values[len(values.flatten()) // 20 :].min() > 0.4  # all but a singular few
    torch.testing.assert_close(inner, torch.diag_embed(values), rtol=0, atol=1e-3)


def test_no_gradient_is_no_step() -> None:
    assert torch.equal(orthogonal(torch.zeros(3, 3)), torch.zeros(3, 3))


def test_a_square_matrix_takes_the_steps_of_torchs_muon() -> None:
    """Torch computes in bfloat16, so its steps are near ours, not equal."""
    ours, theirs = nn.Parameter(drawn(24, 24)), nn.Parameter(drawn(24, 24))
    one = Muon([ours], [{"params": [nn.Parameter(torch.zeros(1))]}], lr=0.01, weight_decay=0.1)
    other: torch.optim.Optimizer = torch.optim.Muon(
        [theirs], lr=0.01, weight_decay=0.1, momentum=0.95, adjust_lr_fn="match_rms_adamw"
    )
    for step in range(5):
        before = ours.detach().clone()
        ours.grad = theirs.grad = drawn(24, 24, seed=step + 1)
        one.step()
        other.step()
        assert (ours - theirs).detach().norm() < 0.03 * (ours.detach() - before).norm()
        theirs.data.copy_(ours.data)


def test_each_gate_is_orthogonal_by_itself() -> None:
    layer, alone = nn.Parameter(drawn(36, 12)), [nn.Parameter(drawn(36, 12)[k : k + 12]) for k in (0, 12, 24)]
    whole = Muon([layer], [{"params": [nn.Parameter(torch.zeros(1))]}], lr=0.1, weight_decay=0.01)
    parts = Muon(alone, [{"params": [nn.Parameter(torch.zeros(1))]}], lr=0.1, weight_decay=0.01)
    for step in range(3):
        gradient = layer.grad = drawn(36, 12, seed=step)
        for k, part in enumerate(alone):
            part.grad = gradient[12 * k : 12 * k + 12]
        whole.step()
        parts.step()
    torch.testing.assert_close(layer.detach(), torch.cat([part.detach() for part in alone]), rtol=0, atol=1e-6)


def network() -> PhonemeNet:
    torch.manual_seed(3)
    return PhonemeNet(labels=41, channels=8, hidden=16, layers=2)


def test_recurrent_matrices_are_muons_and_all_else_adamws() -> None:
    net = network()
    optimiser = make_optimiser(net, TrainRecipe(optimiser="muon", weight_decay=0.3))
    names = {id(p): name for name, p in net.named_parameters()}
    gates, matrices, rest = ([names[id(p)] for p in group["params"]] for group in optimiser.param_groups)
    assert len(gates) == 4
    assert all(name.startswith("stack.") and ".weight" in name for name in gates)
    assert sorted(matrices) == ["conv0.conv.weight", "conv1.conv.weight", "head.weight"]
    assert sorted([*gates, *matrices, *rest]) == sorted(names.values())
    assert [group["weight_decay"] for group in optimiser.param_groups] == [0.3, 0.3, 0.0]
    plain = make_optimiser(net, TrainRecipe())
    assert isinstance(plain, torch.optim.AdamW)
    assert sum(len(group["params"]) for group in plain.param_groups) == len(names)


def test_a_recipe_in_bfloat16_takes_nearly_the_same_steps() -> None:
    """Nearly, not the same: directions are made orthogonal in the network's precision."""
    steps = []
    for precision in ("float32", "bfloat16"):
        torch.manual_seed(1)
        net = PhonemeNet(41, channels=8, hidden=16)
        matrices = [p for p in net.stack.parameters() if p.dim() == 2]
        before = [p.detach().clone() for p in matrices]
        for number, p in enumerate(matrices):
            p.grad = drawn(*p.shape, seed=number)
        make_optimiser(net, TrainRecipe(optimiser="muon"), precision).step()
        steps.append(torch.cat([(p.detach() - old).flatten() for p, old in zip(matrices, before, strict=True)]))
    apart = (steps[0] - steps[1]).norm() / steps[0].norm()
    assert 1e-4 < apart < 0.1


def test_a_rate_is_everybodys_and_a_saved_optimiser_goes_on() -> None:
    nets = network(), network()
    recipe = TrainRecipe(optimiser="muon")
    optimisers = [make_optimiser(net, recipe) for net in nets]

    def update(which: int, seed: int) -> None:
        for number, p in enumerate(nets[which].parameters()):
            p.grad = drawn(*p.shape, seed=100 * seed + number)
        for group in optimisers[which].param_groups:
            group["lr"] = 0.01 / (seed + 1)
        optimisers[which].step()

    for seed in range(2):
        update(0, seed)
    nets[1].load_state_dict(nets[0].state_dict())
    optimisers[1].load_state_dict(deepcopy(optimisers[0].state_dict()))
    before = {name: value.clone() for name, value in nets[0].named_parameters()}
    for which in (0, 1):
        update(which, 2)
    for name, value in nets[1].named_parameters():
        assert torch.equal(value, nets[0].get_parameter(name)), name
        assert not torch.equal(value, before[name]), name
