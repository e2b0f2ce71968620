"""How long a stream takes from a sound to what it says of it, part by part, in seconds of sound."""

from dataclasses import dataclass

import numpy as np

from streamcell.runtime.decode import make_decoder
from streamcell.runtime.errors import InputError
from streamcell.runtime.manifest import Manifest
from streamcell.runtime.resample import Quality, Resampler

__all__ = ["Delay", "delay_of"]

_BLOCK = 0.01  # seconds
_BLOCKS = 200


@dataclass(frozen=True, slots=True)
class Delay:
    """Hold the parts of the delay from the end of a sound to the final segment of it, in seconds.

    They count sound, not computing: a stream answers as soon as it has heard enough. What begins the delay is the end
    of the sound, as a segment cannot be final before.

    Attributes:
        look_ahead: The model hears so much more before it answers.
        step: Sound waits until a step of the model is full; so long at most, half of it on average.
        decoder: What the decoder hears behind a segment until that is final, at most; inf where
            that depends on what follows.
        resampler: What rate conversion holds back, at most.

    Examples:
        >>> delay = Delay(look_ahead=0.09, step=0.03, decoder=0.03, resampler=0.02)
        >>> round(delay.total, 3)
        0.17
    """

    look_ahead: float
    step: float
    decoder: float
    resampler: float

    @property
    def total(self) -> float:
        """Return the sum: the end of a sound lies no further back when its segment becomes final."""
        return self.look_ahead + self.step + self.decoder + self.resampler


def delay_of(manifest: Manifest, sample_rate: int | None = None, quality: Quality = "live") -> Delay:
    """Return the delay of a model in a stream of 10 ms blocks, as its manifest asks for decoding.

    Args:
        manifest: Of a model with segments.
        sample_rate: Of the source in Hz; None for the model's.
        quality: As in `Stream`.

    Raises:
        InputError: If the rate does not fit; models of features do not convert rates.
        ModelError: If the model has no segments.
        MissingExtraError: If rates differ and soxr is not installed.

    Examples:
        >>> from streamcell.runtime import Model
        >>> delay = delay_of(Model.open("phonemes-en").manifest, 48000)
        >>> delay.look_ahead > delay.step == delay.decoder, delay.resampler < 0.03
        (True, True)
    """
    spec = manifest.input
    rate = spec.sample_rate if sample_rate is None else sample_rate
    if spec.kind != "audio" and rate != spec.sample_rate:
        raise InputError(f"this model takes {spec.kind} at {spec.sample_rate} Hz, got {rate} Hz; convert them first")
    step = spec.seconds_per_step
    together = (manifest.steps_per_call or 1) * step
    held = _held(rate, spec.sample_rate, quality) if rate != spec.sample_rate else 0.0
    return Delay(spec.look_ahead_steps * step, together, make_decoder(manifest).wait, held)


def _held(rate: int, target: int, quality: Quality) -> float:
    """Return how many seconds of 10 ms blocks rate conversion holds back at most, once it runs."""
    resampler = Resampler(rate, target, quality)
    block, most = np.zeros(max(1, round(_BLOCK * rate)), np.float32), 0.0
    for number in range(_BLOCKS):
        resampler.push(block)
        if number >= _BLOCKS // 2:
            most = max(most, resampler.taken / rate - resampler.given / target)
    return most
