import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
import soundfile
from numpy.typing import NDArray

from benchmarks.steps import features_model
from helpers import SAMPLES, tiny_model
from streamcell.runtime import InputError, MissingExtraError, Model, OverloadError, SourceError, StreamPool
from streamcell.runtime.bench import PARTS, Report, measure, table
from streamcell.runtime.bench.endless import trend
from streamcell.runtime.bench.heard import Heard
from streamcell.runtime.bench.latency import bare, in_turns, paced, pushing
from streamcell.runtime.bench.load import Clock, Played, play
from streamcell.runtime.bench.machine import one_core
from streamcell.runtime.bench.measuring import _doubts, _remarks
from streamcell.runtime.bench.picture import histogram
from streamcell.runtime.bench.report import Latencies, Latency
from streamcell.runtime.bench.streams import measure_streams, search, too_slow
from streamcell.runtime.cli import bench as command
from streamcell.runtime.cli.main import main

MODELS: dict[str, Callable[[], bytes]] = {
    "audio": lambda: tiny_model(samples_per_step=320, sample_rate=16000),
    "features": lambda: features_model(inputs=3, hidden=8),
    "calls": lambda: tiny_model(samples_per_step=160, sample_rate=16000, steps_per_call=3, batch_invariant=False),
}
STEP_MS = {"audio": 20.0, "features": 10.0, "calls": 30.0}


@pytest.fixture(scope="module", params=MODELS)
def measured(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path, Report, int]:
    """Measure each kind of model once; return its kind, file, the last report and how many there were."""
    path = tmp_path_factory.mktemp("bench") / "model.onnx"
    path.write_bytes(MODELS[request.param]())
    reports = list(measure(str(path), seconds=3))
    return request.param, path, reports[-1], len(reports)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.onnx"
    path.write_bytes(MODELS["audio"]())
    return path


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    code = main(["bench", *map(str, arguments)])
    out, err = capsys.readouterr()
    return code, out, err


def ordered(latency: Latency) -> bool:
    return 0 < latency.p50_us <= latency.p95_us <= latency.p99_us <= latency.max_us


# what is measured


def test_the_facts_are_the_models(measured: tuple[str, Path, Report, int]) -> None:
    kind, path, report, count = measured
    model = Model.open(path)
    assert count == 1 + len(PARTS)
    assert report.model.bytes == path.stat().st_size
    assert (report.model.name, report.model.task) == (model.manifest.name, model.manifest.task)
    assert (report.model.fingerprint, report.model.step_ms) == (model.fingerprint, STEP_MS[kind])
    assert report.machine.python == ".".join(map(str, sys.version_info[:3]))
    assert report.machine.numpy == np.__version__
    assert 1 <= report.machine.cores <= (os.cpu_count() or 1)


def test_latencies_are_positive_and_ordered(measured: tuple[str, Path, Report, int]) -> None:
    kind, _, report, _ = measured
    latency = report.latency
    assert latency is not None
    for name in ("push_loop", "push_paced", "model_loop", "model_paced"):
        one: Latency = getattr(latency, name)
        assert ordered(one), f"{kind} {name}: {one}"
        assert one.steps == len(report.times[name])
        assert one == Latency.of(report.times[name])
    assert latency.push_paced.steps == int(3 * 6 / 25 / 2 / (STEP_MS[kind] / 1000))
    assert latency.cpu_share > 0


def test_the_other_parts_have_figures(measured: tuple[str, Path, Report, int]) -> None:
    _, _, report, _ = measured
    assert report.start is not None
    assert min(report.start.import_s, report.start.open_s, report.start.first_push_ms) > 0
    assert report.start.memory_mb is None or report.start.memory_mb > 10
    assert report.file is not None
    assert report.file.times_real_time > 0
    assert report.file.seconds > 0
    assert report.streams is not None
    assert report.streams.one_core.workers == 1
    for one in filter(None, (report.streams.one_core, report.streams.all_cores)):
        assert (one.p99_ms is None) == (one.streams == 0)
        assert one.p99_ms is None or 0 < one.p99_ms < report.model.step_ms
        assert one.too_many is None or one.too_many > one.streams
    assert report.memory is not None
    assert not report.memory.whole_day
    assert report.memory.hours > 0
    assert min(report.memory.first_p50_us, report.memory.last_p50_us) > 0


