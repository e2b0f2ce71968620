"""Training on sensors, whole: recordings in, a run folder and a proven file out, stopped and resumed exactly."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from streamcell.export import parity
from streamcell.runtime.cli.main import main
from streamcell.runtime.errors import InputError, StreamcellError
from streamcell.runtime.events import Segment
from streamcell.runtime.model import Model
from streamcell.runtime.stream import Stream
from streamcell.train import checkpoint
from streamcell.train.recipe import SensorRecipe, parse_recipe
from streamcell.train.sensor import SensorTask
from streamcell.train.session import Session

RECIPE = """
task = "sensor"
name = "moves"
[data]
format = "recordings"
path = "moves"
sample_rate = 50
channels = ["acc", "gyro"]
units = ["g", "rad/s"]
validation_groups = ["ann"]
test_groups = ["zoe"]
[model]
cell = "lstm"
hidden = 12
[augment]
jitter = 0.05
scale = 0.1
[decoder]
smoothing = 0.1
min_duration = 0.2
[train]
lanes = 4
chunk_steps = 50
updates = 60
warmup = 5
learning_rate = 0.02
average = 0.9
validate_every = 20
"""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Write recordings of four people who rest, then shake, then turn."""
    random = np.random.default_rng(0)
    for person in ("ann", "ben", "cay", "zoe"):
        folder = tmp_path / "data" / "moves" / person
        folder.mkdir(parents=True)
        for take in range(2):
            rows = ["acc,gyro,label"]
            for label, (acc, gyro) in {"rest": (0.0, 0.0), "shake": (1.0, 0.0), "turn": (0.0, 2.0), "": (0, 0)}.items():
                for _ in range(int(random.integers(80, 160))):
                    noise = 0.2 * random.standard_normal(2)
                    rows.append(f"{acc * random.choice([-1, 1]) + noise[0]:.3f},{gyro + noise[1]:.3f},{label}")
            (folder / f"{take}.csv").write_text("\n".join(rows) + "\n")
    return tmp_path / "data"


def trained(data: Path, out: Path, *, stop: int = -1, resume: bool = False) -> float:
    session = Session(parse_recipe(RECIPE), RECIPE, data, out, resume=resume)
    return session.run(lambda: session.trainer.update == stop)


def test_it_learns_and_stopped_and_resumed_is_never_stopped(data: Path, tmp_path: Path) -> None:
    rate = trained(data, tmp_path / "whole")
    assert rate < 0.2
    with pytest.raises(KeyboardInterrupt):
        trained(data, tmp_path / "cut", stop=27)
    assert trained(data, tmp_path / "cut", resume=True) == rate
    one, other = (checkpoint.load(tmp_path / run / "checkpoint.pt")["trainer"]["average"] for run in ("whole", "cut"))
    assert all(torch.equal(one[name], other[name]) for name in one)
    best = checkpoint.load_best(tmp_path / "whole")
    assert best.columns.labels == ("rest", "shake", "turn")
    assert best.columns.units == ("g", "rad/s")
    assert best.figures["macro_f1"] > 0.8
    validation = json.loads((tmp_path / "whole" / "validation.json").read_text())
    assert list(validation["groups"]) == ["ann"]
    assert (tmp_path / "whole" / "curves.png").read_bytes()[:4] == b"\x89PNG"


def test_export_says_everything_and_the_stream_tells_labels(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(parity, "_STEPS", (1, 3, 50))
    trained(data, tmp_path / "run")
    out = tmp_path / "moves.onnx"
    readings = data / "moves" / "zoe" / "0.csv"
    assert main(["export", str(tmp_path / "run"), "--out", str(out), "--readings", str(readings)]) == 0
    assert str(readings) in capsys.readouterr().out
    model = Model.open(out)
    manifest = model.manifest
    assert (manifest.task, manifest.input.kind, manifest.input.channel_names) == ("frames", "features", ("acc", "gyro"))
    assert (manifest.input.sample_rate, manifest.input.units) == (50, ("g", "rad/s"))
    assert manifest.decoder == {"name": "smoothed", "smoothing": 0.1, "min_duration": 0.2}
    assert (manifest.gap.action, manifest.gap.reset_after) == ("hold", 2.0)
    assert manifest.training["data"] == {"path": "moves", "groups held out": {"validation": 1, "test": 1}}
    values = np.loadtxt(readings, delimiter=",", skiprows=1, usecols=(0, 1))
    stream = Stream(model)
    found = [event for event in stream.push(values) + stream.flush() if isinstance(event, Segment) and event.final]
    assert [event.label for event in found][:3] == ["rest", "shake", "turn"]


def test_audio_and_readings_are_not_mixed_up(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = parse_recipe(RECIPE)
    assert isinstance(recipe, SensorRecipe)
    task = SensorTask(recipe, data)
    (tmp_path / "run").mkdir()
    weights = recipe.network(task.columns).state_dict()
    checkpoint.save_best(tmp_path / "run" / "best.pt", weights, RECIPE, task.columns, {})
    arguments = ["export", str(tmp_path / "run"), "--out", str(tmp_path / "m.onnx"), "--audio", "a.wav"]
    assert main(arguments) == 2
    assert "takes features: give --readings instead of --audio" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('path = "moves"', 'path = "none"', "expected sensor data at"),
        ('groups = ["ann"]', 'groups = ["eve"]', r"no groups \['eve'\]"),
        ('"gyro"]', '"giro"]', "giro"),
    ],
)
def test_what_is_wrong_is_named(data: Path, old: str, new: str, message: str) -> None:
    recipe = parse_recipe(RECIPE.replace(old, new))
    assert isinstance(recipe, SensorRecipe)
    with pytest.raises(StreamcellError, match=message):
        SensorTask(recipe, data)


def test_speeds_that_make_no_sense_end_the_training_in_words(data: Path, tmp_path: Path) -> None:
    text = RECIPE.replace("[augment]", "[augment]\nspeed = [1.5, 0.5]")
    with pytest.raises(InputError, match="speed"):
        Session(parse_recipe(text), text, data, tmp_path / "run").run()


def test_labels_weigh_by_how_rare_they_are(data: Path) -> None:
    recipe = parse_recipe(RECIPE)
    assert isinstance(recipe, SensorRecipe)
    task = SensorTask(recipe, data)
    network = recipe.network(task.columns).eval()
    chunk = task.lanes(0).draw()
    masks = torch.Generator()
    loss, parts, after = task.losses(network, chunk, network.initial_state(4), masks, 0)
    assert parts["cross_entropy"] is loss
    logits, state = network(torch.from_numpy(chunk.values), network.initial_state(4))
    counts = np.bincount(np.concatenate([one.labels[one.labels >= 0] for one in task.training]))
    weights = counts**-0.5 * counts.sum() / (counts**0.5).sum()
    probs = logits.softmax(-1).detach().numpy()
    known = np.argwhere(chunk.labels >= 0)
    expected = np.mean([-weights[k] * np.log(probs[b, t, k]) for b, t in known for k in [chunk.labels[b, t]]])
    assert abs(loss.item() - expected) < 1e-5
    assert all(torch.equal(after[name], state[name]) for name in state)
