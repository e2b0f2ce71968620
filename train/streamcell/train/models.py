"""Front end + stack + head = a task's network, one function `logits, state = network(samples, state)`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Unpack

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from streamcell.train.cells import CausalConv, Stack, StackOptions
from streamcell.train.frontend import LogMel, Standardise, State
from streamcell.train.fronts import Front, sound_noise, spread_noise
from streamcell.train.gain import GainControl
from streamcell.train.pooling import RunningMean


class Network(nn.Module):
    """What all networks have: a recurrent stack, a head, and a state that is a value.

    Attributes:
        sample_rate: of the source, Hz.
        samples_per_step: new samples that one output frame takes.
        stack: the recurrent layers.
        norm: of what the stack gives.
        head: gives the logits.
    """

    sample_rate: int
    samples_per_step: int
    stack: Stack
    norm: nn.Module
    head: nn.Linear

    def initial_state(self, batch: int) -> State:
        """Return the state before the first sample."""
        state = self.stack.initial_state(batch)
        return {name: value.to(self.head.weight.device) for name, value in state.items()}

    def example(self, batch: int, steps: int, random: np.random.Generator) -> NDArray[np.generic]:
        """Return random input of `steps` steps for `batch` streams, such as it may come."""
        return sound_noise(batch, steps * self.samples_per_step, random)

    def batch_axis(self, name: str) -> int:
        """Return the batch axis of the state `name`: 1 for the recurrent layers' `[1, B, H]`, else 0."""
        return 1 if name in self.stack.state_names else 0

    def keep(self, state: State, rows: Tensor) -> State:
        """Return `state` where `rows [B]` (bool) is true and the initial state elsewhere."""
        fresh = self.initial_state(len(rows))
        shapes = {
            name: [-1 if axis == self.batch_axis(name) else 1 for axis in range(x.dim())] for name, x in state.items()
        }
        return {name: torch.where(rows.reshape(shapes[name]), x, fresh[name]) for name, x in state.items()}


class PhonemeNet(Network):
    """Causal phoneme recogniser: log-mel, two convolutions (the second with a stride), recurrent stack, linear head.

    `samples [B, T * 160 * stride]` at 16 kHz -> `logits [B, T, labels]`, one frame each `stride` times 10 ms. Logit 0
    is the CTC blank. The
    softmax over the others, without the blank, is trained as a frame classifier, so that durations can be read off
    although CTC is peaky.

    States: `tail [B, 240]` (samples), `conv0 [B, 2, mels]`, `conv1 [B, 2, channels]`, with gain control `level
    [B, mels]`, then those of the stack.

    Args:
        labels: columns of the output, the blank among them.
        cell: of the stack, see `Stack`.
        mels: bins of the spectrum.
        channels: of the first convolution.
        stride: spectra that one output frame moves on by; the second convolution sees two more.
        hidden: width of the stack.
        layers: depth of the stack.
        dropout: on what enters the stack and what each layer adds.
        gain_seconds: of the gain control, see `GainControl`; 0 for none.
        options: of the stack, see `Stack`.

    >>> net = PhonemeNet(labels=41, channels=8, hidden=16, layers=2)
    >>> logits, state = net(torch.zeros(2, 960), net.initial_state(2))
    >>> logits.shape, list(state)
    (torch.Size([2, 2, 41]), ['tail', 'conv0', 'conv1', 'h0', 'h1'])
    """

    sample_rate = 16000

    def __init__(
        self,
        labels: int,
        *,
        cell: str | Sequence[str] = "gru",
        mels: int = 40,
        channels: int = 128,
        stride: int = 3,
        hidden: int = 320,
        layers: int = 3,
        dropout: float = 0.0,
        gain_seconds: float = 0.0,
        **options: Unpack[StackOptions],
    ) -> None:
        super().__init__()
        self.frontend = LogMel(self.sample_rate, n_mels=mels)
        self.standardise = Standardise(mels)
        hop = self.frontend.hop / self.sample_rate
        self.gain = GainControl(mels, gain_seconds, hop) if gain_seconds else None
        self.conv0 = CausalConv(mels, channels, kernel=3)
        self.conv1 = CausalConv(channels, hidden, kernel=stride + 2, stride=stride)
        self.stack = Stack(cell, hidden, layers, dropout, **options)
        self.norm = nn.LayerNorm(hidden)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(hidden, labels)
        self.samples_per_step = self.frontend.hop * stride

    def initial_state(self, batch: int) -> State:
        """Return the state before the first sample: silence and zeros."""
        convs = {"conv0": self.conv0.initial_state(batch), "conv1": self.conv1.initial_state(batch)}
        state = {**self.frontend.initial_state(batch), **convs, **(self.gain.initial_state(batch) if self.gain else {})}
        return {**{name: x.to(self.head.weight.device) for name, x in state.items()}, **super().initial_state(batch)}

    def forward(
        self, samples: Tensor, state: State, mask: Callable[[Tensor], Tensor] | None = None
    ) -> tuple[Tensor, State]:
        """Return logits and the state after `samples`.

        Args:
            samples: `[B, N]`, whole steps, full scale is 1.
            state: as `initial_state` gives it.
            mask: applied to the standardised features `[B, stride * T, mels]` in training (SpecAugment).
        """
        x, tail = self.frontend(samples, state)
        x, level = self.standardise(x), dict[str, Tensor]()
        if self.gain:
            x, level = self.gain(x, state)
        if mask is not None:
            x = mask(x)
        x, conv0 = self.conv0(x, state["conv0"])
        x, conv1 = self.conv1(x, state["conv1"])
        x, recurrent = self.stack(self.dropout(x), state)
        logits: Tensor = self.head(self.norm(x))
        return logits, {**tail, "conv0": conv0, "conv1": conv1, **level, **recurrent}


