"""A stream cut anywhere and restored anywhere is one that was never cut."""

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import soxr

from accumulator import accumulator, drawn
from helpers import LABELS, SAMPLES, assert_same, finals, noise, tiny_manifest, tiny_model
from pools import FILES, FRAMES
from streamcell.runtime.errors import InputError
from streamcell.runtime.events import Event, as_dict
from streamcell.runtime.frames import Frames
from streamcell.runtime.manifest import GapPolicy, Parity
from streamcell.runtime.model import Model
from streamcell.runtime.posteriors import Posteriors
from streamcell.runtime.resample import Quality
from streamcell.runtime.stream import Stream

ELSEWHERE = """
import json, sys
import numpy as np
from streamcell.runtime import Model, Stream
from streamcell.runtime.events import as_dict
model, rest, block = Model.open(sys.argv[1]), np.load(sys.argv[3]), int(sys.argv[4])
stream = Stream.restore(model, open(sys.argv[2], "rb").read())
events = [e for begin in range(0, len(rest), block) for e in stream.push(rest[begin : begin + block])]
print(json.dumps([as_dict(e) for e in events + stream.gap(50) + stream.push(rest) + stream.flush()]))
"""


@pytest.mark.parametrize("rate", [1600, 4800])
@pytest.mark.parametrize("quality", ["live", "file"])
def test_another_process_goes_on(tmp_path: Path, quality: Quality, rate: int) -> None:
    (tmp_path / "model.onnx").write_bytes(FILES["hold"])
    (tmp_path / "elsewhere.py").write_text(ELSEWHERE)
    model, sound, block = Model.open(FILES["hold"]), noise(3 * rate), 77
    stream = Stream(model, rate, quality)
    stream.push(sound[:1001])
    stream.gap(20, "overflow")
    stream.push(sound[1001:2345])
    (tmp_path / "saved").write_bytes(stream.snapshot())
    np.save(tmp_path / "rest.npy", sound[2345:])
    command = [sys.executable, "elsewhere.py", "model.onnx", "saved", "rest.npy", str(block)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True, timeout=60)
    rest = sound[2345:]
    expected = [e for begin in range(0, len(rest), block) for e in stream.push(rest[begin : begin + block])]
    expected += stream.gap(50) + stream.push(rest) + stream.flush()
    assert len(finals(expected)) > 10
    found = json.loads(done.stdout)
    if rate == 1600:
        assert found == [as_dict(event) for event in expected]
    else:
        assert [without(e) for e in found] == [without(as_dict(e)) for e in expected]


def without(event: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in event.items() if name != "confidence"}


