import io
import os
import re
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from helpers import tiny_model
from sensors import CHANNELS, moves, sensor_manifest, sensor_model
from streamcell.runtime.classify import Beginnings, Sensed, classify, finals
from streamcell.runtime.errors import InputError, SourceError
from streamcell.runtime.events import Event, Gap, Segment
from streamcell.runtime.model import Model
from streamcell.runtime.posteriors import Posteriors
from streamcell.runtime.regular import Oddity
from streamcell.runtime.sense import SensorStream
from streamcell.runtime.sources import Lines, Readings, Serial
from walks import DECODER, rows, text_of


@pytest.fixture(scope="module")
def model() -> Model:
    return Model.open(sensor_model(decoder=DECODER))


@pytest.fixture(scope="module")
def walk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("readings") / "walk.csv"
    path.write_bytes(text_of(rows()))
    return path


def test_it_hears_what_a_sensor_stream_hears(model: Model, walk: Path) -> None:
    stream = SensorStream(model)
    expected: list[Event | Oddity] = []
    with Lines(walk, CHANNELS) as lines:
        for readings in lines:
            expected += stream.push(readings)
    expected += stream.flush()
    heard = list(classify(model, Lines(walk, CHANNELS)))
    found = [event for sensed in heard for event in sensed.events]
    assert finals(found) == finals(expected)
    assert {type(event) for event in finals(found)} == {Segment, Gap, Oddity}
    assert (heard[-1].readings, heard[-1].seconds, heard[-1].rate) == (601, stream.time, stream.rate)


def test_it_says_what_goes_on_and_how_probable_each_label_is(model: Model) -> None:
    _, values = moves(300)
    frames = Posteriors(model).push(values)
    probs = np.concatenate([each.probs for each in frames])
    text = "\n".join(",".join(map(repr, row)) for row in values.tolist()).encode()
    found = list[Sensed]()
    for size in (1, 7, 300):
        source = Cut(Lines(io.BytesIO(text), CHANNELS), size)
        found = list(classify(model, source))
        for sensed in found[:-1]:
            assert sensed.probabilities is not None
            np.testing.assert_allclose(sensed.probabilities, probs[sensed.readings - 1], atol=1e-5)
            assert sensed.going_on == [e for e in sensed.events if isinstance(e, Segment) and not e.final]
        assert found[-1].going_on == []


class Cut:
    """Give the readings of a source in pieces."""

    def __init__(self, source: Lines, size: int) -> None:
        self._source, self._size = source, size
        self.closed = False

    def __iter__(self) -> Iterator[Readings]:
        for whole in self._source:
            for at in range(0, len(whole.values), self._size):
                part = slice(at, at + self._size)
                yield Readings(None if whole.times is None else whole.times[part], whole.values[part])

    def close(self) -> None:
        self.closed = True
        self._source.close()


def test_where_the_state_was_reset_nothing_was_said_yet() -> None:
    model = Model.open(sensor_model(gap=replace(sensor_manifest().gap, reset_after=0.5)))
    lines = b"0,1,0,0\n1,1,0,0\n1.99,1,0,0\n"  # at 1 s a reading is a row; at 1.99 s it is none yet
    source = Cut(Lines(io.BytesIO(lines), CHANNELS), 1)
    assert [sensed.probabilities is None for sensed in classify(model, source)][:3] == [False, False, True]


@pytest.mark.parametrize("seconds", [0.5, 3.0, 11.9, 99.0])
def test_the_end_is_met_within_a_tenth_of_a_second(model: Model, walk: Path, seconds: float) -> None:
    source = Cut(Lines(walk, CHANNELS), 10**6)
    heard = list(classify(model, source, seconds=seconds))
    lasts = min(seconds, list(classify(model, Lines(walk, CHANNELS)))[-1].seconds)
    assert lasts <= heard[-1].seconds < lasts + 0.2
    assert source.closed
    whole = finals(event for sensed in classify(model, Lines(walk, CHANNELS)) for event in sensed.events)
    found = finals(event for sensed in heard for event in sensed.events)
    assert found[:-1] == whole[: len(found) - 1]


def test_what_came_before_an_error_is_flushed(model: Model) -> None:
    good = rows(200)
    expected = finals(
        event for sensed in classify(model, Lines(io.BytesIO(text_of(good)), CHANNELS)) for event in sensed.events
    )
    found = list[Sensed]()
    with pytest.raises(SourceError, match="line 203, column 'acc_x': expected a number, got 'oops'"):
        found.extend(classify(model, Lines(io.BytesIO(text_of([*good, "9,oops,1,1"])), CHANNELS)))
    assert finals(event for sensed in found for event in sensed.events) == expected


def test_readings_that_do_not_fit_are_an_error_after_the_flush(model: Model) -> None:
    found = list[Sensed]()
    source = Cut(Lines(io.BytesIO(b"1,2\n"), ["a", "b"]), 1)
    with pytest.raises(InputError, match=r"expected values \[n, 3\]"):
        found.extend(classify(model, source))
    assert (len(found), source.closed) == (1, True)
    with pytest.raises(InputError, match="tiny takes audio"):
        list(classify(Model.open(tiny_model()), source))


def test_a_beginning_is_told_once_and_an_end_once() -> None:
    walk = Segment("walk", 1.0, 1.5, 0.8, final=False, id=4)
    blocks: list[list[Event | Oddity]] = [
        [walk],
        [replace(walk, end=1.6, revision=1), replace(walk, id=5, start=1.2)],
        [replace(walk, end=1.7, label="turn")],
        [replace(walk, end=1.7, label="turn")],
        [Gap(1.7, 1.8, 5, "missing", "hold"), replace(walk, final=True)],
        [walk],
    ]
    begun = Beginnings()
    told = [begun.pick(events) for events in blocks]
    assert told == [blocks[0], [blocks[1][1]], blocks[2], [], blocks[4], [walk]]


def test_a_live_source_without_timestamps_is_timed_by_this_machine(model: Model) -> None:
    """At 100 Hz, where the model takes 50."""
    end, port = os.openpty()
    found = list[Sensed]()

    def write() -> None:
        begin = time.monotonic()
        for row in range(300):
            os.write(end, b"acc_x,acc_y,gyr_z\n" * (row == 0) + b"0,1,0\n")
            time.sleep(max(0.0, begin + row / 100 - time.monotonic()))

    with Serial(os.ttyname(port), CHANNELS) as source:
        thread = threading.Thread(target=write)
        thread.start()
        for sensed in classify(model, source, live=True):
            found.append(sensed)
            if sensed.readings == 300:
                source.close()
        thread.join()
    os.close(port)
    os.close(end)
    oddities = [event for sensed in found for event in sensed.events if isinstance(event, Oddity)]
    assert [oddity.kind for oddity in oddities] == ["rate"]
    assert re.fullmatch(r"readings without timestamps come at \d+(\.\d)? Hz, the model takes 50 Hz", oddities[0].detail)
    assert found[-1].rate == pytest.approx(100, rel=0.2)
    assert found[-1].lag is None


def test_the_lag_is_that_of_clocks_that_agree(model: Model) -> None:
    for behind, told in ((0.5, True), (1e5, False), (-5.0, True)):
        now = time.time() - behind
        source = Lines(io.BytesIO(f"{now - 0.02},1,2,3\n{now},1,2,3\n".encode()), CHANNELS)
        lag = list(classify(model, source))[-1].lag
        assert lag == pytest.approx(behind, abs=0.2) if told else lag is None