def test_the_table_has_the_figures_of_the_json(measured: tuple[str, Path, Report, int]) -> None:
    _, _, report, _ = measured
    text, values = table(report), json.loads(json.dumps(report.as_dict(), allow_nan=False))
    for row, name in (
        ("push, in a loop", "push_loop"),
        ("push, paced", "push_paced"),
        ("bare model, in a loop", "model_loop"),
        ("bare model, paced", "model_paced"),
    ):
        found = re.search(rf"^{row} +(\d+)" + r" +([\d.]+)" * 4 + "$", text, re.MULTILINE)
        assert found, text
        one = values["latency"][name]
        shown = [str(one["steps"]), *(f"{one[key]:.1f}" for key in ("p50_us", "p95_us", "p99_us", "max_us"))]
        assert list(found.groups()) == shown
    start, memory, one = values["start"], values["memory"], values["streams"]["one_core"]
    for part in (
        f"{values['latency']['cpu_share'] * 100:.2f}% of a core",
        f"{values['file']['times_real_time']:.1f} times real time",
        f"{one['streams']} with p99 {one['p99_ms']:.1f} ms" if one["streams"] else "not even one",
        f"import {start['import_s']:.3f} s, open {start['open_s']:.3f} s",
        f"{memory['mb_per_day']:+.2f} MB extrapolated; {memory['growth_mb']:+.3f} MB in {memory['hours']:.2f} h",
        f"fingerprint {values['model']['fingerprint'][:16]}",
        f"onnxruntime {values['machine']['onnxruntime']}",
        *(f"warning: {warning}" for warning in values["warnings"]),
    ):
        assert part in text
    assert "times" not in values


def test_a_report_grows_part_by_part(model: Path) -> None:
    reports = measure(str(model), seconds=1, parts=["file", "latency"])
    report = next(reports)
    assert (report.latency, report.file) == (None, None)
    next(reports)
    assert report.latency is not None
    assert report.file is None
    assert "times real time" not in table(report)
    next(reports)
    assert report.file is not None
    assert (report.start, report.streams, report.memory) == (None, None, None)
    assert next(reports, None) is None


def test_a_recording_is_what_is_heard(model: Path) -> None:
    path = SAMPLES / "learner.flac"
    heard = Heard.of(Model.open(model), str(path))
    sound, rate = soundfile.read(path, dtype="float32")
    assert rate == 16000
    assert heard.steps == len(sound) // 320 > 10
    np.testing.assert_array_equal(heard.step(heard.steps + 3), sound[3 * 320 : 4 * 320])


def test_noise_fits_any_model() -> None:
    for kind, make in MODELS.items():
        heard = Heard.of(Model.open(make()))
        assert heard.seconds * 1000 == STEP_MS[kind]
        assert heard.step(0).shape == {"audio": (320,), "features": (1, 3), "calls": (480,)}[kind]
        assert np.array_equal(heard.step(0), heard.step(heard.steps))
        assert not np.array_equal(heard.step(0), heard.step(1))


# latency


def test_ways_in_turns_hear_the_same_steps(model: Path) -> None:
    heard = Heard.of(Model.open(model))
    said: list[list[NDArray[np.float32]]] = [[], []]
    times = in_turns(heard, [said[0].append, said[1].append], 0.3)
    for one, found in zip(said, times, strict=True):
        assert len(one) == 20 + len(found)  # the first are not timed
        assert all(np.array_equal(one[20 + k], heard.step(k)) for k in range(0, len(found), 97))


def test_paced_steps_come_when_they_are_due(model: Path) -> None:
    heard, when = Heard.of(Model.open(model)), list[float]()
    times = paced(heard, lambda _: when.append(time.perf_counter()), 0.4)
    assert len(times) == 20
    waited = np.array(when[-20:]) - when[-21]  # since the last that is not timed
    assert (waited >= 0.02 * np.arange(20)).all()  # never before it is due


