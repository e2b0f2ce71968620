"""A connection to an MQTT broker that is made again whenever it is lost."""

import os
import threading
import time
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import unquote, urlsplit

from streamcell.runtime.errors import InputError, MissingExtraError, SourceError
from streamcell.runtime.sources.inbox import Inbox

__all__ = ["Address", "Link"]

_PORTS = {"mqtt": 1883, "mqtts": 8883}
_PATIENCE = 5.0  # seconds for a broker to answer
_KEEPALIVE = 10  # seconds without a sign of life after which the broker is asked for one
_POLL = 0.1  # seconds
_SHORTEST, _LONGEST = 0.5, 30.0  # seconds between attempts to connect again
_QOS = 1  # at least once
_BUSY = 136  # what a broker says that may let us in later
_UNKNOWN = (134, 135)  # bad user name or password, not authorized
_MOST_UNSENT = 1000  # messages
_EXPECTED = "expected mqtt://[user:password@]host[:port]/topic, or mqtts:// for TLS"


@dataclass(frozen=True, slots=True)
class Address:
    """Hold what the URL of a topic says; shown without user and password.

    Attributes:
        scheme: ``"mqtt"`` or ``"mqtts"``.
        host: Of the broker.
        port: Of the broker.
        topic: Without wildcards.
        user: None without one.
        password: None without one.
    """

    scheme: str
    host: str
    port: int
    topic: str
    user: str | None
    password: str | None

    def __str__(self) -> str:
        return f"{self.scheme}://{self.host}:{self.port}/{self.topic}"

    @classmethod
    def of_url(cls, url: str) -> Self:
        """Read a URL.

        Raises:
            InputError: If it is none of a topic.

        Examples:
            >>> print(Address.of_url("mqtts://me:secret@example.org/home/watch"))
            mqtts://example.org:8883/home/watch
        """
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError as error:
            raise InputError(f"{_EXPECTED}; write odd letters of user and password as in %40 for @") from error
        topic = unquote(parts.path[1:])
        if parts.scheme not in _PORTS or not host or port == 0 or parts.query:
            raise InputError(f"{_EXPECTED}; got {parts.scheme}://{host or ''}{parts.path}{'?' * bool(parts.query)}")
        if "#" in url or set(topic) & {"+", "#"}:
            raise InputError(f"{_EXPECTED}, with one whole topic: + and # would mix the readings of several senders")
        if not topic or "\0" in topic or len(topic.encode()) > 65535:
            raise InputError(f"{_EXPECTED}; the topic is missing, too long, or has a zero byte: {topic:.40}")
        user, password = (None if part is None else unquote(part) for part in (parts.username, parts.password))
        return cls(parts.scheme, host, port or _PORTS[parts.scheme], topic, user or None, password)


