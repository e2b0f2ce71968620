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
from streamcell.train.data.augment import change_speed, coloured_noise, level
from streamcell.train.data.labelled import Labelled, LabelledData, hold_out

_ENDINGS = {".ogg", ".wav", ".flac", ".mp3"}

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


def change_colour(samples: Samples, decibels: float, random: np.random.Generator, sample_rate: int) -> Samples:
    """Return `samples` through a random smooth filter, whose gain in dB is a sum of five half-waves over pitch.

    Args:
        samples: The recording.
        decibels: Standard deviation of each half-wave's height.
        random: Where they are drawn from.
        sample_rate: Hz.
    """
    spectrum = np.fft.rfft(samples)
    pitch = np.log1p(np.fft.rfftfreq(len(samples), 1 / sample_rate) / 200)  # linear below 200 Hz, like the ear
    place = np.pi * pitch / pitch[-1]
    gain = sum(height * np.cos(k * place) for k, height in enumerate(decibels * random.standard_normal(5), 1))
    return np.fft.irfft(spectrum * 10 ** (gain / 20), len(samples)).astype(np.float32)


def change_spoken(samples: Samples, random: np.random.Generator, change: SpokenChange, sample_rate: int) -> Samples:
    """Return a changed copy: faster or slower, of another colour, in a stretch of noise, as loud as it comes."""
    faster = change_speed(samples, float(random.uniform(*change.speed)))
    faster = change_colour(faster, float(random.uniform(*change.colour_db)), random, sample_rate)
    before, after = (round(float(random.uniform(*change.shift_s)) * sample_rate) for _ in range(2))
    if len(faster) + min(before, 0) + min(after, 0) > len(faster) // 2:
        faster = faster[max(0, -before) : len(faster) - max(0, -after)]
    before, after = max(before, 0), max(after, 0)
    noise = coloured_noise(before + len(faster) + after, random)
    gain = 10 ** (float(random.uniform(*change.level_dbfs)) / 20) / level(faster)
    quiet = level(faster) * 10 ** (-float(random.uniform(*change.snr_db)) / 20) / level(noise)
    mixed = np.pad(faster, (before, after)) + noise * np.float32(quiet)
    return np.clip(mixed * np.float32(gain), -1, 1)
