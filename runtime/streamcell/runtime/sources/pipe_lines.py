"""Lines from a pipe, a terminal or a device: their iteration can be ended while nothing comes."""

import os
import select
import stat
import sys
import threading
from collections.abc import Sequence

from streamcell.runtime.sources.line_parser import Format, OnError
from streamcell.runtime.sources.lines import Lines

__all__ = ["PipeLines", "is_pipe"]

_POLL = 100  # milliseconds


class PipeLines(Lines):
    """Iterate over readings as `Lines` does; `close` from another thread ends the iteration within 0.1 seconds.

    Args:
        source: A path, or ``"-"`` for standard input, for which `is_pipe` holds.
        channels: As for `Lines`, like the rest.
        time: As for `Lines`.
        on_error: As for `Lines`.
        format: As for `Lines`.

    Raises:
        InputError: As for `Lines`.
        SourceError: As for `Lines`.

    Examples:
        >>> with PipeLines("-", ["ax", "ay", "az"]) as lines:  # doctest: +SKIP
        ...     threading.Timer(10, lines.close).start()
        ...     for readings in lines:
        ...         print(readings.values)
    """

    def __init__(
        self,
        source: str,
        channels: Sequence[str],
        time: str | None = None,
        on_error: OnError = "stop",
        format: Format = "auto",  # noqa: A002 - the command's word
    ) -> None:
        super().__init__(source, channels, time, on_error, format)
        self._reading = threading.Lock()
        self._poll = select.poll()
        self._poll.register(self._stream.fileno(), select.POLLIN)

    def _shut(self) -> None:
        """Close the pipe, if nobody waits for it now; who waits closes it when it is done."""
        if self._reading.acquire(blocking=False):
            try:
                super()._shut()
            finally:
                self._reading.release()

    def _read(self) -> bytes:
        with self._reading:
            while not self._closed and not self._poll.poll(_POLL):
                pass
            return super()._read()


def is_pipe(source: str) -> bool:
    """Tell whether a source is there, but no file and no folder: a pipe, a terminal, a device.

    Examples:
        >>> is_pipe("/dev/null"), is_pipe("serial:/dev/ttyUSB0"), is_pipe("no/such/file")
        (True, False, False)
    """
    try:
        mode = os.fstat(sys.stdin.fileno()).st_mode if source == "-" else os.stat(source).st_mode  # noqa: PTH116
    except (OSError, ValueError, AttributeError):
        return False
    return not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)
