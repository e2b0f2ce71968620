"""Phone error rate of a network on whole utterances, each from the initial state, by greedy CTC."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor

from streamcell.train.data.augment import Samples
from streamcell.train.data.utterances import Utterance
from streamcell.train.losses import ctc
from streamcell.train.metrics import ErrorRate, by_group, confusions, error_rate
from streamcell.train.models import Network
from streamcell.train.plots import plot_confusions
from streamcell.train.recipe import LABELS


@dataclass(frozen=True, slots=True)
class Scored:
    """One utterance: who spoke, what was said and what was heard (silence left out)."""

    utterance: Utterance
    reference: list[str]
    hypothesis: list[str]

    @property
    def errors(self) -> ErrorRate:
        """Edits between the two."""
        return error_rate(self.reference, self.hypothesis)


@dataclass(frozen=True, slots=True)
class Validation:
    """All utterances, and the CTC loss per token."""

    scored: list[Scored]
    loss: float

    @property
    def rate(self) -> float:
        """Phone error rate over all of them."""
        return sum((one.errors for one in self.scored), ErrorRate()).rate

    def figures(self) -> dict[str, float]:
        """Return the edits, and the phones that they are counted on."""
        return asdict(sum((one.errors for one in self.scored), ErrorRate()))

    def groups(self) -> dict[str, float]:
        """Return the phone error rate of each speaker."""
        groups = by_group((f"{one.utterance.corpus}/{one.utterance.speaker}", one.errors) for one in self.scored)
        return {name: rate.rate for name, rate in groups.items()}

    def draw(self, path: Path) -> None:
        """Draw which phone was heard as which."""
        plot_confusions(confusions((one.reference, one.hypothesis) for one in self.scored), path)


def collapse(best: Sequence[int]) -> list[str]:
    """Return the phones of a frame-wise best path: repeats joined, blank and silence dropped.

    >>> collapse([0, 4, 4, 0, 4, 1, 5])
    ['AH', 'AH', 'AO']
    """
    return [LABELS[now] for before, now in zip([0, *best[:-1]], best, strict=True) if now != before and now > 1]


def validate(
    network: Network,
    utterances: Sequence[Utterance],
    recordings: Sequence[Samples],
    look_ahead: int,
    batch: int = 16,
) -> Validation:
    """Score `network` on `utterances`, in batches padded with silence; `recordings` are theirs, same order."""
    order = sorted(range(len(utterances)), key=lambda i: len(recordings[i]))
    scored: list[Scored] = []
    loss, tokens = 0.0, 0
    network.eval()
    for start in range(0, len(order), batch):
        rows = order[start : start + batch]
        logits, frames = _logits(network, [recordings[i] for i in rows], look_ahead)
        for row, i in enumerate(rows):
            reference = [label for _, _, label in utterances[i].phones if label != "SIL"]
            heard = logits[row, : frames[row]]
            scored.append(Scored(utterances[i], reference, collapse(heard.argmax(-1).tolist())))
            spoken = [LABELS.index(label) for _, _, label in utterances[i].phones]
            loss += float(ctc(heard.unsqueeze(0), [spoken])) * len(spoken)
            tokens += len(spoken)
    return Validation(scored, loss / max(1, tokens))


@torch.no_grad()
def _logits(network: Network, recordings: Sequence[Samples], look_ahead: int) -> tuple[Tensor, list[int]]:
    """Return `logits [B, T, C]` and how many frames of each row belong to its recording."""
    step = network.samples_per_step
    frames = [-(-len(x) // step) + look_ahead for x in recordings]
    samples = torch.zeros(len(recordings), max(frames) * step)
    for row, x in enumerate(recordings):
        samples[row, : len(x)] = torch.from_numpy(x)
    logits, _ = network(samples, network.initial_state(len(recordings)))
    return logits, frames
