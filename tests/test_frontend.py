"""The front end against librosa, and cut into blocks."""

import librosa
import numpy as np
import pytest
import soundfile
import torch

from helpers import SAMPLES
from streamcell.train.frontend import LogMel, Standardise, mel_filters


@pytest.mark.parametrize(("n_mels", "fmin", "fmax"), [(40, 20.0, 8000.0), (64, 0.0, 8000.0), (23, 64.0, 4000.0)])
def test_mel_filters_are_librosas(n_mels: int, fmin: float, fmax: float) -> None:
    expected = librosa.filters.mel(sr=16000, n_fft=400, n_mels=n_mels, fmin=fmin, fmax=fmax, htk=False, norm=None).T
    np.testing.assert_allclose(mel_filters(16000, 400, n_mels, fmin, fmax).numpy(), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", ["learner", "reader", "volunteer"])
def test_log_mel_is_librosas_on_speech(name: str) -> None:
    samples, _ = soundfile.read(SAMPLES / f"{name}.flac", dtype="float32")
    samples = samples[: len(samples) // 160 * 160]
    mel = LogMel()
    features, _ = mel(torch.from_numpy(samples)[None], mel.initial_state(1))
    padded = np.concatenate([np.zeros(240, np.float32), samples])
    power = librosa.feature.melspectrogram(
        y=padded, sr=16000, n_fft=400, hop_length=160, center=False, htk=False, norm=None, n_mels=40, fmin=20, fmax=8000
    )
    np.testing.assert_allclose(features[0].exp().numpy(), power.T + mel.floor, rtol=1e-4)


@pytest.mark.parametrize("hops", [1, 2, 7, 30])
def test_log_mel_in_blocks_is_log_mel_of_the_whole(hops: int) -> None:
    samples = torch.randn(3, 30 * 160, generator=torch.Generator().manual_seed(hops))
    mel = LogMel()
    whole, last = mel(samples, mel.initial_state(3))
    state, parts = mel.initial_state(3), []
    for block in torch.split(samples, hops * 160, dim=1):
        features, state = mel(block, state)
        parts.append(features)
    torch.testing.assert_close(torch.cat(parts, dim=1), whole, rtol=0, atol=2e-5)
    assert torch.equal(state["tail"], last["tail"])


def test_standardise_gives_zero_mean_and_unit_variance() -> None:
    features = torch.randn(500, 7, generator=torch.Generator().manual_seed(1)) * 3 + 5
    layer = Standardise(7)
    layer.fit(features)
    y = layer(features)
    torch.testing.assert_close(y.mean(0), torch.zeros(7), rtol=0, atol=1e-5)
    torch.testing.assert_close(y.std(0, correction=0), torch.ones(7))
