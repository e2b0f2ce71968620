"""Who is ready stands in line once, in order, and is taken by one."""

import threading
import time

import numpy as np
import pytest

from accumulator import accumulator, as_input
from streamcell.runtime.errors import ModelError
from streamcell.runtime.line import Line
from streamcell.runtime.model import Model
from streamcell.runtime.slot import Slot
from streamcell.runtime.stream import Stream


def slots(count: int, steps: int = 1) -> list[Slot]:
    """Make streams with some steps waiting."""
    model, found = Model.open(accumulator()), []
    for number in range(count):
        slot = Slot(number, number, Stream(model), 100.0)
        slot.take(as_input([1] * steps))
        found.append(slot)
    return found


def test_a_batch_is_those_who_came_first_each_once() -> None:
    line, (a, b, c, idle) = Line(2, 0.0), [*slots(3), *slots(1, steps=0)]
    with line.lock:
        for slot in (b, idle, a, b, c):
            line.join(slot)
        assert line.take() == [b, a]
        assert [slot.busy for slot in (a, b, c)] == [True, True, False]
        line.join(a)  # not while it is busy
        assert line.take() == [c]
        assert line.take() == []
        line.give_back([b, a])
        line.give_back([c])
        assert line.take() == [b, a], "who has more to run stands in line again"


def test_who_failed_stands_in_line_no_more() -> None:
    line, (slot,) = Line(2, 0.0), slots(1)
    with line.lock:
        slot.error = ModelError("broken")
        line.join(slot)
        assert line.take() == []


def test_a_worker_waits_for_company_until_the_first_has_waited_long_enough() -> None:
    line, (a, b) = Line(2, 0.15), slots(2)
    with line.lock:
        line.join(a)
        begin = time.monotonic()
        assert line.wait_and_take() == [a]
        assert time.monotonic() - begin > 0.1
        line.give_back([a])
        line.join(b)
        begin = time.monotonic()
        assert line.wait_and_take() == [a, b]
        assert time.monotonic() - begin < 0.1, "a full batch waits for nobody"
        line.end()
        assert line.wait_and_take() == []


def test_alone_waits_for_its_turn_and_keeps_others_off() -> None:
    line, (a, b) = Line(2, 0.0), slots(2)
    with line.lock:
        for slot in (a, b):
            line.join(slot)
    with line.alone(lambda: a) as slot, line.lock:
        assert slot is a
        assert line.take() == [b]
        assert not line.wait(0)
    with line.lock:
        assert line.take() == [a]
    taken = threading.Event()

    def wait() -> None:
        with line.alone(lambda: a):
            taken.set()

    thread = threading.Thread(target=wait)
    thread.start()
    assert not taken.wait(0.05), "it is busy"
    with line.lock:
        line.give_back([a])
    thread.join(20)
    assert taken.is_set()


def test_what_cannot_be_found_is_not_taken() -> None:
    line, (slot,) = Line(2, 0.0), slots(1)
    with line.lock:
        line.join(slot)

    def find() -> Slot:
        raise ModelError("gone")

    with pytest.raises(ModelError, match="gone"), line.alone(find):
        pytest.fail("there is nobody")
    assert line.take() == [slot]
    assert np.frombuffer(slot.draw(1), np.float32).tolist() == [1.0]
