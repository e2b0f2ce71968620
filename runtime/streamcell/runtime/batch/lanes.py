"""Many recordings side by side in one thread: each call of the model steps them all."""

import time
from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from streamcell.runtime.batch.job import Heard, Job, Outcome, Task
from streamcell.runtime.batch.lane import Lane
from streamcell.runtime.decode import labels_of
from streamcell.runtime.errors import InputError, ModelError, StreamcellError
from streamcell.runtime.model import Model
from streamcell.runtime.rows import Rows

__all__ = ["Lanes", "News", "hear_here"]

_WIDTH = 16  # recordings in a call; more are not faster
_AHEAD = 4  # recordings that are opened before there is a place for them
_THREADS = 4  # that read ahead, and write: they wait for the disk
_MOST_STEPS = 32  # of a call
_TAIL = 4  # steps at a recording's end that are not worth a call together with the others
_NEWS = 0.5  # seconds between two `Heard`


class Lanes:
    """Hear many recordings side by side, and write their results.

    Threads decode ahead, one block a recording, and write; the calling thread runs the model. So memory does not
    grow with the number of recordings, nor with their length but for about a megabyte of packed events an hour.

    What is found in a recording does not depend on the others, but for rounding within the manifest's parity bound.

    Args:
        model: The job's.
        job: What to do.
        width: How many recordings share a call.

    Attributes:
        seconds: How much was heard so far.

    Examples:
        >>> with Lanes(model, job) as lanes:  # doctest: +SKIP
        ...     lanes.add(task)
        ...     while len(lanes):
        ...         outcomes = lanes.step()
    """

    def __init__(self, model: Model, job: Job, width: int = _WIDTH) -> None:
        if model.manifest.input.kind != "audio":
            raise InputError(
                f"{model.manifest.name} takes {model.manifest.input.kind}, not audio; choose another model"
            )
        self._model, self._job, self._width, self._rows = model, job, width, Rows(model, width)
        self._together = width if model.manifest.batch_invariant else 1
        self._fixed, self._labels = model.manifest.steps_per_call, labels_of(model.manifest)
        self._free = list(range(width))[::-1]
        self._threads = ThreadPoolExecutor(_THREADS, "streamcell-files")
        self._opening: deque[Lane] = deque()
        self._active: list[Lane] = []
        self._writing: deque[Future[Outcome]] = deque()
        self.seconds = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._threads.shutdown(cancel_futures=True)
        for lane in (*self._opening, *self._active):
            lane.close()

    def __len__(self) -> int:
        """Return how many recordings are neither done nor failed."""
        return len(self._opening) + len(self._active) + len(self._writing)

    @property
    def room(self) -> bool:
        """Tell whether one more recording should be added, so that the model need not wait."""
        return len(self) < self._width + _AHEAD

    def add(self, task: Task) -> None:
        """Take a recording; it is opened in the background."""
        self._opening.append(Lane(task, self._job, self._threads))

    def step(self) -> list[Outcome]:
        """Run the model once for all that are open; return what is done or failed."""
        outcomes = [*self._enter(), *self._feed(), *self._run(), *self._end()]
        while self._writing and (self._writing[0].done() or not self._active or len(self._writing) > _AHEAD):
            outcomes.append(self._writing.popleft().result())
        return outcomes

    def _enter(self) -> Iterator[Outcome]:
        """Give recordings that are opened their rows; wait for one only if nothing else is to be done."""
        while self._opening and self._free and (self._opening[0].opened or not self._active):
            lane = self._opening.popleft()
            try:
                lane.enter(self._model, self._rows, self._free[-1])
            except (StreamcellError, OSError) as error:
                yield _failed(lane, error)
            else:
                self._free.pop()
                self._active.append(lane)

    def _feed(self) -> Iterator[Outcome]:
        """Take blocks until every recording has enough for a long call, or has ended."""
        for lane in list(self._active):
            try:
                self._fill(lane)
            except InputError as error:
                yield self._fail(lane, InputError(f"{lane.task.path}: {error}"))
            except (StreamcellError, OSError) as error:
                yield self._fail(lane, error)

    def _fill(self, lane: Lane) -> None:
        posteriors, stream = lane.stream.posteriors, lane.stream
        while not lane.ended and posteriors.queue.ready < _MOST_STEPS:
            block = lane.take()
            if block is None:
                return
            self.seconds += lane.seconds(block)
            if not stream.in_gap:
                try:
                    posteriors.take(block)
                except InputError:
                    if stream.invalid == "error":
                        raise
                else:
                    continue
            lane.keep(stream.push(block))

    def _run(self) -> Iterator[Outcome]:
        """Step all that have steps ready, as many as the one with the fewest has."""
        ready = [lane for lane in self._active if lane.stream.posteriors.queue.ready >= (self._fixed or _TAIL)]
        for begin in range(0, len(ready), self._together):
            lanes = ready[begin : begin + self._together]
            fewest = min(_MOST_STEPS, *(lane.stream.posteriors.queue.ready for lane in lanes))
            yield from self._call(lanes, self._fixed or 1 << (fewest.bit_length() - 1))

    def _call(self, lanes: list[Lane], steps: int) -> Iterator[Outcome]:
        """Run one call; where it fails, run each recording by itself to find the one to blame."""
        x = np.array([lane.stream.posteriors.queue.peek(steps) for lane in lanes])
        try:
            values = self._rows.run([lane.row for lane in lanes], steps, x)
        except ModelError as error:
            if len(lanes) == 1:
                yield self._fail(lanes[0], error)
                return
            for lane in lanes:
                yield from self._call([lane], steps)
        else:
            yield from self._hear(lanes, values)

    def _hear(self, lanes: list[Lane], values: NDArray[np.float32]) -> Iterator[Outcome]:
        """Decode the answers `[B, steps, labels]`."""
        good: list[bool] = np.asarray(np.isfinite(values).all(axis=(1, 2))).tolist()
        steps = values.shape[1]
        items = lanes[0].stream.decoder.read(np.nan_to_num(values).reshape(-1, values.shape[2]))
        for i, lane in enumerate(lanes):
            try:
                if not good[i]:
                    raise ModelError("the model gave values that are not finite; its weights or its input are broken")
                spans = lane.stream.posteriors.queue.accept(values[i])
                lane.keep(lane.stream.accept(spans, items[i * steps : (i + 1) * steps]))
            except StreamcellError as error:
                yield self._fail(lane, error)

    def _end(self) -> Iterator[Outcome]:
        """Flush recordings that have ended, and have their results written."""
        for lane in list(self._active):
            if lane.ended and lane.stream.posteriors.queue.ready < (self._fixed or _TAIL):
                try:
                    lane.keep([*lane.stream.run(), *lane.stream.flush()])
                except StreamcellError as error:
                    yield self._fail(lane, error)
                else:
                    self._leave(lane)
                    self._writing.append(self._threads.submit(lane.write, *self._labels))

    def _fail(self, lane: Lane, error: Exception) -> Outcome:
        self._leave(lane)
        return _failed(lane, error)

    def _leave(self, lane: Lane) -> None:
        self._active.remove(lane)
        self._free.append(lane.row)


