"""Changes to recordings and features that real microphones, rooms and speakers make too."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module

import numpy as np
import soxr
import torch
from numpy.typing import NDArray
from torch import Tensor

from streamcell.runtime.errors import MissingExtraError
from streamcell.train.recipes.phonemes import AugmentRecipe

Samples = NDArray[np.float32]

_HOLD = 0.02, 0.2  # s, of a noise gate
_CLOSED_DB = 15.0, 40.0  # that half of the gates take off; the others leave zeros
_GAIN_DBFS = 3, 16  # below full scale, of the automatic gain that half of the noise suppressors have
_SUPPRESSED_LATE = 96  # samples by which WebRTC's noise suppression is late at 16 kHz


def change_speed(samples: Samples, factor: float) -> Samples:
    """Return `samples` played `factor` times as fast (pitch rises with it), `[n] -> [n / factor]`."""
    changed: Samples = soxr.resample(samples, factor, 1.0, quality="LQ")
    return changed


def limit_band(samples: Samples, low: float, high: float, sample_rate: int) -> Samples:
    """Return `samples` without what lies outside `low` to `high` Hz; the edges are 100 Hz wide."""

    def gain(hz: Samples) -> Samples:
        edges = np.clip((hz - low) / 100 + 0.5, 0, 1) * np.clip((high - hz) / 100 + 0.5, 0, 1)
        return edges.astype(np.float32, copy=False)

    return _filtered(samples, gain, sample_rate)


def colour(samples: Samples, most_db: float, sample_rate: int, rng: np.random.Generator) -> Samples:
    """Return `samples` as another microphone colours them: louder or softer by up to `most_db` from octave to octave.

    The gain is drawn for each octave below half the sample rate, down to 62.5 Hz at 16 kHz, and between two of them in
    proportion to the logarithm of the frequency; phases stay.
    """
    each = rng.uniform(-most_db, most_db, 8)

    def gain(hz: Samples) -> Samples:
        octaves = np.log2(np.maximum(hz, 1) / np.float32(sample_rate / 2))
        gain_db = np.interp(octaves, np.arange(-7, 1), each).astype(np.float32)
        return np.power(np.float32(10), gain_db / 20)

    return _filtered(samples, gain, sample_rate)


def _filtered(samples: Samples, gain: Callable[[Samples], Samples], sample_rate: int) -> Samples:
    """Return `samples` after a filter without delay, `gain` a factor for each frequency in Hz; all in float32."""
    size = _good_size(len(samples))
    hz = np.fft.rfftfreq(size, 1 / sample_rate).astype(np.float32)
    return np.fft.irfft(np.fft.rfft(samples, size) * gain(hz), size)[: len(samples)].astype(np.float32, copy=False)


def _good_size(length: int) -> int:
    """Return the least number from `length` on that is a power of two, or 5 or 6 eighths of one: fast to transform.

    >>> [_good_size(n) for n in (2, 1000, 1100, 1281)]
    [2, 1024, 1280, 1536]
    """
    power = 1 << max(1, length - 1).bit_length()
    return max(2, next(size for size in (power // 8 * 5, power // 4 * 3, power) if size >= length))


def level(samples: Samples) -> float:
    """Return the root mean square, at least 1e-5 (-100 dBFS)."""
    return max(float(np.sqrt(np.mean(np.square(samples), dtype=np.float64))) if len(samples) else 0.0, 1e-5)


def add_noise(samples: Samples, noise: Samples, snr_db: float, rng: np.random.Generator) -> Samples:
    """Return `samples` plus a random stretch of `noise`, repeated as needed, `snr_db` below them in power."""
    start = int(rng.integers(len(noise)))
    stretch = np.resize(np.roll(noise, -start), len(samples))
    return samples + stretch * np.float32(level(samples) / level(stretch) * 10 ** (-snr_db / 20))


def coloured_noise(length: int, rng: np.random.Generator) -> Samples:
    """Return noise `[length]` whose power falls with frequency to a random exponent between 0 (white) and 2 (brown)."""
    size = _good_size(length)
    spectrum = np.fft.rfft(rng.standard_normal(size, np.float32))
    spectrum *= np.maximum(np.arange(len(spectrum), dtype=np.float32), 1) ** np.float32(-rng.uniform(0, 1))
    return np.fft.irfft(spectrum, size)[:length].astype(np.float32, copy=False)


def reverberate(
    samples: Samples, seconds: float, direct_db: float, sample_rate: int, rng: np.random.Generator
) -> Samples:
    """Return `samples` as across a room, as long as before: each is followed by noise that dies away.

    The response is 1, then from 2.5 ms on Gaussian noise times `exp(-3 ln(10) t / seconds)`, 60 dB less after
    `seconds`, its energy `direct_db` below that of the direct sound (Polack 1988, after Habets 2007, section 2.2).
    """
    time = np.arange(1, max(2, round(seconds * sample_rate)), dtype=np.float32) / np.float32(sample_rate)
    tail = rng.standard_normal(len(time), np.float32) * np.exp(np.float32(-3 * np.log(10) / seconds) * time)
    tail[time < 0.0025] = 0
    tail *= np.float32(10 ** (-direct_db / 20) / max(float(np.linalg.norm(tail)), 1e-9))
    size = _good_size(len(samples) + len(tail))
    response = np.fft.rfft(np.concatenate([np.ones(1, np.float32), tail]), size)
    return np.fft.irfft(np.fft.rfft(samples, size) * response, size)[: len(samples)].astype(np.float32, copy=False)


def gate(samples: Samples, open_db: float, hold: float, closed_db: float, sample_rate: int) -> Samples:
    """Return `samples` as a noise gate lets them through: softer by `closed_db` (infinite: zero) where nothing is said.

    It is open in each 10 ms whose level is at most `open_db` below the level that the loudest twentieth reaches, and
    `hold` seconds before and after; its gain changes over 10 ms.
    """
    if not samples.any():
        return samples
    size = sample_rate // 100
    levels = np.sqrt(np.square(np.resize(samples, -(-len(samples) // size) * size)).reshape(-1, size).mean(axis=1))
    loud = levels > np.quantile(levels, 0.95) * 10 ** (-open_db / 20)
    reach = round(hold * sample_rate / size)
    is_open = np.convolve(loud, np.ones(2 * reach + 1), "full")[reach : reach + len(loud)] > 0
    gains = np.where(is_open, 1.0, 10 ** (-closed_db / 20))
    middles = np.arange(len(gains)) * size + size / 2
    return samples * np.interp(np.arange(len(samples)), middles, gains).astype(np.float32)


def suppress_noise(samples: Samples, strength: int, gain_dbfs: int) -> Samples:
    """Return `samples` at 16 kHz as calls and browsers send them, their noise suppressed by WebRTC, as long as before.

    Args:
        samples: `[n]`; what is above 1 is first made softer, all alike.
        strength: 1 (6 dB at most) to 4 (21 dB).
        gain_dbfs: How far below full scale its automatic gain aims, 1 to 31; 0 for none.

    Raises:
        MissingExtraError: If webrtc-noise-gain is not installed.
    """
    try:
        processor = import_module("webrtc_noise_gain").AudioProcessor(gain_dbfs, strength)
    except ImportError as error:
        raise MissingExtraError("webrtc-noise-gain", "train", "for augment.suppress_share") from error
    loudest = max(1.0, float(np.abs(samples).max(initial=0)))
    padded = np.zeros(-(-(len(samples) + _SUPPRESSED_LATE) // 160) * 160, "<i2")
    padded[: len(samples)] = np.rint(samples * np.float32(32767 / loudest))
    heard = b"".join(processor.Process10ms(block.tobytes()).audio for block in padded.reshape(-1, 160))
    kept = np.frombuffer(heard, "<i2")[_SUPPRESSED_LATE : _SUPPRESSED_LATE + len(samples)]
    return kept.astype(np.float32) / np.float32(32768)


def change_recording(
    samples: Samples, noises: Sequence[Samples], recipe: AugmentRecipe, sample_rate: int, rng: np.random.Generator
) -> tuple[Samples, float]:
    """Return a changed copy of one recording and the factor by which it became faster.

    In this order: speed, room, noise, suppression, gate, colour, band, level; each drawn from the ranges and shares of
    `recipe`.
    """
    factor = 1.0
    if rng.random() < recipe.speed_share:
        factor = float(rng.uniform(*recipe.speed))
        samples = change_speed(samples, factor)
    if recipe.room_share and rng.random() < recipe.room_share:
        seconds, direct_db = (float(rng.uniform(*limits)) for limits in (recipe.room_s, recipe.room_direct_db))
        samples = reverberate(samples, seconds, direct_db, sample_rate, rng)
    if rng.random() < recipe.noise_share:
        clip = int(rng.integers(len(noises) + max(1, len(noises) // 4)))
        noise = noises[clip] if clip < len(noises) else coloured_noise(len(samples), rng)
        samples = add_noise(samples, noise, float(rng.uniform(*recipe.snr_db)), rng)
    if recipe.suppress_share and rng.random() < recipe.suppress_share:
        gain_dbfs = int(rng.integers(*_GAIN_DBFS)) if rng.random() < 0.5 else 0
        samples = suppress_noise(samples, int(rng.integers(1, 5)), gain_dbfs)
    if recipe.gate_share and rng.random() < recipe.gate_share:
        open_db, hold, closed_db = (float(rng.uniform(*limits)) for limits in (recipe.gate_db, _HOLD, _CLOSED_DB))
        samples = gate(samples, open_db, hold, np.inf if rng.random() < 0.5 else closed_db, sample_rate)
    if recipe.colour_share and rng.random() < recipe.colour_share:
        samples = colour(samples, recipe.colour_db, sample_rate, rng)
    if rng.random() < recipe.band_share:
        low, high = (300.0, 3400.0) if rng.random() < 0.5 else (0.0, float(rng.uniform(3000, 7500)))
        samples = limit_band(samples, low, high, sample_rate)
    gain = 10 ** (float(rng.uniform(*recipe.level_dbfs)) / 20) / level(samples)
    return np.clip(samples * np.float32(gain), -1, 1), factor


def warp_mels(features: Tensor, factors: Tensor) -> Tensor:
    """Return `features [B, T, F]` whose bin m holds what bin `m * factors [B]` held, between bins in proportion.

    Beyond the last bin its value is repeated.

    >>> warp_mels(torch.tensor([[[0.0, 10.0, 20.0, 30.0]]]), torch.tensor([0.75])).tolist()
    [[[0.0, 7.5, 15.0, 22.5]]]
    """
    last = features.shape[2] - 1
    place = (torch.arange(last + 1, device=features.device) * factors[:, None]).clamp(max=last)
    low = place.long().clamp(max=max(last - 1, 0))
    share = (place - low)[:, None]
    index = low[:, None].expand_as(features)
    return torch.lerp(
        features.gather(2, index), features.gather(2, (index + 1).clamp(max=last)), share.expand_as(features)
    )


class SpecAugment:
    """Other throats, then hidden stretches of time and bands of mel bins, `[B, T, F]` -> same.

    `mel_warp` stretches the mel axis of each row by a factor of its own up to so much away from 1, as a longer or
    shorter vocal tract does (Jaitly and Hinton 2013, "Vocal tract length perturbation improves speech recognition").
    Masks are those of Park et al. 2019, arXiv:1904.08779.
    """

    def __init__(self, recipe: AugmentRecipe, generator: torch.Generator) -> None:
        self._recipe, self._generator = recipe, generator

    def __call__(self, features: Tensor) -> Tensor:
        """Return a changed copy; standardised features have mean 0, which is what the masks show."""
        batch, frames, mels = features.shape
        r = self._recipe
        if r.mel_warp > 0:
            factors = 1 + r.mel_warp * (2 * torch.rand(batch, generator=self._generator) - 1)
            features = warp_mels(features, factors.to(features.device))
        hidden = self._stretches(batch, r.time_masks, r.time_mask_frames, frames).unsqueeze(2)
        hidden = hidden | self._stretches(batch, r.mel_masks, r.mel_mask_bins, mels).unsqueeze(1)
        return features.masked_fill(hidden.to(features.device), 0.0)

    def _stretches(self, batch: int, count: int, longest: int, size: int) -> Tensor:
        """Return `[batch, size]`, true in up to `count` random stretches of 0 to `longest`."""
        length = torch.randint(0, longest + 1, (batch, count, 1), generator=self._generator)
        start = (torch.rand(batch, count, 1, generator=self._generator) * (size - length + 1).clamp(min=1)).long()
        index = torch.arange(size)
        return ((index >= start) & (index < start + length)).any(dim=1)
