"""Augmentation does what it says, measured on the signal."""

import sys

import msgspec
import numpy as np
import pytest
import torch

from helpers import SAMPLES
from streamcell.runtime.errors import MissingExtraError
from streamcell.train.data.augment import (
    Samples,
    SpecAugment,
    add_noise,
    change_recording,
    change_speed,
    colour,
    coloured_noise,
    gate,
    level,
    limit_band,
    reverberate,
    suppress_noise,
    warp_mels,
)
from streamcell.train.data.utterances import read_audio, to_float
from streamcell.train.recipe import AugmentRecipe


def tone(hz: float, seconds: float = 1.0) -> Samples:
    return (0.3 * np.sin(2 * np.pi * hz * np.arange(int(16000 * seconds)) / 16000)).astype(np.float32)


def peak_hz(samples: Samples) -> float:
    return float(np.argmax(np.abs(np.fft.rfft(samples * np.hanning(len(samples))))) * 16000 / len(samples))


@pytest.mark.parametrize("factor", [0.9, 1.0, 1.1])
def test_speed_changes_length_and_pitch(factor: float) -> None:
    changed = change_speed(tone(1000), factor)
    assert abs(len(changed) - 16000 / factor) <= 1
    assert abs(peak_hz(changed) - 1000 * factor) < 3


@pytest.mark.parametrize("snr", [0.0, 10.0, 30.0])
def test_noise_has_the_ratio_asked_for(snr: float) -> None:
    rng = np.random.default_rng(3)
    speech = tone(440)
    noisy = add_noise(speech, coloured_noise(5000, rng), snr, rng)
    assert abs(20 * np.log10(level(speech) / level(noisy - speech)) - snr) < 0.01


def test_band_keeps_what_is_inside_and_removes_the_rest() -> None:
    limited = limit_band(tone(1000) + tone(6000), 300, 3400, 16000)
    np.testing.assert_allclose(limited[1000:-1000], tone(1000)[1000:-1000], atol=5e-3)


def test_colour_changes_octaves_by_gains_between_the_limits_and_nothing_else() -> None:
    octaves = [125.0 * 2**k for k in range(6)]
    gains_db = []
    for seed in range(20):
        coloured = [colour(tone(hz), 8.0, 16000, np.random.default_rng(seed)) for hz in octaves]
        assert [peak_hz(y) for y in coloured] == pytest.approx(octaves, rel=0.01)
        gains_db.append([20 * np.log10(level(y) / level(tone(hz))) for y, hz in zip(coloured, octaves, strict=True)])
    assert np.abs(gains_db).max() < 8.1
    assert np.std(gains_db, axis=0) == pytest.approx(8 / 3**0.5, rel=0.35)
    both = colour(tone(250) + tone(2000), 8.0, 16000, np.random.default_rng(0))
    np.testing.assert_allclose(
        both, sum(colour(tone(hz), 8.0, 16000, np.random.default_rng(0)) for hz in (250, 2000)), atol=1e-5
    )


def test_a_recording_is_coloured_where_the_recipe_asks_for_it() -> None:
    kept = AugmentRecipe(speed_share=0, noise_share=0, band_share=0, level_dbfs=(-20, -20), colour_db=0.0)
    asked = AugmentRecipe(
        speed_share=0, noise_share=0, band_share=0, level_dbfs=(-20, -20), colour_share=1.0, colour_db=12.0
    )
    sound = tone(300) + tone(3000)
    plain, _ = change_recording(sound, [], kept, 16000, np.random.default_rng(1))
    changed, _ = change_recording(sound, [], asked, 16000, np.random.default_rng(1))
    assert np.abs(plain - sound * level(plain) / level(sound)).max() < 1e-6
    assert np.abs(changed - plain).max() > 0.02


@pytest.mark.parametrize(("closed_db", "left"), [(np.inf, 0.0), (20.0, 0.1)])
def test_a_gate_shuts_where_nobody_speaks_and_leaves_what_is_said(closed_db: float, left: float) -> None:
    hiss = np.random.default_rng(0).standard_normal(16000).astype(np.float32) * np.float32(1e-3)
    spoken = np.zeros(16000, np.float32)
    spoken[4000:8000] = tone(440, 0.25)
    gated = gate(spoken + hiss, 30, 0.1, closed_db, 16000)
    assert np.array_equal(gated[2600:9400], (spoken + hiss)[2600:9400])  # 0.1 s before and after
    for quiet in (slice(0, 2200), slice(9800, 16000)):
        np.testing.assert_allclose(gated[quiet], np.float32(left) * hiss[quiet], atol=1e-8)
    assert np.array_equal(gate(spoken + hiss, 60, 0.1, closed_db, 16000), spoken + hiss)  # the hiss is loud enough


