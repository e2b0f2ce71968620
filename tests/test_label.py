"""One label for a whole is the model's last frame, whatever the whole is."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from helpers import noise, tiny_model
from sequences import LETTERS, described, exported, letters, network_for, rows, writer
from streamcell.runtime.errors import InputError, ModelError, SourceError
from streamcell.runtime.events import Segment
from streamcell.runtime.label import label_audio, label_film, label_readings, label_rows, label_tokens
from streamcell.runtime.manifest import InputSpec
from streamcell.runtime.model import Model
from streamcell.runtime.sources import AudioFile, Lines
from streamcell.runtime.stream import Stream
from streamcell.train.models import SequenceNet

KINDS = ("cat", "dog", "cow")


def labeller(spec: InputSpec, seed: int = 0, task: str = "sequence", **shape: Any) -> tuple[SequenceNet, Model]:
    network = network_for(spec, len(KINDS), seed=seed, **shape)
    return network, exported(network, described(network, spec, task, KINDS))


def expected(network: SequenceNet, x: Any) -> dict[str, float]:
    with torch.no_grad():
        frames, _ = network(torch.tensor(x[None]), network.initial_state(1))
    shares = torch.softmax(frames[0, -1].double(), 0).tolist()
    return dict(sorted(zip(KINDS, shares, strict=True), key=lambda item: -item[1]))


def assert_like(found: dict[str, float], wanted: dict[str, float]) -> None:
    assert list(found) == list(wanted)
    np.testing.assert_allclose(list(found.values()), list(wanted.values()), atol=1e-5)


@pytest.mark.parametrize("text", ["a", "a bad cab", "bee" * 800])
def test_a_text(text: str) -> None:
    network, model = labeller(letters(), cell="lstm")
    places = np.array([LETTERS.index(letter) for letter in text])
    assert_like(label_tokens(model, text), expected(network, places))
    assert_like(label_tokens(model, places), expected(network, places))


@pytest.mark.parametrize("count", [1, 100, 5000])
def test_rows(count: int) -> None:
    network, model = labeller(rows(2, channel_names=("x", "y")))
    values = np.random.default_rng(count).standard_normal((count, 2)).astype(np.float32)
    assert_like(label_rows(model, values), expected(network, values))


def test_a_picture_needs_no_state() -> None:
    spec = rows(8 * 8, image=(8, 8, 1))
    network, model = labeller(spec, layers=0)
    assert model.manifest.states == ()
    picture = np.random.default_rng(0).uniform(0, 1, (1, 64)).astype(np.float32)
    assert_like(label_rows(model, picture), expected(network, picture))


def test_readings_without_a_clock_are_steps_whatever_their_times() -> None:
    network, model = labeller(rows(2, channel_names=("x", "y")))
    values = np.round(np.random.default_rng(1).standard_normal((20, 2)), 3)
    for header in ("x,y", "time,y,x"):
        lines = [header]
        for number, (x, y) in enumerate(values.tolist()):
            lines.append(f"{x},{y}" if header == "x,y" else f"{number * number},{y},{x}")
        with Lines(io.BytesIO("\n".join(lines).encode()), ["x", "y"]) as source:
            found, odd = label_readings(model, source)
        assert_like(found, expected(network, values.astype(np.float32)))
        assert odd == []


def test_readings_with_a_clock_are_put_on_it() -> None:
    _, model = labeller(rows(1, 50))
    times = np.arange(0, 2, 0.01)  # 100 Hz
    text = "time,a\n" + "".join(f"{time:.2f},{np.sin(time):.6f}\n" for time in times)
    with Lines(io.BytesIO(text.encode()), ["a"]) as source:
        found, odd = label_readings(model, source)
    half = np.sin(np.arange(0, 2, 0.02))[:, None].astype(np.float32)
    assert list(found) == list(label_rows(model, half))
    assert any("rate" in one for one in odd)


def test_a_recording_at_any_rate(tmp_path: Path) -> None:
    model = Model.open(tiny_model(task="sequence", samples_per_step=160, sample_rate=16000))
    soundfile.write(tmp_path / "a.wav", noise(16000), 16000, subtype="FLOAT")
    with AudioFile(tmp_path / "a.wav") as audio:
        found = label_audio(model, audio)
    stream = Stream(model, quality="file")
    stream.push(noise(16000))
    (final,) = stream.flush()
    assert isinstance(final, Segment)
    best = next(iter(found))
    assert final.label == best
    assert final.confidence == pytest.approx(found[best])
    assert sum(found.values()) == pytest.approx(1)
    soundfile.write(tmp_path / "b.wav", noise(48000), 48000)
    with AudioFile(tmp_path / "b.wav") as audio:
        assert set(label_audio(model, audio)) == set(found)


def test_a_film_is_told_in_stretches() -> None:
    spec = rows(8 * 8, 10, image=(8, 8, 1))
    _, model = labeller(spec, task="frames")
    model = model.with_decoder({"name": "smoothed", "smoothing": 0, "min_duration": 0})
    film = np.random.default_rng(0).uniform(0, 1, (40, 64)).astype(np.float32)
    outputs, _ = model.step(film[None], model.initial_state())
    best = outputs["y"][0].argmax(1).tolist()
    told = [event for event in label_film(model, film) if isinstance(event, Segment)]
    frames = [KINDS.index(s.label) for s in told for _ in range(round((s.end - s.start) * 10))]
    assert frames == best


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    _, texts = labeller(letters())
    _, points = labeller(rows(2))
    sound = Model.open(tiny_model(task="sequence"))
    with pytest.raises(InputError, match="there is no symbol"):
        label_tokens(texts, "")
    with pytest.raises(InputError, match="takes features, not tokens"):
        label_tokens(points, "a")
    with pytest.raises(InputError, match="takes tokens"):
        label_rows(texts, np.zeros((3, 2), np.float32))
    with pytest.raises(SourceError, match="shorter than a step"):
        label_rows(points, np.zeros((0, 2), np.float32))
    with pytest.raises(ModelError, match="task 'next'; only one of task 'sequence'"):
        label_tokens(writer()[1], "a")
    soundfile.write(tmp_path / "short.wav", np.zeros(3), 1600)
    with (
        AudioFile(tmp_path / "short.wav") as audio,
        pytest.raises(SourceError, match="recording is shorter than a step"),
    ):
        label_audio(sound, audio)
    with AudioFile(tmp_path / "short.wav") as audio, pytest.raises(InputError, match="takes tokens, not audio"):
        label_audio(texts, audio)
