"""Changes to recordings of motion: what stays, what moves with what, nothing where nothing is asked."""

import numpy as np
import pytest
from numpy.typing import NDArray

from streamcell.runtime.errors import InputError
from streamcell.runtime.regular import Regular
from streamcell.train.data.motion import add_jitter, add_offset, change, lose, random_rotation, rotate, scale, stretch
from streamcell.train.data.recording import Recording
from streamcell.train.recipe import MotionRecipe


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def walk(count: int = 2000, channels: int = 6) -> Recording:
    values = np.cumsum(rng(5).normal(0, 0.1, (count, channels)), axis=0).astype(np.float32)
    return Recording("one", "ann", values, np.arange(count) * 7 // count)


ALL = MotionRecipe(rotation=0.3, scale=0.1, jitter=0.05, offset=0.1, dropped=0.1, speed=(0.8, 1.25))


def test_nothing_asked_nothing_changed() -> None:
    recording = walk()
    changed = change(recording, rng(), MotionRecipe())
    assert np.array_equal(changed.values, recording.values)
    assert np.array_equal(changed.labels, recording.labels)


@pytest.mark.parametrize("count", [1, 2, 3, 100, 2000])
def test_a_changed_recording_is_another_of_the_same_kind(count: int) -> None:
    recording = walk(count)
    before = recording.values.copy()
    for seed in range(20):
        changed = change(recording, rng(seed), ALL)
        assert (changed.name, changed.group) == ("one", "ann")
        assert changed.values.dtype == np.float32
        assert changed.labels.dtype == np.int64
        assert changed.values.shape == (len(changed.labels), 6)
        assert len(changed.labels) >= 1
        assert np.isfinite(changed.values).all()
        assert not np.array_equal(changed.values, recording.values)
        assert (np.diff(changed.labels) >= 0).all()
        again = change(recording, rng(seed), ALL)
        assert np.array_equal(changed.values, again.values)
    assert np.array_equal(recording.values, before)


@pytest.mark.parametrize("bad", [{"speed": (1.2, 0.8)}, {"dropped": 1.0}])
def test_settings_that_make_no_sense_are_refused(bad: dict[str, object]) -> None:
    with pytest.raises(InputError, match=r"expected speed = \[lowest, highest\]"):
        change(walk(10), rng(), MotionRecipe(**bad))  # type: ignore[arg-type]


def test_a_rotation_turns_both_sensors_alike() -> None:
    recording = walk()
    turned = change(recording, rng(), MotionRecipe(rotation=0.5)).values
    for part in (slice(0, 3), slice(3, 6)):
        np.testing.assert_allclose(
            np.linalg.norm(turned[:, part], axis=1), np.linalg.norm(recording.values[:, part], axis=1), rtol=1e-5
        )
    between = (recording.values[:, :3] * recording.values[:, 3:]).sum(axis=1)
    np.testing.assert_allclose((turned[:, :3] * turned[:, 3:]).sum(axis=1), between, rtol=1e-3, atol=1e-4)
    assert np.abs(turned - recording.values).max() > 0.1


@pytest.mark.parametrize("channels", [1, 2, 4, 5])
def test_channels_that_are_no_triples_cannot_be_turned(channels: int) -> None:
    recording = walk(50, channels)
    with pytest.raises(InputError, match=f"got {channels} channels: leave rotation out"):
        change(recording, rng(), MotionRecipe(rotation=0.5))
    assert np.array_equal(change(recording, rng(), MotionRecipe()).values, recording.values)


def test_random_rotations_are_rotations_of_the_angle_asked_for() -> None:
    generator, angles, axes = rng(), [], []
    for _ in range(2000):
        matrix = random_rotation(0.2, generator).astype(np.float64)
        np.testing.assert_allclose(matrix @ matrix.T, np.eye(3), atol=1e-6)
        assert np.linalg.det(matrix) == pytest.approx(1)
        angles.append(np.arccos(np.clip((np.trace(matrix) - 1) / 2, -1, 1)))
        axes.append([matrix[2, 1] - matrix[1, 2], matrix[0, 2] - matrix[2, 0], matrix[1, 0] - matrix[0, 1]])
    assert np.sqrt(np.mean(np.square(angles))) == pytest.approx(0.2, rel=0.06)
    assert np.abs(np.mean(axes, axis=0)).max() < 0.03
    assert np.std(axes, axis=0) == pytest.approx(np.full(3, np.std(axes)), rel=0.1)
    assert np.array_equal(random_rotation(0.0, generator), np.eye(3))


def test_rotations_follow_each_other_as_matrices_do() -> None:
    one, two = random_rotation(1.0, rng(1)), random_rotation(1.0, rng(2))
    values = walk(10).values
    np.testing.assert_allclose(rotate(rotate(values, one), two), rotate(values, two @ one), atol=1e-5)


def measured(values: NDArray[np.float32], changed: NDArray[np.float32]) -> tuple[float, float]:
    """Return how far the mean difference of channels spreads, and how far the differences within a channel do."""
    difference = changed - values
    return float(difference.mean(axis=0).std()), float(difference.std(axis=0).mean())


def test_scale_offset_and_jitter_are_as_large_as_asked_for() -> None:
    values = np.ones((500, 3000), np.float32)
    factors = scale(values, 0.2, rng())
    assert np.log(factors[0]).std() == pytest.approx(0.2, rel=0.05)
    assert np.array_equal(factors, np.broadcast_to(factors[:1], factors.shape))
    deviations = np.full(3000, 0.5, np.float32)
    across, within = measured(values, add_offset(values, deviations, rng()))
    assert across == pytest.approx(0.5, rel=0.05)
    assert within == pytest.approx(0, abs=1e-5)
    across, within = measured(values, add_jitter(values, deviations, rng()))
    assert across == pytest.approx(0.5 / np.sqrt(500), rel=0.1)
    assert within == pytest.approx(0.5, rel=0.01)


def test_offset_and_jitter_are_measured_in_the_channels_own_deviation() -> None:
    recording = walk(20000, 2)
    recording = Recording("a", "b", recording.values * np.array([1, 1000], np.float32), recording.labels)
    spread = recording.values.std(axis=0)
    noise = change(recording, rng(), MotionRecipe(jitter=0.1)).values - recording.values
    np.testing.assert_allclose(noise.std(axis=0) / spread, 0.1, rtol=0.03)
    flat = Recording("a", "b", np.ones((50, 2), np.float32), np.zeros(50, np.int64))
    assert np.array_equal(change(flat, rng(), MotionRecipe(jitter=0.1, offset=0.1)).values, flat.values)


@pytest.mark.parametrize("factor", [0.5, 0.8, 1.0, 1.1, 2.0, 7.3])
@pytest.mark.parametrize("count", [1, 2, 5, 999])
def test_stretched_values_lie_on_the_lines_and_labels_follow(factor: float, count: int) -> None:
    line = np.arange(count, dtype=np.float32)[:, None] * np.array([1, -2], np.float32)
    values, labels = stretch(line, np.arange(count), factor)
    assert len(values) == len(labels) == int((count - 1) / factor) + 1
    np.testing.assert_allclose(values[:, 0], np.arange(len(values)) * factor, rtol=1e-5)
    np.testing.assert_allclose(values[:, 1], -2 * values[:, 0], rtol=1e-5)
    assert np.abs(labels - values[:, 0]).max() <= 0.5001


def test_speed_shortens_or_lengthens() -> None:
    lengths = [len(change(walk(), rng(seed), MotionRecipe(speed=(0.5, 2.0))).labels) for seed in range(40)]
    assert 1000 <= min(lengths) < 1200
    assert 3000 < max(lengths) <= 4000


def test_lost_samples_become_what_the_runtime_makes_of_them() -> None:
    recording = walk(3000)
    values, labels = lose(recording.values, np.arange(3000), 0.3, rng(3))
    assert 0.7 * 3000 < len(labels) < 3000
    assert (np.diff(labels) > 0).all()
    same = (values == recording.values[labels]).all(axis=1)
    assert 0.65 < same.sum() / 3000 < 0.85
    regular = Regular(50, 6)
    arrived = labels[same]
    items = regular.push(arrived / 50, recording.values[arrived])
    rows = np.concatenate([item for item in items if isinstance(item, np.ndarray)])
    np.testing.assert_allclose(values[: len(rows)], rows, atol=1e-4)
    assert regular.lost == arrived[-1] + 1 - len(rows)
    holes = np.diff(labels) - 1
    assert holes[holes > 0].min() >= 5
    assert regular.lost == holes.sum()


def test_little_lost_is_little_changed() -> None:
    recording = walk(1000)
    values, labels = lose(recording.values, recording.labels, 0.0, rng())
    assert np.array_equal(values, recording.values)
    assert np.array_equal(labels, recording.labels)
    for share in (0.05, 0.95):
        values, _ = lose(recording.values, recording.labels, share, rng())
        assert np.array_equal(values[0], recording.values[0])
