"""A stranger's model file, opened first in a process of its own, with little memory and little time.

The loader's checks are a fence, not a sandbox: ONNX Runtime compiles and runs what they let in. Here that happens where
a crash, an endless loop or a huge allocation hurts nobody. Files that have passed are remembered by their digest.
"""

import hashlib
import json
import math
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from streamcell.runtime.errors import ModelError

__all__ = ["ADVICE", "apart", "try_out"]

SECONDS = 20.0
"""How long a processor may be busy with opening a file and taking some steps."""

MEMORY = 3 << 29
"""How many bytes of address space that may take, beside eight times the file."""

ADVICE = "do not use it, or open it without a trial (--trust) if you know who made it"
"""What to do about a file that a trial refuses."""

_VERSION = 2  # raised where the trial becomes stricter
_LONGEST = 500  # letters of what went wrong
_PATIENCE = 5  # by the clock, where others are busy too


def try_out(data: bytes, seconds: float = SECONDS, memory: int = MEMORY) -> None:
    """Open a file and take some steps in a process of its own, unless that was done before.

    Args:
        data: The whole file.
        seconds: How long a processor may be busy with that; by the clock it may take five times as long.
        memory: How many bytes of address space it may use (on Linux), beside eight times the file.

    Raises:
        ModelError: If it cannot be opened or run there, crashes, or takes too long or too much.
    """
    passed = _record(data)
    with suppress(OSError):  # a folder that may not be read
        if passed is not None and passed.exists():
            return
    module = "streamcell.runtime.trial_child"
    _judge(*apart(module, seconds=seconds, memory=memory + 8 * len(data), data=data))
    if passed is not None:
        with suppress(OSError):
            passed.parent.mkdir(parents=True, exist_ok=True)
            passed.touch()


def apart(
    module: str, arguments: Sequence[str] = (), *, seconds: float, memory: int, data: bytes = b""
) -> tuple[int, str, str]:
    """Run ``python -m MODULE MEMORY SECONDS ARGUMENTS...``, a process that takes its limits to heart with `limit`.

    Args:
        module: Whose code runs, in a process of its own.
        arguments: What it is told besides its limits.
        seconds: How long it may keep a processor busy; by the clock five times as long.
        memory: How many bytes of address space it may use.
        data: What it reads from stdin.

    Returns:
        Its exit code, and what it wrote to stdout and stderr.

    Raises:
        ModelError: If it took too long, crashed, or could not be started.
    """
    # -P: files in the working directory are no modules
    command = [sys.executable, "-P", "-m", module, str(memory), str(math.ceil(seconds)), *arguments]
    one = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")  # each asks for memory
    environment = {**os.environ, **one, "PYTHONFAULTHANDLER": ""}
    late = f"it could not be opened and run within {seconds:g} s in a trial; {ADVICE}"
    try:
        done = subprocess.run(  # noqa: S603 - our own interpreter and module
            command, input=data, capture_output=True, timeout=_PATIENCE * seconds, check=False, env=environment
        )
    except subprocess.TimeoutExpired as error:
        raise ModelError(late) from error
    except OSError as error:
        raise ModelError(f"no process for a trial can be started ({error.strerror}); {ADVICE}") from error
    if done.returncode < 0:
        name = signal.Signals(-done.returncode).name
        crash = f"it crashes whoever opens it, with {name} in a trial; do not use it"
        killed = f"its trial was killed, as it took too much time or memory; {ADVICE}"
        raise ModelError({"SIGXCPU": late, "SIGKILL": killed}.get(name, crash))
    return done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")


def _judge(code: int, out: str, err: str) -> None:
    """Raise what a trial came to."""
    try:
        found = json.loads(out)
    except ValueError:
        last = err.strip().rpartition("\n")[2][:_LONGEST]
        found = {"error": f"its trial failed: {last or f'exit code {code}'}"}
    if code or found:
        raise ModelError(str(found.get("error", f"its trial failed: exit code {code}")))


def _record(data: bytes) -> Path | None:
    """Return the file that is there if these bytes have passed with this version; None where there is no home."""
    import onnxruntime

    digest = hashlib.sha256(f"{_VERSION} {onnxruntime.__version__} ".encode() + data).hexdigest()
    try:
        cache = Path(os.environ.get("XDG_CACHE_HOME", ""))
        cache = cache if cache.is_absolute() else Path.home() / ".cache"
    except RuntimeError:
        return None
    return cache / "streamcell" / "tried" / digest
