"""Short recordings with one label each, named after what is said, by whom, and which time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from streamcell.runtime.errors import SourceError
from streamcell.train.columns import Columns
from streamcell.train.data.augment import level
from streamcell.train.data.labelled import Labelled, LabelledData, hold_out

_ENDINGS = {".ogg", ".wav", ".flac", ".mp3"}

_FAST = np.array(sorted(2**a * 3**b * 5**c for a in range(1, 25) for b in range(10) for c in range(7)))  # even sizes

Samples = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class SpokenChange:
    """How strongly a recording is changed before it is heard; each is drawn from a range.

    Attributes:
        speed: factors; pitch rises with it.
        colour_db: how strongly single bands are raised and lowered, as by another voice, microphone or room.
        snr_db: noise of any colour, so far below the recording.
        level_dbfs: loudness of all.
        shift_s: nothing but noise before, and after; below 0 s so much is cut off instead.
    """

    speed: tuple[float, float]
    colour_db: tuple[float, float]
    snr_db: tuple[float, float]
    level_dbfs: tuple[float, float]
    shift_s: tuple[float, float]


def read_spoken(
    path: Path,
    *,
    sample_rate: int,
    validation_takes: Sequence[str],
    also: Sequence[Path] = (),
    validation_groups: Sequence[str] = (),
    test_groups: Sequence[str] = (),
) -> LabelledData:
    """Read every recording `LABEL_SPEAKER_TAKE` (.ogg, .wav, .flac, .mp3) in a folder; speakers are the groups.

    Args:
        path: The folder.
        sample_rate: Hz, to which recordings of other rates are converted.
        also: Further folders of such recordings, all of them to train on.
        validation_takes: Takes in `path` that choose the network, of all speakers who may be heard in training.
        validation_groups: Speakers who choose the network.
        test_groups: Speakers who are never heard in training.

    Raises:
        SourceError: There is no such folder, or a file cannot be read or is named otherwise.
        InputError: A speaker is unknown, or nothing is left to train or validate on.
    """
    names = {file: _parts(file) for folder in (path, *also) for file in _files(folder)}
    labels = sorted({label for label, _, _ in names.values()})
    sequences, held = list[Labelled](), list(validation_groups)
    for file, (label, speaker, take) in names.items():
        group = speaker
        if file.parent == path and take in validation_takes and speaker not in test_groups:
            group = f"{speaker}, held takes"
            held.append(group)
        sequences.append(Labelled(_samples(file, sample_rate), labels.index(label), group))
    return hold_out(sequences, Columns(tuple(labels)), list(dict.fromkeys(held)), test_groups)


def _files(folder: Path) -> list[Path]:
    files = sorted(file for file in folder.glob("*") if file.suffix.lower() in _ENDINGS)
    if not files:
        raise SourceError(f"expected recordings in the folder {folder}, found none; give what holds it as --data")
    return files


def _parts(file: Path) -> tuple[str, str, str]:
    parts = file.stem.split("_")
    if len(parts) != 3 or not all(parts):
        raise SourceError(f"{file}: expected a name like LABEL_SPEAKER_TAKE{file.suffix}, e.g. 7_ann_0{file.suffix}")
    return parts[0], parts[1], parts[2]


def _samples(file: Path, sample_rate: int) -> Samples:
    try:
        found, rate = soundfile.read(file, dtype="float32", always_2d=True)
    except (soundfile.SoundFileError, OSError) as error:
        raise SourceError(f"cannot read {file}: {error}") from error
    mono = found.mean(axis=1)
    changed: Samples = soxr.resample(mono, rate, sample_rate) if rate != sample_rate else mono
    if not len(changed) or not np.isfinite(changed).all():
        raise SourceError(f"{file}: expected samples that are finite numbers")
    return changed


def colour(hertz: NDArray[np.floating], decibels: float, random: np.random.Generator) -> NDArray[np.float64]:
    """Return a random smooth filter's gain at each of `hertz`, in dB a sum of five half-waves over pitch.

    Args:
        hertz: rising frequencies, from 0.
        decibels: Standard deviation of each half-wave's height.
        random: Where they are drawn from.
    """
    pitch = np.log1p(hertz / 200)  # linear below 200 Hz, like the ear
    heights = decibels * random.standard_normal(5)
    gain = np.cos(np.outer(np.pi * pitch / pitch[-1], np.arange(1, 6))) @ heights
    return np.asarray(10 ** (gain / 20))


def change_spoken(samples: Samples, random: np.random.Generator, change: SpokenChange, sample_rate: int) -> Samples:
    """Return a changed copy: faster or slower, of another colour, in a stretch of noise, as loud as it comes.

    All of it is done to one spectrum: a longer or shorter inverse transform is another speed, to within 3%.
    """
    factor = float(random.uniform(*change.speed))
    part = _moved(samples, random, change.shift_s, sample_rate * factor)
    size = _fast_size(len(part))
    spectrum = np.fft.rfft(part, size)
    faster = _fast_size(size / factor)
    bins = faster // 2 + 1
    spectrum = np.pad(spectrum[:bins], (0, max(0, bins - len(spectrum))))
    spectrum *= colour(np.arange(bins) * (sample_rate / faster), float(random.uniform(*change.colour_db)), random)
    noise = random.standard_normal((2, bins), np.float32) * np.maximum(np.arange(bins), 1) ** -random.uniform(0, 1)
    under = 10 ** (-float(random.uniform(*change.snr_db)) / 20) * np.sqrt(size / len(samples))
    spectrum += (noise[0] + 1j * noise[1]) * (under * np.linalg.norm(spectrum) / np.linalg.norm(noise))
    found = np.fft.irfft(spectrum, faster)[: round(len(part) * faster / size)].astype(np.float32)
    gain = 10 ** (float(random.uniform(*change.level_dbfs)) / 20) / level(found)
    return np.asarray(np.clip(found * np.float32(gain), -1, 1))


def _moved(samples: Samples, random: np.random.Generator, shift_s: tuple[float, float], rate: float) -> Samples:
    """Return `samples` with silence before and behind, or cut, if at least half are left."""
    before, after = (round(float(random.uniform(*shift_s)) * rate) for _ in range(2))
    if len(samples) + min(before, 0) + min(after, 0) > len(samples) // 2:
        samples = samples[max(0, -before) : len(samples) - max(0, -after)]
    return np.pad(samples, (max(before, 0), max(after, 0)))


def _fast_size(least: float) -> int:
    """Return the first even number from `least` on whose prime factors are 2, 3 and 5: its transform is fast."""
    return int(_FAST[np.searchsorted(_FAST, least)])
