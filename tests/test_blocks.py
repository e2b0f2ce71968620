import numpy as np
import pytest

from streamcell.runtime.blocks import as_features, as_samples, as_step
from streamcell.runtime.errors import InputError


@pytest.mark.parametrize(
    ("block", "advice"),
    [
        (np.zeros((10, 2), np.float32), r"got shape \[10, 2\]; mix channels first"),
        (np.float32(1.0), r"got shape \[\]"),
        (np.zeros(4, np.int32), r"got int32; divide by full scale \(2147483648\)"),
        (np.zeros(4, np.uint8), "got uint8"),
        (np.zeros(4, np.complex64), "got complex64"),
        (np.array([0.0, np.nan, np.nan]), "2 values that are NaN or infinite, the first at index 1"),
        (np.array([0.0, 0.0, -np.inf], np.float32), "first at index 2"),
        (np.array([0.0, 1e300]), r"divide by full scale \(32768 for 16 bits\)"),
        (["a"], "expected samples"),
    ],
)
def test_samples_that_do_not_fit_are_refused_with_advice(block: object, advice: str) -> None:
    with pytest.raises(InputError, match=advice):
        as_samples(block)  # type: ignore[arg-type]


def test_samples_keep_their_values_and_float32_is_not_copied() -> None:
    block = np.array([0.25, -1.5, 1.0], np.float32)
    assert as_samples(block) is block
    for other in (block.astype(np.float64), [0.25, -1.5, 1.0], np.repeat(block, 2)[::2], block.astype(">f4")):
        np.testing.assert_array_equal(as_samples(other), block)
        assert as_samples(other).dtype == np.float32
    assert as_samples(np.array([-32768, 32767], np.int16)).tolist() == [-1.0, 32767 / 32768]
    assert as_samples([]).shape == (0,)


@pytest.mark.parametrize(
    ("block", "advice"),
    [
        (np.zeros(3), r"expected features \[n, 3\] .* got float64 \[3\]"),
        (np.zeros((4, 2)), r"got float64 \[4, 2\]"),
        (np.zeros((4, 3), np.int64), "got int64"),
        (np.array([[0, 0, 0], [0, 1e300, 0]]), "row 1, column 1 is NaN or beyond float32"),
    ],
)
def test_features_that_do_not_fit_are_refused_with_advice(block: object, advice: str) -> None:
    with pytest.raises(InputError, match=advice):
        as_features(block, 3)  # type: ignore[arg-type]


def test_a_step_as_bytes_is_all_below_32_and_nothing_else() -> None:
    """Bits drawn at random, every kind of number among them, against a look at each."""
    random = np.random.default_rng(0)
    odd = np.array([np.nan, np.inf, -np.inf, 31.9, -31.9, 32, -32, 64, 1e-42, -1e-42, 0.0, -0.0], np.float32)
    for turn in range(2000):
        block = random.uniform(-1, 1, 6).astype(np.float32)
        block[random.integers(6)] = random.choice(odd)
        if turn % 2:
            block[random.integers(6)] = random.integers(0, 1 << 32, 1, np.uint32).view(np.float32)[0]
        below = bool((np.abs(block) < 32).all())  # NaN is not
        assert as_step(block, (6,)) == (block.tobytes() if below else None), block


def test_a_step_has_one_shape_and_type() -> None:
    block = np.arange(6, dtype=np.float32)
    assert as_step(block[::2], (3,)) == np.array([0, 2, 4], np.float32).tobytes()
    assert as_step(block[:, None], (6, 1)) == block.tobytes()
    for other in (block[:5], block[:, None], block.astype(np.float64), block.astype(">f4"), block.tolist(), None):
        assert as_step(other, (6,)) is None  # type: ignore[arg-type]
