"""Checkpoints that are missing, damaged or strangers' are refused in words."""

from pathlib import Path

import pytest
import torch

from streamcell.train import checkpoint
from streamcell.train.columns import Columns
from streamcell.train.phonemes import PhonemeTask
from streamcell.train.recipe import LABELS, PhonemeRecipe, parse_recipe

TEXT = """task = "phonemes"
name = "tiny"
[data]
corpora = [{path = "speech"}]
[model]
hidden = 16
channels = 8
layers = 1
"""


def weights() -> dict[str, torch.Tensor]:
    recipe = parse_recipe(TEXT)
    assert isinstance(recipe, PhonemeRecipe)
    return recipe.network(Columns(LABELS)).state_dict()


def test_best_round_trips(tmp_path: Path) -> None:
    saved = weights()
    checkpoint.save_best(tmp_path / "best.pt", saved, TEXT, PhonemeTask.columns, {"updates": 3})
    best = checkpoint.load_best(tmp_path)
    assert best.figures == {"updates": 3}
    assert best.columns == PhonemeTask.columns
    assert not best.network.training
    for name, value in saved.items():
        assert torch.equal(best.network.state_dict()[name], value)


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(checkpoint.CheckpointError, match="expected a run folder"):
        checkpoint.load_best(tmp_path / "none")
    with pytest.raises(checkpoint.CheckpointError, match=r"expected a checkpoint at .*best\.pt"):
        checkpoint.load_best(tmp_path)


@pytest.mark.parametrize("size", [0, 10, 1000, -50])
def test_a_damaged_file_is_refused(tmp_path: Path, size: int) -> None:
    checkpoint.save_best(tmp_path / "best.pt", weights(), TEXT, PhonemeTask.columns, {})
    data = (tmp_path / "best.pt").read_bytes()
    (tmp_path / "best.pt").write_bytes(data[:size])
    with pytest.raises(checkpoint.CheckpointError, match="cannot read the checkpoint"):
        checkpoint.load_best(tmp_path)


def test_weights_that_do_not_fit_their_recipe_are_refused(tmp_path: Path) -> None:
    text = TEXT.replace("hidden = 16", "hidden = 8")
    checkpoint.save_best(tmp_path / "best.pt", weights(), text, PhonemeTask.columns, {})
    with pytest.raises(checkpoint.CheckpointError, match="does not fit its own recipe"):
        checkpoint.load_best(tmp_path)


def test_another_format_is_refused(tmp_path: Path) -> None:
    torch.save({"format": 99}, tmp_path / "best.pt")
    with pytest.raises(checkpoint.CheckpointError, match="checkpoint of format 1"):
        checkpoint.load_best(tmp_path)