class Link:
    """Keep a connection to a broker. From the consent of the broker on, one thread alone reads and writes.

    Args:
        address: Of broker and topic.
        inbox: Where the topic's messages go; None to publish.

    Attributes:
        connected: Whether the broker is there now.
        confirmed: How many messages it has confirmed.
        problem: Why the connection ended, if it did.

    Raises:
        SourceError: If the broker cannot be reached, does not answer, or refuses.
        MissingExtraError: If paho-mqtt is not installed.
    """

    def __init__(self, address: Address, inbox: Inbox | None) -> None:
        self._address, self._inbox = address, inbox
        self._running = self._closed = self.connected = False
        self._delay = _SHORTEST
        self.confirmed = 0
        self.problem = ""
        self._client = self._new_client()
        self._begin()
        self._running = True
        self._thread = threading.Thread(target=self._run, name=f"streamcell {address}", daemon=True)
        self._thread.start()

    def publish(self, text: str) -> bool:
        """Queue a text; return whether there was room."""
        full = _paho().MQTT_ERR_QUEUE_SIZE
        return bool(self._client.publish(self._address.topic, text.encode(), _QOS).rc != full)

    def close(self) -> None:
        """End the connection, soon."""
        self._closed = True
        if threading.current_thread() is not self._thread:
            self._thread.join(1.0)

    def _new_client(self) -> Any:
        mqtt, address = _paho(), self._address
        client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id=f"streamcell-{os.urandom(6).hex()}")
        client.connect_timeout = _PATIENCE
        client.max_queued_messages_set(_MOST_UNSENT)
        if address.user is not None:
            client.username_pw_set(address.user, address.password)
        if address.scheme == "mqtts":
            client.tls_set()
        client.on_connect, client.on_subscribe = self._on_connect, self._on_subscribe
        client.on_message, client.on_publish = self._on_message, self._on_publish
        client.on_socket_register_write = _leave_to_the_loop
        return client

    def _begin(self) -> None:
        """Connect and wait for the broker's consent."""
        try:
            self._client.connect(self._address.host, self._address.port, _KEEPALIVE)
        except (OSError, ValueError) as error:
            raise SourceError(_unreachable(self._address, error)) from error
        deadline = time.monotonic() + _PATIENCE
        while not self.connected:
            alive = self._turn()
            if self.problem:
                raise SourceError(self.problem)
            if not alive or time.monotonic() > deadline:
                self._disconnect()
                end = "ended the connection" if not alive else f"said nothing for {_PATIENCE:g} s"
                raise SourceError(
                    f"{self._address}: {self._address.host} {end}. Is it an MQTT broker, and is that port one for "
                    f"{self._address.scheme}://?"
                )

    def _run(self) -> None:
        """Stay connected until closed or refused."""
        try:
            while not (self._closed or self.problem):
                if not self._turn():
                    self._connect_again()
            self._disconnect()
        finally:
            self.connected = False
            self.problem = self.problem or f"{self._address}: the connection has ended"
            if self._inbox is not None:
                self._inbox.end()

    def _turn(self) -> bool:
        """Let the client read and write, for a moment; return whether it still is connected."""
        try:
            return not self._client.loop(_POLL)
        except OSError:
            return False

    def _connect_again(self) -> None:
        self.connected = False
        if self._inbox is not None:
            self._inbox.miss(time.monotonic())
        end = time.monotonic() + self._delay
        self._delay = min(2 * self._delay, _LONGEST)
        while time.monotonic() < end and not self._closed:
            time.sleep(_POLL / 2)
        if not (self._closed or self.problem):
            try:
                self._client.reconnect()
            except (OSError, ValueError):
                return  # the next turn finds no connection

    def _disconnect(self) -> None:
        self._client.disconnect()
        self._turn()

    def _on_connect(self, client: Any, _data: object, _flags: object, reason: Any, _properties: object) -> None:
        if reason.is_failure:
            if not self._running or (self._inbox is not None and reason.value != _BUSY):
                todo = f"Give user and password that it knows: {self._address.scheme}://user:password@..."
                todo = todo if reason.value in _UNKNOWN else "Its log may say why"
                self.problem = f"{self._address}: the broker refuses the connection ({reason}). {todo}"
        elif self._inbox is not None:
            client.subscribe(self._address.topic, _QOS)
        else:
            self._enter()

    def _on_subscribe(self, _client: object, _data: object, _mid: int, reasons: Any, _properties: object) -> None:
        if any(reason.is_failure for reason in reasons):
            who = self._address.user or "somebody without a name"
            self.problem = f"{self._address}: the broker does not let {who} read this topic; it decides who may"
        else:
            self._enter()

    def _enter(self) -> None:
        self.connected, self._delay = True, _SHORTEST

    def _on_message(self, _client: object, _data: object, message: Any) -> None:
        if self._inbox is not None and not message.retain:
            self._inbox.put(bytes(message.payload), time.monotonic())

    def _on_publish(self, *_: object) -> None:
        self.confirmed += 1


def _leave_to_the_loop(*_: object) -> None:
    """Be there, so that who publishes does not write to the network."""


def _unreachable(address: Address, error: Exception) -> str:
    """Say why a broker cannot be reached, and what to do."""
    import socket
    import ssl

    if isinstance(error, ssl.SSLCertVerificationError):
        what = (
            f"its certificate is not trusted ({error.verify_message}); name the file of the authority that signed it "
            "in the environment variable SSL_CERT_FILE"
        )
    elif isinstance(error, ssl.SSLError | ConnectionResetError) and address.scheme == "mqtts":
        what = f"it does not answer with TLS ({error}); is that port one for mqtt://?"
    elif isinstance(error, socket.gaierror):
        what = "there is no host of that name, or no network"
    elif isinstance(error, ConnectionRefusedError):
        what = "nothing listens there; start the broker, or correct host and port"
    else:
        what = f"{error or 'no answer'}; correct host and port, or look at network and firewall"
    return f"{address}: cannot reach {address.host}, port {address.port}: {what}"


def _paho() -> Any:
    """Import paho-mqtt only when a broker is asked for."""
    try:
        from paho.mqtt import client
    except ImportError as error:
        raise MissingExtraError("paho-mqtt", "sensor", "to speak with an MQTT broker") from error
    return client
