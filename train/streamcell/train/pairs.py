"""Texts for sources: batches of pairs, cross-entropy of each next symbol, share of symbols mistaken."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from streamcell.runtime.symbols import UNKNOWN
from streamcell.train.columns import Columns
from streamcell.train.data.pair_lanes import UNSAID, PairChunk, PairLanes, stack
from streamcell.train.data.pairs import read_pairs
from streamcell.train.frontend import State
from streamcell.train.models import Network
from streamcell.train.pair_net import PairNet
from streamcell.train.plots import plot_shares
from streamcell.train.recipes.pairs import PairRecipe

_BATCH = 64  # pairs that are validated together


@dataclass(frozen=True, slots=True)
class PairScore:
    """Of each pair, when all symbols before are given; one without a mistake greedy decoding gets right as a whole.

    Attributes:
        symbols: of the text, and its end.
        mistaken: of them; those that the decoder does not know are among them.
        unknown: of them, which have no loss.
        losses: of the others, added up (nats).
    """

    symbols: NDArray[np.int64]
    mistaken: NDArray[np.int64]
    unknown: NDArray[np.int64]
    losses: NDArray[np.float64]

    @property
    def loss(self) -> float:
        """Mean loss a known symbol."""
        return float(self.losses.sum() / (self.symbols - self.unknown).sum())

    @property
    def rate(self) -> float:
        """Share of symbols that were mistaken."""
        return float(self.mistaken.sum() / self.symbols.sum())

    def figures(self) -> dict[str, float]:
        """Return the share of texts that greedy decoding gets right as a whole, and the loss a symbol."""
        exact = float((self.mistaken == 0).mean())
        return {"exact": round(exact, 4), "loss": round(self.loss, 4), "pairs": len(self.symbols)}

    def groups(self) -> dict[str, float]:
        """Return the share of mistaken symbols of texts of each length."""
        shares = {}
        for size in np.unique(self.symbols).tolist():
            rows = self.symbols == size
            shares[f"{size - 1:02} symbols"] = float(self.mistaken[rows].sum() / self.symbols[rows].sum())
        return shares

    def draw(self, path: Path) -> None:
        """Draw how many symbols, and how many whole texts, are mistaken at each length."""
        sizes = np.unique(self.symbols)
        whole = [float((self.mistaken[self.symbols == size] > 0).mean()) for size in sizes]
        curves = {"symbols": list(self.groups().values()), "whole texts": whole}
        plot_shares((sizes - 1).tolist(), curves, "symbols of the text", "mistaken (%)", path)


class PairTask:
    """Learn texts for sources as `recipe` says, from pairs below the folder `data`.

    Raises:
        SourceError: the pairs are missing or unreadable, or do not fit the recipe.
    """

    measure = "share of symbols mistaken"
    silent_updates = 0

    def __init__(self, recipe: PairRecipe, data: Path) -> None:
        self.recipe = recipe
        self.pairs = read_pairs(recipe.data, data)
        self.columns = Columns(self.pairs.labels, symbols=self.pairs.symbols)
        self.fingerprint = self.pairs.fingerprint
        self._heard_unknown = self.pairs.labels.index(UNKNOWN)
        self._read_unknown = self.pairs.symbols.index(UNKNOWN) if self.pairs.symbols else None

    def fit(self, network: Network) -> None:
        """Do nothing: neither symbols nor pictures from 0 to 1 are standardised."""

    def lanes(self, number: int) -> PairLanes:
        """Return the endless batches of shard `number`."""
        train = self.recipe.train
        return PairLanes(self.pairs.training, self.pairs.labels, lanes=train.lanes, seed=train.seed + number)

    def losses(
        self, network: Network, chunk: PairChunk, _state: State, masks: torch.Generator, _update: int
    ) -> tuple[Tensor, dict[str, Tensor], State]:
        """Return the cross-entropy a symbol, smoothed to minimise and as it is to show; pairs begin without `state`."""
        train, net = self.recipe.train, _pair_net(network)
        source, given, answers, lengths = _tensors(chunk, net.head.weight.device)
        if self._read_unknown is not None:
            source = _masked(source, train.source_masked, self._read_unknown, masks)
        start = given[:, :1]
        given = torch.cat([start, _masked(given[:, 1:], train.target_masked, self._heard_unknown, masks)], dim=1)
        logits, after = net(given, net.begin(source, lengths))
        flat, wanted = logits.flatten(0, 1), answers.flatten()
        loss = F.cross_entropy(flat, wanted, ignore_index=UNSAID, label_smoothing=train.smoothing)
        plain = F.cross_entropy(flat.detach(), wanted, ignore_index=UNSAID) if train.smoothing else loss
        return loss, {"cross_entropy": plain}, after

    @torch.no_grad()
    def validate(self, network: Network) -> PairScore:
        """Score a network on the pairs that were held out to choose by, every symbol given its right past."""
        net = _pair_net(network).eval()
        columns = [np.concatenate(part) for part in zip(*self._scored(net), strict=True)]
        return PairScore(*columns)

    def _scored(self, net: PairNet) -> Iterator[tuple[NDArray[Any], ...]]:
        """Yield what a `PairScore` holds, some pairs at a time."""
        pairs = sorted(self.pairs.validation, key=lambda pair: len(pair.target))
        for begin in range(0, len(pairs), _BATCH):
            chunk = stack(pairs[begin : begin + _BATCH], self.columns.labels)
            source, given, answers, lengths = _tensors(chunk, net.head.weight.device)
            logits, _ = net(given, net.begin(source, lengths))
            losses = F.cross_entropy(logits.transpose(1, 2), answers, ignore_index=UNSAID, reduction="none")
            known, unknown = answers != UNSAID, (given == self._heard_unknown).sum(1)
            wrong = (known & (logits.argmax(-1) != answers)).sum(1) + unknown
            found = (known.sum(1) + unknown, wrong, unknown, losses.double().sum(1))
            yield tuple(column.cpu().numpy() for column in found)


def _pair_net(network: Network) -> PairNet:
    if not isinstance(network, PairNet):
        raise TypeError(f"expected a PairNet, got {type(network).__name__}")
    return network


def _tensors(chunk: PairChunk, device: torch.device) -> tuple[Tensor, ...]:
    arrays = (chunk.source, chunk.given, chunk.answers, chunk.lengths)
    source, *others = (torch.from_numpy(array).to(device) for array in arrays)
    return (source / 255 if source.dtype == torch.uint8 else source, *others)


def _masked(x: Tensor, share: float, unknown: int, masks: torch.Generator) -> Tensor:
    """Return symbols of which a share is unknown."""
    if not share:
        return x
    return x.masked_fill((torch.rand(x.shape, generator=masks) < share).to(x.device), unknown)
