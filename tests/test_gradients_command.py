"""`streamcell gradients` as users call it."""

from pathlib import Path

import matplotlib.image
import pytest

from streamcell.runtime.cli.main import main
from streamcell.train import checkpoint
from streamcell.train.recipe import parse_recipe
from streamcell.train.session import Session

RECIPE = """
task = "phonemes"
name = "tiny"
[data]
corpora = [{path = "speech/train", validation_speakers = ["1334"]}]
[model]
cell = "lstm"
hidden = 8
channels = 4
layers = 2
[train]
lanes = 2
chunk_steps = 16
updates = 2
validate_every = 2
"""


@pytest.fixture
def trained(corpus: Path, tmp_path: Path) -> Path:
    Session(parse_recipe(RECIPE), RECIPE, corpus, tmp_path / "tiny").run()
    return tmp_path / "tiny"


def test_a_run_is_drawn_layer_by_layer(trained: Path, corpus: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {path: path.read_bytes() for path in trained.glob("*.pt")}
    assert main(["gradients", str(trained), "--lags", "50"]) == 0
    head, lower, upper, picture = capsys.readouterr().out.splitlines()
    assert head.split() == ["half", "left", "after", "left", "at", "10", "left", "at", "50"]
    assert lower.startswith("h0, c0 (LSTM) ")
    assert upper.startswith("h1, c1 (LSTM) ")
    assert picture == f"picture: {trained / 'gradients.png'}"
    assert matplotlib.image.imread(trained / "gradients.png").std() > 0.05
    assert {path: path.read_bytes() for path in trained.glob("*.pt")} == before

    moved = corpus.rename(corpus.with_name("moved"))
    assert main(["gradients", str(trained), "--lags", "50"]) == 2
    assert f"expected the data folder at {corpus}, found none" in capsys.readouterr().err
    assert main(["gradients", str(trained), "--lags", "50", "--data", str(moved)]) == 0
    assert capsys.readouterr().out.splitlines()[1] == lower


def test_a_run_that_does_not_say_where_its_data_are(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stored = checkpoint.load(trained / "checkpoint.pt")
    del stored["folder"]
    checkpoint.save(trained / "checkpoint.pt", stored)
    assert main(["gradients", str(trained)]) == 2
    assert "does not say where its data are; give the folder with --data" in capsys.readouterr().err


def test_the_textbooks_comparison(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "fresh.png"
    assert main(["gradients", "--lags", "20", "--out", str(out)]) == 0
    said = capsys.readouterr().out
    for kind in ("Elman as drawn", "Elman orthogonal, times 2", "LSTM gates open", "GRU as drawn"):
        assert f"\n{kind}  " in said
    assert "over 20 steps" in said
    assert matplotlib.image.imread(out).std() > 0.05


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--lags", "1"], "--lags must be from 3 to 10000, got 1"),
        (["--data", "x"], "--data belongs to a run; name its folder, too"),
        (["--out", "picture.jpg"], "--out must name a .png in a folder that is there, got picture.jpg"),
        (["--out", "nowhere/picture.png"], "got nowhere/picture.png"),
        (["nowhere", "--out", "p.png"], "expected a run folder at nowhere, found none"),
    ],
)
def test_what_is_wrong_is_said(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["gradients", *arguments]) == 2
    assert message in capsys.readouterr().err
