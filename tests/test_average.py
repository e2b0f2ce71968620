"""The mean of runs that began with the same weights."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from streamcell.runtime.cli.main import main
from streamcell.train.average import average
from streamcell.train.checkpoint import CheckpointError, load_best
from streamcell.train.columns import Columns
from streamcell.train.recipe import parse_recipe
from streamcell.train.session import Session
from tiny import STEPS, write_steps


@pytest.fixture
def runs(tmp_path: Path) -> list[Path]:
    """Return two runs that began with the weights of a third, on other random data."""
    data = write_steps(tmp_path / "data")
    Session(parse_recipe(STEPS), STEPS, data, tmp_path / "base").run()
    for seed, name in enumerate(("one", "two"), 2):
        text = STEPS.replace("updates = 3", f"updates = 3\nseed = {seed}\nlearning_rate = 0.05")
        Session(parse_recipe(text), text, data, tmp_path / name, start=tmp_path / "base").run()
    return [tmp_path / "one", tmp_path / "two"]


def test_weights_are_the_mean(runs: list[Path]) -> None:
    both = [(folder, load_best(folder)) for folder in runs]
    found = average(both, [0.25, 0.75])
    one, two = (best.network.state_dict() for _, best in both)
    assert any(not torch.equal(one[name], two[name]) for name in one)
    assert found.keys() == one.keys()
    for name, value in found.items():
        torch.testing.assert_close(value, 0.25 * one[name] + 0.75 * two[name])


def test_the_best_of_five_shares_is_kept(runs: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "mean"
    assert main(["average", *map(str, runs), "--data", str(tmp_path / "data"), "--out", str(out)]) == 0
    said = capsys.readouterr().out.splitlines()
    rates = [float(line.split("%")[0].split()[-1]) for line in said if " loss " in line]
    assert len(rates) == 5
    kept = json.loads((out / "validation.json").read_text())
    assert 100 * kept["validation_error_rate"] == pytest.approx(min(rates), abs=0.006)
    best = said[rates.index(min(rates))]
    assert best.endswith(kept["average"])
    shares = [float(part.split()[0]) for part in kept["average"].split(" + ")]
    expected = average([(folder, load_best(folder)) for folder in runs], shares)
    found = load_best(out)
    assert all(torch.equal(expected[name], value) for name, value in found.network.state_dict().items())
    assert (out / "recipe.toml").read_text() == found.text == load_best(runs[1]).text
    assert (out / "confusions.png").is_file()


def test_without_data_equal_shares_and_no_score(runs: list[Path], tmp_path: Path) -> None:
    assert main(["average", *map(str, [*runs, tmp_path / "base"]), "--out", str(tmp_path / "mean")]) == 0
    figures = load_best(tmp_path / "mean").figures
    assert figures["average"] == "0.333333 one + 0.333333 two + 0.333333 base"
    assert "validation_error_rate" not in figures


def test_what_cannot_be_averaged_is_one_line_and_2(
    runs: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(*arguments: str | Path) -> str:
        assert main(["average", *map(str, arguments)]) == 2
        error = capsys.readouterr().err
        assert error.startswith("streamcell: error: ")
        assert error.count("\n") == 1
        return error

    one, two = runs
    assert "two runs or more" in refused(one, "--out", tmp_path / "mean")
    assert "2 numbers from 0 with the sum 1, got 0.5 0.6" in refused(
        one, two, "--out", tmp_path / "m", "--shares", "0.5", "0.6"
    )
    assert "2 numbers" in refused(one, two, "--out", tmp_path / "m", "--shares", "1")
    assert "2 numbers" in refused(one, two, "--out", tmp_path / "m", "--shares", "nan", "nan")
    assert "is there already" in refused(one, two, "--out", one)
    assert "is no folder that can be written to" in refused(one, two, "--out", one / "best.pt" / "x")
    assert "expected a run folder at" in refused(one, tmp_path / "none", "--out", tmp_path / "mean")
    text = STEPS.replace("hidden = 6", "hidden = 8")
    Session(parse_recipe(text), text, tmp_path / "data", tmp_path / "wide").run()
    capsys.readouterr()
    assert "by model.hidden of their recipes" in refused(one, tmp_path / "wide", "--out", tmp_path / "mean")
    assert not (tmp_path / "mean").exists()


@pytest.mark.parametrize(
    ("before", "after", "key"),
    [
        ("hidden = 6", 'hidden = 6\ncell = "elman"', "model.cell"),
        ("hidden = 6", "hidden = 6\nresidual = false", "model.residual"),
        ("sample_rate = 50", "sample_rate = 25", "sample_rate"),
    ],
)
def test_networks_of_the_same_shape_are_told_apart(runs: list[Path], before: str, after: str, key: str) -> None:
    text = STEPS.replace("hidden = 6", 'hidden = 6\ncell = "elman-relu"')
    recipes = [parse_recipe(text), parse_recipe(text.replace('\ncell = "elman-relu"', "").replace(before, after))]
    best = load_best(runs[0])
    if key != "model.cell":
        recipes[0] = best.recipe
    networks = [replace(best, recipe=recipe, network=recipe.network(best.columns)) for recipe in recipes]
    with pytest.raises(CheckpointError, match=rf"b and a have other networks, by .*{key}"):
        average([(Path("a"), networks[0]), (Path("b"), networks[1])], [0.5, 0.5])


def test_data_of_other_labels_score_nothing(
    runs: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in (tmp_path / "data").rglob("*.csv"):
        path.write_text(path.read_text().replace("walk", "a_run"))
    assert main(["average", *map(str, runs), "--data", str(tmp_path / "data"), "--out", str(tmp_path / "mean")]) == 2
    assert "have other labels, channels or symbols than the runs" in capsys.readouterr().err
    assert not (tmp_path / "mean").exists()
    other = replace(load_best(runs[1]), columns=Columns(("sit", "a_run"), ("ax",)))
    with pytest.raises(CheckpointError, match="have other labels, channels or symbols: nothing to average"):
        average([(runs[0], load_best(runs[0])), (runs[1], other)], [0.5, 0.5])


def test_runs_of_one_name_are_told_apart(runs: list[Path], tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    twin = (tmp_path / "more" / "one").resolve()
    runs[1].rename(twin)
    assert main(["average", str(runs[0]), str(twin), "--out", str(tmp_path / "mean")]) == 0
    assert load_best(tmp_path / "mean").figures["average"] == f"0.5 {runs[0]} + 0.5 {twin}"
