"""A microphone as a stream of blocks: callback, bounded queue, iterator. What is lost is counted."""

import queue
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamcell.runtime.errors import MissingExtraError, SourceError

__all__ = ["BlockQueue", "Device", "Microphone", "list_devices"]

NO_MICROPHONE = (
    "no microphone was found. Connect one, or look at `arecord --list-devices` and the system's sound settings."
)

_PATIENCE = 2.0  # seconds without a block after which the device counts as gone
_POLL = 0.1  # seconds


@dataclass(frozen=True, slots=True)
class Device:
    """Describe an input device.

    Attributes:
        index: What PortAudio calls it by; it can change when devices come and go.
        name: Its name.
        channels: How many it records at most.
        sample_rate: Its native rate in Hz.
        default: Whether it is the system's default input.
    """

    index: int
    name: str
    channels: int
    sample_rate: int
    default: bool


def list_devices() -> list[Device]:
    """Return the input devices that there were when PortAudio started, at its first use in this process.

    Raises:
        SourceError: If the PortAudio library is absent.
        MissingExtraError: If sounddevice is not installed.
    """
    sounddevice = _sounddevice()
    default = sounddevice.default.device[0]
    return [
        Device(index, info["name"], info["max_input_channels"], round(info["default_samplerate"]), index == default)
        for index, info in enumerate(sounddevice.query_devices())
        if info["max_input_channels"] > 0
    ]


class BlockQueue:
    """Hand blocks from the audio thread to the reader, at most ``size``; what does not fit is counted, not kept.

    Args:
        size: Blocks.
        sample_rate: Hz.

    Attributes:
        dropped: Samples lost since the beginning.

    Examples:
        >>> blocks = BlockQueue(size=1, sample_rate=8000)
        >>> for start in (0.0, 0.5, 1.0):
        ...     blocks.put(np.zeros(4000, np.float32), start, overflow=False)
        >>> samples, lost, _ = blocks.get(0)
        >>> len(samples), lost, blocks.take_lost(), blocks.dropped
        (4000, 0, 8000, 8000)
    """

    def __init__(self, size: int, sample_rate: int) -> None:
        self._queue: queue.Queue[tuple[NDArray[np.float32], int, float]] = queue.Queue(size)
        self._sample_rate = sample_rate
        self._lost = 0
        self._expected = 0.0
        self.dropped = 0

    def put(self, samples: NDArray[np.float32], start: float, *, overflow: bool) -> None:
        """Take a block `[n]` that began at ``start`` (seconds of the device's clock).

        With ``overflow``, samples before it were lost: as many as the clock shows, or one block where it shows none.
        """
        if overflow:
            self._lose(self._missing(start) or len(samples))
        self._expected = start + len(samples) / self._sample_rate
        try:
            self._queue.put_nowait((samples, self._lost, time.monotonic()))
            self._lost = 0
        except queue.Full:
            self._lose(len(samples))

    def get(self, timeout: float) -> tuple[NDArray[np.float32], int, float]:
        """Return the next block, the samples lost before it, and when it came (`time.monotonic`).

        Raises:
            queue.Empty: If none came for ``timeout`` seconds.
        """
        return self._queue.get(timeout=timeout) if timeout else self._queue.get_nowait()

    def take_lost(self) -> int:
        """Return the samples lost after the last block, and forget them."""
        lost, self._lost = self._lost, 0
        return lost

    def _missing(self, start: float) -> int:
        return max(0, round((start - self._expected) * self._sample_rate)) if self._expected else 0

    def _lose(self, samples: int) -> None:
        self._lost += samples
        self.dropped += samples


