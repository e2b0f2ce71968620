"""The activities: what ships runs as its page says, and the scoring is what its words say."""

import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from helpers import SAMPLES, load_script
from streamcell.runtime.cli.main import main
from streamcell.runtime.model import Model
from streamcell.train.data.sensor import Recording
from streamcell.train.recipe import SensorRecipe, read_recipe

FOLDER = SAMPLES.parent / "activity"
MODEL = FOLDER / "simulated.onnx"
BASIC = ["walking", "walking_upstairs", "walking_downstairs", "sitting", "standing", "laying"]


@pytest.fixture(scope="module")
def score() -> ModuleType:
    return load_script(FOLDER / "score.py")


def test_the_official_test_users_are_never_heard() -> None:
    recipe, _ = read_recipe(FOLDER / "recipe.toml")
    assert isinstance(recipe, SensorRecipe)
    assert recipe.data.test_groups == ("2", "9", "10", "13", "20")
    official = {1, 3, 5, 6, 7, 8, 11, 14, 15, 16, 17, 19, 21, 22, 23, 25, 26, 27, 28, 29, 30}
    assert {int(group) for group in recipe.data.validation_groups} < official


def test_the_simulated_model_follows_the_simulated_minute(score: ModuleType) -> None:
    model = Model.open(MODEL)
    names = model.manifest.outputs[0].labels
    assert list(names[:6]) == BASIC
    assert "simulated" in model.manifest.name
    rows = [line.split(",") for line in (FOLDER / "simulated.csv").read_text().splitlines()[1:]]
    values = np.array([[float(cell) for cell in row[1:7]] for row in rows], np.float32)
    labels = np.array([names.index(row[7]) if row[7] in names else -1 for row in rows])
    answer = score.answer(model, Recording("minute", "x", values, labels))
    figures = score.figures([answer], 50, len(names))
    assert figures["window_accuracy"] > 0.9
    assert figures["sample_accuracy_decided"] > 0.85
    assert figures["delay_median_decided_s"] < 1
    assert MODEL.stat().st_size < 200_000
    assert main(["verify", str(MODEL)]) == 0


def made(labels: list[int], likeliest: list[int], score: ModuleType) -> Any:
    recording = Recording("x", "1", np.zeros((len(labels), 6), np.float32), np.array(labels))
    return score.Answer(recording, np.array(likeliest), np.array(likeliest))


def test_windows_lie_within_one_activity_and_ask_at_their_end(score: ModuleType) -> None:
    labels = [0] * 200 + [7] * 56 + [1] * 128 + [-1] * 10
    likeliest = [5] * 127 + [0] + [5] * 63 + [3] + [5] * 191 + [1] + [5] * 10
    answer = made(labels, likeliest, score)
    assert list(score.windows([answer])) == [(0, 0), (0, 3), (1, 1)]


def test_delays_count_from_the_start_to_the_first_half_second_that_is_right(score: ModuleType) -> None:
    labels = [0] * 100 + [8] * 30 + [3] * 100 + [4] * 60
    likeliest = [0] * 24 + [5] + [0] * 75 + [8] * 30 + [3] * 100 + [3] * 60
    answer = made(labels, likeliest, score)
    assert score.delays([answer], 50, decided=False) == [0.5, 0.0, float("inf")]
    assert score.wrong_switches([answer], 50, decided=True) == pytest.approx(60 / 4.0)


def test_the_script_prints_and_writes(
    score: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    raw = tmp_path / "RawData"
    raw.mkdir()
    (tmp_path / "activity_labels.txt").write_text(
        "".join(f"{i} {name.upper()}\n" for i, name in enumerate(Model.open(MODEL).manifest.outputs[0].labels, 1))
    )
    minute = np.loadtxt(FOLDER / "simulated.csv", delimiter=",", skiprows=1, usecols=range(1, 7))
    np.savetxt(raw / "acc_exp01_user07.txt", minute[:, :3])
    np.savetxt(raw / "gyro_exp01_user07.txt", minute[:, 3:])
    (raw / "labels.txt").write_text("1 7 5 1 300\n1 7 4 430 720\n1 7 1 1100 1400\n")
    arguments = ["score.py", str(MODEL), "--data", str(tmp_path), "--users", "7", "--out", str(tmp_path / "out")]
    monkeypatch.setattr(sys, "argv", arguments)
    score.main()
    printed = capsys.readouterr().out
    assert "window_accuracy" in printed
    assert "of 8 windows" in printed
    assert json.loads((tmp_path / "out" / "score.json").read_text())["windows"] == 8
    assert (tmp_path / "out" / "confusions.png").read_bytes()[:4] == b"\x89PNG"
