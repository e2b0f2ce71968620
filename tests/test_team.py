"""Processes that train together take the updates that one process takes alone."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from streamcell.runtime.errors import SourceError, StreamcellError
from streamcell.train import checkpoint
from streamcell.train.recipe import parse_recipe
from streamcell.train.session import Session
from streamcell.train.team import Team

RECIPE = """
task = "phonemes"
name = "tiny"
[data]
corpora = [{path = "speech/train", validation_speakers = ["SPEAKER"]}]
[model]
hidden = 16
channels = 8
layers = 1
dropout = 0.0
[train]
shards = 2
lanes = 2
chunk_steps = 16
updates = 6
warmup = 2
frame_updates = 2
validate_every = 3
"""


def recipe_of(corpus: Path) -> str:
    speaker: str = json.loads((corpus / "speech/train/utterances.jsonl").read_text().splitlines()[0])["speaker"]
    return RECIPE.replace("SPEAKER", speaker)


def train(corpus: Path, out: Path, processes: int, *, resume: bool = False, precision: str = "float32") -> None:
    recipe = corpus / "recipe.toml"
    recipe.write_text(recipe_of(corpus) + f'precision = "{precision}"\n')
    start = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes), "-m"]
    command = [*(start if processes > 1 else [sys.executable, "-m"]), "streamcell", "train", str(recipe)]
    command += ["--data", str(corpus), "--out", str(out), "--threads", "1", *(["--resume"] if resume else [])]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    result = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert result.returncode == 0, result.stderr


def average(run: Path) -> dict[str, torch.Tensor]:
    weights: dict[str, torch.Tensor] = checkpoint.load(run / "checkpoint.pt")["trainer"]["average"]
    return weights


def test_two_processes_take_the_updates_of_one_and_either_goes_on_from_the_other(corpus: Path, tmp_path: Path) -> None:
    train(corpus, tmp_path / "one", 1)
    train(corpus, tmp_path / "two", 2)
    for name, value in average(tmp_path / "one").items():
        torch.testing.assert_close(average(tmp_path / "two")[name], value, rtol=1e-4, atol=1e-5)
    assert checkpoint.load_best(tmp_path / "two").figures["updates"] in (3, 6)
    log = [json.loads(line) for line in (tmp_path / "two/log.jsonl").read_text().splitlines()]
    assert [row["update"] for row in log] == [3, 6]


def test_a_run_of_two_is_resumed_by_two(corpus: Path, tmp_path: Path) -> None:
    train(corpus, tmp_path / "run", 2)
    stored = checkpoint.load(tmp_path / "run/checkpoint.pt")
    assert stored["trainer"]["update"] == 6
    assert len(stored["trainer"]["shards"]) == len(stored["trainer"]["torch"]) == 2
    train(corpus, tmp_path / "run", 2, resume=True)  # nothing is left to do, and all that was stored fits
    assert checkpoint.load(tmp_path / "run/checkpoint.pt")["trainer"]["update"] == 6


def test_two_processes_in_bfloat16_take_the_updates_of_one(corpus: Path, tmp_path: Path) -> None:
    for processes in (1, 2):
        train(corpus, tmp_path / str(processes), processes, precision="bfloat16")
    for name, value in average(tmp_path / "1").items():
        torch.testing.assert_close(average(tmp_path / "2")[name], value, rtol=1e-3, atol=1e-4)


def test_processes_that_did_not_read_the_same_data_do_not_train_together(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    second = Team()
    second.rank, second.size = 1, 2
    monkeypatch.setattr(second, "from_first", lambda _: "what the first read")
    text = recipe_of(corpus)
    with pytest.raises(SourceError, match="changed while the processes of this training read them"):
        Session(parse_recipe(text), text, corpus, tmp_path / "run", team=second)


def test_shards_must_go_round() -> None:
    team = Team()
    assert list(team.mine(3)) == [0, 1, 2]
    team.size = 2
    assert list(team.mine(4)) == [0, 2]
    with pytest.raises(StreamcellError, match=r"train\.shards must be a multiple .* got 3 for 2"):
        team.mine(3)
