"""An encoder and the decoder that begins with the encoder's answer, one network to train, two files to run."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from streamcell.train.cells import Stack
from streamcell.train.frontend import State
from streamcell.train.fronts import Front
from streamcell.train.models import Network, SequenceNet

CONTEXT = "context"
"""The decoder's state that never changes: what the encoder said."""


class Narrow(Front):
    """Learnt vectors of few numbers, then a dense layer: int64 `[B, T]` -> `[B, T, width]`.

    With `size` numbers a symbol a large vocabulary costs `symbols * size` parameters in place of `symbols * width`.

    >>> front = Narrow(2000, size=8, width=16)
    >>> front(torch.zeros(2, 5, dtype=torch.int64), {})[0].shape
    torch.Size([2, 5, 16])
    """

    def __init__(self, symbols: int, *, size: int, width: int) -> None:
        super().__init__()
        self.width = width
        self.embedding = nn.Embedding(symbols, size)
        nn.init.normal_(self.embedding.weight, std=size**-0.5)
        self.dense = nn.Linear(size, width)

    def example(self, batch: int, steps: int, random: np.random.Generator) -> NDArray[np.generic]:
        """Return random symbols `[B, T]`."""
        return random.integers(self.embedding.num_embeddings, size=(batch, steps))

    def forward(self, x: Tensor, _state: State) -> tuple[Tensor, State]:
        """Return the frames of `x`."""
        return self.dense(self.embedding(x)), {}


class PairNet(Network):
    """A decoder of symbols that holds the encoder it is trained with.

    The encoder reads its whole input; its last answer `values [B, H]` is the first value of each of the decoder's
    states (Sutskever et al. 2014, arXiv:1409.3215), one of which, `context [B, H]`, the decoder hears at every step and
    never changes (Cho et al. 2014, arXiv:1406.1078). The network's own step is the decoder's: symbols int64 `[B, T]` ->
    `logits [B, T, symbols]` of the symbols to come. One matrix serves as vectors of the symbols and as output weights
    (Press and Wolf 2017, arXiv:1608.05859).

    States: those of the stack, then `context`.

    Args:
        encoder: any network that gives H numbers a step.
        symbols: of the decoder.
        size: of their vectors.
        cell: of the stack; its states must be as wide as the stack.
        hidden: width of the stack, H.
        layers: depth of the stack.
        dropout: on what enters the stack, what each layer adds, and what leaves it.

    Raises:
        ValueError: the encoder does not give `hidden` numbers.

    >>> encoder = SequenceNet(Narrow(30, size=8, width=12), 16)
    >>> net = PairNet(encoder, 20, size=8, hidden=16)
    >>> state = net.begin(torch.zeros(2, 7, dtype=torch.int64), torch.tensor([7, 3]))
    >>> logits, after = net(torch.zeros(2, 5, dtype=torch.int64), state)
    >>> logits.shape, list(after), bool((after["context"] == state["context"]).all())
    (torch.Size([2, 5, 20]), ['h0', 'context'], True)
    """

    sample_rate = 1
    samples_per_step = 1

    def __init__(
        self,
        encoder: SequenceNet,
        symbols: int,
        *,
        size: int,
        cell: str = "gru",
        hidden: int = 64,
        layers: int = 1,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if encoder.head.out_features != hidden:
            raise ValueError(f"the encoder must give {hidden} numbers, got {encoder.head.out_features}")
        self.encoder = encoder
        self.front = Narrow(symbols, size=size, width=hidden)
        self.hear = nn.Linear(hidden, hidden, bias=False)
        self.stack = Stack(cell, hidden, layers, dropout)
        self.norm = nn.LayerNorm(hidden)
        self.dropout = nn.Dropout(dropout)
        self.narrow = nn.Linear(hidden, size)
        self.head = nn.Linear(size, symbols)
        self.head.weight = self.front.embedding.weight

    def example(self, batch: int, steps: int, random: np.random.Generator) -> NDArray[np.generic]:
        """Return random symbols `[B, T]`."""
        return self.front.example(batch, steps, random)

    def initial_state(self, batch: int) -> State:
        """Return the state of a decoder that nothing was said to: zeros."""
        context = torch.zeros(batch, self.stack.hidden, device=self.head.weight.device)
        return {**super().initial_state(batch), CONTEXT: context}

    def begin(self, source: Tensor, lengths: Tensor) -> State:
        """Return the decoder's first state, the encoder's answer at each source's last step.

        Args:
            source: `[B, S]` or `[B, S, channels]`, padded at the end.
            lengths: `[B]`, steps of each.
        """
        answers, _ = self.encoder(source, self.encoder.initial_state(len(source)))
        values: Tensor = answers[torch.arange(len(source), device=answers.device), lengths - 1]
        return {**dict.fromkeys(self.stack.state_names, values[None]), CONTEXT: values}

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Return logits of what comes after each symbol of `x`, and the state after them."""
        y, _ = self.front(x, {})
        y = y + self.hear(state[CONTEXT])[:, None]
        y, recurrent = self.stack(self.dropout(y), state)
        logits: Tensor = self.head(self.narrow(self.dropout(self.norm(y))))
        return logits, {**recurrent, CONTEXT: state[CONTEXT]}
