"""The whole of a batch: what is left to do, doing it, and the account of it."""

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from streamcell.runtime.batch.failures import Failures
from streamcell.runtime.batch.inputs import Inputs, Item
from streamcell.runtime.batch.job import Heard, Job, Outcome, Task
from streamcell.runtime.batch.journal import Done, Journal, Stamp, locked
from streamcell.runtime.batch.lanes import hear_here
from streamcell.runtime.batch.outputs import WriteError, remove_unfinished, result_paths
from streamcell.runtime.batch.ray_engine import hear_on_ray
from streamcell.runtime.batch.report import Progress, clock
from streamcell.runtime.batch.workers import hear_in_processes
from streamcell.runtime.errors import InputError

_GO_ON = "what is done is kept, --resume goes on"

__all__ = ["Engine", "Summary", "local_engine", "ray_engine", "transcribe_all"]

Engine: TypeAlias = Callable[[Job, Iterator[Task]], Generator[Outcome | Heard, None, None]]
"""What hears: it asks for tasks as it has room for them, writes results, and says what became of each."""


@dataclass(slots=True)
class Summary:
    """Count what became of the recordings.

    Attributes:
        done: Heard and written now.
        before: Done by an earlier run.
        failed: Recordings and folders that could not be read, results that could not be written.
        cut: Recordings, now or before, that were damaged or shorter than they should be.
        left: Not tried, because the run had to stop.
        seconds: Of sound that was heard now.
        took: Seconds that it took.
    """

    done: int = 0
    before: int = 0
    failed: int = 0
    cut: int = 0
    left: int = 0
    seconds: float = 0.0
    took: float = 0.0

    @property
    def code(self) -> int:
        """Return the exit code: 0 all done, 1 some failed or cut, 2 nothing could be done."""
        if not self.done + self.before:
            return 2
        return int(self.failed + self.cut + self.left > 0)

    def __str__(self) -> str:
        """Return it as a sentence."""
        speed = self.seconds / max(self.took, 1e-3)
        heard = f" ({self.seconds / 3600:.2f} h in {clock(self.took)}, {speed:.0f} times real time)"
        parts = [f"{self.done} files done" + heard * (self.done > 0)]
        parts += [f"{self.before} were done before"] * (self.before > 0)
        parts += [f"{self.cut} of them cut or damaged"] * (self.cut > 0)
        parts += [f"{self.failed} failed"] * (self.failed > 0)
        parts += [f"{self.left} not tried"] * (self.left > 0)
        return ", ".join(parts)


def local_engine(jobs: int) -> Engine:
    """Return what hears on this machine, in ``jobs`` processes; with 1 in this one."""
    if jobs == 1:
        return hear_here
    return lambda job, tasks: hear_in_processes(job, tasks, jobs)


def ray_engine(most: int, address: str | None, jobs: int | None) -> Engine:
    """Return what hears on a Ray cluster, see `hear_on_ray`."""
    return lambda job, tasks: hear_on_ray(job, tasks, most, address, jobs)


def transcribe_all(
    job: Job, inputs: Inputs, engine: Engine, *, resume: bool = False, overwrite: bool = False
) -> Summary:
    """Hear all recordings and write the results below the job's folder; say on stderr what goes on.

    Args:
        job: What to do.
        inputs: Which recordings.
        engine: What hears.
        resume: Whether to skip what is done with the same model and settings and has not changed since.
        overwrite: Whether results that are there already, and that no earlier run has made, are replaced.

    Raises:
        InputError: If the folder cannot be used, is being written to, holds results and neither ``resume`` nor
            ``overwrite`` says what to do with them, or holds somebody else's list of failures.
        ModelError: If the model cannot be used.
    """
    folder = Path(job.folder)
    with locked(folder), Journal(folder) as journal:
        plan = _Plan(job, inputs.items, journal)
        todo = plan.left() if resume else list(inputs.items)
        plan.check_free(todo, resume=resume, overwrite=overwrite)
        failures = Failures(folder, journal, overwrite=overwrite)
        folders = {path.parent for item in todo for path in plan.paths(item)}
        remove_unfinished(folders)  # of a run that was killed
        try:
            return _Run(job, inputs, todo, journal, failures).go(engine)
        finally:
            remove_unfinished(folders)  # of a process that was


