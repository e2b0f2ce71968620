"""Readings that come through an MQTT broker, and events that go to one. Lost connections are made again."""

import json
import re
import time as clock
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Self

from streamcell.runtime.errors import InputError, SourceError
from streamcell.runtime.sources.inbox import Inbox
from streamcell.runtime.sources.line_parser import Format, LineParser, OnError
from streamcell.runtime.sources.line_source import LineSource
from streamcell.runtime.sources.mqtt_link import Address, Link
from streamcell.runtime.sources.readings import Readings

__all__ = ["Mqtt", "MqttPublisher"]

_NESTED = re.compile(rb"\s*\[\s*[\[{]")


class Mqtt(LineSource):
    """Iterate over the readings in the messages of a topic, as they come; they are received from here on.

    A message is one or more lines as for `Lines`, of CSV or JSON; one JSON object or array over several lines; or a
    JSON array of objects or of arrays, one a reading. A CSV header may come once or in every message. The topic is one:
    wildcards would mix the readings of several senders. Retained messages are not of now, and are ignored.

    Where the broker goes away, it is tried again after 0.5, 1, 2 ... 30 seconds. Messages sent meanwhile are lost. What
    is not read fast enough is dropped and counted. Either way the readings that come next say as their ``outage`` how
    long it was since the last message before the loss.

    `close`, also from another thread or a signal handler, ends the iteration at once.

    Args:
        url: ``mqtt://[user:password@]host[:port]/topic/levels``; ``mqtts://`` for TLS with the system's certificates,
            or those in the file that the environment variable SSL_CERT_FILE names. Odd letters are written as in %20.
        channels: Names, in the model's order.
        time: As for `Lines`.
        on_error: As for `Lines`.
        format: As for `Lines`.
        queue_size: How many messages may wait to be read (and 16 MiB) before further ones are dropped.

    Raises:
        InputError: If an argument does not fit.
        SourceError: If the broker cannot be reached, does not answer within 5 seconds, or refuses; while iterating: if
            it refuses when it is back, or as for `Lines`.
        MissingExtraError: If paho-mqtt is not installed.

    Examples:
        >>> with Mqtt("mqtt://localhost/home/watch", ["ax", "ay", "az"]) as watch:  # doctest: +SKIP
        ...     for readings in watch:
        ...         print(readings.values, readings.outage)
    """

    def __init__(
        self,
        url: str,
        channels: Sequence[str],
        time: str | None = None,
        on_error: OnError = "stop",
        format: Format = "auto",  # noqa: A002 - the command's word
        queue_size: int = 1000,
    ) -> None:
        if queue_size < 1:
            raise InputError(f"queue_size must be at least 1 message, got {queue_size!r}")
        address = Address.of_url(url)
        super().__init__(LineParser(str(address), channels, time, on_error, format, live=True))
        self._inbox = Inbox(queue_size)
        self._link = Link(address, self._inbox)

    @property
    def dropped(self) -> int:
        """How many messages were not kept, because too many waited to be read."""
        return self._inbox.dropped

    @property
    def connected(self) -> bool:
        """Whether the broker is there now."""
        return self._link.connected

    def _shut(self) -> None:
        self._inbox.end()
        self._link.close()

    def _pull(self) -> Iterator[Readings]:
        outage = 0.0
        while (message := self._inbox.get()) is not None:
            outage = message.outage or outage
            for readings in self._parser.feed(_lines(message.payload)):
                yield replace(readings, outage=outage)
                outage = 0.0
        raise SourceError(self._link.problem)


class MqttPublisher:
    """Send texts to a topic, each at least once, without ever waiting for the broker.

    Texts wait while the broker is away, at most 1000, and go out when it is back; the connection is made again as by
    `Mqtt`. Use it as a context manager, or `close`.

    Args:
        url: As for `Mqtt`.

    Raises:
        InputError: If the URL does not fit.
        SourceError: If the broker cannot be reached, does not answer within 5 seconds, or refuses.
        MissingExtraError: If paho-mqtt is not installed.

    Examples:
        >>> with MqttPublisher("mqtt://localhost/home/events") as events:  # doctest: +SKIP
        ...     events.send('{"label": "walking"}')
    """

    def __init__(self, url: str) -> None:
        self._taken = self._refused = 0
        self._closed = False
        self._link = Link(Address.of_url(url), None)

    @property
    def unsent(self) -> int:
        """How many texts found no room, and after `close` also those that the broker has not confirmed."""
        return self._refused + (self._taken - self._link.confirmed if self._closed else 0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def send(self, text: str) -> None:
        """Let a text be sent; count it as unsent if 1000 wait already.

        Raises:
            InputError: If it was closed.
        """
        if self._closed:
            raise InputError("the publisher is closed; make a new one to send more")
        if self._link.publish(text):
            self._taken += 1
        else:
            self._refused += 1

    def close(self, patience: float = 2.0) -> None:
        """Wait until the broker has confirmed all texts, for ``patience`` seconds at most; end the connection."""
        deadline = clock.monotonic() + patience
        while not self._closed and self._link.confirmed < self._taken and clock.monotonic() < deadline:
            clock.sleep(0.005)
        self._closed = True
        self._link.close()


def _lines(payload: bytes) -> bytes:
    """Return a message as lines, one a reading."""
    if payload.lstrip()[:1] in (b"{", b"[") and (b"\n" in payload or _NESTED.match(payload)):
        try:
            value = json.loads(payload)
        except (ValueError, RecursionError):
            value = []  # JSON lines, or none; the parser says what is wrong
        if value and isinstance(value, list) and all(isinstance(item, dict | list) for item in value):
            payload = "\n".join(map(json.dumps, value)).encode()
        elif value:
            payload = payload.replace(b"\n", b" ")
    return payload if payload.endswith(b"\n") else payload + b"\n"
