"""Many recordings on a Ray cluster: actors that keep the model open, and the same results as on one machine.

These are actors of Ray's core, not of Ray Data. Tried with Ray 2.60, Ray Data hands over the results of a whole block
of recordings at once, not each as it is done; begins anew for ever on one that kills its process ("infinite retries");
takes the whole list beforehand, so that nothing can be held back when the disk is full. Here as there Ray decides which
machine an actor lives on, brings the model there, and tells when an actor has died.
"""

import os
import re
import secrets
import socket
import sys
import time
from collections import deque
from collections.abc import Generator, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path
from typing import Any

from streamcell.runtime.batch.crew import Crew, Died, Message, Worker
from streamcell.runtime.batch.job import Heard, Job, Outcome, Task
from streamcell.runtime.batch.journal import HOME
from streamcell.runtime.batch.lanes import Lanes, News
from streamcell.runtime.errors import InputError, MissingExtraError, ModelError, StreamcellError
from streamcell.runtime.models import DEFAULT_MODEL, read_model

__all__ = ["hear_on_ray"]

_TURN = 0.2  # seconds that an actor hears before it answers
_CALLS = 2  # on their way to an actor, so that it need not wait for us
_PATIENCE = 10.0  # seconds for an actor to end, or a cluster to answer
_QUIET = 20.0  # seconds until the user is told what is waited for


def hear_on_ray(
    job: Job, tasks: Iterator[Task], most: int, address: str | None = None, jobs: int | None = None
) -> Generator[Outcome | Heard, None, None]:
    """Hear recordings with ``jobs`` actors of a Ray cluster, each with the model open and one processor.

    The model is sent to them; recordings and the output folder must lie in folders that all machines share under the
    same paths. If an actor dies, what it had in hand is done again, see `Crew`.

    Args:
        job: What to do.
        tasks: Asked for one by one, as there is room.
        most: How many recordings there are; no more actors than that are of use.
        address: Of the cluster, as `ray.init` takes it; None for the one that ``RAY_ADDRESS`` names, or without it for
            a Ray of this machine alone, which ends with the job.
        jobs: How many actors; None for one a processor.

    Yields:
        What became of each recording, soon after it is known; now and then how much was heard.

    Raises:
        MissingExtraError: If Ray is not installed.
        StreamcellError: If the cluster cannot be reached or is lost, or the actors cannot work, e.g. because the output
            folder is not shared.
    """
    ray = _ray()
    try:
        with _connected(ray, address or os.environ.get("RAY_ADDRESS"), jobs), _mark(job.folder) as mark:
            count = jobs or max(1, int(ray.cluster_resources().get("CPU", 1)))
            with closing(Crew(_Actors(ray, job, mark), tasks, min(count, most)).run()) as heard:
                yield from heard
    except ray.exceptions.RayError as error:
        raise StreamcellError(f"the Ray cluster was lost: {_reason(error)}") from error


def _ray() -> Any:
    try:
        return import_module("ray")
    except ImportError as error:
        raise MissingExtraError("ray", "ray", "for --engine ray") from error


@contextmanager
def _connected(ray: Any, address: str | None, jobs: int | None) -> Iterator[None]:
    """Connect to a cluster, or start one here; leave it at the end, unless the program had done so before."""
    if ray.is_initialized():
        yield
        return
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # or each start prints a warning about it
    settings: dict[str, Any] = {"address": address}
    if address is None:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        cpus = jobs or len(os.sched_getaffinity(0))
        settings = {"address": "local", "num_cpus": cpus, "include_dashboard": False}
    try:
        _knock(address or "")
        ray.init(**settings, log_to_driver=False, logging_level="ERROR")
    except (OSError, ValueError, RuntimeError, ray.exceptions.RayError) as error:
        where = f"reach the Ray cluster at {address}" if address else "start Ray on this machine"
        raise StreamcellError(f"cannot {where}: {_reason(error)}") from error
    try:
        yield
    finally:
        ray.shutdown()


def _knock(address: str) -> None:
    """See whether anybody is there; Ray itself would try for minutes."""
    if found := re.fullmatch(r"(?:ray://)?([^:/]+):(\d+)", address):
        socket.create_connection((found[1], int(found[2])), _PATIENCE).close()


@contextmanager
def _mark(folder: str) -> Iterator[str]:
    """Put a file into the output folder by which others know that it is the same folder."""
    home = Path(folder, HOME).absolute()
    mark = home / f"ray-{secrets.token_hex(8)}"
    try:
        home.mkdir(parents=True, exist_ok=True)
        for old in home.glob("ray-*"):  # of a run that was killed
            old.unlink(missing_ok=True)
        mark.touch()
    except OSError as error:
        raise InputError(f"cannot write to the output folder {folder}: {error.strerror}") from error
    try:
        yield str(mark)
    finally:
        mark.unlink(missing_ok=True)