class _Plan:
    """Know which results are there."""

    def __init__(self, job: Job, items: Sequence[Item], journal: Journal) -> None:
        self._job, self._items, self._journal = job, items, journal

    def paths(self, item: Item) -> list[Path]:
        """Return where the results of a recording are written."""
        return result_paths(self._job.folder, item.name, self._job.formats)

    def left(self) -> list[Item]:
        """Return what is to be done, or done again because it has changed."""
        return [item for item in self._items if not self._is_done(item)]

    def check_free(self, items: Sequence[Item], *, resume: bool, overwrite: bool) -> None:
        """Make sure that no result would be overwritten unasked.

        Raises:
            InputError: If one would be.
        """
        if overwrite:
            return
        ours = self._journal.begun if resume else set()
        taken = [path for item in items if item.name not in ours for path in self.paths(item) if path.exists()]
        if taken:
            more = f" and {len(taken) - 1} more are" if len(taken) > 1 else " is"
            known = "" if resume else "--resume skips what is done, "
            raise InputError(f"{taken[0]}{more} there already; {known}--overwrite replaces them")

    def _is_done(self, item: Item) -> bool:
        done = self._journal.done.get(item.name)
        return (
            done is not None
            and done.key == self._job.key
            and done.stamp == Stamp.of(item.real)
            and all(path.exists() for path in self.paths(item))
        )


class _Run:
    """Go through what is to be done."""

    def __init__(self, job: Job, inputs: Inputs, todo: Sequence[Item], journal: Journal, failures: Failures) -> None:
        self._job, self._inputs, self._journal, self._failures = job, inputs, journal, failures
        self._stamps = {item.name: Stamp.of(item.real) for item in todo}
        self._todo = sorted(todo, key=self._size, reverse=True)  # the longest first, so that all processes end together
        names = {item.name for item in todo}
        before = [item for item in inputs.items if item.name not in names]
        self._summary = Summary(before=len(before), cut=sum(journal.done[item.name].cut for item in before))
        self._progress = Progress(len(todo), sum(map(self._size, todo)))
        self._known, self._stop = 0, False

    def go(self, engine: Engine) -> Summary:
        """Have everything heard; return the account."""
        for path, reason in self._inputs.unreadable:
            self._fail(path, f"{path}: {reason}")
        try:
            with closing(engine(self._job, self._tasks())) as heard:
                for news in heard if self._todo else ():
                    self._take(news)
            self._journal.sync()
        except WriteError as error:
            self._progress.say(f"streamcell: error: {error}; {_GO_ON}")
        except KeyboardInterrupt:
            self._progress.say(
                f"streamcell: note: interrupted after {self._known} of {len(self._todo)} files; {_GO_ON}"
            )
            raise
        finally:
            self._progress.clear()
        self._summary.left, self._summary.took = len(self._todo) - self._known, self._progress.took
        return self._summary

    def _take(self, news: Outcome | Heard) -> None:
        if isinstance(news, Heard):
            self._progress.heard(news.seconds)
        else:
            self._known += 1
            self._note(self._todo[news.number], news)

    def _tasks(self) -> Iterator[Task]:
        for number, item in enumerate(self._todo):
            if self._stop:
                return
            self._journal.begin(item.name)
            yield Task(number, item.path, item.name)

    def _note(self, item: Item, outcome: Outcome) -> None:
        self._progress.finished(self._size(item), failed=outcome.error is not None)
        stamp = self._stamps[item.name]
        if outcome.error is not None or stamp is None:
            self._fail(item.path, outcome.error or f"{item.path} has gone")
            self._halt(outcome)
            return
        self._summary.done += 1
        self._summary.seconds += outcome.seconds
        self._summary.cut += outcome.cut
        self._remark(item.path, outcome)
        self._journal.finish(item.name, Done(stamp, self._job.key, outcome.seconds, outcome.cut))

    def _remark(self, path: str, outcome: Outcome) -> None:
        seconds = f"{outcome.seconds:.3f} s"
        if not outcome.segments:
            self._progress.say(f"streamcell: note: nothing was found in {path} ({seconds} of audio)")
        if outcome.cut:
            problem = f"{path} is cut or damaged; only its first {seconds} could be decoded"
            self._progress.say(f"streamcell: warning: {problem}")

    def _fail(self, path: str, reason: str) -> None:
        self._summary.failed += 1
        self._failures.add(path, reason)
        self._progress.say(f"streamcell: error: {reason}")

    def _halt(self, outcome: Outcome) -> None:
        """Begin nothing more where nothing more could be written."""
        if outcome.stop and not self._stop:
            self._stop = True
            self._progress.say(f"streamcell: error: nothing more can be written; {_GO_ON}")

    def _size(self, item: Item) -> int:
        stamp = self._stamps[item.name]
        return 0 if stamp is None else stamp.size
