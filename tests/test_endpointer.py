"""Utterances: the rules, and that streams tell the same ones for any blocks, gaps and resets, alone and in a pool."""

from collections import Counter
from typing import Any

import numpy as np
import pytest

from helpers import LABELS, SAMPLES, assert_same, finals, tiny_manifest, tiny_model
from pools import Deed, do, script
from streamcell.runtime import Event, Gap, InputError, Model, ModelError, Reset, Segment, Stream, StreamPool, Utterance
from streamcell.runtime.decode import Endpointer, make_endpointer
from streamcell.runtime.lm import train_ngram, write_arpa
from streamcell.runtime.manifest import GapPolicy
from streamcell.runtime.sources import AudioFile

LM = write_arpa(train_ngram([["AA", "B", "K"], ["S", "AA"]], 2, tokens=LABELS[2:]))
DECODERS: dict[str, dict[str, Any]] = {
    "greedy": {"name": "ctc-greedy"},
    "beam": {"name": "ctc-beam", "lm": LM, "delay": 0.1},
    "words": {"name": "words", "lexicon": "go\tB AA\nstop\tS\nkay\tK AA\n", "longest": 0.5, "delay": 1.0, "other": 0},
}


def said(start: float, end: float, label: str = "AA") -> Segment:
    return Segment(label, start, end, 0.9)


def endpointer(**settings: Any) -> Endpointer:
    return Endpointer("SIL", **{"pause": 0.5, "longest": 3.0, **settings})


def utterances(events: list[Event]) -> list[Utterance]:
    return [event for event in events if isinstance(event, Utterance)]


def test_an_utterance_ends_where_nothing_was_said_for_a_pause() -> None:
    one = endpointer()
    first, second = said(0.0, 0.2), said(0.6, 0.8, "B")
    assert one.push([first], quiet=0.3) == [first]
    assert one.push([second], quiet=1.2) == [second]
    assert one.push([], quiet=1.3) == [Utterance(0.0, 0.8, ("AA", "B"), "pause")]
    assert one.push([], quiet=9.0) == one.flush() == []


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        (said(1.0, 1.1), "pause"),
        (said(0.99, 1.1), None),
        (said(0.5, 1.0, "SIL"), "pause"),
        (said(0.5, 0.99, "SIL"), None),
        (said(0.6, 3.1), "length"),
        (said(0.6, 3.0), None),
        (Gap(1.0, 1.5, 800, "missing", "fill"), "pause"),
        (Gap(0.5, 9.5, 800, "missing", "fill"), None),
        (Gap(0.5, 9.5, 800, "missing", "reset"), "end"),
        (Reset(0.5, "asked"), "end"),
    ],
)
def test_what_shows_that_an_utterance_ended_comes_behind_it(event: Event, reason: str | None) -> None:
    one = endpointer()
    ended = [] if reason is None else [Utterance(0.0, 0.5, ("B",), reason)]
    assert one.push([said(0.0, 0.5, "B"), event], quiet=0.0) == [said(0.0, 0.5, "B"), *ended, event]


def test_silence_alone_is_no_utterance() -> None:
    one = endpointer()
    assert utterances(one.push([said(0.0, 5.0, "SIL"), Reset(5.0, "asked")], quiet=9.0)) == one.flush() == []


def test_what_was_saved_goes_on_and_what_cannot_have_been_is_refused() -> None:
    one, two = endpointer(), endpointer()
    one.push([said(0.1, 0.2)], quiet=0.0)
    two.restore(one.to_dict())
    assert one.flush() == two.flush() == [Utterance(0.1, 0.2, ("AA",), "end")]
    good = {"start": 1.0, "end": 2.0, "labels": ["AA"]}
    for change in ({"start": 3.0}, {"start": -1.0}, {"end": float("inf")}, {"labels": [1]}, {"more": 1}):
        with pytest.raises(InputError, match="a saved utterance is damaged"):
            two.restore({**good, **change})


def test_settings_come_from_the_manifest() -> None:
    assert make_endpointer(tiny_manifest()) is None
    found = make_endpointer(tiny_manifest(decoder={"utterances": {"pause": 0.25}}))
    assert found is not None
    assert found.silence == "SIL"
    assert utterances(found.push([said(0.0, 0.1)], quiet=0.35))
    words = make_endpointer(tiny_manifest(decoder={"name": "words", "utterances": {}}))
    assert words is not None
    assert words.silence is None
    for settings, message in (({"pause": 0}, "pause must be a number above 0"), ({"wait": 1}, "wait"), (3, "mapping")):
        with pytest.raises(ModelError, match=f"manifest.decoder.utterances does not fit.*{message}"):
            Stream(Model.open(tiny_model(decoder={"utterances": settings})))


