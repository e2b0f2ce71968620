"""The gestures that ship: data, model and script say what their page says."""

import json
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from helpers import SAMPLES, load_script
from streamcell.runtime.cli.main import main
from streamcell.runtime.events import Segment, is_final
from streamcell.runtime.model import Model
from streamcell.runtime.sense import SensorStream, channel_names
from streamcell.runtime.sources import Lines
from streamcell.runtime.stream import Stream
from streamcell.train.data.sensor import Recording, read_sensor, split
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
    assert accuracy[3] > 0.8
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


def steps(gesture: Recording) -> set[tuple[tuple[float, ...], ...]]:
    """Return every three steps in a row between a gesture's points, but for those of a finger that rests."""
    moves = np.diff(gesture.values.astype(np.float64), axis=0).round(5)
    runs = [tuple(map(tuple, moves[at : at + 3].tolist())) for at in range(len(moves) - 2)]
    return {run for run in runs if np.abs(run).sum() > 0.05}


def test_nothing_that_is_scored_was_heard_in_training(score: ModuleType) -> None:
    recipe, _ = read_recipe(FOLDER / "recipe.toml")
    assert isinstance(recipe, SensorRecipe)
    data = recipe.data
    found = read_sensor(
        "sequences", FOLDER / "point_history.csv", sample_rate=30, channels=data.channels, labels=data.labels
    )
    heard, chosen_on = split(found, data.validation_groups, data.test_groups)
    known = set().union(*map(steps, heard), *map(steps, chosen_on))
    scored = score.held_out(recipe, FOLDER / "point_history.csv")
    assert len(known) > 3000
    assert not any(steps(gesture) & known for gesture in scored)
    border = {"block 036", "block 045", "block 076"}
    assert any(steps(one) & known for one in found.recordings if one.group in border)  # the guard is needed
    assert Model.open(MODEL).manifest.training["data"]["groups held out"] == {
        "validation": len(data.validation_groups),
        "test": len(data.test_groups),
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