def _reason(error: Exception) -> str:
    """Return the one line of Ray's many that tells what happened."""
    text = str(error).strip() or type(error).__name__
    dead = re.search(r"The actor (?:is dead because|[0-9a-f]{32}) (.+?)[.:](?:\s|$)", text)
    return f"Ray: {dead[1]}" if dead else text.splitlines()[-1].strip()


def _model(job: Job) -> bytes:
    if isinstance(job.model, bytes):
        return job.model
    try:
        return read_model(job.model)
    except OSError as error:
        raise ModelError(f"{job.model or DEFAULT_MODEL}: cannot be read ({error.strerror})") from error


@dataclass(slots=True, eq=False)
class _Actor(Worker):
    """An actor, what is to be sent to it, and the calls that it has not answered."""

    handle: Any
    calls: deque[Any] = field(default_factory=deque)
    outbox: list[Task] = field(default_factory=list)


class _Actors:
    """Reach actors by calls that bring them recordings and bring back what became of others."""

    in_hand = 64  # more than are heard in the time of two calls
    advice = "Is the same version of streamcell[ray] installed on every machine of the cluster?"

    def __init__(self, ray: Any, job: Job, mark: str) -> None:
        self._ray, self._mark = ray, mark
        sent = replace(job, model=_model(job), folder=str(Path(job.folder).absolute()))
        self._job = ray.put(sent)
        self._kind = ray.remote(num_cpus=1)(_Listener)

    def start(self) -> _Actor:
        handle = self._kind.remote()
        return _Actor(handle, deque([handle.begin.remote(self._job, str(Path.cwd()), self._mark)]))

    def give(self, worker: _Actor, task: Task) -> None:
        worker.outbox.append(task)

    def hear(self, workers: list[_Actor]) -> Iterator[tuple[_Actor, Message]]:
        for worker in workers:
            while worker.tasks and len(worker.calls) < _CALLS:
                worker.calls.append(worker.handle.hear.remote(worker.outbox))
                worker.outbox = []
        by_call = {worker.calls[0]: worker for worker in workers if worker.calls}
        if not self._ray.wait(list(by_call), num_returns=1, timeout=_QUIET)[0]:
            self._tell(workers)
        for call in self._ray.wait(list(by_call), num_returns=len(by_call), timeout=0)[0]:
            worker = by_call[call]
            worker.calls.popleft()
            for message in self._answer(worker, call):
                yield worker, message

    def end(self, workers: list[_Actor]) -> None:
        """Let actors finish what they are writing; stop those that do not."""
        exceptions = self._ray.exceptions
        with suppress(exceptions.RayError):
            ends = [worker.handle.end.remote() for worker in workers if worker.ready]
            if ends:
                self._ray.wait(ends, num_returns=len(ends), timeout=_PATIENCE)
        for worker in workers:
            with suppress(exceptions.RayError):
                self._ray.kill(worker.handle)

    def _answer(self, worker: _Actor, call: Any) -> list[Message]:
        exceptions = self._ray.exceptions
        try:
            answer: list[Message] = self._ray.get(call)
        except (exceptions.RayActorError, exceptions.RayTaskError) as error:
            self._ray.kill(worker.handle)  # it may be alive, but nobody can reach it any more, or broken
            return [Died(_reason(error))]
        return answer

    def _tell(self, workers: list[_Actor]) -> None:
        if not any(worker.ready for worker in workers):
            text = (
                f"Ray has given none of {len(workers)} processors for {_QUIET:.0f} s; `ray status` shows what is free"
            )
            print(f"streamcell: note: {text}", file=sys.stderr)


class _Listener:
    """Live in the process of an actor, with the model open."""

    def __init__(self) -> None:
        self._waiting: deque[Task] = deque()
        self._open = ExitStack()

    def begin(self, job: Job, here: str, mark: str) -> list[Message]:
        """Open the model; relative paths are taken from the folder ``here`` where there is such a one."""
        with suppress(OSError):
            os.chdir(here)
        if not Path(mark).exists():
            node = os.uname().nodename
            return [InputError(f"{job.folder} on {node} is another folder than here; --out must be in a shared one")]
        try:
            self._lanes = self._open.enter_context(Lanes(job.open_model(), job))
        except StreamcellError as error:
            return [error]
        self._news = News(self._lanes)
        return ["ready"]

    def hear(self, tasks: list[Task]) -> list[Message]:
        """Take more recordings; hear for a while; say what became of those that are done."""
        self._waiting += tasks
        messages: list[Message] = []
        end = time.monotonic() + _TURN
        while time.monotonic() < end and (len(self._lanes) or self._waiting):
            while self._waiting and self._lanes.room:
                self._lanes.add(self._waiting.popleft())
            messages += [*self._lanes.step(), *self._news.since()]
        return messages

    def end(self) -> None:
        """Finish what is being written."""
        self._open.close()
