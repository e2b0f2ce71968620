"""Endless lanes of recordings: every sample once, in order, and continued exactly."""

from typing import Any

import numpy as np
import pytest

from streamcell.train.data.sensor import Recording
from streamcell.train.data.sensor_lanes import SensorLanes


def recording(number: int, length: int) -> Recording:
    """Return a recording whose values tell number and place."""
    values = np.stack([np.full(length, number), np.arange(length)], 1).astype(np.float32)
    return Recording(str(number), "x", values, np.arange(length) % 3)


RECORDINGS = [recording(number, length) for number, length in enumerate((50, 7, 16, 33, 1, 100), 1)]


def lanes_of(lanes: int = 3, steps: int = 8, reset_share: float = 0.0, seed: int = 0) -> SensorLanes:
    return SensorLanes(RECORDINGS, lambda one, _: one, lanes=lanes, steps=steps, reset_share=reset_share, seed=seed)


@pytest.mark.parametrize("steps", [1, 7, 16, 200])
def test_a_lane_is_one_recording_after_another_each_whole_and_from_its_beginning(steps: int) -> None:
    lanes = lanes_of(1, steps)
    pieces: list[Any] = []
    for _ in range(3 * sum(-(-len(one.labels) // steps) for one in RECORDINGS)):
        chunk = lanes.draw()
        known = chunk.labels[0] >= 0
        assert np.array_equal(known, np.arange(steps) < known.sum())
        assert not chunk.values[0][~known].any()
        if chunk.fresh[0]:
            pieces.append(([], []))
        pieces[-1][0].extend(chunk.values[0][known].tolist())
        pieces[-1][1].extend(chunk.labels[0][known].tolist())
    heard = []
    for values, labels in pieces[1:-1]:  # the first begins somewhere within, the last may go on
        one = RECORDINGS[int(values[0][0]) - 1]
        assert np.array_equal(values, one.values)
        assert np.array_equal(labels, one.labels)
        heard.append(int(values[0][0]))
    later = heard[len(RECORDINGS) - 1 :]
    assert sorted([*heard[: len(RECORDINGS) - 1], int(pieces[0][0][0][0])]) == [1, 2, 3, 4, 5, 6]
    assert sorted(later[: len(RECORDINGS)]) == [1, 2, 3, 4, 5, 6]


def test_lanes_begin_in_different_places() -> None:
    chunk = lanes_of(lanes=6, steps=1).draw()
    assert chunk.values[:, 0, 1].any()
    assert chunk.fresh.all()


def test_a_lane_begins_afresh_as_often_as_it_is_told() -> None:
    never, always, half = (lanes_of(40, 1, share) for share in (0.0, 1.0, 0.5))
    for lanes in (never, always, half):
        lanes.draw()
    assert always.draw().fresh.all()
    counts = [int(half.draw().fresh.sum()) for _ in range(20)]
    assert 300 < sum(counts) < 500
    begun = never.draw()
    assert (begun.fresh == (begun.values[:, 0, 1] == 0)).all()


@pytest.mark.parametrize("before", [0, 1, 13])
def test_continued_exactly(before: int) -> None:
    lanes = lanes_of(reset_share=0.3, seed=before)
    for _ in range(before):
        lanes.draw()
    saved = lanes.state_dict()
    expected = [lanes.draw() for _ in range(30)]
    other = lanes_of(reset_share=0.3, seed=99)
    other.load_state_dict(saved)
    for chunk in expected:
        again = other.draw()
        for name in ("values", "labels", "fresh"):
            assert np.array_equal(getattr(chunk, name), getattr(again, name))
