"""One call for many: by as many steps as all have, and what goes wrong with one stays with it."""

from threading import RLock

import pytest

from accumulator import Tally, accumulator, as_input, as_numbers
from streamcell.runtime.errors import ModelError
from streamcell.runtime.model import Model
from streamcell.runtime.rows import Row, Rows
from streamcell.runtime.slot import Slot
from streamcell.runtime.stream import Stream
from streamcell.runtime.together import Together


def crowd(model: Model, blocks: list[list[int]]) -> tuple[Together, list[Slot]]:
    """Make streams in the rows of one pool, with numbers waiting."""
    rows, slots = Rows(model, len(blocks)), []
    for row, block in enumerate(blocks):
        slot = Slot(row, row, Stream(model, steps=Row(rows, row, model)), 1000.0)
        slot.take(as_input(block))
        slots.append(slot)
    return Together(model, rows, RLock()), slots


def state(numbers: list[int]) -> dict[str, list[int]]:
    tally = Tally()
    tally.take(numbers)
    return tally.state


@pytest.mark.parametrize(("fewest", "steps"), [(1, 1), (2, 2), (3, 2), (7, 4), (40, 16)])
def test_all_take_as_many_steps_as_the_one_with_the_fewest_has(fewest: int, steps: int) -> None:
    blocks = [[k + 1] * (fewest + k) for k in range(3)]
    together, slots = crowd(Model.open(accumulator()), blocks)
    assert together.step(slots) == steps
    assert [as_numbers(slot.stream.state) for slot in slots] == [state(block[:steps]) for block in blocks]
    assert [slot.ready for slot in slots] == [len(block) - steps for block in blocks]


@pytest.mark.parametrize(("fragile", "number", "words"), [(True, 999, "failed"), (False, -2, "not finite")])
def test_who_breaks_a_call_breaks_it_for_himself(fragile: bool, number: int, words: str) -> None:
    together, slots = crowd(Model.open(accumulator(fragile=fragile)), [[1, 1], [number, 2], [3, 3]])
    assert together.step(slots) == 2
    assert [slot.error is None for slot in slots] == [True, False, True]
    with pytest.raises(ModelError, match=words):
        slots[1].check()
    assert [as_numbers(slots[k].stream.state) for k in (0, 2)] == [state([1, 1]), state([3, 3])]
