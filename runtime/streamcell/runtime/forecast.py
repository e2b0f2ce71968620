"""What will come: quantiles of a channel's next values, read from a model's last frame."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

from streamcell.runtime.blocks import as_features
from streamcell.runtime.errors import InputError, ModelError
from streamcell.runtime.manifest import Manifest
from streamcell.runtime.model import Model
from streamcell.runtime.posteriors import Posteriors
from streamcell.runtime.schema import read
from streamcell.runtime.specs import require

__all__ = ["Horizons", "forecast"]

_FURTHEST = 1 << 20
_BLOCK = 4096  # rows


@dataclass(frozen=True, slots=True)
class Horizons:
    """Hold what ``manifest.decoder`` says of a model of task ``"forecast"``; `Horizons.of` reads and checks it.

    The model's first output has a column for each horizon and quantile, horizon by horizon, in the target's units.

    Attributes:
        target: The name of what is forecast.
        horizons: Steps ahead of the last one heard, rising.
        quantiles: From 0 to 1, rising.

    Examples:
        >>> Horizons("load", (1, 2), (0.1, 0.5)).labels
        ('load +1 q0.1', 'load +1 q0.5', 'load +2 q0.1', 'load +2 q0.5')
    """

    target: str
    horizons: tuple[int, ...]
    quantiles: tuple[float, ...]

    @classmethod
    def of(cls, manifest: Manifest) -> "Horizons":
        """Read a manifest's.

        Raises:
            ModelError: If the model's task is another, a setting is missing, unknown or makes no sense, or the labels
                are not what the settings make.
        """
        if manifest.task != "forecast":
            raise ModelError(f"{manifest.name} is of task {manifest.task!r}; only one of task 'forecast' forecasts")
        if manifest.input.kind != "features":
            raise ModelError(f"{manifest.name} takes {manifest.input.kind}; what forecasts must take features")
        found = read(cls, manifest.decoder, "manifest.decoder")
        steps, shares = found.horizons, found.quantiles
        rising = bool(steps) and steps[0] > 0 and steps[-1] <= _FURTHEST and _rises(steps)
        require(rising, "decoder.horizons", f"rising steps from 1 to {_FURTHEST}", steps)
        rising = bool(shares) and shares[0] > 0 and shares[-1] < 1 and _rises(shares)
        require(rising, "decoder.quantiles", "rising, above 0 and below 1", shares)
        labels = manifest.outputs[0].labels
        require(labels == found.labels, "outputs[0].labels", f"{len(found.labels)}: {found.labels[0]!r}, ...", labels)
        return found

    @property
    def labels(self) -> tuple[str, ...]:
        """Return the names of the output's columns."""
        return tuple(f"{self.target} +{step} q{share:g}" for step in self.horizons for share in self.quantiles)

    def table(self, frame: ArrayLike) -> NDArray[np.float32]:
        """Return `[horizons, quantiles]` of a frame `[columns]`, in each row rising.

        Quantiles that a network gives in a wrong order are sorted, which makes none of them worse (Chernozhukov,
        Fernandez-Val and Galichon, 2010).

        Raises:
            InputError: If there are more or fewer columns.
        """
        values = np.asarray(frame, np.float32)
        if values.shape != (len(self.labels),):
            raise InputError(f"expected a frame of {len(self.labels)} numbers, got {list(values.shape)}")
        return np.sort(values.reshape(len(self.horizons), -1), axis=1)


def forecast(model: Model, rows: ArrayLike) -> NDArray[np.float32]:
    """Hear the past and return what comes after it: `[horizons, quantiles]` of the target, see `Horizons`.

    Args:
        model: One of task ``"forecast"``.
        rows: The past `[n, channels]`, one row a step, float32 or float64.

    Raises:
        InputError: If the rows do not fit, are not finite or too few.
        ModelError: If the model does not forecast, its manifest contradicts itself, or it fails.

    Examples:
        >>> table = forecast(Model.open("ett.onnx"), history)  # doctest: +SKIP
        >>> table[:, 1]  # the medians of the next hours  # doctest: +SKIP
    """
    horizons, posteriors = Horizons.of(model.manifest), Posteriors(model, quality="file")
    past, last = as_features(rows, model.manifest.input.channels), None
    for begin in range(0, len(past), _BLOCK):
        for frames in posteriors.push(past[begin : begin + _BLOCK]):
            last = frames.values[-1]
    for frames in posteriors.flush():
        last = frames.values[-1]
    if last is None:
        raise InputError(f"{model.manifest.name} needs at least one row of the past, got none")
    return horizons.table(last)


def _rises(numbers: tuple[float, ...]) -> bool:
    return all(a < b for a, b in pairwise(numbers))
