"""An encoder and its decoder: trained together, resumed, exported to two files that belong to each other."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from streamcell.export import exporter, parity
from streamcell.export.exporter import export_best
from streamcell.runtime.cli.main import main
from streamcell.runtime.errors import InputError, ModelError, SourceError
from streamcell.runtime.linked import Linked
from streamcell.runtime.model import Model
from streamcell.train import checkpoint
from streamcell.train.columns import Columns
from streamcell.train.data.pair_lanes import UNSAID, PairLanes, stack
from streamcell.train.data.pairs import read_pairs, split_pairs
from streamcell.train.pair_net import PairNet
from streamcell.train.pairs import PairTask
from streamcell.train.recipe import PairRecipe, RecipeError, parse_recipe
from streamcell.train.session import Session

REVERSE = """
task = "pairs"
name = "reverse"
licence = "CC0-1.0"
[data]
format = "tsv"
path = "digits.txt"
target_split = "characters"
validation = 60
test = 20
[encoder]
embedding = 16
hidden = 48
dropout = 0.0
[model]
embedding = 16
hidden = 48
dropout = 0.0
[train]
lanes = 32
updates = 400
warmup = 20
learning_rate = 1e-2
average = 0.9
validate_every = 200
[decoder]
length = 9
"""
PICTURES = """
task = "pairs"
name = "stripes"
[data]
format = "pictures"
path = "stripes.npz"
image = [6, 8, 3]
[encoder]
channels = 4
hidden = 16
layers = 0
[model]
cell = "lstm"
embedding = 8
hidden = 16
layers = 2
[train]
lanes = 8
updates = 3
validate_every = 3
"""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Return a folder with numbers of one to four digits of 0 to 4, and the same numbers backwards."""
    random = np.random.default_rng(1)
    numbers = ["".join(map(str, row)) for n in (1, 2, 3, 4) for row in np.ndindex(*[5] * n)]
    lines = [f"{one}\t{one[::-1]}\n" for one in random.permutation(numbers)]
    (tmp_path / "digits.txt").write_text("".join(lines), encoding="utf-8")
    random = np.random.default_rng(2)
    parts = np.array(["training"] * 20 + ["validation"] * 4)
    pictures = random.integers(0, 256, (24, 6, 8, 3), dtype=np.uint8)
    captions = random.choice(["a red stripe", "two stripes", "nothing at all"], 24)
    np.savez(tmp_path / "stripes.npz", pictures=pictures, captions=captions, parts=parts)
    return tmp_path


def recipe_of(text: str) -> PairRecipe:
    recipe = parse_recipe(text)
    assert isinstance(recipe, PairRecipe)
    return recipe


def train(text: str, data: Path, out: Path) -> Path:
    Session(parse_recipe(text), text, data, out).run()
    return out


def exported(run: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, *more: str) -> tuple[Path, Path]:
    """Export a run by the command; return the files of encoder and decoder."""
    monkeypatch.setattr(parity, "_STEPS", (1, 3, 10))
    folder.mkdir()
    assert main(["export", str(run), "--out", str(folder / "d.onnx"), *more]) == 0
    return folder / "d-encoder.onnx", folder / "d.onnx"


