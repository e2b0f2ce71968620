"""Whole steps wait in a place of their own: mixed with other blocks, every stream still is what it is alone."""

from typing import Any

import numpy as np
import pytest

from accumulator import Tally, accumulator, drawn
from helpers import assert_same, finals, noise, tiny_model
from pools import alone, do, numbers, settle
from streamcell.runtime.errors import InputError, OverloadError
from streamcell.runtime.events import Event
from streamcell.runtime.manifest import GapPolicy, ResetPolicy
from streamcell.runtime.model import Model
from streamcell.runtime.pool import StreamPool
from streamcell.runtime.slot import Slot
from streamcell.runtime.stream import Stream

STEP = 16  # samples of `tiny_model`
RATE = 1600
MODELS = {
    "ctc": tiny_model(),
    "hold": tiny_model(gap=GapPolicy("hold", 0.5), look_ahead=2),
    "resets": tiny_model(reset=ResetPolicy(every=0.31)),
    "utterances": tiny_model(decoder={"utterances": {"pause": 0.1}}),
    "three steps a call": tiny_model(steps_per_call=3),
}


def mixed(seed: int) -> list[tuple[Any, ...]]:
    """Draw what is pushed: mostly single steps, some of another type or loudness; other sizes, gaps and resets."""
    random, sound, begin = np.random.default_rng(seed), noise(200 * STEP, seed) / 4, 0
    deeds: list[tuple[Any, ...]] = []
    while begin < len(sound):
        size = STEP if random.random() < 0.8 else int(random.choice([0, 1, STEP - 1, 2 * STEP, 5 * STEP + 3]))
        block: Any = sound[begin : begin + size]
        begin += size
        kind = random.random()
        if kind < 0.05 and size:
            block = block.copy()
            block[random.integers(0, size) :] = random.choice([np.nan, 40.0])
        elif kind < 0.1:
            block = block.astype(np.float64)
        elif kind < 0.15:
            block = np.repeat(block, 2)[::2]
        deeds.append(("push", block))
        if kind > 0.98:
            deeds.append(("gap", int(random.integers(0, 3 * STEP)), "missing"))
        elif kind > 0.96:
            deeds.append(("reset", "asked"))
    return deeds


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize(("workers", "batch"), [(0, 1), (0, 3), (2, 3)])
def test_whole_steps_and_other_blocks_come_in_order(name: str, workers: int, batch: int) -> None:
    model, random = Model.open(MODELS[name]), np.random.default_rng(batch + workers)
    scripts = [mixed(seed) for seed in range(4)]
    with StreamPool(model, 4, workers=workers, max_batch=batch, max_latency_ms=0.5) as pool:
        ids = [pool.open(invalid="gap") for _ in scripts]
        found: list[list[Event]] = [[] for _ in scripts]
        rest = [iter(deeds) for deeds in scripts]
        going = list(range(len(scripts)))
        while going:
            k = int(random.choice(going))
            deed = next(rest[k], None)
            if deed is None:
                going.remove(k)
                continue
            do(pool, ids[k], deed)
            if random.random() < 0.3:
                pool.step()
            if random.random() < 0.05:  # it goes on from bytes, in its place or another
                saved = pool.snapshot(ids[k])
                found[k] += finals(pool.events(ids[k]))
                pool.close(ids[k])
                ids[k] = pool.open(snapshot=saved)
        for k, stream in enumerate(ids):
            found[k] += finals(pool.close(stream))
    for k, deeds in enumerate(scripts):
        stream_alone = Stream(model, invalid="gap")
        expected = [event for verb, *args in deeds for event in getattr(stream_alone, verb)(*args)]
        expected = finals(expected + stream_alone.flush())
        assert len(expected) > 5
        assert_same(found[k], expected, 1e-5, f"{name}, stream {k}")


