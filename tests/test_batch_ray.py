"""The same job on a Ray of this machine with two actors."""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event, Thread
from types import ModuleType

import pytest
import soundfile

from batches import here, parts, results, save_many, save_model, save_noise, start, transcribe
from helpers import SAMPLES
from streamcell.runtime.batch.job import Job, Outcome, Task
from streamcell.runtime.batch.ray_engine import _Listener, hear_on_ray
from streamcell.runtime.cli.main import main
from streamcell.runtime.errors import InputError, MissingExtraError
from streamcell.runtime.model import Model

ALONE = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
OURS = f"test_batch_ray {os.getpid()}"  # in the environment of what this process starts


@pytest.fixture(scope="module")
def ray() -> Iterator[ModuleType]:
    ray = pytest.importorskip("ray", reason="ray is not installed")
    os.environ["WHOSE"] = OURS
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    yield ray
    ray.shutdown()
    del os.environ["WHOSE"]


@pytest.fixture
def model(tmp_path: Path) -> str:
    return save_model(tmp_path)


def save_speech(folder: Path) -> Path:
    """Write cuts of the recordings that come along, of uneven length, in two folders."""
    for path in sorted(SAMPLES.glob("*.flac")):
        samples, rate = soundfile.read(path)
        for i in range(6):
            place = folder / f"{i % 2}" / f"{path.stem} {i}.wav"
            place.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(place, samples[i * rate // 3 :], rate)
    return folder


def test_actors_write_what_processes_write(
    ray: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    save_speech(tmp_path / "in")
    monkeypatch.chdir(tmp_path)
    call = ["in", "--format", "jsonl", "textgrid"]
    assert here(capsys, *call, "--out", "local")[0] == 0
    expected = results(tmp_path / "local")
    assert len(expected) == 36
    on_ray = ["transcribe", *call, "--out", "far", "--engine", "ray", "--jobs", "2"]
    assert main(on_ray) == 0
    assert results(tmp_path / "far") == expected
    assert [path.name for path in (tmp_path / "far" / ".streamcell").iterdir()] == ["lock", "done.jsonl"]
    capsys.readouterr()
    (tmp_path / "far" / "1" / "reader 3.jsonl").unlink()
    assert main([*on_ray, "--resume"]) == 0
    assert "1 files done" in capsys.readouterr().err
    assert main([*on_ray, "--resume"]) == 0
    assert "0 files done, 18 were done before" in capsys.readouterr().err
    assert results(tmp_path / "far") == expected
    assert ray.is_initialized(), "who has connected before stays connected"


def job_of(model: str, folder: Path) -> Job:
    return Job(model, Model.open(model).fingerprint, str(folder), ("jsonl",))


def outcomes(job: Job, paths: list[Path], when: Callable[[], None] = lambda: None) -> list[Outcome]:
    """Return what became of each, in the order of the paths; call ``when`` as soon as one is known."""
    found: list[Outcome] = []
    tasks = (Task(number, str(path), path.stem) for number, path in enumerate(paths))
    for news in hear_on_ray(job, tasks, len(paths), jobs=2):
        if isinstance(news, Outcome):
            found.append(news)
            if len(found) == 1:
                when()
    assert sorted(outcome.number for outcome in found) == list(range(len(paths)))
    return sorted(found, key=lambda outcome: outcome.number)


def actors() -> list[int]:
    """Return the processes of our actors that hear, as Ray names them while they are in a call."""
    return [pid for pid in _who("cmdline", b"_Listener") if _says(pid, "environ", f"WHOSE={OURS}".encode())]


def _who(what: str, text: bytes) -> list[int]:
    pids = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]
    return [pid for pid in pids if _says(pid, what, text)]


def _says(pid: int, what: str, text: bytes) -> bool:
    try:
        return text in Path(f"/proc/{pid}/{what}").read_bytes()
    except OSError:
        return False


def test_an_actor_that_is_killed_costs_nothing(
    ray: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = save_many(tmp_path / "in", 200)
    found = outcomes(
        job_of(save_model(tmp_path), tmp_path / "out"), paths, lambda: os.kill(actors()[0], signal.SIGKILL)
    )
    assert not [outcome.error for outcome in found if outcome.error]
    assert len(results(tmp_path / "out")) == 200
    assert "a process has ended (Ray: its worker process has died); the" in capsys.readouterr().err


def test_a_file_that_kills_whoever_hears_it_fails_alone(ray: ModuleType, tmp_path: Path) -> None:
    paths = [save_noise(tmp_path / "deadly.wav", 1200.0, 1), *save_many(tmp_path / "in", 30)]
    over = Event()

    def kill() -> None:
        while not over.wait(0.005):
            for pid in actors():
                if _holds(pid, "deadly.wav"):
                    os.kill(pid, signal.SIGKILL)

    killer = Thread(target=kill)
    killer.start()
    try:
        found = outcomes(job_of(save_model(tmp_path), tmp_path / "out"), paths)
    finally:
        over.set()
        killer.join()
    assert [outcome.number for outcome in found if outcome.error] == [0]
    assert "hearing it ended two processes (Ray: its worker process has died)" in str(found[0].error)
    assert len(results(tmp_path / "out")) == 30


def _holds(pid: int, name: str) -> bool:
    try:
        return any(path.readlink().name == name for path in Path(f"/proc/{pid}/fd").iterdir())
    except OSError:
        return False


def test_a_ray_of_its_own_ends_with_the_job(model: str, tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="ray is not installed")
    save_many(tmp_path / "in", 400)
    out, whose = tmp_path / "out", f"WHOSE={tmp_path.name}".encode()
    call = [tmp_path / "in", "--out", out, "--model", model, "--jobs", 2]
    process = start(*call, "--engine", "ray", env={**ALONE, "WHOSE": tmp_path.name})
    deadline = time.monotonic() + 120
    while len(list(out.glob("*/*.txt"))) < 10 and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    assert len(_who("environ", whose)) > 2
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    assert "--resume goes on" in err
    assert "Traceback" not in err
    assert 10 <= len(results(out)) < 400
    assert not parts(out)
    while _who("environ", whose) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not _who("environ", whose)
    assert transcribe(*call, "--resume")[0] == 0, "whatever engine goes on"
    assert len(results(out)) == 400


def test_a_cluster_that_is_not_there_is_one_line(model: str, tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="ray is not installed")
    save_noise(tmp_path / "a.wav", 1.0, 1)
    call = [tmp_path / "a.wav", "--out", tmp_path / "out", "--model", model, "--engine", "ray"]
    code, err = transcribe(*call, "--ray-address", "127.0.0.1:1", env=ALONE)
    assert code == 2
    assert "cannot reach the Ray cluster at 127.0.0.1:1: " in err.splitlines()[-1]


def test_without_ray_the_extra_is_named(model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError, match=r"ray is needed for --engine ray.*pip install 'streamcell\[ray\]'"):
        next(hear_on_ray(job_of(model, tmp_path / "out"), iter(()), 1))


def test_a_folder_that_is_not_shared_is_refused(model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # where an actor goes, and where this test must not stay
    (answer,) = _Listener().begin(job_of(model, tmp_path), str(tmp_path), str(tmp_path / ".streamcell" / "ray-1"))
    assert isinstance(answer, InputError)
    assert "--out must be in a shared one" in str(answer)


def test_a_bucket_is_brought_and_taken_back_by_fsspec(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Do what the README says of S3, with a bucket in memory: only what is new comes, is heard, and goes."""
    generic = pytest.importorskip("fsspec.generic", reason="fsspec is not installed")
    bucket = pytest.importorskip("fsspec").filesystem("memory")
    monkeypatch.chdir(tmp_path)
    paths = save_many(tmp_path / "mine", 6)
    call = ["calls", "--out", "phones", "--model", model, "--resume"]
    for done, there in ((0, paths[:4]), (4, paths)):
        for path in there[done:]:
            bucket.put(str(path), f"/bucket/calls/{path.name}")
        generic.rsync("memory://bucket/calls", f"file://{tmp_path}/calls")
        code, err = here(capsys, *call)
        assert code == 0
        assert f"{len(there) - done} files done" in err
        generic.rsync(f"file://{tmp_path}/phones", "memory://bucket/phones")
    written = results(tmp_path / "phones")
    assert len(written) == 6
    assert {name: bucket.cat(f"/bucket/phones/{name}") for name in written} == written
    bucket.rm("/bucket", recursive=True)
