"""The gestures that ship: data, model and script say what their page says."""

import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

from helpers import SAMPLES, load_script
from streamcell.runtime.cli.main import main
from streamcell.runtime.events import Segment, is_final
from streamcell.runtime.model import Model
from streamcell.runtime.sense import SensorStream, channel_names
from streamcell.runtime.sources import Lines
from streamcell.runtime.stream import Stream
from streamcell.train.recipe import SensorRecipe, read_recipe

FOLDER = SAMPLES.parent / "gestures"
MODEL = FOLDER / "gestures.onnx"


@pytest.fixture(scope="module")
def score() -> ModuleType:
    return load_script(FOLDER / "score.py")


def test_the_page_holds_the_figures_of_the_model_that_ships(
    score: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["score.py", str(MODEL), "--out", str(tmp_path)])
    score.main()
    printed = capsys.readouterr().out
    page = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert all(line in page for line in printed.splitlines())
    accuracy = json.loads((tmp_path / "score.json").read_text())["accuracy_after_point"]
    assert accuracy[-1] > 0.95
    assert accuracy[3] > 0.9
    assert (tmp_path / "early.png").read_bytes()[:4] == b"\x89PNG"
    assert (tmp_path / "confusions.png").read_bytes()[:4] == b"\x89PNG"


def test_point_by_point_gives_what_the_whole_gives(score: ModuleType) -> None:
    recipe, _ = read_recipe(FOLDER / "recipe.toml")
    assert isinstance(recipe, SensorRecipe)
    model = Model.open(MODEL)
    gestures = score.held_out(recipe, FOLDER / "point_history.csv")[::97]
    expected = score.answers(model, gestures)
    for gesture, answers in zip(gestures, expected, strict=True):
        stream = Stream(model)
        found = [frames for row in gesture.values for frames in stream.posteriors.push(row[None])]
        assert [int(frames.values[0].argmax()) for frames in found] == answers.tolist()


def test_no_take_is_in_two_parts_and_none_of_the_test_was_chosen_on() -> None:
    recipe, _ = read_recipe(FOLDER / "recipe.toml")
    assert isinstance(recipe, SensorRecipe)
    assert not set(recipe.data.validation_groups) & set(recipe.data.test_groups)
    assert Model.open(MODEL).manifest.training["data"]["groups held out"] == {
        "validation": len(recipe.data.validation_groups),
        "test": len(recipe.data.test_groups),
    }


def test_the_example_is_told_gesture_by_gesture() -> None:
    model = Model.open(MODEL)
    stream = SensorStream(model)
    events = []
    with Lines(FOLDER / "example.csv", channel_names(model.manifest.input)) as lines:
        for readings in lines:
            events += stream.push(readings)
    events += stream.flush()
    rows = [line.split(",") for line in (FOLDER / "example.csv").read_text().splitlines()[1:]]
    starts = [i for i in range(len(rows)) if not i or float(rows[i][0]) - float(rows[i - 1][0]) > 0.5]
    last = {}
    for event in events:
        if isinstance(event, Segment) and is_final(event):
            gesture = sum(float(rows[i][0]) <= event.start + 0.01 for i in starts)
            last[gesture] = event.label
    assert [last[k] for k in sorted(last)] == [rows[i][3] for i in starts]


def test_the_file_is_small_and_keeps_the_streaming_guarantee() -> None:
    assert main(["verify", str(MODEL)]) == 0
    assert MODEL.stat().st_size < 40_000
