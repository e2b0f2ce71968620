"""Forecasting, whole: a series in, quantiles in its own unit out, proven, stopped and resumed exactly."""

from pathlib import Path

import numpy as np
import pytest
import torch

from streamcell.export import parity
from streamcell.export.exporter import export_best
from streamcell.runtime.cli.main import main
from streamcell.runtime.errors import SourceError
from streamcell.runtime.model import Model
from streamcell.train import checkpoint
from streamcell.train.data.series import futures
from streamcell.train.forecast import ForecastTask
from streamcell.train.forecast_net import ForecastNet
from streamcell.train.losses import pinball
from streamcell.train.recipe import ForecastRecipe, RecipeError, parse_recipe
from streamcell.train.session import Session

RECIPE = """
task = "forecast"
name = "waves"
[data]
path = "waves.csv"
channels = ["noise", "level"]
units = ["V", "m"]
target = "level"
training_rows = 600
validation_rows = 200
[model]
horizons = 3
quantiles = [0.1, 0.5, 0.9]
window = 8
hidden = 16
dropout = 0.0
[train]
lanes = 8
chunk_steps = 40
updates = 60
warmup = 5
learning_rate = 0.01
average = 0.9
validate_every = 20
"""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Write a wave of 20 steps on a level that rises, with noise beside it."""
    random, time = np.random.default_rng(0), np.arange(820)
    level = 300 + 0.05 * time + 10 * np.sin(2 * np.pi * time / 20) + 0.5 * random.standard_normal(820)
    table = np.column_stack([random.standard_normal(820), level])
    folder = tmp_path / "data"
    folder.mkdir()
    np.savetxt(folder / "waves.csv", table, "%.5f", delimiter=",", header="noise,level", comments="")
    return folder


def recipe_of(text: str) -> ForecastRecipe:
    recipe = parse_recipe(text)
    assert isinstance(recipe, ForecastRecipe)
    return recipe


def trained(data: Path, out: Path, *, stop: int = -1, resume: bool = False) -> float:
    session = Session(parse_recipe(RECIPE), RECIPE, data, out, resume=resume)
    return session.run(lambda: session.trainer.update == stop)


def test_it_learns_and_stopped_and_resumed_is_never_stopped(data: Path, tmp_path: Path) -> None:
    rate = trained(data, tmp_path / "whole")
    assert rate < 0.35, "of the loss of quantiles that never change"
    with pytest.raises(KeyboardInterrupt):
        trained(data, tmp_path / "cut", stop=27)
    assert trained(data, tmp_path / "cut", resume=True) == rate
    one, other = (checkpoint.load(tmp_path / run / "checkpoint.pt")["trainer"]["average"] for run in ("whole", "cut"))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_the_file_forecasts_in_the_targets_unit(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(parity, "_STEPS", (1, 3, 50))
    trained(data, tmp_path / "run")
    out = tmp_path / "waves.onnx"
    assert main(["export", str(tmp_path / "run"), "--out", str(out), "--readings", str(data / "waves.csv")]) == 0
    assert "waves.csv" in capsys.readouterr().out
    model = Model.open(out)
    manifest = model.manifest
    assert (manifest.task, manifest.input.channel_names, manifest.input.sample_rate) == (
        "forecast",
        ("noise", "level"),
        1,
    )
    assert manifest.decoder == {"target": "level", "horizons": [1, 2, 3], "quantiles": [0.1, 0.5, 0.9]}
    assert manifest.outputs[0].labels[:4] == ("level +1 q0.1", "level +1 q0.5", "level +1 q0.9", "level +2 q0.1")
    assert [state.input for state in manifest.states] == ["past", "h0"]
    values = np.loadtxt(data / "waves.csv", delimiter=",", skiprows=1, dtype=np.float32)
    said, _ = model.step(values[None], model.initial_state())
    quantiles = said["forecast"][0].reshape(-1, 3, 3)
    known = futures(values[:, 1], 3)
    rows = slice(600, 816)
    assert np.abs(quantiles[rows, :, 1] - known[rows]).mean() < 1.5, "10 high, 300 up"
    assert 0.6 < ((quantiles[rows, :, 0] < known[rows]) & (known[rows] < quantiles[rows, :, 2])).mean() <= 1


@pytest.mark.parametrize("window", [0, 2, 9])
@pytest.mark.parametrize("layers", [0, 2])
def test_quantiles_never_cross_and_the_graph_gives_the_same(
    window: int, layers: int, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parity, "_STEPS", (1, 3, 50))
    text = RECIPE.replace("window = 8", f"window = {window}").replace("hidden = 16", f"hidden = 16\nlayers = {layers}")
    recipe = recipe_of(text)
    task = ForecastTask(recipe, data)
    torch.manual_seed(1)
    network = recipe.network(task.columns).eval()
    task.fit(network)
    model = Model.open(export_best(checkpoint.Best(network, recipe, task.columns, {}), {}).data)
    x = network.example(2, 30, np.random.default_rng(1))
    with torch.no_grad():
        wanted, _ = network(torch.from_numpy(x), network.initial_state(2))
    said, _ = model.step(x, model.initial_state(2))
    np.testing.assert_allclose(said["forecast"], wanted.numpy(), rtol=0, atol=1e-4)
    assert (np.diff(said["forecast"].reshape(2, 30, 3, 3), axis=-1) > 0).all()


def test_with_a_window_a_level_that_training_never_saw_is_nothing_new(data: Path) -> None:
    recipe = recipe_of(RECIPE)
    task = ForecastTask(recipe, data)
    network = recipe.network(task.columns).eval()
    task.fit(network)
    x = torch.from_numpy(task.values[None, :60])
    with torch.no_grad():
        said, _ = network(x, network.initial_state(1))
        higher, _ = network(x + torch.tensor([0.0, 64.0]), network.initial_state(1))
    apart = (higher - said)[0, 30:]  # the state has forgotten how it began
    torch.testing.assert_close(apart, torch.full_like(apart, 64.0), rtol=0, atol=0.05)


def test_the_pinball_loss_is_least_at_the_quantile() -> None:
    random = torch.Generator().manual_seed(1)
    known = torch.randn(20001, 1, generator=random)
    levels = torch.tensor([0.1, 0.5, 0.9])
    right = torch.quantile(known[:, 0], levels)
    least = pinball(right.expand(20001, 1, 3), known, levels)
    for wrong in (0.3, -0.3):
        for column in range(3):
            moved = right.clone()
            moved[column] += wrong
            assert pinball(moved.expand(20001, 1, 3), known, levels) > least
    known[::2] = float("nan")
    assert pinball(right.expand(20001, 1, 3), known, levels).isfinite().all()


def test_validation_looks_at_its_own_rows_only(data: Path) -> None:
    recipe = recipe_of(RECIPE)
    task = ForecastTask(recipe, data)
    assert len(task.values) == 800, "what comes after is the test's"
    network = recipe.network(task.columns)
    task.fit(network)
    score = task.validate(network)
    with torch.no_grad():
        said, _ = network.eval()(torch.from_numpy(task.values)[None], network.initial_state(1))
    known = futures(task.values[:, 1], 3)[600:]
    apart = known[..., None] - said[0, 600:].reshape(200, 3, 3).numpy()
    levels = np.array([0.1, 0.5, 0.9])
    expected = np.nanmean(np.maximum(levels * apart, (levels - 1) * apart).mean(-1), axis=0)
    np.testing.assert_allclose(score.losses, expected, rtol=1e-4)
    assert list(score.groups()) == ["+001", "+002", "+003"]
    assert isinstance(network, ForecastNet)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("quantiles = [0.1, 0.5, 0.9]", "quantiles = [0.5, 0.1]", "quantiles must rise"),
        ("quantiles = [0.1, 0.5, 0.9]", "quantiles = [0.5, 1.0]", "quantiles must rise"),
        ('target = "level"', 'target = "lvel"', "data.target must be one of data.channels, got 'lvel'"),
        ('units = ["V", "m"]', 'units = ["V"]', "data.units must be one a channel"),
        ("window = 8", "window = 1", "window must be 0"),
        ("window = 8", "windw = 8", "did you mean 'window'"),
    ],
)
def test_a_recipe_that_makes_no_sense_is_refused(old: str, new: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        parse_recipe(RECIPE.replace(old, new))


def test_a_series_that_is_too_short_is_refused_in_numbers(data: Path) -> None:
    with pytest.raises(SourceError, match=r"= 1000 rows and at least 40 of each .*got 820, 600 and 400"):
        ForecastTask(recipe_of(RECIPE.replace("validation_rows = 200", "validation_rows = 400")), data)