def open_tiny(name: str, pause: float, action: Any) -> Model:
    decoder = {**DECODERS[name], "utterances": {"pause": pause, "longest": 1.0}}
    return Model.open(tiny_model(decoder=decoder, gap=GapPolicy(action, 0.5)))


def recut(deeds: list[Deed], seed: int) -> list[Deed]:
    """Return the same sound in other blocks."""
    random, found = np.random.default_rng(seed), list[Deed]()
    for name, *args in deeds:
        if name != "push":
            found.append((name, *args))
            continue
        cuts = np.sort(random.integers(0, len(args[0]) + 1, random.choice([0, 1, 4])))
        blocks = np.split(args[0], cuts)
        if found and found[-1][0] == "push" and random.random() < 0.6:
            blocks[0] = np.concatenate([found.pop()[1], blocks[0]])
        found += [("push", block) for block in blocks]
    return found


def hear(model: Model, deeds: list[Deed], *settings: Any, saved: bool = False) -> list[Event]:
    stream, events = Stream(model, *settings), list[Event]()
    for name, *args in deeds:
        events += getattr(stream, name)(*args)
        if saved:
            stream = Stream.restore(model, stream.snapshot())
    return finals([*events, *stream.flush()])


def check(events: list[Event]) -> Counter[str]:
    """Check that each utterance holds the segments since the one before; return how often each reason was given."""
    since: list[Segment] = []
    for event in events:
        if isinstance(event, Segment) and event.label != "SIL":
            since.append(event)
        if isinstance(event, Utterance):
            assert event.labels == tuple(segment.label for segment in since)
            assert (event.start, event.end) == (since[0].start, max(segment.end for segment in since))
            since = []
    assert not since
    return Counter(event.reason for event in utterances(events))


@pytest.mark.parametrize("action", ["fill", "hold"])
@pytest.mark.parametrize(("name", "pause"), [("greedy", 0.03), ("greedy", 0.09), ("beam", 0.06), ("words", 0.03)])
def test_any_blocks_give_the_same_utterances_at_the_same_places(name: str, pause: float, action: str) -> None:
    model, reasons = open_tiny(name, pause, action), Counter[str]()
    for seed in range(4):
        for settings in ((1600, "live", "gap"), (4800, "file", "gap")):
            deeds = script(seed, settings[0], "gap")
            expected = hear(model, deeds, *settings)
            reasons += check(expected)
            for again in range(3):
                assert_same(hear(model, recut(deeds, again), *settings), expected, 1e-4, f"seed {seed}, {again}")
    assert {"pause", "end"} <= set(reasons), reasons


@pytest.mark.parametrize("name", DECODERS)
def test_snapshots_and_pools_keep_utterances(name: str) -> None:
    model = open_tiny(name, 0.1, "fill")
    deeds = script(2, 1600, "gap")
    expected = hear(model, deeds, 1600, "live", "gap")
    assert len(utterances(expected)) > 3
    assert_same(hear(model, deeds, 1600, "live", "gap", saved=True), expected, 1e-5)
    with StreamPool(model, 2) as pool:
        streams = [pool.open(invalid="gap") for _ in range(2)]
        for deed in deeds:
            for stream in streams:
                do(pool, stream, deed)
        for stream in streams:
            assert_same(finals(pool.close(stream)), expected, 1e-5)


def test_an_utterance_is_told_as_soon_as_the_pause_is_over() -> None:
    model = Model.open().with_decoder({"name": "ctc-greedy", "utterances": {"pause": 0.5}})
    with AudioFile(SAMPLES / "reader.flac") as audio:
        sound, rate = np.concatenate(list(audio)), audio.sample_rate
    stream, told = Stream(model, rate), list[tuple[float, Utterance]]()
    for begin in range(0, len(sound) + 2 * rate, rate // 50):
        block = np.zeros(rate // 50, np.float32)
        heard = sound[begin : begin + rate // 50]
        block[: len(heard)] = heard
        told += [(stream.time, event) for event in utterances(stream.push(block))]
    assert told
    assert all(event.reason == "pause" for _, event in told)
    late = [time - event.end - 0.5 for time, event in told]
    assert 0 <= min(late) <= max(late) < 0.3  # look-ahead, rate conversion, a block
