"""Ctrl-C and SIGTERM as a flag, so that nothing is left half done."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event as Flag

__all__ = ["Flag", "until_signal"]


@contextmanager
def until_signal() -> Iterator[Flag]:
    """Give a flag that the first Ctrl-C or SIGTERM sets; the second interrupts at once."""
    flag = Flag()

    def end(_number: int, _frame: object) -> None:
        if flag.is_set():
            raise KeyboardInterrupt
        flag.set()

    before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield flag
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
