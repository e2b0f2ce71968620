"""A series is read whole or refused; its lanes are contiguous and go on exactly where they were."""

from pathlib import Path

import numpy as np
import pytest

from streamcell.runtime.errors import SourceError
from streamcell.train.data.series import SeriesLanes, fingerprint, futures, read_series


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "a.csv"
    path.write_text("date,B,A\n" + "".join(f"2016-07-01 0{i}:00:00,{i},{10 * i}.5\n" for i in range(6)))
    return path


def lanes(seed: int = 1, *, steps: int = 7, reset_share: float = 0.2, scale: float = 0.0) -> SeriesLanes:
    values = np.stack([np.arange(50), -np.arange(50)], axis=1).astype(np.float32)
    known = futures(values[:, 1], 3)
    return SeriesLanes(values, known, target=1, lanes=5, steps=steps, reset_share=reset_share, seed=seed, scale=scale)


def test_columns_are_found_by_their_names_and_the_rest_is_left_out(path: Path) -> None:
    assert read_series(path, ["A", "B"]).tolist() == [[10.0 * i + 0.5, i] for i in range(6)]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [("20.5", "nan", r"row 3 below the header, column 'A'.*got nan"), ("20.5", "x", "line 4"), (",A", ",C", "'?A'?")],
)
def test_what_is_wrong_is_named(path: Path, old: str, new: str, message: str) -> None:
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(SourceError, match=message):
        read_series(path, ["A"])


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"expected a series at .*none\.csv.*--data"):
        read_series(tmp_path / "none.csv", ["A"])


def test_the_fingerprint_changes_with_a_number_a_name_and_the_shape() -> None:
    values = np.zeros((4, 2), np.float32)
    other = values.copy()
    other[3, 1] = 1
    prints = [fingerprint(values, "ab"), fingerprint(other, "ab"), fingerprint(values, "ac")]
    assert len({*prints, fingerprint(values.T, "ab")}) == 4


def test_a_lane_goes_on_where_it_was_until_the_end_and_knows_what_comes() -> None:
    drawn = lanes()
    before = drawn.draw()
    assert before.fresh.all()
    began = 0
    for _ in range(40):
        chunk = drawn.draw()
        for lane in range(5):
            rows = chunk.values[lane, :, 0]
            assert (np.diff(rows) == 1).all()
            np.testing.assert_array_equal(chunk.values[lane, :, 1], -rows)
            expected = -rows[:, None] - np.arange(1, 4)
            expected[expected < -49] = np.nan
            np.testing.assert_array_equal(chunk.futures[lane], expected)
            goes_on = rows[0] == before.values[lane, -1, 0] + 1
            began += not goes_on
            assert goes_on or chunk.fresh[lane]
        before = chunk
    assert began > 10


def test_swings_are_changed_alike_in_values_and_futures_until_a_lane_starts_afresh() -> None:
    drawn, factors = lanes(scale=0.5, reset_share=0.0), set[float]()
    for _ in range(20):
        chunk = drawn.draw()
        for lane in range(5):
            rows, after = chunk.values[lane, :, 1], chunk.futures[lane]
            factor = -float(np.diff(rows).mean())
            assert factor > 0
            np.testing.assert_allclose(after[:-1, 0][np.isfinite(after[:-1, 0])], rows[1:], atol=1e-4)
            factors.add(round(factor, 4))
    assert 5 < len(factors) < 60


@pytest.mark.parametrize("stop", [1, 7])
def test_restored_lanes_are_never_stopped_lanes(stop: int) -> None:
    whole, cut, other = lanes(scale=0.3), lanes(scale=0.3), lanes(seed=2, scale=0.3)
    for _ in range(stop):
        whole.draw()
        cut.draw()
    other.load_state_dict(cut.state_dict())
    for _ in range(12):
        one, two = whole.draw(), other.draw()
        np.testing.assert_array_equal(one.values, two.values)
        np.testing.assert_array_equal(one.futures, two.futures)
        np.testing.assert_array_equal(one.fresh, two.fresh)
