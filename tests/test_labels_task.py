"""Training on labels of sequences, whole: lines in, a run folder and a proven file out, stopped and resumed exactly."""

import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from streamcell.export import parity
from streamcell.runtime.cli.main import main
from streamcell.runtime.errors import InputError, SourceError
from streamcell.runtime.label import label_tokens
from streamcell.runtime.model import Model
from streamcell.train import checkpoint
from streamcell.train.data.batches import Batches, pad
from streamcell.train.data.labelled import Labelled, deal
from streamcell.train.data.labelled_text import encode, read_arff, read_files, read_lines
from streamcell.train.fronts import Embed
from streamcell.train.labels import LabelsTask
from streamcell.train.pooling import RunningMean
from streamcell.train.recipe import LabelsRecipe, RecipeError, parse_recipe
from streamcell.train.scoring import interval, joined, score_folds, score_model
from streamcell.train.session import Session

RECIPE = """
task = "labels"
name = "names"
[data]
format = "lines"
path = "names"
distinct = true
unknown_share = 0.05
folds = 4
validation_groups = ["fold 3"]
test_groups = ["fold 4"]
[model]
cell = "lstm"
hidden = 12
dropout = 0.1
pooling = true
[train]
lanes = 16
updates = 80
warmup = 5
learning_rate = 0.02
average = 0.9
early = 0.2
validate_every = 20
"""
ENDS = {"Finnish": "nen", "Polish": "ski", "Dutch": "kamp"}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Write names whose end tells the language."""
    random = np.random.default_rng(0)
    (tmp_path / "names").mkdir()
    for language, end in ENDS.items():
        names = ["".join(random.choice(list("abdelmoru"), random.integers(2, 7))) + end for _ in range(60)]
        (tmp_path / "names" / f"{language}.txt").write_text("\n".join(names) + "\n")
    return tmp_path


def recipe_of(text: str = RECIPE) -> LabelsRecipe:
    recipe = parse_recipe(text)
    assert isinstance(recipe, LabelsRecipe)
    return recipe


def trained(data: Path, out: Path, text: str = RECIPE, *, stop: int = -1, resume: bool = False) -> float:
    session = Session(parse_recipe(text), text, data, out, resume=resume)
    return session.run(lambda: session.trainer.update == stop)


def exported(run: Path, monkeypatch: pytest.MonkeyPatch) -> Model:
    monkeypatch.setattr(parity, "_STEPS", (1, 3, 20))
    assert main(["export", str(run), "--out", str(run / "model.onnx")]) == 0
    assert main(["verify", str(run / "model.onnx")]) == 0
    return Model.open(run / "model.onnx")


def test_it_learns_and_stopped_and_resumed_is_never_stopped(data: Path, tmp_path: Path) -> None:
    rate = trained(data, tmp_path / "whole")
    assert rate < 0.1
    with pytest.raises(KeyboardInterrupt):
        trained(data, tmp_path / "cut", stop=33)
    assert trained(data, tmp_path / "cut", resume=True) == rate
    one, other = (checkpoint.load(tmp_path / run / "checkpoint.pt")["trainer"]["average"] for run in ("whole", "cut"))
    assert all(torch.equal(one[name], other[name]) for name in one)
    best = checkpoint.load_best(tmp_path / "whole")
    assert best.columns.labels == ("Dutch", "Finnish", "Polish")
    assert best.columns.symbols[0] == "<unk>"
    assert best.figures["macro_f1"] > 0.9


def test_export_says_everything_and_the_file_is_as_good(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained(data, tmp_path / "run")
    model = exported(tmp_path / "run", monkeypatch)
    manifest = model.manifest
    assert (manifest.task, manifest.input.kind, manifest.decoder) == ("sequence", "tokens", {"name": "whole"})
    assert [state.input for state in manifest.states] == ["h0", "c0", "mean", "count"]
    assert next(iter(label_tokens(model, "moldenski"))) == "Polish"
    assert next(iter(label_tokens(model, "Xoldenen"))) == "Finnish"  # X is unknown
    best, task = checkpoint.load_best(tmp_path / "run"), LabelsTask(recipe_of(), data)
    mine, its = task.score(best.network, task.data.test), score_model(model, task.columns, task.data.test)
    assert (mine.answered == its.answered).all()
    assert its.loss == pytest.approx(mine.loss, abs=1e-5)
    assert its.rate < 0.15
    other = encode([("ab", "x"), ("ba", "y"), ("aab", "x")], "characters", folds=3, validation_groups=["fold 1"])
    with pytest.raises(InputError, match=r"the model's \d+ symbols are not the 2 of the data"):
        score_model(model, other.columns, task.data.test)


def test_motifs_and_their_places_are_exported_and_learnt(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = RECIPE.replace("folds = 4", "folds = 4\nplaces = 6\nkernel = 3").replace("early = 0.2\n", "")
    assert trained(data, tmp_path / "run", text) < 0.1
    model = exported(tmp_path / "run", monkeypatch)
    assert [state.input for state in model.manifest.states] == ["place", "conv0", "h0", "c0", "mean", "count"]
    _, state = model.step(np.zeros((2, 40), np.int64), model.initial_state(2))
    assert state["place"].tolist() == [[6.0], [6.0]]


def test_folds_are_trained_once_and_cover_everything(data: Path, tmp_path: Path) -> None:
    text = RECIPE.replace("updates = 80", "updates = 20")
    scores = list(score_folds(text, data, tmp_path / "folds", count=4))
    whole = joined(scores)
    assert whole.of == [f"fold {k}" for k in range(1, 5) for _ in scores[k - 1].true]
    names = {line for file in (data / "names").iterdir() for line in file.read_text().split()}
    assert len(whole.true) == len(names)
    before = (tmp_path / "folds" / "fold 2" / "best.pt").stat().st_mtime_ns
    again = joined(list(score_folds(text, data, tmp_path / "folds", count=4)))
    assert (again.answered == whole.answered).all()
    assert (tmp_path / "folds" / "fold 2" / "best.pt").stat().st_mtime_ns == before
    with pytest.raises(RecipeError, match="trained by another recipe"):
        next(score_folds(text.replace("lanes = 16", "lanes = 8"), data, tmp_path / "folds", count=4))


def test_what_stands_behind_a_sequence_changes_nothing(data: Path) -> None:
    recipe = recipe_of(RECIPE.replace("early = 0.2", "early = 0.0"))
    task = LabelsTask(recipe, data)
    network = recipe.network(task.columns).eval()
    batch = pad(task.data.training[:7])
    assert len(set(batch.lengths.tolist())) > 2
    loss, _, _ = task.losses(network, batch, network.initial_state(7), torch.Generator(), 0)
    alone = []
    for one in task.data.training[:7]:
        logits, _ = network(torch.from_numpy(one.x)[None], network.initial_state(1))
        alone.append(float(F.cross_entropy(logits[:, -1], torch.tensor([one.label])).detach()))
    assert float(loss.detach()) == pytest.approx(np.mean(alone), rel=1e-5)
    early = LabelsTask(recipe_of(RECIPE.replace("early = 0.2", "early = 1.0")), data)
    logits, _ = network(torch.from_numpy(batch.x), network.initial_state(7))
    each = [
        float(F.cross_entropy(row[:length], torch.full((length,), label)).detach())
        for row, length, label in zip(logits, batch.lengths.tolist(), batch.labels.tolist(), strict=True)
    ]
    loss, parts, _ = early.losses(network, batch, network.initial_state(7), torch.Generator(), 0)
    assert float(loss.detach()) == pytest.approx(np.mean(each), rel=1e-5)
    assert float(parts["cross_entropy"].detach()) == pytest.approx(np.mean(alone), rel=1e-5)


def test_the_running_mean_is_the_mean_however_it_is_cut() -> None:
    x = torch.randn(3, 40, 5, generator=torch.Generator().manual_seed(0))
    pool = RunningMean(5)
    whole, end = pool(x, pool.initial_state(3))
    expected = np.cumsum(x.numpy().astype(np.float64), 1) / np.arange(1, 41)[:, None]
    assert np.abs(whole.numpy() - expected).max() < 1e-6
    state, parts = pool.initial_state(3), []
    for part in torch.split(x, [1, 7, 13, 19], dim=1):
        y, state = pool(part, state)
        parts.append(y)
    assert torch.allclose(torch.cat(parts, 1), whole, atol=1e-6)
    assert torch.allclose(state["mean"], end["mean"], atol=1e-6)
    assert state["count"].tolist() == end["count"].tolist() == [[40.0]] * 3


def sequences(lengths: list[int]) -> list[Labelled]:
    return [Labelled(np.full(length, place), place % 3, "") for place, length in enumerate(lengths)]


def unchanged(x: np.ndarray, _random: np.random.Generator) -> np.ndarray:
    return x


def test_a_pass_hears_each_sequence_once_beside_others_as_long() -> None:
    some = sequences([1 + place % 10 for place in range(320)])
    batches = Batches(some, unchanged, lanes=4, step=1, seed=1)
    drawn = [batches.draw() for _ in range(80)]
    assert Counter(row[0] for batch in drawn for row in batch.x) == Counter(range(320))
    assert all(batch.fresh.all() for batch in drawn)
    assert np.mean([np.ptp(batch.lengths) for batch in drawn]) < 1
    assert len({batch.lengths[0] for batch in drawn[:16]}) > 5  # not from short to long


def test_batches_restored_draw_what_they_would_have_drawn() -> None:
    def noisy(x: np.ndarray, random: np.random.Generator) -> np.ndarray:
        return x + random.integers(0, 2, len(x))

    batches = Batches(sequences([3, 5, 2, 9, 4, 4, 7]), noisy, lanes=2, step=1, seed=1)
    batches.draw()
    state = batches.state_dict()
    expected = [batches.draw() for _ in range(40)]
    other = Batches(sequences([3, 5, 2, 9, 4, 4, 7]), noisy, lanes=2, step=1, seed=2)
    other.load_state_dict(state)
    for batch in expected:
        found = other.draw()
        assert (found.x == batch.x).all()
        assert (found.labels == batch.labels).all()


def test_unknown_symbols_are_heard_as_often_as_asked(data: Path) -> None:
    task = LabelsTask(recipe_of(RECIPE.replace("unknown_share = 0.05", "unknown_share = 0.3")), data)
    lanes = task.lanes(0)
    drawn = [lanes.draw() for _ in range(200)]
    unknown = sum(int((row[:length] == 0).sum()) for b in drawn for row, length in zip(b.x, b.lengths, strict=True))
    assert unknown / sum(int(b.lengths.sum()) for b in drawn) == pytest.approx(0.3, abs=0.02)


def test_equal_texts_are_dealt_into_the_same_fold_and_labels_evenly() -> None:
    contents = [f"text {place % 90}" for place in range(120)]
    labels = ["rare" if place % 90 < 20 else "often" for place in range(120)]
    groups = deal(contents, labels, folds=5, seed=7)
    by_content: dict[str, set[str]] = {}
    for content, group in zip(contents, groups, strict=True):
        by_content.setdefault(content, set()).add(group)
    assert all(len(found) == 1 for found in by_content.values())
    kinds = Counter((next(iter(group)), int(content.split()[1]) < 20) for content, group in by_content.items())
    assert all(kinds[f"fold {k}", True] == 4 for k in range(1, 6))
    assert all(kinds[f"fold {k}", False] == 14 for k in range(1, 6))
    assert groups != deal(contents, labels, folds=5, seed=8)


def test_lines_and_files_are_read_from_folders_and_archives(tmp_path: Path) -> None:
    tree = {"good.txt": "fine\n\n so so \n", "bad/one.txt": "poor\n", "bad/two.txt": "weak", "notes": "nothing"}
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        for name, text in tree.items():
            (tmp_path / "all" / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "all" / name).write_text(text)
            archive.writestr(name, text)
    for path in (tmp_path / "all", tmp_path / "all.zip"):
        found = read_lines(path, {})
        assert found == [("poor", "one"), ("weak", "two"), ("fine", "good"), ("so so", "good")]
        assert read_lines(path, {"yes": "good.txt"}) == [("fine", "yes"), ("so so", "yes")]
        assert read_files(path) == [("poor", "bad"), ("weak", "bad")]
        with pytest.raises(SourceError, match=r"expected none\.txt in .*all.*, found .*good\.txt"):
            read_lines(path, {"no": "none.txt"})
    with pytest.raises(SourceError, match=r"expected a folder or a ZIP archive of texts at .*nowhere"):
        read_lines(tmp_path / "nowhere", {})
    with pytest.raises(SourceError, match=r"cannot read it: File is not a zip file"):
        read_lines(tmp_path / "all" / "notes", {})


ARFF = """% made up
@relation windows
@attribute 'Name' { w1, w2, w3 }
@attribute 'base 1' { A, C }
@ATTRIBUTE b2 { A, C, G }
@attribute Class { N, EI }
@data
w1,A,G,N
% more
w2, C,C,EI
"""


def test_rows_of_an_arff_table_are_read_and_what_is_wrong_is_named(tmp_path: Path) -> None:
    path = tmp_path / "w.arff"
    path.write_text(ARFF)
    assert read_arff(path, label="Class", leave_out=["Name"]) == [("AG", "N"), ("CC", "EI")]
    assert read_arff(path, label="Class", split="words") == [("w1 A G", "N"), ("w2 C C", "EI")]
    with pytest.raises(SourceError, match="line 8: expected values of one character, got 'w1'"):
        read_arff(path, label="Class")
    with pytest.raises(SourceError, match="has no attribute 'class'; it has Name, base 1, b2, Class"):
        read_arff(path, label="class")
    path.write_text(ARFF + "w3,A,EI\n")
    with pytest.raises(SourceError, match="line 11: expected 4 values, got 3"):
        read_arff(path, label="Class", leave_out=["Name"])
    path.write_text("@relation x\n")
    with pytest.raises(SourceError, match="found no line '@data'"):
        read_arff(path, label="Class")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("distinct", "distint", r"'data\.distint'; did you mean 'distinct'"),
        ('"lines"', '"line"', r"'data\.format' must be one of .*'arff', .*'lines'.*, got 'line'"),
        ('format = "lines"\n', "", r"'data\.format' must be one of"),
        ("folds = 4", "folds = 1", "folds"),
    ],
)
def test_recipes_that_ask_for_what_is_not_there_are_refused(old: str, new: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        parse_recipe(RECIPE.replace(old, new, 1))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('["fold 3"]', '["fold 5"]', r"no groups \['fold 5'\]"),
        ('["fold 3"]', '["fold 4"]', r"groups \['fold 4'\] are in validation_groups and in test_groups"),
        ('["fold 3"]', "[]", "nothing is left to validate on"),
        ('["fold 3"]', '["fold 1", "fold 2", "fold 3"]', "nothing is left to train on"),
        ("[model]", 'files = {a = "Dutch.txt"}\n[model]', "expected texts of two labels at least, got 60 of"),
    ],
)
def test_data_that_do_not_fit_are_refused(data: Path, old: str, new: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        LabelsTask(recipe_of(RECIPE.replace(old, new, 1).replace("distinct = true", "distinct = false")), data)


def test_counts_tell_the_label_before_any_training(data: Path) -> None:
    recipe = recipe_of(RECIPE.replace("[train]", "counts = true\n[train]"))
    task = LabelsTask(recipe, data)
    network = recipe.network(task.columns)
    task.fit(network)
    assert isinstance(network.front, Embed)
    table = network.front.embedding.weight.detach()[:, :3]
    symbols, labels = task.columns.symbols, task.columns.labels
    for symbol, label in (("p", "Dutch"), ("n", "Finnish"), ("s", "Polish")):
        row = table[symbols.index(symbol)]
        assert labels[int(row.argmax())] == label
        assert float(row.max()) > 0.5


def test_an_interval_holds_what_was_measured() -> None:
    true = np.arange(300) % 3
    answered = np.where(np.arange(300) % 7 == 0, (true + 1) % 3, true)
    low, high = interval(true, answered, 3, lambda matrix: float(matrix.trace() / matrix.sum()))
    assert low < 1 - 43 / 300 < high
    assert 0.05 < high - low < 0.12
