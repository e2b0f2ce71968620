"""A stream that the manifest's policy resets: events on the timeline, the same alone, in a pool, saved and in files."""

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import soundfile

from helpers import LABELS, assert_same, finals, noise, tiny_model
from pools import SETTINGS, Deed, do, script
from streamcell.runtime.batch.job import Job, Outcome, Task
from streamcell.runtime.batch.lanes import hear_here
from streamcell.runtime.events import Event, Reset, Segment, Utterance
from streamcell.runtime.manifest import GapPolicy, OutputSpec, ResetPolicy
from streamcell.runtime.model import Model
from streamcell.runtime.pool import StreamPool
from streamcell.runtime.resample import Quality
from streamcell.runtime.stream import Stream
from streamcell.runtime.transcribe import transcribe_file

PAUSES: dict[str, Any] = {"outputs": (OutputSpec("logits", "logits", LABELS, 0, "AA", 0.01),)}  # said now and then
FILES: dict[str, dict[str, Any]] = {
    "after silence": {**PAUSES, "reset": ResetPolicy(after_silence=0.03)},
    "every so often": {"reset": ResetPolicy(every=0.21), "gap": GapPolicy("hold", 0.5), "look_ahead": 3},
    "either": {**PAUSES, "reset": ResetPolicy(after_silence=0.05, every=0.5), "look_ahead": 0},
    "four steps a call": {"reset": ResetPolicy(every=0.13), "steps_per_call": 4, "look_ahead": 2},
    "utterances": {**PAUSES, "reset": ResetPolicy(after_silence=0.03), "decoder": {"utterances": {"pause": 0.05}}},
    "one stream a call": {**PAUSES, "reset": ResetPolicy(after_silence=0.04), "batch_invariant": False},
}


@cache
def opened(name: str) -> Model:
    return Model.open(tiny_model(**FILES[name]))


def resets(events: list[Event]) -> list[Reset]:
    return [event for event in events if isinstance(event, Reset) and event.reason in ("silence", "interval")]


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("setting", SETTINGS)
def test_the_same_events_for_any_cutting_and_a_pool_and_snapshots(name: str, setting: Any) -> None:
    model, (rate, quality, invalid) = opened(name), setting
    deeds = script(3, rate, invalid)
    expected = played(Stream(model, rate, quality, invalid), deeds)
    assert len(resets(expected)) > 2, "the example has resets"
    one, other = Stream(model, rate, quality, invalid), list[Event]()
    with StreamPool(model, 3, workers=0, max_batch=2) as pool:
        stream, neighbour, found = pool.open(rate, quality, invalid), pool.open(), list[Event]()
        for turn, deed in enumerate(deeds):
            verb, *arguments = deed
            other += getattr(one, verb)(*arguments)
            do(pool, stream, deed)
            do(pool, neighbour, ("push", noise(100, turn)))
            if turn % 5 == 0:
                one = Stream.restore(model, one.snapshot())
                pool.step()
            if turn % 11 == 0:
                saved = pool.snapshot(stream)
                found += pool.events(stream)
                pool.close(stream)
                stream = pool.open(snapshot=saved)
        found += [*pool.events(stream), *pool.close(stream)]
    assert_same(finals(other + one.flush()), expected, 1e-5, "saved and restored")
    assert_same(finals(found), expected, 1e-5, "in a pool")


def played(stream: Stream, deeds: list[Deed]) -> list[Event]:
    """Return the finals of a stream that has no neighbours; all but utterances come by their beginnings."""
    events = finals([event for name, *args in deeds for event in getattr(stream, name)(*args)] + stream.flush())
    begins = [_begin(event) for event in events if not isinstance(event, Utterance)]
    assert begins == sorted(begins)
    return events


def _begin(event: Event) -> float:
    return event.time if isinstance(event, Reset) else event.start


@pytest.mark.parametrize("quality", ["live", "file"])
@pytest.mark.parametrize("name", FILES)
def test_blocks_of_any_size_bring_the_same_events(name: str, quality: Any) -> None:
    sound, results = noise(16 * 700, 1), list[list[Event]]()
    for block in (1, 16, 160, 481, len(sound)):
        stream, events = Stream(opened(name), quality=quality), list[Event]()
        for begin in range(0, len(sound), block):
            events += stream.push(sound[begin : begin + block])
        results.append(finals(events + stream.flush()))
        assert_same(results[-1], results[0], 1e-4, f"blocks of {block}")
    times = [event.time for event in resets(results[0])]
    assert len(times) > 3
    assert times == sorted(set(times))
    segments = [event for event in results[0] if isinstance(event, Segment)]
    assert [segment.id for segment in segments] == list(range(len(segments)))


