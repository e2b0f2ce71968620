"""The adding problem: what is learnt where the answer hangs on two inputs hundreds of steps ago.

    python tests/benchmarks/adding.py
    python tests/benchmarks/adding.py --length 400 --updates 1000 --picture adding.png

A sequence is random numbers from 0 to 1, two of them marked, one in each half; the answer, at the end, is the sum of
the two (Hochreiter and Schmidhuber 1997, experiment 4, in the form of Le et al. 2015, arXiv:1504.00941). Always saying
1 has a mean squared error of 1/6. Each network has one layer of the same width and is trained by `Trainer` on sequences
that never come twice; prints the error on 1000 others.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor, nn

from streamcell.train.cells import GRU, LSTM, Elman
from streamcell.train.columns import Columns
from streamcell.train.frontend import State
from streamcell.train.loop import Trainer
from streamcell.train.models import Network, SensorNet
from streamcell.train.recipes.sensor import SensorDataRecipe, SensorNetRecipe, SensorRecipe, SensorTrainRecipe
from streamcell.train.starts import open_gates, orthogonal
from streamcell.train.team import Team

BASELINE = 1 / 6
CELLS = ("elman", "lstm", "gru")


@dataclass(frozen=True, slots=True)
class Sums:
    """Whole sequences: `inputs` float32 `[B, T, 2]` (number, mark), `answers` float32 `[B]`, all `fresh`."""

    inputs: NDArray[np.float32]
    answers: NDArray[np.float32]

    @property
    def fresh(self) -> NDArray[np.bool_]:
        return np.ones(len(self.answers), bool)


class SumLanes:
    """Draws sequences without end."""

    def __init__(self, lanes: int, length: int, seed: int) -> None:
        self.lanes, self.length, self.rng = lanes, length, np.random.default_rng(seed)

    def draw(self) -> Sums:
        rows, half = np.arange(self.lanes), self.length // 2
        inputs = np.zeros((self.lanes, self.length, 2), np.float32)
        inputs[:, :, 0] = self.rng.random((self.lanes, self.length))
        inputs[rows, self.rng.integers(half, size=self.lanes), 1] = 1
        inputs[rows, half + self.rng.integers(self.length - half, size=self.lanes), 1] = 1
        return Sums(inputs, (inputs[:, :, 0] * inputs[:, :, 1]).sum(1))

    def state_dict(self) -> dict[str, Any]:
        return {"rng": self.rng.bit_generator.state}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.rng.bit_generator.state = state["rng"]


@dataclass(frozen=True, slots=True)
class Score:
    """The mean squared error on sequences that were held out."""

    loss: float

    @property
    def rate(self) -> float:
        return self.loss

    def figures(self) -> dict[str, float]:
        return {"mean_squared_error": self.loss}

    def groups(self) -> dict[str, float]:
        return {}

    def draw(self, path: Path) -> None:
        Figure().savefig(path)


class AddingTask:
    """Learn to add."""

    measure, silent_updates, fingerprint = "mean squared error", 0, "adding"
    columns = Columns(("sum",), ("number", "mark"))

    def __init__(self, cell: Any, length: int, updates: int, hidden: int, learning_rate: float, seed: int) -> None:
        self.length = length
        self.recipe = SensorRecipe(
            task="sensor",
            name="adding",
            data=SensorDataRecipe(format="sequences", path="", sample_rate=1),
            model=SensorNetRecipe(cell=cell, hidden=hidden, dropout=0.0),
            train=SensorTrainRecipe(
                seed=seed,
                lanes=32,
                chunk_steps=length,
                updates=updates,
                learning_rate=learning_rate,
                warmup=50,
                weight_decay=0.0,
                average=0.98,
            ),
        )

    def network(self) -> SensorNet:
        """Return a fresh network whose memory begins as long as the sequences: see `streamcell.train.starts`."""
        torch.manual_seed(self.recipe.train.seed)
        network = self.recipe.network(self.columns)
        for cell in network.stack.cells():
            if isinstance(cell, Elman | GRU | LSTM):
                orthogonal(cell)
            if isinstance(cell, GRU | LSTM):
                open_gates(cell, self.length)
        return network

    def fit(self, network: Network) -> None: ...

    def lanes(self, number: int) -> SumLanes:
        train = self.recipe.train
        return SumLanes(train.lanes, self.length, 1000 * train.seed + number)

    def losses(
        self, network: Network, chunk: Sums, state: State, _masks: torch.Generator, _update: int
    ) -> tuple[Tensor, dict[str, Tensor], State]:
        logits, after = network(torch.from_numpy(chunk.inputs), state)
        loss = nn.functional.mse_loss(logits[:, -1, 0], torch.from_numpy(chunk.answers))
        return loss, {"squared_error": loss}, after

    @torch.no_grad()
    def validate(self, network: Network) -> Score:
        held_out = SumLanes(1000, self.length, seed=0).draw()
        network.eval()
        logits, _ = network(torch.from_numpy(held_out.inputs), network.initial_state(1000))
        return Score(float(nn.functional.mse_loss(logits[:, -1, 0], torch.from_numpy(held_out.answers))))


def learn(task: AddingTask) -> tuple[list[float], float]:
    """Train; return the error of each update, and in the end that of the averaged weights on what was held out."""
    trainer = Trainer(task, task.network(), Team())
    errors = [update.losses["squared_error"] for update in trainer.run()]
    trainer.network.load_state_dict(trainer.average)
    return errors, task.validate(trainer.network).loss


def smoothed(errors: Sequence[float], over: int = 25) -> NDArray[np.float64]:
    """Return running means."""
    return np.convolve(errors, np.ones(over) / over, mode="valid")


def draw(curves: Mapping[str, Sequence[float]], length: int, path: Path) -> None:
    """Draw the errors of training against updates."""
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    for cell, errors in curves.items():
        axes.plot(smoothed(errors), label=cell)
    axes.axhline(BASELINE, color="grey", linestyle="--", label="always saying 1")
    axes.set(xlabel="update (of 32 sequences)", ylabel="mean squared error, over 25 updates", yscale="log")
    axes.set_title(f"the adding problem, {length} steps")
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description="Train Elman, LSTM and GRU on the adding problem.")
    parser.add_argument("--length", type=int, default=400)
    parser.add_argument("--updates", type=int, default=1000)
    parser.add_argument("--hidden", type=int, default=32)
    parser.add_argument("--learning-rate", type=float, default=5e-3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--cells", nargs="+", default=CELLS, choices=CELLS)
    parser.add_argument("--picture", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    curves = {}
    print(f"length {arguments.length}, always saying 1: {BASELINE:.4f}")
    for cell in arguments.cells:
        task = AddingTask(
            cell, arguments.length, arguments.updates, arguments.hidden, arguments.learning_rate, arguments.seed
        )
        begin = time.monotonic()
        curves[cell], error = learn(task)
        learnt = np.flatnonzero(smoothed(curves[cell]) < BASELINE / 10)
        when = f"a tenth of that after {learnt[0] + 25} updates" if len(learnt) else "never a tenth of that"
        print(f"{cell:5}  held out {error:.5f}  {when}  {time.monotonic() - begin:.0f} s", flush=True)
    if arguments.picture:
        draw(curves, arguments.length, arguments.picture)


if __name__ == "__main__":
    main()
