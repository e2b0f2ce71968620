"""Audio files, read as a stream: bounded memory however long the file says it is."""

import os
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamcell.runtime.errors import MissingExtraError, SourceError

__all__ = ["AudioFile"]

_MIN_FRAMES = 4096  # libsndfile decodes Ogg/Opus wrongly in reads of 54 frames or fewer
_MAX_SAMPLES = 1 << 22  # of one read, all channels, whatever rate the header claims
_UNKNOWN_BYTES = 0x7FFFF000  # the least that writers to a pipe put where a wav's size is not known yet
_UNKNOWN_FRAMES = 1 << 62
_OGG_PAGE = 65307  # bytes, the longest there is


class AudioFile:
    """Iterate over the samples of an audio file (wav, flac, ogg, opus, mp3) in mono blocks.

    The file is read forwards once; the length in its header is never trusted. Channels are averaged. Use it as a
    context manager, or `close` it.

    Args:
        path: The file.
        block_seconds: About how long a block is, at least 4,096 samples.
        finite: Whether a sample that is NaN or infinite is an error; if not, it is given like any other.

    Attributes:
        sample_rate: Hz.
        seconds: How much has been read so far.
        cut: True once reading found the file damaged or shorter than it should be, or an Ogg file with further streams
            after its first (chained, as `cat a.ogg b.ogg` makes them), which libsndfile does not read; what could be
            decoded has been given. Mp3 has no length that could be trusted, so a cut one goes unnoticed.

    Raises:
        SourceError: If there is no such file, or it is a folder, empty, or no audio; while iterating: if it holds no
            samples, or, with ``finite``, one that is not finite.
        MissingExtraError: If soundfile is not installed.

    Examples:
        >>> import soundfile, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     soundfile.write(f"{folder}/stereo.wav", np.full((20000, 2), [0.25, 0.75]), 8000)
        ...     with AudioFile(f"{folder}/stereo.wav", block_seconds=1.0) as audio:
        ...         [(block.shape, float(block[0])) for block in audio], audio.seconds, audio.cut
        ([((8000,), 0.5), ((8000,), 0.5), ((4000,), 0.5)], 2.5, False)
    """

    def __init__(self, path: str | Path, block_seconds: float = 2.0, *, finite: bool = True) -> None:
        self._path, self._finite = Path(path), finite
        self._file = _open(self._path)
        self._frames = 0
        self.sample_rate: int = self._file.samplerate
        self.cut = self._file.format in {"WAV", "WAVEX"} and _wav_is_cut(self._file.extra_info)
        frames = max(_MIN_FRAMES, min(round(block_seconds * self.sample_rate), _MAX_SAMPLES // self._file.channels))
        self._buffer = np.empty((frames, self._file.channels), np.float32)

    @property
    def seconds(self) -> float:
        """Seconds of audio read so far."""
        return self._frames / self.sample_rate

    def __enter__(self) -> "AudioFile":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; closing again does nothing."""
        self._file.close()

    def __iter__(self) -> Iterator[NDArray[np.float32]]:
        more = not self._file.closed
        while more:
            block = self._read()
            more = len(block) == len(self._buffer)
            if len(block):
                yield self._mono(block)
        if not self._file.closed:
            self._end()

    def _read(self) -> NDArray[np.float32]:
        """Read the next `[frames, channels]`; fewer than a full buffer is the end."""
        self._buffer.fill(np.nan)
        try:
            return np.asarray(self._file.read(out=self._buffer))
        except _soundfile().LibsndfileError:
            # What was decoded before the damage already lies in the buffer; the rest is still NaN.
            missing = np.asarray(np.isnan(self._buffer).any(axis=1))
            decoded = int(np.argmax(missing)) if missing.any() else len(missing) - 1
            # Behind the last sample there is only junk that does no harm, e.g. an ID3 tag.
            self.cut = self.cut or self._frames + decoded < self._file.frames
            return self._buffer[:decoded]

    def _mono(self, block: NDArray[np.float32]) -> NDArray[np.float32]:
        with np.errstate(invalid="ignore", over="ignore"):
            mono: NDArray[np.float32] = block.mean(axis=1, dtype=np.float32)
        finite = np.isfinite(mono)
        if self._finite and not finite.all():
            at = (self._frames + int(np.argmin(finite))) / self.sample_rate
            raise SourceError(
                f"{self._path} holds a sample that is not a finite number, at {at:.3f} s. "
                "Write the file again without NaN and infinity; transcribe and vad take them as gaps with --gap."
            )
        self._frames += len(mono)
        return mono

    def _end(self) -> None:
        """Notice what is missing, once nothing more can be read."""
        if self._file.format != "MP3" and self._frames < self._file.frames < _UNKNOWN_FRAMES:
            self.cut = True
        if self._file.format == "OGG" and _ogg_is_cut(self._path):
            self.cut = True
        if self._frames == 0:
            why = " that can be decoded: it is cut or damaged" if self.cut else ""
            raise SourceError(f"{self._path} holds no samples{why}")


def _soundfile() -> Any:
    try:
        return import_module("soundfile")
    except ImportError as error:
        raise MissingExtraError("soundfile", "audio", "to read audio files") from error
    except OSError as error:
        raise SourceError(f"soundfile cannot load libsndfile ({error}). On Debian: apt install libsndfile1") from error


def _open(path: Path) -> Any:
    """Open a file for reading forwards only."""
    soundfile = _soundfile()
    try:
        _check(path)
    except OSError as error:
        raise SourceError(f"cannot read {path}: {error.strerror}") from error
    try:
        file = soundfile.SoundFile(os.fsencode(path))
    except (soundfile.LibsndfileError, TypeError) as error:  # TypeError: *.raw, which says nothing of its rate
        raise SourceError(
            f"{path} is not audio that can be read (wav, flac, ogg, opus, mp3). "
            "Another kind must be converted first, e.g. ffmpeg -i in.m4a out.wav"
        ) from error
    # soundfile seeks after every read of a seekable file. That is slow, makes mpg123 complain on stderr, and loses the
    # last frames of a cut flac.
    file.seekable = lambda: False
    return file


def _check(path: Path) -> None:
    if not path.exists():
        raise SourceError(f"no such file: {path}")
    if path.is_dir():
        raise SourceError(f"{path} is a folder; name the audio files in it, e.g. {path / '*.wav'}")
    if not path.is_file():
        raise SourceError(f"{path} is not a regular file; write the audio to a file first")
    with path.open("rb") as file:
        if not file.read(1):
            raise SourceError(f"{path} is empty (0 bytes)")


def _wav_is_cut(log: str) -> bool:
    """Tell from libsndfile's log whether the data chunk is longer than what follows it.

    Examples:
        >>> _wav_is_cut("data : 132480 (should be 66218)"), _wav_is_cut("data : 4294967295 (should be 66218)")
        (True, False)
    """
    found = re.search(r"^data : (\d+) \(should be (\d+)\)", log, re.MULTILINE)
    return found is not None and int(found[2]) < int(found[1]) < _UNKNOWN_BYTES


def _ogg_is_cut(path: Path) -> bool:
    """Tell whether the file's last Ogg page (RFC 3533, section 6) is cut, or of another stream than the first page."""
    with path.open("rb") as file:
        first = file.read(_OGG_PAGE)
        file.seek(max(0, path.stat().st_size - _OGG_PAGE))
        tail = file.read()
    page = tail[tail.rfind(b"OggS") :]
    if len(page) < 27:
        return True
    segments = page[27 : 27 + page[26]]
    return _serial(first) != _serial(page) or len(page) < 27 + page[26] + sum(segments)


def _serial(data: bytes) -> bytes:
    """Return the number of the stream that the first Ogg page in ``data`` belongs to."""
    return data[data.find(b"OggS") :][14:18]
