"""The next symbol of running text: contiguous lanes, the state carried, cross-entropy at every symbol."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from streamcell.train.columns import Columns
from streamcell.train.data.text import TextChunk, TextLanes, read_text, side_by_side
from streamcell.train.frontend import State
from streamcell.train.models import Network
from streamcell.train.plots import plot_confusions
from streamcell.train.recipes.text import TextRecipe

ROWS, WARM = 64, 512
"""In validation: how many parts of the text are heard side by side, and how many symbols before each, unscored."""


@dataclass(frozen=True, slots=True)
class TextScore:
    """Mean loss a symbol (nats), and pairs (symbol, likeliest symbol) of what came next."""

    symbols: tuple[str, ...]
    loss: float
    pairs: NDArray[np.int64]

    @property
    def rate(self) -> float:
        """Return `1 - exp(-loss)`: what is missing to 1 in the (geometric) mean probability of what came next."""
        return 1 - math.exp(-self.loss)

    def figures(self) -> dict[str, float]:
        """Return the loss, the share of symbols that were the likeliest, and how many were scored."""
        right = float((self.pairs[:, 0] == self.pairs[:, 1]).mean())
        return {"loss_nats": round(self.loss, 4), "likeliest": round(right, 4), "symbols": len(self.pairs)}

    def groups(self) -> dict[str, float]:
        """Return nothing: a text has one author."""
        return {}

    def draw(self, path: Path) -> None:
        """Draw which of the 40 most frequent symbols was expected where which came."""
        often = [place for place, _ in Counter(self.pairs[:, 0].tolist()).most_common(40)]
        names = {place: _shown(self.symbols[place]) for place in often}
        counts = Counter((a, b) for a, b in self.pairs.tolist() if a in names and b in names)
        plot_confusions({(names[a], names[b]): n for (a, b), n in counts.items()}, path, list(names.values()))


def _shown(symbol: str) -> str:
    r"""Return a symbol as a picture can show it.

    >>> _shown(" "), _shown("\n"), _shown("$")
    ('space', '\\n', '\\$')
    """
    return "space" if symbol == " " else symbol.replace("\n", "\\n").replace("$", "\\$")


class TextTask:
    """Learn the next symbol of a text as `recipe` says, from the file below the folder `data`.

    Raises:
        SourceError: the text is missing, unreadable or too short.
    """

    measure = "surprise (1 - exp(-loss))"
    silent_updates = 0

    def __init__(self, recipe: TextRecipe, data: Path) -> None:
        self.recipe, what = recipe, recipe.data
        self.text = read_text(data / what.path, what.split, least=what.least, validation_share=what.validation_share)
        self.columns = Columns(self.text.symbols, symbols=self.text.symbols)
        self.fingerprint = self.text.fingerprint

    def fit(self, network: Network) -> None:
        """Measure nothing: symbols need no scale."""
        del network

    def lanes(self, number: int) -> TextLanes:
        """Return the endless streams of shard `number`."""
        train = self.recipe.train
        return TextLanes(
            self.text.training,
            lanes=train.lanes,
            steps=train.chunk_steps,
            reset_share=train.reset_share,
            seed=train.seed + number,
        )

    def losses(
        self, network: Network, chunk: TextChunk, state: State, _masks: torch.Generator, _update: int
    ) -> tuple[Tensor, dict[str, Tensor], State]:
        """Return the mean cross-entropy of what comes next."""
        device = network.head.weight.device
        logits, after = network(torch.from_numpy(chunk.x).to(device), state)
        loss = F.cross_entropy(logits.flatten(0, 1), torch.from_numpy(chunk.next).to(device).flatten())
        return loss, {"cross_entropy": loss}, after

    @torch.no_grad()
    def validate(self, network: Network) -> TextScore:
        """Score a network on the text that was held out.

        As one stream through all of it would, from the initial state on, but for what `WARM` symbols let it forget.
        """
        network.eval()
        text = self.text.validation
        places, own = side_by_side(len(text) - 1, min(ROWS, len(text) - 1), WARM)
        logits, _ = network(torch.from_numpy(text[places]), network.initial_state(len(places)))
        following = torch.from_numpy(text[1:][places])
        losses = F.cross_entropy(logits.transpose(1, 2), following, reduction="none").numpy()
        pairs = np.stack([following.numpy()[own], logits.argmax(-1).numpy()[own]], axis=1)
        return TextScore(self.columns.symbols, float(losses[own].mean(dtype=np.float64)), pairs)
