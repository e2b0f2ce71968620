"""`streamcell train` as users call it: what is wrong comes as one line and exit code 2."""

import argparse
import subprocess
import sys
from pathlib import Path

import pytest

from streamcell.train.command import add_arguments
from streamcell.train.session import CHANGEABLE

GOOD = 'task = "phonemes"\nname = "tiny"\n[data]\ncorpora = [{path = "speech/train", validation_speakers = ["1334"]}]\n'
SMALL = """[model]
hidden = 8
channels = 4
layers = 1
[train]
lanes = 1
chunk_steps = 8
updates = 2
validate_every = 1
"""


def train(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "streamcell", "train", *map(str, arguments)]
    return subprocess.run(command, check=False, capture_output=True, text=True)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (GOOD + "[model]\nhiden = 3\n", "unknown recipe key 'model.hiden'; did you mean 'hidden'?"),
        (GOOD + "[model]\nhidden = 1000000\n", "hidden"),
        (GOOD.replace("1334", "nobody"), "has no speakers ['nobody']"),
        (GOOD.replace("speech/train", "speech/none"), "expected the corpus 'speech/none'"),
    ],
)
def test_what_is_wrong_is_one_line(corpus: Path, tmp_path: Path, text: str, message: str) -> None:
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(text)
    result = train(recipe, "--data", corpus, "--out", tmp_path / "run")
    assert result.returncode == 2
    assert result.stdout == ""
    assert result.stderr.strip().splitlines()[-1].startswith("streamcell: error: ")
    assert message in result.stderr
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "run" / "recipe.toml").exists()


def test_resume_of_another_recipe_is_refused_and_nothing_is_lost(corpus: Path, tmp_path: Path) -> None:
    recipe, out = tmp_path / "recipe.toml", tmp_path / "run"
    recipe.write_text(GOOD + SMALL)
    first = train(recipe, "--data", corpus, "--out", out, "--threads", 1)
    assert first.returncode == 0, first.stderr
    assert "export it: streamcell export" in first.stderr
    before = (out / "checkpoint.pt").read_bytes()
    recipe.write_text(GOOD + SMALL.replace("hidden = 8", "hidden = 16"))
    result = train(recipe, "--data", corpus, "--out", out, "--resume")
    assert result.returncode == 2
    assert "another recipe (differs in model.hidden)" in result.stderr
    assert (out / "checkpoint.pt").read_bytes() == before


def test_the_help_names_all_that_a_resumed_run_may_change() -> None:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    shown = " ".join(parser.format_help().split())
    assert [key for key in CHANGEABLE if key.removeprefix("train.") not in shown] == []


def test_threads_must_be_a_number(tmp_path: Path) -> None:
    result = train("r.toml", "--data", tmp_path, "--out", tmp_path, "--threads", "-3")
    assert result.returncode == 2
    assert "expected a whole number from 1" in result.stderr
