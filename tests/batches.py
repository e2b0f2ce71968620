"""What the tests of batch transcription share: a quick model, recordings, and a run of the command."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from helpers import noise, tiny_model
from streamcell.runtime.cli.main import main

RATE = 16000


def save_model(folder: Path, **changes: Any) -> str:
    """Write `tiny_model`, for 16 kHz in steps of 10 ms, and return its path."""
    path = folder / "tiny.onnx"
    path.write_bytes(tiny_model(samples_per_step=160, sample_rate=RATE, **changes))
    return str(path)


def save_noise(path: Path, seconds: float, seed: int, rate: int = RATE) -> Path:
    """Write noise that has many segments."""
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, noise(round(seconds * rate), seed), rate)
    return path


def save_many(folder: Path, count: int, seconds: float = 3.0) -> list[Path]:
    """Write recordings of uneven length, at three rates, in two folders."""
    lengths = np.random.default_rng(7).uniform(0.005, seconds, count)
    return [
        save_noise(folder / f"{i % 2}" / f"{i:03d}.wav", float(length), i, (16000, 8000, 44100)[i % 3])
        for i, length in enumerate(lengths)
    ]


def start(*arguments: object, **settings: Any) -> "subprocess.Popen[str]":
    """Begin ``streamcell transcribe`` in another process."""
    call = [sys.executable, "-m", "streamcell", "transcribe", *map(str, arguments)]
    return subprocess.Popen(call, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **settings)


def transcribe(*arguments: object, **settings: Any) -> tuple[int, str]:
    """Run ``streamcell transcribe``; return exit code and stderr."""
    process = start(*arguments, **settings)
    try:
        _, err = process.communicate(timeout=120)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    assert "Traceback" not in err, err
    return process.returncode, err


def here(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str]:
    """Run ``streamcell transcribe`` in this process; return exit code and stderr."""
    capsys.readouterr()
    code = main(["transcribe", *map(str, arguments), "--jobs", "1"])
    return code, capsys.readouterr().err


def results(folder: Path) -> dict[str, bytes]:
    """Return what lies in an output folder, but for what streamcell keeps for itself and what is half written."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in _files(folder) if not _is_part(path)}


def parts(folder: Path) -> list[Path]:
    """Return what is half written in an output folder."""
    return [path for path in _files(folder) if _is_part(path)]


def _files(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.rglob("*")) if path.is_file() and ".streamcell" not in path.parts]


def _is_part(path: Path) -> bool:
    return path.name.endswith(".streamcell-part")


def json_lines(path: Path) -> list[Any]:
    """Return the objects of a file."""
    return [json.loads(line) for line in path.read_text().splitlines()]
