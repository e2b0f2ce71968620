"""Many recordings in several processes of this machine; one that dies costs no more than a second try."""

import os
import signal
import threading
from collections.abc import Generator, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from multiprocessing import connection, get_context, parent_process
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess

from streamcell.runtime.batch.crew import Crew, Died, Message, Worker
from streamcell.runtime.batch.job import Heard, Job, Outcome, Task
from streamcell.runtime.batch.lanes import Lanes, News
from streamcell.runtime.errors import StreamcellError

__all__ = ["hear_in_processes"]

_PATIENCE = 5.0  # seconds until a worker that does not end is killed


def hear_in_processes(job: Job, tasks: Iterator[Task], jobs: int) -> Generator[Outcome | Heard, None, None]:
    """Hear recordings in ``jobs`` processes, each with the model open and one thread of ONNX Runtime.

    If a process dies, what it had in hand is done again, see `Crew`. The processes end when this one does.

    Args:
        job: What to do.
        tasks: Asked for one by one, as there is room.
        jobs: How many processes.

    Yields:
        What became of each recording, as soon as it is known; now and then how much was heard.

    Raises:
        StreamcellError: If the processes cannot work, e.g. because the model cannot be used.
    """
    with closing(Crew(_Processes(job), tasks, jobs).run()) as heard:
        yield from heard


@dataclass(slots=True, eq=False)
class _Process(Worker):
    """A process, and our end of the pipe to it."""

    process: SpawnProcess
    pipe: Connection


class _Processes:
    """Reach workers through pipes."""

    in_hand = 24  # those that share a call, those that are opened, and a few
    advice = "Try --jobs 1"

    def __init__(self, job: Job) -> None:
        self._job, self._context = job, get_context("spawn")

    def start(self) -> _Process:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=_work, args=[self._job, theirs], name="streamcell", daemon=True)
        process.start()
        theirs.close()
        return _Process(process, ours)

    def give(self, worker: _Process, task: Task) -> None:
        with suppress(OSError):  # if it has died, its end of the pipe says so
            worker.pipe.send(task)

    def hear(self, workers: list[_Process]) -> Iterator[tuple[_Process, Message]]:
        by_pipe = {worker.pipe: worker for worker in workers}
        for pipe in connection.wait(list(by_pipe)):
            assert isinstance(pipe, Connection)
            worker = by_pipe[pipe]
            try:
                yield worker, pipe.recv()
            except (EOFError, OSError):
                worker.process.join()
                pipe.close()
                yield worker, Died(_how(worker.process.exitcode))

    def end(self, workers: list[_Process]) -> None:
        """Close the pipes, at which workers finish what they are writing and end; stop those that do not."""
        for worker in workers:
            worker.pipe.close()
        for worker in workers:
            worker.process.join(_PATIENCE)
            worker.process.kill()
            worker.process.join()


def _how(code: int | None) -> str:
    if code is None:
        return "how is not known: other code in this program took its exit status first"
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


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
        pipe.send("ready")
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
