"""What stands before the recurrent layers: `y, state = front(x, state)`, `y [B, T, width]`, one frame a step.

Each says what it takes: `sample_rate` (Hz, 1 where steps have no clock), `samples_per_step`, and by `example` random
input such as it may come, on which an exported file is proved.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from streamcell.train.cells import CausalConv
from streamcell.train.frontend import LogMel, Standardise, State


class Front(nn.Module, ABC):
    """What all fronts have.

    Attributes:
        sample_rate: of the source, Hz; 1 where steps have no clock.
        samples_per_step: new samples, rows or tokens that one frame takes.
        width: of the frames.
    """

    sample_rate: int = 1
    samples_per_step: int = 1
    width: int

    def initial_state(self, batch: int) -> State:
        """Return the state before the first sample; most fronts have none."""
        del batch
        return {}

    @abstractmethod
    def example(self, batch: int, steps: int, random: np.random.Generator) -> NDArray[np.generic]:
        """Return random input of `steps` steps for `batch` streams."""


class Embed(Front):
    """Learnt vectors of symbols: int64 `[B, T]` -> `[B, T, width]`.

    >>> front = Embed(65, 16)
    >>> front(torch.zeros(2, 5, dtype=torch.int64), {})[0].shape
    torch.Size([2, 5, 16])
    """

    def __init__(self, symbols: int, width: int) -> None:
        super().__init__()
        self.width = width
        self.embedding = nn.Embedding(symbols, width)

    def example(self, batch: int, steps: int, random: np.random.Generator) -> NDArray[np.generic]:
        """Return random symbols `[B, T]`."""
        return random.integers(self.embedding.num_embeddings, size=(batch, steps))

    def forward(self, x: Tensor, _state: State) -> tuple[Tensor, State]:
        """Return the vectors of `x`."""
        return self.embedding(x), {}


class Motifs(Front):
    """Learnt vectors of symbols and of their places, then a causal convolution: int64 `[B, T]` -> `[B, T, width]`.

    The vectors of a symbol and of how many went before it are added; all places from the last on share a vector. The
    convolution sees `kernel` symbols, as far as a motif is long. States: `place [B, 1]`, `conv0`.

    >>> front = Motifs(8, 16, places=60, kernel=9)
    >>> y, state = front(torch.zeros(2, 5, dtype=torch.int64), front.initial_state(2))
    >>> y.shape, state["place"].tolist(), state["conv0"].shape
    (torch.Size([2, 5, 16]), [[5.0], [5.0]], torch.Size([2, 8, 16]))
    """

    def __init__(self, symbols: int, width: int, *, places: int = 1, kernel: int = 3) -> None:
        super().__init__()
        self.width = width
        self.embedding = nn.Embedding(symbols, width)
        self.places = nn.Embedding(places, width)
        self.conv0 = CausalConv(width, width, kernel)

    def initial_state(self, batch: int) -> State:
        """Return place 0, and zeros."""
        return {"place": torch.zeros(batch, 1), "conv0": self.conv0.initial_state(batch)}

    def example(self, batch: int, steps: int, random: np.random.Generator) -> NDArray[np.generic]:
        """Return random symbols `[B, T]`."""
        return random.integers(self.embedding.num_embeddings, size=(batch, steps))

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Return the frames of `x` and the state after it."""
        last = self.places.num_embeddings - 1
        places = (state["place"] + torch.arange(x.shape[1], device=x.device)).clamp(max=last)  # [B, T]
        y = self.embedding(x) + self.places(places.long())
        y, conv0 = self.conv0(y, state["conv0"])
        return y, {"place": places[:, -1:] + 1, "conv0": conv0}


class Dense(Front):
    """Standardising, a dense layer and ReLU: `[B, T, channels]` -> `[B, T, width]`.

    >>> front = Dense(6, 16, sample_rate=50)
    >>> front(torch.zeros(2, 5, 6), {})[0].shape
    torch.Size([2, 5, 16])
    """

    def __init__(self, channels: int, width: int, *, sample_rate: int = 1) -> None:
        super().__init__()
        self.sample_rate, self.width = sample_rate, width
        self.standardise = Standardise(channels)
        self.inputs = nn.Linear(channels, width)

    def example(self, batch: int, steps: int, random: np.random.Generator) -> NDArray[np.generic]:
        """Return noise `[B, T, channels]`, spread as what `Standardise` was fitted on, or up to 10 times."""
        return spread_noise(self.standardise, batch, steps, random)

    def forward(self, x: Tensor, _state: State) -> tuple[Tensor, State]:
        """Return the frames of `x`."""
        return torch.relu(self.inputs(self.standardise(x))), {}


