"""Who is ready stands in line for company, and threads take those in front, many at a time."""

import math
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from threading import Condition, RLock

from streamcell.runtime.slot import Slot

__all__ = ["Line"]


class Line:
    """Have streams that are ready wait for others, but not for long.

    Args:
        batch: How many are taken at a time, at most.
        patience: Seconds that the first waits for others.

    Attributes:
        lock: Guards the line, and what waits of every stream; where nothing else is said, it must be held.
    """

    def __init__(self, batch: int, patience: float) -> None:
        self._batch, self._patience = batch, patience
        self._slots: deque[Slot] = deque()
        self._taken, self._ended = 0, False  # batches and single streams that are not given back
        self.lock = RLock()
        self._ready, self._idle = Condition(self.lock), Condition(self.lock)  # for who takes, for everybody else

    def join(self, slot: Slot) -> None:
        """Stand in line, if there is a step to run and nothing speaks against it."""
        if slot.queued or slot.busy or slot.error is not None or not slot.ready:
            return
        slot.queued, slot.since = True, time.monotonic()
        self._slots.append(slot)
        ready = len(self._slots)
        if ready == 1 or ready >= self._batch:  # the first begins a worker's patience, a full batch ends it
            self._ready.notify()

    def take(self) -> list[Slot]:
        """Take those in front, as many as a batch holds; none if nobody is ready. They are busy until given back."""
        batch = [self._slots.popleft() for _ in range(min(self._batch, len(self._slots)))]
        for slot in batch:
            slot.queued, slot.busy = False, True
        self._taken += bool(batch)
        return batch

    def wait_and_take(self) -> list[Slot]:
        """Wait until a batch is full or its first has waited long enough, and take it; none after `end`."""
        while not self._ended and (left := self._left()) > 0:
            self._ready.wait(None if left == math.inf else left)
        return [] if self._ended else self.take()

    def give_back(self, batch: Sequence[Slot]) -> None:
        """Let others have streams that were taken together; who has more to run stands in line again."""
        for slot in batch:
            slot.busy = False
            self.join(slot)
        self._taken -= 1
        self._idle.notify_all()

    @contextmanager
    def alone(self, find: Callable[[], Slot]) -> Iterator[Slot]:
        """Keep others off a stream as long as the block lasts; the lock must not be held.

        Args:
            find: Returns it, or raises; asked again when it was busy.
        """
        with self.lock:
            slot = find()
            self._idle.wait_for(lambda: not slot.busy)
            find()  # it may have failed meanwhile
            if slot.queued:
                self._slots.remove(slot)
            slot.queued, slot.busy = False, True
            self._taken += 1
        try:
            yield slot
        finally:
            with self.lock:
                slot.look()
                self.give_back([slot])

    def wait(self, timeout: float | None) -> bool:
        """Wait until nobody is ready or taken; say whether it came to that within ``timeout`` seconds."""
        return self._idle.wait_for(lambda: not self._slots and not self._taken, timeout)

    def end(self) -> None:
        """Send away who waits to take."""
        self._ended = True
        self._ready.notify_all()

    def _left(self) -> float:
        """Return for how many seconds more to wait for company."""
        if not self._slots:
            return math.inf
        full = len(self._slots) >= self._batch
        return 0.0 if full else self._slots[0].since + self._patience - time.monotonic()
