"""The beginning of a recording as one array, for proofs and pictures; whole recordings are streamed."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from streamcell.runtime.resample import Resampler
from streamcell.runtime.sources.audio_file import AudioFile

__all__ = ["read_excerpt"]


def read_excerpt(path: str | Path, sample_rate: int, seconds: float = 10.0) -> NDArray[np.float32]:
    """Return the first ``seconds`` of an audio file at ``sample_rate`` Hz, or all of a shorter one: float32 `[n]`.

    Raises:
        SourceError: If the file gives no usable samples.
        MissingExtraError: If soundfile is not installed, or rates differ and soxr is not.
    """
    with AudioFile(path) as audio:
        resampler = Resampler(audio.sample_rate, sample_rate, "file")
        blocks: list[NDArray[np.float32]] = []
        for block in audio:
            blocks.append(resampler.push(block))
            if audio.seconds >= seconds:
                break
    return np.concatenate([*blocks, resampler.flush()])[: round(seconds * sample_rate)]
