"""Whole trainings, small but real: three recordings, a small network."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from streamcell.runtime.errors import StreamcellError
from streamcell.train import checkpoint
from streamcell.train.loop import DivergedError
from streamcell.train.phonemes import PhonemeTask
from streamcell.train.plots import plot_confusions
from streamcell.train.recipe import parse_recipe
from streamcell.train.session import Session
from streamcell.train.shortage import ShortageError
from streamcell.train.validate import validate

RECIPE = """
task = "phonemes"
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
risk_weight = 1.0
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


def same_in_the_end(one: Path, other: Path) -> None:
    for name, value in weights(one).items():
        assert torch.equal(weights(other)[name], value), name
    for file in ("log.jsonl", "validation.json"):
        assert (one / file).read_text() == (other / file).read_text()


@pytest.fixture
def whole(corpus: Path, text: str, tmp_path: Path) -> Path:
    Session(parse_recipe(text), text, corpus, tmp_path / "whole").run()
    return tmp_path / "whole"


def test_stopped_and_resumed_is_never_stopped(corpus: Path, text: str, tmp_path: Path, whole: Path) -> None:
    recipe, out = parse_recipe(text), tmp_path / "cut"
    session = Session(recipe, text, corpus, out)
    with pytest.raises(KeyboardInterrupt):
        session.run(lambda: session.trainer.update == 5)
    assert checkpoint.load(out / "checkpoint.pt")["trainer"]["update"] == 5
    Session(recipe, text, corpus, out, resume=True).run()
    same_in_the_end(whole, out)


def test_muon_goes_on_as_if_never_stopped(corpus: Path, text: str, tmp_path: Path) -> None:
    text += 'optimiser = "muon"\n'
    recipe, whole, out = parse_recipe(text), tmp_path / "whole", tmp_path / "cut"
    Session(recipe, text, corpus, whole).run()
    session = Session(recipe, text, corpus, out)
    with pytest.raises(KeyboardInterrupt):
        session.run(lambda: session.trainer.update == 5)
    Session(recipe, text, corpus, out, resume=True).run()
    same_in_the_end(whole, out)


