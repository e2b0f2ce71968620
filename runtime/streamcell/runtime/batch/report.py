"""What the user sees while many recordings are heard: how far it is, how fast, how long it will take."""

import sys
import time
from typing import TextIO

__all__ = ["Progress", "clock"]

_BAR = 24  # columns
_REDRAW = 0.2  # seconds, on a terminal
_LINE = 30.0  # seconds between lines elsewhere


class Progress:
    """Say on stderr how far it is: one line that changes on a terminal, elsewhere a new one twice a minute.

    Args:
        files: How many there are.
        bytes_all: Of all of them; what is left is told by these, since only decoding tells how long a recording is.
        stream: Where to.
    """

    def __init__(self, files: int, bytes_all: int, stream: TextIO | None = None) -> None:
        self._stream = sys.stderr if stream is None else stream
        self._files, self._bytes_all = files, bytes_all
        self._live = self._stream.isatty()
        self._begin = self._last = time.monotonic()
        self._done = self._failed = self._bytes = 0
        self._seconds = 0.0
        self._shown = False

    @property
    def took(self) -> float:
        """Return the seconds since the beginning."""
        return time.monotonic() - self._begin

    def heard(self, seconds: float) -> None:
        """Note that so much more sound was heard."""
        self._seconds += seconds
        self._show()

    def finished(self, size: int, *, failed: bool) -> None:
        """Note that a file of ``size`` bytes is done or failed."""
        self._done += 1
        self._failed += failed
        self._bytes += size
        self._show()

    def say(self, text: str) -> None:
        """Write a line above the one that changes."""
        self.clear()
        print(text, file=self._stream)

    def clear(self) -> None:
        """Take the line that changes away."""
        if self._shown:
            self._stream.write("\r\x1b[K")
            self._stream.flush()
            self._shown = False

    def line(self) -> str:
        """Return the line: files, hours, times real time, time left."""
        took, share = self.took, self._bytes / max(1, self._bytes_all)
        parts = [f"{self._done} of {self._files} files", f"{self._seconds / 3600:.2f} h"]
        if took > 0 and self._seconds:
            parts.append(f"{self._seconds / took:.0f} times real time")
        if self._failed:
            parts.append(f"{self._failed} failed")
        if share > 0:
            parts.append(f"{clock(took / share - took)} left")
        return ", ".join(parts)

    def _show(self) -> None:
        now = time.monotonic()
        if now - self._last < (_REDRAW if self._live else _LINE):
            return
        self._last = now
        if not self._live:
            print(f"streamcell: {self.line()}", file=self._stream, flush=True)
            return
        filled = round(_BAR * self._bytes / max(1, self._bytes_all))
        self._stream.write(f"\r\x1b[K{'━' * filled}{'─' * (_BAR - filled)} {self.line()}")
        self._stream.flush()
        self._shown = True


def clock(seconds: float) -> str:
    """Write a length of time for people.

    Examples:
        >>> clock(59.6), clock(3723)
        ('1:00', '1:02:03')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
