"""A run that begins with the weights of another."""

from pathlib import Path

import pytest
import torch

from streamcell.runtime.errors import StreamcellError
from streamcell.train import checkpoint
from streamcell.train.columns import Columns
from streamcell.train.models import SensorNet
from streamcell.train.recipe import parse_recipe
from streamcell.train.session import Session
from streamcell.train.transfer import take_weights
from tiny import STEPS, write_steps


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_steps(tmp_path / "data")


@pytest.fixture
def base(data: Path, tmp_path: Path) -> Path:
    Session(parse_recipe(STEPS), STEPS, data, tmp_path / "base").run()
    return tmp_path / "base"


def test_it_begins_where_the_other_ended_and_says_so_once(
    data: Path, base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = STEPS.replace("updates = 3", "updates = 3\nlearning_rate = 1e-12\nseed = 9")
    session = Session(parse_recipe(text), text, data, tmp_path / "fine", start=base)
    theirs = checkpoint.load(base / "best.pt")["weights"]
    for name, value in session.trainer.network.state_dict().items():
        assert torch.equal(value, theirs[name]), name
    session.run()
    assert "begins with the weights of steps, update 3" in capsys.readouterr().err
    best = checkpoint.load_best(tmp_path / "fine")
    assert best.figures["transfer"] == "begins with the weights of steps, update 3"
    again = Session(parse_recipe(text), text, data, tmp_path / "fine", resume=True)
    assert again.transfer == best.figures["transfer"]
    again.run()
    assert "begins with" not in capsys.readouterr().err


def test_the_head_alone_is_drawn_anew_for_other_labels(base: Path) -> None:
    torch.manual_seed(4)
    network = SensorNet(1, 3, sample_rate=50, hidden=6)
    head = network.head.weight.detach().clone()
    found = take_weights(network, Columns(("sit", "stand", "walk"), ("ax",)), base)
    assert found.drawn == ("head.weight", "head.bias")
    assert "drawn anew, as its labels are others: head.weight, head.bias" in str(found)
    assert torch.equal(network.head.weight, head)
    assert torch.equal(network.inputs.weight, checkpoint.load(base / "best.pt")["weights"]["inputs.weight"])


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("hidden = 6", "hidden = 5", r"is \d+.* there and \d+.* by this recipe; give the recipe the \[model\] of"),
        ("hidden = 6", "hidden = 6\nlayers = 2", "absent there"),
        ("sample_rate = 50", "sample_rate = 25", "hears 50 Hz, that of this recipe 25 Hz; say the sample_rate of"),
    ],
)
def test_another_network_is_refused(data: Path, base: Path, tmp_path: Path, old: str, new: str, message: str) -> None:
    text = STEPS.replace(old, new)
    with pytest.raises(StreamcellError, match=message):
        Session(parse_recipe(text), text, data, tmp_path / "fine", start=base)
    Session(parse_recipe(STEPS), STEPS, data, tmp_path / "fine", start=base).run()  # the failed try is in nobody's way


def test_no_run_there_and_resume_are_refused(data: Path, base: Path, tmp_path: Path) -> None:
    recipe = parse_recipe(STEPS)
    with pytest.raises(StreamcellError, match=r"expected a run folder at .*nowhere, found none"):
        Session(recipe, STEPS, data, tmp_path / "fine", start=tmp_path / "nowhere")
    with pytest.raises(StreamcellError, match="leave it out with --resume"):
        Session(recipe, STEPS, data, base, resume=True, start=base)


TEXT = """
task = "text"
name = "letters"
[data]
path = "one.txt"
[model]
hidden = 6
layers = 1
tied = false
[train]
lanes = 2
chunk_steps = 5
updates = 2
warmup = 1
validate_every = 2
"""


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ("wxy z", r"symbols are others \(5 there, 5 here, number 2 'a' there and 'w' here\)"),
        ("abc def", r"symbols are others \(5 there, 7 here\)"),
    ],
)
def test_other_symbols_are_refused_even_if_they_are_as_many(tmp_path: Path, other: str, message: str) -> None:
    (tmp_path / "one.txt").write_text("abc d" * 40)
    (tmp_path / "two.txt").write_text(other * 40)
    Session(parse_recipe(TEXT), TEXT, tmp_path, tmp_path / "base").run()
    text = TEXT.replace("one.txt", "two.txt")
    with pytest.raises(StreamcellError, match=message):
        Session(parse_recipe(text), text, tmp_path, tmp_path / "fine", start=tmp_path / "base")


@pytest.mark.parametrize(("kind", "theirs"), [("channels", ("ay",)), ("units", ("g",))])
def test_other_channels_and_units_are_refused(data: Path, base: Path, kind: str, theirs: tuple[str, ...]) -> None:
    path = base / "best.pt"
    content = checkpoint.load(path)
    checkpoint.save(path, {**content, "units": ["m/s2"], kind: list(theirs)})
    network = SensorNet(1, 2, sample_rate=50, hidden=6)
    with pytest.raises(StreamcellError, match=f"its {kind} are others .*; use data with the same {kind}"):
        take_weights(network, Columns(("sit", "walk"), ("ax",), ("m/s2",)), base)


PAIRS = """
task = "pairs"
name = "words"
[data]
format = "tsv"
path = "pairs.txt"
validation = 1
[encoder]
embedding = 3
hidden = 4
[model]
embedding = 3
hidden = 4
"""


def test_what_shares_the_heads_matrix_is_drawn_anew_with_it(tmp_path: Path) -> None:
    recipe = parse_recipe(PAIRS)
    torch.manual_seed(1)
    first = Columns(("a", "b", "c"), symbols=("x", "y"))
    theirs = recipe.network(first)
    tmp_path.joinpath("run").mkdir()
    checkpoint.save_best(tmp_path / "run" / "best.pt", theirs.state_dict(), PAIRS, first, {"updates": 5})
    network = recipe.network(Columns(("a", "b", "c", "d"), symbols=("x", "y")))
    before = network.head.weight.detach().clone()
    found = take_weights(network, Columns(("a", "b", "c", "d"), symbols=("x", "y")), tmp_path / "run")
    assert found.drawn == ("front.embedding.weight", "head.weight", "head.bias")
    assert torch.equal(network.head.weight, before)
    assert torch.equal(network.state_dict()["hear.weight"], theirs.state_dict()["hear.weight"])
