"""A stranger's model file, opened first in a process of its own, with little memory and little time.

The loader's checks are a fence, not a sandbox: ONNX Runtime compiles and runs what they let in. Here that happens where
a crash, an endless loop or a huge allocation hurts nobody. Files that have passed are remembered by their digest.
"""

import hashlib
import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from streamcell.runtime.errors import ModelError

__all__ = ["try_out"]

SECONDS = 20.0
"""How long a file may take to be opened and to take some steps."""

MEMORY = 2 << 30
"""How many bytes of address space that may take, beside eight times the file."""

_VERSION = 1  # raised where the trial becomes stricter


def try_out(data: bytes, seconds: float = SECONDS, memory: int = MEMORY) -> None:
    """Open a file and take some steps in a process of its own, unless that was done before.

    Args:
        data: The whole file.
        seconds: How long that may take.
        memory: How many bytes of address space it may use (on Linux), beside eight times the file.

    Raises:
        ModelError: If it cannot be opened or run there, crashes, or takes too long or too much.
    """
    passed = _record(data)
    if passed is not None and passed.exists():
        return
    _judge(*_run(data, seconds, memory), seconds=seconds)
    if passed is not None:
        with suppress(OSError):
            passed.parent.mkdir(parents=True, exist_ok=True)
            passed.touch()


def _run(data: bytes, seconds: float, memory: int) -> tuple[int, str, str]:
    """Return the exit code of the trial, that of a process out of time if it took too long, and what it wrote."""
    command = [
        sys.executable,
        "-m",
        "streamcell.runtime.trial_child",
        str(memory + 8 * len(data)),
        str(int(seconds) + 1),
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONFAULTHANDLER": "0"}
    try:
        done = subprocess.run(  # noqa: S603 - our own interpreter and module
            command, input=data, capture_output=True, timeout=seconds, check=False, env=environment
        )
    except subprocess.TimeoutExpired:
        return -signal.SIGXCPU, "", ""
    return done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")


def _judge(code: int, out: str, err: str, *, seconds: float) -> None:
    """Raise what a trial came to."""
    if code in (-signal.SIGXCPU, -signal.SIGKILL):
        raise ModelError(f"it could not be opened and run within {seconds:g} s in a trial; do not use it")
    if code < 0:
        raise ModelError(f"it crashes whoever opens it, with {signal.Signals(-code).name} in a trial; do not use it")
    try:
        found = json.loads(out)
    except ValueError:
        found = {"error": err.strip().rpartition("\n")[2][:200] or f"exit code {code}"}
    if code or found:
        raise ModelError(str(found.get("error", f"exit code {code}")))


def _record(data: bytes) -> Path | None:
    """Return the file that is there if these bytes have passed with this version; None where there is no home."""
    import onnxruntime

    digest = hashlib.sha256(f"{_VERSION} {onnxruntime.__version__} ".encode() + data).hexdigest()
    try:
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    except RuntimeError:
        return None
    return cache / "streamcell" / "tried" / digest
