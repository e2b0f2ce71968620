"""Messages on their way from a network's thread to the one that reads them: bounded; what is lost is told."""

import queue
from dataclasses import dataclass

__all__ = ["Inbox", "Message"]

_MOST_BYTES = 1 << 24


@dataclass(frozen=True, slots=True)
class Message:
    """Hold what came.

    Attributes:
        payload: Bytes.
        outage: Seconds from the last message before, if messages may have been lost since; else 0.
    """

    payload: bytes
    outage: float


class Inbox:
    """Hold at most ``size`` messages and 16 MiB. What comes when it is full is counted, not kept.

    One thread may put, one may get; `end` may be called from any and from signal handlers.

    Args:
        size: Messages.

    Attributes:
        dropped: How many were not kept.

    Examples:
        >>> inbox = Inbox(size=1)
        >>> for second in (1.0, 2.0, 3.0):
        ...     inbox.put(b"1,2,3", second)
        >>> inbox.get(), inbox.dropped
        (Message(payload=b'1,2,3', outage=0.0), 2)
        >>> inbox.put(b"4,5,6", 4.0)
        >>> inbox.get()
        Message(payload=b'4,5,6', outage=3.0)
    """

    def __init__(self, size: int) -> None:
        self._queue: queue.SimpleQueue[Message | None] = queue.SimpleQueue()
        self._size = size
        self._put = self._got = 0  # bytes; each is written by one thread
        self._last: float | None = None
        self._missed = False
        self.dropped = 0

    def put(self, payload: bytes, now: float) -> None:
        """Take a message that came ``now`` (seconds of any clock that does not jump)."""
        if self._queue.qsize() >= self._size or self._put - self._got + len(payload) > _MOST_BYTES:
            self.dropped += 1
            self.miss(now)
            return
        outage = now - self._last if self._missed and self._last is not None else 0.0
        self._last, self._missed = now, False
        self._put += len(payload)
        self._queue.put(Message(payload, outage))

    def miss(self, now: float) -> None:
        """Know that from ``now`` on, or already since the last message, messages are lost."""
        self._missed = True
        self._last = now if self._last is None else self._last

    def end(self) -> None:
        """Let `get` return None once it has given all messages."""
        self._queue.put(None)

    def get(self) -> Message | None:
        """Wait for a message, or the end."""
        message = self._queue.get()
        if message is not None:
            self._got += len(message.payload)
        return message