@pytest.mark.parametrize("kind", MODELS)
def test_one_push_is_one_step_of_the_model(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model, runs = Model.open(MODELS[kind]()), list[int]()
    heard, real = Heard.of(model), ort.InferenceSession.run_with_iobinding

    def run(session: ort.InferenceSession, binding: ort.IOBinding) -> None:
        runs.append(1)
        real(session, binding)

    for step in (pushing(model), bare(model)):
        with monkeypatch.context() as patch:
            patch.setattr(ort.InferenceSession, "run_with_iobinding", run)
            runs.clear()
            for number in range(5):
                step(heard.step(number))
        assert len(runs) == 5


def test_latency_of_known_times() -> None:
    times = np.arange(1, 1001) * 1000
    assert Latency.of(times) == Latency(1000, 500.5, 950.05, 990.01, 1000.0)


# streams


@pytest.mark.parametrize("limit", [0, 1, 2, 3, 7, 100, 129, 5000])
@pytest.mark.parametrize("start", [1, 10, 3000])
def test_search_finds_the_limit(limit: int, start: int) -> None:
    tried: list[int] = []

    def carries(number: int) -> bool:
        tried.append(number)
        return number <= limit

    low, high = search(carries, start, 4096, lambda: True)
    assert low <= limit
    assert max(tried) <= 4096
    assert len(tried) == len(set(tried)) <= 20
    if limit >= 4096:
        assert (low, high) == (4096, None)
    else:
        assert high is not None
        assert low <= limit < high
        assert high - low <= max(1, 0.08 * low)


def test_search_without_time_goes_on_until_one_is_carried() -> None:
    assert search(lambda number: number <= 100, 10, 4096, lambda: False) == (10, None)
    assert search(lambda number: number <= 3, 40, 4096, lambda: False) == (2, 5)
    assert search(lambda number: False, 40, 4096, lambda: False) == (0, 1)


def test_played_streams_are_all_answered_and_none_before_it_is_due(model: Path) -> None:
    opened = Model.open(model)
    heard, clock = Heard.of(opened), Clock(0.02)
    pushed: list[tuple[int, int]] = []

    def block(k: int, step: int) -> NDArray[np.float32]:
        pushed.append((k, step))
        return heard.step(step)

    with StreamPool(opened, 8, max_latency_ms=1, notify=clock.answered) as pool:
        ids = [pool.open() for _ in range(5)]
        for streams in (ids[1:], ids[:2]):
            pushed.clear()
            played = play(pool, clock, streams, block, 10)
            assert pushed == [(k, step) for step in range(10) for k in range(len(streams))]
            assert (played.refused, played.unanswered, played.given_up) == (0, 0, False)
            assert len(played.delays) == len(pushed)
            assert played.delays.min() > -0.02
            assert played.calls <= len(played.delays)
            assert 0 < played.p99() < np.inf


def test_what_a_pool_does_not_take_or_answer_is_infinitely_late(model: Path) -> None:
    opened = Model.open(model)
    heard, clock = Heard.of(opened), Clock(0.001)
    with StreamPool(opened, 2, max_waiting=0.1, workers=0, notify=clock.answered) as pool:
        played = play(pool, clock, [pool.open()], lambda _, step: heard.step(step), 8, ending=0.1)
    assert played.refused == 3
    assert played.unanswered == 5
    assert len(played.delays) == 0
    assert played.p99() == np.inf


def test_a_clock_knows_delays_though_a_call_takes_several_steps() -> None:
    clock = Clock(1.0)
    begin = time.perf_counter() - 10
    clock.start([7, 9], begin)
    for _ in range(3):
        clock.expect(0)
    clock.answered([7], 2)
    assert clock.unanswered == 1
    clock.answered([7], 1)
    assert clock.unanswered == 0
    clock.expect(0)
    clock.expect(1)
    clock.answered([7, 9], 1)
    first, _, second = clock.delays
    assert first == pytest.approx([9.0, 8.0], abs=0.5)  # due at 1 and 2
    assert second == pytest.approx([6.0, 8.5], abs=0.5)  # due at 4 and 1.5
    assert clock.last == max(second)
    assert clock.dues(2)[1] == pytest.approx(begin + 3.5)


def test_p99_counts_what_was_lost() -> None:
    delays = np.arange(1, 101) / 1000
    assert Played(delays, 1, 0, 0, False).p99() == 0.1
    assert Played(delays[::-1], 1, 0, 0, False).p99(skip=2) == 0.098
    assert Played(delays, 1, 1, 1, False).p99() == np.inf
    assert Played(delays, 1, 0, 0, True).p99() == np.inf
    assert Played(delays[:0], 1, 0, 0, False).p99() == np.inf


def test_progress_tells_each_trial(model: Path) -> None:
    opened, told = Model.open(model), list[str]()
    streams = measure_streams(opened, Heard.of(opened), 2.0, told.append)
    carried = [line for line in told if line.startswith("1 worker, ") and line.endswith("carried")]
    counts = [int(line.split()[2]) for line in carried]
    assert streams.one_core.streams == max(counts, default=0)
    refused = [int(line.split()[2]) for line in told if line.startswith("1 worker, ") and line.endswith("too many")]
    assert all(refused.count(number) == 2 or number in counts for number in refused)
    assert streams.one_core.trial_s == pytest.approx(0.5)


def test_long_steps_are_not_tried(tmp_path: Path) -> None:
    path = tmp_path / "slow.onnx"
    path.write_bytes(tiny_model(samples_per_step=16, sample_rate=16))
    heard = Heard.of(Model.open(path))
    assert too_slow(heard, 3)
    assert not too_slow(heard, 300)
    *_, report = measure(str(path), seconds=1, parts=["streams"])
    assert report.streams is None
    assert report.warnings[-1] == "streams were not counted: 1 s are too short a time for steps of 1 s"


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="needs Linux")
def test_one_core_is_given_back() -> None:
    before = os.sched_getaffinity(0)
    with one_core() as pinned:
        assert pinned
        assert len(os.sched_getaffinity(0)) == 1
    assert os.sched_getaffinity(0) == before