@pytest.mark.parametrize("where", ["forward", "after the optimiser", "validation", "picture"])
def test_interrupted_anywhere_and_resumed_is_never_interrupted(
    corpus: Path, text: str, tmp_path: Path, whole: Path, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, out = parse_recipe(text), tmp_path / "cut"
    session = Session(recipe, text, corpus, out)
    calls = iter(range(100))

    def interrupting(function: Callable[..., Any], at: int) -> Callable[..., Any]:
        def call(*args: Any, **settings: Any) -> Any:
            result = function(*args, **settings)
            if next(calls) == at:
                raise KeyboardInterrupt
            return result

        return call

    trainer = session.trainer
    with monkeypatch.context() as patch:
        match where:
            case "forward":
                patch.setattr(trainer.network, "forward", interrupting(trainer.network.forward, 5))
            case "after the optimiser":
                patch.setattr(trainer.optimiser, "step", interrupting(trainer.optimiser.step, 6))
            case "validation":
                patch.setattr("streamcell.train.phonemes.validate", interrupting(validate, 1))
            case "picture":
                patch.setattr("streamcell.train.validate.plot_confusions", interrupting(plot_confusions, 0))
        with pytest.raises(KeyboardInterrupt):
            session.run()
    if where == "picture":  # in the first validation: no checkpoint yet, so it is run anew
        assert not (out / "checkpoint.pt").exists()
    Session(recipe, text, corpus, out, resume=where != "picture").run()
    same_in_the_end(whole, out)


def test_it_stops_early_but_not_before_ctc_begins(corpus: Path, text: str, tmp_path: Path) -> None:
    text = text.replace("updates = 12", "updates = 400\npatience = 1").replace(
        "validate_every = 4", "validate_every = 2"
    )
    text = text.replace("warmup = 3", "warmup = 3\nlearning_rate = 0.3")
    session = Session(parse_recipe(text), text, corpus, tmp_path / "run")
    session.run()
    assert 4 < session.trainer.update < 400
    again = Session(parse_recipe(text), text, corpus, tmp_path / "run", resume=True)
    again.run()
    assert again.trainer.update == session.trainer.update


def test_ctrl_c_ends_with_a_checkpoint(corpus: Path, text: str, tmp_path: Path) -> None:
    recipe, out = tmp_path / "recipe.toml", tmp_path / "run"
    recipe.write_text(text.replace("updates = 12", "updates = 100000"))
    command = [sys.executable, "-m", "streamcell", "train", str(recipe), "--data", str(corpus), "--out", str(out)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while not (out / "checkpoint.pt").exists() and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in said
    assert checkpoint.load(out / "checkpoint.pt")["trainer"]["update"] >= 4


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


def test_a_loss_that_is_no_number_keeps_the_checkpoint_and_a_lower_rate_goes_on(
    corpus: Path, text: str, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    session = Session(parse_recipe(text), text, corpus, out)

    def poison() -> bool:
        if session.trainer.update == 5:
            session.trainer.network.head.weight.data[0, 0] = float("nan")
        return False

    with pytest.raises(DivergedError, match=r"became nan at update 6, .*checkpoint\.pt is kept, of update 4: go on"):
        session.run(poison)
    stored = checkpoint.load(out / "checkpoint.pt")["trainer"]
    assert stored["update"] == 4
    assert all(value.isfinite().all() for value in (*stored["weights"].values(), *stored["average"].values()))
    lower = text.replace("warmup = 3", "warmup = 2\nlearning_rate = 0.0005")
    again = Session(parse_recipe(lower), lower, corpus, out, resume=True)
    assert again.changed == ["train.learning_rate", "train.warmup"]
    again.run()
    assert (again.trainer.update, again.log[-1]["learning_rate"] < 0.0005) == (12, True)
    assert (out / "recipe.toml").read_text() == lower


def test_memory_that_runs_out_keeps_the_checkpoint(corpus: Path, text: str, tmp_path: Path) -> None:
    session = Session(parse_recipe(text), text, corpus, tmp_path / "run")

    def hungry() -> bool:
        return session.trainer.update == 5 and bool(np.ones(10**15).any())  # MemoryError

    with pytest.raises(ShortageError, match=r"lower train\.lanes \(4\).*checkpoint\.pt is kept, for --resume"):
        session.run(hungry)
    assert checkpoint.load(tmp_path / "run/checkpoint.pt")["trainer"]["update"] == 4


def test_a_loss_that_is_no_number_at_once_says_that_nothing_was_saved(corpus: Path, text: str, tmp_path: Path) -> None:
    session = Session(parse_recipe(text), text, corpus, tmp_path / "run")
    session.trainer.network.head.weight.data[0, 0] = float("nan")
    with pytest.raises(DivergedError, match=r"became nan at update 1, .*nothing was saved before"):
        session.run()


def test_a_checkpoint_from_before_a_key_existed_goes_on(corpus: Path, text: str, tmp_path: Path, whole: Path) -> None:
    out = tmp_path / "cut"
    session = Session(parse_recipe(text), text, corpus, out)
    with pytest.raises(KeyboardInterrupt):
        session.run(lambda: session.trainer.update == 5)
    stored = checkpoint.load(out / "checkpoint.pt")
    del stored["recipe"]["train"]["clip"], stored["recipe"]["licence"], stored["folder"]
    checkpoint.save(out / "checkpoint.pt", stored)
    Session(parse_recipe(text), text, corpus, out, resume=True).run()
    same_in_the_end(whole, out)


def test_resume_refuses_other_data(corpus: Path, text: str, tmp_path: Path) -> None:
    out = tmp_path / "run"
    Session(parse_recipe(text), text, corpus, out).run()
    index = corpus / "speech/train/utterances.jsonl"
    index.write_text("".join(reversed(index.read_text().splitlines(keepends=True))))
    with pytest.raises(StreamcellError, match=r"are not those that .* was trained on"):
        Session(parse_recipe(text), text, corpus, out, resume=True)


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
        task = Session(parse_recipe(changed), changed, corpus, tmp_path / "run").task
        assert isinstance(task, PhonemeTask)
        assert len(task.material.noises) == 3
        return
    with pytest.raises(StreamcellError, match=message):
        Session(parse_recipe(changed), changed, corpus, tmp_path / "run")


def test_nothing_to_validate_on_is_said_before_training(corpus: Path, text: str, tmp_path: Path) -> None:
    speaker = text[text.index('["') : text.index('"]') + 2]
    for changed, message in ((text.replace(speaker, "[]"), "no phones to validate on"), (text, "left to train on")):
        if changed == text:
            index = corpus / "speech/train/utterances.jsonl"
            index.write_text(index.read_text().splitlines(keepends=True)[0])
        with pytest.raises(StreamcellError, match=message):
            Session(parse_recipe(changed), changed, corpus, tmp_path / "run")


def test_phones_that_outlast_their_recording_are_named(corpus: Path, text: str, tmp_path: Path) -> None:
    index = corpus / "speech/train/utterances.jsonl"
    rows = [json.loads(line) for line in index.read_text().splitlines()]
    for row in rows:
        row["phones"] = [[1000 * start, 1000 * duration, label] for start, duration, label in row["phones"]]
    index.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(StreamcellError, match=r"lasts .* s, but its phones end at"):
        Session(parse_recipe(text), text, corpus, tmp_path / "run")
