"""Corpora of recordings with aligned phones, `utterances.jsonl`, held as one memory-mapped file of 16-bit samples."""

from __future__ import annotations

import fcntl
import hashlib
import json
import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from streamcell.runtime.errors import SourceError

SLACK = 0.02  # s, by which phones may overlap: rounding


@dataclass(frozen=True, slots=True)
class Utterance:
    """One recording: who, where, and its phones `(start s, duration s, label)` without gaps between them."""

    id: str
    speaker: str
    corpus: str
    audio: Path
    phones: tuple[tuple[float, float, str], ...]


def read_corpus(root: Path, corpus: str) -> list[Utterance]:
    """Return the utterances of the folder `root / corpus`.

    Raises:
        SourceError: no `utterances.jsonl` there, a line of it that does not parse, or phones whose times make no sense.
    """
    index = root / corpus / "utterances.jsonl"
    if not index.is_file():
        raise SourceError(
            f"expected the corpus {corpus!r} at {index}, found nothing; give the folder that holds it as --data"
        )
    try:
        lines = index.read_text(encoding="utf-8").split("\n")
    except UnicodeDecodeError as error:
        raise SourceError(f"{index} is not UTF-8: {error}") from error
    return [_parse(line, index, number, corpus) for number, line in enumerate(lines, 1) if line.strip()]


def _parse(line: str, index: Path, number: int, corpus: str) -> Utterance:
    try:
        row = json.loads(line)
        phones = tuple((float(start), float(duration), str(label)) for start, duration, label in row["phones"])
        utterance = Utterance(str(row["id"]), str(row["speaker"]), corpus, index.parent / row["audio"], phones)
    except (ValueError, KeyError, TypeError) as error:
        raise SourceError(
            f"{index}, line {number}: expected an object with id, speaker, audio, phones: {error!r}"
        ) from error
    _check_times(utterance, f"{index}, line {number}")
    return utterance


def _check_times(utterance: Utterance, where: str) -> None:
    """Refuse phones that overlap or run backwards: they would train a network of silence without a word."""
    before = 0.0
    for start, duration, label in utterance.phones:
        if not (math.isfinite(start) and 0 < duration < math.inf and start >= before - SLACK):
            raise SourceError(
                f"{where}: expected phones [start s, duration s, label] in order and without overlap, "
                f"got {[start, duration, label]} after {before:.2f} s"
            )
        before = start + duration


def fingerprint(utterances: Sequence[Utterance], weights: Sequence[float]) -> str:
    """Return a hash of what a training hears: names and sizes of recordings, phones, weights."""
    seen = hashlib.sha256()
    for one, weight in zip(utterances, weights, strict=True):
        seen.update(repr((one.id, one.speaker, one.corpus, _stamp(one.audio)[1], one.phones, weight)).encode())
    return seen.hexdigest()


def _stamp(path: Path) -> tuple[str, int, int]:
    """Return name, size and time of change of a file.

    Raises:
        SourceError: there is none.
    """
    if not path.is_file():
        raise SourceError(f"expected the recording {path}, found none")
    status = path.stat()
    return str(path), status.st_size, status.st_mtime_ns


def read_audio(path: Path, sample_rate: int) -> NDArray[np.int16]:
    """Return the mono mix of a short recording at `sample_rate`, int16 `[n]`.

    Raises:
        SourceError: the file cannot be read.
    """
    try:
        samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    except (soundfile.SoundFileError, OSError) as error:
        raise SourceError(f"cannot read the recording {path}: {error}") from error
    if not np.isfinite(samples).all():
        raise SourceError(f"the recording {path} has NaN or infinite samples; write it again without them")
    mono = soxr.resample(samples.mean(axis=1), rate, sample_rate) if rate != sample_rate else samples.mean(axis=1)
    samples16: NDArray[np.int16] = np.round(np.clip(mono, -1, 1) * 32767).astype(np.int16)
    return samples16


def to_float(samples: NDArray[np.int16]) -> NDArray[np.float32]:
    """Return 16-bit samples as float32 with full scale 1."""
    return samples.astype(np.float32) / np.float32(32768)


class Recordings:
    """The samples of many files, decoded once into one file `cache / <fingerprint>.i16` and memory-mapped.

    Of several processes that lack it one decodes, the others wait for that.

    Args:
        files: the recordings.
        sample_rate: Hz, of the samples handed out.
        cache: folder; a cache of the same files is used again.
        progress: called with the number of files decoded so far.

    Raises:
        SourceError: a file cannot be read.
    """

    def __init__(
        self, files: list[Path], sample_rate: int, cache: Path, progress: Callable[[int], None] = lambda _: None
    ) -> None:
        seen = repr(([_stamp(path) for path in files], sample_rate))
        name = hashlib.sha256(seen.encode()).hexdigest()[:16]
        samples, ends = cache / f"{name}.i16", cache / f"{name}.ends.npy"
        if not _complete(samples, ends):
            cache.mkdir(parents=True, exist_ok=True)
            with _one_at_a_time(cache / f"{name}.lock"):
                if not _complete(samples, ends):
                    _decode(files, sample_rate, samples, ends, progress)
        self._ends: NDArray[np.int64] = np.load(ends)
        self._samples = np.memmap(samples, np.int16, "r")

    def __len__(self) -> int:
        return len(self._ends)

    def __getitem__(self, index: int) -> NDArray[np.float32]:
        """Return recording `index`, float32 `[n]`, full scale 1."""
        start = int(self._ends[index - 1]) if index else 0
        return to_float(self._samples[start : int(self._ends[index])])


def _complete(samples: Path, ends: Path) -> bool:
    """Tell whether a cache was written to its end: the lengths come last."""
    return ends.exists() and samples.exists() and samples.stat().st_size == 2 * int(np.load(ends)[-1])


def _decode(files: list[Path], sample_rate: int, samples: Path, ends: Path, progress: Callable[[int], None]) -> None:
    lengths: list[int] = []
    with ThreadPoolExecutor(2) as pool, _replacing(samples) as out:
        for block in _blocks(files, 64):
            for path, audio in zip(block, pool.map(lambda path: read_audio(path, sample_rate), block), strict=True):
                if not len(audio):
                    raise SourceError(f"the recording {path} holds no samples")
                out.write(audio.tobytes())
                lengths.append(len(audio))
            progress(len(lengths))
    with _replacing(ends) as out:
        np.save(out, np.cumsum(lengths, dtype=np.int64))


@contextmanager
def _one_at_a_time(path: Path) -> Iterator[None]:
    """Wait until nobody else holds the lock file `path`; one that was killed holds it no more.

    Where the file system knows no locks, nobody waits.
    """
    with path.open("w") as file:
        with suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def _replacing(path: Path) -> Iterator[BinaryIO]:
    """Give a file that becomes `path` once it is whole."""
    partial = path.with_name(f"{path.name}.partial")
    with partial.open("wb") as file:
        yield file
    partial.replace(path)


def _blocks(files: list[Path], size: int) -> Iterator[list[Path]]:
    for start in range(0, len(files), size):
        yield files[start : start + size]
