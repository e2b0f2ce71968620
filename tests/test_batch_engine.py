import os
import signal
import time
from collections.abc import Callable, Generator, Iterator
from multiprocessing import active_children
from pathlib import Path
from threading import Event, Thread

import numpy as np
import pytest
import soundfile

from batches import RATE, parts, results, save_many, save_model, save_noise
from helpers import noise
from streamcell.runtime.batch.job import Heard, Job, Outcome, Task
from streamcell.runtime.batch.lanes import Lanes, hear_here
from streamcell.runtime.batch.record import Record
from streamcell.runtime.batch.workers import hear_in_processes
from streamcell.runtime.errors import InputError, ModelError
from streamcell.runtime.events import Event as Something
from streamcell.runtime.events import Gap, Segment
from streamcell.runtime.formats import jsonl
from streamcell.runtime.model import Model
from streamcell.runtime.transcribe import transcribe_file

Engine = Callable[[Job, Iterator[Task]], Generator[Outcome | Heard, None, None]]


def two(job: Job, tasks: Iterator[Task]) -> Generator[Outcome | Heard, None, None]:
    return hear_in_processes(job, tasks, 2)


def job_of(model: str, folder: Path, invalid: str = "error", **changes: object) -> Job:
    return Job(model, Model.open(model).fingerprint, str(folder), ("jsonl",), False, invalid)  # type: ignore[arg-type]


def tasks_of(paths: list[Path]) -> list[Task]:
    return [Task(number, str(path), path.stem) for number, path in enumerate(paths)]


def outcomes(engine: Engine, job: Job, paths: list[Path]) -> list[Outcome]:
    """Return what became of each, in the order of the paths."""
    found = [news for news in engine(job, iter(tasks_of(paths))) if isinstance(news, Outcome)]
    assert sorted(outcome.number for outcome in found) == list(range(len(paths)))
    return sorted(found, key=lambda outcome: outcome.number)


@pytest.mark.parametrize("engine", [hear_here, two])
@pytest.mark.parametrize("changes", [{}, {"steps_per_call": 4}, {"batch_invariant": False}, {"look_ahead": 5}])
def test_many_at_once_are_heard_as_each_alone(engine: Engine, changes: dict[str, int], tmp_path: Path) -> None:
    if engine is two and changes:
        pytest.skip("said of one process")
    model = save_model(tmp_path, **changes)
    paths = save_many(tmp_path / "in", 45)
    found = outcomes(engine, job_of(model, tmp_path / "out"), paths)
    for path, outcome in zip(paths, found, strict=True):
        alone = transcribe_file(Model.open(model), path)
        assert (tmp_path / "out" / f"{path.stem}.jsonl").read_text() == jsonl.write(alone), path.name
        assert outcome == Outcome(outcome.number, alone.duration, len(alone.segments))
    assert sum(outcome.segments for outcome in found) > 1000


def test_bad_samples_are_gaps_or_failures(tmp_path: Path) -> None:
    model = save_model(tmp_path)
    paths = save_many(tmp_path / "in", 6)
    samples = noise(5 * RATE)
    for begin, length in ((0, 10), (16000, 400), (40000, 1), (78000, 2000)):
        samples[begin : begin + length] = np.nan
    soundfile.write(tmp_path / "holes.wav", samples, RATE, subtype="FLOAT")
    paths.insert(2, tmp_path / "holes.wav")
    found = outcomes(hear_here, job_of(model, tmp_path / "out", "gap"), paths)
    assert [outcome.error for outcome in found] == [None] * 7
    for path in paths:
        written = (tmp_path / "out" / f"{path.stem}.jsonl").read_text()
        assert written == jsonl.write(transcribe_file(Model.open(model), path, "gap"))
        assert ('"gaps"' in written) == (path.stem == "holes")
    found = outcomes(hear_here, job_of(model, tmp_path / "error"), paths)
    assert [number for number, outcome in enumerate(found) if outcome.error] == [2]
    assert "holds a sample that is not a finite number" in str(found[2].error)


