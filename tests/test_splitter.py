from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from streamcell.runtime.decode import Hysteresis, Splitter
from streamcell.runtime.errors import InputError
from streamcell.runtime.events import Segment

STEP = 0.1


def hysteresis(**settings: Any) -> Hysteresis:
    values: dict[str, Any] = {"min_duration": 0.4, "min_gap": 0.5, "padding": 0.15, **settings}
    return Hysteresis(["speech"], STEP, kind="probabilities", **values)


def random_probs(frames: int, seed: int) -> list[float]:
    """Draw long stretches of speech with weak places in them."""
    random = np.random.default_rng(seed)
    p = np.zeros(frames)
    begin = 0
    while begin < frames:
        end = begin + int(random.choice([3, 10, 40, 90]))
        p[begin:end] = random.choice([0.1, 0.45, 0.8], p=[0.45, 0.15, 0.4])
        begin = end
    p[random.random(frames) < 0.1] -= 0.4
    p[:5] = p[-10:] = 0
    values: list[float] = np.clip(p + random.uniform(-0.1, 0.1, frames), 0, 1).tolist()
    return values


def run(probs: list[float], block: int, most: float, origin: float = 0.0, **settings: Any) -> list[Segment]:
    splitter, found = Splitter(hysteresis(**settings), most), []
    for begin in range(0, len(probs), block):
        found += splitter.take(begin, origin, probs[begin : begin + block])
    return found + splitter.flush(origin + len(probs) * STEP)


def whole(probs: NDArray[np.float64], begin: int, end: int, most: int) -> list[tuple[int, int]]:
    """Split frames ``begin`` to ``end`` - 1 as the definition says."""
    found = []
    while end - begin > most:
        first = begin + most - most // 3
        cut = first + int(np.argmin(probs[first : begin + most]))
        found.append((begin, cut))
        begin = cut
    return [*found, (begin, end)]


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize(("most", "padding"), [(3.0, 0.15), (0.75, 0.15), (2.0, 0.0)])
def test_any_cutting_gives_the_same_and_it_is_the_definitions(seed: int, most: float, padding: float) -> None:
    probs = random_probs(3000, seed)
    found = run(probs, 3000, most, padding=padding)
    for block in (1, 7, 481):
        assert run(probs, block, most, padding=padding) == found
    expected: list[tuple[float, float, float]] = []
    long = 0
    for segment in run(probs, 1, 1e9, padding=padding):
        begin, end = round((segment.start + padding) / STEP), round((segment.end - padding) / STEP)
        parts = whole(np.array(probs), begin, end, round((most - 2 * padding) / STEP))
        times = [segment.start, *(cut * STEP for cut, _ in parts[1:]), segment.end]
        means = [float(np.mean(probs[a:b])) for a, b in parts]
        expected += list(zip(times[:-1], times[1:], means, strict=True))
        long += len(parts) > 1
    assert long > 5
    np.testing.assert_allclose([(s.start, s.end, s.confidence) for s in found], expected, atol=1e-9)
    assert [s.id for s in found] == list(range(len(found)))
    assert max(s.end - s.start for s in found) <= most + 1e-9


def test_speech_for_hours_in_bounded_memory_and_nothing_begins_before_settled() -> None:
    splitter, found = Splitter(hysteresis(), 3.0), []
    settled = [splitter.settled]
    assert settled == [-np.inf]
    for begin in range(0, 100_000, 100):
        new = splitter.take(begin, 5.0, [0.9] * 100)
        assert all(segment.start >= settled[-1] for segment in new)
        found += new
        settled.append(splitter.settled)
        assert settled[-1] > 5.0 + (begin + 100) * STEP - 3.2
        assert len(splitter._probs) < 200
    assert len(found) > 3000


def test_a_hole_or_another_origin_begins_anew() -> None:
    splitter = Splitter(hysteresis(), 3.0)
    found = splitter.take(0, 0.0, [0.9] * 40) + splitter.take(50, 0.0, [0.8] * 40) + splitter.flush(9.0)
    found += splitter.take(0, 20.0, [0.7] * 10) + splitter.flush(21.0)
    rounded = [(round(s.start, 6), round(s.end, 6), round(s.confidence, 6)) for s in found]
    assert rounded == [(0, 1.8, 0.9), (1.8, 4, 0.9), (5, 6.8, 0.8), (6.8, 9, 0.8), (20, 21, 0.7)]


@pytest.mark.parametrize("most", [0.6, 0.0, float("nan"), float("inf"), "3"])
def test_a_length_that_makes_no_sense_is_refused(most: Any) -> None:
    with pytest.raises(InputError, match="max_duration must be"):
        Splitter(hysteresis(), most)


def test_only_one_label_can_be_split() -> None:
    with pytest.raises(InputError, match="one label, got a, b"):
        Splitter(Hysteresis(["a", "b"], STEP, kind="probabilities"), 3.0)
