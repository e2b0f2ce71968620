"""Many recordings in several processes; one that dies costs no more than a second try."""

import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Generator, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import chain
from multiprocessing import connection, get_context, parent_process
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import Any

from streamcell.runtime.batch.job import Heard, Job, Outcome, Task
from streamcell.runtime.batch.lanes import Lanes, News
from streamcell.runtime.errors import StreamcellError

__all__ = ["hear_in_processes"]

_IN_HAND = 24  # recordings that a worker knows of: those that share a call, those that are opened, and a few
_PATIENCE = 5.0  # seconds until a worker that does not end is killed
_READY = "ready"


@dataclass(slots=True, eq=False)
class _Worker:
    """A process, what it was given, and whether it ever came to work."""

    process: SpawnProcess
    pipe: Connection
    tasks: dict[int, Task] = field(default_factory=dict)
    ready: bool = False
    suspects: bool = False  # hears one recording that was in hand when another worker died


def hear_in_processes(job: Job, tasks: Iterator[Task], jobs: int) -> Generator[Outcome | Heard, None, None]:
    """Hear recordings in ``jobs`` processes, each with the model open and one thread of ONNX Runtime.

    If a process dies, what it had in hand is done again, one at a time, so that a recording that kills whoever hears it
    takes no other with it; if it does so again, it has failed. The processes end when this one does.

    Args:
        job: What to do.
        tasks: Asked for one by one, as there is room.
        jobs: How many processes.

    Yields:
        What became of each recording, as soon as it is known; now and then how much was heard.

    Raises:
        StreamcellError: If the processes cannot work, e.g. because the model cannot be used.
    """
    crew = _Crew(job, tasks, jobs)
    try:
        yield from crew.run()
    finally:
        crew.end()


class _Crew:
    """Hand out recordings to workers, and replace those that die."""

    def __init__(self, job: Job, tasks: Iterator[Task], jobs: int) -> None:
        self._job, self._tasks, self._jobs = job, tasks, jobs
        self._suspects: deque[Task] = deque()
        self._workers: list[_Worker] = []
        self._stillborn = 0
        self._more = True

    def run(self) -> Iterator[Outcome | Heard]:
        """Yield what the workers say until all is done."""
        while self._hand_out() or any(worker.tasks for worker in self._workers):
            for ready in connection.wait([worker.pipe for worker in self._workers]):
                worker = next(worker for worker in self._workers if worker.pipe is ready)
                try:
                    message = worker.pipe.recv()
                except (EOFError, OSError):
                    yield from self._bury(worker)
                else:
                    yield from self._take(worker, message)

    def end(self) -> None:
        """Close the pipes, at which workers finish what they are writing and end; stop those that do not."""
        for worker in self._workers:
            worker.pipe.close()
        for worker in self._workers:
            worker.process.join(_PATIENCE)
            worker.process.kill()
            worker.process.join()

    def _hand_out(self) -> bool:
        """Give work to whoever has room; return whether some is left."""
        while len(self._workers) < self._jobs:
            self._workers.append(_start(self._job))
        for worker in self._workers:
            if self._suspects and not worker.tasks:
                worker.suspects = True
                self._give(worker, self._suspects.popleft())
        for _ in range(_IN_HAND):  # round and round, so that the last ones are shared
            for worker in self._workers:
                if self._more and len(worker.tasks) < _IN_HAND and not worker.suspects:
                    task = next(self._tasks, None)
                    self._more = task is not None
                    if task is not None:
                        self._give(worker, task)
        return self._more or bool(self._suspects)

    def _give(self, worker: _Worker, task: Task) -> None:
        worker.tasks[task.number] = task
        with suppress(OSError):  # if it has died, its end of the pipe says so
            worker.pipe.send(task)

    def _take(self, worker: _Worker, message: Any) -> Iterator[Outcome | Heard]:
        if message == _READY:
            worker.ready = True
        elif isinstance(message, StreamcellError):
            raise message
        else:
            if isinstance(message, Outcome):
                del worker.tasks[message.number]
                worker.suspects = False
            yield message

    def _bury(self, worker: _Worker) -> Iterator[Outcome]:
        """Take over what a dead worker had in hand."""
        worker.process.join()
        worker.pipe.close()
        self._workers.remove(worker)
        self._stillborn = 0 if worker.ready else self._stillborn + 1
        how = _how(worker.process.exitcode)
        if self._stillborn > self._jobs:
            raise StreamcellError(f"processes cannot be started: they end with {how}. Try --jobs 1")
        lost = list(worker.tasks.values())
        if not worker.ready:
            self._tasks, self._more = chain(lost, self._tasks), True
        elif worker.suspects:
            yield from (
                Outcome(task.number, error=f"{task.path}: hearing it ended two processes, {how}") for task in lost
            )
        else:
            _say(f"a process has ended with {how}; the {len(lost)} files that it had in hand are done again")
            self._suspects += lost


def _start(job: Job) -> _Worker:
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_work, args=[job, theirs], name="streamcell", daemon=True)
    process.start()
    theirs.close()
    return _Worker(process, ours)


def _how(code: int | None) -> str:
    return f"signal {signal.Signals(-code).name}" if code is not None and code < 0 else f"exit code {code}"


def _say(text: str) -> None:
    print(f"streamcell: warning: {text}", file=sys.stderr)


def _work(job: Job, pipe: Connection) -> None:
    """Hear what comes through the pipe, in a process of its own, until the other end is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what Ctrl-C means
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        _hear(job, pipe)
    except StreamcellError as error:
        pipe.send(error)
    except (EOFError, BrokenPipeError, ConnectionResetError):
        pass


def _hear(job: Job, pipe: Connection) -> None:
    with Lanes(job.open_model(), job) as lanes:
        news = News(lanes)
        pipe.send(_READY)
        while True:
            while lanes.room and (not len(lanes) or pipe.poll()):
                lanes.add(pipe.recv())
            for message in (*lanes.step(), *news.since()):
                pipe.send(message)


def _end_with_parent() -> None:
    """End this process at once when the one that started it ends, however that comes."""
    parent = parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)
