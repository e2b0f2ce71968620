from typing import Any

import numpy as np
import pytest

from streamcell.runtime.pending import Pending


@pytest.mark.parametrize("row", [(), (1,), (3,)])
@pytest.mark.parametrize("seed", range(10))
def test_it_is_a_queue(seed: int, row: tuple[int, ...]) -> None:
    """Random operations against a plain array; what was pushed is overwritten, as sources reuse their buffers."""
    random = np.random.default_rng(seed)
    pending, plain = Pending(row), np.zeros((0, *row), np.float32)
    source, number = np.zeros((50, *row), np.float32), 0
    for turn in range(400):
        if random.random() < 0.5:
            count = int(random.choice([0, 1, 3, 17, 50]))
            source[:count] = np.arange(number, number + source[:count].size).reshape(-1, *row)
            number += source[:count].size
            plain = np.concatenate([plain, source[:count]])
            pending.append(source[:count])
            source[...] = -1
        else:
            count = int(random.integers(0, len(plain) + 1))
            plain = plain[count:]
            pending.drop(count)
        assert len(pending) == len(plain), f"seed {seed}, turn {turn}"
        count = int(random.integers(0, len(plain) + 1))
        np.testing.assert_array_equal(pending.peek(count), plain[:count], f"seed {seed}, turn {turn}")
        np.testing.assert_array_equal(pending.peek(len(pending)), plain, f"seed {seed}, turn {turn}")
    assert pending.row == row
    assert pending.peek(0).shape == (0, *row)


def memory(pending: Pending) -> Any:
    """Return where the memory begins that the first sample lies in, and how large it is."""
    base = pending.peek(1).base
    assert base is not None
    return base.__array_interface__["data"][0], base.nbytes


def test_the_buffer_stays_where_it_is_while_enough_is_dropped() -> None:
    pending, block = Pending(()), np.ones(48, np.float32)
    for _ in range(3):
        pending.append(block)
    places = set()
    for _ in range(1000):
        pending.append(block)
        places.add(memory(pending))
        pending.drop(48)
    assert len(places) <= 2
    assert len(pending) == 144


@pytest.mark.parametrize("left", [0, 1, 30])
def test_memory_is_flat_whatever_stays(left: int) -> None:
    """A step of 31 samples, blocks of 48: what waits is never aligned, and never more than two blocks."""
    pending, sizes = Pending((2,)), []
    pending.append(np.zeros((left, 2), np.float32))
    for _ in range(2000):
        pending.append(np.zeros((48, 2), np.float32))
        sizes.append(memory(pending)[1])
        pending.drop(len(pending) // 31 * 31)
        assert len(pending) < 31
    assert max(sizes) <= 2 * (48 + 31) * 2 * 4


def test_a_view_holds_until_more_comes() -> None:
    pending = Pending(())
    pending.append(np.array([1, 2, 3, 4], np.float32))
    view = pending.peek(4)
    pending.drop(4)
    assert view.tolist() == [1, 2, 3, 4]
    assert len(pending) == 0
