"""One segment over all that was heard: the last frame's label, however the frames are cut."""

from typing import Any

import numpy as np
import pytest

from decoding import check_misuse
from helpers import LABELS, forged, noise, tiny_model
from helpers import finals as final_events
from streamcell.runtime.decode import Whole, make_decoder
from streamcell.runtime.errors import InputError, ModelError
from streamcell.runtime.events import Gap, Reset, Segment
from streamcell.runtime.frames import Frames, log_softmax
from streamcell.runtime.manifest import GapPolicy
from streamcell.runtime.model import Model
from streamcell.runtime.pool import StreamPool
from streamcell.runtime.stream import Stream

STEP = 0.5


def frames(count: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).standard_normal((count, 3)).astype(np.float32)


def decoder() -> Whole:
    return Whole(("cat", "dog", "cow"), STEP)


@pytest.mark.parametrize("size", [1, 7, 20, 100])
def test_the_last_frame_is_the_answer(size: int) -> None:
    values, by = frames(20), decoder()
    for begin in range(0, 20, size):
        told = by.push(Frames(values[begin : begin + size], begin))
        end = min(20, begin + size)
        shares = np.exp(log_softmax(values[end - 1].astype(np.float64)))
        best = int(shares.argmax())
        assert [(s.label, s.start, s.end, s.final, s.id) for s in told] == [
            (by.settings.labels[best], 0.0, end * STEP, False, 0)
        ]
        assert told[0].confidence == pytest.approx(shares[best], abs=1e-6)
        assert told[0].revision == end
    (final,) = by.flush(9.75)
    assert (final.label, final.start, final.end, final.final, final.id) == (told[0].label, 0.0, 9.75, True, 0)
    np.testing.assert_allclose(by.probabilities, shares, atol=1e-6)
    assert by.flush(10.0) == []


def test_what_follows_a_flush_is_another_segment_and_a_hole_is_none() -> None:
    by = decoder()
    by.push(Frames(frames(4), 0))
    by.push(Frames(frames(4, 1), 10))
    (first,) = by.flush(7.0)
    assert (first.start, first.end) == (0.0, 7.0)
    by.push(Frames(frames(2, 2), 3, origin=8.0))
    (second,) = by.flush(10.0)
    assert (second.start, second.end, second.id) == (9.5, 10.0, 1)
    by.reset()
    assert by.probabilities.size == 0
    assert by.push(Frames(frames(1), 0))[0].id == 0


def test_it_is_restored_and_refuses_what_does_not_fit() -> None:
    by = decoder()
    by.push(Frames(frames(4), 2, origin=1.0))
    saved = by.to_bytes()
    other = decoder()
    other.restore(saved)
    assert other.partial() == by.partial()
    assert other.flush(9.0) == by.flush(9.0)
    np.testing.assert_array_equal(other.probabilities, by.probabilities)
    for path, value in (
        ("saved/first", 6),
        ("saved/row", [1.0]),
        ("saved/row", [float(2**70)] * 4),
        ("saved/count", 0),
        ("saved/next", -1),
        ("settings/labels", ["a", "b", "c"]),
    ):
        with pytest.raises(InputError, match="damaged"):
            decoder().restore(forged(saved, "whole", path, value))
    check_misuse(decoder(), 3)


def tiny(**changes: Any) -> Model:
    return Model.open(tiny_model(task="sequence", decoder={"name": "whole"}, **changes))


@pytest.mark.parametrize("block", [1, 160, 999, 4000])
def test_a_stream_says_what_the_model_says_at_the_end(block: int) -> None:
    model, samples = tiny(look_ahead=0), noise(1600)
    outputs, _ = model.step(samples[None], model.initial_state())
    shares = np.exp(log_softmax(outputs["logits"][0, -1]))
    stream = Stream(model)
    events = [event for begin in range(0, 1600, block) for event in stream.push(samples[begin : begin + block])]
    assert all(isinstance(event, Segment) and not event.final for event in events)
    (final,) = stream.flush()
    assert isinstance(final, Segment)
    assert (final.label, final.start, final.end) == (LABELS[int(shares.argmax())], 0.0, 1.0)
    assert final.confidence == pytest.approx(float(shares.max()), abs=1e-5)


def test_gaps_that_keep_the_state_are_inside_and_those_that_reset_end_it() -> None:
    stream = Stream(tiny(gap=GapPolicy("hold", 0.5)))
    events = stream.push(noise(800))
    events += stream.gap(160)
    events += stream.push(noise(800, 1))
    events += stream.gap(16000)
    events += stream.push(noise(800, 2))
    events += stream.flush()
    found = final_events(events)
    assert [type(event) for event in found] == [Segment, Gap, Gap, Segment]
    ends = [(event.start, event.end) for event in found if not isinstance(event, Reset)]
    assert ends[0] == (0.0, 1.1)
    assert ends[1] == (0.5, 0.6)
    assert ends[3] == (11.1, 11.6)


def test_snapshots_and_pools_tell_the_same() -> None:
    model, samples = tiny(), noise(1600)
    alone = Stream(model)
    alone.push(samples[:700])
    alone.push(samples[700:])
    expected = alone.flush()
    stream = Stream(model)
    stream.push(samples[:700])
    again = Stream.restore(model, stream.snapshot())
    again.push(samples[700:])
    assert again.flush() == expected
    with StreamPool(model, capacity=2) as pool:
        number = pool.open()
        pool.push(number, samples)
        assert pool.wait(20)
        (final,) = final_events(pool.close(number))
    assert isinstance(final, Segment)
    assert isinstance(expected[0], Segment)
    assert (final.label, final.start, final.end) == (expected[0].label, 0.0, 1.0)
    assert final.confidence == pytest.approx(expected[0].confidence, abs=1e-4)


def test_its_manifest_is_checked() -> None:
    model = tiny()
    assert isinstance(make_decoder(model.manifest), Whole)
    assert isinstance(make_decoder(model.with_decoder({}).manifest), Whole)
    for settings, words in (
        ({"name": "ctc-greedy"}, "decoder.name must be 'whole' for task 'sequence'"),
        ({"threshold": 0.5}, "does not fit 'whole'"),
        ({"name": ["whole"]}, "decoder.name must be 'whole'"),
    ):
        with pytest.raises(ModelError, match=words):
            make_decoder(model.with_decoder(settings).manifest)
