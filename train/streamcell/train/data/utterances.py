"""Corpora of recordings with aligned phones, `utterances.jsonl`, held as one memory-mapped file of 16-bit samples."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from streamcell.runtime.errors import SourceError


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
        SourceError: no `utterances.jsonl` there, or a line of it that does not parse.
    """
    index = root / corpus / "utterances.jsonl"
    if not index.is_file():
        raise SourceError(
            f"expected the corpus {corpus!r} at {index}, found nothing; give the folder that holds it as --data"
        )
    return [
        _parse(line, index, number, corpus)
        for number, line in enumerate(index.read_text(encoding="utf-8").splitlines(), 1)
    ]


def _parse(line: str, index: Path, number: int, corpus: str) -> Utterance:
    try:
        row = json.loads(line)
        phones = tuple((float(start), float(duration), str(label)) for start, duration, label in row["phones"])
        return Utterance(str(row["id"]), str(row["speaker"]), corpus, index.parent / row["audio"], phones)
    except (ValueError, KeyError, TypeError) as error:
        raise SourceError(
            f"{index}, line {number}: expected an object with id, speaker, audio, phones: {error!r}"
        ) from error


def read_audio(path: Path, sample_rate: int) -> NDArray[np.int16]:
    """Return the mono mix of a short recording at `sample_rate`, int16 `[n]`.

    Raises:
        SourceError: the file cannot be read.
    """
    try:
        samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    except (soundfile.SoundFileError, OSError) as error:
        raise SourceError(f"cannot read the recording {path}: {error}") from error
    mono = soxr.resample(samples.mean(axis=1), rate, sample_rate) if rate != sample_rate else samples.mean(axis=1)
    samples16: NDArray[np.int16] = np.round(np.clip(mono, -1, 1) * 32767).astype(np.int16)
    return samples16


def to_float(samples: NDArray[np.int16]) -> NDArray[np.float32]:
    """Return 16-bit samples as float32 with full scale 1."""
    return samples.astype(np.float32) / np.float32(32768)


class Recordings:
    """The samples of many files, decoded once into one file `cache / <fingerprint>.i16` and memory-mapped.

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
        seen = "\n".join(f"{path}:{path.stat().st_size if path.exists() else -1}" for path in files) + str(sample_rate)
        name = hashlib.sha256(seen.encode()).hexdigest()[:16]
        samples, ends = cache / f"{name}.i16", cache / f"{name}.ends.npy"
        if not ends.exists():
            cache.mkdir(parents=True, exist_ok=True)
            _decode(files, sample_rate, samples, ends, progress)
        self._ends: NDArray[np.int64] = np.load(ends)
        self._samples = np.memmap(samples, np.int16, "r")

    def __len__(self) -> int:
        return len(self._ends)

    def __getitem__(self, index: int) -> NDArray[np.float32]:
        """Return recording `index`, float32 `[n]`, full scale 1."""
        start = int(self._ends[index - 1]) if index else 0
        return to_float(self._samples[start : int(self._ends[index])])


def _decode(files: list[Path], sample_rate: int, samples: Path, ends: Path, progress: Callable[[int], None]) -> None:
    partial, lengths = samples.with_suffix(".partial"), list[int]()
    with ThreadPoolExecutor(2) as pool, partial.open("wb") as out:
        for block in _blocks(files, 64):
            for audio in pool.map(lambda path: read_audio(path, sample_rate), block):
                out.write(audio.tobytes())
                lengths.append(len(audio))
            progress(len(lengths))
    partial.replace(samples)
    np.save(ends, np.cumsum(lengths, dtype=np.int64))


def _blocks(files: list[Path], size: int) -> Iterator[list[Path]]:
    for start in range(0, len(files), size):
        yield files[start : start + size]
