"""Training on running text, whole: a file in, a run folder and a proven file out, stopped and resumed exactly."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from streamcell.export import parity
from streamcell.runtime.cli.main import main
from streamcell.runtime.errors import SourceError
from streamcell.runtime.generate import generate
from streamcell.runtime.model import Model
from streamcell.runtime.sampling import Sampling
from streamcell.train import checkpoint
from streamcell.train.data.text import TextLanes, read_text, side_by_side, vocabulary
from streamcell.train.recipe import RecipeError, TextRecipe, parse_recipe
from streamcell.train.session import Session
from streamcell.train.text import WARM, TextTask

RECIPE = """
task = "text"
name = "song"
[data]
path = "song.txt"
validation_share = 0.2
[model]
hidden = 16
layers = 1
dropout = 0.1
[decoder]
temperature = 0.0
length = 30
[train]
lanes = 4
chunk_steps = 20
updates = 120
warmup = 5
learning_rate = 0.02
average = 0.9
reset_share = 0.05
validate_every = 40
"""
VERSE = "one man went to mow a green field of hay.\n"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    (tmp_path / "song.txt").write_text(VERSE * 60)
    return tmp_path


def trained(data: Path, out: Path, *, stop: int = -1, resume: bool = False) -> float:
    session = Session(parse_recipe(RECIPE), RECIPE, data, out, resume=resume)
    return session.run(lambda: session.trainer.update == stop)


def test_it_learns_and_stopped_and_resumed_is_never_stopped(data: Path, tmp_path: Path) -> None:
    rate = trained(data, tmp_path / "whole")
    assert rate < 0.3
    with pytest.raises(KeyboardInterrupt):
        trained(data, tmp_path / "cut", stop=51)
    assert trained(data, tmp_path / "cut", resume=True) == rate
    one, other = (checkpoint.load(tmp_path / run / "checkpoint.pt")["trainer"]["average"] for run in ("whole", "cut"))
    assert all(torch.equal(one[name], other[name]) for name in one)
    figures = checkpoint.load_best(tmp_path / "whole").figures
    assert math.isclose(1 - math.exp(-figures["loss_nats"]), rate, abs_tol=1e-3)
    assert figures["symbols"] == len(VERSE) * 12 - 1
    assert (tmp_path / "whole" / "confusions.png").read_bytes()[:4] == b"\x89PNG"


def test_export_says_everything_and_the_model_sings(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(parity, "_STEPS", (1, 3, 20))
    trained(data, tmp_path / "run")
    assert main(["export", str(tmp_path / "run"), "--out", str(tmp_path / "song.onnx")]) == 0
    model = Model.open(tmp_path / "song.onnx")
    manifest = model.manifest
    assert (manifest.task, manifest.input.kind, manifest.input.split) == ("next", "tokens", "characters")
    assert manifest.input.symbols == manifest.outputs[0].labels == tuple(sorted(set(VERSE)))
    assert manifest.decoder == {"temperature": 0.0, "top_k": 0, "top_p": 1.0, "length": 30}
    assert manifest.training["data"] == {"path": "song.txt", "share held out": 0.2}
    assert "".join(generate(model, VERSE * 2 + VERSE[:9], Sampling(temperature=0.0))) == VERSE[9:39]
    capsys.readouterr()
    assert main(["verify", str(tmp_path / "song.onnx")]) == 0


def test_validation_is_one_stream_through_all_that_was_held_out(data: Path) -> None:
    recipe = parse_recipe(RECIPE)
    assert isinstance(recipe, TextRecipe)
    task = TextTask(recipe, data)
    torch.manual_seed(0)
    network = recipe.network(task.columns).eval()
    text = torch.from_numpy(task.text.validation)
    assert len(text) < WARM + len(text) // 2  # so that rows but the last few hear all that was before them
    with torch.no_grad():
        logits, _ = network(text[None, :-1], network.initial_state(1))
    assert task.validate(network).loss == pytest.approx(float(F.cross_entropy(logits[0], text[1:])), rel=1e-6)


def test_a_tied_matrix_is_one_and_starts_small(data: Path) -> None:
    recipe = parse_recipe(RECIPE)
    assert isinstance(recipe, TextRecipe)
    tied = recipe.network(TextTask(recipe, data).columns)
    loose = parse_recipe(RECIPE.replace("[model]", "[model]\ntied = false")).network(TextTask(recipe, data).columns)
    symbols = len(set(VERSE))
    assert sum(p.numel() for p in loose.parameters()) - sum(p.numel() for p in tied.parameters()) == 16 * symbols
    assert float(tied.head.weight.detach().std()) == pytest.approx(0.25, rel=0.2)


def test_lanes_go_on_where_they_were_and_hear_everything() -> None:
    text = np.arange(103)
    lanes = TextLanes(text, lanes=5, steps=4, reset_share=0.0, seed=3)
    first = lanes.draw()
    assert first.fresh.all()
    heard, last = set(first.x.flatten().tolist()), first
    for _ in range(7):
        chunk = lanes.draw()
        assert not chunk.fresh.any()
        assert (chunk.x[:, 0] == last.next[:, -1]).all()
        assert (chunk.next == (chunk.x + 1) % 103).all()
        heard, last = heard | set(chunk.x.flatten().tolist()), chunk
    assert heard == set(range(103))


def test_lanes_restored_draw_what_they_would_have_drawn() -> None:
    lanes = TextLanes(np.arange(50), lanes=3, steps=4, reset_share=0.5, seed=3)
    lanes.draw()
    state = lanes.state_dict()
    expected = [lanes.draw() for _ in range(6)]
    assert any(chunk.fresh.any() for chunk in expected)
    assert not all(chunk.fresh.all() for chunk in expected)
    other = TextLanes(np.arange(50), lanes=3, steps=4, reset_share=0.5, seed=4)
    other.load_state_dict(state)
    for chunk in expected:
        found = other.draw()
        assert (found.x == chunk.x).all()
        assert (found.fresh == chunk.fresh).all()


@pytest.mark.parametrize(("length", "rows", "warm"), [(1, 1, 5), (10, 3, 0), (10, 3, 2), (64, 8, 100), (7, 7, 1)])
def test_side_by_side_every_place_is_one_rows_own(length: int, rows: int, warm: int) -> None:
    places, own = side_by_side(length, rows, warm)
    assert sorted(places[own].tolist()) == list(range(length))
    for row, mine in zip(places, own, strict=True):
        if mine.any():
            start = int(np.argmax(mine))
            assert start == min(warm, row[start])
            assert (np.diff(row[: start + int(mine.sum())]) == 1).all()


def test_symbols_are_those_of_the_part_that_is_trained_on(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("abab" * 10 + "abz\r\n", newline="")
    assert read_text(tmp_path / "a.txt", "characters", validation_share=0.1).symbols == ("<unk>", "a", "b")
    assert read_text(tmp_path / "a.txt", "characters", validation_share=0.05).symbols == ("<unk>", "a", "b")
    assert vocabulary("ab<c", others="a") == ("<", "a", "b", "c")
    assert vocabulary(["<end>", "a"]) == ("<unk>", "a")
    found = read_text(tmp_path / "a.txt", "characters", validation_share=0.1)
    assert found.validation.tolist() == [1, 2, 0, 0]
    (tmp_path / "b.txt").write_text("The cat. The dog! " * 4)
    assert read_text(tmp_path / "b.txt", "words", least=4).symbols == ("<unk>", ".", "cat", "the")


def test_what_is_wrong_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"expected a text file \(UTF-8\) at .*none\.txt"):
        read_text(tmp_path / "none.txt", "characters")
    (tmp_path / "latin.txt").write_bytes("caf\u00e9".encode("latin-1") * 9)
    with pytest.raises(SourceError, match=r"UTF-8"):
        read_text(tmp_path / "latin.txt", "characters")
    (tmp_path / "short.txt").write_text("abcdefgh")
    with pytest.raises(SourceError, match=r"8 characters: 7 to train on and 1 to validate on"):
        read_text(tmp_path / "short.txt", "characters")
    with pytest.raises(RecipeError, match=r"'data\.validation_shar'; did you mean 'validation_share'"):
        parse_recipe(RECIPE.replace("validation_share", "validation_shar"))