def test_numbers_are_learnt_backwards_and_the_two_files_say_so(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = train(REVERSE, data, tmp_path / "run")
    figures = json.loads((run / "validation.json").read_text())
    assert figures["exact"] > 0.9, figures
    files = exported(run, tmp_path / "files", monkeypatch)
    assert sorted(path.name for path in (tmp_path / "files").iterdir()) == ["d-encoder.onnx", "d.onnx"]
    printed = capsys.readouterr().out
    assert all(f"{path}: " in printed for path in files)
    encoder, decoder = map(Model.open, files)
    assert (encoder.manifest.task, decoder.manifest.task) == ("encode", "next")
    assert encoder.manifest.parity is not None
    assert decoder.manifest.parity is not None
    link = decoder.manifest.link
    assert link is not None
    assert (link.name, link.fingerprint) == ("reverse-encoder", encoder.fingerprint)
    test = PairTask(recipe_of(REVERSE), data).pairs.test
    pair = Linked(encoder, decoder)
    right = ["".join(pair.text(one.texts[0])) == one.texts[1] for one in test]
    assert np.mean(right) > 0.8
    assert main(["generate", str(files[1]), "--encoder", str(files[0]), "--input", "413"]) == 0
    assert capsys.readouterr().out.strip() == "314"


def test_the_files_begin_and_go_on_as_the_network_does(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = train(PICTURES, data, tmp_path / "run")
    encoder, decoder = map(Model.open, exported(run, tmp_path / "files", monkeypatch))
    assert encoder.manifest.states == ()
    assert encoder.manifest.input.image == (6, 8, 3)
    network = checkpoint.load_best(run).network
    assert isinstance(network, PairNet)
    picture = np.load(data / "stripes.npz")["pictures"][3]
    x = torch.from_numpy(picture.reshape(1, 1, -1) / 255).float()
    said = torch.tensor([[0, 3, 4]])
    with torch.inference_mode():
        expected = network.begin(x, torch.tensor([1]))
        logits, after = network(said, expected)
    begun = Linked(encoder, decoder).begin(picture)
    outputs, final = decoder.step(said.numpy(), begun)
    assert set(begun) == set(expected) == {"h0", "c0", "h1", "c1", "context"}
    for name, value in expected.items():
        assert np.allclose(begun[name], value, atol=1e-5), name
        assert np.allclose(final[name], after[name], atol=1e-5), name
    assert np.allclose(outputs["logits"], logits, atol=1e-4)
    assert not np.allclose(begun["h0"], 0, atol=1e-2)


def test_another_encoder_is_refused(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    short = REVERSE.replace("updates = 400", "updates = 2").replace("validate_every = 200", "validate_every = 2")
    other = short.replace("[train]", "[train]\nseed = 2")
    files = [
        exported(train(text, data, tmp_path / f"run{i}"), tmp_path / f"files{i}", monkeypatch)
        for i, text in enumerate((short, other))
    ]
    with pytest.raises(ModelError, match="exported together"):
        Linked(Model.open(files[0][0]), Model.open(files[1][1]))
    code = main(["generate", str(files[0][1]), "--encoder", str(files[1][0]), "--input", "12"])
    assert code == 2


def test_stopped_and_resumed_is_never_stopped(data: Path, tmp_path: Path) -> None:
    text = REVERSE.replace("updates = 400", "updates = 30").replace("validate_every = 200", "validate_every = 10")
    text = text.replace("[train]", "[train]\nsmoothing = 0.1\nsource_masked = 0.2\ntarget_masked = 0.2")
    text = text.replace("dropout = 0.0", "dropout = 0.2")
    whole, out = train(text, data, tmp_path / "whole"), tmp_path / "cut"
    session = Session(parse_recipe(text), text, data, out)
    with pytest.raises(KeyboardInterrupt):
        session.run(lambda: session.trainer.update == 13)
    Session(parse_recipe(text), text, data, out, resume=True).run()
    assert (whole / "log.jsonl").read_text() == (out / "log.jsonl").read_text()
    one, other = (checkpoint.load(run / "checkpoint.pt")["trainer"]["weights"] for run in (whole, out))
    assert all(torch.equal(other[name], value) for name, value in one.items())


def test_padding_changes_nothing(data: Path) -> None:
    task = PairTask(recipe_of(REVERSE), data)
    torch.manual_seed(1)
    network = task.recipe.network(task.columns).eval()
    pairs = [one for size in (1, 4, 2) for one in task.pairs.training if len(one.source) == size][::150]
    assert len({len(one.source) for one in pairs}) > 1
    masks, state = torch.Generator(), network.initial_state(1)
    each = [task.losses(network, stack([one], task.columns.labels), state, masks, 0)[0] for one in pairs]
    sizes = [len(one.target) + 1 for one in pairs]
    together, _, _ = task.losses(network, stack(pairs, task.columns.labels), state, masks, 0)
    assert abs(float(together.detach()) - np.average([float(loss.detach()) for loss in each], weights=sizes)) < 1e-5


def test_exact_is_what_greedy_decoding_gets_right(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = REVERSE.replace("updates = 400", "updates = 120").replace("validate_every = 200", "validate_every = 120")
    run = train(text, data, tmp_path / "run")
    pair = Linked(*map(Model.open, exported(run, tmp_path / "files", monkeypatch)))
    held = PairTask(recipe_of(text), data).pairs.validation
    greedy = np.mean(["".join(pair.text(one.texts[0])) == one.texts[1] for one in held])
    said = json.loads((run / "validation.json").read_text())["exact"]
    assert 0 < said < 1
    assert abs(said - greedy) < 1e-4


def test_unknown_pieces_are_heard_but_not_asked_for(tmp_path: Path) -> None:
    lines = ["aab\tone two", "ab\ttwo one", "ba\tone", "zz\tnine one"] + [f"a{i}\tone {i}" for i in range(5)]
    (tmp_path / "digits.txt").write_text("\n".join(lines), encoding="utf-8")
    text = REVERSE.replace('"characters"', '"words"').replace("validation = 60", "validation = 2\nleast_target = 3")
    pairs = read_pairs(recipe_of(text.replace("test = 20", "test = 0")).data, tmp_path)
    assert pairs.labels[:4] == ("<start>", "<end>", "<unk>", "one")
    assert pairs.symbols[0] == "<unk>"
    known = {one.texts: one for part in (pairs.training, pairs.validation) for one in part}
    chunk = stack([known["zz", "nine one"]], pairs.labels)
    assert chunk.given.tolist() == [[0, 2, 3]]
    assert chunk.answers.tolist() == [[UNSAID, 3, 1]]


def test_parts_share_no_source_and_no_text() -> None:
    random = np.random.default_rng(3)
    pairs = sorted({(f"s{a}", f"t{b}") for a, b in random.integers(0, 600, (300, 2))})
    parts = split_pairs(pairs, 40, 30, seed=5)
    assert sorted(pair for part in parts for pair in part) == sorted(pairs)
    assert 35 < len(parts[1]) <= 40
    assert 25 < len(parts[2]) <= 30
    for side in (0, 1):
        seen = [{pair[side] for pair in part} for part in parts]
        assert [seen[a] & seen[b] for a, b in ((0, 1), (0, 2), (1, 2))] == [set()] * 3
    assert split_pairs(pairs, 40, 30, seed=6) != parts


def test_a_pass_hears_each_pair_once_and_goes_on_exactly(data: Path) -> None:
    task = PairTask(recipe_of(REVERSE), data)
    pairs = task.pairs.training[:640]
    lanes = PairLanes(pairs, task.pairs.labels, lanes=32, seed=3)
    heard = [tuple(row) for _ in range(20) for row in lanes.draw().given.tolist()]
    texts = sorted(tuple(x for x in row if x > 2) for row in heard)
    assert texts == sorted(tuple(one.target.tolist()) for one in pairs)
    kept = lanes.state_dict()
    expected = [lanes.draw().given.tolist() for _ in range(30)]
    again = PairLanes(pairs, task.pairs.labels, lanes=32, seed=99)
    again.load_state_dict(kept)
    assert [again.draw().given.tolist() for _ in range(30)] == expected


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("path = ", 'path = "no.txt" #'), "no such file"),
        (("target_split", "target = 5\ntarget_split"), "line 1 of text has 2 columns; expected 6"),
        (("target_split", "longest_source = 1\nlongest_target = 1\ntarget_split"), "no pairs are left for training"),
        (('"tsv"', '"pictures"\nimage = [2, 2, 1]'), "data.validation"),
        (("validation = 60", "validation = 0"), "hold pairs out"),
    ],
)
def test_data_that_do_not_fit(data: Path, change: tuple[str, str], message: str) -> None:
    with pytest.raises((SourceError, RecipeError), match=message):
        read_pairs(recipe_of(REVERSE.replace(*change)).data, data)


def test_pictures_that_are_none(data: Path) -> None:
    what = recipe_of(PICTURES).data
    (data / "stripes.npz").write_bytes(b"no zip")
    with pytest.raises(SourceError, match=r"stripes\.npz to be an \.npz file"):
        read_pairs(what, data)
    np.savez(data / "stripes.npz", pictures=np.zeros((2, 5, 8, 3), np.uint8), captions=["a", "b"], parts=["x", "y"])
    with pytest.raises(SourceError, match=r"expected pictures uint8 \[2, 6, 8, 3\]"):
        read_pairs(what, data)


def refused(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> str:
    assert main(["export", *map(str, arguments)]) == 2
    return capsys.readouterr().err


def test_exports_that_are_refused_leave_nothing(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    short = REVERSE.replace("updates = 400", "updates = 2").replace("validate_every = 200", "validate_every = 2")
    run, out = train(short, data, tmp_path / "run"), tmp_path / "a.onnx"
    capsys.readouterr()
    assert "name two files" in refused(capsys, run, "--out", out, "--encoder", out)
    assert "--encoder" in refused(capsys, run, "--out", out, "--encoder", tmp_path / "no" / "b.onnx")
    assert "takes tokens: leave --audio out" in refused(capsys, run, "--out", out, "--audio", "x.wav")
    with pytest.raises(InputError, match="export_pair"):
        export_best(checkpoint.load_best(run), {})
    for module, name in ((exporter, "BOUND"), (parity, "BOUND"), (parity, "_ROUNDINGS")):
        monkeypatch.setattr(module, name, 0.0)
    assert "exported graph" in refused(capsys, run, "--out", out)
    assert not list(tmp_path.glob("*.onnx*"))


def test_an_encoder_of_another_width_is_no_encoder() -> None:
    text = REVERSE.replace("hidden = 48", "hidden = 32", 1)
    columns = Columns(("<start>", "<end>", "<unk>", "1"), symbols=("<unk>", "1"))
    network = recipe_of(text).network(columns)  # the encoder's own width may be another
    assert network.encoder.head.out_features == 48
    with pytest.raises(ValueError, match="must give 7 numbers"):
        PairNet(network.encoder, 4, size=8, hidden=7)
