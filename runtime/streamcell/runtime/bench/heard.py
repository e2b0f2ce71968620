"""What a model hears while it is measured."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamcell.runtime.errors import InputError
from streamcell.runtime.model import Model

__all__ = ["Heard"]

_STEPS, _MOST_NUMBERS = 500, 1 << 22  # of noise
_SECONDS = 60.0  # of a recording


@dataclass(frozen=True, slots=True)
class Heard:
    """Hold samples that go round and round, and how they are cut.

    Attributes:
        samples: `[n]`, or features `[n, channels]`: two steps or more.
        size: Samples of one step: of one call of the model where it takes a fixed number of its steps.
        seconds: Length of one step.
        name: What they are.
    """

    samples: NDArray[np.float32]
    size: int
    seconds: float
    name: str

    @classmethod
    def of(cls, model: Model, audio: str | None = None) -> "Heard":
        """Make noise, or read the first minute of a recording, for a model.

        Raises:
            InputError: If a recording is given for a model of features, or it has no samples.
            SourceError: If the recording gives no usable samples.
            MissingExtraError: If what reads it is not installed.
        """
        spec = model.manifest.input
        size = spec.samples_per_step * (model.manifest.steps_per_call or 1)
        if audio is None:
            steps = max(2, min(_STEPS, _MOST_NUMBERS // (size * spec.channels)))
            shape = spec.sizes(1, steps * size // spec.samples_per_step)[1:]
            samples, name = _noise(shape, 0.1 if spec.kind == "audio" else 1.0), "noise"
        else:
            samples, name = _recording(model, audio), audio
        if len(samples) < 2 * size:
            samples = np.resize(samples, (2 * size, *samples.shape[1:]))
        return cls(samples, size, size / spec.sample_rate, name)

    @property
    def steps(self) -> int:
        """Return how many whole steps there are before they begin anew."""
        return len(self.samples) // self.size

    def step(self, number: int) -> NDArray[np.float32]:
        """Return the samples of step ``number``, from 0 without end."""
        begin = number % self.steps * self.size
        return self.samples[begin : begin + self.size]


def _noise(shape: tuple[int, ...], deviation: float) -> NDArray[np.float32]:
    return np.random.default_rng(0).standard_normal(shape, np.float32) * np.float32(deviation)


def _recording(model: Model, path: str) -> NDArray[np.float32]:
    from streamcell.runtime.sources import read_excerpt

    spec = model.manifest.input
    if spec.kind != "audio":
        raise InputError(f"{model.manifest.name} takes {spec.kind}, not audio; leave --audio out")
    samples = read_excerpt(path, spec.sample_rate, _SECONDS)
    if not len(samples):
        raise InputError(f"{path} has no samples; expected a recording, best of some seconds")
    return samples