@pytest.mark.parametrize("engine", [hear_here, two])
def test_what_cannot_be_read_keeps_nobody_back(engine: Engine, tmp_path: Path) -> None:
    model = save_model(tmp_path)
    paths = save_many(tmp_path / "in", 8)
    bad = [tmp_path / name for name in ("none.wav", "empty.wav", "text.flac", "loud.wav", "cut.flac")]
    bad[1].write_bytes(b"")
    bad[2].write_text("hello " * 100)
    soundfile.write(bad[3], np.full(9000, 1e4), RATE, subtype="FLOAT")
    soundfile.write(tmp_path / "whole.flac", noise(3 * RATE), RATE)
    whole = (tmp_path / "whole.flac").read_bytes()
    bad[4].write_bytes(whole[: len(whole) * 2 // 3])
    found = outcomes(engine, job_of(model, tmp_path / "out"), [*paths[:4], *bad, *paths[4:]])
    errors = [outcome.error for outcome in found[4:9]]
    for path, error, reason in zip(
        bad, errors, ("no such file", "is empty", "is not audio", "expected samples"), strict=False
    ):
        assert str(path) in str(error)
        assert reason in str(error)
    assert errors[4] is None
    assert found[8].cut
    assert 0.5 < found[8].seconds < 2.5
    assert all(outcome.error is None for outcome in found[:4] + found[9:])
    assert len(results(tmp_path / "out")) == 9


def test_a_model_that_fails_on_one_fails_on_one(tmp_path: Path) -> None:
    def change(proto: object) -> None:
        """Make the model give infinity where the sound is very loud."""
        from onnx import helper, numpy_helper

        graph = proto.graph  # type: ignore[attr-defined]
        graph.node[-1].output[0] = "plain"
        graph.initializer.append(numpy_helper.from_array(np.array(8, np.float32), "most"))
        graph.initializer.append(numpy_helper.from_array(np.array([1]), "axes"))
        graph.initializer.append(numpy_helper.from_array(np.array(1e-30, np.float32), "little"))
        graph.node.append(helper.make_node("ReduceMax", ["samples"], ["peak"], axes=[1], keepdims=1))
        graph.node.append(helper.make_node("Sub", ["most", "peak"], ["left"]))
        graph.node.append(helper.make_node("Log", ["left"], ["worse"]))
        graph.node.append(helper.make_node("Unsqueeze", ["worse", "axes"], ["worst"]))
        graph.node.append(helper.make_node("Mul", ["worst", "little"], ["tiny"]))
        graph.node.append(helper.make_node("Add", ["plain", "tiny"], ["logits"]))

    model = save_model(tmp_path, change=change)
    paths = save_many(tmp_path / "in", 5)
    soundfile.write(tmp_path / "bad.wav", np.full(50000, 20.0), RATE, subtype="FLOAT")
    found = outcomes(hear_here, job_of(model, tmp_path / "out"), [*paths[:2], tmp_path / "bad.wav", *paths[2:]])
    assert [outcome.error is None for outcome in found] == [True, True, False, True, True, True]
    assert "not finite" in str(found[2].error)


def test_a_model_that_is_another_now_is_refused(tmp_path: Path) -> None:
    job = job_of(save_model(tmp_path), tmp_path / "out")
    save_model(tmp_path, seed=1)
    for engine in (hear_here, two):
        with pytest.raises(ModelError, match="was changed meanwhile"):
            outcomes(engine, job, save_many(tmp_path / "in", 2))


def test_no_more_is_held_than_there_is_room_for(tmp_path: Path) -> None:
    model = save_model(tmp_path)
    paths = save_many(tmp_path / "in", 60, 0.5)
    taken = 0

    def counted() -> Iterator[Task]:
        nonlocal taken
        for task in tasks_of(paths):
            taken += 1
            yield task

    done = most = 0
    for news in hear_here(job_of(model, tmp_path / "out"), counted()):
        done += isinstance(news, Outcome)
        most = max(most, taken - done)
    assert done == 60
    assert 16 <= most <= 40


def test_features_are_refused(tmp_path: Path) -> None:
    job = job_of(save_model(tmp_path), tmp_path / "out")
    model = job.open_model()
    object.__setattr__(model.manifest.input, "kind", "features")
    with pytest.raises(InputError, match="takes features, not audio"):
        Lanes(model, job)


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_worker_that_is_killed_costs_nothing(jobs: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    job = job_of(save_model(tmp_path), tmp_path / "out")
    paths = save_many(tmp_path / "in", 120)
    found, killed = [], False
    for news in hear_in_processes(job, iter(tasks_of(paths)), jobs):
        found += [news] if isinstance(news, Outcome) else []
        if found and not killed:
            active_children()[0].kill()
            killed = True
    assert killed
    assert sorted(outcome.number for outcome in found) == list(range(120))
    assert not [outcome.error for outcome in found if outcome.error]
    assert len(results(tmp_path / "out")) == 120
    if jobs == 1:  # of two, it may be the one that has not come to work yet, which nobody need be told
        assert "a process has ended (signal SIGKILL)" in capsys.readouterr().err
    assert not active_children()


def test_a_file_that_kills_whoever_hears_it_fails_alone(tmp_path: Path) -> None:
    job = job_of(save_model(tmp_path), tmp_path / "out")
    paths = [*save_many(tmp_path / "in", 30), save_noise(tmp_path / "deadly.wav", 1200.0, 1)]
    over = Event()

    def kill() -> None:  # not by active_children, which would take the exit status that the engine waits for
        while not over.wait(0.001):
            for pid in children():
                if holds(pid, "deadly.wav"):
                    os.kill(pid, signal.SIGKILL)

    killer = Thread(target=kill)
    killer.start()
    try:
        found = outcomes(two, job, paths)
    finally:
        over.set()
        killer.join()
    assert [outcome.number for outcome in found if outcome.error] == [30]
    assert "hearing it ended two processes (signal SIGKILL)" in str(found[30].error)
    assert len(results(tmp_path / "out")) == 30


def children() -> list[int]:
    return [int(pid) for task in Path("/proc/self/task").iterdir() for pid in (task / "children").read_text().split()]


def holds(pid: int, name: str) -> bool:
    try:
        return any(path.readlink().name == name for path in Path(f"/proc/{pid}/fd").iterdir())
    except OSError:
        return False


def test_processes_end_with_whoever_wants_no_more(tmp_path: Path) -> None:
    job = job_of(save_model(tmp_path), tmp_path / "out")
    heard = hear_in_processes(job, iter(tasks_of(save_many(tmp_path / "in", 80))), 2)
    next(heard)
    heard.close()
    deadline = time.monotonic() + 10
    while active_children() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not active_children()
    assert not parts(tmp_path / "out")


def test_a_record_gives_what_it_was_given() -> None:
    events: tuple[Something, ...] = (
        Segment("A", 0.1, 0.2, 0.3, id=0),
        Gap(0.2, 0.3, 100, "invalid", "fill"),
        Segment("B", 0.3, 0.4, 0.5, id=2),
        Segment("A", 0.4, 0.5, 0.6, id=3),
    )
    record = Record()
    for event in events:
        record.append(event)
    assert tuple(record) == events
    assert record[1:] == events[1:]
    assert record[-1] == events[-1]
    assert len(record) == 4
    with pytest.raises(IndexError):
        record[4]
