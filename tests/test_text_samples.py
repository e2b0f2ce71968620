"""The models of texts that ship: files, scripts and pages say the same."""

import sys
from pathlib import Path

import numpy as np
import pytest

from helpers import SAMPLES, load_script
from streamcell.runtime.cli.main import main
from streamcell.runtime.label import label_tokens
from streamcell.runtime.model import Model
from streamcell.runtime.symbols import Symbols
from streamcell.train.recipe import LabelsRecipe, TextRecipe, read_recipe

FOLDERS = SAMPLES.parent
LABELS = ("names", "sentiment", "splice")


def model_of(name: str) -> Model:
    return Model.open(FOLDERS / name / f"{name}.onnx")


def page_of(name: str) -> str:
    return (FOLDERS / name / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["shakespeare", *LABELS])
def test_a_sample_is_small_and_its_file_is_of_its_recipe(name: str) -> None:
    folder = FOLDERS / name
    assert sum(file.stat().st_size for file in folder.iterdir() if file.is_file()) < 4_100_000
    recipe, _ = read_recipe(folder / "recipe.toml")
    manifest = model_of(name).manifest
    assert (manifest.name, manifest.description) == (recipe.name, recipe.description)
    assert manifest.training["seed"] == recipe.train.seed
    assert manifest.parity is not None
    if isinstance(recipe, TextRecipe):
        assert manifest.task == "next"
        assert manifest.decoder["temperature"] == recipe.decoder.temperature
    else:
        assert isinstance(recipe, LabelsRecipe)
        assert manifest.task == "sequence"
        held = {"validation": list(recipe.data.validation_groups), "test": list(recipe.data.test_groups)}
        assert manifest.training["data"] == {"path": recipe.data.path, "groups held out": held}
    assert (folder / recipe.data.path).name not in {file.name for file in folder.iterdir()}


def test_shakespeare_expects_what_it_never_heard() -> None:
    score, model = load_script(FOLDERS / "shakespeare" / "score.py"), model_of("shakespeare")
    text = (FOLDERS / "shakespeare" / "example.txt").read_text(encoding="utf-8")
    places = Symbols(model.manifest.input.symbols, "characters").encode(text)
    whole = score.losses(model, places[None])
    assert whole.shape == (1, len(text) - 1)
    assert 1.2 < whole.mean() < 1.6
    rows = np.stack([places[:500], places[500:1000]])
    assert np.abs(score.losses(model, rows)[0] - whole[0, :499]).max() < 1e-4
    state, logits = model.initial_state(1), []
    for place in places[:50]:
        outputs, state = model.step(place[None, None], state)
        logits.append(outputs["logits"][0, 0].astype(np.float64))
    each = [np.logaddexp.reduce(row) - row[place] for row, place in zip(logits, places[1:51], strict=False)]
    assert np.abs(each - whole[0, :50]).max() < 1e-4


def test_shakespeares_page_holds_the_figures_of_the_file() -> None:
    figures = model_of("shakespeare").manifest.training["figures"]
    assert isinstance(figures, dict)
    page = page_of("shakespeare")
    assert f"in one stream: {figures['loss_nats']:.4f} nats each" in page
    assert float(str(figures["loss_nats"])) <= 1.5
    assert f"right one for {100 * float(str(figures['likeliest'])):.1f}%" in page


def test_the_pages_commands_print_what_the_pages_show(capsys: pytest.CaptureFixture[str]) -> None:
    for name in LABELS:
        line = next(line for line in page_of(name).splitlines() if line.startswith("$ streamcell label"))
        arguments = [part if "/" not in part else str(FOLDERS.parent / part) for part in line.split()[2:]]
        capsys.readouterr()
        assert main(arguments) == 0
        printed = capsys.readouterr().out
        assert all(printed_line in page_of(name) for printed_line in printed.splitlines())
        assert printed.count("\n") >= 3


def test_shakespeare_writes_as_the_page_says(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["generate", str(FOLDERS / "shakespeare" / "shakespeare.onnx"), "--prompt", "KATHARINA:"]
    assert main([*arguments, "--temperature", "0.6", "--length", "300", "--seed", "4"]) == 0
    printed = capsys.readouterr().out
    assert len(printed.strip()) > 250
    assert printed.strip()[:60] in page_of("shakespeare")


def test_the_made_up_windows_are_told() -> None:
    windows = (FOLDERS / "splice" / "made-up.txt").read_text(encoding="utf-8").split()
    found = [next(iter(label_tokens(model_of("splice"), window))) for window in windows]
    assert found == ["EI", "IE", "N"]


def test_scripts_need_a_model_or_a_folder(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    script = load_script(FOLDERS / "splice" / "score.py")
    monkeypatch.setattr(sys, "argv", ["score.py", "--data", "."])
    with pytest.raises(SystemExit):
        script.score_script(script.__doc__, Path("recipe.toml"), script.report)
    assert "name a model, or a folder with --folds" in capsys.readouterr().err