def hear_here(job: Job, tasks: Iterator[Task]) -> Generator[Outcome | Heard, None, None]:
    """Hear recordings in this process.

    Args:
        job: What to do.
        tasks: Asked for one by one, as there is room.

    Yields:
        What became of each, as soon as it is known; now and then how much was heard.

    Raises:
        StreamcellError: If the model cannot be used.
    """
    with Lanes(job.open_model(), job) as lanes:
        news, more = News(lanes), True
        while more or len(lanes):
            while more and lanes.room:
                task = next(tasks, None)
                more = task is not None
                if task is not None:
                    lanes.add(task)
            yield from lanes.step()
            yield from news.since()


class News:
    """Tell twice a second how much was heard since it was last told.

    Args:
        lanes: Where.
    """

    def __init__(self, lanes: Lanes) -> None:
        self._lanes, self._told, self._next = lanes, 0.0, time.monotonic() + _NEWS

    def since(self) -> list[Heard]:
        """Return the news, if it is time and there are any."""
        if time.monotonic() < self._next or self._lanes.seconds == self._told:
            return []
        news = Heard(self._lanes.seconds - self._told)
        self._told, self._next = self._lanes.seconds, time.monotonic() + _NEWS
        return [news]


def _failed(lane: Lane, error: Exception) -> Outcome:
    lane.close()
    reason = f"cannot read {lane.task.path}: {error.strerror}" if isinstance(error, OSError) else str(error)
    return Outcome(lane.task.number, error=reason)
