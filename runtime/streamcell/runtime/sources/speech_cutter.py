"""A filter behind any source of sound: only the stretches in which someone speaks, each with its samples."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from streamcell.runtime.blocks import as_samples
from streamcell.runtime.errors import SourceError
from streamcell.runtime.events import Gap, Segment
from streamcell.runtime.model import Model
from streamcell.runtime.pending import Pending
from streamcell.runtime.resample import Quality
from streamcell.runtime.sources.microphone import Microphone
from streamcell.runtime.speech import SpeechDetector
from streamcell.runtime.stream import Invalid

__all__ = ["Source", "Speech", "SpeechCutter", "speech"]


class Source(Protocol):
    """Give mono blocks of sound `[n]`, float32: an `AudioFile`, a `Microphone`, or anything like them."""

    @property
    def sample_rate(self) -> int:
        """Return the rate in Hz."""

    def __iter__(self) -> Iterator[NDArray[np.float32]]:
        """Return what gives the blocks, one after the other."""


@dataclass(frozen=True, slots=True, eq=False)
class Speech:
    """Hold a stretch of speech.

    Attributes:
        start: Seconds since the source began.
        end: Seconds.
        confidence: Mean probability of speech, from 0 to 1.
        samples: `[n]` float32 at the source's rate, from ``start`` to ``end``, both rounded to whole samples; zeros
            where there is a gap.
    """

    start: float
    end: float
    confidence: float
    samples: NDArray[np.float32]


def speech(
    source: Source,
    model: Model,
    *,
    quality: Quality = "live",
    invalid: Invalid = "error",
    max_seconds: float = 30.0,
    **settings: float | None,
) -> Iterator[Speech]:
    """Yield each stretch of speech in a source, as soon as it has ended.

    What a `Microphone` lost is a gap. If the source fails, what was heard is given before its error is raised. Memory
    is bounded by ``max_seconds``.

    Args:
        source: Blocks of sound.
        model: One that `streamcell.runtime.speech.speech_of` takes.
        quality: As in `SpeechDetector`, like all that follows.
        invalid: What samples are that are not finite.
        max_seconds: The longest speech.
        settings: Thresholds and shortest lengths.

    Raises:
        InputError: If the model tells no speech, or an argument or a block does not fit.
        SourceError: If the source fails.

    Examples:
        >>> with AudioFile("meeting.flac") as audio:  # doctest: +SKIP
        ...     for said in speech(audio, Model.open(), quality="file"):
        ...         print(said.start, said.end, said.samples.shape)
    """
    cutter = SpeechCutter(SpeechDetector(model, source.sample_rate, quality, invalid, max_seconds, **settings))
    gone: SourceError | None = None
    try:
        for block in source:
            yield from _only_speech(_lost(source, cutter) + cutter.push(block))
    except SourceError as error:
        gone = error
    yield from _only_speech(_lost(source, cutter) + cutter.flush())
    if gone is not None:
        raise gone


class SpeechCutter:
    """Let a detector hear samples, and cut out those that are speech.

    Args:
        detector: Fresh; it belongs to the cutter from now on.

    Examples:
        >>> cutter = SpeechCutter(SpeechDetector(Model.open(), sample_rate=48000))  # doctest: +SKIP
        >>> for block in microphone:  # doctest: +SKIP
        ...     for found in cutter.push(block):
        ...         print(found)
        >>> cutter.flush()  # doctest: +SKIP
    """

    def __init__(self, detector: SpeechDetector) -> None:
        self._detector = detector
        self._recent = Pending(())
        self._end = 0  # samples heard, lost ones too; the recent ones are the last of them
        self._wanted = 0  # sample; none before is needed any more

    def push(self, block: ArrayLike) -> list[Speech | Gap]:
        """Take the next samples; return what has ended. Arguments and errors as in `SpeechDetector.push`."""
        events = self._detector.push(block)
        array = np.asarray(block)
        samples = as_samples(np.nan_to_num(array, nan=0, posinf=0, neginf=0) if array.dtype.kind == "f" else array)
        self._recent.append(samples)
        self._end += len(samples)
        return self._found(events)

    def gap(self, samples: int, reason: str = "missing") -> list[Speech | Gap]:
        """Say that samples were lost here. Arguments and errors as in `SpeechDetector.gap`."""
        found = self._found(self._detector.gap(samples, reason))
        self._end += samples
        self._recent.append(np.zeros(min(samples, max(0, self._end - self._wanted)), np.float32))
        return found

    def flush(self) -> list[Speech | Gap]:
        """End the sound; return what had not ended."""
        return self._found(self._detector.flush())

    def _found(self, events: list[Segment | Gap]) -> list[Speech | Gap]:
        """Cut the samples of segments; forget those that no segment can need any more."""
        found = [self._cut(event) if isinstance(event, Segment) else event for event in events]
        self._wanted = max(self._wanted, int(self._detector.settled * self._detector.sample_rate))
        old = self._wanted - (self._end - len(self._recent))
        self._recent.drop(min(max(0, old), len(self._recent)))
        return found

    def _cut(self, segment: Segment) -> Speech:
        rate, begin = self._detector.sample_rate, self._end - len(self._recent)
        first, stop = round(segment.start * rate), round(segment.end * rate)
        samples = np.zeros(stop - first, np.float32)
        kept = self._recent.peek(stop - begin)[first - begin :]
        samples[: len(kept)] = kept
        return Speech(segment.start, segment.end, segment.confidence, samples)


def _lost(source: Source, cutter: SpeechCutter) -> list[Speech | Gap]:
    """Tell the cutter what a microphone lost before the block that it just gave, or after the last."""
    lost = source.take_lost() if isinstance(source, Microphone) else 0
    return cutter.gap(lost, "overflow") if lost else []


def _only_speech(found: list[Speech | Gap]) -> Iterator[Speech]:
    return (item for item in found if isinstance(item, Speech))
