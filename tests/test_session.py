"""Whole trainings, small but real: three recordings, a small network."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from streamcell.runtime.errors import StreamcellError
from streamcell.train import checkpoint
from streamcell.train.recipe import parse_recipe
from streamcell.train.session import Session

RECIPE = """
name = "tiny"
[data]
corpora = [{path = "speech/train", validation_speakers = ["013340091"]}]
[augment]
speed_share = 0.3
[model]
hidden = 24
channels = 16
layers = 2
[train]
lanes = 4
chunk_steps = 24
updates = 12
warmup = 3
frame_updates = 4
validate_every = 4
"""


@pytest.fixture
def text(corpus: Path) -> str:
    rows = [json.loads(line) for line in (corpus / "speech/train/utterances.jsonl").read_text().splitlines()]
    return RECIPE.replace("013340091", rows[0]["speaker"])


def weights(run: Path) -> dict[str, torch.Tensor]:
    stored: dict[str, torch.Tensor] = checkpoint.load(run / "checkpoint.pt")["trainer"]["average"]
    return stored


def test_a_run_leaves_everything_that_export_and_people_need(corpus: Path, text: str, tmp_path: Path) -> None:
    out = tmp_path / "run"
    rate = Session(parse_recipe(text), text, corpus, out).run()
    assert rate > 0
    best = checkpoint.load_best(out)
    assert best.recipe == parse_recipe(text)
    assert best.figures["validation_error_rate"] == round(rate, 4)
    log = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    assert [row["update"] for row in log] == [4, 8, 12]
    assert log[-1]["frame"] < log[0]["frame"]
    assert (out / "curves.png").read_bytes()[:4] == b"\x89PNG"
    assert (out / "confusions.png").read_bytes()[:4] == b"\x89PNG"
    assert list((out / "tensorboard").iterdir())


def test_stopped_and_resumed_is_never_stopped(corpus: Path, text: str, tmp_path: Path) -> None:
    recipe = parse_recipe(text)
    Session(recipe, text, corpus, tmp_path / "whole").run()
    session = Session(recipe, text, corpus, tmp_path / "cut")
    stop = iter(range(5))

    def say(*_: object) -> None:
        if next(stop) == 4:
            raise KeyboardInterrupt

    session.progress.updated = say  # type: ignore[method-assign, assignment]
    with pytest.raises(KeyboardInterrupt):
        session.run()
    assert checkpoint.load(tmp_path / "cut" / "checkpoint.pt")["trainer"]["update"] == 5
    Session(recipe, text, corpus, tmp_path / "cut", resume=True).run()
    whole, cut = weights(tmp_path / "whole"), weights(tmp_path / "cut")
    for name, value in whole.items():
        assert torch.equal(cut[name], value), name


def test_killed_and_resumed(corpus: Path, text: str, tmp_path: Path) -> None:
    recipe, out = tmp_path / "recipe.toml", tmp_path / "run"
    recipe.write_text(text.replace("updates = 12", "updates = 100000"))
    command = [
        sys.executable,
        "-m",
        "streamcell",
        "train",
        str(recipe),
        "--data",
        str(corpus),
        "--out",
        str(out),
        "--threads",
        "1",
    ]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, start_new_session=True)
    deadline = time.monotonic() + 120
    while not (out / "checkpoint.pt").exists() and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    stored = checkpoint.load(out / "checkpoint.pt")
    resumed = Session(parse_recipe(recipe.read_text()), recipe.read_text(), corpus, out, resume=True)
    assert resumed.trainer.update == stored["trainer"]["update"]
    update = next(iter(resumed.trainer.run()))
    assert update.number == stored["trainer"]["update"] + 1


def test_resume_refuses_another_recipe_and_names_the_difference(corpus: Path, text: str, tmp_path: Path) -> None:
    out = tmp_path / "run"
    Session(parse_recipe(text), text, corpus, out).run()
    other = text.replace("hidden = 24", "hidden = 32")
    with pytest.raises(StreamcellError, match=r"another recipe \(differs in model\.hidden\)"):
        Session(parse_recipe(other), other, corpus, out, resume=True)
    assert (out / "recipe.toml").read_text() == text
    with pytest.raises(StreamcellError, match="already holds a run; continue it with --resume"):
        Session(parse_recipe(text), text, corpus, out)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('path = "speech/train"', 'path = "speech/none"', r"expected the corpus 'speech/none'"),
        ('validation_speakers = ["', 'validation_speakers = ["nobody-', r"has no speakers \['nobody-"),
        ("[data]", '[data]\nnoise = "."', None),
        ("[data]", '[data]\nnoise = "cache"', "expected recordings of noise"),
    ],
)
def test_data_that_is_missing_is_named(
    corpus: Path, text: str, tmp_path: Path, old: str, new: str, message: str | None
) -> None:
    changed = text.replace(old, new)
    if message is None:
        assert len(Session(parse_recipe(changed), changed, corpus, tmp_path / "run").material.noises) == 3
        return
    with pytest.raises(StreamcellError, match=message):
        Session(parse_recipe(changed), changed, corpus, tmp_path / "run")