def play(stream: Stream, seed: int, rate: int, cut: Callable[[Stream], Stream]) -> list[Event]:
    """Push, lose and reset at random; ``cut`` may put another stream in the place of the one that it gets."""
    random, sound, begin = np.random.default_rng(seed), noise(2 * rate, seed), 0
    events: list[Event] = []
    while begin < len(sound):
        size = int(random.choice([0, 1, 13, 100, rate // 2]))
        stream = cut(stream)
        events += stream.push(sound[begin : begin + size])
        begin += size
        if random.random() < 0.1:
            stream = cut(stream)
            events += stream.gap(int(random.choice([1, 40, rate])))
        if random.random() < 0.04:
            stream = cut(stream)
            events += stream.reset()
    return events + cut(stream).flush()


@pytest.mark.parametrize("quality", ["live", "file"])
@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("rate", [1600, 4800, 4410])
def test_cut_at_random_places_it_is_one_that_was_never_cut(rate: int, name: str, quality: Quality) -> None:
    model = Model.open(FILES[name])
    for seed in range(4):
        random, cuts = np.random.default_rng(seed), [0]

        def cut(stream: Stream) -> Stream:
            if random.random() < 0.5:  # noqa: B023  # used up within this turn
                return stream
            cuts[0] += 1  # noqa: B023
            return Stream.restore(model, stream.snapshot())

        expected = play(Stream(model, rate, quality), seed, rate, lambda stream: stream)
        found = play(Stream(model, rate, quality), seed, rate, cut)
        assert cuts[0] > 3
        if rate == 1600:
            assert found == expected, f"seed {seed}"
        else:
            assert_same(finals(found), finals(expected), 1e-5, f"seed {seed}")


@pytest.mark.parametrize("quality", ["live", "file"])
@pytest.mark.parametrize(("rate", "bound"), [(1600, 0.0), (4800, 1e-6), (4410, 1e-6), (800, 1e-6)])
def test_the_answers_are_the_same_numbers(rate: int, bound: float, quality: Quality) -> None:
    """Probabilities of a stream that is saved and restored before every block."""
    model, sound = Model.open(FILES["hold"]), noise(2 * rate)
    one, two = Posteriors(model, rate, quality), Posteriors(model, rate, quality)
    worst = 0.0
    for begin in range(0, len(sound), 333):
        two = Posteriors.from_bytes(model, two.to_bytes())
        worst = max(worst, difference(one.push(sound[begin : begin + 333]), two.push(sound[begin : begin + 333])))
    two = Posteriors.from_bytes(model, two.to_bytes())
    worst = max(worst, difference(one.flush(), two.flush()))
    assert worst <= bound
    assert one.time == two.time
    assert (one.state == two.state) or bound


def difference(a: Sequence[Frames], b: Sequence[Frames]) -> float:
    assert [(f.first, f.origin, f.values.shape) for f in a] == [(f.first, f.origin, f.values.shape) for f in b]
    return max((float(np.abs(x.probs - y.probs).max()) for x, y in zip(a, b, strict=True)), default=0.0)


@pytest.mark.parametrize("kind", ["features", "audio"])
def test_whole_numbers_stay_whole_over_a_hundred_snapshots(kind: str) -> None:
    model, (_, block) = Model.open(accumulator(kind, look_ahead=1)), drawn(200, 0, kind)
    one, two = Stream(model), Stream(model)
    size, expected, found = len(block) // 100, list[Event](), list[Event]()
    for begin in range(0, len(block), size):
        two = Stream.restore(model, two.snapshot())
        expected += one.push(block[begin : begin + size])
        found += two.push(block[begin : begin + size])
        assert two.state == one.state
    assert found + two.flush() == expected + one.flush()


@pytest.mark.parametrize("rate", [16000, 48000])
def test_the_bundled_model_on_real_speech(rate: int) -> None:
    model, _ = bundled()
    sound, _ = soundfile.read(SAMPLES / "reader.flac", dtype="float32")
    if rate != 16000:
        sound = soxr.resample(sound, 16000, rate)
    block, cuts = rate // 50, (0, 7, 31, 100)
    one, two = Stream(model, rate), Stream(model, rate)
    expected, found = list[Event](), list[Event]()
    for turn, begin in enumerate(range(0, len(sound), block)):
        if turn in cuts:
            saved = two.snapshot()
            assert len(saved) < 300_000
            two = Stream.restore(model, saved)
        expected += one.push(sound[begin : begin + block])
        found += two.push(sound[begin : begin + block])
    expected, found = finals(expected + one.flush()), finals(found + two.flush())
    assert len(expected) > 15
    if rate == 16000:
        assert found == expected
    assert_same(found, expected, 1e-5)


@cache
def bundled() -> tuple[Model, str]:
    model = Model.open()
    return model, model.fingerprint


# of another model


def test_the_same_graph_under_another_name_goes_on() -> None:
    stream = Stream(Model.open(FILES["ctc"]))
    stream.push(noise(500))
    parity = Parity(1e-5, 1e-6, 1e-6, 4)
    other = tiny_model(name="x", description="y", licence="MIT", parity=parity, training={"seed": 1}, created_by="z")
    again = Stream.restore(Model.open(other), stream.snapshot())
    assert again.push(noise(500)) == stream.push(noise(500))


OUTPUT = tiny_manifest().outputs[0]
OTHERS = {
    "weights": tiny_model(seed=1),
    "labels": tiny_model(outputs=(replace(OUTPUT, labels=(*LABELS[:-1], "T")),)),
    "silence": tiny_model(outputs=(replace(OUTPUT, silence=None),)),
    "blank": tiny_model(outputs=(replace(OUTPUT, blank=2),)),
    "gap": tiny_model(gap=GapPolicy("hold", 0.5)),
    "longest gap": tiny_model(gap=GapPolicy("fill", 0.6)),
    "decoder": tiny_model(decoder={"reach": 0.5}),
    "rate": tiny_model(sample_rate=3200),
    "look-ahead": tiny_model(look_ahead=2),
    "calls": tiny_model(steps_per_call=1),
    "one stream a call": tiny_model(batch_invariant=False),
    "task": tiny_model(**FRAMES),
    "first state": tiny_model(states=tuple(replace(s, initial=0.5) for s in tiny_manifest().states)),
    "another": accumulator("audio"),
}


@pytest.mark.parametrize("name", OTHERS)
def test_the_snapshot_of_another_model_is_refused(name: str) -> None:
    stream, other = Stream(Model.open(FILES["ctc"])), Model.open(OTHERS[name])
    stream.push(noise(500))
    for saved, model in ((stream.snapshot(), other), (Stream(other).snapshot(), Model.open(FILES["ctc"]))):
        with pytest.raises(InputError, match="open the model that it was saved with"):
            Stream.restore(model, saved)
