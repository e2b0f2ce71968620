"""The machine that is measured: processor, cores, versions, resident memory."""

import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

import numpy as np
import onnxruntime as ort

from streamcell.runtime.bench.report import Machine

__all__ = ["cores", "describe_machine", "one_core", "resident_mb"]


def describe_machine(threads: int) -> Machine:
    """Return what can be known of this machine; ``threads`` are the model's."""
    return Machine(
        processor=_processor(),
        system=f"{platform.system() or 'unknown system'} {platform.machine()}".strip(),
        cores=cores(),
        threads=threads,
        load=round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        streamcell=version("streamcell"),
        python=platform.python_version(),
        numpy=np.__version__,
        onnxruntime=ort.__version__,
    )


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def resident_mb(process: int | None = None) -> float | None:
    """Return the resident memory of a process, None for this one, in MB (1e6 bytes); None where there is no /proc."""
    try:
        pages = int(Path(f"/proc/{process or 'self'}/statm").read_text(encoding="ascii").split()[1])
    except OSError:
        return None
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


@contextmanager
def one_core() -> Iterator[bool]:
    """Keep this thread, and those that it starts, on one core; give whether the system can do that."""
    if not hasattr(os, "sched_setaffinity"):
        yield False
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(before)})
    try:
        yield True
    finally:
        os.sched_setaffinity(0, before)


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    pairs = (line.partition(":") for line in lines)
    facts = {key.strip(): value.strip() for key, _, value in pairs}
    name = facts.get("model name") or facts.get("Model") or facts.get("Hardware") or platform.processor()
    return name or "unknown processor"
