"""The file inside the package silero-vad, adopted: the same probabilities as the package's own wrapper."""

import importlib
import importlib.util
import re
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soxr
import torch
from numpy.typing import NDArray

from helpers import SAMPLES
from streamcell.export.adopt.adopter import Adopted, adopt
from streamcell.export.adopt.card import parse_card
from streamcell.export.adopt.source import operators, read_source
from streamcell.export.files import recordings
from streamcell.runtime.model import Model

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("silero_vad") is None, reason="silero-vad is not installed: pip install 'streamcell[test]'"
)

CARD = (SAMPLES.parent / "silero" / "silero.toml").read_text()
CARD_8K = CARD.replace("16000", "8000").replace("512", "256").replace("64", "32")
SPEECH = sorted(SAMPLES.glob("*.flac"))


def package_file(name: str) -> Path:
    return Path(str(files("silero_vad") / "data" / name))


@pytest.fixture(scope="module", params=["silero_vad.onnx", "silero_vad_16k_op15.onnx", "silero_vad.onnx at 8 kHz"])
def made(request: pytest.FixtureRequest) -> Adopted:
    name, _, at_8k = request.param.partition(" ")
    card = parse_card(CARD_8K if at_8k else CARD, str)
    return adopt(read_source(package_file(name)), card, recordings(SPEECH[:1], card.input.sample_rate))


def three_recordings(model: Model) -> NDArray[np.float32]:
    """Return whole chunks of the three recordings, `[3, N]`, as long as the longest: silence follows."""
    spec = model.manifest.input
    sounds = [soxr.resample(_read(path), 16000, spec.sample_rate).astype(np.float32) for path in SPEECH]
    longest = max(map(len, sounds)) // spec.samples_per_step * spec.samples_per_step
    return np.stack([np.pad(sound[:longest], (0, max(0, longest - len(sound)))) for sound in sounds])


def _read(path: Path) -> NDArray[np.float32]:
    return recordings([path], 16000)[str(path)]


def wrapped(name: str, samples: NDArray[np.float32], rate: int, size: int) -> NDArray[np.float32]:
    """Return what the package's own wrapper gives, `[B, T]`."""
    package: Any = importlib.import_module("silero_vad.utils_vad")
    wrapper = package.OnnxWrapper(str(package_file(name)), force_onnx_cpu=True)
    chunks = [torch.from_numpy(samples[:, begin : begin + size]) for begin in range(0, samples.shape[1], size)]
    return np.concatenate([wrapper(chunk, rate).numpy() for chunk in chunks], axis=1)


@pytest.mark.filterwarnings("ignore:This model support only 16000")
def test_the_same_probabilities_as_the_package(made: Adopted) -> None:
    model = Model.open(made.data)
    spec, samples = model.manifest.input, three_recordings(model)
    size = spec.samples_per_step
    name = made.manifest.training["adopted"]["file"]
    expected = wrapped(name, samples, spec.sample_rate, size)
    assert expected.max() > 0.9
    assert expected.min() < 0.1
    for rows in (slice(0, 1), slice(1, 2), slice(0, 3)):
        x, found = samples[rows], []
        state = model.initial_state(len(x))
        for begin in range(0, x.shape[1], size):
            outputs, state = model.step(x[:, begin : begin + size], state)
            found.append(outputs["output"][..., 0])
        assert np.abs(np.concatenate(found, axis=1) - expected[rows]).max() <= 1e-5
        assert np.array_equal(state["input_context"], x[:, -spec.samples_per_step // 8 :])


def test_only_plain_operators_are_left(made: Adopted) -> None:
    before = list(operators(read_source(package_file(made.manifest.training["adopted"]["file"])).model.graph))
    assert sum(node.op_type == "If" for node in before) >= 12
    assert len(made.operators) <= 42
    assert not {"If", "Shape", "ConstantOfShape", "Constant", "Equal"} & set(made.operators)
    assert not {"Conv", "Transpose"} & set(made.operators)


def test_the_manifest(made: Adopted) -> None:
    manifest = made.manifest
    context = 64 if manifest.input.sample_rate == 16000 else 32
    assert [(state.input, state.shape, state.batch_axis) for state in manifest.states] == [
        ("input_context", ("B", context), 0),
        ("state", (2, "B", 128), 1),
    ]
    assert (manifest.steps_per_call, manifest.batch_invariant, manifest.outputs[0].labels) == (1, True, ("speech",))
    assert manifest.outputs[0].seconds_per_step == 0.032
    assert manifest.parity is not None
    assert max(manifest.parity.outputs, manifest.parity.states) <= 1e-5
    assert made.refused == ()
    assert [state.pair.found for state in made.states] == ["names"]


def test_the_readme_counts_right() -> None:
    source = read_source(package_file("silero_vad.onnx"))
    before = list(operators(source.model.graph))
    made = adopt(source, parse_card(CARD, str), {})
    branches = sum(node.op_type == "If" for node in before)
    readme = " ".join((SAMPLES.parent / "silero" / "README.md").read_text().split())
    assert f"holds {branches} branches" in readme
    assert re.search(rf"{len(made.operators)} plain operators of {len(before)} are left", readme)
