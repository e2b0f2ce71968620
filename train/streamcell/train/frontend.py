"""Signal front ends as stateful modules: trained exactly as they will run, and part of the exported graph."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

State = dict[str, Tensor]


def mel_filters(sample_rate: int, n_fft: int, n_mels: int, fmin: float, fmax: float) -> Tensor:
    """Return triangular filters on the Slaney mel scale, `[n_fft // 2 + 1, n_mels]`, each with peak 1.

    The scale is linear below 1 kHz and logarithmic above (Slaney, Auditory Toolbox, 1998), as in
    `librosa.filters.mel(htk=False, norm=None)`.

    >>> mel_filters(16000, 400, 40, 20.0, 8000.0).shape
    torch.Size([201, 40])
    """
    step = math.log(6.4) / 27.0  # natural log of frequency per mel above 1 kHz

    def to_mel(hz: float) -> float:
        return hz * 3 / 200 if hz < 1000 else 15 + math.log(hz / 1000) / step

    mels = torch.linspace(to_mel(fmin), to_mel(fmax), n_mels + 2, dtype=torch.float64)
    hz = torch.where(mels < 15, mels * 200 / 3, 1000 * torch.exp((mels - 15) * step))
    bins = torch.arange(n_fft // 2 + 1, dtype=torch.float64) * sample_rate / n_fft
    rise = (bins[:, None] - hz[:-2]) / (hz[1:-1] - hz[:-2])
    fall = (hz[2:] - bins[:, None]) / (hz[2:] - hz[1:-1])
    return torch.minimum(rise, fall).clamp(min=0).float()


def spectrum_kernel(n_fft: int) -> Tensor:
    """Return the Hann-windowed Fourier basis as kernels `[2 * (n_fft // 2 + 1), 1, n_fft]`: cosines, then sines."""
    n = torch.arange(n_fft, dtype=torch.float64)
    window = 0.5 - 0.5 * torch.cos(2 * math.pi * n / n_fft)
    angle = 2 * math.pi / n_fft * torch.outer(torch.arange(n_fft // 2 + 1, dtype=torch.float64), n)
    return (torch.cat([angle.cos(), angle.sin()]) * window).float().unsqueeze(1)


class LogMel(nn.Module):
    """Log-mel spectrum of a stream: `samples [B, N]` -> `features [B, N / hop, n_mels]`, N a multiple of `hop`.

    Frame k covers the `n_fft` samples that end with sample `(k + 1) * hop`; the overlap of `n_fft - hop` samples is the
    state `tail`, zeros at first. Equal to `log(librosa.feature.melspectrogram(center=False, htk=False, norm=None,
    power=2) + floor)` of the signal with that many zeros before it.
    Built from a convolution and a matrix product, which every ONNX runtime has.

    Args:
        sample_rate: Hz.
        n_fft: window length, samples.
        hop: samples from frame to frame.
        n_mels: number of filters.
        fmin: lowest frequency, Hz.
        fmax: highest frequency, Hz.
        floor: added to the power before the logarithm; far above what float32 rounding leaves in the empty bands of a
            loud tone, which would differ from one machine to the next.

    >>> mel = LogMel()
    >>> features, state = mel(torch.zeros(2, 480), mel.initial_state(2))
    >>> features.shape, state["tail"].shape
    (torch.Size([2, 3, 40]), torch.Size([2, 240]))
    """

    kernel: Tensor
    filters: Tensor

    def __init__(
        self,
        sample_rate: int = 16000,
        n_fft: int = 400,
        hop: int = 160,
        n_mels: int = 40,
        fmin: float = 20.0,
        fmax: float = 8000.0,
        floor: float = 1e-5,
    ) -> None:
        super().__init__()
        self.n_fft, self.hop, self.n_mels, self.floor = n_fft, hop, n_mels, floor
        self.register_buffer("kernel", spectrum_kernel(n_fft), persistent=False)
        self.register_buffer("filters", mel_filters(sample_rate, n_fft, n_mels, fmin, fmax), persistent=False)

    def initial_state(self, batch: int) -> State:
        """Return silence, `{"tail": [batch, n_fft - hop]}`."""
        return {"tail": torch.zeros(batch, self.n_fft - self.hop)}

    def forward(self, samples: Tensor, state: State) -> tuple[Tensor, State]:
        """Return the features of `samples` and the state after them."""
        x = torch.cat([state["tail"], samples], dim=1)
        spectrum = F.conv1d(x.unsqueeze(1), self.kernel, stride=self.hop)  # [B, 2 * bins, T]
        real, imaginary = spectrum.chunk(2, dim=1)
        power = (real.square() + imaginary.square()).transpose(1, 2)  # [B, T, bins]
        features = torch.log(power @ self.filters + self.floor)
        return features, {"tail": x[:, x.shape[1] - (self.n_fft - self.hop) :]}


class Standardise(nn.Module):
    """Shift and scale each feature by constants measured on the training data: `[B, T, F]` -> `[B, T, F]`, no state.

    >>> layer = Standardise(2)
    >>> layer.fit(torch.tensor([[1.0, 2.0], [3.0, 6.0]]))
    >>> layer(torch.tensor([[[1.0, 6.0]]])).tolist()
    [[[-1.0, 1.0]]]
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, features: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("scale", torch.ones(features))

    def fit(self, features: Tensor) -> None:
        """Set mean and scale from `features [N, F]`."""
        self.mean.copy_(features.mean(0))
        self.scale.copy_(features.std(0, correction=0).clamp(min=1e-3))

    def forward(self, x: Tensor) -> Tensor:
        """Return `(x - mean) / scale`."""
        return (x - self.mean) / self.scale