def test_a_segment_that_goes_on_over_a_reset_is_told_once_and_before_it() -> None:
    """In silence the network says one long segment; the resets in it are told behind it, as they begin later."""
    model = Model.open(tiny_model(reset=ResetPolicy(every=0.1), look_ahead=0, change=_always("SIL")))
    stream = Stream(model)
    events = stream.push(noise(16 * 35))
    assert [event for event in events if isinstance(event, Reset)] == []
    (segment, *found) = finals(events + stream.flush())
    assert (segment.label, segment.start, segment.end) == ("SIL", 0.0, 0.35)  # type: ignore[union-attr]
    assert found == [Reset(frame * 0.01, "interval") for frame in (10, 20, 30)]


def test_many_resets_in_one_segment_do_not_pile_up() -> None:
    stream = Stream(Model.open(tiny_model(reset=ResetPolicy(every=0.01), look_ahead=0, change=_always("SIL"))))
    events = stream.push(np.zeros(16 * 1000, np.float32))
    assert len(resets(events)) == 999 - 64
    assert len(stream.snapshot()) < 50_000
    assert [event.time for event in resets(events + stream.flush())] == pytest.approx(np.arange(1, 1000) / 100)


def test_an_utterance_ends_where_the_state_does() -> None:
    file = tiny_model(reset=ResetPolicy(every=1.0), decoder={"utterances": {"pause": 9.0, "longest": 99.0}})
    stream = Stream(Model.open(file))
    found = finals(stream.push(noise(16 * 250)) + stream.flush())
    kept = [event for event in found if isinstance(event, Reset | Utterance)]
    assert [type(event).__name__ for event in kept] == ["Utterance", "Reset", "Utterance", "Reset", "Utterance"]
    assert [event.reason for event in kept] == ["end", "interval"] * 2 + ["end"]


def test_no_reset_behind_the_last_frame() -> None:
    """At the end of the sound a count is full, but nothing comes that a fresh state could say."""
    qualities: tuple[Quality, ...] = ("live", "file")
    for quality in qualities:
        for steps in (20, 21):
            stream = Stream(Model.open(tiny_model(reset=ResetPolicy(every=0.1), look_ahead=0)), quality=quality)
            events = stream.push(noise(16 * steps)) + stream.flush()
            assert [event.time for event in resets(events)] == pytest.approx([0.1, 0.2][: steps - 19])


def _always(label: str) -> Callable[[onnx.ModelProto], None]:
    """Return what makes the network say one label in every frame."""

    def change(model: onnx.ModelProto) -> None:
        loud = np.zeros(len(LABELS), np.float32)
        loud[LABELS.index(label)] = 999.0
        (shift,) = (tensor for tensor in model.graph.initializer if tensor.name == "shift")
        shift.CopyFrom(onnx.numpy_helper.from_array(loud, "shift"))

    return change


@pytest.mark.parametrize("name", FILES)
def test_recordings_side_by_side_are_each_what_they_are_alone(name: str, tmp_path: Path) -> None:
    model, tasks = opened(name), list[Task]()
    for number, seconds in enumerate((0.5, 2.0, 7.3)):
        path = tmp_path / f"{number}.wav"
        soundfile.write(path, noise(int(1600 * seconds), number), 1600, subtype="FLOAT")
        tasks.append(Task(number, str(path), f"{number}"))
    job = Job(tiny_model(**FILES[name]), model.fingerprint, str(tmp_path / "out"), ("jsonl",))
    outcomes = [one for one in hear_here(job, iter(tasks)) if isinstance(one, Outcome)]
    assert [one.error for one in outcomes] == [None] * 3
    for task in tasks:
        transcript = transcribe_file(model, task.path)
        assert task.name != "2" or len(resets(list(transcript.events))) > 2
        expected = [(segment.label, round(segment.start, 3), round(segment.end, 3)) for segment in transcript.segments]
        (path,) = (tmp_path / "out").glob(f"{task.name}*.jsonl")
        written = json.loads(path.read_text(encoding="utf-8"))["segments"]
        assert [(segment["label"], segment["start"], segment["end"]) for segment in written] == expected