class Microphone:
    """Iterate over the blocks that a microphone records, at its own rate, mono.

    Recording begins when the context is entered. `close` ends it; blocks that wait are still given, then the iteration
    ends.

    Args:
        device: Index or a part of the name; None is the system's default.
        block_ms: Length of a block in milliseconds.
        queue_seconds: How much may wait to be read before samples are dropped.

    Attributes:
        device: The `Device`.
        sample_rate: Hz.
        latency: Seconds from a sound at the microphone to the moment when the block that holds it is given.

    Raises:
        SourceError: If there is no microphone, no such one, it cannot be opened, it gives nothing for two seconds while
            iterating, or the PortAudio library is absent.
        MissingExtraError: If sounddevice is not installed.
    """

    def __init__(self, device: int | str | None = None, block_ms: float = 30, queue_seconds: float = 2) -> None:
        self.device = _find(device, list_devices())
        self.sample_rate = self.device.sample_rate
        self._block = max(1, round(self.sample_rate * block_ms / 1000))
        self._blocks = BlockQueue(max(1, round(queue_seconds * 1000 / block_ms)), self.sample_rate)
        self._stream: Any = None
        self._input_latency = 0.0
        self._lost = 0
        self._ended = False
        self.latency = 0.0

    @property
    def dropped(self) -> int:
        """Samples lost since the beginning."""
        return self._blocks.dropped

    def take_lost(self) -> int:
        """Return the samples lost just before the block just given, or after the last one; and forget them."""
        lost, self._lost = self._lost, 0
        return lost

    def __enter__(self) -> "Microphone":
        sounddevice = _sounddevice()
        try:
            self._stream = sounddevice.InputStream(
                samplerate=self.sample_rate,
                blocksize=self._block,
                device=self.device.index,
                channels=1,
                dtype="float32",
                callback=self._heard,
            )
            self._stream.start()
        except sounddevice.PortAudioError as error:
            self.close()
            name = f"{self.device.name!r} at {self.sample_rate} Hz"
            raise SourceError(f"cannot record from {name}: {error}. Is another program using it?") from error
        self._input_latency = float(self._stream.latency)
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the recording; ending it again does nothing."""
        if self._stream is not None:
            stream, self._stream, self._ended = self._stream, None, True
            stream.abort()
            stream.close()

    def __iter__(self) -> Iterator[NDArray[np.float32]]:
        if self._stream is None and not self._ended:
            raise SourceError("the microphone is not recording; read it inside `with microphone:`")
        deadline = time.monotonic() + _PATIENCE
        while True:
            try:
                samples, self._lost, came = self._blocks.get(_POLL if self._stream else 0)
            except queue.Empty:
                if self._stream is None:
                    break
                if time.monotonic() > deadline:
                    raise SourceError(
                        f"{self.device.name!r} has given nothing for {_PATIENCE:g} s; was it unplugged?"
                    ) from None
                continue
            self.latency = self._input_latency + time.monotonic() - came
            yield samples
            deadline = time.monotonic() + _PATIENCE
        self._lost = self._blocks.take_lost()

    def _heard(self, data: NDArray[np.float32], _frames: int, clock: Any, status: Any) -> None:
        """Copy and enqueue, nothing else: this runs in PortAudio's thread, where an exception would not be seen."""
        self._blocks.put(data[:, 0].copy(), clock.inputBufferAdcTime, overflow=bool(status.input_overflow))


def _find(wanted: int | str | None, devices: list[Device]) -> Device:
    """Choose a device by index, by name, by a part of its name, or the default."""
    if not devices:
        raise SourceError(NO_MICROPHONE)
    listing = "; ".join(f"{device.index}: {device.name}" for device in devices)
    if wanted is None:
        matches = [device for device in devices if device.default]
        problem = "the system has no default microphone; name one of these"
    elif isinstance(wanted, int) or wanted.isdecimal():
        matches = [device for device in devices if device.index == int(wanted)]
        problem = f"no input device has the number {wanted}; there are"
    else:
        parts = [device for device in devices if wanted.lower() in device.name.lower()]
        matches = [device for device in parts if device.name.lower() == wanted.lower()] or parts
        problem = f"{'several input devices are' if parts else 'no input device is'} called {wanted!r}; there are"
    if len(matches) != 1:
        raise SourceError(f"{problem}: {listing}")
    return matches[0]


def _sounddevice() -> Any:
    """Import sounddevice, which needs a system library, only when a microphone is asked for."""
    try:
        import sounddevice
    except ImportError as error:
        raise MissingExtraError("sounddevice", "audio", "to record from a microphone") from error
    except OSError as error:
        raise SourceError(
            f"the PortAudio library is needed to record from a microphone ({error}). "
            "On Debian and Ubuntu: apt install libportaudio2"
        ) from error
    return sounddevice
