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

ROWS = "ax,label\n" + "".join(f"{k % 7},{'walk' if k // 20 % 2 else 'sit'}\n" for k in range(200))
RECIPE = """
task = "sensor"
name = "steps"
[data]
format = "recordings"
path = "."
sample_rate = 50
channels = ["ax"]
validation_groups = ["b"]
[model]
hidden = 6
[train]
lanes = 2
chunk_steps = 20
updates = 3
warmup = 1
validate_every = 3
"""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    for group in "ab":
        (folder / group).mkdir(parents=True)
        (folder / group / "one.csv").write_text(ROWS)
    return folder


@pytest.fixture
def base(data: Path, tmp_path: Path) -> Path:
    Session(parse_recipe(RECIPE), RECIPE, data, tmp_path / "base").run()
    return tmp_path / "base"


def test_it_begins_where_the_other_ended_and_says_so(data: Path, base: Path, tmp_path: Path) -> None:
    text = RECIPE.replace("updates = 3", "updates = 3\nlearning_rate = 1e-12\nseed = 9")
    session = Session(parse_recipe(text), text, data, tmp_path / "fine", start=base)
    theirs = checkpoint.load(base / "best.pt")["weights"]
    for name, value in session.trainer.network.state_dict().items():
        assert torch.equal(value, theirs[name]), name
    session.run()
    best = checkpoint.load_best(tmp_path / "fine")
    assert best.figures["transfer"] == "begins with the weights of steps, update 3"
    again = Session(parse_recipe(text), text, data, tmp_path / "fine", resume=True)
    assert again.transfer == best.figures["transfer"]


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
    ],
)
def test_another_network_is_refused(data: Path, base: Path, tmp_path: Path, old: str, new: str, message: str) -> None:
    text = RECIPE.replace(old, new)
    with pytest.raises(StreamcellError, match=message):
        Session(parse_recipe(text), text, data, tmp_path / "fine", start=base)
    Session(
        parse_recipe(RECIPE), RECIPE, data, tmp_path / "fine", start=base
    ).run()  # the failed try is in nobody's way


def test_no_run_there_and_resume_are_refused(data: Path, base: Path, tmp_path: Path) -> None:
    recipe = parse_recipe(RECIPE)
    with pytest.raises(StreamcellError, match=r"expected a run folder at .*nowhere, found none"):
        Session(recipe, RECIPE, data, tmp_path / "fine", start=tmp_path / "nowhere")
    with pytest.raises(StreamcellError, match="leave it out with --resume"):
        Session(recipe, RECIPE, data, base, resume=True, start=base)
