"""A log-mel spectrogram for the eyes."""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["BANDS", "FRAMES", "LogMel", "to_mel"]

FRAMES = 100
"""Frames a second."""

BANDS = 64
"""Values of a frame."""

_MOST = 1024  # frames at a time
_WINDOW = 0.025  # seconds
_FLOOR = 1e-10  # of the power, -100 dB
_LOG = math.log(6.4) / 27  # of the frequency, a mel above 1 kHz


class LogMel:
    """Turn sound, as it comes, into levels of mel bands: Hann windows of 25 ms, every 10 ms, 64 bands.

    It is for the eyes only. What a model hears is made by its own front end, which is inside its graph. The middle of
    frame k lies at ``(k + 0.5) / 100`` s, at any rate. The bands are triangles on Slaney's mel scale (Auditory Toolbox,
    1998), each with peak 1.

    Args:
        sample_rate: Hz.
        top: Hz, where the highest band ends.

    Examples:
        >>> mel = LogMel(16000, 8000.0)
        >>> len(mel.push(np.zeros(16000))) + len(mel.flush())
        100
    """

    def __init__(self, sample_rate: int, top: float) -> None:
        self._rate = sample_rate
        self._size = max(2, round(_WINDOW * sample_rate))
        self._window = np.hanning(self._size + 1)[:-1]
        self._points = max(512, 1 << (self._size - 1).bit_length())  # fine enough for the narrowest band
        self._filters = _filters(sample_rate, self._points, top)
        self._done = 0  # frames
        self._begin = -self._size  # number of the first sample that is kept; before the beginning is silence
        self._sound: NDArray[np.floating] = np.zeros(self._size)

    def push(self, samples: NDArray[np.floating]) -> NDArray[np.float64]:
        """Take samples `[n]`; return the frames that are known now, `[T, 64]` in dB, NaN where a sample is NaN."""
        self._sound = np.concatenate([self._sound, samples])
        known = self._begin + len(self._sound)
        count = max(self._done, math.floor((known - self._size / 2) / self._rate * FRAMES - 0.5))
        return self._frames(count)

    def flush(self) -> NDArray[np.float64]:
        """End the sound; return the rest, behind which there is silence."""
        count = round((self._begin + len(self._sound)) / self._rate * FRAMES)
        self._sound = np.concatenate([self._sound, np.zeros(2 * self._size)])
        return self._frames(max(self._done, count))

    def _frames(self, count: int) -> NDArray[np.float64]:
        """Return the frames up to number ``count``; forget the sound that no later one needs."""
        parts = [np.zeros((0, BANDS))]
        for first in range(self._done, count, _MOST):
            begins = self._place(np.arange(first, min(first + _MOST, count))) - self._begin
            sound = self._sound[begins[:, None] + np.arange(self._size)] * self._window
            power = np.abs(np.fft.rfft(sound, self._points, axis=1)) ** 2 / self._window.sum() ** 2
            parts.append(10 * np.log10(power @ self._filters + _FLOOR))
        self._done = count
        old = max(0, int(self._place(np.array(count))) - self._begin)
        self._sound, self._begin = self._sound[old:], self._begin + old
        return np.concatenate(parts)

    def _place(self, frames: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the number of the first sample of each frame."""
        return np.rint((frames + 0.5) * self._rate / FRAMES - self._size / 2).astype(np.int64)


def to_mel(hz: ArrayLike) -> NDArray[np.float64]:
    """Return frequencies on Slaney's mel scale, linear below 1 kHz and logarithmic above.

    Examples:
        >>> to_mel([200.0, 1000.0, 6400.0]).round(9).tolist()
        [3.0, 15.0, 42.0]
    """
    frequencies = np.asarray(hz, np.float64)
    above = 15 + np.log(np.maximum(frequencies, 1000) / 1000) / _LOG
    mels: NDArray[np.float64] = np.where(frequencies < 1000, frequencies * 3 / 200, above)
    return mels


def _filters(sample_rate: int, points: int, top: float) -> NDArray[np.float64]:
    """Return triangles from 0 Hz to ``top``, `[points // 2 + 1, bands]`."""
    edges = np.linspace(0.0, to_mel(top), BANDS + 2)
    bins = to_mel(np.arange(points // 2 + 1) * sample_rate / points)
    filters: NDArray[np.float64] = np.maximum(0.0, 1 - np.abs(bins[:, None] - edges[1:-1]) / edges[1])
    return filters
