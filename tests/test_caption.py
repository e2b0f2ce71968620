"""The sample `caption`: what is drawn, and the two files that say it."""

from pathlib import Path

import numpy as np
import pytest

from helpers import load_script
from streamcell.runtime.cli.main import main
from streamcell.runtime.linked import Linked
from streamcell.runtime.model import Model
from streamcell.runtime.verify import verify
from streamcell.train.data.pairs import read_pairs
from streamcell.train.recipe import PairRecipe, read_recipe

CAPTION = Path(__file__).parent.parent / "samples" / "caption"
FILES = CAPTION / "scene.onnx", CAPTION / "caption.onnx"
scenes = load_script(CAPTION / "scenes.py")


def test_captions_say_what_the_pictures_show() -> None:
    random = np.random.default_rng(4)
    for case in range(60):
        things = scenes.scene(random)
        picture, text = scenes.draw(things, random), scenes.caption(things)
        for thing in things:
            middle = picture[round(thing.row - 0.5), round(thing.column - 0.5)].astype(int)
            shown = min(scenes.COLOURS, key=lambda name: np.abs(middle - scenes.COLOURS[name]).sum())
            assert shown == thing.colour, (case, text)
            assert f"a {thing.size} {thing.colour} {thing.shape}" in text, (case, text)
        if " above " in text:
            first, second = (one for one in sorted(things, key=lambda thing: thing.row))
            assert text == f"{first.words} above {second.words}", case


def test_what_is_unseen_is_in_no_other_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["scenes.py", "--out", str(tmp_path), "--share", "0.01"])
    scenes.main()
    with np.load(tmp_path / "scenes.npz") as file:
        parts, captions = file["parts"], file["captions"]
    assert {name: int((parts == name).sum()) for name in scenes.PARTS} == {
        "training": 400,
        "validation": 10,
        "test": 10,
        "unseen": 10,
    }
    for part, text in zip(parts, captions, strict=True):
        held = [pair for pair in scenes.UNSEEN if " ".join(pair) in text]
        assert bool(held) == (part == "unseen"), (part, text)
    recipe, _ = read_recipe(CAPTION / "recipe.toml")
    assert isinstance(recipe, PairRecipe)
    data = read_pairs(recipe.data, tmp_path)
    assert [len(part) for part in (data.training, data.validation, data.test)] == [400, 10, 10]


def test_the_files_belong_together_and_say_what_a_scene_shows(capsys: pytest.CaptureFixture[str]) -> None:
    encoder, decoder = map(Model.open, FILES)
    assert sum(path.stat().st_size for path in FILES) <= 4e6
    assert encoder.manifest.states == ()
    assert verify(encoder).within(1e-4)
    assert verify(decoder).within(1e-4)
    pair, random = Linked(encoder, decoder), np.random.default_rng(7)
    right = 0
    for _ in range(60):
        things = scenes.scene(random)
        right += "".join(pair.text(scenes.draw(things, random))) == scenes.caption(things)
    assert right >= 30
    picture = str(CAPTION / "scene.png")
    assert main(["generate", str(FILES[1]), "--encoder", str(FILES[0]), "--input", picture]) == 0
    assert capsys.readouterr().out.strip() in (CAPTION / "README.md").read_text(encoding="utf-8")
