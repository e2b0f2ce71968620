"""`streamcell quantize`, as it is called, on the recordings beside the sample."""

import argparse
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from helpers import SAMPLES, tiny_model
from networks import random_network, spoken_manifest
from sensors import sensor_model
from streamcell.export import quantize_command
from streamcell.export.graph import build_model, state_specs
from streamcell.export.quantize import table
from streamcell.export.quantize.held_out import open_held_out
from streamcell.export.quantize.quantizer import Wish, quantize
from streamcell.export.quantize.variants import METHODS
from streamcell.runtime.errors import InputError, ModelError, SourceError
from streamcell.runtime.manifest import InputSpec, Manifest, OutputSpec
from streamcell.runtime.model import Model
from streamcell.runtime.stream import Stream
from streamcell.runtime.verify import verify
from streamcell.train.models import SensorNet
from streamcell.train.recipe import RecipeError, SensorRecipe, parse_recipe
from streamcell.train.sensor import SensorTask

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
hidden = 20
"""


def command(*arguments: object) -> int:
    parser = argparse.ArgumentParser()
    quantize_command.add_arguments(parser)
    return quantize_command.run(parser.parse_args([str(argument) for argument in arguments]))


@pytest.fixture
def model(tmp_path: Path) -> Path:
    network = random_network(hidden=200)
    path = tmp_path / "float.onnx"
    path.write_bytes(build_model(network, spoken_manifest(network)).SerializeToString())
    return path


@pytest.fixture
def moves(tmp_path: Path) -> Path:
    """Write recordings of three people, and their recipe; return the folder."""
    folder, random = tmp_path / "data", np.random.default_rng(0)
    for person in ("ann", "bob", "zoe"):
        (folder / "moves" / person).mkdir(parents=True)
        rows = [f"{a:.4f},{b:.4f},{'up' if a > 0 else 'down'}" for a, b in random.standard_normal((200, 2))]
        (folder / "moves" / person / "0.csv").write_text("\n".join(["acc,gyro,label", *rows]) + "\n")
    (folder / "recipe.toml").write_text(RECIPE)
    return folder


def test_it_writes_a_smaller_file_and_the_table(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "small.onnx"
    assert command(model, "--data", SAMPLES, "--out", out, "--method", "weights-8", "static", "--lost", 100) == 0
    printed, facts = capsys.readouterr(), json.loads((tmp_path / "small.json").read_text())
    before, after = Model.open(model), Model.open(out)
    note = after.manifest.training["quantised"]
    assert [row["method"] for row in facts["rows"]] == ["float", "weights-8", "static"]
    assert facts["chosen"] == note["method"]
    assert facts["fingerprint"] == note["from"]["fingerprint"] == before.fingerprint != after.fingerprint
    assert after.manifest.checksum not in ("", before.manifest.checksum)
    assert after.manifest.decoder == before.manifest.decoder
    assert verify(after).within(1e-4)
    assert out.stat().st_size < 0.8 * model.stat().st_size
    assert "3 recordings, 0.2 min of 3 speakers" in printed.out
    assert f"{out}: {note['method']}" in printed.out
    assert "streamcell: speed" in printed.err
    with pytest.raises(ModelError, match=f"is quantised already \\({note['method']}\\)"):
        command(out, "--data", SAMPLES, "--out", tmp_path / "smaller.onnx")


def test_streams_hold_to_a_fixed_number_of_steps(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "_SLOWER", 0.0)  # on a busy machine it may be slower; here it is to be made
    opened = Model.open(model)
    held_out = open_held_out(opened, [SAMPLES], None, model.parent)
    wish = Wish(("static",), most_lost=100, steps=3, name="moved")
    outcome = quantize(model.read_bytes(), held_out, wish)
    assert outcome.data is not None
    made = Model.open(outcome.data)
    assert (made.manifest.name, made.manifest.steps_per_call, made.manifest.batch_invariant) == ("moved", 3, True)
    x = held_out.streams()[0]
    whole, parts = Stream(made, quality="file"), Stream(made)
    expected = [*whole.push(x), *whole.flush()]
    found = [event for begin in range(0, len(x), 481) for event in parts.push(x[begin : begin + 481])]
    finals = [[e for e in events if getattr(e, "final", True)] for events in (expected, [*found, *parts.flush()])]
    assert finals[0] == finals[1]
    assert len(finals[0]) > 3
    with pytest.raises(InputError, match="exactly 3 steps"):
        made.step(np.zeros((1, 2 * made.manifest.input.samples_per_step), np.float32), made.initial_state())


def test_nothing_is_written_where_nothing_pays(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    network = random_network(hidden=8, channels=4, mels=8)  # nothing large in it
    path, out = tmp_path / "tiny.onnx", tmp_path / "small.onnx"
    path.write_bytes(build_model(network, spoken_manifest(network)).SerializeToString())
    assert command(path, "--data", SAMPLES, "--out", out) == 1
    printed = capsys.readouterr().out
    assert "do not quantise random: nothing pays for live; nothing was written" in printed
    assert printed.count("there is nothing in this model that it serves") == len(METHODS)
    assert sorted(tmp_path.iterdir()) == [path]


def test_readings_are_scored_as_their_recipe_validates(moves: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = SensorNet(2, 2, sample_rate=50, cell="lstm", hidden=24).eval()
    heard = InputSpec("x", "features", 50, 2, 1, 0, ("acc", "gyro"), ("g", "rad/s"))
    output = OutputSpec("logits", "logits", ("down", "up"), None, None, 0.02)
    manifest = Manifest("moves", "", "frames", heard, state_specs(network), (output,))
    path, out = tmp_path / "moves.onnx", tmp_path / "small.onnx"
    path.write_bytes(build_model(network, manifest).SerializeToString())
    arguments = (path, "--data", moves, "--recipe", moves / "recipe.toml", "--out", out, "--lost", 50)
    assert command(*arguments, "--method", "weights-8", "--aim", "size") == 0
    recipe = parse_recipe(RECIPE)
    assert isinstance(recipe, SensorRecipe)
    task = SensorTask(recipe, moves)
    rows = json.loads((tmp_path / "small.json").read_text())["rows"]
    assert rows[0]["rate"] == pytest.approx(task.validate(network).rate)
    assert rows[1]["rate"] == pytest.approx(rows[0]["rate"], abs=0.03)
    assert Model.open(out).manifest.steps_per_call is None


def test_data_of_another_kind_are_refused(moves: Path, model: Path, tmp_path: Path) -> None:
    def refused(error: type[Exception], message: str, *arguments: object, source: Path = model) -> None:
        with pytest.raises(error, match=message):
            command(source, *arguments, "--out", tmp_path / "out.onnx")

    recipe = ("--recipe", moves / "recipe.toml")
    refused(SourceError, "expected the corpus 'nowhere'", "--data", tmp_path / "nowhere")
    refused(InputError, "labels are not the 2 of the recipe 'moves'", "--data", moves, *recipe)
    refused(InputError, "takes one folder as --data", "--data", moves, moves, *recipe)
    refused(RecipeError, "none.toml", "--data", moves, "--recipe", "none.toml")
    tiny = tmp_path / "tiny.onnx"
    tiny.write_bytes(tiny_model())
    refused(InputError, "which tiny does not know", "--data", SAMPLES, source=tiny)
    tiny.write_bytes(sensor_model())
    refused(InputError, "give the recipe that it was trained by as --recipe", "--data", SAMPLES, source=tiny)
    assert not (tmp_path / "out.onnx").exists()


def test_what_cannot_come_right_is_refused_at_once(model: Path, tmp_path: Path) -> None:
    def refused(message: str, *arguments: object) -> None:
        with pytest.raises(InputError, match=message):
            command(model, "--data", SAMPLES, "--out", tmp_path / "out.onnx", *arguments)

    refused("1 to 64 steps a call, got 0", "--steps", 0)
    refused("--lost must be from 0", "--lost", -1)
    refused("--seconds must be above 0", "--seconds", 0)
    refused("is there already", "--out", model)
    refused("is where the table goes", "--out", tmp_path / "out.json")
    refused("does not exist", "--out", tmp_path / "no" / "where.onnx")
    opened = open_held_out(Model.open(model), [SAMPLES], None, tmp_path)
    with pytest.raises(InputError, match="unknown method 'int3'; expected some of weights-8"):
        quantize(model.read_bytes(), opened, Wish(("int3",)))
    assert sorted(tmp_path.iterdir()) == [model]
