"""The digit network begins as the phoneme model: the same weights, and the same sound in them at half the rate."""

from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import soundfile
import soxr
import torch

from helpers import load_script
from streamcell.export.graph import build_model, state_specs
from streamcell.runtime.events import Segment
from streamcell.runtime.manifest import InputSpec, Manifest, OutputSpec
from streamcell.runtime.model import Model
from streamcell.runtime.stream import Stream
from streamcell.train.columns import Columns
from streamcell.train.fronts import Sound
from streamcell.train.models import PhonemeNet, SequenceNet
from streamcell.train.recipe import parse_recipe

FOLDER = Path(__file__).parent.parent / "samples" / "digits"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    return load_script(FOLDER / "train.py")


@pytest.fixture(scope="module")
def cutter() -> ModuleType:
    return load_script(FOLDER / "begin.py")


@pytest.fixture
def phones() -> PhonemeNet:
    torch.manual_seed(1)
    network = PhonemeNet(labels=3, channels=8, hidden=16, layers=2).eval()
    network.standardise.mean.normal_(-4.0, 1.0)
    network.standardise.scale.uniform_(2.0, 4.0)
    return network


@pytest.fixture
def file(cutter: ModuleType, phones: PhonemeNet, tmp_path: Path) -> Path:
    """Return what was cut out of `phones`, 31 bins."""
    np.savez(tmp_path / "begin.npz", **cutter.weights_of(exported(phones, tmp_path)))
    return tmp_path / "begin.npz"


def exported(phones: PhonemeNet, folder: Path) -> Path:
    heard = InputSpec("samples", "audio", 16000, 1, phones.samples_per_step, 0)
    output = OutputSpec("logits", "logits", ("<blank>", "SIL", "AA"), 0, "SIL", heard.seconds_per_step)
    manifest = Manifest("phones", "", "ctc", heard, state_specs(phones), (output,))
    path = folder / "phones.onnx"
    path.write_bytes(build_model(phones, manifest).SerializeToString())
    return path


def network_for_digits(stride: int = 3) -> SequenceNet:
    torch.manual_seed(2)
    front = Sound(8000, 16, mels=31, channels=8, stride=stride)
    return SequenceNet(front, 10, pooling=True).eval()


def test_weights_are_those_of_the_phoneme_model(cutter: ModuleType, phones: PhonemeNet, tmp_path: Path) -> None:
    given, cut = phones.state_dict(), cutter.weights_of(exported(phones, tmp_path), mels=40)
    assert set(cut) == {name for name in network_for_digits().state_dict() if not name.startswith("head.")}
    for name, value in cut.items():
        if name == "front.standardise.mean":
            np.testing.assert_allclose(value, given["standardise.mean"] - np.log(4), rtol=1e-6)
        else:
            np.testing.assert_array_equal(value, given[name.removeprefix("front.")])


def test_a_model_of_other_frames_is_refused(cutter: ModuleType, tmp_path: Path) -> None:
    phones = PhonemeNet(labels=3, channels=8, hidden=16, layers=1, stride=4).eval()
    with pytest.raises(ValueError, match="expected frames of 30 ms, as the recipe has, got 40 ms"):
        cutter.weights_of(exported(phones, tmp_path))


def begun(script: ModuleType, file: Path) -> Sound:
    network = network_for_digits()
    drawn = network.head.weight.clone()
    script.begin(network, file)
    torch.testing.assert_close(network.head.weight, drawn, rtol=0, atol=0)
    front = network.front
    assert isinstance(front, Sound)
    return front


@torch.no_grad()
def test_its_bins_hear_what_the_lower_bins_of_the_phoneme_model_hear(
    script: ModuleType, phones: PhonemeNet, file: Path
) -> None:
    front = begun(script, file)
    sound, rate = soundfile.read(FOLDER / "7_jackson_18.ogg", dtype="float32")
    assert rate == 8000
    sound = sound[: len(sound) // 80 * 80]
    narrow, _ = front.frontend(torch.from_numpy(sound)[None], front.frontend.initial_state(1))
    wide, _ = phones.frontend(torch.from_numpy(soxr.resample(sound, 8000, 16000))[None], phones.initial_state(1))
    nats = (narrow - front.standardise.mean) - (wide - phones.standardise.mean)[..., :31]
    assert float(nats.abs().mean()) < 0.2, "of some 10 between loud and silent"


@torch.no_grad()
def test_bins_that_are_left_out_count_as_silent(script: ModuleType, phones: PhonemeNet, file: Path) -> None:
    front, layer = begun(script, file), phones.standardise
    heard = torch.randn(1, 20, 31)
    silent = ((np.log(1e-5) - layer.mean) / layer.scale)[31:].expand(1, 20, 9)
    found, _ = front.conv0(heard[:, 2:], heard[:, :2])
    whole = torch.cat([heard, silent], dim=2)
    expected, _ = phones.conv0(whole[:, 2:], whole[:, :2])
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


def test_another_shape_is_refused(script: ModuleType, file: Path) -> None:
    with pytest.raises(RuntimeError, match=r"size mismatch for front\.conv1\.conv\.weight"):
        script.begin(network_for_digits(stride=4), file)


def test_the_recipe_fits_the_weights_that_lie_beside_it(script: ModuleType) -> None:
    recipe = parse_recipe((FOLDER / "recipe.toml").read_text(encoding="utf-8"))
    network = recipe.network(Columns(tuple("0123456789")))
    script.begin(network)
    assert sum(x.numel() for x in network.parameters()) < 1e6, "4 MB"


def test_the_model_hears_the_digit() -> None:
    model = Model.open(FOLDER / "digits.onnx")
    sound, rate = soundfile.read(FOLDER / "7_jackson_18.ogg", dtype="float32")
    stream = Stream(model, sample_rate=rate)
    events = stream.push(sound) + stream.flush()
    assert [event.label for event in events if isinstance(event, Segment) and event.final] == ["7"]