def test_a_recording_goes_through_a_gate_where_the_recipe_asks_for_it() -> None:
    kept = AugmentRecipe(speed_share=0, noise_share=0, band_share=0, level_dbfs=(-20, -20), gate_db=(30, 30))
    asked = msgspec.structs.replace(kept, gate_share=1.0)
    sound = np.concatenate([tone(300), tone(300) * np.float32(1e-2)])
    plain, _ = change_recording(sound, [], kept, 16000, np.random.default_rng(1))
    gated = [change_recording(sound, [], asked, 16000, np.random.default_rng(seed))[0] for seed in range(20)]
    assert max(level(one[-4000:]) for one in gated) < level(plain[-4000:]) / 5
    assert 4 < sum(not one[-4000:].any() for one in gated) < 16  # half of all gates leave nothing


@pytest.mark.parametrize(("strength", "most_db"), [(1, 6), (2, 12), (3, 18), (4, 21)])
def test_suppression_takes_off_noise_and_leaves_speech_in_its_place(strength: int, most_db: float) -> None:
    spoken = to_float(read_audio(SAMPLES / "learner.flac", 16000))
    rng = np.random.default_rng(0)
    noisy = add_noise(spoken, rng.standard_normal(50000).astype(np.float32), 20, rng)
    left = suppress_noise(noisy, strength, 0)
    assert left.shape == noisy.shape
    levels = np.array([level(block) for block in np.resize(spoken, (len(spoken) // 160, 160))]).repeat(160)
    said = np.flatnonzero(levels > 0.3 * levels.max())
    quiet = np.flatnonzero(levels < 0.005 * levels.max())
    quiet = quiet[quiet > 16000]  # by then it knows the noise
    assert 20 * np.log10(level(noisy[quiet]) / level(left[quiet])) == pytest.approx(most_db, abs=1.5)
    assert 20 * np.log10(level(noisy[said]) / level(left[said])) == pytest.approx(0, abs=2)
    fitting = [float(np.dot(np.roll(left, shift), spoken)) for shift in range(-160, 161)]
    assert abs(int(np.argmax(fitting)) - 160) <= 2  # samples


def test_suppression_with_gain_makes_soft_speech_louder_and_what_is_above_full_scale_is_not_clipped() -> None:
    spoken = to_float(read_audio(SAMPLES / "learner.flac", 16000))
    soft = spoken * np.float32(0.02)
    assert level(suppress_noise(soft, 1, 5)) > 1.8 * level(suppress_noise(soft, 1, 0))
    np.testing.assert_allclose(suppress_noise(spoken * 90, 2, 0), suppress_noise(spoken * 50, 2, 0), atol=2e-3)


def test_a_recording_is_suppressed_where_the_recipe_asks_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = AugmentRecipe(speed_share=0, noise_share=0, band_share=0, level_dbfs=(-20, -20))
    asked = msgspec.structs.replace(kept, suppress_share=0.5)
    hiss = np.random.default_rng(0).standard_normal(16000).astype(np.float32) * np.float32(0.01)
    plain, _ = change_recording(hiss, [], kept, 16000, np.random.default_rng(1))
    changed = [change_recording(hiss, [], asked, 16000, np.random.default_rng(seed))[0] for seed in range(20)]
    assert 4 < sum(not np.array_equal(one, plain) for one in changed) < 16
    monkeypatch.setitem(sys.modules, "webrtc_noise_gain", None)
    with pytest.raises(MissingExtraError, match=r"webrtc-noise-gain is needed .*streamcell\[train\]"):
        suppress_noise(hiss, 1, 0)


@pytest.mark.parametrize("seed", range(10))
def test_a_changed_recording_is_finite_in_range_and_at_the_level_asked_for(seed: int) -> None:
    rng = np.random.default_rng(seed)
    recipe = AugmentRecipe(level_dbfs=(-30.0, -25.0))
    changed, factor = change_recording(tone(700, 0.8), [tone(3000, 0.1)], recipe, 16000, rng)
    assert changed.dtype == np.float32
    assert 0.9 <= factor <= 1.1
    assert abs(len(changed) - 12800 / factor) <= 1
    assert np.abs(changed).max() <= 1
    assert -31 < 20 * np.log10(level(changed)) < -24.5


def test_silence_and_single_samples_survive() -> None:
    rng = np.random.default_rng(1)
    for length in (1, 2, 100):
        for recipe in (
            AugmentRecipe(),
            AugmentRecipe(room_share=1.0, suppress_share=1.0, gate_share=1.0, colour_share=1.0, band_share=1.0),
        ):
            for _ in range(20):
                changed, _ = change_recording(np.zeros(length, np.float32), [], recipe, 16000, rng)
                assert np.isfinite(changed).all()
                assert changed.dtype == np.float32


def test_masks_hide_stretches_and_nothing_else() -> None:
    masks = SpecAugment(
        AugmentRecipe(time_masks=2, time_mask_frames=10, mel_masks=1, mel_mask_bins=5), torch.Generator().manual_seed(1)
    )
    features = torch.ones(200, 100, 40)
    masked = masks(features)
    hidden = masked == 0
    rows, columns = hidden.all(dim=2), hidden.all(dim=1)
    assert torch.equal(hidden, rows.unsqueeze(2) | columns.unsqueeze(1))
    assert rows.sum(dim=1).max() <= 20
    assert columns.sum(dim=1).max() <= 5
    assert 0.05 < hidden.float().mean() < 0.25
    assert torch.equal(features, torch.ones(200, 100, 40))


def test_a_warped_mel_axis_moves_each_rows_bump_by_its_own_factor_and_keeps_time() -> None:
    bins = torch.arange(40.0)
    bump = torch.exp(-((bins - 20) ** 2) / 8).repeat(3, 5, 1) * torch.arange(1.0, 6.0)[:, None]
    warped = warp_mels(bump, torch.tensor([0.8, 1.0, 1.25]))
    assert torch.equal(warped[1], bump[1])
    assert warped[:, 2].argmax(dim=1).tolist() == [25, 20, 16]
    assert torch.allclose(warped[:, 4] / warped[:, 0], torch.full((), 5.0))


def test_warp_comes_before_the_masks_and_draws_nothing_where_it_is_off() -> None:
    features = torch.randn(2, 30, 40, generator=torch.Generator().manual_seed(1))
    plain = SpecAugment(AugmentRecipe(), torch.Generator().manual_seed(5))
    off = SpecAugment(AugmentRecipe(mel_warp=0.0), torch.Generator().manual_seed(5))
    assert torch.equal(plain(features), off(features))
    unmasked = AugmentRecipe(mel_warp=0.1, time_masks=0, mel_masks=0)
    warped = SpecAugment(unmasked, torch.Generator().manual_seed(5))(features)
    factors = 1 + 0.1 * (2 * torch.rand(2, generator=torch.Generator().manual_seed(5)) - 1)
    assert torch.equal(warped, warp_mels(features, factors))
    assert not torch.equal(warped, features)


def test_a_room_adds_an_echo_that_dies_away_as_asked_for() -> None:
    click = np.zeros(32000, np.float32)
    click[8000] = 1
    wet = reverberate(click, 0.5, 3.0, 16000, np.random.default_rng(2)).astype(np.float64)
    assert len(wet) == len(click)
    assert np.abs(wet[:8000]).max() < 1e-6, "nothing comes before the sound"
    assert abs(wet[8000] - 1) < 1e-6
    assert np.abs(wet[8001:8040]).max() < 1e-6, "the first echo comes after 2.5 ms"
    assert abs(10 * np.log10(np.sum(wet[8001:] ** 2)) + 3) < 0.05
    early, late = (np.sum(wet[8000 + at : 8000 + at + 800] ** 2) for at in (800, 800 + 1600))
    assert abs(10 * np.log10(early / late) - 60 * 0.1 / 0.5) < 2, "60 dB in 0.5 s are 12 dB in 0.1 s"


def test_without_a_room_nothing_else_is_drawn() -> None:
    plain, off = AugmentRecipe(), AugmentRecipe(room_share=0.0, room_s=(1.0, 2.0))
    results = [change_recording(tone(700), [tone(300)], one, 16000, np.random.default_rng(7)) for one in (plain, off)]
    np.testing.assert_array_equal(results[0][0], results[1][0])
    wet, _ = change_recording(tone(700), [tone(300)], AugmentRecipe(room_share=1.0), 16000, np.random.default_rng(7))
    assert wet.shape != results[0][0].shape or not np.array_equal(wet, results[0][0])
