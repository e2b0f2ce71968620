"""A report as text."""

from collections.abc import Iterator

from streamcell.runtime.bench.report import Carried, Latencies, Memory, Report, Start

__all__ = ["table"]

_WIDTH = 22
_COLUMNS = ("p50_us", "p95_us", "p99_us", "max_us")


def table(report: Report) -> str:
    """Write what is known so far, every figure with its unit; the numbers are those of `Report.as_dict`, rounded."""
    lines = [f"{key:<{_WIDTH}}{value}" for key, value in _facts(report)]
    if report.latency is not None:
        lines += ["", *_latency(report.latency, report.model.step_ms)]
    if figures := [f"{key:<{_WIDTH}}{value}" for key, value in _figures(report)]:
        lines += ["", *figures]
    return "\n".join([*lines, *(f"warning: {warning}" for warning in report.warnings)])


def _facts(report: Report) -> Iterator[tuple[str, str]]:
    model, machine = report.model, report.machine
    yield "model", f"{model.name}, {model.task}, {model.bytes / 1e6:.2f} MB, fingerprint {model.fingerprint:.16}"
    yield "step", f"{model.step_ms:g} ms; heard: {model.sound}"
    load = "unknown" if machine.load is None else f"{machine.load:g}"
    yield "machine", f"{machine.processor}, {machine.cores} core(s), load average {load} at the beginning"
    yield "threads of a call", f"{machine.threads}"
    versions = f"streamcell {machine.streamcell}, Python {machine.python}, numpy {machine.numpy}"
    yield "versions", f"{versions}, onnxruntime {machine.onnxruntime}, {machine.system}"


def _latency(latency: Latencies, step_ms: float) -> Iterator[str]:
    heads = "".join(f"{name.removesuffix('_us'):>10}" for name in _COLUMNS)
    yield f"{'microseconds a step':<{_WIDTH}}{'steps':>8}{heads}"
    for key, one in (
        ("push, in a loop", latency.push_loop),
        ("push, paced", latency.push_paced),
        ("bare model, in a loop", latency.model_loop),
        ("bare model, paced", latency.model_paced),
    ):
        yield f"{key:<{_WIDTH}}{one.steps:>8}" + "".join(f"{getattr(one, name):>10.1f}" for name in _COLUMNS)
    yield f"(paced: one every {step_ms:g} ms, as samples come in; the processor rests between)"


def _figures(report: Report) -> Iterator[tuple[str, str]]:
    if report.latency is not None:
        yield "one stream, paced", f"{100 * report.latency.cpu_share:.2f}% of a core"
    if report.file is not None:
        yield "file, one thread", f"{report.file.times_real_time:.1f} times real time, without reading the file"
    if report.streams is not None:
        yield "streams, one core", _carried(report.streams.one_core)
        if report.streams.all_cores is not None:
            yield f"streams, {report.streams.all_cores.workers} cores", _carried(report.streams.all_cores)
    if report.start is not None:
        yield from _start(report.start)
    if report.memory is not None:
        yield from _memory(report.memory)


def _carried(carried: Carried) -> str:
    if not carried.streams:
        return "not even one with a p99 delay below a step"
    limit = "more were not tried" if carried.too_many is None else f"{carried.too_many} were too many"
    core = "all on one core" if carried.pinned else f"{carried.workers} worker(s), load made beside"
    how = f"{core}, trials of {carried.trial_s:g} s"
    return f"{carried.streams} with p99 {carried.p99_ms:.1f} ms; {limit} ({how})"


def _start(start: Start) -> Iterator[tuple[str, str]]:
    yield (
        "a new process",
        f"import {start.import_s:.3f} s, open {start.open_s:.3f} s, first push {start.first_push_ms:.1f} ms",
    )
    yield "memory after that", "unknown" if start.memory_mb is None else f"{start.memory_mb:.1f} MB"


def _memory(memory: Memory) -> Iterator[tuple[str, str]]:
    heard = f"{memory.hours:.2f} h heard"
    if memory.mb_per_day is None or memory.growth_mb is None:
        yield "memory over a day", f"unknown ({heard})"
    else:
        how = "measured" if memory.whole_day else "extrapolated"
        yield "memory over a day", f"{memory.mb_per_day:+.2f} MB {how}; {memory.growth_mb:+.3f} MB in {heard}"
    yield "push, first and last", f"{memory.first_p50_us:.1f} and {memory.last_p50_us:.1f} us p50 of that time's 24ths"
