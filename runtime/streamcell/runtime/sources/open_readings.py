"""Readings by the name of their source, as a command line gives it."""

import re
from collections.abc import Sequence

from streamcell.runtime.errors import InputError
from streamcell.runtime.sources.line_parser import Format, OnError
from streamcell.runtime.sources.lines import Lines
from streamcell.runtime.sources.mqtt import Mqtt
from streamcell.runtime.sources.pipe_lines import PipeLines, is_pipe
from streamcell.runtime.sources.serial_port import Serial

__all__ = ["open_readings"]

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://|(serial|mqtts?):", re.IGNORECASE)


def open_readings(
    source: str,
    channels: Sequence[str],
    time: str | None = None,
    on_error: OnError = "stop",
    format: Format = "auto",  # noqa: A002 - the command's word
) -> Lines | Serial | Mqtt:
    """Open a source of readings.

    Args:
        source: A file's path, ``-`` for standard input, ``serial:/dev/ttyUSB0?baud=115200``, or
            ``mqtt://host/topic`` (``mqtts://`` for TLS).
        channels: Names, in the model's order.
        time: As for `Lines`.
        on_error: As for `Lines`.
        format: As for `Lines`.

    Raises:
        InputError: If it is a URL of another kind, or an argument does not fit.
        SourceError: If it cannot be opened.
        MissingExtraError: If the package that it needs is not installed.

    Examples:
        >>> open_readings("tcp://10.0.0.7:5000", ["ax"])
        Traceback (most recent call last):
        ...
        streamcell.runtime.errors.InputError: expected a file, -, serial:PORT?baud=115200 or mqtt://HOST/TOPIC; got tcp:
    """
    found = _SCHEME.match(source)
    scheme = (found[1] or found[2]).lower() if found else ""
    if scheme == "serial":
        return Serial(source, channels, time=time, on_error=on_error, format=format)
    if scheme in ("mqtt", "mqtts"):
        return Mqtt(source, channels, time, on_error, format)
    if scheme:
        raise InputError(f"expected a file, -, serial:PORT?baud=115200 or mqtt://HOST/TOPIC; got {scheme}:")
    kind = PipeLines if is_pipe(source) else Lines
    return kind(source, channels, time, on_error, format)
