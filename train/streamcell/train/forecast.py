"""Forecasts of a series: lanes of it with carried state, pinball loss, compared with quantiles that never change."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from streamcell.runtime.errors import SourceError
from streamcell.train.columns import Columns
from streamcell.train.data.series import SeriesChunk, SeriesLanes, fingerprint, futures, read_series
from streamcell.train.forecast_net import ForecastNet
from streamcell.train.frontend import State
from streamcell.train.losses import pinball
from streamcell.train.models import Network
from streamcell.train.recipes.forecast import ForecastRecipe


@dataclass(frozen=True, slots=True)
class ForecastScore:
    """Mean pinball loss of each horizon `[H]`: of the network, and of the training part's own quantiles.

    Attributes:
        losses: of the network, in the target's unit.
        constant: of the quantiles of what is forecast (the target, or its change) in the training part.
        loss: mean over the horizons, each in units of its spread.
        covered: share of what came that was below each quantile `[Q]`.
    """

    losses: NDArray[np.float64]
    constant: NDArray[np.float64]
    loss: float
    covered: dict[str, float]

    @property
    def rate(self) -> float:
        """Pinball loss as a share of that of constant quantiles, mean over the horizons."""
        return float(np.mean(self.losses / self.constant))

    def figures(self) -> dict[str, float]:
        """Return the mean pinball loss and how much was below each quantile."""
        return {"pinball": round(float(self.losses.mean()), 5), **self.covered}

    def groups(self) -> dict[str, float]:
        """Return `rate` of each horizon."""
        return {f"+{h:03}": float(share) for h, share in enumerate(self.losses / self.constant, 1)}

    def draw(self, path: Path) -> None:
        """Draw the pinball loss of each horizon."""
        figure = Figure(figsize=(7, 4), layout="constrained")
        axes = figure.subplots()
        steps = np.arange(1, len(self.losses) + 1)
        for name, losses in (("network", self.losses), ("constant quantiles", self.constant)):
            axes.plot(steps, losses, marker=".", label=name)
        axes.set(xlabel="steps ahead", ylabel="pinball loss", ylim=(0, None))
        axes.grid(alpha=0.3)
        axes.legend()
        figure.savefig(path, dpi=110)


class ForecastTask:
    """Learn to forecast as `recipe` says, from a series below the folder `data`.

    Raises:
        SourceError: the series is missing, unreadable, or shorter than the recipe asks for.
    """

    measure = "share of the pinball loss of constant quantiles"
    silent_updates = 0

    def __init__(self, recipe: ForecastRecipe, data: Path) -> None:
        self.recipe, what, horizons = recipe, recipe.data, recipe.model.horizons
        path = data / what.path
        self._begin, rows = what.training_rows, what.training_rows + what.validation_rows
        values = read_series(path, what.channels)[:rows]
        least = max(recipe.train.chunk_steps, horizons + 1)
        if len(values) < rows or min(what.training_rows, what.validation_rows) < least:
            raise SourceError(
                f"{path}: expected training_rows + validation_rows = {rows} rows and at least {least} of each (the "
                f"longer of train.chunk_steps and the horizons); got {len(values)}, {what.training_rows} and "
                f"{what.validation_rows}"
            )
        self.values, self._target = values, what.channels.index(what.target)
        self.columns = Columns(recipe.labels(), what.channels, what.units)
        self.fingerprint = fingerprint(values, what.channels)
        self._training = values[: self._begin]
        self._known = futures(self._training[:, self._target], horizons)

    def fit(self, network: Network) -> None:
        """Measure mean and scale of each channel, and how far the target gets."""
        _as_forecaster(network).fit(torch.from_numpy(self._training), torch.from_numpy(self._known))

    def lanes(self, number: int) -> SeriesLanes:
        """Return the endless streams of shard `number`."""
        train, augment = self.recipe.train, self.recipe.augment
        return SeriesLanes(
            self._training,
            self._known,
            target=self._target,
            scale=augment.scale,
            lanes=train.lanes,
            steps=train.chunk_steps,
            reset_share=train.reset_share,
            seed=train.seed + number,
        )

    def losses(
        self, network: Network, chunk: SeriesChunk, state: State, _masks: torch.Generator, _update: int
    ) -> tuple[Tensor, dict[str, Tensor], State]:
        """Return the pinball loss, each horizon in units of its spread."""
        device = network.head.weight.device
        values, after = network(torch.from_numpy(chunk.values).to(device), state)
        by_horizon = self._pinball(values, torch.from_numpy(chunk.futures).to(device))
        loss = (by_horizon / _as_forecaster(network).unit).mean()
        return loss, {"pinball": loss}, after

    @torch.no_grad()
    def validate(self, network: Network) -> ForecastScore:
        """Score a network on the rows after the training part, which it hears first."""
        network.eval()
        values, _ = network(torch.from_numpy(self.values)[None], network.initial_state(1))
        target = self.values[:, self._target]
        known = torch.from_numpy(futures(target, self.recipe.model.horizons))[self._begin :]
        given = values[0, self._begin :]
        losses, constant = self._pinball(given, known), self._pinball(self._constant(), known)
        rows = given.reshape(*known.shape, -1)
        below = (known[..., None] <= rows)[known.isfinite()].double().mean(0)
        covered = {f"below q{q:g}": round(float(b), 4) for q, b in zip(self.recipe.model.quantiles, below, strict=True)}
        loss = float((losses / _as_forecaster(network).unit).mean())
        return ForecastScore(losses.double().numpy(), constant.double().numpy(), loss, covered)

    def _pinball(self, values: Tensor, known: Tensor) -> Tensor:
        """Return the loss of each horizon `[H]`, mean over quantiles and whatever is known."""
        levels = torch.tensor(self.recipe.model.quantiles, device=values.device)
        return pinball(values.reshape(*known.shape, len(levels)), known, levels)

    def _constant(self) -> Tensor:
        """Return for each row of the validation part the quantiles `[N, H * Q]` that the training part had."""
        now = self.values[:, self._target, None]
        anchor = now if self.recipe.model.window else np.zeros_like(now)
        apart = self._known - anchor[: self._begin]
        levels = np.nanquantile(apart, self.recipe.model.quantiles, axis=0).T  # [H, Q]
        return torch.from_numpy(np.float32(levels.reshape(1, -1) + anchor[self._begin :]))


def _as_forecaster(network: Network) -> ForecastNet:
    if not isinstance(network, ForecastNet):
        raise TypeError(f"expected a ForecastNet, got {type(network).__name__}")
    return network
