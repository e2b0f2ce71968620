"""Labels of pictures, whole: films in, a run folder and a proven file out; without layers a picture stands alone."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from streamcell.export import parity
from streamcell.runtime.cli.main import main
from streamcell.runtime.errors import InputError, SourceError
from streamcell.runtime.model import Model
from streamcell.train.data.films import read_films
from streamcell.train.recipe import PicturesRecipe, parse_recipe
from streamcell.train.session import Session

RECIPE = """
task = "pictures"
name = "blink"
[data]
path = "films.npz"
rows = 6
columns = 5
sample_rate = 10
validation_groups = ["b"]
[model]
channels = 2
hidden = 12
dropout = 0.0
[decoder]
min_duration = 0.2
[train]
lanes = 8
chunk_steps = 12
updates = 150
warmup = 5
learning_rate = 0.02
average = 0.9
validate_every = 50
"""


def films() -> dict[str, Any]:
    """Return films that are dark but for a flash above or below every six pictures, labelled by the last flash."""
    random = np.random.default_rng(0)
    labels = np.repeat(random.integers(2, size=(40, 6)), 6, axis=1)
    pictures = random.integers(0, 60, size=(40, 36, 6, 5))
    for film, label in zip(pictures, labels, strict=True):
        for at in range(0, 36, 6):
            film[at, 3 * label[at] : 3 * label[at] + 3] += 190
    groups = np.array(["a"] * 30 + ["b"] * 10)
    names = np.array(["above", "below"])
    return {"pictures": pictures.astype(np.uint8), "labels": labels, "names": names, "groups": groups}


def write(folder: Path, **changes: Any) -> Path:
    np.savez_compressed(folder / "films.npz", **{**films(), **changes})
    return folder / "films.npz"


def exported(recipe: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[float, Model]:
    monkeypatch.setattr(parity, "_STEPS", (1, 3, 20))
    rate = Session(parse_recipe(recipe), recipe, folder, folder / "run").run()
    assert main(["export", str(folder / "run"), "--out", str(folder / "m.onnx")]) == 0
    return rate, Model.open(folder / "m.onnx")


def test_the_state_remembers_what_no_picture_tells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path)
    rate, model = exported(RECIPE, tmp_path, monkeypatch)
    assert "1 of them GRU" in capsys.readouterr().out
    assert rate < 0.15
    manifest = model.manifest
    assert (manifest.task, manifest.input.image, manifest.input.channels) == ("frames", (6, 5, 1), 30)
    assert manifest.decoder == {"name": "smoothed", "min_duration": 0.2}
    assert manifest.outputs[0].labels == ("above", "below")
    data = read_films(tmp_path / "films.npz", image=(6, 5, 1), sample_rate=10)
    x = np.stack([one.values for one in data.recordings[30:]])
    right = model.step(x, model.initial_state(10))[0]["logits"].argmax(-1) == films()["labels"][30:]
    assert right.mean() > 0.85
    alone = model.step(x.reshape(-1, 1, 30), model.initial_state(360))[0]["logits"].argmax(-1)
    assert (alone[:, 0] == films()["labels"][30:].ravel()).mean() < 0.8, "without what came before it does not know"


def test_without_layers_a_picture_has_a_label_and_the_model_no_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    flash = (films()["pictures"].mean(axis=(2, 3)) > 60).astype(np.int64)
    write(tmp_path, labels=flash, names=np.array(["dark", "flash"]))
    text = RECIPE.replace("hidden = 12", "hidden = 12\nlayers = 0").replace("chunk_steps = 12", "chunk_steps = 1")
    rate, model = exported(text, tmp_path, monkeypatch)
    assert "operators" in capsys.readouterr().out
    assert rate < 0.1
    assert (model.manifest.task, model.manifest.states, model.manifest.decoder) == ("sequence", (), {"name": "whole"})


def test_colours_lie_side_by_side_and_nobody_says_is_kept(tmp_path: Path) -> None:
    pictures = np.arange(2 * 3 * 6 * 5 * 3, dtype=np.uint8).reshape(2, 3, 6, 5, 3)
    labels = np.array([[0, -1, 1], [1, 1, 0]])
    path = write(tmp_path, pictures=pictures, labels=labels, groups=np.array(["a", "b"]))
    data = read_films(path, image=(6, 5, 3), sample_rate=1)
    assert [one.group for one in data.recordings] == ["a", "b"]
    np.testing.assert_array_equal(data.recordings[0].labels, [0, -1, 1])
    np.testing.assert_allclose(data.recordings[1].values[2] * 255, pictures[1, 2].ravel(), atol=1e-4)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pictures": films()["pictures"][..., :4]}, r"uint8 \[N, T, 6, 5, 1\].*\[40, 36, 6, 4\]"),
        ({"pictures": films()["pictures"] / 255}, "got float64"),
        ({"labels": films()["labels"][:, 1:]}, r"'labels' \[40, 36\].*\[40, 35\]"),
        ({"labels": films()["labels"] + 1}, "from -1 to 1, got 1 to 2"),
        ({"groups": np.array(["a"])}, r"\[1\]"),
        ({"names": np.array([{"a": 1}])}, "cannot read"),
    ],
)
def test_films_that_do_not_fit_are_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    path = write(tmp_path, **changes)
    with pytest.raises(SourceError, match=message):
        read_films(path, image=(6, 5, 1), sample_rate=10)


def test_files_that_are_no_films_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"expected films at .*none\.npz.*--data"):
        read_films(tmp_path / "none.npz", image=(6, 5, 1), sample_rate=10)
    (tmp_path / "a.npz").write_bytes(b"PK\x03\x04 broken")
    np.savez(tmp_path / "b.npz", pictures=np.zeros(1))
    np.save(tmp_path / "c.npy", np.zeros(1))
    for name, message in {"a.npz": "cannot read", "b.npz": "labels, names, groups missing", "c.npy": "cannot"}.items():
        with pytest.raises(SourceError, match=message):
            read_films(tmp_path / name, image=(6, 5, 1), sample_rate=10)


def test_a_group_that_is_not_there_is_named(tmp_path: Path) -> None:
    write(tmp_path)
    recipe = RECIPE.replace('["b"]', '["c"]')
    assert isinstance(parse_recipe(recipe), PicturesRecipe)
    with pytest.raises(InputError, match=r"no groups \['c'\]"):
        Session(parse_recipe(recipe), recipe, tmp_path, tmp_path / "run")
