"""Memory that runs out, for real where a process may be given little of it."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from streamcell.train.shortage import ShortageError, explain_shortage, what_to_lower

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
TIGHT = """
import re, resource, sys
from pathlib import Path
import torch.utils.tensorboard, streamcell.train.session
from streamcell.runtime.cli.main import main
used = int(re.search(r"VmSize:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) << 10
resource.setrlimit(resource.RLIMIT_AS, (used + (600 << 20),) * 2)
sys.exit(main(sys.argv[1:]))
"""


def train(corpus: Path, text: str, out: Path, *more: str) -> subprocess.CompletedProcess[str]:
    """Train in a process that may take 600 MB more than it has when everything is imported."""
    recipe = corpus / "recipe.toml"
    recipe.write_text(text)
    arguments = ["train", recipe, "--data", corpus, "--out", out, "--threads", "1", *more]
    command = [sys.executable, "-c", TIGHT, *map(str, arguments)]
    return subprocess.run(command, check=False, capture_output=True, text=True)


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux how much memory the process has")
@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("lanes = 1\n", "lanes = 1000000\n", "train.lanes (1000000)"),
        ("hidden = 8", "hidden = 4096", "model.hidden (4096)"),
    ],
)
def test_too_much_is_refused_with_what_to_lower(corpus: Path, tmp_path: Path, old: str, new: str, named: str) -> None:
    result = train(corpus, GOOD + SMALL.replace(old, new), tmp_path / "run")
    assert result.returncode == 2, result.stderr
    last = result.stderr.strip().splitlines()[-1]
    assert last.startswith("streamcell: error: out of memory on the CPU; lower train.lanes (")
    assert named in last
    assert "Traceback" not in result.stderr


def huge_tensor() -> object:
    return torch.zeros(10**15)


def huge_array() -> object:
    return np.ones(10**15)


def gpu() -> object:
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")


def module() -> object:
    raise ImportError("/somewhere/_mt19937.cpython-311-x86_64-linux-gnu.so: failed to map segment from shared object")


def primitive() -> object:
    raise RuntimeError("could not create a primitive")


@pytest.mark.parametrize(
    ("ask", "where"),
    [(huge_tensor, "CPU"), (huge_array, "CPU"), (gpu, "GPU"), (module, "CPU"), (primitive, "CPU")],
)
def test_every_form_is_understood(ask: Callable[[], object], where: str) -> None:
    with (
        pytest.raises(ShortageError, match=rf"^out of memory on the {where}; buy more$"),
        explain_shortage(lambda: "buy more"),
    ):
        ask()


def test_other_errors_stay_what_they_are() -> None:
    with pytest.raises(RuntimeError, match="must match") as caught, explain_shortage(lambda: ""):
        torch.zeros(2) + torch.zeros(3)
    assert not isinstance(caught.value, ShortageError)
    with pytest.raises(RuntimeError, match="descriptor"), explain_shortage(lambda: ""):
        raise RuntimeError("could not create a primitive descriptor for an LSTM")
    with pytest.raises(ImportError, match="nothing"), explain_shortage(lambda: ""):
        raise ImportError("No module named 'nothing'")


def test_only_keys_that_a_recipe_has_are_named() -> None:
    class Bare:
        train = type("Train", (), {"lanes": 4})()

    assert what_to_lower(Bare()) == "train.lanes (4)"
