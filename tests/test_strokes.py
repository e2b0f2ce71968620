"""Handwriting: Omniglot's files become steps of the pen, of which the drawing can be made again."""

import zipfile
from pathlib import Path

import numpy as np
import pytest

from streamcell.runtime.errors import InputError, SourceError
from streamcell.train.data.strokes import (
    CANVAS,
    CHANNELS,
    StrokeChange,
    change_strokes,
    parse_strokes,
    read_strokes,
    to_steps,
)
from streamcell.train.fronts import Dense
from streamcell.train.recipe import LabelsRecipe, parse_recipe

DRAWING = "START\n10.0,-20.0,0\n40.0,-20.0,100\n40.0,-60.0,200\nBREAK\n15.0,-50.0,400\n35.0,-50.0,500\nBREAK\n"
RECIPE = """
task = "labels"
name = "pen"
[data]
format = "strokes"
path = "a.zip"
validation_groups = ["02"]
turn = 0.1
"""


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        for alphabet, character in (("Greek", "01"), ("Greek", "02"), ("Latin", "01")):
            for drawer in ("01", "02", "03"):
                file.writestr(f"top/{alphabet}/character{character}/0999_{drawer}.txt", DRAWING)
        file.writestr("__MACOSX/top/Greek/character01/._0999_01.txt", b"\x00\xff")
    return tmp_path / "a.zip"


def test_steps_are_of_equal_length_and_lead_along_the_strokes() -> None:
    steps = to_steps(parse_strokes(DRAWING, "a"), spacing=5.0)
    assert steps.shape == (6 + 8 + 1 + 4, len(CHANNELS))
    np.testing.assert_allclose(steps[:, :2], np.cumsum(steps[:, 2:4], axis=0), atol=1e-6)
    lengths = np.hypot(steps[:, 2], steps[:, 3]) * CANVAS
    down = steps[:, 4] == 1
    np.testing.assert_allclose(lengths[down], 5.0, atol=1e-4)
    assert np.flatnonzero(~down).tolist() == [14]
    np.testing.assert_allclose(steps[13, :2] * CANVAS, [30, -40], atol=1e-4)
    np.testing.assert_allclose(steps[14, :2] * CANVAS, [5, -30], atol=1e-4)
    np.testing.assert_allclose(steps[-1, :2] * CANVAS, [25, -30], atol=1e-4)


def test_place_on_the_sheet_and_speed_do_not_matter() -> None:
    strokes = parse_strokes(DRAWING, "a")
    steps = to_steps(strokes)
    np.testing.assert_allclose(to_steps([stroke + np.array([3.0, -7.0]) for stroke in strokes]), steps, atol=1e-6)
    finer = [np.concatenate([stroke[:1], (stroke[:-1] + stroke[1:])[:1] / 2, stroke[1:]]) for stroke in strokes]
    np.testing.assert_allclose(to_steps(finer), steps, atol=1e-6)


def test_a_dot_is_a_step_too() -> None:
    assert to_steps([np.array([[1.0, 2.0]])]).tolist() == [[0, 0, 0, 0, 1]]
    assert to_steps([np.array([[1.0, 2.0], [1.0, 2.0]])]).shape == (1, 5)


def test_an_archive_is_read_and_held_out_by_drawer(archive: Path) -> None:
    found = read_strokes(archive, validation_groups=["02"], test_groups=["03"])
    assert found.columns.labels == ("Greek 01", "Greek 02", "Latin 01")
    assert found.columns.channels == CHANNELS
    assert [(one.label, one.group) for one in found.training] == [(0, "01"), (1, "01"), (2, "01")]
    assert [one.group for one in found.test] == ["03"] * 3
    with pytest.raises(InputError, match=r"no groups \['4'\]"):
        read_strokes(archive, validation_groups=["4"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("START\n1,2,3\n1;2;3\n", "drawing, line 3: expected x,y,milliseconds"),
        ("START\nnan,2,3\n", "line 2: expected finite numbers"),
        ("START\nBREAK\n", "drawing: expected lines x,y,milliseconds, found none"),
    ],
)
def test_a_drawing_that_is_none_is_named(text: str, message: str) -> None:
    with pytest.raises(SourceError, match=message):
        parse_strokes(text, "drawing")


def test_an_archive_that_is_none_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"expected an archive of strokes at .*none\.zip"):
        read_strokes(tmp_path / "none.zip")
    (tmp_path / "b.zip").write_bytes(b"PK no archive")
    with pytest.raises(SourceError, match="cannot read"):
        read_strokes(tmp_path / "b.zip")
    with zipfile.ZipFile(tmp_path / "c.zip", "w") as file:
        file.writestr("readme.txt", "nothing")
    with pytest.raises(SourceError, match="found none"):
        read_strokes(tmp_path / "c.zip")


def test_a_changed_drawing_hangs_together() -> None:
    steps = to_steps(parse_strokes(DRAWING, "a"))
    still = change_strokes(steps, np.random.default_rng(1), StrokeChange(0, 0, 0, 0))
    np.testing.assert_allclose(still, steps, atol=1e-6)
    changed = change_strokes(steps, np.random.default_rng(1), StrokeChange(0.2, 0.2, 0.2, 0.01))
    np.testing.assert_allclose(changed[:, :2], np.cumsum(changed[:, 2:4], axis=0), atol=1e-5)
    np.testing.assert_array_equal(changed[:, 4], steps[:, 4])
    assert 0.01 < np.abs(changed[:, :2] - steps[:, :2]).max() < 0.5


def test_a_turn_is_a_turn() -> None:
    steps = to_steps(parse_strokes(DRAWING, "a"))
    turned = change_strokes(steps, np.random.default_rng(3), StrokeChange(0.5, 0, 0, 0))
    np.testing.assert_allclose(np.hypot(*turned[:, :2].T), np.hypot(*steps[:, :2].T), atol=1e-5)
    assert np.abs(turned - steps).max() > 0.02


def test_the_recipe_makes_a_network_of_the_pens_channels(archive: Path) -> None:
    recipe = parse_recipe(RECIPE)
    assert isinstance(recipe, LabelsRecipe)
    data = recipe.data.read(archive.parent)
    network = recipe.network(data.columns)
    assert isinstance(network.front, Dense)
    assert network.front.inputs.in_features == len(CHANNELS)
    changed = recipe.data.change(data.training[0].x, np.random.default_rng(0))
    assert changed.shape == data.training[0].x.shape
    assert not np.array_equal(changed, data.training[0].x)
