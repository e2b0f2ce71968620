"""One label a sequence: padded batches of whole sequences, cross-entropy at each end, share of sequences mistaken."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from streamcell.train.data.batches import Batch, Batches, pad
from streamcell.train.data.labelled import Labelled
from streamcell.train.frontend import State
from streamcell.train.fronts import Dense, Embed, Sound
from streamcell.train.metrics import confusion_matrix, macro_f1
from streamcell.train.models import Network, SequenceNet
from streamcell.train.plots import plot_confusions
from streamcell.train.recipes.labels import LabelsRecipe

_VALIDATION_BATCH = 64


@dataclass(frozen=True, slots=True)
class LabelsScore:
    """True and answered labels `[N]` of the sequences of `groups`, and the mean loss of one."""

    labels: tuple[str, ...]
    of: list[str]
    true: NDArray[np.int64]
    answered: NDArray[np.int64]
    loss: float

    @property
    def rate(self) -> float:
        """Share of sequences that were mistaken."""
        return float((self.true != self.answered).mean())

    @property
    def matrix(self) -> NDArray[np.int64]:
        """Counts `[labels, labels]`, true by answered."""
        return confusion_matrix(self.true, self.answered, len(self.labels))

    def figures(self) -> dict[str, float]:
        """Return macro-F1, the loss, and how many sequences were scored."""
        return {
            "macro_f1": round(macro_f1(self.matrix), 4),
            "loss_nats": round(self.loss, 4),
            "sequences": len(self.true),
        }

    def groups(self) -> dict[str, float]:
        """Return the share of mistaken sequences of each group."""
        wrong, of = self.true != self.answered, np.array(self.of)
        return {group: float(wrong[of == group].mean()) for group in dict.fromkeys(self.of)}

    def draw(self, path: Path) -> None:
        """Draw which label was taken for which."""
        matrix, names = self.matrix, self.labels
        pairs = {(a, b): int(matrix[i, j]) for i, a in enumerate(names) for j, b in enumerate(names)}
        plot_confusions(pairs, path, self.labels)


class LabelsTask:
    """Learn one label a sequence as `recipe` says, from what is below the folder `data`.

    Raises:
        StreamcellError: the data are missing or unreadable, or do not fit the recipe.
    """

    measure = "share of sequences mistaken"
    silent_updates = 0

    def __init__(self, recipe: LabelsRecipe, data: Path) -> None:
        self.recipe = recipe
        self.data = recipe.data.read(data)
        self.columns, self.fingerprint = self.data.columns, self.data.fingerprint
        self._step = recipe.network(self.columns).samples_per_step
        given = [one.label for one in self.data.training]
        self._weights = label_weights(given, len(self.columns.labels), recipe.train.balance)

    def fit(self, network: Network) -> None:
        """Measure, on what is trained on, mean and scale of features, or the log-count ratios of symbols."""
        if not isinstance(network, SequenceNet):
            raise TypeError(f"expected a SequenceNet, got {type(network).__name__}")
        front, heard = network.front, self.data.training
        if isinstance(front, Dense):
            front.standardise.fit(torch.from_numpy(np.concatenate([one.x for one in heard])))
        elif isinstance(front, Sound):
            front.standardise.fit(_spectra(front, heard))
        elif isinstance(front, Embed) and self.recipe.model.counts:
            ratios = log_count_ratios(heard, len(self.columns.symbols), len(self.columns.labels))
            with torch.no_grad():
                front.embedding.weight[:, : ratios.shape[1]] = torch.from_numpy(ratios)

    def lanes(self, number: int) -> Batches:
        """Return the endless batches of shard `number`."""
        train = self.recipe.train
        return Batches(
            self.data.training, self.recipe.data.change, lanes=train.lanes, step=self._step, seed=train.seed + number
        )

    def losses(
        self, network: Network, chunk: Batch, state: State, _masks: torch.Generator, _update: int
    ) -> tuple[Tensor, dict[str, Tensor], State]:
        """Return the weighted cross-entropy at the ends, mixed with that of all steps."""
        device, early = network.head.weight.device, self.recipe.train.early
        logits, after = network(torch.from_numpy(chunk.x).to(device), state)
        lengths, labels = torch.from_numpy(chunk.lengths).to(device), torch.from_numpy(chunk.labels).to(device)
        weights = self._weights.to(device)[labels]
        rows = torch.arange(len(labels), device=device)
        end = (weights * F.cross_entropy(logits[rows, lengths - 1], labels, reduction="none")).mean()
        if not early:
            return end, {"cross_entropy": end}, after
        own = torch.arange(logits.shape[1], device=device) < lengths[:, None]
        steps = F.cross_entropy(logits.transpose(1, 2), labels[:, None].expand_as(own), reduction="none")
        whole = (weights * (steps * own).sum(1) / lengths).mean()
        return (1 - early) * end + early * whole, {"cross_entropy": end, "all steps": whole}, after

    def validate(self, network: Network) -> LabelsScore:
        """Score a network on the sequences that choose it."""
        return self.score(network, self.data.validation)

    @torch.no_grad()
    def score(self, network: Network, sequences: Sequence[Labelled]) -> LabelsScore:
        """Score a network on `sequences`, each from the initial state, by its answer at the end."""
        network.eval()
        order = sorted(range(len(sequences)), key=lambda i: len(sequences[i].x))
        ends = torch.zeros(len(sequences), len(self.columns.labels))
        for start in range(0, len(order), _VALIDATION_BATCH):
            rows = order[start : start + _VALIDATION_BATCH]
            batch = pad([sequences[row] for row in rows], self._step)
            logits, _ = network(torch.from_numpy(batch.x), network.initial_state(len(rows)))
            ends[rows] = logits[torch.arange(len(rows)), torch.from_numpy(batch.lengths) - 1]
        true = torch.tensor([one.label for one in sequences])
        loss = float(F.cross_entropy(ends, true))
        groups = [one.group for one in sequences]
        return LabelsScore(self.columns.labels, groups, true.numpy(), ends.argmax(-1).numpy(), loss)


@torch.no_grad()
def _spectra(front: Sound, sequences: Sequence[Labelled], most: int = 256) -> Tensor:
    """Return the spectra `[N, mels]` of the first sequences."""
    hop, found = front.frontend.hop, []
    for one in sequences[:most]:
        samples = torch.from_numpy(one.x[: len(one.x) // hop * hop])[None]
        found.append(front.frontend(samples, front.frontend.initial_state(1))[0][0])
    return torch.cat(found)


def label_weights(labels: Sequence[int], count: int, balance: float) -> Tensor:
    """Return a weight for each of `count` labels, (1 / its sequences) ** balance, of mean 1 over the sequences.

    >>> label_weights([0, 0, 0, 0, 1], 2, 0.5).tolist()
    [0.8333333134651184, 1.6666666269302368]
    """
    counts = np.bincount(labels, minlength=count)
    weights = np.where(counts > 0, np.maximum(counts, 1.0) ** -balance, 0.0)
    return torch.tensor(weights * len(labels) / (weights * counts).sum(), dtype=torch.float32)


def log_count_ratios(sequences: Sequence[Labelled], symbols: int, labels: int) -> NDArray[np.float32]:
    """Return how much more a symbol is in the sequences of a label than in those of the others, `[symbols, labels]`.

    `log((p / |p|) / (q / |q|))`, p and q one plus the numbers of sequences that hold the symbol, of the label and of
    the others (Wang and Manning, Baselines and Bigrams, ACL 2012).

    >>> two = [Labelled(np.array([0, 0, 1]), 0, ""), Labelled(np.array([1]), 1, "")]
    >>> print(log_count_ratios(two, symbols=2, labels=2).round(2))
    [[ 0.41 -0.41]
     [-0.29  0.29]]
    """
    held = np.ones((labels, symbols))
    for one in sequences:
        held[one.label, np.unique(one.x)] += 1
    others = held.sum(0) - held - (labels - 2)
    ratios = np.log(held / held.sum(1, keepdims=True)) - np.log(others / others.sum(1, keepdims=True))
    return np.asarray(ratios.T, np.float32)