# memory


def test_trend_of_known_memory() -> None:
    hours = np.arange(1, 241) / 10
    leak = np.where(hours < 0.1, 0, 80 + 2 * hours)
    assert trend(hours, leak) == (80.2, 47.8, 48.0)
    jump = np.where(hours < 12, 80.0, 81.0)
    assert trend(hours, jump) == (80.0, 1.0, 0.0)
    assert trend(hours, np.full(240, np.nan)) == (None, None, None)
    short = hours / 10_000
    assert trend(short, np.where(short < short[-1] / 5, 50, 60.0)) == (60.0, 0.0, 0.0)


def test_a_day_is_a_day(tmp_path: Path) -> None:
    path = tmp_path / "slow.onnx"
    path.write_bytes(tiny_model(samples_per_step=160, sample_rate=16))  # steps of 10 s
    told: list[str] = []
    *_, report = measure(str(path), seconds=1, parts=["memory"], day=True, progress=told.append)
    assert report.memory is not None
    assert (report.memory.hours, report.memory.whole_day) == (24.0, True)
    assert [line.split()[0] for line in told[1:]] == [f"{hour:.1f}" for hour in range(1, 25)]
    assert "MB measured; " in table(report)


# warnings


def latencies(p50: float) -> Latencies:
    one = Latency(500, p50, p50, p50, p50)
    return Latencies(one, one, one, one, 0.1)


def test_warnings_say_what_is_doubtful(measured: tuple[str, Path, Report, int]) -> None:
    machine = replace(measured[2].machine, cores=2, load=2.0, threads=1)
    assert _remarks(machine) == []
    assert _remarks(replace(machine, load=None)) == []
    assert "load average of 2.5 on 2 core(s)" in _remarks(replace(machine, load=2.5))[0]
    assert "4 threads" in _remarks(replace(machine, threads=4))[0]
    steady = np.full(500, 50_000)
    assert _doubts(latencies(50), steady, 0.02) == []
    assert "20 ms takes 50 ms" in _doubts(latencies(50_000), steady, 0.02)[0]
    assert "99 paced steps are too few" in _doubts(latencies(50), steady[:99], 0.02)[0]
    shaky = np.where(np.arange(500) < 250, 50_000, 101_000)
    assert "50 us in the first half, 101 us in the second" in _doubts(latencies(50), shaky, 0.02)[0]


# the picture


def test_the_bars_count_every_step() -> None:
    random = np.random.default_rng(0)
    names = {"push_loop": 3000, "model_loop": 2000, "push_paced": 150, "model_paced": 70}
    times = {name: (random.lognormal(4, 1, count) * 1000).astype(np.int64) for name, count in names.items()}
    figure = histogram(times, 30.0, "tiny")
    above, below = figure.axes
    for axes, expected in ((above, [3000, 2000]), (below, [150, 70])):
        assert [round(sum(bar.get_height() for bar in bars)) for bars in axes.containers] == expected
        assert axes.get_xscale() == "log"
        assert "steps" in axes.get_ylabel()
        assert [line.get_xdata()[0] for line in axes.lines] == [30_000]  # type: ignore[index]
    assert "microseconds" in below.get_xlabel()


# the command


