"""Many streams, one batched step: each hears only itself, and has its own rate, position and state."""

import math
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Condition, RLock, Semaphore, Thread
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from streamcell.runtime.errors import InputError, ModelError, OverloadError, StreamcellError
from streamcell.runtime.events import Event, is_final
from streamcell.runtime.model import Model
from streamcell.runtime.posteriors import Posteriors
from streamcell.runtime.resample import Quality
from streamcell.runtime.rows import MOST_ROWS, Row, Rows
from streamcell.runtime.state import State
from streamcell.runtime.step_queue import StepQueue
from streamcell.runtime.stream import Invalid, Stream

__all__ = ["StreamPool"]

_MOST_STEPS = 16  # of one call
_MOST_EVENTS = 10_000  # of one stream, until they are fetched


@dataclass(slots=True, eq=False)
class _Slot:
    """One open stream."""

    id: int
    row: int
    stream: Stream
    posteriors: Posteriors
    queue: StepQueue
    rate: int  # of the source, Hz
    gaps: bool  # whether samples that are not finite are gaps
    ready: int = 0  # steps that wait, as long as it is queued
    events: list[Event] = field(default_factory=list)
    since: float = 0.0  # when it became ready
    queued: bool = False
    busy: bool = False  # its row is being stepped, or something else is being done that nobody may come between
    error: StreamcellError | None = None


