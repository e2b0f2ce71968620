import sys
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from helpers import forged
from streamcell.runtime.errors import InputError, MissingExtraError
from streamcell.runtime.resample import Quality, Resampler

RATES = [(48000, 16000), (44100, 16000), (8000, 16000), (44101, 16000), (16000, 16000), (50, 100)]
QUALITIES: list[Quality] = ["live", "file"]


def noise(samples: int, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).standard_normal(samples).astype(np.float32) * np.float32(0.1)


def push_all(resampler: Resampler, samples: NDArray[np.float32], block: int) -> list[NDArray[np.float32]]:
    """Reuse one buffer, as sources do."""
    buffer = np.empty(block, np.float32)
    out = []
    for begin in range(0, len(samples), block):
        part = samples[begin : begin + block]
        buffer[: len(part)] = part
        out.append(resampler.push(buffer[: len(part)]).copy())
    return out


@pytest.mark.parametrize("quality", QUALITIES)
@pytest.mark.parametrize(("source", "target"), RATES)
def test_cutting_changes_nothing(source: int, target: int, quality: Quality) -> None:
    samples = noise(20011)
    whole = Resampler(source, target, quality)
    expected = np.concatenate([whole.push(samples), whole.flush()])
    assert abs(len(expected) - len(samples) * target / source) < 1
    for block in (7, 160, 481, 20011):
        resampler = Resampler(source, target, quality)
        out = np.concatenate([*push_all(resampler, samples, block), resampler.push([]), resampler.flush()])
        np.testing.assert_array_equal(out, expected, f"blocks of {block}")


@pytest.mark.parametrize("quality", QUALITIES)
@pytest.mark.parametrize(("source", "target"), RATES)
def test_restored_equals_uninterrupted(source: int, target: int, quality: Quality) -> None:
    random = np.random.default_rng(source)
    length = max(30000, 2 * source)
    samples = noise(length)
    whole = Resampler(source, target, quality)
    expected = np.concatenate([whole.push(samples), whole.flush()])
    for cut in [0, 1, length, *random.integers(0, length, 5).tolist()]:
        resampler = Resampler(source, target, quality)
        out = push_all(resampler, samples[:cut], 480)
        for begin in (cut, cut + 10):  # restored, and restored again before it could fill its history
            resampler = Resampler.from_bytes(resampler.to_bytes())
            out.append(resampler.push(samples[begin : begin + 10]).copy())
        out += [*push_all(resampler, samples[cut + 20 :], 480), resampler.flush()]
        np.testing.assert_allclose(np.concatenate(out), expected, rtol=0, atol=1e-6, err_msg=f"cut at {cut}")


def test_reset_equals_fresh_after_a_push_and_after_a_flush() -> None:
    samples = noise(5000)
    fresh = Resampler(44100, 16000)
    expected = np.concatenate([fresh.push(samples), fresh.flush()])
    resampler = Resampler(44100, 16000)
    resampler.push(noise(3000, seed=1))
    for _ in range(2):
        resampler.reset()
        np.testing.assert_array_equal(np.concatenate([resampler.push(samples), resampler.flush()]), expected)
    assert len(resampler.flush()) == 0


@pytest.mark.parametrize("quality", QUALITIES)
def test_a_tone_stays_in_its_place_and_what_is_too_high_goes(quality: Quality) -> None:
    seconds = np.arange(48000) / 48000
    tone, alias = np.sin(2 * np.pi * 1000 * seconds), np.sin(2 * np.pi * 13000 * seconds)
    resampler = Resampler(48000, 16000, quality)
    out = np.concatenate([resampler.push(0.5 * tone + 0.5 * alias), resampler.flush()])
    np.testing.assert_allclose(out[800:-800], 0.5 * tone[::3][800:-800], atol=1e-4)


def test_history_stays_short_however_long_the_stream_and_its_blocks() -> None:
    resampler = Resampler(48000, 16000)
    sizes = []
    for _ in range(20):
        resampler.push(noise(480000))
        push_all(resampler, noise(3000), 1)
        sizes.append(len(resampler.to_bytes()))
        assert sum(map(len, resampler._recent)) <= 48000 * 3
    assert max(sizes) <= 4 * 2 * 48000


def test_equal_rates_need_no_package_and_others_name_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "soxr", None)
    block = noise(10)
    assert Resampler(16000, 16000).push(block) is block
    with pytest.raises(MissingExtraError, match=r"pip install 'streamcell\[audio\]'"):
        Resampler(8000, 16000)


@pytest.mark.parametrize("rate", [0, -8000, 16000.0, True, "16000", 1 << 21])
def test_a_rate_that_is_none_is_refused(rate: Any) -> None:
    with pytest.raises(InputError, match="whole number of Hz"):
        Resampler(rate, 16000)


def test_misuse_is_refused() -> None:
    with pytest.raises(InputError, match="'live' or 'file'"):
        Resampler(8000, 16000, "best")  # type: ignore[arg-type]
    resampler = Resampler(8000, 16000)
    resampler.flush()
    with pytest.raises(InputError, match=r"call reset\(\)"):
        resampler.push(noise(10))
    with pytest.raises(InputError, match="damaged"):
        Resampler.from_bytes(resampler.to_bytes()[:-5])


@pytest.mark.parametrize(
    ("path", "value"),
    [("taken", "500"), ("taken", 10**400), ("given", -1), ("flushed", 0), ("quality", 3), ("recent", np.zeros((5, 1)))],
)
def test_forged_bytes_are_refused(path: str, value: Any) -> None:
    resampler = Resampler(8000, 16000)
    resampler.push(noise(500))
    assert forged(resampler.to_bytes(), "resampler", "taken", 500) == resampler.to_bytes()
    with pytest.raises(InputError, match=r"a saved resampler is damaged|samples \[n\]"):
        Resampler.from_bytes(forged(resampler.to_bytes(), "resampler", path, value))