class Changes(Front):
    """Standardising, then a dense layer with ReLU over the last `window` rows, each as what it is above the newest.

    `[B, T, channels]` -> `[B, T, width]`. A channel's level alone changes nothing: the weights over the window sum to
    zero, as the newest row's are minus the sum of the others'. State: `past [B, window - 1, channels]`, standardised.

    >>> front = Changes(1, 4, window=3)
    >>> x = torch.tensor([[[5.0], [5.0], [5.0], [7.0], [7.0], [7.0]]])
    >>> y, state = front(x, front.initial_state(1))
    >>> bool(torch.allclose(y[0, 2], y[0, 5], atol=1e-5)), state["past"].tolist()
    (True, [[[7.0], [7.0]]])
    """

    def __init__(self, channels: int, width: int, *, window: int, sample_rate: int = 1) -> None:
        super().__init__()
        self.sample_rate, self.width, self.window = sample_rate, width, window
        self.standardise = Standardise(channels)
        self.before = nn.Conv1d(channels, width, window - 1)

    def initial_state(self, batch: int) -> State:
        """Return rows of means."""
        return {"past": torch.zeros(batch, self.window - 1, self.before.in_channels)}

    def example(self, batch: int, steps: int, random: np.random.Generator) -> NDArray[np.generic]:
        """Return noise `[B, T, channels]`, spread as what `Standardise` was fitted on, or up to 10 times."""
        return spread_noise(self.standardise, batch, steps, random)

    def weight(self) -> Tensor:
        """Return the weights of all rows of the window, `[width, channels, window]`."""
        return torch.cat([self.before.weight, -self.before.weight.sum(2, keepdim=True)], dim=2)

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Return the frames of `x` and the state after it."""
        heard = torch.cat([state["past"], self.standardise(x)], dim=1)
        y = F.conv1d(heard.transpose(1, 2), self.weight(), self.before.bias).transpose(1, 2)
        return torch.relu(y), {"past": heard[:, heard.shape[1] - self.window + 1 :]}


class Picture(Front):
    """Two convolutions of 3 by 3 with stride 2 over each step's picture, then a dense layer, all with ReLU.

    `[B, T, rows * columns * colours]`, the colours of a point side by side, values 0 to 1 -> `[B, T, width]`.

    >>> front = Picture(16, 16, 1, channels=4, width=8)
    >>> front(torch.zeros(2, 5, 256), {})[0].shape
    torch.Size([2, 5, 8])
    """

    def __init__(
        self, rows: int, columns: int, colours: int, *, channels: int, width: int, sample_rate: int = 1
    ) -> None:
        super().__init__()
        self.sample_rate, self.width = sample_rate, width
        self.shape = (rows, columns, colours)
        self.conv0 = nn.Conv2d(colours, channels, 3, stride=2, padding=1)
        self.conv1 = nn.Conv2d(channels, 2 * channels, 3, stride=2, padding=1)
        self.dense = nn.Linear(2 * channels * ((rows + 3) // 4) * ((columns + 3) // 4), width)

    def example(self, batch: int, steps: int, random: np.random.Generator) -> NDArray[np.generic]:
        """Return noise of any brightness and contrast, 0 to 1."""
        size = (batch, steps, int(np.prod(self.shape)))
        low, high = np.sort(random.uniform(0, 1, (2, batch, 1, 1)), axis=0)
        return np.asarray(low + (high - low) * random.uniform(0, 1, size), np.float32)

    def forward(self, x: Tensor, _state: State) -> tuple[Tensor, State]:
        """Return the frames of `x`."""
        batch, steps = x.shape[:2]
        pictures = x.reshape(batch * steps, *self.shape).permute(0, 3, 1, 2)
        y = torch.relu(self.conv1(torch.relu(self.conv0(pictures)))).flatten(1)
        return torch.relu(self.dense(y)).reshape(batch, steps, self.width), {}


class Sound(Front):
    """Log-mel spectrum, standardising, two causal convolutions: `[B, T * 160 * stride]` at 16 kHz -> `[B, T, width]`.

    At other rates frames and hops last as long, 25 and 10 ms. States: `tail`, `conv0`, `conv1`.

    >>> front = Sound(8000, 16, mels=20, stride=2)
    >>> front(torch.zeros(2, 480), front.initial_state(2))[0].shape
    torch.Size([2, 3, 16])
    """

    def __init__(self, sample_rate: int, width: int, *, mels: int = 40, channels: int = 32, stride: int = 2) -> None:
        super().__init__()
        self.sample_rate, self.width = sample_rate, width
        window, hop = 2 * (sample_rate // 80), sample_rate // 100  # even, as the exported spectrum asks
        self.frontend = LogMel(sample_rate, window, hop, mels, fmax=sample_rate / 2)
        self.standardise = Standardise(mels)
        self.conv0 = CausalConv(mels, channels, kernel=3)
        self.conv1 = CausalConv(channels, width, kernel=stride + 2, stride=stride)
        self.samples_per_step = hop * stride

    def initial_state(self, batch: int) -> State:
        """Return silence and zeros."""
        convs = {"conv0": self.conv0.initial_state(batch), "conv1": self.conv1.initial_state(batch)}
        return {**self.frontend.initial_state(batch), **convs}

    def example(self, batch: int, steps: int, random: np.random.Generator) -> NDArray[np.generic]:
        """Return noise `[B, N]`, each stream at a level of its own, -60 to -10 dBFS."""
        return sound_noise(batch, steps * self.samples_per_step, random)

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Return the frames of `x` and the state after it."""
        x, tail = self.frontend(x, state)
        x, conv0 = self.conv0(self.standardise(x), state["conv0"])
        x, conv1 = self.conv1(x, state["conv1"])
        return x, {**tail, "conv0": conv0, "conv1": conv1}


def spread_noise(standardise: Standardise, batch: int, steps: int, random: np.random.Generator) -> NDArray[np.float32]:
    """Return noise `[B, T, F]`, spread as what `standardise` was fitted on, or up to 10 times."""
    mean, scale = standardise.mean.cpu().numpy(), standardise.scale.cpu().numpy()
    spread = 10 ** random.uniform(0, 1, (batch, 1, 1))
    return np.asarray(mean + spread * scale * random.standard_normal((batch, steps, len(mean))), np.float32)


def sound_noise(batch: int, samples: int, random: np.random.Generator) -> NDArray[np.float32]:
    """Return noise `[B, N]`, each stream at a level of its own, -60 to -10 dBFS."""
    levels = 10 ** random.uniform(-3, -0.5, (batch, 1))
    return np.asarray(random.standard_normal((batch, samples)) * levels, np.float32)
