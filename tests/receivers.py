"""What tests of ports and brokers need: readings taken one after the other, a writer beside, a signal, patience."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from streamcell.runtime.sources import Readings

Rows = tuple[list[float], list[list[float]]]


def take(source: Iterable[Readings], count: int) -> list[Readings]:
    """Return the blocks that hold the next ``count`` readings."""
    blocks = list[Readings]()
    for block in source:
        blocks.append(block)
        count -= len(block.values)
        if count <= 0:
            break
    return blocks


def readings_of(blocks: Iterable[Readings]) -> Rows:
    """Return times and values."""
    blocks = list(blocks)
    times = [time for block in blocks if block.times is not None for time in block.times.tolist()]
    return times, [row for block in blocks for row in block.values.tolist()]


def until(true: Callable[[], bool]) -> None:
    """Wait for what comes soon, or late where the machine has no time for us."""
    end = time.monotonic() + 20
    while not true():
        assert time.monotonic() < end
        time.sleep(0.002)


@contextmanager
def writing(end: int, data: bytes) -> Iterator[None]:
    """Write to a port in a thread, since it takes a few kilobytes only until they are read."""

    def write() -> None:
        for at in range(0, len(data), 1000):
            os.write(end, data[at : at + 1000])

    thread = threading.Thread(target=write)
    thread.start()
    yield
    thread.join()


@contextmanager
def at_alarm(seconds: float, act: Callable[[], None]) -> Iterator[None]:
    """Act in a signal's handler, soon."""
    before = signal.signal(signal.SIGALRM, lambda _number, _frame: act())
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.signal(signal.SIGALRM, before)
