"""Gain control: the level that it follows, what it takes off, and the graph that does the same."""

from pathlib import Path

import numpy as np
import pytest
import torch

from networks import random_network, spoken_manifest
from streamcell.export.graph import build_model
from streamcell.export.parity import measure, prove
from streamcell.runtime.model import Model
from streamcell.train import checkpoint
from streamcell.train.columns import Columns
from streamcell.train.gain import GainControl
from streamcell.train.models import PhonemeNet
from streamcell.train.recipe import LABELS, parse_recipe
from streamcell.train.transfer import take_weights
from tiny import PHONEMES

RECIPE = f"{PHONEMES}mels = 12\nlayers = 1\n"


def gain(mels: int = 3, seconds: float = 0.2, strength: float = 0.7) -> GainControl:
    made = GainControl(mels, seconds, 0.01)
    torch.nn.init.constant_(made.strength, strength)
    return made


def by_hand(x: torch.Tensor, level: torch.Tensor, seconds: float, strength: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Follow the level frame by frame, as the definition says."""
    keep, found = np.exp(-0.01 / seconds), []
    for frame in x.unbind(1):
        level = keep * level + (1 - keep) * frame
        found.append(frame - strength * level)
    return torch.stack(found, 1), level


@pytest.mark.parametrize("frames", [1, 4, 511, 512, 513, 1500])
def test_it_takes_off_the_level_of_the_last_while(frames: int) -> None:
    torch.manual_seed(frames)
    x, level = torch.randn(2, frames, 3, dtype=torch.float64), torch.randn(2, 3, dtype=torch.float64)
    y, state = gain().double()(x, {"level": level})
    wanted, last = by_hand(x, level, 0.2, 0.7)
    torch.testing.assert_close(y, wanted, rtol=0, atol=1e-6)
    torch.testing.assert_close(state["level"], last, rtol=0, atol=1e-6)


def test_a_louder_microphone_is_forgotten() -> None:
    """With all of the level taken off, only the first seconds tell how loud it is."""
    torch.manual_seed(0)
    x, module = torch.randn(1, 400, 3), gain(strength=1.0)
    quiet, _ = module(x, module.initial_state(1))
    loud, _ = module(x + 5, module.initial_state(1))
    apart = (loud - quiet).abs().amax((0, 2))
    assert apart[0] > 4
    assert apart[200:].max() < 0.001


def test_how_much_is_taken_off_is_learnt() -> None:
    module = gain()
    module(torch.ones(1, 10, 3), module.initial_state(1))[0].sum().backward()
    assert module.strength.grad is not None
    assert (module.strength.grad < 0).all()


def test_the_exported_graph_follows_it() -> None:
    network = random_network(3, stride=4, gain_seconds=0.3)
    assert network.gain is not None
    torch.nn.init.uniform_(network.gain.strength, 0.2, 1.0)
    model = Model.open(build_model(network, spoken_manifest(network)).SerializeToString())
    assert [state.input for state in model.manifest.states] == ["tail", "conv0", "conv1", "level", "h0", "h1"]
    assert prove(measure(network, model, {})).cases == 88


def test_a_run_without_it_may_be_begun_with(tmp_path: Path) -> None:
    torch.manual_seed(1)
    columns, more = Columns(LABELS), RECIPE + "gain_seconds = 2.0\n"
    first = parse_recipe(RECIPE).network(columns)
    checkpoint.save_best(tmp_path / "best.pt", first.state_dict(), RECIPE, columns, {"updates": 7})
    second = parse_recipe(more).network(columns)
    assert isinstance(second, PhonemeNet)
    found = take_weights(second, columns, tmp_path)
    assert str(found) == "begins with the weights of tiny, update 7; new, as it has no gain control: gain.strength"
    assert torch.equal(second.head.weight, first.head.weight)
    assert second.gain is not None
    assert (second.gain.strength == 0.4).all()
    checkpoint.save_best(tmp_path / "best.pt", second.state_dict(), more, columns, {"updates": 9})
    with pytest.raises(checkpoint.CheckpointError, match=r"gain\.strength is 12 there and absent by this recipe"):
        take_weights(first, columns, tmp_path)
