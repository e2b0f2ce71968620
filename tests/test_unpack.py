"""A model file becomes the run that it was exported from."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper

from helpers import SAMPLES
from streamcell.export import parity
from streamcell.export import unpack as unpack_module
from streamcell.export.exporter import describe
from streamcell.export.graph import build_model
from streamcell.export.unpack import unpack
from streamcell.runtime.cli.main import main
from streamcell.runtime.errors import ModelError
from streamcell.runtime.model import Model
from streamcell.train.cells import CELLS
from streamcell.train.checkpoint import Best, load_best, save_best
from streamcell.train.columns import Columns
from streamcell.train.recipe import LABELS, parse_recipe
from streamcell.train.transfer import take_weights
from tiny import PHONEMES

RECIPE = f'{PHONEMES}cell = "gru"\nlayers = 2\ngain_seconds = 2.0\n'


def trained(text: str = RECIPE) -> Best:
    """Return a network of random weights, as if it had been trained."""
    torch.manual_seed(3)
    recipe, columns = parse_recipe(text), Columns(LABELS)
    network = recipe.network(columns).eval()
    with torch.no_grad():
        for weight in network.state_dict().values():
            weight.copy_(torch.rand(weight.shape) + 0.5)
    return Best(network, recipe, columns, {"updates": 7, "validation_error_rate": 0.5}, text)


def packed(best: Best) -> bytes:
    return bytes(build_model(best.network, describe(best)).SerializeToString())


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.onnx"
    path.write_bytes(packed(trained()))
    return path


@pytest.mark.parametrize("cell", [cell for cell in CELLS if cell != "lstm-projected"])
def test_every_weight_comes_back(cell: str) -> None:
    best = trained(RECIPE.replace('"gru"', f'["{cell}", "gru"]'))
    found = unpack(packed(best), describe(best), best.text)
    expected = best.network.state_dict()
    assert {name: value.tolist() for name, value in found.network.state_dict().items()} == {
        name: value.tolist() for name, value in expected.items()
    }
    assert (found.columns, found.figures, found.recipe) == (best.columns, best.figures, best.recipe)


def test_what_the_graph_does_not_tell_is_refused() -> None:
    best = trained(RECIPE.replace('cell = "gru"', 'cell = "lstm-projected"\nmemory = 24'))
    with pytest.raises(ModelError, match=r"stack\.layers\.0\.weight_hh.* cannot be told from the graph"):
        unpack(packed(best), describe(best), best.text)


@pytest.mark.parametrize(
    ("before", "after"),
    [('"gru"', '"gru"\nresidual = false'), ('"gru"', '"gru"\nlook_ahead = 5'), ('"elman"', '"elman-relu"')],
)
def test_networks_with_the_same_weights_are_told_apart(before: str, after: str) -> None:
    best = trained(RECIPE.replace('"gru"', before))
    with pytest.raises(ModelError, match="does otherwise than the recipe's"):
        unpack(packed(best), describe(best), best.text.replace(before, after))


def test_more_weights_than_float32_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpack_module, "_BASE", 1 << 11)  # two digits: more than four million places
    best = trained(RECIPE.replace("layers = 2", "layers = 1").replace("hidden = 16", "hidden = 850"))
    found = unpack(packed(best), describe(best), best.text).network.state_dict()
    assert sum(value.numel() for value in found.values()) > 1 << 22
    assert all(torch.equal(found[name], value) for name, value in best.network.state_dict().items())


@pytest.mark.parametrize("figures", [None, [1], "many", {"updates": "many"}, {"updates": None}])
def test_figures_of_a_stranger_are_no_trouble(figures: Any) -> None:
    best = trained()
    manifest = replace(describe(best), training={"figures": figures})
    assert unpack(packed(best), manifest, best.text).figures["updates"] == 0


def test_a_recipe_that_asks_for_more_than_the_file_holds_takes_no_memory() -> None:
    best = trained()
    greedy = best.text.replace("hidden = 16", "hidden = 4096")
    with pytest.raises(ModelError, match=r"it has \d+ weights, more than a file of \d+ bytes holds"):
        unpack(packed(best), describe(best), greedy)


@pytest.mark.parametrize(
    ("sample", "recipe"),
    [
        ("activity/simulated", "simulated"),
        ("digits/digits", "recipe"),
        ("forecast/returns", "returns"),
        ("frames/frames", "recipe"),
        ("gestures/gestures", "recipe"),
        ("handwriting/handwriting", "recipe"),
        ("sentiment/sentiment", "recipe"),
        ("shakespeare/shakespeare", "recipe"),
        ("splice/splice", "recipe"),
        ("still/still", "recipe"),
    ],
)
def test_real_models_of_each_kind(sample: str, recipe: str) -> None:
    path = SAMPLES.parent / f"{sample}.onnx"
    best = unpack(
        path.read_bytes(), Model.open(path).manifest, path.with_name(f"{recipe}.toml").read_text(encoding="utf-8")
    )
    again = onnx.load_from_string(packed(best)).graph
    stored = onnx.load(path).graph
    assert [node.op_type for node in again.node] == [node.op_type for node in stored.node]
    for one, other in zip(again.initializer, stored.initializer, strict=True):
        assert one.name == other.name
        assert np.array_equal(numpy_helper.to_array(one), numpy_helper.to_array(other)), one.name


def test_one_goes_on_from_it(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["unpack", str(file), "--out", str(tmp_path / "run")]) == 0
    assert "weights of tiny; go on with `streamcell train RECIPE --from" in capsys.readouterr().out
    assert (tmp_path / "run" / "recipe.toml").read_text(encoding="utf-8") == RECIPE
    recipe = parse_recipe(RECIPE)
    network = recipe.network(Columns(LABELS))
    transfer = take_weights(network, Columns(LABELS), tmp_path / "run")
    assert str(transfer) == "begins with the weights of tiny, update 7"
    assert all(map(torch.equal, network.state_dict().values(), trained().network.state_dict().values()))


def test_it_can_be_exported_again(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parity, "_STEPS", (1, 3))
    assert main(["unpack", str(file), "--out", str(tmp_path / "run")]) == 0
    assert main(["export", str(tmp_path / "run"), "--out", str(tmp_path / "again.onnx")]) == 0
    assert Model.open(tmp_path / "again.onnx").fingerprint == Model.open(file).fingerprint


def refused(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> str:
    """Return the one line of a command that must fail and leave nothing behind."""
    assert main(["unpack", *map(str, arguments)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("streamcell: error: ")
    assert error.count("\n") == 1
    return error


def test_bad_input_is_one_line_and_2(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, other = tmp_path / "run", tmp_path / "other.toml"
    other.write_text(RECIPE.replace("hidden = 16", "hidden = 24"), encoding="utf-8")
    assert "`streamcell quantize` made this file" in refused(capsys, "phonemes-en-small", "--out", out)
    other_task = refused(capsys, "phonemes-en", "--out", out, "--recipe", SAMPLES.parent / "gestures" / "recipe.toml")
    assert "does not hold the network of the recipe" in other_task
    assert "conv1.weight is 40 x 16 in the file and 40 x 24 by the recipe" in refused(
        capsys, file, "--out", out, "--recipe", other
    )
    older = SAMPLES.parent / "gestures" / "gestures.onnx"
    assert "does not hold its recipe, as it is older" in refused(capsys, older, "--out", out)
    pair = SAMPLES.parent / "translate"
    assert "are two files" in refused(
        capsys, pair / "japanese-english.onnx", "--out", out, "--recipe", pair / "recipe.toml"
    )
    assert "no such" in refused(capsys, tmp_path / "none.onnx", "--out", out)
    assert not out.exists()
    assert "is no folder that can be written to" in refused(capsys, file, "--out", file / "run")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    assert "is there already" in refused(capsys, file, "--out", tmp_path / "dangling")
    out.mkdir()
    assert "is there already" in refused(capsys, file, "--out", out)


def test_a_run_says_its_recipe(tmp_path: Path) -> None:
    best = trained()
    save_best(tmp_path / "best.pt", best.network.state_dict(), best.text, best.columns, best.figures)
    assert describe(load_best(tmp_path)).training["recipe"] == RECIPE


def test_the_model_that_comes_along_holds_its_recipe(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["unpack", "phonemes-en", "--out", str(tmp_path / "run")]) == 0
    assert "written into the file later: calibration" in capsys.readouterr().out
    best = load_best(tmp_path / "run")
    assert best.text == (SAMPLES / "eleventh.toml").read_text(encoding="utf-8")
    assert best.figures["average"] == "0.5 final + 0.5 eleventh"
