"""What users install: the built wheel, with the model in it; and what importing the runtime does not import."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from helpers import SAMPLES

ROOT = Path(__file__).parent.parent
HEAVY = ("torch", "onnx", "librosa", "scipy", "matplotlib", "soundfile", "sounddevice", "serial", "paho", "rich")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(ROOT)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    (built,) = out.glob("*.whl")
    return built


def test_the_wheel_holds_all_parts_the_model_and_the_types(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    for name in (
        "streamcell/__main__.py",
        "streamcell/runtime/py.typed",
        "streamcell/runtime/models/phonemes-en.onnx",
        "streamcell/runtime/models/phonemes-en-live.onnx",
        "streamcell/runtime/models/phonemes-en-small.onnx",
        "streamcell/runtime/formats/transcript.schema.json",
        "streamcell/train/py.typed",
        "streamcell/export/py.typed",
    ):
        assert name in names
    assert "streamcell/__init__.py" not in names
    assert not [name for name in names if not name.startswith(("streamcell/", "streamcell-"))]
    assert zipfile.ZipFile(wheel).getinfo("streamcell/runtime/models/phonemes-en.onnx").file_size <= 10_000_000


def test_the_installed_wheel_hears_phones(wheel: Path, tmp_path: Path) -> None:
    zipfile.ZipFile(wheel).extractall(tmp_path)
    code = (
        "import streamcell.runtime; from streamcell.runtime.cli.main import main;"
        f"assert streamcell.runtime.__file__.startswith({str(tmp_path)!r}), streamcell.runtime.__file__;"
        f"raise SystemExit(main(['transcribe', {str(SAMPLES / 'reader.flac')!r}]))"
    )
    result = python(code, env={**os.environ, "PYTHONPATH": str(tmp_path)})
    assert len(result.splitlines()) > 20


@pytest.mark.parametrize("module", ["streamcell.runtime", "streamcell.runtime.stream", "streamcell.runtime.cli.main"])
def test_importing_the_runtime_imports_nothing_heavy(module: str) -> None:
    code = f"import sys, {module}; print(*[m for m in {HEAVY} if m in sys.modules])"
    assert python(code).split() == []


def test_opening_and_streaming_imports_nothing_heavy() -> None:
    code = (
        "import sys, numpy as np; from streamcell.runtime import Model, Stream; s = Stream(Model.open());"
        f"s.push(np.zeros(16000, np.float32)); s.flush(); print(*[m for m in {HEAVY} if m in sys.modules])"
    )
    assert python(code).split() == []


def test_help_imports_neither_torch_nor_onnx() -> None:
    for arguments in (["--help"], ["transcribe", "--help"], ["train", "--help"], ["export", "--help"]):
        code = (
            "import sys; from streamcell.runtime.cli.main import main\n"
            f"try: main({arguments})\nexcept SystemExit: pass\n"
            "print('heavy:', *[m for m in ('torch', 'onnx', 'librosa') if m in sys.modules])"
        )
        assert python(code).splitlines()[-1].split() == ["heavy:"], arguments


def python(code: str, env: dict[str, str] | None = None) -> str:
    command = [sys.executable, "-c", code]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=env).stdout
