"""What holds for every decoder: the tests of each check it on inputs of its own."""

import math
from collections.abc import Callable, Iterable

import numpy as np
import pytest
from numpy.typing import NDArray

from streamcell.runtime.decode import Decoder
from streamcell.runtime.errors import InputError
from streamcell.runtime.events import Segment
from streamcell.runtime.frames import Frames


def finals(segments: list[Segment]) -> list[Segment]:
    return [segment for segment in segments if segment.final]


def heard(by: Decoder, values: NDArray[np.float32], frames: Iterable[int]) -> list[Segment]:
    """Push some frames one by one."""
    return [segment for t in frames for segment in by.push(Frames(values[t : t + 1], t))]


def check_partials(found: list[Segment]) -> list[int]:
    """Check that partials grow and come before their final; return the ids in the order in which they came up."""
    last: dict[int, Segment] = {}
    for segment in found:
        before = last.get(segment.id)
        if before is not None:
            assert not before.final
            assert segment.revision > before.revision
            assert (segment.label, segment.start) == (before.label, before.start)
        last[segment.id] = segment
    assert all(segment.final for segment in last.values())
    return list(last)


def check_causal(by: Decoder, values: NDArray[np.float32], expected: list[Segment]) -> None:
    """Check that the finals of the first half are the first finals of the whole."""
    early = finals(by.push(Frames(values[: len(values) // 2], 0)))
    assert expected[: len(early)] == early
    assert early


def check_restored(make: Callable[[], Decoder], values: NDArray[np.float32], end_time: float, message: str) -> None:
    """Check that a decoder saved and restored after any frame goes on as the one that was not."""
    one, frames = make(), len(values)
    expected = [*heard(one, values, range(frames)), *one.flush(end_time)]
    one, found = make(), list[Segment]()
    for cut in range(frames + 1):
        again = make()
        again.restore(one.to_bytes())
        assert again.to_bytes() == one.to_bytes()
        assert again.settled == one.settled
        rest = heard(again, values, range(cut, frames))
        assert found + rest + again.flush(end_time) == expected, f"{message}, cut at {cut}"
        found += heard(one, values, [cut] if cut < frames else [])


def check_settled(by: Decoder, values: NDArray[np.float32]) -> None:
    """Check that nothing begins before `Decoder.settled`, which never goes back."""
    assert by.settled == -math.inf
    starts, settled = [], []
    for t in range(len(values)):
        starts.append([segment.start for segment in heard(by, values, [t])])
        settled.append(by.settled)
    assert settled == sorted(settled)
    for t, earliest in enumerate(settled):
        assert all(start >= earliest for later in starts[t + 1 :] for start in later)
    assert len(set(settled)) > 20


def check_misuse(by: Decoder, columns: int) -> None:
    """Check that frames of another shape or out of order are refused, and none are let pass."""
    with pytest.raises(InputError, match=rf"expected frames \[T, {columns}\], got \[3, {columns + 1}\]"):
        by.push(Frames(np.zeros((3, columns + 1), np.float32), 0))
    by.push(Frames(np.zeros((2, columns), np.float32), 0))
    for frames in (Frames(np.zeros((1, columns), np.float32), 1), Frames(np.zeros((1, columns), np.float32), 2, 1.0)):
        with pytest.raises(InputError, match=r"expected frame 2 counted from 0.0 s"):
            by.push(frames)
    assert by.push(Frames(np.zeros((0, columns), np.float32), 9)) == []
    saved = by.to_bytes()
    with pytest.raises(InputError, match="damaged"):
        by.restore(saved[:-1])
    assert by.to_bytes() == saved
