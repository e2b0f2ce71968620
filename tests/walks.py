"""Readings as text, with what may be odd about them, and the command that hears them as a process of its own."""

import signal
import subprocess
import sys
import threading
import time

import numpy as np
from numpy.typing import NDArray

from sensors import CHANNELS, moves

DECODER = {"name": "smoothed", "smoothing": 0.1, "min_duration": 0.2}
HEADER = f"time,{','.join(CHANNELS)}"


def rows(count: int = 600) -> list[str]:
    """Return lines with a hole of 0.5 s, a timestamp that is late, and, as the last, one that repeats."""
    times, values = moves(count)
    times[count // 2 :] += 0.5
    times[count // 4] = times[count // 4 - 3]
    lines = lines_of(times, values)
    return [*lines, lines[-1]]


def lines_of(times: NDArray[np.float64], values: NDArray[np.float32]) -> list[str]:
    """Write readings as CSV."""
    return [",".join(map(repr, [time, *row])) for time, row in zip(times.tolist(), values.tolist(), strict=True)]


def text_of(lines: list[str], header: str = HEADER) -> bytes:
    return "\n".join([header, *lines, ""]).encode()


class Running:
    """Run the command as a process of its own, and know what it has said so far."""

    def __init__(self, *arguments: object, stdin: int = subprocess.DEVNULL) -> None:
        call = [sys.executable, "-m", "streamcell", "classify", *map(str, arguments)]
        self._process = subprocess.Popen(call, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.stdin, self.out, self.err = self._process.stdin, list[str](), list[str]()
        self._threads = [
            threading.Thread(target=lambda pipe=pipe, said=said: said.extend(line.decode()[:-1] for line in pipe))
            for pipe, said in ((self._process.stdout, self.out), (self._process.stderr, self.err))
        ]
        for thread in self._threads:
            thread.start()

    def wait_for(self, words: str) -> None:
        """Wait until a line holds these words."""
        end = time.monotonic() + 60
        while not any(words in line for line in [*self.out, *self.err]):
            assert self._process.poll() is None, self.err
            assert time.monotonic() < end, (words, self.out, self.err)
            time.sleep(0.01)

    def end(self, number: int = signal.SIGINT, within: float = 10.0) -> int:
        """Send a signal; return the exit code, which comes soon."""
        begin = time.monotonic()
        self._process.send_signal(number)
        code = self.join()
        assert time.monotonic() - begin < within
        return code

    def join(self) -> int:
        """Wait for the end; return the exit code."""
        code = self._process.wait(60)
        for thread in self._threads:
            thread.join()
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe is not None:
                pipe.close()
        assert "Traceback" not in "\n".join(self.err)
        return code
