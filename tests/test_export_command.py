"""`streamcell export`, as it is called."""

import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import soundfile
import torch

from helpers import SAMPLES
from streamcell.export import exporter, parity
from streamcell.export.graph import build_model, with_manifest
from streamcell.runtime.cli.main import main
from streamcell.runtime.model import Model
from streamcell.train.checkpoint import save_best
from streamcell.train.phonemes import PhonemeTask
from streamcell.train.recipe import parse_recipe
from tiny import PHONEMES

RECIPE = f"{PHONEMES}layers = 2\n"


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a run folder with random weights; export takes little random input."""
    monkeypatch.setattr(parity, "_STEPS", (1, 3))
    folder = tmp_path / "run"
    folder.mkdir()
    torch.manual_seed(1)
    recipe, columns = parse_recipe(RECIPE), PhonemeTask.columns
    weights = recipe.network(columns).state_dict()
    save_best(folder / "best.pt", weights, RECIPE, columns, {"validation_error_rate": 0.5})
    return folder


def refused(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> str:
    """Return the one line of an export that must fail."""
    assert main(["export", *map(str, arguments)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("streamcell: error: ")
    assert captured.err.count("\n") == 1
    return captured.err


def test_a_run_becomes_a_file(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "model.onnx"
    assert main(["export", str(run), "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "synthetic voice" in printed
    assert printed.splitlines()[-1].startswith(f"{out}: ")
    assert "2 of them GRU" in printed
    manifest = Model.open(out).manifest
    assert (manifest.name, manifest.parity is not None) == ("tiny", True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.onnx", "run"]


def test_recordings_of_any_rate_and_another_name(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, high = tmp_path / "model.onnx", tmp_path / "high.wav"
    soundfile.write(high, np.random.default_rng(0).normal(0, 0.1, 48000), 44100)
    recordings = [str(SAMPLES / "learner.flac"), str(high)]
    assert main(["export", str(run), "--out", str(out), "--name", "other", "--audio", *recordings]) == 0
    printed = capsys.readouterr().out
    assert all(name in printed for name in recordings)
    assert Model.open(out).manifest.name == "other"


def test_no_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert f"{tmp_path / 'nowhere'}" in refused(capsys, tmp_path / "nowhere", "--out", tmp_path / "model.onnx")


def test_a_run_without_a_best_network(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    error = refused(capsys, tmp_path, "--out", tmp_path / "model.onnx")
    assert "best.pt" in error
    assert "streamcell train" in error


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04 neither"])
def test_an_unreadable_checkpoint(content: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "best.pt").write_bytes(content)
    assert "best.pt" in refused(capsys, tmp_path, "--out", tmp_path / "model.onnx")


def test_a_place_that_cannot_be_written(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "is a folder" in refused(capsys, run, "--out", tmp_path)
    assert "does not exist" in refused(capsys, run, "--out", tmp_path / "nowhere" / "model.onnx")


def test_audio_that_is_none(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, short = tmp_path / "model.onnx", tmp_path / "short.wav"
    soundfile.write(short, np.zeros(4000), 16000)
    assert "no such file" in refused(capsys, run, "--out", out, "--audio", tmp_path / "none.wav")
    assert "at least 1 s" in refused(capsys, run, "--out", out, "--audio", short)
    assert not out.exists()


def test_a_wrong_graph_leaves_no_file(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "model.onnx"

    def wrong(*arguments: Any) -> onnx.ModelProto:
        model = build_model(*arguments)
        bias = next(tensor for tensor in model.graph.initializer if tensor.name == "stack.layers.0.bias")
        array = onnx.numpy_helper.to_array(bias)
        bias.CopyFrom(onnx.numpy_helper.from_array(np.roll(array, 16, axis=1), bias.name))
        return with_manifest(model, arguments[1])

    monkeypatch.setattr(exporter, "build_model", wrong)
    error = refused(capsys, run, "--out", out)
    assert any(name in error for name in ("'logits'", "'h0'", "'h1'"))
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
    out.write_bytes(b"the last one")
    refused(capsys, run, "--out", out)
    assert out.read_bytes() == b"the last one"


def test_a_crash_while_writing_leaves_the_old_file(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "model.onnx"
    out.write_bytes(b"the last one")

    def full(self: Path, data: bytes) -> int:
        with self.open("wb") as file:
            file.write(data[:10])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    assert "No space left" in refused(capsys, run, "--out", out)
    assert out.read_bytes() == b"the last one"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.onnx", "run"]


def test_the_extra_is_named_where_it_is_absent(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "onnx" else find(name, *rest))
    error = refused(capsys, run, "--out", tmp_path / "model.onnx")
    assert "onnx is needed to export" in error
    assert "streamcell[export]" in error


def test_help_teaches_and_imports_nothing_heavy(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["export", "--help"])
    assert "streamcell export runs/phonemes --out phonemes.onnx" in capsys.readouterr().out
    check = "import sys, streamcell.export.command; sys.exit(bool({'torch', 'onnx', 'numpy'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0
