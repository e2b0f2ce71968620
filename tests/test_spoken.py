"""Recordings named LABEL_SPEAKER_TAKE: read, held out by speaker and take, changed, learnt, exported, heard."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from streamcell.export import parity
from streamcell.runtime.cli.main import main
from streamcell.runtime.errors import InputError, SourceError
from streamcell.runtime.events import Segment
from streamcell.runtime.model import Model
from streamcell.runtime.stream import Stream
from streamcell.train.data.augment import level
from streamcell.train.data.spoken import SpokenChange, change_spoken, colour, read_spoken
from streamcell.train.recipe import LabelsRecipe, RecipeError, parse_recipe
from streamcell.train.session import Session

RATE = 8000
RECIPE = """
task = "labels"
name = "tones"
[data]
format = "spoken"
path = "tones"
sample_rate = 8000
validation_takes = ["3"]
test_groups = ["zoe"]
mels = 12
channels = 8
stride = 4
speed = [0.95, 1.05]
snr_db = [20.0, 40.0]
level_dbfs = [-30.0, -20.0]
shift_s = [-0.05, 0.05]
[model]
hidden = 16
dropout = 0.0
[train]
lanes = 8
updates = 40
warmup = 5
learning_rate = 0.02
average = 0.8
validate_every = 20
"""


def tone(hertz: float, seconds: float = 0.3, rate: int = RATE) -> np.ndarray:
    return (0.1 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "tones"
    folder.mkdir()
    for i, speaker in enumerate(("ann", "ben", "zoe")):
        for take in range(4):
            for label, hertz in {"low": 400, "high": 1500}.items():
                soundfile.write(folder / f"{label}_{speaker}_{take}.wav", tone(hertz * (1 + 0.05 * i)), RATE)
    return tmp_path


def read(folder: Path, **options: Any) -> tuple[list[str], list[str], list[str]]:
    found = read_spoken(folder / "tones", sample_rate=RATE, **{"validation_takes": (), **options})
    parts = (found.training, found.validation, found.test)
    groups = [sorted({one.group for one in part}) for part in parts]
    return groups[0], groups[1], groups[2]


def test_speakers_and_takes_are_held_out(data: Path) -> None:
    assert read(data, validation_takes=("3",), test_groups=("zoe",)) == (
        ["ann", "ben"],
        ["ann, held takes", "ben, held takes"],
        ["zoe"],
    )
    assert read(data, validation_groups=("ben",), test_groups=("zoe",)) == (["ann"], ["ben"], ["zoe"])
    found = read_spoken(data / "tones", sample_rate=RATE, validation_takes=["3"], test_groups=["zoe"])
    assert (len(found.training), len(found.validation), len(found.test)) == (12, 4, 8), "all takes of the test speaker"
    assert found.columns.labels == ("high", "low")


def test_further_folders_are_trained_on_but_for_test_speakers(data: Path) -> None:
    more = data / "more"
    more.mkdir()
    for name in ("low_eve_3", "high_zoe_7"):
        soundfile.write(more / f"{name}.flac", tone(400), RATE)
    found = read_spoken(data / "tones", sample_rate=RATE, validation_takes=["3"], also=[more], test_groups=["zoe"])
    assert (len(found.training), len(found.validation), len(found.test)) == (13, 4, 9)
    assert "eve" in {one.group for one in found.training}


def test_other_rates_are_converted(data: Path) -> None:
    soundfile.write(data / "tones" / "low_ann_9.wav", np.stack([tone(400, rate=44100)] * 2, axis=1), 44100)
    found = read_spoken(data / "tones", sample_rate=RATE, validation_takes=["9"])
    (one,) = found.validation
    assert len(one.x) == 2400
    assert np.abs(one.x[200:-200] - tone(400)[200:-200]).max() < 0.01


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"test_groups": ("eve",), "validation_takes": ("1",)}, r"no groups \['eve'\]"),
        ({}, "nothing is left to validate on"),
        ({"validation_takes": ("0", "1", "2", "3")}, "nothing is left to train on"),
    ],
)
def test_what_cannot_be_held_out_is_said(data: Path, options: dict[str, tuple[str, ...]], message: str) -> None:
    with pytest.raises(InputError, match=message):
        read(data, **options)


def test_files_that_do_not_fit_are_named(data: Path, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"expected recordings in the folder .*none"):
        read_spoken(tmp_path / "none", sample_rate=RATE, validation_takes=["3"])
    (data / "tones" / "low_ann_3.wav").write_bytes(b"RIFF no sound")
    with pytest.raises(SourceError, match=r"cannot read .*low_ann_3\.wav"):
        read(data, validation_takes=("3",))
    (data / "tones" / "low_ann_3.wav").unlink()
    (data / "tones" / "hello.wav").touch()
    with pytest.raises(SourceError, match=r"hello\.wav: expected a name like LABEL_SPEAKER_TAKE\.wav"):
        read(data, validation_takes=("3",))


def test_a_changed_recording_is_what_was_asked_for() -> None:
    change = SpokenChange((0.8, 1.25), (0.0, 6.0), snr_db=(30.0, 40.0), level_dbfs=(-40.0, -20.0), shift_s=(-0.1, 0.1))
    random, sound = np.random.default_rng(1), tone(500)
    changed = [change_spoken(sound, random, change, RATE) for _ in range(50)]
    lengths = np.array([len(one) for one in changed]) / RATE
    assert 0.15 / 1.25 <= lengths.min() < 0.3 < lengths.max() <= 0.3 / 0.8 + 0.21
    levels = 20 * np.log10([level(one) for one in changed])
    assert -45 < levels.min() < -35 < -25 < levels.max() < -19
    again = np.random.default_rng(1)
    np.testing.assert_array_equal(change_spoken(sound, again, change, RATE), changed[0])
    np.testing.assert_array_equal(sound, tone(500), "the recording itself stays as it is")


@pytest.mark.parametrize("size", [1, 77, 2400, 30011])
def test_no_change_leaves_the_recording_as_it_is(size: int) -> None:
    sound = np.random.default_rng(size).standard_normal(size).astype(np.float32)
    as_loud = 20 * np.log10(level(sound) / 10)
    none = SpokenChange((1.0, 1.0), (0.0, 0.0), (200.0, 200.0), (as_loud, as_loud), (0.0, 0.0))
    np.testing.assert_allclose(change_spoken(sound, np.random.default_rng(0), none, RATE), sound / 10, atol=1e-6)


@pytest.mark.parametrize("factor", [0.7, 0.9, 1.1, 1.4])
def test_faster_is_shorter_and_higher(factor: float) -> None:
    faster = SpokenChange((factor, factor), (0.0, 0.0), (60.0, 60.0), (-26.0, -26.0), (0.0, 0.0))
    changed = change_spoken(tone(500, seconds=1.0), np.random.default_rng(0), faster, RATE)
    assert len(changed) == pytest.approx(RATE / factor, rel=0.03)
    loudest = np.abs(np.fft.rfft(changed)).argmax() * RATE / len(changed)
    assert loudest == pytest.approx(500 * factor, rel=0.03)


@pytest.mark.parametrize("snr_db", [0.0, 20.0])
def test_noise_lies_as_far_below_the_recording_as_asked_for(snr_db: float) -> None:
    sound, random = tone(1000, seconds=1.0), np.random.default_rng(3)
    noisy = SpokenChange((1.0, 1.0), (0.0, 0.0), (snr_db, snr_db), (-26.0, -26.0), (0.5, 0.5))
    changed = np.stack([change_spoken(sound, random, noisy, RATE) for _ in range(100)])
    assert changed.shape == (100, 2 * RATE)
    noise = level(np.hstack([changed[:, : RATE // 2 - 80], changed[:, -RATE // 2 + 80 :]]))
    both = level(changed[:, RATE // 2 : -RATE // 2])
    assert 10 * np.log10((both**2 - noise**2) / noise**2) == pytest.approx(snr_db, abs=0.5)


def test_a_colour_is_smooth_and_raises_and_lowers_bands() -> None:
    hertz = np.arange(0.0, 4001.0, 10.0)
    gains = 20 * np.log10(colour(hertz, 6.0, np.random.default_rng(1)))
    assert np.ptp(gains) > 6
    assert np.abs(np.diff(gains)).max() < 3, "smooth"
    np.testing.assert_array_equal(colour(hertz, 0.0, np.random.default_rng(1)), np.ones(len(hertz)))


def test_it_learns_and_the_file_hears_any_rate(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(parity, "_STEPS", (1, 3, 30))
    assert Session(parse_recipe(RECIPE), RECIPE, data, tmp_path / "run").run() == 0
    out = tmp_path / "tones.onnx"
    assert main(["export", str(tmp_path / "run"), "--out", str(out)]) == 0
    assert "1 of them GRU" in capsys.readouterr().out
    model = Model.open(out)
    assert (model.manifest.task, model.manifest.input.kind) == ("sequence", "audio")
    assert (model.manifest.input.sample_rate, model.manifest.input.samples_per_step) == (8000, 320)
    for rate in (8000, 16000, 44100):
        for label, hertz in {"low": 420, "high": 1570}.items():
            stream = Stream(model, sample_rate=rate)
            events = stream.push(tone(hertz, rate=rate)) + stream.flush()
            assert [event.label for event in events if isinstance(event, Segment) and event.final] == [label]


def test_a_range_the_wrong_way_round_is_refused() -> None:
    assert isinstance(parse_recipe(RECIPE), LabelsRecipe)
    with pytest.raises(RecipeError, match=r"data.speed must be a lowest and a highest"):
        parse_recipe(RECIPE.replace("speed = [0.95, 1.05]", "speed = [1.05, 0.95]"))
