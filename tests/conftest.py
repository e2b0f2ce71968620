"""Fixtures that more than one test file needs."""

import shutil
from pathlib import Path

import pytest

from helpers import SAMPLES


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Return a data folder with one corpus, `speech/train`: the recordings of samples/phonemes and their phones."""
    folder = tmp_path / "data" / "speech" / "train"
    folder.mkdir(parents=True)
    for path in SAMPLES.glob("*.flac"):
        shutil.copy(path, folder)
    shutil.copy(SAMPLES / "utterances.jsonl", folder)
    return tmp_path / "data"
