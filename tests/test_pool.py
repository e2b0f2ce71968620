"""Every stream of a pool is what it is alone."""

import gc
import queue
import sys
import threading
import time
import tracemalloc
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest

from accumulator import Tally, accumulator, as_input, drawn, stateless
from helpers import assert_same, finals, noise
from pools import FILES, SETTINGS, Deed, alone, do, in_order, numbers, script, settle
from streamcell.runtime.errors import InputError
from streamcell.runtime.events import Event, Segment
from streamcell.runtime.model import Model
from streamcell.runtime.pool import StreamPool
from streamcell.runtime.resample import Quality
from streamcell.runtime.stream import Stream


def play(pool: StreamPool, scripts: Sequence[tuple[list[Deed], tuple[Any, ...]]], seed: int) -> list[list[Event]]:
    """Play scripts at once, as many as there is room for, in random turns; return the finals of each."""
    random, waiting = np.random.default_rng(seed), list(range(len(scripts)))[::-1]
    found: list[list[Event]] = [[] for _ in scripts]
    open_: dict[int, tuple[int, Iterator[Deed]]] = {}
    while waiting or open_:
        while waiting and len(open_) < 5:
            number = waiting.pop()
            deeds, settings = scripts[number]
            open_[number] = pool.open(*settings), iter(deeds)
        number = int(random.choice(list(open_)))
        stream, rest = open_[number]
        for deed, _ in zip(rest, range(random.integers(1, 6)), strict=False):
            do(pool, stream, deed)
            break
        else:
            found[number] += finals(pool.close(stream))
            del open_[number]
            continue
        if random.random() < 0.3:
            found[number] += finals(pool.events(stream))
        if random.random() < 0.3:
            pool.step()
    return found


@pytest.mark.parametrize(("workers", "batch"), [(0, 1), (0, 3), (0, 64), (1, 1), (1, 64), (2, 3), (2, 64)])
@pytest.mark.parametrize("name", FILES)
def test_every_stream_is_what_it_is_alone(name: str, workers: int, batch: int) -> None:
    """Eleven streams in five places join and leave, at other rates, positions and speeds."""
    model = Model.open(FILES[name])
    scripts = [(script(seed, s[0], s[2]), s) for seed, s in enumerate((SETTINGS * 3)[:11])]
    with StreamPool(model, 5, workers=workers, max_batch=batch, max_latency_ms=0.5) as pool:
        found = play(pool, scripts, seed=workers)
        assert len(pool) == 0
    for number, (deeds, settings) in enumerate(scripts):
        expected = alone(model, deeds, *settings)
        assert len(expected) > 5
        assert_same(
            in_order(model, found[number]), expected, 1e-5, f"{name}, {workers} workers, batch {batch}, stream {number}"
        )


