"""Readings that a device writes as lines of text to a serial port. The device may run already, and be unplugged."""

import errno
import threading
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from streamcell.runtime.errors import InputError, MissingExtraError, SourceError
from streamcell.runtime.sources.line_parser import Format, LineParser, OnError
from streamcell.runtime.sources.line_source import LineSource
from streamcell.runtime.sources.readings import Readings

__all__ = ["Serial"]

_POLL = 0.1  # seconds
_EXPECTED = "expected a port such as /dev/ttyUSB0, or serial:/dev/ttyUSB0?baud=115200"


class Serial(LineSource):
    """Iterate over the readings in the lines that come from a serial port, as soon as a line is whole.

    Lines are as for `Lines`. What came before the port was opened is left out. A device that runs already is heard from
    the middle of a line on: so the first line is left out and counted as skipped, unless it surely is whole (a header,
    or JSON); a CSV line that lost its beginning would look like a reading. A header may come again at any time, since
    devices begin anew; its order then holds.

    `close`, also from another thread or a signal handler, ends the iteration within 0.1 seconds.

    Args:
        port: The device's path or name, or a URL ``serial:/dev/ttyUSB0?baud=115200``, whose baud rate then holds.
        channels: Names, in the model's order.
        baud: Bits a second, 8 data bits, no parity, 1 stop bit.
        time: As for `Lines`.
        on_error: As for `Lines`.
        format: As for `Lines`.

    Raises:
        InputError: If an argument does not fit.
        SourceError: If there is no such port, it may not be opened, or another program has it; while iterating: if it
            was unplugged, after all readings before, or as for `Lines`.
        MissingExtraError: If pyserial is not installed.

    Examples:
        >>> with Serial("/dev/ttyUSB0", ["ax", "ay", "az"], baud=9600) as port:  # doctest: +SKIP
        ...     for readings in port:
        ...         print(readings.values)
    """

    def __init__(
        self,
        port: str,
        channels: Sequence[str],
        baud: int = 115200,
        time: str | None = None,
        on_error: OnError = "stop",
        format: Format = "auto",  # noqa: A002 - the command's word
    ) -> None:
        device, baud = _device(port, baud)
        self._name = f"{device} at {baud} baud"
        super().__init__(LineParser(self._name, channels, time, on_error, format, live=True, cut=True))
        self._reading = threading.Lock()
        self._port = _open(device, baud)

    def _shut(self) -> None:
        """Close the port, if nobody reads it now; who reads it closes it."""
        if self._reading.acquire(blocking=False):
            try:
                self._port.close()
            finally:
                self._reading.release()

    def _pull(self) -> Iterator[Readings]:
        while data := self._read():
            try:
                yield from self._parser.feed(data)
            except SourceError as error:
                if self._parser.given:
                    raise
                raise SourceError(f"{error} Is the baud rate the device's?") from error

    def _read(self) -> bytes:
        """Return what is there, after waiting for something to be there; nothing if it was closed."""
        data = b""
        try:
            with self._reading:
                while not data and not self._closed:
                    data = self._port.read(max(1, self._port.in_waiting))
        except OSError as error:
            self._shut()
            raise SourceError(
                f"{self._name} is gone ({error}). It was unplugged, or another program reads it too: connect it and "
                "begin anew"
            ) from error
        if self._closed:
            self._shut()
        return data


def _device(port: str, baud: int) -> tuple[str, int]:
    """Return the path and the baud rate that a port's name or URL says."""
    settings: dict[str, str] = {}
    if port.startswith("serial:"):
        url = urlsplit(port)
        settings = dict(parse_qsl(url.query, keep_blank_values=True))
        if url.netloc or not url.path or url.fragment or settings.keys() - {"baud"}:
            raise InputError(f"{_EXPECTED}; got {port!r}")
        port = unquote(url.path)
    text = settings.get("baud", str(baud))
    if not port or not (text.isascii() and text.isdecimal() and 0 < int(text[:12]) < 1 << 31):
        raise InputError(f"{_EXPECTED}, with a baud rate above 0; got {port!r}, {text!r}")
    return port, int(text)


def _open(device: str, baud: int) -> Any:
    serial = _serial()
    try:
        return serial.Serial(device, baud, timeout=_POLL, exclusive=True)
    except (OSError, ValueError, OverflowError) as error:
        raise SourceError(_problem(device, error)) from error


def _problem(device: str, error: Exception) -> str:
    """Say why a port cannot be opened, and what to do."""
    code = getattr(error, "errno", None)
    if code == errno.ENOENT:
        return f"no such port: {device}. {_listed()}"
    if code in (errno.EACCES, errno.EPERM):
        return f"{device} may not be opened by you. On Linux: sudo usermod -aG dialout $USER, then log in again"
    if code in (errno.EBUSY, errno.EAGAIN):
        return f"{device} is in use by another program; end that program, a terminal or an IDE perhaps"
    return f"{device} cannot be opened as a serial port: {error}. {_listed()}"


def _listed() -> str:
    from serial.tools.list_ports import comports

    ports = sorted(f"{port.device} ({port.description})" for port in comports())
    return f"There are: {'; '.join(ports)}" if ports else "There are no serial ports here; is the device connected?"


def _serial() -> Any:
    """Import pyserial only when a port is asked for."""
    try:
        import serial
    except ImportError as error:
        raise MissingExtraError("pyserial", "sensor", "to read from a serial port") from error
    return serial
