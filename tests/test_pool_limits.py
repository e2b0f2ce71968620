"""Too much, what does not fit and a model that fails: it is said, nothing of it was taken, and nobody else suffers."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeAlias

import numpy as np
import pytest
from numpy.typing import NDArray

from accumulator import Tally, accumulator, as_input, as_numbers, drawn, stateless
from helpers import assert_same, finals, forged, noise, tiny_model
from pools import FILES, alone, in_order, numbers, settle
from streamcell.runtime.errors import InputError, ModelError, OverloadError, StreamcellError
from streamcell.runtime.events import Gap, Reset
from streamcell.runtime.manifest import GapPolicy
from streamcell.runtime.model import Model
from streamcell.runtime.pool import StreamPool
from streamcell.runtime.rows import Rows
from streamcell.runtime.stream import Invalid, Stream

Block: TypeAlias = NDArray[np.float32]

# too much


def test_a_full_pool_refuses_and_goes_on() -> None:
    model = Model.open(accumulator())
    pool = StreamPool(model, 3, workers=0)
    ids = [pool.open() for _ in range(3)]
    for stream in ids:
        pool.push(stream, as_input([stream + 1]))
    saved = pool.snapshot(ids[1])
    for _ in range(3):
        with pytest.raises(OverloadError, match="all 3 places of the pool are taken; close a stream first"):
            pool.open()
        with pytest.raises(OverloadError, match="all 3 places"):
            pool.open(snapshot=saved)
    pool.step()
    pool.close(ids[1])
    new = pool.open()
    assert new not in ids
    pool.push(new, as_input([5]))
    counted = {ids[0]: 1, ids[2]: 3, new: 5}
    assert {stream: numbers(model, pool.snapshot(stream))["h0"][1] for stream in counted} == counted
    assert len(pool) == 3


@pytest.mark.parametrize("rate", [1600, 4800])
@pytest.mark.parametrize("invalid", ["error", "gap"])
def test_who_outruns_the_pool_is_refused_and_nothing_changes(invalid: Invalid, rate: int) -> None:
    model, sound = Model.open(FILES["ctc"]), noise(20 * rate)
    block, taken = rate // 4, 0
    pool = StreamPool(model, 2, workers=0, max_waiting=1.0)
    stream, other = pool.open(rate, invalid=invalid), pool.open()
    pool.push(other, noise(800, 1))
    refused = 0
    for turn in range(100):
        piece = sound[taken : taken + block]
        broken = piece.copy()
        broken[10:20] = np.nan
        try:
            pool.push(stream, piece)
            taken += block
        except OverloadError:
            refused += 1
            with pytest.raises(OverloadError, match="at most 1 s may"):
                pool.push(stream, broken if invalid == "gap" else piece)
        if turn % 5 == 0:
            pool.step()
    assert refused > 20
    expected = alone(model, [("push", sound[:taken])], rate)
    assert_same(finals(pool.close(stream)), expected, 1e-5)
    assert_same(finals(pool.close(other)), alone(model, [("push", noise(800, 1))]), 1e-5)


def test_a_block_larger_than_the_bound_is_refused_whole() -> None:
    model = Model.open(accumulator())
    pool = StreamPool(model, 1, workers=0, max_waiting=0.5)
    stream, tally = pool.open(), Tally()
    for count in (51, 1000, 50):
        numbers_, block = drawn(count)
        if count > 50:
            with pytest.raises(OverloadError, match=f"would have {count / 100:.2f} s waiting, at most 0.5 s may"):
                pool.push(stream, block)
        else:
            pool.push(stream, block)
            tally.take(numbers_)
    with pytest.raises(OverloadError, match="waiting"):
        pool.push(stream, as_input([1]))
    assert numbers(model, pool.snapshot(stream)) == tally.state


@contextmanager
def many_events() -> Iterator[tuple[StreamPool, int, Block]]:
    """Give a pool with a stream that has 10,000 events waiting or a few more, and what made them."""
    model, rows = Model.open(stateless()), as_input([1, 2] * 5500)
    pool = StreamPool(model, 1, workers=0, max_waiting=200, max_batch=1)
    stream, pushed = pool.open(), 0
    for pushed in range(0, len(rows), 16):
        try:
            pool.push(stream, rows[pushed : pushed + 16])
        except OverloadError:
            break
        pool.step()
    assert 10_000 <= pushed < 10_100
    yield pool, stream, rows[:pushed]


def test_who_never_fetches_events_is_refused_until_he_does() -> None:
    with many_events() as (pool, stream, rows):
        for _ in range(3):
            with pytest.raises(OverloadError, match=r"events waiting; fetch them with events\(\)"):
                pool.push(stream, as_input([3]))
        found = pool.events(stream)
        assert 10_000 <= len(finals(found)) < 10_020
        pool.push(stream, as_input([4, 4]))
        expected = alone(Model.open(stateless()), [("push", np.concatenate([rows, as_input([4, 4])]))])
        assert [*finals(found), *finals(pool.close(stream))] == expected


@pytest.mark.parametrize("deed", ["gap", "reset"])
def test_gaps_and_resets_are_events_too(deed: str) -> None:
    with many_events() as (pool, stream, _):
        with pytest.raises(OverloadError, match="fetch them"):
            do_once(pool, stream, deed)
        pool.events(stream)
        do_once(pool, stream, deed)
        assert any(isinstance(event, Gap | Reset) for event in pool.close(stream))


def do_once(pool: StreamPool, stream: int, deed: str) -> None:
    if deed == "gap":
        pool.gap(stream, 500)
    else:
        pool.reset(stream)


def test_a_block_of_thousands_of_gaps_is_taken_whole_or_not_at_all() -> None:
    model = Model.open(stateless(gap=GapPolicy("hold", 1.0)))
    pool = StreamPool(model, 1, workers=0, max_waiting=300)
    stream, taken, block = pool.open(invalid="gap"), 0, as_input([1] * 4_000)
    block[::2] = np.nan
    for _ in range(10):
        with suppress(OverloadError):
            pool.push(stream, block)
            taken += 1
    assert 3 <= taken < 10
    assert_same(finals(pool.close(stream)), alone(model, [("push", block)] * taken, None, "live", "gap"), 1e-5)


# misuse


def test_what_a_pool_is_made_of_is_checked() -> None:
    model = Model.open(FILES["ctc"])
    for wrong in (
        {"capacity": 0},
        {"capacity": 2, "max_batch": 0},
        {"capacity": 2, "max_batch": 129},
        {"capacity": 2, "max_latency_ms": -1},
        {"capacity": 2, "workers": -1},
    ):
        with pytest.raises(InputError, match="expected a capacity above 0"):
            StreamPool(model, **wrong)  # type: ignore[arg-type]
    for waiting in (0.0, 0.0399, float("nan")):
        with pytest.raises(InputError, match=r"at least one call of the model, 0\.04 s"):
            StreamPool(Model.open(FILES["four steps a call"]), 1, max_waiting=waiting)
    with pytest.raises(ModelError, match="decoder"):
        StreamPool(Model.open(tiny_model(decoder={"name": "oracle"})), 1)


def test_a_stream_that_cannot_be_opened_takes_no_place() -> None:
    pool = StreamPool(Model.open(accumulator()), 1, workers=0)
    others = Stream(Model.open(FILES["ctc"])).snapshot()
    wrongs: list[dict[str, Any]] = [
        {"sample_rate": 50},
        {"quality": "best"},
        {"invalid": "hope"},
        {"snapshot": b"SCW1"},
        {"snapshot": others},
    ]
    for wrong in wrongs:
        with pytest.raises(InputError):
            pool.open(**wrong)
    assert len(pool) == 0
    stream = pool.open()
    pool.push(stream, as_input([1]))
    assert numbers(Model.open(accumulator()), pool.snapshot(stream)) == {"h0": [1, 1, 1], "order": [1]}


@pytest.mark.parametrize("stream", [0, 1, -1, "closed"])
def test_a_number_of_no_open_stream_is_refused(stream: Any) -> None:
    pool = StreamPool(Model.open(accumulator()), 2, workers=0)
    closed, kept = pool.open(), pool.open()
    pool.push(kept, as_input([1]))
    pool.push(closed, as_input([1]))
    pool.close(closed)
    stream = {"closed": closed, 1: 77}.get(stream, stream)
    calls: list[Callable[[], Any]] = [
        lambda: pool.push(stream, as_input([1])),
        lambda: pool.events(stream),
        lambda: pool.gap(stream, 5),
        lambda: pool.reset(stream),
        lambda: pool.snapshot(stream),
        lambda: pool.close(stream),
    ]
    for call in calls:
        with pytest.raises(InputError, match="number of an open stream"):
            call()
    assert len(pool) == 1
    assert numbers(Model.open(accumulator()), pool.snapshot(kept))["h0"] == [1, 1, 1]


BAD_BLOCKS: dict[str, Any] = {
    "two channels": np.zeros((50, 2), np.float32),
    "two channels, NaN first": np.array([[np.nan, np.nan], [0.1, 0.1]], np.float32),
    "integers": np.zeros(50, np.int32),
    "too loud": np.full(50, 1000.0, np.float32),
    "NaN, then too loud": np.array([0.1] * 40 + [np.nan] * 5 + [1000.0] * 5, np.float32),
    "no block": 5.0,
    "no block, but an array": np.array(0.5, np.float32),
}


@pytest.mark.parametrize("invalid", ["error", "gap"])
@pytest.mark.parametrize("name", BAD_BLOCKS)
@pytest.mark.parametrize("where", ["alone", "pool"])
def test_a_block_that_does_not_fit_changes_nothing(where: str, name: str, invalid: Invalid) -> None:
    model = Model.open(FILES["ctc"])
    pool, stream = StreamPool(model, 1, workers=0), Stream(model, invalid=invalid)
    only = pool.open(invalid=invalid)
    before = {}
    for turn in range(2):
        if where == "pool":
            pool.push(only, noise(1000, turn))
            before[turn] = pool.snapshot(only)
            with pytest.raises(InputError):
                pool.push(only, BAD_BLOCKS[name])
            assert pool.snapshot(only) == before[turn]
        else:
            stream.push(noise(1000, turn))
            before[turn] = stream.snapshot()
            with pytest.raises(InputError):
                stream.push(BAD_BLOCKS[name])
            assert stream.snapshot() == before[turn]


def test_nan_is_an_error_or_a_gap() -> None:
    model, block = Model.open(FILES["ctc"]), noise(1000)
    block[[100, 101, 500, 999]] = np.nan
    pool = StreamPool(model, 2, workers=0)
    strict, kind = pool.open(), pool.open(invalid="gap")
    with pytest.raises(InputError, match="4 values that are NaN or infinite, the first at index 100"):
        pool.push(strict, block)
    pool.push(kind, block)
    assert pool.close(strict) == []
    found = finals(pool.close(kind))
    gaps = [event for event in found if isinstance(event, Gap)]
    assert [(gap.samples, gap.reason) for gap in gaps] == [(2, "invalid"), (1, "invalid"), (1, "invalid")]
    assert_same(found, alone(model, [("push", block)], None, "live", "gap"), 1e-5)


# a model that fails


@pytest.mark.parametrize("task", ["ctc", "frames"])
@pytest.mark.parametrize("value", [-1, -2])
@pytest.mark.parametrize("workers", [0, 1])
def test_answers_that_are_not_finite_break_only_their_own_stream(workers: int, value: int, task: Any) -> None:
    """A step that counts for -1 makes the answer -inf, for -2 NaN."""
    model = Model.open(accumulator(task=task))
    assert_only_one_breaks(model, value, "not finite", workers)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_step_on_which_the_model_fails_breaks_only_its_own_stream(workers: int) -> None:
    assert_only_one_breaks(Model.open(accumulator(fragile=True)), 999, "the model failed", workers)


def assert_only_one_breaks(model: Model, value: int, words: str, workers: int) -> None:
    with StreamPool(model, 5, workers=workers, max_batch=8) as pool:
        ids, blocks = [pool.open() for _ in range(5)], [drawn(60, k)[1] for k in range(5)]
        for begin in range(0, 60, 6):
            for k, stream in enumerate(ids):
                if k == 2 and begin == 30:
                    pool.push(stream, as_input([value]))
                elif k != 2 or begin < 30:
                    pool.push(stream, blocks[k][begin : begin + 6])
            settle(pool)
        calls: list[Callable[[], Any]] = [
            lambda: pool.push(ids[2], as_input([1])),
            lambda: pool.events(ids[2]),
            lambda: pool.snapshot(ids[2]),
            lambda: pool.reset(ids[2]),
            lambda: pool.close(ids[2]),
        ]
        for call in calls:
            with pytest.raises(ModelError, match=words):
                call()
        assert len(pool) == 4
        for k in (0, 1, 3, 4):
            found = in_order(model, finals(pool.close(ids[k])))
            assert found == alone(model, [("push", blocks[k])]), f"stream {k}"
        fresh = pool.open()
        pool.push(fresh, blocks[2])
        found = in_order(model, finals(pool.close(fresh)))
        assert found == alone(model, [("push", blocks[2])]), "the place is as new"


def test_who_closes_while_the_model_fails_hears_of_it() -> None:
    """Whether the worker has begun, is at it, or is done when close() comes."""
    random, model = np.random.default_rng(0), Model.open(accumulator())
    with StreamPool(model, 1, max_latency_ms=0) as pool:
        for turn in range(200):
            stream, later = pool.open(), time.perf_counter() + random.uniform(0, 3e-4)
            pool.push(stream, as_input([1] * 8 + [-2] * 8))
            while time.perf_counter() < later:
                time.sleep(0)
            with pytest.raises(ModelError, match="not finite"):
                pytest.fail(f"turn {turn}: {pool.close(stream)}")


def test_a_forged_snapshot_breaks_only_its_own_stream() -> None:
    """Frames that the decoder has heard already: whatever is said of them, it is said to nobody else."""
    model = Model.open(accumulator())
    liar, (_, block) = Stream(model), drawn(60)
    liar.push(block)
    inner = np.frombuffer(Stream(model).posteriors.to_bytes(), np.uint8)
    snapshot = forged(liar.snapshot(), "stream", "posteriors", inner)
    pool = StreamPool(model, 3, workers=0, max_batch=8)
    ids = [pool.open(), pool.open()]
    with suppress(StreamcellError):
        pool.push(pool.open(snapshot=snapshot), block)
    for begin in range(0, 60, 10):
        for stream in ids:
            pool.push(stream, block[begin : begin + 10])
        settle(pool)
    for stream in ids:
        assert finals(pool.close(stream)) == alone(model, [("push", block)])


def test_just_as_much_as_may_wait_is_taken_at_any_rate() -> None:
    """2 s at 44.1 kHz are 32,000 samples of the model, not a millionth of one more."""
    with StreamPool(Model.open(), 1, workers=0, max_waiting=2.0) as pool:
        for rate in (8000, 11025, 22050, 44100, 48000, 96000):
            stream = pool.open(sample_rate=rate)
            pool.push(stream, np.zeros(2 * rate, np.float32))
            with pytest.raises(OverloadError):
                pool.push(stream, np.zeros(rate, np.float32))
            pool.close(stream)


def test_a_stream_whose_step_was_interrupted_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    model = Model.open(accumulator())
    pool = StreamPool(model, 2, workers=0)
    broken, other = pool.open(), pool.open()
    pool.push(broken, np.ones((1, 1), np.float32))

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(pool._rows, "run", interrupt)
        with pytest.raises(KeyboardInterrupt):
            pool.step()
    for use in (lambda: pool.push(broken, np.ones((1, 1), np.float32)), lambda: pool.snapshot(broken)):
        with pytest.raises(ModelError, match=r"broken off: KeyboardInterrupt\(\); what it was to hear is lost"):
            use()
    pool.push(other, np.ones((1, 1), np.float32))
    assert pool.step() == 1
    with pytest.raises(ModelError, match="broken off"):
        pool.close(broken)
    assert len(pool) == 1


def test_what_an_interrupted_close_leaves_never_touches_the_next_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    pool = StreamPool(Model.open(accumulator()), 1, workers=0, max_batch=1)
    first = pool.open()
    pool.push(first, np.full((1, 1), 5, np.float32))

    def interrupt() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(pool._slots[first].stream, "run", interrupt)
    with pytest.raises(KeyboardInterrupt):
        pool.close(first)
    second = pool.open()
    pool.push(second, np.ones((1, 1), np.float32))
    while pool.step():
        pass
    fresh = StreamPool(Model.open(accumulator()), 1, workers=0)
    alone = fresh.open()
    fresh.push(alone, np.ones((1, 1), np.float32))
    assert as_numbers(pool.state(second)) == as_numbers(fresh.state(alone))


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_worker_that_cannot_begin_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_rows: Rows, _size: int) -> None:
        raise MemoryError

    monkeypatch.setattr(Rows, "warm", fail)
    with pytest.raises(StreamcellError, match=r"a worker of the pool has died: MemoryError\(\)"):
        StreamPool(Model.open(accumulator()), 2, workers=2)
