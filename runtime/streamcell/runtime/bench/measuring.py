"""Measure a model on this machine, part by part."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamcell.runtime.bench.endless import measure_memory
from streamcell.runtime.bench.files import measure_file
from streamcell.runtime.bench.heard import Heard
from streamcell.runtime.bench.latency import measure_latency
from streamcell.runtime.bench.machine import describe_machine
from streamcell.runtime.bench.report import Latencies, Latency, Machine, ModelFacts, Report
from streamcell.runtime.bench.start import measure_start
from streamcell.runtime.bench.streams import measure_streams, too_slow
from streamcell.runtime.errors import InputError
from streamcell.runtime.model import Model
from streamcell.runtime.models import read_model
from streamcell.runtime.stream import Stream

__all__ = ["PARTS", "measure"]

PARTS = ("start", "latency", "file", "streams", "memory")
"""What can be measured, in this order."""

_SHARES = {"start": 1, "latency": 6, "file": 2, "streams": 13, "memory": 3}
_LEAST, _MOST = 1.0, 7 * 86400.0  # seconds
_SPREAD = 2.0  # between the p99 of two halves
_FEW = 100  # steps


def measure(
    source: str | None = None,
    *,
    seconds: float = 50.0,
    threads: int = 1,
    audio: str | None = None,
    parts: Iterable[str] = PARTS,
    day: bool = False,
    progress: Callable[[str], None] = lambda _: None,
) -> Iterator[Report]:
    """Measure a model; give the same report again and again, first with nothing measured, then after each part.

    Args:
        source: As for `Model.open`.
        seconds: How long it takes, about; the parts share it.
        threads: As for `Model.open`.
        audio: A recording to hear; without one, noise.
        parts: Which of `PARTS`.
        day: Whether the part "memory" hears 24 hours, however long that takes.
        progress: Is told what is done now.

    Raises:
        InputError: If an argument does not fit, or the model takes tokens.
        ModelError: If the model cannot be run rightly, or has no segments.
        SourceError: If the recording gives no usable samples.
        MissingExtraError: If what reads the recording is not installed.

    Examples:
        >>> for report in measure(seconds=5):  # doctest: +SKIP
        ...     pass
        >>> print(table(report))  # doctest: +SKIP
    """
    chosen = _chosen(parts, seconds)
    model = Model.open(source, threads=threads)
    Stream(model)  # what is no stream is refused here, before anything is measured
    heard = Heard.of(model, audio)
    report = Report(_facts(source, model, heard), describe_machine(threads))
    report.warnings += _remarks(report.machine)
    bench = _Bench(source, model, heard, day, progress)
    yield report
    unit = seconds / sum(_SHARES[part] for part in chosen)
    for part in chosen:
        bench.run(part, report, _SHARES[part] * unit)
        yield report


def _chosen(parts: Iterable[str], seconds: float) -> list[str]:
    wanted = list(parts)
    if not wanted or not set(wanted) <= set(PARTS):
        raise InputError(f"expected parts of {', '.join(PARTS)}; got {', '.join(wanted) or 'none'}")
    if not _LEAST <= seconds <= _MOST:
        raise InputError(f"expected from {_LEAST:g} to {_MOST:g} seconds to measure in, got {seconds:g}")
    return [part for part in PARTS if part in wanted]


def _facts(source: str | None, model: Model, heard: Heard) -> ModelFacts:
    manifest, step = model.manifest, round(1000 * heard.seconds, 6)
    return ModelFacts(manifest.name, manifest.task, len(read_model(source)), model.fingerprint, step, heard.name)


@dataclass(frozen=True, slots=True)
class _Bench:
    """Measure one part after the other into a report."""

    source: str | None
    model: Model
    heard: Heard
    day: bool
    progress: Callable[[str], None]

    def run(self, part: str, report: Report, seconds: float) -> None:
        """Measure one of `PARTS` for about ``seconds``."""
        {
            "start": self._start,
            "latency": self._latency,
            "file": self._file,
            "streams": self._streams,
            "memory": self._memory,
        }[part](report, seconds)

    def _start(self, report: Report, _seconds: float) -> None:
        self.progress("new processes: import, open, first push")
        report.start = measure_start(self.source, report.machine.threads)

    def _latency(self, report: Report, seconds: float) -> None:
        self.progress(f"latency, in a loop and paced: {seconds:.0f} s")
        report.latency, report.times = measure_latency(self.model, self.heard, seconds)
        report.warnings += _doubts(report.latency, report.times["push_paced"], self.heard.seconds)

    def _file(self, report: Report, seconds: float) -> None:
        self.progress(f"a file: {seconds:.0f} s")
        report.file = measure_file(self.model, self.heard, seconds)

    def _streams(self, report: Report, seconds: float) -> None:
        if too_slow(self.heard, seconds):
            step = f"steps of {self.heard.seconds:g} s"
            report.warnings.append(f"streams were not counted: {seconds:.0f} s are too short a time for {step}")
            return
        self.progress(f"many streams at once: {seconds:.0f} s")
        report.streams = measure_streams(self.model, self.heard, seconds, self.progress)

    def _memory(self, report: Report, seconds: float) -> None:
        self.progress("a stream of 24 h, as fast as can be" if self.day else f"a stream without end: {seconds:.0f} s")
        report.memory = measure_memory(
            self.model, self.heard, None if self.day else seconds, self.progress if self.day else None
        )


def _remarks(machine: Machine) -> list[str]:
    """Say what of the machine may spoil figures."""
    found = []
    if machine.load is not None and machine.load > machine.cores:
        found.append(f"the machine is busy: a load average of {machine.load:g} on {machine.cores} core(s)")
    if machine.threads > 1:
        found.append(f"{machine.threads} threads share each call, so one core is not kept to")
    return found


def _doubts(latency: Latencies, live: NDArray[np.int64], step: float) -> list[str]:
    """Say what of the latencies is not to be relied on; ``live`` are the nanoseconds of `Latencies.push_paced`."""
    found = []
    if latency.push_paced.p50_us > 1e6 * step:
        found.append(
            f"slower than real time: a step of {1000 * step:g} ms takes {latency.push_paced.p50_us / 1000:.3g} ms"
        )
    if len(live) < _FEW:
        return [*found, f"{len(live)} paced steps are too few for a p99; give more --seconds"]
    p99 = [Latency.of(half).p99_us for half in np.array_split(live, 2)]
    if max(p99) > _SPREAD * min(p99):
        found.append(f"the paced p99 is unstable: {p99[0]:.0f} us in the first half, {p99[1]:.0f} us in the second")
    return found
