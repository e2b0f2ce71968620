"""The beginning: how long a new process takes until its first step is done, and what memory it has then."""

import json
import subprocess
import sys

import numpy as np

from streamcell.runtime.bench.machine import resident_mb
from streamcell.runtime.bench.report import Start
from streamcell.runtime.errors import StreamcellError

__all__ = ["measure_start"]

_PROCESSES = 3

_CODE = """
import sys, time
begin = time.perf_counter()
import numpy as np
from streamcell.runtime import Model, Stream
imported = time.perf_counter()
model = Model.open(sys.argv[1] or None, threads=int(sys.argv[2]))
opened = time.perf_counter()
Stream(model).push(np.zeros(model.manifest.input.sizes(1, model.manifest.steps_per_call or 1)[1:], np.float32))
pushed = time.perf_counter()
print([imported - begin, opened - imported, 1000 * (pushed - opened)], flush=True)
sys.stdin.read()  # until the memory was looked at
"""


def measure_start(source: str | None, threads: int) -> Start:
    """Start some new processes that open a model and push one step of zeros; return the medians.

    Args:
        source: As for `Model.open`.
        threads: As for `Model.open`.

    Raises:
        StreamcellError: If such a process fails.
    """
    rows = [_one(source, threads) for _ in range(_PROCESSES)]
    import_s, open_s, push_ms = (round(float(value), 4) for value in np.median([times for times, _ in rows], axis=0))
    memory = [mb for _, mb in rows if mb is not None]
    return Start(import_s, open_s, push_ms, round(float(np.median(memory)), 2) if memory else None, len(rows))


def _one(source: str | None, threads: int) -> tuple[list[float], float | None]:
    # -P: files in the working directory are no modules
    command = [sys.executable, "-P", "-c", _CODE, source or "", str(threads)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as process:  # noqa: S603 - our own code
        assert process.stdout is not None
        line = process.stdout.readline()
        memory = resident_mb(process.pid)
        _, complaint = process.communicate()
    if process.returncode:
        last = (complaint.strip().splitlines() or [f"exit code {process.returncode}"])[-1]
        raise StreamcellError(f"a new process could not open the model and push a step: {last}")
    return json.loads(line), memory
