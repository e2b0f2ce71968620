"""Labels of every step: endless lanes of recordings, weighted cross-entropy, share of steps mistaken."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from streamcell.train.columns import Columns
from streamcell.train.data.sensor import Recording
from streamcell.train.data.sensor_lanes import SensorChunk, SensorLanes
from streamcell.train.frontend import State
from streamcell.train.metrics import confusion_matrix, macro_f1
from streamcell.train.models import Network
from streamcell.train.plots import plot_confusions
from streamcell.train.recipes.sensor import SensorTrainRecipe


@dataclass(frozen=True, slots=True)
class StepScore:
    """Confusions of each recording's labelled samples, `[labels, labels]`, true by answered; mean loss a sample."""

    labels: tuple[str, ...]
    matrices: list[tuple[str, NDArray[np.int64]]]
    loss: float
    last: float

    @property
    def rate(self) -> float:
        """Share of samples that were mistaken."""
        return _mistaken(self._whole())

    def figures(self) -> dict[str, float]:
        """Return macro-F1, how many samples were scored, and the share of recordings mistaken at their end."""
        whole = self._whole()
        return {
            "macro_f1": round(macro_f1(whole), 4),
            "samples": int(whole.sum()),
            "mistaken_at_end": round(self.last, 4),
        }

    def groups(self) -> dict[str, float]:
        """Return the share of mistaken samples of each group."""
        sums: dict[str, NDArray[np.int64]] = {}
        for group, matrix in self.matrices:
            sums[group] = sums.get(group, np.zeros_like(matrix)) + matrix
        return {group: _mistaken(matrix) for group, matrix in sums.items() if matrix.any()}

    def draw(self, path: Path) -> None:
        """Draw which label was taken for which."""
        whole = self._whole()
        pairs = {(a, b): int(whole[i, j]) for i, a in enumerate(self.labels) for j, b in enumerate(self.labels)}
        plot_confusions(pairs, path, self.labels)

    def _whole(self) -> NDArray[np.int64]:
        return sum((matrix for _, matrix in self.matrices), np.zeros((len(self.labels),) * 2, np.int64))


def _mistaken(matrix: NDArray[np.int64]) -> float:
    return 1 - float(matrix.trace()) / max(1, int(matrix.sum()))


class StepTask:
    """Learn a label for every step of recordings; `SensorTask` and `PicturesTask` say of which.

    Args:
        train: how.
        columns: names of what goes in and out.
        training: recordings to train on.
        validation: recordings to choose the network by.
        fingerprint: of the data.
    """

    measure = "share of samples mistaken"
    silent_updates = 0

    def __init__(
        self,
        train: SensorTrainRecipe,
        columns: Columns,
        training: list[Recording],
        validation: list[Recording],
        fingerprint: str,
    ) -> None:
        self.columns, self.training, self.validation, self.fingerprint = columns, training, validation, fingerprint
        self._train, self._weights = train, _weights(training, len(columns.labels), train.balance)

    def change(self, recording: Recording, random: np.random.Generator) -> Recording:
        """Return what is heard of `recording` this time."""
        del random
        return recording

    def lanes(self, number: int) -> SensorLanes:
        """Return the endless streams of shard `number`."""
        train = self._train
        return SensorLanes(
            self.training,
            self.change,
            lanes=train.lanes,
            steps=train.chunk_steps,
            reset_share=train.reset_share,
            seed=train.seed + number,
        )

    def losses(
        self, network: Network, chunk: SensorChunk, state: State, _masks: torch.Generator, _update: int
    ) -> tuple[Tensor, dict[str, Tensor], State]:
        """Return the cross-entropy of the labelled samples, each label weighted."""
        device = network.head.weight.device
        logits, after = network(torch.from_numpy(chunk.values).to(device), state)
        labels, weights = torch.from_numpy(chunk.labels).to(device).flatten(), self._weights.to(device)
        total = F.cross_entropy(logits.flatten(0, 1), labels, weights, ignore_index=-1, reduction="sum")
        loss = total / max(1, int((labels >= 0).sum()))
        return loss, {"cross_entropy": loss}, after

    @torch.no_grad()
    def validate(self, network: Network) -> StepScore:
        """Score a network on the recordings of the groups that were held out, the state carried through each."""
        network.eval()
        matrices, wrong, total, count = [], list[bool](), 0.0, 0
        for one in self.validation:
            logits, _ = network(torch.from_numpy(one.values)[None], network.initial_state(1))
            labels, known = torch.from_numpy(one.labels), one.labels >= 0
            total += float(F.cross_entropy(logits[0], labels, ignore_index=-1, reduction="sum"))
            count += int(known.sum())
            answers = logits[0].argmax(-1).numpy()
            matrices.append((one.group, confusion_matrix(one.labels[known], answers[known], len(self.columns.labels))))
            if known[-1:].all():
                wrong.append(bool(answers[-1] != one.labels[-1]))
        return StepScore(self.columns.labels, matrices, total / max(1, count), sum(wrong) / max(1, len(wrong)))


def _weights(recordings: Sequence[Recording], labels: int, balance: float) -> Tensor:
    """Return a weight for each label, (1 / its samples) ** balance, of mean 1 over the samples; 0 where there is none.

    >>> two = [Recording("a", "x", np.zeros((5, 1), np.float32), np.array([0, 0, 0, 0, 1]))]
    >>> _weights(two, 3, 0.5).tolist()
    [0.8333333134651184, 1.6666666269302368, 0.0]
    """
    counts = sum((np.bincount(one.labels[one.labels >= 0], minlength=labels) for one in recordings), np.zeros(labels))
    weights = np.where(counts > 0, np.maximum(counts, 1.0) ** -balance, 0.0)
    return torch.tensor(weights * counts.sum() / (weights * counts).sum(), dtype=torch.float32)