@pytest.mark.parametrize("kind", ["features", "audio"])
def test_what_is_refused_between_whole_steps_changes_nothing(kind: str) -> None:
    """Steps wait, something does not fit, more steps come: they stay in order, here and in a snapshot."""
    model, size = Model.open(accumulator(kind)), 4 if kind == "audio" else 1
    values, sound = drawn(40, 3, kind)
    broken = np.full_like(sound[:size], np.nan)
    pool, tally = StreamPool(model, 2, workers=0), Tally(kind)
    tally.take(values)
    stream = pool.open()
    for turn in range(40):
        pool.push(stream, sound[turn * size : (turn + 1) * size])
        if turn % 3 == 0:
            with pytest.raises(InputError):
                pool.push(stream, broken)
        if turn % 7 == 0:
            pool.step()
    again = pool.open(snapshot=pool.snapshot(stream))
    assert numbers(model, pool.snapshot(again)) == numbers(model, pool.snapshot(stream)) == tally.state
    both = finals(pool.close(stream)), alone(model, [("push", sound)])
    assert both[0] == both[1]


def test_a_block_may_be_overwritten_once_it_was_pushed() -> None:
    model, (values, sound) = Model.open(accumulator("audio")), drawn(20, 5, "audio")
    pool, tally, block = StreamPool(model, 1, workers=0), Tally("audio"), np.zeros(4, np.float32)
    stream = pool.open()
    for step in sound.reshape(20, 4):
        block[:] = step
        pool.push(stream, block)
    tally.take(values)
    assert numbers(model, pool.snapshot(stream)) == tally.state


def test_whole_steps_are_refused_when_enough_wait_and_taken_when_some_were_stepped() -> None:
    model, (values, rows) = Model.open(accumulator()), drawn(100)
    pool, tally, taken = StreamPool(model, 1, workers=0, max_waiting=0.1), Tally(), 0
    stream = pool.open()
    for room in (10, 8, 8, 8):  # eight steps are run together
        for _ in range(room):
            pool.push(stream, rows[taken : taken + 1])
            taken += 1
        with pytest.raises(OverloadError, match=r"would have 0\.11 s waiting, at most 0\.1 s may"):
            pool.push(stream, rows[taken : taken + 1])
        pool.step()
    tally.take(values[:taken])
    assert numbers(model, pool.snapshot(stream)) == tally.state


def test_a_stream_that_is_late_catches_up_by_many_steps_a_call() -> None:
    model, (_, rows) = Model.open(accumulator()), drawn(23, 1)
    told: list[int] = []
    pool = StreamPool(model, 1, workers=0, notify=lambda _, steps: told.append(steps))
    stream = pool.open()
    for step in rows:
        pool.push(stream, step[None])
    settle(pool)
    assert told == [16, 4, 2, 1]
    assert finals(pool.close(stream)) == alone(model, [("push", rows)])


def test_only_what_is_just_one_step_waits_as_bytes() -> None:
    model, step = Model.open(MODELS["ctc"]), noise(STEP) / 4
    slot = Slot(0, 0, Stream(model), 100.0)
    assert slot.whole_step(step) == step.tobytes()
    for other in (step[1:], step.astype(np.float64), step.tolist(), step * np.inf, step[None]):
        assert slot.whole_step(other) is None
    slot.take(step[:3])
    assert slot.whole_step(step) is None  # something waits before it
    assert Slot(0, 0, Stream(model, 48000), 100.0).whole_step(step) is None
    assert Slot(0, 0, Stream(Model.open(MODELS["resets"])), 100.0).whole_step(step) is None
    ended = Stream(model)
    ended.flush()
    assert Slot(0, 0, ended, 100.0).whole_step(step) is None
    slot = Slot(0, 0, Stream(model), 100.0)
    assert [slot.keep(step.tobytes()) for _ in range(7)] == [True] * 6 + [False]
    assert slot.ready == 6
    assert slot.draw(1) == step.tobytes()
    slot.take(step[:5])
    assert slot.ready == 5
    assert slot.draw(5) == step.tobytes() * 5
    assert slot.ready == 0
    assert slot.whole_step(step) is None
    slot.take(step[5:])
    assert slot.draw(1) == step.tobytes()
    assert slot.whole_step(step) is not None