def test_the_command_prints_and_writes_the_same(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    figures, picture = tmp_path / "figures.json", tmp_path / "latency.png"
    code, out, err = run(
        capsys, model, "--seconds", 1, "--only", "latency", "file", "--json", figures, "--plot", picture
    )
    assert code == 0
    assert err.splitlines() == [
        "streamcell: latency, in a loop and paced: 1 s",
        "streamcell: a file: 0 s",
    ]
    values = json.loads(figures.read_text())
    assert list(values) == ["model", "machine", "start", "latency", "file", "streams", "memory", "warnings"]
    assert values["start"] is None
    assert f"{values['file']['times_real_time']:.1f} times real time" in out
    assert f"{values['latency']['push_loop']['p99_us']:.1f}" in out
    assert picture.read_bytes().startswith(b"\x89PNG\r\n")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["none.onnx"], "none.onnx: no such file"),
        (["--json", "nowhere/figures.json"], "--json nowhere/figures.json: nowhere is no folder"),
        (["--json", "."], "--json .: is a folder"),
        (["--plot", "nowhere/a.png"], "--plot nowhere/a.png: nowhere is no folder"),
        (["--plot", "a.txt"], "expected a name that ends with .png, .svg, .pdf"),
        (["--plot", "a.png", "--only", "file"], "add latency to --only"),
        (["--day", "--only", "file"], "add memory to --only"),
        (["--seconds", "0"], "expected from 1 to 604800 seconds"),
        (["--seconds", "nan"], "expected from 1 to 604800 seconds"),
        (["--threads", "0"], "expected 1 to 256 threads"),
        (["--audio", "none.wav"], "none.wav"),
    ],
)
def test_bad_input_is_said_before_the_work_begins(
    arguments: list[str],
    says: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = run(capsys, *arguments)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("streamcell: error: ")
    assert says in err
    assert list(tmp_path.iterdir()) == []


def test_features_have_no_recording(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="takes features, not audio"):
        Heard.of(Model.open(features_model()), str(SAMPLES / "learner.flac"))
    soundfile.write(tmp_path / "empty.wav", np.zeros(0), 16000)
    with pytest.raises((InputError, SourceError), match="empty"):
        Heard.of(Model.open(), str(tmp_path / "empty.wav"))


def test_parts_are_known() -> None:
    assert command._PARTS == PARTS
    with pytest.raises(InputError, match="expected parts of start, latency, file, streams, memory; got speed"):
        next(measure(parts=["speed"]))


def test_a_picture_without_matplotlib_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "find_spec", lambda _: None)
    with pytest.raises(MissingExtraError, match=r"streamcell\[plot\]"):
        main_raising("--plot", "a.png")


def main_raising(*arguments: str) -> int:
    import argparse

    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    return command.run(parser.parse_args(arguments))


@pytest.mark.parametrize("end", [KeyboardInterrupt, OverloadError("too much")])
def test_what_is_known_is_printed_where_it_ends_early(
    end: Any, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stop(*_: object) -> None:
        raise end

    monkeypatch.setattr("streamcell.runtime.bench.measuring.measure_file", stop)
    code, out, err = run(capsys, model, "--seconds", 1, "--only", "latency", "file", "--json", tmp_path / "a.json")
    assert code == (130 if end is KeyboardInterrupt else 2)
    assert "push, in a loop" in out
    assert "times real time" not in out
    assert json.loads((tmp_path / "a.json").read_text())["latency"]["push_loop"]["steps"] > 0
    assert ("error: too much" in err) == (code == 2)


def test_ctrl_c_amid_the_streams_prints_the_table(model: Path) -> None:
    call = [sys.executable, "-m", "streamcell", "bench", str(model), "--only", "file", "streams", "--seconds", "20"]
    with subprocess.Popen(call, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "1 worker, " in line:
                break
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert (process.returncode, "Traceback" in err) == (130, False), err
    assert "times real time" in out
    assert "streams, one core" not in out


def test_a_start_that_fails_is_said(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reports = measure(str(model), seconds=1, parts=["start"])
    next(reports)
    model.unlink()
    with pytest.raises(Exception, match=r"a new process could not open the model and push a step: .*no such file"):
        next(reports)


def test_help_and_other_commands_import_no_matplotlib(model: Path) -> None:
    code = (
        "import sys; from streamcell.runtime.cli.main import main\n"
        f"main(['bench', {str(model)!r}, '--seconds', '1', '--only', 'file'])\n"
        "print('heavy:', *[m for m in ('torch', 'onnx', 'matplotlib') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.splitlines()[-1].split() == ["heavy:"]
