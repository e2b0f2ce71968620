"""What stands before the recurrent layers: whole, steps and chunks are one, and the exported graph is the same."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from streamcell.export.graph import build_model, state_specs
from streamcell.export.parity import as_reference
from streamcell.runtime.errors import InputError
from streamcell.runtime.manifest import InputSpec, Manifest, OutputSpec
from streamcell.runtime.model import Model
from streamcell.runtime.verify import verify
from streamcell.train.frontend import Standardise
from streamcell.train.fronts import Changes, Dense, Embed, Front, Picture, Sound
from streamcell.train.models import SequenceNet

LABELS = ("a", "b", "c")
SYMBOLS = tuple("defghij")
FRONTS: dict[str, Callable[[], Front]] = {
    "embed": lambda: Embed(len(SYMBOLS), 12),
    "dense": lambda: Dense(5, 12, sample_rate=50),
    "changes": lambda: Changes(5, 12, window=7, sample_rate=50),
    "picture": lambda: Picture(9, 14, 3, channels=4, width=12),
    "sound 8 kHz": lambda: Sound(8000, 12, mels=12, channels=6, stride=2),
    "sound 16 kHz": lambda: Sound(16000, 12, mels=16, channels=8, stride=1),
    "sound 22.05 kHz": lambda: Sound(22050, 12, mels=16, channels=8, stride=3),
}


def random_network(kind: str, *, cell: str = "gru", layers: int = 1) -> SequenceNet:
    """Return a network in evaluation mode whose every weight is random."""
    torch.manual_seed(layers)
    network = SequenceNet(FRONTS[kind](), len(LABELS), cell=cell, layers=layers)
    standardise = getattr(network.front, "standardise", None)
    if isinstance(standardise, Standardise):
        standardise.mean.normal_(-1.0, 1.0)
        standardise.scale.uniform_(0.5, 3.0)
    for name, mean in (("weight", 1.0), ("bias", 0.0)):
        torch.nn.init.normal_(network.norm.get_parameter(name), mean, 0.2)
    return network.eval()


def heard(front: Front) -> InputSpec:
    rate, size = front.sample_rate, front.samples_per_step
    if isinstance(front, Embed):
        return InputSpec("x", "tokens", 1, 1, 1, 0, symbols=SYMBOLS, split="characters")
    if isinstance(front, Sound):
        return InputSpec("samples", "audio", rate, 1, size, 0)
    if isinstance(front, Picture):
        return InputSpec("x", "features", rate, int(np.prod(front.shape)), 1, 0, image=front.shape)
    return InputSpec("x", "features", rate, 5, 1, 0)


def opened(network: SequenceNet) -> Model:
    spec = heard(network.front)
    output = OutputSpec("logits", "logits", LABELS, None, None, spec.seconds_per_step)
    manifest = Manifest("random", "A random network.", "frames", spec, state_specs(network), (output,))
    return Model.open(build_model(network, manifest).SerializeToString())


def chunked(network: SequenceNet, x: Any, steps: int) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Return what the network gives when it hears `steps` steps at a time."""
    size, state, parts = steps * network.samples_per_step, network.initial_state(len(x)), []
    for begin in range(0, x.shape[1], size):
        logits, state = network(torch.from_numpy(x[:, begin : begin + size]), state)
        parts.append(logits)
    return torch.cat(parts, dim=1), state


@pytest.mark.parametrize("layers", [0, 2])
@pytest.mark.parametrize("kind", FRONTS)
@torch.no_grad()
def test_whole_steps_and_chunks_are_one(kind: str, layers: int) -> None:
    network = random_network(kind, layers=layers)
    x = network.example(2, 23, np.random.default_rng(1))
    logits, state = network(torch.from_numpy(x), network.initial_state(2))
    assert logits.shape == (2, 23, 3)
    assert float(logits.std(dim=1).max()) > 1e-3, "the input must make a difference"
    for steps in (1, 7, 23, 40):
        parts, after = chunked(network, x, steps)
        torch.testing.assert_close(parts, logits, rtol=0, atol=1e-5, msg=f"{kind}, chunks of {steps}")
        assert list(after) == list(state) == list(network.initial_state(1))
        for name, value in state.items():
            torch.testing.assert_close(after[name], value, rtol=0, atol=1e-5, msg=f"{kind}, {name}, chunks of {steps}")


