"""Who hears which recording, and what happens when a worker dies; how workers are reached is the team's affair."""

import sys
from collections import deque
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from typing import Generic, Literal, Protocol, TypeAlias, TypeVar

from streamcell.runtime.batch.job import Heard, Outcome, Task
from streamcell.runtime.errors import StreamcellError

__all__ = ["Crew", "Died", "Message", "Team", "Worker"]


@dataclass(frozen=True, slots=True)
class Died:
    """Say that a worker is no more, and how it ended, e.g. "signal SIGKILL"."""

    how: str


Message: TypeAlias = Outcome | Heard | StreamcellError | Died | Literal["ready"]
"""What comes from a worker: first that it is ready, at most once that it died, and an error where none can work."""


@dataclass(slots=True, eq=False, kw_only=True)
class Worker:
    """Know what a worker was given.

    Attributes:
        tasks: What it has in hand, by number.
        ready: Whether it has the model open.
        suspects: Whether it hears one recording that was in hand when another worker died.
    """

    tasks: dict[int, Task] = field(default_factory=dict)
    ready: bool = False
    suspects: bool = False


W = TypeVar("W", bound=Worker)


class Team(Protocol[W]):
    """Reach workers.

    Attributes:
        in_hand: How many recordings a worker should know of, so that it need not wait.
        advice: What to try if no worker comes to work.
    """

    in_hand: int
    advice: str

    def start(self) -> W:
        """Start one more worker; it says when it is ready."""

    def give(self, worker: W, task: Task) -> None:
        """Send a recording to a worker; if it has died, `hear` will say so."""

    def hear(self, workers: list[W]) -> Iterator[tuple[W, Message]]:
        """Wait until some workers say something, and yield it."""

    def end(self, workers: list[W]) -> None:
        """Have workers finish what they are writing, and end."""


class Crew(Generic[W]):
    """Hand out recordings to workers, and replace those that die.

    If a worker dies, what it had in hand is done again, one at a time, so that a recording that kills whoever hears it
    takes no other with it; if it does so again, it has failed.

    Args:
        team: Reaches the workers.
        tasks: Asked for one by one, as there is room.
        jobs: How many workers.
    """

    def __init__(self, team: Team[W], tasks: Iterator[Task], jobs: int) -> None:
        self._team, self._tasks, self._jobs = team, tasks, jobs
        self._suspects: deque[Task] = deque()
        self._workers: list[W] = []
        self._stillborn = 0
        self._more = True

    def run(self) -> Generator[Outcome | Heard, None, None]:
        """Yield what the workers say until all is done.

        Raises:
            StreamcellError: If they cannot work, e.g. because the model cannot be used.
        """
        try:
            while self._hand_out() or any(worker.tasks for worker in self._workers):
                for worker, message in self._team.hear(self._workers):
                    yield from self._take(worker, message)
        finally:
            self._team.end(self._workers)

    def _hand_out(self) -> bool:
        """Give work to whoever has room; return whether some is left."""
        while len(self._workers) < self._jobs:
            self._workers.append(self._team.start())
        ready = [worker for worker in self._workers if worker.ready]
        for worker in ready:
            if self._suspects and not worker.tasks:
                worker.suspects = True
                self._give(worker, self._suspects.popleft())
        for _ in range(self._team.in_hand):  # round and round, so that the last ones are shared
            for worker in ready:
                if self._more and len(worker.tasks) < self._team.in_hand and not worker.suspects:
                    task = next(self._tasks, None)
                    self._more = task is not None
                    if task is not None:
                        self._give(worker, task)
        return self._more or bool(self._suspects)

    def _give(self, worker: W, task: Task) -> None:
        worker.tasks[task.number] = task
        self._team.give(worker, task)

    def _take(self, worker: W, message: Message) -> Iterator[Outcome | Heard]:
        if message == "ready":
            worker.ready = True
        elif isinstance(message, StreamcellError):
            raise message
        elif isinstance(message, Died):
            yield from self._bury(worker, message.how)
        else:
            if isinstance(message, Outcome):
                del worker.tasks[message.number]
                worker.suspects = False
            yield message

    def _bury(self, worker: W, how: str) -> Iterator[Outcome]:
        """Take over what a dead worker had in hand."""
        self._workers.remove(worker)
        self._stillborn = 0 if worker.ready else self._stillborn + 1
        if self._stillborn > self._jobs:
            raise StreamcellError(f"processes cannot be started: they end ({how}). {self._team.advice}")
        lost = list(worker.tasks.values())
        if worker.suspects:
            yield from (
                Outcome(task.number, error=f"{task.path}: hearing it ended two processes ({how})") for task in lost
            )
        elif worker.ready:
            text = f"a process has ended ({how}); the {len(lost)} files that it had in hand are done again"
            print(f"streamcell: warning: {text}", file=sys.stderr)
            self._suspects += lost
