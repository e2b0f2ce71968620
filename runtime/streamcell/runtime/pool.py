"""Many streams, one batched step: each hears only itself, and has its own rate, position and state."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from threading import Semaphore, Thread
from types import TracebackType
from typing import Self

from numpy.typing import ArrayLike

from streamcell.runtime.errors import InputError, ModelError, OverloadError, StreamcellError
from streamcell.runtime.events import Event
from streamcell.runtime.line import Line
from streamcell.runtime.model import Model
from streamcell.runtime.resample import Quality
from streamcell.runtime.rows import MOST_ROWS, Row, Rows
from streamcell.runtime.slot import Slot
from streamcell.runtime.state import State
from streamcell.runtime.stream import Invalid, Stream
from streamcell.runtime.together import Together

__all__ = ["StreamPool"]


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
        max_waiting: Seconds of a stream that may wait to be stepped; what a call is stepping waits no more.
        workers: Threads that step; with 0 nothing happens but in `step`.
        notify: Called in a worker's thread after each call of the model with the streams that were stepped and by how
            many steps; it must be quick, must not call the pool and must not raise.

    Raises:
        InputError: If an argument does not fit.
        ModelError: If the model cannot be decoded.

    Examples:
        >>> with StreamPool(Model.open("phonemes-en-live"), capacity=1000) as pool:  # doctest: +SKIP
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
        max_batch: int = 96,
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
        self._model, self._rows, self._notify, self._capacity = model, Rows(model, capacity), notify, capacity
        self._most = max_waiting * model.manifest.input.sample_rate  # samples
        self._batch = max_batch if model.manifest.batch_invariant else 1
        self._line = Line(self._batch, max_latency_ms / 1000)
        self._lock = self._line.lock
        self._together = Together(model, self._rows, self._lock)
        self._free, self._slots, self._next = list(range(capacity))[::-1], dict[int, Slot](), 0
        self._died: BaseException | None = None
        warm = Semaphore(0)
        self._workers = [
            Thread(target=self._work, args=[warm], name=f"streamcell-{i}", daemon=True) for i in range(workers)
        ]
        for worker in self._workers:
            worker.start()
        for _ in self._workers:
            warm.acquire()
        if self._died is not None:
            self.shutdown()
            self._check_alive()

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
            slot = Slot(self._next, self._free.pop(), stream, self._most)
            self._slots[slot.id] = slot
            self._next += 1
            self._line.join(slot)
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
        slot = self._slot(stream)
        step = slot.whole_step(block)  # before the lock, which is not held while samples are looked at
        with self._lock:
            if step is not None and slot.keep(step):
                self._line.join(slot)
                return
            slot.check_room(block)
            if not slot.stream.in_gap:
                try:
                    slot.take(block)
                except InputError:
                    if slot.stream.invalid == "error":
                        raise
                else:
                    self._line.join(slot)
                    return
        with self._alone(stream) as slot:
            slot.tell(slot.stream.push(block))

    def events(self, stream: int) -> list[Event]:
        """Return what became known of a stream since the last call, and the segment that goes on.

        Raises:
            InputError: If there is no such stream.
            ModelError: If the model failed on this stream; nothing more will come then.
        """
        with self._lock:
            return self._slot(stream).fetch()

    def gap(self, stream: int, samples: int, reason: str = "missing") -> None:
        """Say that samples of a stream were lost here, as `Stream.gap` does; what waits is stepped first."""
        with self._lock:
            self._slot(stream).check_events()
        with self._alone(stream) as slot:
            slot.tell(slot.stream.gap(samples, reason))

    def reset(self, stream: int, reason: str = "asked") -> None:
        """Begin a stream anew, as `Stream.reset` does."""
        with self._lock:
            self._slot(stream).check_events()
        with self._alone(stream) as slot:
            slot.tell(slot.stream.reset(reason))

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
            with self._alone(stream, last=True) as slot:
                return [*slot.events, *slot.stream.flush()]
        finally:
            with self._lock:
                self._forget(stream)

    def step(self) -> int:
        """Step those who have waited longest, in this thread; return how many there were, 0 if nobody was ready."""
        with self._lock:
            batch = self._line.take()
        if batch:
            self._run(batch)
        return len(batch)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until nobody is ready or being stepped; say whether it came to that within ``timeout`` seconds."""
        with self._lock:
            return self._line.wait(timeout)

    def shutdown(self) -> None:
        """End the workers; open streams stay as they are and can still be saved or closed."""
        with self._lock:
            self._line.end()
        for worker in self._workers:
            worker.join()

    def _slot(self, stream: int) -> Slot:
        slot = self._slots.get(stream)
        self._check_alive()
        if slot is None:
            raise InputError(f"expected the number of an open stream, got {stream!r}: closed, or of another pool")
        slot.check()
        return slot

    def _check_alive(self) -> None:
        if self._died is not None:
            raise StreamcellError(f"a worker of the pool has died: {self._died!r}") from self._died

    def _forget(self, stream: int) -> None:
        if stream in self._slots:
            self._free.append(self._slots.pop(stream).row)

    @contextmanager
    def _alone(self, stream: int, *, last: bool = False) -> Iterator[Slot]:
        """Keep workers off a stream, step what waits, and hand it over; if it is the ``last`` time, it ends then."""
        with self._line.alone(lambda: self._slot(stream)) as slot:
            try:
                slot.run()
                yield slot
            except ModelError as error:
                slot.fail(error)
                raise
            finally:
                if last:
                    slot.fail(InputError(f"stream {stream} is closed"))  # it never stands in line again

    def _work(self, warm: Semaphore) -> None:
        try:
            self._rows.warm(min(self._batch, self._capacity))
        except BaseException as error:
            self._died = error
            raise
        finally:
            warm.release()
        while True:
            with self._lock:
                batch = self._line.wait_and_take()
            if not batch:
                return
            try:
                self._run(batch)
            except BaseException as error:
                self._died = error
                raise

    def _run(self, batch: list[Slot]) -> None:
        try:
            steps = self._together.step(batch)
        except BaseException as error:  # an interruption: nobody knows how far it came
            for slot in batch:
                slot.fail(ModelError(f"a call of the model was broken off: {error!r}; what it was to hear is lost"))
            raise
        finally:
            with self._lock:
                self._line.give_back(batch)
        if self._notify is not None:
            self._notify([slot.id for slot in batch], steps)