class StreamPool:
    """Step many streams together, each as if it were alone.

    Threads of its own take whoever has a whole step of samples waiting, run them in one call, and decode. A stream that
    is ready waits for others at most ``max_latency_ms``, then for a free thread. What a stream's events are does not
    depend on the others, but for rounding within the manifest's parity bound. Nothing grows without end: who opens
    more than ``capacity`` streams, pushes more than ``max_waiting`` seconds ahead of the model, or never fetches events
    gets an `OverloadError`, and nothing of what he brought was taken.

    All methods may be called from any thread; calls for one stream must follow each other. Streams of a model that is
    not batch-invariant are stepped one by one.

    Args:
        model: The model.
        capacity: How many streams can be open at once; their states take memory from the beginning.
        max_latency_ms: How long a stream that is ready waits for company, at most.
        max_batch: How many streams one call steps, at most 128.
        max_waiting: Seconds of a stream that may wait to be stepped.
        workers: Threads that step; with 0 nothing happens but in `step`.
        notify: Called in a worker's thread after each call of the model with the streams that were stepped and by how
            many steps; it must be quick, must not call the pool and must not raise.

    Raises:
        InputError: If an argument does not fit.
        ModelError: If the model cannot be decoded.

    Examples:
        >>> with StreamPool(Model.open(), capacity=1000) as pool:  # doctest: +SKIP
        ...     caller = pool.open(sample_rate=8000)
        ...     pool.push(caller, block)
        ...     events = pool.events(caller)
        ...     last = pool.close(caller)
    """

    def __init__(
        self,
        model: Model,
        capacity: int,
        *,
        max_latency_ms: float = 5.0,
        max_batch: int = 64,
        max_waiting: float = 2.0,
        workers: int = 1,
        notify: Callable[[Sequence[int], int], None] | None = None,
    ) -> None:
        step = model.manifest.input.seconds_per_step * (model.manifest.steps_per_call or 1)
        if capacity < 1 or not 1 <= max_batch <= MOST_ROWS or max_latency_ms < 0 or workers < 0:
            raise InputError(
                f"expected a capacity above 0, 1 to {MOST_ROWS} streams a batch and no negative numbers; got "
                f"capacity {capacity}, max_batch {max_batch}, max_latency_ms {max_latency_ms}, workers {workers}"
            )
        if not max_waiting >= step:
            raise InputError(f"max_waiting must be at least one call of the model, {step:g} s; got {max_waiting:g}")
        Stream(model)  # what cannot be decoded is said now
        self._model, self._rows, self._notify = model, Rows(model, capacity), notify
        self._capacity, self._wait, self._max_waiting = capacity, max_latency_ms / 1000, max_waiting
        self._rate = model.manifest.input.sample_rate
        self._batch = max_batch if model.manifest.batch_invariant else 1
        self._free, self._slots, self._next = list(range(capacity))[::-1], dict[int, _Slot](), 0
        self._queue: deque[_Slot] = deque()
        self._died: BaseException | None = None
        self._lock, self._ended, self._running = RLock(), False, 0
        self._ready, self._idle = Condition(self._lock), Condition(self._lock)  # for workers, for everybody else
        warm = Semaphore(0)
        self._workers = [
            Thread(target=self._work, args=[warm], name=f"streamcell-{i}", daemon=True) for i in range(workers)
        ]
        for worker in self._workers:
            worker.start()
        for _ in self._workers:
            warm.acquire()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.shutdown()

    def __len__(self) -> int:
        """Return how many streams are open."""
        return len(self._slots)

    def open(
        self,
        sample_rate: int | None = None,
        quality: Quality = "live",
        invalid: Invalid = "error",
        snapshot: bytes | None = None,
    ) -> int:
        """Begin a stream, or go on with a saved one; return its number, which no other stream will ever have.

        Args:
            sample_rate: As for `Stream`.
            quality: As for `Stream`.
            invalid: As for `Stream`.
            snapshot: What `snapshot` of a pool or of a `Stream` returned; then the other arguments are not used.

        Raises:
            OverloadError: If the pool is full.
            InputError: If an argument does not fit.
        """
        with self._lock:
            if not self._free:
                raise OverloadError(f"all {len(self._slots)} places of the pool are taken; close a stream first")
            row = Row(self._rows, self._free[-1], self._model)
            if snapshot is None:
                stream = Stream(self._model, sample_rate, quality, invalid, row)
            else:
                stream = Stream.restore(self._model, snapshot, row)
            posteriors = stream.posteriors
            facts = posteriors.queue, posteriors.sample_rate, stream.invalid == "gap"
            slot = _Slot(self._next, self._free.pop(), stream, posteriors, *facts)
            self._slots[slot.id] = slot
            self._next += 1
            self._enqueue(slot)
            return slot.id

    def push(self, stream: int, block: ArrayLike) -> None:
        """Take the next samples of a stream; they are stepped as soon as may be.

        Args:
            stream: Its number.
            block: As for `Stream.push`.

        Raises:
            OverloadError: If more than ``max_waiting`` seconds would wait then, or too many events wait to be fetched.
            InputError: If the block does not fit or there is no such stream. Nothing has changed then.
            ModelError: If the model failed on this stream before.
        """
        with self._lock:
            slot = self._slot(stream)
            self._check_room(slot, block)
            if not (slot.gaps and slot.stream.in_gap):
                try:
                    slot.posteriors.take(block)
                except InputError:
                    if not slot.gaps:
                        raise
                else:
                    self._enqueue(slot)
                    return
        with self._alone(stream) as slot:
            slot.events += filter(is_final, slot.stream.push(block))

    def events(self, stream: int) -> list[Event]:
        """Return what became known of a stream since the last call, and the segment that goes on.

        Raises:
            InputError: If there is no such stream.
            ModelError: If the model failed on this stream; nothing more will come then.
        """
        with self._lock:
            slot = self._slot(stream)
            events, slot.events = slot.events, []
            return [*events, *slot.stream.partial()]

    def gap(self, stream: int, samples: int, reason: str = "missing") -> None:
        """Say that samples of a stream were lost here, as `Stream.gap` does; what waits is stepped first."""
        with self._lock:
            self._check_events(self._slot(stream))
        with self._alone(stream) as slot:
            slot.events += filter(is_final, slot.stream.gap(samples, reason))

    def reset(self, stream: int, reason: str = "asked") -> None:
        """Begin a stream anew, as `Stream.reset` does."""
        with self._lock:
            self._check_events(self._slot(stream))
        with self._alone(stream) as slot:
            slot.events += slot.stream.reset(reason)

    def snapshot(self, stream: int) -> bytes:
        """Return all of a stream as bytes, as `Stream.snapshot` does, for `open` or `Stream.restore`.

        Events that were not fetched are not in it: fetch them too.
        """
        with self._alone(stream) as slot:
            return slot.stream.snapshot()

    def state(self, stream: int) -> State:
        """Return a copy of the model's state of a stream, after what waits was stepped."""
        with self._alone(stream) as slot:
            return slot.stream.state

    def close(self, stream: int) -> list[Event]:
        """End a stream: step what waits, flush, give its place away; return the last events."""
        try:
            with self._alone(stream) as slot:
                return [*slot.events, *slot.stream.flush()]
        finally:
            with self._lock:
                self._forget(stream)

    def step(self) -> int:
        """Step those who have waited longest, in this thread; return how many there were, 0 if nobody was ready."""
        with self._lock:
            if not self._queue:
                return 0
            batch, steps, x = self._pick()
        self._run(batch, steps, x)
        return len(batch)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until nobody is ready or being stepped; say whether it came to that within ``timeout`` seconds."""
        with self._lock:
            return self._idle.wait_for(lambda: not self._queue and not self._running, timeout)

    def shutdown(self) -> None:
        """End the workers; open streams stay as they are and can still be saved or closed."""
        with self._lock:
            self._ended = True
            self._ready.notify_all()
        for worker in self._workers:
            worker.join()

    def _slot(self, stream: int) -> _Slot:
        slot = self._slots.get(stream)
        if self._died is not None:
            raise StreamcellError(f"a worker of the pool has died: {self._died!r}") from self._died
        if slot is None:
            raise InputError(f"expected the number of an open stream, got {stream!r}: closed, or of another pool")
        if slot.error is not None:
            raise slot.error
        return slot

    def _forget(self, stream: int) -> None:
        if stream in self._slots:
            self._free.append(self._slots.pop(stream).row)

    def _check_room(self, slot: _Slot, block: ArrayLike) -> None:
        try:
            samples = len(block)  # type: ignore[arg-type]
        except TypeError:  # it will be refused for what it is
            samples = 0
        waiting = slot.queue.pending.count + samples * self._rate / slot.rate
        if waiting > self._max_waiting * self._rate:
            seconds = waiting / self._rate
            raise OverloadError(
                f"stream {slot.id} would have {seconds:.2f} s waiting, at most {self._max_waiting:g} s may; push less "
                "at a time, wait for it to be stepped, or report what cannot wait as gap()"
            )
        self._check_events(slot)

    def _check_events(self, slot: _Slot) -> None:
        if len(slot.events) >= _MOST_EVENTS:
            raise OverloadError(f"stream {slot.id} has {len(slot.events)} events waiting; fetch them with events()")

    def _enqueue(self, slot: _Slot) -> None:
        slot.ready = slot.queue.ready
        if slot.queued or slot.busy or slot.error is not None or not slot.ready:
            return
        slot.queued, slot.since = True, time.monotonic()
        self._queue.append(slot)
        ready = len(self._queue)
        if ready == 1 or ready >= self._batch:  # the first begins a worker's patience, a full batch ends it
            self._ready.notify()

    @contextmanager
    def _alone(self, stream: int) -> Iterator[_Slot]:
        """Keep workers off a stream, step what waits, and hand it over."""
        with self._lock:
            slot = self._slot(stream)
            self._idle.wait_for(lambda: not slot.busy)
            self._slot(stream)  # it may have failed meanwhile
            slot.busy = True
            if slot.queued:
                self._queue.remove(slot)
                slot.queued = False
            self._running += 1
        try:
            slot.events += filter(is_final, slot.stream.run())
            yield slot
        except ModelError as error:
            slot.error = error
            raise
        finally:
            self._release([slot])

    def _release(self, batch: Sequence[_Slot]) -> None:
        with self._lock:
            for slot in batch:
                slot.busy = False
                self._enqueue(slot)
            self._running -= 1
            self._idle.notify_all()

    def _work(self, warm: Semaphore) -> None:
        try:
            self._rows.warm(min(self._batch, self._capacity))
        finally:
            warm.release()
        while True:
            with self._lock:
                while not self._ended and (patience := self._patience()) > 0:
                    self._ready.wait(None if patience == math.inf else patience)
                if self._ended:
                    return
                batch, steps, x = self._pick()
            try:
                self._run(batch, steps, x)
            except BaseException as error:
                self._died = error
                raise

    def _patience(self) -> float:
        """Return for how many seconds more to wait for company."""
        if not self._queue:
            return math.inf
        full = len(self._queue) >= self._batch
        return 0.0 if full else self._queue[0].since + self._wait - time.monotonic()

    def _pick(self) -> tuple[list[_Slot], int, NDArray[np.float32]]:
        """Take those who have waited longest off the queue, with what they are to be stepped on."""
        batch = [self._queue.popleft() for _ in range(min(self._batch, len(self._queue)))]
        ready = min([slot.ready for slot in batch] + [_MOST_STEPS])
        steps = self._model.manifest.steps_per_call or 1 << max(ready.bit_length() - 1, 0)
        for slot in batch:
            slot.queued, slot.busy = False, True
        self._running += 1
        waiting = [slot.queue.peek(steps) for slot in batch]
        return batch, steps, np.concatenate(waiting).reshape(len(batch), *waiting[0].shape)

    def _run(self, batch: list[_Slot], steps: int, x: NDArray[np.float32]) -> None:
        """Step streams together and let each hear its part of the answer."""
        try:
            self._step(batch, steps, x)
        finally:
            self._release(batch)
        if self._notify is not None:
            self._notify([slot.id for slot in batch], steps)

    def _step(self, batch: list[_Slot], steps: int, x: NDArray[np.float32]) -> None:
        try:
            values = self._rows.run([slot.row for slot in batch], steps, x)
        except ModelError as error:
            if len(batch) == 1:
                batch[0].error = error
                return
            for i, slot in enumerate(batch):  # one of them may be to blame
                self._step([slot], steps, x[i : i + 1])
            return
        good: list[bool] = np.asarray(np.isfinite(values).reshape(len(values), -1).all(axis=1)).tolist()
        if not all(good):
            values = np.nan_to_num(values, posinf=0.0, neginf=0.0)
        items = batch[0].stream.decoder.read(values.reshape(-1, values.shape[2]))
        with self._lock:
            for i, slot in enumerate(batch):
                try:
                    plain = steps == 1 and good[i]
                    found: Sequence[Event] | None = slot.stream.accept_one(items[i]) if plain else None
                    if found is None:
                        found = _hear(slot, values[i], items[i * steps : (i + 1) * steps], good=good[i])
                    slot.events += found
                except StreamcellError as error:  # what goes wrong with one stream stays there
                    slot.error = error


def _hear(slot: _Slot, values: NDArray[np.float32], items: list[Any], *, good: bool) -> Sequence[Event]:
    """Give a stream its part of the answer; return final events."""
    spans = slot.queue.accept(values)
    if not good:
        raise ModelError("the model gave values that are not finite; its weights or its input are broken")
    return slot.stream.accept(spans, items)
