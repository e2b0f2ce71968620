import numpy as np
import pytest

from streamcell.runtime.blocks import as_features, as_samples
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
