"""One open stream of a pool: the steps that wait to be run, and what became of those that were."""

from collections import deque
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from streamcell.runtime.blocks import as_step
from streamcell.runtime.errors import OverloadError, StreamcellError
from streamcell.runtime.events import Event, is_final
from streamcell.runtime.stream import Stream

__all__ = ["Slot"]

_MOST_EVENTS = 10_000  # until they are fetched


class Slot:
    """Keep a stream's samples until they are stepped together with others', and its events until they are fetched.

    A block that is just one step of the model, as live sources send them, waits as bytes: taking and drawing it is all
    that a pool does most of the time, and neither lets another thread in between. Everything else waits in the stream's
    own queue; only one of the two places holds anything at a time. Whatever changes what waits is done with the pool's
    lock held, or while the stream is ``busy`` for who does it; `whole_step` and `check` need neither.

    Args:
        number: Of the stream.
        row: Where its state lies.
        stream: The stream, whose steps are run elsewhere.
        most: Samples that may wait, at the model's rate.

    Attributes:
        id: The number.
        row: As given.
        stream: As given.
        events: What became known and was not fetched.
        error: What went wrong; then the stream has ended.
        since: When it became ready, on the clock of `time.monotonic`.
        queued: Whether it stands in line to be stepped.
        busy: Whether it is being stepped, or something else is being done that nobody may come between.
    """

    __slots__ = (
        "_most",
        "_open",
        "_posteriors",
        "_queue",
        "_samples",
        "_shape",
        "_whole",
        "busy",
        "error",
        "events",
        "id",
        "queued",
        "row",
        "since",
        "stream",
    )

    def __init__(self, number: int, row: int, stream: Stream, most: float) -> None:
        self.id, self.row, self.stream, self._most = number, row, stream, most
        self._posteriors, self._queue = stream.posteriors, stream.posteriors.queue
        self._shape, self._samples = self._posteriors.shape, self._queue.samples
        self._whole: deque[bytes] = deque()  # steps
        self.events: list[Event] = []
        self.error: StreamcellError | None = None
        self.since, self.queued, self.busy = 0.0, False, False
        self.look()

    @property
    def ready(self) -> int:
        """Return how many steps can be run on what waits."""
        return len(self._whole) if self._open else len(self._whole) or self._queue.ready

    def look(self) -> None:
        """Take note whether whole steps may wait here, after anything else was done with the stream."""
        self._open = self._posteriors.direct and not self.stream.in_gap and not self._queue.pending.count

    def whole_step(self, block: ArrayLike) -> bytes | None:
        """Return a copy of a block for `keep`, if it is just one step and nothing is to be done about it."""
        return as_step(block, self._shape) if self._open else None

    def keep(self, step: bytes) -> bool:
        """Let a whole step wait, if there is room; else return False."""
        whole = self._whole
        if not self._open or (len(whole) + 1) * self._samples > self._most or len(self.events) >= _MOST_EVENTS:
            return False
        whole.append(step)
        self._queue.at.clock += self._samples
        return True

    def take(self, block: ArrayLike) -> None:
        """Let any block wait.

        Raises:
            InputError: If it does not fit.
        """
        self._unpack()
        self._posteriors.take(block)
        self.look()

    def draw(self, steps: int) -> bytes:
        """Return what the next steps are to be run on; they wait no more, but where a reset may send them back."""
        if self._whole:
            return self._whole.popleft() if steps == 1 else b"".join([self._whole.popleft() for _ in range(steps)])
        data = self._queue.peek(steps).tobytes()
        if self._queue.rule is None:
            self._queue.pending.drop(steps * self._samples)
            self.look()
        return data

    def hear(self, values: NDArray[np.float32], items: list[Any]) -> list[Event]:
        """Hear what the model said of drawn steps; return final events.

        Args:
            values: `[T, C]`.
            items: The same as the decoder reads it.

        Raises:
            ModelError: If the model fails on what a fresh state hears first.
        """
        queue = self._queue
        spans = queue.at.accept(len(values)) if queue.rule is None else queue.accept(values)
        return self.stream.accept(spans, items)

    def run(self) -> None:
        """Run by itself what waits."""
        self._unpack()
        self.tell(self.stream.run())

    def fail(self, error: StreamcellError) -> None:
        """End the stream, if nothing went wrong before."""
        if self.error is None:
            self.error = error

    def check(self) -> None:
        """Raise what went wrong."""
        if self.error is not None:
            raise self.error

    def tell(self, events: Sequence[Event]) -> None:
        """Add those events that are final."""
        self.events += filter(is_final, events)

    def fetch(self) -> list[Event]:
        """Return the events since the last call, and the segment that goes on."""
        events, self.events = self.events, []
        return [*events, *self.stream.partial()]

    def check_events(self) -> None:
        """Raise `OverloadError` if too many events wait."""
        if len(self.events) >= _MOST_EVENTS:
            raise OverloadError(f"stream {self.id} has {len(self.events)} events waiting; fetch them with events()")

    def check_room(self, block: ArrayLike) -> None:
        """Raise `OverloadError` if there is no room for a block, or too many events wait."""
        try:
            samples = len(block)  # type: ignore[arg-type]
        except TypeError:  # it will be refused for what it is
            samples = 0
        rate, waits = self._queue.rate, self._queue.pending.count + len(self._whole) * self._samples
        waiting = waits + samples * rate / self.stream.sample_rate
        if waiting > self._most:
            raise OverloadError(
                f"stream {self.id} would have {waiting / rate:.2f} s waiting, at most {self._most / rate:g} s may; "
                "push less at a time, wait for it to be stepped, or report what cannot wait as gap()"
            )
        self.check_events()

    def _unpack(self) -> None:
        """Have whole steps wait in the stream's queue."""
        while self._whole:
            self._queue.put(self._whole.popleft())
        self.look()