def test_labels_that_hold_side_by_side_come_in_one_order_with_gaps_between() -> None:
    model, sound = Model.open(FILES["frames"]), noise(4800, 3)
    found = []
    for block in (4000, 160, 7):
        stream = Stream(model)
        events = stream.push(sound[:800]) + stream.gap(50)
        for begin in range(800, 4800, block):
            events += stream.push(sound[begin : begin + block])
        found.append(finals(events + stream.flush()))
    assert_same(found[0], found[1], 1e-4)
    assert_same(found[0], found[2], 1e-4)


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("file", [accumulator(), accumulator(steps_per_call=3), stateless()])
def test_exact_numbers_stay_exact(file: bytes, workers: int) -> None:
    """The order-sensitive sum of every step is told by the labels: one step lost or swapped changes all that follow."""
    model = Model.open(file)
    blocks = [drawn(300, seed)[1] for seed in range(9)]
    with StreamPool(model, 9, workers=workers, max_batch=4, max_waiting=10) as pool:
        ids = [pool.open() for _ in blocks]
        for begin in range(0, 300, 10):
            for k, block in enumerate(blocks):
                pool.push(ids[k], block[begin : begin + 10 + k % 2 * 10][k % 2 * (begin // 10 % 2) * 20 :])
            if begin % 20 == 0:
                pool.step()
        found = [finals(pool.close(k)) for k in ids]
    for events, block in zip(found, blocks, strict=True):
        assert events == alone(model, [("push", block)])


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("rate", [1600, 4800])
def test_a_stream_may_move_between_pools_and_be_alone_between(rate: int, name: str, workers: int) -> None:
    model = Model.open(FILES[name])
    quality: Quality = "file" if workers else "live"
    deeds, random = script(5, rate, "gap"), np.random.default_rng(rate)
    expected = alone(model, deeds, rate, quality, "gap")
    with (
        StreamPool(model, 3, workers=workers) as a,
        StreamPool(model, 3, workers=workers, max_batch=2) as b,
    ):
        for pool in (a, b):  # neighbours
            pool.push(pool.open(), noise(500, 9))
        place: StreamPool | None = None
        stream: Any = Stream(model, rate, quality, "gap")
        found, moves = list[Event](), 0
        for deed in deeds:
            if place is None:
                found += getattr(stream, deed[0])(*deed[1:])
            else:
                do(place, stream, deed)
            if random.random() < 0.3:
                saved = stream.snapshot() if place is None else place.snapshot(stream)
                if place is not None:
                    found += place.events(stream)
                    place.close(stream)
                place = (None, a, b)[random.integers(3)]
                stream = Stream.restore(model, saved) if place is None else place.open(snapshot=saved)
                moves += 1
        found += stream.flush() if place is None else place.close(stream)
        assert moves > 5
        assert_same(in_order(model, finals(found)), expected, 1e-5)
        assert len(a) == len(b) == 1


def test_a_snapshot_holds_what_was_not_stepped_yet() -> None:
    model = Model.open(FILES["ctc"])
    pool, sound = StreamPool(model, 2, workers=0), noise(1500)
    stream = pool.open()
    pool.push(stream, sound)
    saved = pool.snapshot(stream)
    events = finals(pool.events(stream))
    stream = pool.open(snapshot=saved)
    assert_same([*events, *finals(pool.close(stream))], alone(model, [("push", sound)]), 1e-5)


def test_a_stream_saved_as_a_file_in_the_middle_is_stepped_in_the_pool_at_once() -> None:
    """A file's stream waits for 64 steps, a pool does not: what waits is ready the moment it is opened."""
    model, sound = Model.open(FILES["ctc"]), noise(900)
    stream = Stream(model, quality="file")
    assert stream.push(sound) == []
    pool = StreamPool(model, 1, workers=0)
    again = pool.open(snapshot=stream.snapshot())
    while pool.step():
        pass
    assert_same(finals(pool.events(again)), finals(Stream(model).push(sound)), 1e-5)


def test_partials_are_told_last() -> None:
    model, sound = Model.open(FILES["ctc"]), noise(480)
    pool, stream = StreamPool(model, 1, workers=0), Stream(model)
    only = pool.open()
    for begin in range(0, 480, 16):
        expected = stream.push(sound[begin : begin + 16])
        pool.push(only, sound[begin : begin + 16])
        pool.step()
        assert_same(pool.events(only), expected, 1e-5)
        assert pool.events(only) == [event for event in expected if isinstance(event, Segment) and not event.final]


# threads


def test_eight_threads_push_to_streams_of_their_own() -> None:
    model = Model.open(FILES["ctc"])
    found: dict[int, list[Event]] = {}
    errors: list[BaseException] = []
    scripts = [(script(seed, s[0], s[2]), s) for seed, s in enumerate(SETTINGS * 4)]

    def work(mine: Sequence[int]) -> None:
        try:
            for number in mine:
                deeds, settings = scripts[number]
                stream, events = pool.open(*settings), list[Event]()
                for deed in deeds:
                    do(pool, stream, deed)
                    events += finals(pool.events(stream))
                found[number] = events + finals(pool.close(stream))
        except BaseException as error:  # noqa: BLE001  # the test tells
            errors.append(error)

    with StreamPool(model, 8, workers=2, max_latency_ms=1) as pool:
        threads = [threading.Thread(target=work, args=(range(k, 16, 8),)) for k in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert not errors
        assert len(pool) == 0
    for number, (deeds, settings) in enumerate(scripts):
        assert_same(found[number], alone(model, deeds, *settings), 1e-5, f"stream {number}")


def test_wait_says_whether_all_was_stepped() -> None:
    pool = StreamPool(Model.open(accumulator()), 2, workers=0)
    stream = pool.open()
    assert pool.wait(0)
    pool.push(stream, as_input([1, 2, 3]))
    assert not pool.wait(0.01)
    while pool.step():
        pass
    assert pool.wait(0)
    with StreamPool(Model.open(accumulator()), 2, max_latency_ms=1) as busy:
        stream = busy.open()
        for _ in range(20):
            busy.push(stream, as_input([1]))
        assert busy.wait()
        events = busy.events(stream)
        assert isinstance(events[-1], Segment)
        assert events[-1].end == 0.2


def test_after_shutdown_streams_can_be_saved_stepped_and_closed() -> None:
    model, before = Model.open(accumulator()), threading.active_count()
    with StreamPool(model, 3, workers=3) as pool:
        streams = [pool.open() for _ in range(3)]
        assert threading.active_count() == before + 3
        for stream in streams:
            pool.push(stream, as_input([1, 2, 3]))
    assert threading.active_count() == before
    pool.shutdown()
    for stream in streams:
        pool.push(stream, as_input([4]))
    settle(pool)
    tally = Tally()
    tally.take([1, 2, 3, 4])
    assert numbers(model, pool.snapshot(streams[0])) == tally.state
    for stream in streams:
        assert finals(pool.close(stream)) == alone(model, [("push", as_input([1, 2, 3, 4]))])


def test_a_block_with_an_error_in_it_still_shuts_the_pool_down() -> None:
    before = threading.active_count()
    with pytest.raises(InputError), StreamPool(Model.open(accumulator()), 1, workers=2) as pool:
        pool.push(pool.open(), np.zeros(3))
    assert threading.active_count() == before


def test_notify_tells_who_was_stepped_after_the_answer_is_there() -> None:
    told: queue.Queue[list[int]] = queue.Queue()
    model = Model.open(accumulator())
    with StreamPool(model, 3, notify=lambda streams, steps: told.put(list(streams) * steps), max_latency_ms=0) as pool:
        ids = [pool.open() for _ in range(3)]
        for turn in range(30):
            pool.push(ids[turn % 3], as_input([turn % 8]))
            assert told.get(timeout=20) == [ids[turn % 3]]
            (segment,) = pool.events(ids[turn % 3])[-1:]
            assert isinstance(segment, Segment)
            assert segment.end == (turn // 3 + 1) / 100


def test_who_is_ready_waits_for_company_but_not_for_ever() -> None:
    told: queue.Queue[list[int]] = queue.Queue()
    model = Model.open(accumulator())

    def tell(streams: Sequence[int], _: int) -> None:
        told.put(list(streams))

    with StreamPool(model, 3, notify=tell, max_latency_ms=60_000, max_batch=2) as pool:
        a, b = pool.open(), pool.open()
        pool.push(a, as_input([1]))
        with pytest.raises(queue.Empty):
            told.get(timeout=0.2)
        pool.push(b, as_input([1]))
        assert told.get(timeout=20) == [a, b]
    with StreamPool(model, 3, notify=tell, max_latency_ms=300) as pool:
        begin = time.monotonic()
        pool.push(pool.open(), as_input([1]))
        assert told.get(timeout=20) == [0]
        assert time.monotonic() - begin >= 0.29


def test_no_worker_sleeps_while_somebody_waits() -> None:
    """Two streams are ready, each needs a call of its own, two workers are free: both must be at work at once."""
    both, met = threading.Barrier(2), queue.Queue[bool]()

    def hold(_: Sequence[int], __: int) -> None:
        try:
            both.wait(5)
            met.put(True)
        except threading.BrokenBarrierError:
            met.put(False)

    switch = sys.getswitchinterval()
    with StreamPool(Model.open(accumulator()), 2, workers=2, max_batch=1, max_latency_ms=0, notify=hold) as pool:
        ids = [pool.open(), pool.open()]
        sys.setswitchinterval(1.0)  # so that both are there before a worker looks
        try:
            for stream in ids:
                pool.push(stream, as_input([1]))
        finally:
            sys.setswitchinterval(switch)
        assert [met.get(timeout=20), met.get(timeout=20)] == [True, True]


def test_memory_is_flat() -> None:
    model, blocks = Model.open(FILES["ctc"]), noise(48 * 600).reshape(600, 48)
    pool, sizes = StreamPool(model, 4, workers=0), []
    ids = [pool.open() for _ in range(3)]
    tracemalloc.start()
    for turn, block in enumerate(blocks):
        for stream in ids:
            pool.push(stream, block)
        while pool.step():
            pass
        for stream in ids:
            pool.events(stream)
        pool.close(pool.open())
        if turn % 20 == 0:
            gc.collect()
            sizes.append(tracemalloc.get_traced_memory()[0])
    tracemalloc.stop()
    assert max(sizes[20:]) - max(sizes[10:20]) < 10_000, "16 bytes a push"


def test_the_state_is_a_copy_of_the_streams_own() -> None:
    model, sound = Model.open(FILES["ctc"]), noise(800)
    stream = Stream(model)
    stream.push(sound)
    with StreamPool(model, 2, max_latency_ms=60_000) as pool:
        other, own = pool.open(), pool.open()
        pool.push(other, noise(400, 1))
        pool.push(own, sound)
        state = pool.state(own)
        for name, expected in stream.state.items():
            np.testing.assert_allclose(state[name], expected, atol=1e-5)
        pool.push(own, sound)
        assert pool.state(own) != state


def test_a_plain_step_is_heard_without_detours_and_what_fails_there_stays_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One step of each of three streams a call; the second one's decoder fails at its fourth frame."""
    model, (_, sound) = Model.open(accumulator()), drawn(6)
    alone, detours, accept = Stream(model), list[int](), Stream.accept
    for step in sound:
        alone.push(step[None])

    def counted(self: Stream, *heard: Any) -> list[Event]:
        detours.append(1)
        return accept(self, *heard)

    monkeypatch.setattr(Stream, "accept", counted)
    with StreamPool(model, 3, workers=0) as pool:
        first, second, third = (pool.open() for _ in range(3))
        decoder = pool._slots[second].stream.decoder
        take = decoder.take

        def failing(frame: int, origin: float, items: list[Any]) -> list[Segment]:
            if frame == 3:
                raise InputError("this frame is one too many")
            return take(frame, origin, items)

        monkeypatch.setattr(decoder, "take", failing)
        for number, step in enumerate(sound):
            for stream in (first, second, third) if number < 4 else (first, third):
                pool.push(stream, step[None])
            pool.step()
        assert not detours
        with pytest.raises(InputError, match="one too many"):
            pool.events(second)
        for stream in (first, third):
            assert numbers(model, pool.snapshot(stream)) == numbers(model, alone.snapshot())
