"""From a sound to its events: a whole file at once, or a microphone for as long as it is wanted."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from streamcell.runtime.errors import InputError, SourceError
from streamcell.runtime.events import Event, is_final
from streamcell.runtime.formats import Transcript
from streamcell.runtime.model import Model
from streamcell.runtime.sources import AudioFile, Microphone
from streamcell.runtime.stream import Invalid, Stream

__all__ = ["Heard", "listen", "transcribe_file"]

_FLOOR = 1e-5  # of the level, -100 dBFS


def transcribe_file(model: Model, path: str | Path, invalid: Invalid = "error") -> Transcript:
    """Stream one audio file through a model, in bounded memory.

    A recording shorter than one step of the model has no events.

    Args:
        model: One that takes audio.
        path: A file that `AudioFile` reads.
        invalid: What samples are that are not finite: ``"error"`` or ``"gap"``.

    Raises:
        SourceError: If the file gives no usable samples.
        InputError: If the model does not take audio.

    Examples:
        >>> transcript = transcribe_file(Model.open("phonemes-en"), "speech.wav")  # doctest: +SKIP
        >>> [(segment.label, segment.start) for segment in transcript.segments]  # doctest: +SKIP
        [('SIL', 0.0), ('HH', 0.54), ('AY', 0.6)]
    """
    if model.manifest.input.kind != "audio":
        raise InputError(f"{model.manifest.name} takes {model.manifest.input.kind}, not audio; choose another model")
    with AudioFile(path, finite=invalid == "error") as audio:
        try:
            events = tuple(filter(is_final, _events(model, audio, invalid)))
        except InputError as error:
            raise SourceError(f"{path}: {error}") from error
        return Transcript(str(path), audio.seconds, events, audio.cut)


def _events(model: Model, audio: AudioFile, invalid: Invalid) -> Iterator[Event]:
    stream = Stream(model, audio.sample_rate, "file", invalid)
    for block in audio:
        yield from stream.push(block)
    yield from stream.flush()


@dataclass(frozen=True, slots=True)
class Heard:
    """Hold what one block of a microphone brought.

    Attributes:
        events: Partial and final segments, gaps, resets.
        seconds: Time since the beginning, after this block.
        level: Root mean square of the block in dBFS, 0 for a full-scale square wave, -100 at least.
        latency: Seconds from a sound at the microphone to the model, without the model's look-ahead.
        dropped: Samples lost since the beginning.
    """

    events: list[Event]
    seconds: float
    level: float
    latency: float
    dropped: int


def listen(stream: Stream, microphone: Microphone, stop: Callable[[float], bool]) -> Iterator[Heard]:
    """Record, stream, and yield what each block brought; at the end, flush.

    Lost samples go on the timeline as a gap before the block that follows them. If the device goes away, what was heard
    is flushed before its error is raised.

    Args:
        stream: At the microphone's rate.
        microphone: Not recording yet.
        stop: Is given the seconds heard after each block and says whether to end.

    Raises:
        SourceError: If the microphone cannot be opened or goes away.
    """
    gone: SourceError | None = None
    level = latency = 0.0
    with microphone:
        try:
            for block in microphone:
                events = _lost(stream, microphone) + stream.push(block)
                level, latency = _level(block), microphone.latency
                yield Heard(events, stream.time, level, latency, microphone.dropped)
                if stop(stream.time):
                    microphone.close()
        except SourceError as error:
            gone = error
    yield Heard(_lost(stream, microphone) + stream.flush(), stream.time, level, latency, microphone.dropped)
    if gone is not None:
        raise gone


def _lost(stream: Stream, microphone: Microphone) -> list[Event]:
    lost = microphone.take_lost()
    return stream.gap(lost, "overflow") if lost else []


def _level(block: NDArray[np.float32]) -> float:
    sound = block[np.isfinite(block)]
    power = float(np.square(sound).sum()) / max(1, sound.size)
    return 20 * math.log10(max(math.sqrt(power), _FLOOR))