class SensorNet(Network):
    """Labels for every sample of a sensor: standardising, a dense layer with ReLU, recurrent stack, linear head.

    `x [B, T, channels]` -> `logits [B, T, labels]`, one frame a sample. States: those of the stack.

    Args:
        channels: columns of the input.
        labels: columns of the output.
        sample_rate: Hz.
        cell: of the stack, see `Stack`.
        hidden: width of the dense layer and the stack.
        layers: depth of the stack.
        dropout: on what enters the stack and what each layer adds.
        options: of the stack, see `Stack`.

    >>> net = SensorNet(6, 12, sample_rate=50, cell="lstm", hidden=16)
    >>> logits, state = net(torch.zeros(2, 5, 6), net.initial_state(2))
    >>> logits.shape, list(state)
    (torch.Size([2, 5, 12]), ['h0', 'c0'])
    """

    samples_per_step = 1

    def __init__(
        self,
        channels: int,
        labels: int,
        *,
        sample_rate: int,
        cell: str | Sequence[str] = "gru",
        hidden: int = 64,
        layers: int = 1,
        dropout: float = 0.0,
        **options: Unpack[StackOptions],
    ) -> None:
        super().__init__()
        self.sample_rate = sample_rate
        self.standardise = Standardise(channels)
        self.inputs = nn.Linear(channels, hidden)
        self.stack = Stack(cell, hidden, layers, dropout, **options)
        self.norm = nn.LayerNorm(hidden)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(hidden, labels)

    def example(self, batch: int, steps: int, random: np.random.Generator) -> NDArray[np.generic]:
        """Return noise `[B, T, channels]`, spread as what the network was trained on, or up to 10 times."""
        return spread_noise(self.standardise, batch, steps, random)

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Return logits and the state after `x`."""
        x = torch.relu(self.inputs(self.standardise(x)))
        x, state = self.stack(self.dropout(x), state)
        logits: Tensor = self.head(self.norm(x))
        return logits, state


class SequenceNet(Network):
    """Any front, recurrent stack, layer norm, linear head: `x` as the front takes it -> `logits [B, T, outputs]`.

    With no layers it is a plain feed-forward network, whose state is empty but for the front's. States: those of the
    front, then those of the stack, then those of `RunningMean`.

    Args:
        front: takes the input; its width is the stack's.
        outputs: columns of what comes out.
        cell: of the stack, see `Stack`.
        layers: depth of the stack, from 0.
        dropout: on what enters the stack and what each layer adds, with pooling also on what enters the head.
        pooling: the head hears the mean over time beside the last frame.
        options: of the stack, see `Stack`.

    >>> from streamcell.train.fronts import Embed
    >>> net = SequenceNet(Embed(65, 16), 65, cell="lstm", layers=2)
    >>> logits, state = net(torch.zeros(2, 5, dtype=torch.int64), net.initial_state(2))
    >>> logits.shape, list(state)
    (torch.Size([2, 5, 65]), ['h0', 'c0', 'h1', 'c1'])
    """

    def __init__(
        self,
        front: Front,
        outputs: int,
        *,
        cell: str | Sequence[str] = "gru",
        layers: int = 1,
        dropout: float = 0.0,
        pooling: bool = False,
        **options: Unpack[StackOptions],
    ) -> None:
        super().__init__()
        self.front = front
        self.sample_rate, self.samples_per_step = front.sample_rate, front.samples_per_step
        self.stack = Stack(cell, front.width, layers, dropout, **options)
        self.norm = nn.LayerNorm(front.width)
        self.dropout = nn.Dropout(dropout)
        self.pool = RunningMean(front.width) if pooling else None
        self.head = nn.Linear(2 * front.width if pooling else front.width, outputs)

    def example(self, batch: int, steps: int, random: np.random.Generator) -> NDArray[np.generic]:
        """Return random input as the front's `example`."""
        return self.front.example(batch, steps, random)

    def initial_state(self, batch: int) -> State:
        """Return the state before the first sample."""
        pooled = self.pool.initial_state(batch) if self.pool else {}
        state = {**self.front.initial_state(batch), **super().initial_state(batch), **pooled}
        return {name: x.to(self.head.weight.device) for name, x in state.items()}

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Return the outputs and the state after `x`."""
        y, front = self.front(x, state)
        y, recurrent = self.stack(self.dropout(y), state)
        y, pooled = self.norm(y), dict[str, Tensor]()
        if self.pool:
            mean, pooled = self.pool(y, state)
            y = self.dropout(torch.cat([y, mean], -1))
        logits: Tensor = self.head(y)
        return logits, {**front, **recurrent, **pooled}


def detach(state: State) -> State:
    """Cut the gradient at `state`: truncated back-propagation through time carries values, not derivatives."""
    return {name: value.detach() for name, value in state.items()}
