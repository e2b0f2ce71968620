"""Where speech is in a recording, and that speech as files of its own."""

import wave
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from streamcell.runtime.errors import InputError, SourceError
from streamcell.runtime.events import Gap, Segment
from streamcell.runtime.formats import Transcript
from streamcell.runtime.model import Model
from streamcell.runtime.sources import AudioFile, Speech, SpeechCutter
from streamcell.runtime.speech import SPEECH, SpeechDetector
from streamcell.runtime.stream import Invalid

__all__ = ["find_speech", "save_speech", "write_wav"]


def find_speech(
    model: Model,
    path: str | Path,
    *,
    invalid: Invalid = "error",
    max_seconds: float = 30.0,
    found: Callable[[Speech, int], object] = lambda _speech, _rate: None,
    **settings: float | None,
) -> Transcript:
    """Find where speech is in one audio file, in bounded memory.

    Args:
        model: One that `streamcell.runtime.speech.speech_of` takes.
        path: A file that `AudioFile` reads.
        invalid: As in `SpeechDetector`, like the next.
        max_seconds: The longest speech.
        found: Is given each stretch of speech as soon as it has ended, and the file's rate in Hz.
        settings: Thresholds and shortest lengths, as in `SpeechDetector`.

    Returns:
        Segments labelled ``"speech"`` and gaps, in the order of their beginnings.

    Raises:
        SourceError: If the file gives no usable samples.
        InputError: If the model tells no speech, or an argument does not fit.

    Examples:
        >>> transcript = find_speech(Model.open(), "speech.wav")  # doctest: +SKIP
        >>> [(segment.start, segment.end) for segment in transcript.segments]  # doctest: +SKIP
        [(0.51, 2.13)]
    """
    gaps: list[Gap] = []
    segments: list[Segment] = []
    with AudioFile(path, finite=invalid == "error") as audio:
        detector = SpeechDetector(model, audio.sample_rate, "file", invalid, max_seconds, **settings)
        for item in _hear(audio, SpeechCutter(detector), path):
            if isinstance(item, Gap):
                gaps.append(item)
            else:
                found(item, audio.sample_rate)
                segments.append(Segment(SPEECH, item.start, item.end, item.confidence, True, len(segments)))
        events: list[Segment | Gap] = [*gaps, *segments]
        events.sort(key=lambda event: event.start)
        return Transcript(str(path), audio.seconds, tuple(events), audio.cut)


def _hear(audio: AudioFile, cutter: SpeechCutter, path: str | Path) -> Iterator[Speech | Gap]:
    for block in audio:
        try:
            items = cutter.push(block)
        except InputError as error:
            raise SourceError(f"{path}: {error}") from error
        yield from items
    yield from cutter.flush()


def save_speech(folder: str | Path, name: str, speech: Speech, sample_rate: int) -> Path:
    """Write a stretch of speech into a folder, named after ``name`` and its times in seconds; return the file's path.

    Examples:
        >>> import tempfile
        >>> speech = Speech(1.5, 1.75, 0.9, np.zeros(2000, np.float32))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     save_speech(folder, "meeting", speech, 8000).name
        'meeting_00001.500-00001.750.wav'
    """
    path = Path(folder) / f"{name}_{speech.start:09.3f}-{speech.end:09.3f}.wav"
    write_wav(path, speech.samples, sample_rate)
    return path


def write_wav(path: Path, samples: NDArray[np.float32], sample_rate: int) -> None:
    """Write mono sound `[n]` as a 16-bit wav file, whole or not at all; what is beyond -1 to 1 is clipped.

    Samples that came from 16 bits, one channel, are written as they were.
    """
    partial = path.with_name(f"{path.name}.partial")
    try:
        with partial.open("wb") as raw, wave.open(raw, "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(sample_rate)
            file.writeframes(np.clip(np.round(samples * 32768.0), -32768, 32767).astype("<i2").tobytes())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
