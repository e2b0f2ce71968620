"""What was measured, as values: one class a part, plain JSON by `Report.as_dict`."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "Carried",
    "FileSpeed",
    "Latencies",
    "Latency",
    "Machine",
    "Memory",
    "ModelFacts",
    "Report",
    "Start",
    "Streams",
]


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """Say what was measured.

    Attributes:
        name: As the manifest has it.
        task: As the manifest has it.
        bytes: Size of the file.
        fingerprint: `Model.fingerprint`.
        step_ms: Length of one step: of one call of the model where it takes a fixed number of its steps.
        sound: What it heard.
    """

    name: str
    task: str
    bytes: int
    fingerprint: str
    step_ms: float
    sound: str


@dataclass(frozen=True, slots=True)
class Machine:
    """Say where it was measured.

    Attributes:
        processor: Its name, or that it cannot be known.
        system: Operating system and architecture.
        cores: That this process may use.
        threads: Of ONNX Runtime, within one call.
        load: Load average of the last minute when the measurement began, or None where it cannot be known.
        streamcell: Version.
        python: Version.
        numpy: Version.
        onnxruntime: Version.
    """

    processor: str
    system: str
    cores: int
    threads: int
    load: float | None
    streamcell: str
    python: str
    numpy: str
    onnxruntime: str


@dataclass(frozen=True, slots=True)
class Start:
    """Hold the beginning of a new process, medians of some: seconds, ms and MB (1e6 bytes; None: not known here).

    Attributes:
        import_s: Importing the runtime, numpy and ONNX Runtime.
        open_s: `Model.open`.
        first_push_ms: Making a `Stream` and pushing its first step.
        memory_mb: Resident memory of the whole process after that.
        processes: How many there were.
    """

    import_s: float
    open_s: float
    first_push_ms: float
    memory_mb: float | None
    processes: int


@dataclass(frozen=True, slots=True)
class Latency:
    """Hold how long steps took, in microseconds.

    Attributes:
        steps: How many were timed.
        p50_us: Half of them took at most this.
        p95_us: 95 of 100.
        p99_us: 99 of 100.
        max_us: All.
    """

    steps: int
    p50_us: float
    p95_us: float
    p99_us: float
    max_us: float

    @classmethod
    def of(cls, times: Sequence[int] | NDArray[np.int64]) -> Self:
        """Sum up durations in nanoseconds.

        Examples:
            >>> Latency.of([1000, 2000, 3000])
            Latency(steps=3, p50_us=2.0, p95_us=2.9, p99_us=2.98, max_us=3.0)
        """
        shares = np.quantile(times, [0.5, 0.95, 0.99, 1]) / 1000
        return cls(len(times), *(round(float(share), 3) for share in shares))


@dataclass(frozen=True, slots=True)
class Latencies:
    """Hold the latency of one step, in a tight loop and paced at real time.

    Attributes:
        push_loop: `Stream.push` of one step, again and again.
        push_paced: The same, each when its last sample is due.
        model_loop: The bare model, `Stepper.run`, in turns with ``push_loop``.
        model_paced: The same, paced.
        cpu_share: Processor time by time gone by while ``push_paced`` was measured; 0.01 is 1% of a core.
    """

    push_loop: Latency
    push_paced: Latency
    model_loop: Latency
    model_paced: Latency
    cpu_share: float


@dataclass(frozen=True, slots=True)
class FileSpeed:
    """Hold how fast one stream of quality ``"file"`` is, in one thread, without reading or converting a file.

    Attributes:
        times_real_time: Seconds of input a second.
        seconds: Of input that were heard.
    """

    times_real_time: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Carried:
    """Hold how many live streams a `StreamPool` carried with a p99 delay below one step.

    The delay of a step is counted from the moment its last sample was due. The load is made in the same process. A
    number is too many where two trials out of two were too slow.

    Attributes:
        streams: The most that were carried; 0 where not even one was.
        p99_ms: Their p99 delay, or None for 0 streams.
        too_many: The fewest that were not, or None where nothing was found to be too many.
        workers: Threads of the pool.
        pinned: Whether all of the process was kept on one core.
        wait_ms: How long a stream waited for company: the pool's ``max_latency_ms``.
        trial_s: Length of one trial.
    """

    streams: int
    p99_ms: float | None
    too_many: int | None
    workers: int
    pinned: bool
    wait_ms: float
    trial_s: float


@dataclass(frozen=True, slots=True)
class Streams:
    """Hold what one core carries, and what all cores do (None where there is but one)."""

    one_core: Carried
    all_cores: Carried | None


@dataclass(frozen=True, slots=True)
class Memory:
    """Hold what a stream that never ends does to memory (MB, 1e6 bytes; None: not known here) and to latency.

    Attributes:
        hours: Of sound or samples that were really heard, as fast as can be.
        whole_day: Whether these were the 24 h, or ``mb_per_day`` is extrapolated.
        begin_mb: Resident memory after the first minute, or after the first fifth where there was less.
        growth_mb: From there to the end.
        mb_per_day: Slope of what lies between, by 24 h.
        first_p50_us: Of a push in the first 24th of the time.
        last_p50_us: Of a push in the last 24th.
    """

    hours: float
    whole_day: bool
    begin_mb: float | None
    growth_mb: float | None
    mb_per_day: float | None
    first_p50_us: float
    last_p50_us: float


@dataclass(slots=True)
class Report:
    """Hold what is known so far; parts that were not measured are None.

    Attributes:
        model: What.
        machine: Where.
        start: A new process.
        latency: One step.
        file: Files.
        streams: Many streams.
        memory: A day.
        warnings: Why figures may not hold.
        times: Durations in nanoseconds behind ``latency``, by its names; not in the JSON.
    """

    model: ModelFacts
    machine: Machine
    start: Start | None = None
    latency: Latencies | None = None
    file: FileSpeed | None = None
    streams: Streams | None = None
    memory: Memory | None = None
    warnings: list[str] = field(default_factory=list)
    times: dict[str, NDArray[np.int64]] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Return all but ``times`` as plain JSON values."""
        values = asdict(self)
        del values["times"]
        return values