@pytest.mark.parametrize("layers", range(4))
@pytest.mark.parametrize("kind", FRONTS)
def test_onnx_runtime_gives_what_torch_gives(kind: str, layers: int) -> None:
    network = random_network(kind, cell=["gru", "lstm", "elman"][layers % 3], layers=layers)
    model, random = opened(network), np.random.default_rng(layers)
    for steps in (1, 3, 60):
        x = network.example(3, steps, random)
        report = verify(model, x, reference=as_reference(network))
        assert report.within(3e-5), f"{kind}, {layers} layers, {steps} steps: {report.worst}\n{report}"
        assert report.cases == 22


def test_states_are_named_and_a_network_without_layers_has_only_the_fronts() -> None:
    sound = ["tail", "conv0", "conv1"]
    assert list(random_network("sound 8 kHz", layers=0).initial_state(1)) == sound
    assert list(random_network("sound 8 kHz", cell="lstm").initial_state(1)) == [*sound, "h0", "c0"]
    assert list(random_network("changes", layers=1).initial_state(1)) == ["past", "h0"]
    for kind in ("embed", "dense", "picture"):
        network = random_network(kind, layers=0)
        assert network.initial_state(1) == {}
        assert opened(network).manifest.states == ()
        assert list(random_network(kind, layers=3).initial_state(4)) == ["h0", "h1", "h2"]


def test_without_layers_a_step_knows_nothing_of_the_others() -> None:
    network, random = random_network("picture", layers=0), np.random.default_rng(0)
    x = network.example(1, 6, random)
    whole, _ = network(torch.from_numpy(x), {})
    turned, _ = network(torch.from_numpy(x[:, ::-1].copy()), {})
    torch.testing.assert_close(turned.flip(1), whole)


@pytest.mark.parametrize("wrong", [-1, len(SYMBOLS)])
def test_tokens_that_are_no_symbols_are_refused(wrong: int) -> None:
    model = opened(random_network("embed"))
    x = np.array([[0, wrong, 1]], np.int64)
    with pytest.raises(InputError, match="x must be from 0 to 6"):
        model.step(x, model.initial_state())
    with pytest.raises(InputError, match=r"int64 \[B, T\]"):
        model.step(np.zeros((1, 3), np.int32), model.initial_state())


@torch.no_grad()
def test_a_level_that_came_before_the_window_changes_nothing() -> None:
    front = random_network("changes").front
    assert isinstance(front, Changes)
    x = torch.randn(2, 20, 5)
    y, state = front(x, front.initial_state(2))
    higher, _ = front(x + 100 * front.standardise.scale, front.initial_state(2))
    torch.testing.assert_close(higher[:, 6:], y[:, 6:], rtol=0, atol=1e-3)
    assert float((higher[:, :6] - y[:, :6]).abs().max()) > 1, "before, it has heard another level: the mean"
    torch.testing.assert_close(state["past"], front.standardise(x)[:, -6:])


def test_sound_hears_as_long_at_every_rate() -> None:
    for rate in (8000, 16000, 22050, 44100):
        front = Sound(rate, 8, stride=2)
        assert front.samples_per_step / rate == pytest.approx(0.02, rel=0.01)
        assert front.frontend.n_fft / rate == pytest.approx(0.025, rel=0.01)
        frames, _ = front(torch.zeros(1, 5 * front.samples_per_step), front.initial_state(1))
        assert frames.shape == (1, 5, 8)


def test_a_picture_is_read_row_by_row_with_its_colours_side_by_side() -> None:
    network = random_network("picture", layers=0)
    front = network.front
    assert isinstance(front, Picture)
    x = torch.rand(1, 1, 9 * 14 * 3)
    picture = x.reshape(9, 14, 3).permute(2, 0, 1)[None]
    y = torch.relu(front.conv1(torch.relu(front.conv0(picture))))
    assert y.shape == (1, 8, 3, 4), "a quarter of 9 by 14, rounded up"
    torch.testing.assert_close(front(x, {})[0][0, 0], torch.relu(front.dense(y.flatten(1)))[0])
