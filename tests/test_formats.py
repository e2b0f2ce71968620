import json

import pytest

from streamcell.runtime.events import Event, Gap, Reset, Segment, Utterance
from streamcell.runtime.formats import Transcript, jsonl, relabel, text, textgrid
from streamcell.runtime.formats.cues import cues
from streamcell.runtime.phones import to_ipa

EVENTS: tuple[Event, ...] = (
    Segment("SIL", 0.0, 0.12345, 0.98765),
    Gap(0.2, 0.3, 4410, "overflow", "fill"),
    Segment("CH", 0.3, 100.5, 0.5, id=1, revision=3),
    Reset(101.0, "asked"),
)


def test_text_is_aligned_and_holds_every_event() -> None:
    assert text.write(Transcript("a b.wav", 101.25, EVENTS)) == (
        "a b.wav  101.250 s\n"
        "   0.000    0.123  SIL   0.99\n"
        "   0.200    0.300  (gap: 4410 samples lost, overflow; fill)\n"
        "   0.300  100.500  CH    0.50\n"
        " 101.000  101.000  (reset: asked)\n"
    )


def test_jsonl_is_one_line_with_rounded_numbers_and_gaps_only_when_any() -> None:
    written = jsonl.write(Transcript("a\nb.wav", 1.23456, EVENTS, cut=True))
    assert written.count("\n") == 1
    assert json.loads(written) == {
        "file": "a\nb.wav",
        "duration": 1.235,
        "segments": [
            {"label": "SIL", "start": 0.0, "end": 0.123, "confidence": 0.988},
            {"label": "CH", "start": 0.3, "end": 100.5, "confidence": 0.5},
        ],
        "gaps": [{"start": 0.2, "end": 0.3, "samples": 4410, "reason": "overflow", "action": "fill"}],
        "cut": True,
    }
    assert json.loads(jsonl.write(Transcript("a", 0.005, ()))) == {"file": "a", "duration": 0.005, "segments": []}


@pytest.mark.parametrize(("event", "kind"), list(zip(EVENTS, ("segment", "gap", "segment", "reset"), strict=True)))
def test_a_line_an_event(event: Event, kind: str) -> None:
    assert json.loads(jsonl.line(event))["type"] == kind
    assert "\n" not in jsonl.line(event)
    assert text.line(event) in text.write(Transcript("", 0, EVENTS))


def test_relabel_touches_segments_only() -> None:
    transcript = Transcript("a", 1.0, EVENTS).relabel(to_ipa)
    assert [segment.label for segment in transcript.segments] == ["SIL", "tʃ"]
    assert transcript.segments[1].revision == 3
    assert relabel(EVENTS[1], to_ipa) is EVENTS[1]
    assert json.loads(jsonl.write(transcript))["segments"][1]["label"] == "tʃ"
    assert jsonl.write(transcript).isascii()
    assert jsonl.line(transcript.segments[1]).isascii()


SPOKEN: tuple[Event, ...] = (
    Segment("HH", 0.0, 0.1, 0.9),
    Segment("AY", 0.1, 0.25, 0.9),
    Segment("SIL", 0.25, 0.5, 0.9),
    Segment("T", 0.5, 0.6, 0.9),
    Utterance(0.0, 0.6, ("HH", "AY", "T"), "length"),
    Segment("OW", 0.6, 0.75, 0.9),
    Utterance(0.6, 0.75, ("OW",), "pause"),
    Segment("SIL", 0.75, 2.0, 0.9),
)


def test_utterances_are_written_behind_their_segments() -> None:
    said = Transcript("a.wav", 2.0, SPOKEN)
    lines = text.write(said).splitlines()
    assert lines[5:9] == [
        "   0.000    0.600  (HH AY T)",
        "",
        "   0.600    0.750  OW    0.90",
        "   0.600    0.750  (OW)",
    ]
    assert json.loads(jsonl.write(said))["utterances"] == [
        {"start": 0.0, "end": 0.6, "labels": ["HH", "AY", "T"], "reason": "length"},
        {"start": 0.6, "end": 0.75, "labels": ["OW"], "reason": "pause"},
    ]
    assert jsonl.line(SPOKEN[6]) == (
        '{"type": "utterance", "start": 0.6, "end": 0.75, "labels": ["OW"], "reason": "pause"}'
    )
    assert 'name = "utterances"' in textgrid.write(said)
    assert 'text = "HH AY T"' in textgrid.write(said)
    assert 'name = "words"' in textgrid.write(Transcript("a.wav", 2.0, SPOKEN, unit="words"))


def test_cues_are_cut_where_utterances_end_and_there_alone() -> None:
    said = Transcript("a.wav", 2.0, SPOKEN)
    assert list(cues(said)) == [(0, 600, "HH AY T"), (600, 750, "OW")]
    plain = Transcript("a.wav", 2.0, tuple(event for event in SPOKEN if not isinstance(event, Utterance)))
    assert list(cues(plain)) == [(0, 250, "HH AY"), (500, 750, "T OW")]
    long = tuple(Segment("AA", float(second), second + 1.0, 0.9) for second in range(10))
    whole = Transcript("a.wav", 10.0, (*long, Utterance(0.0, 10.0, ("AA",) * 10, "end")))
    assert [cue[:2] for cue in cues(whole)] == [(0, 7000), (7000, 10000)]


def test_relabel_renames_utterances_too() -> None:
    assert relabel(SPOKEN[4], to_ipa) == Utterance(0.0, 0.6, ("h", "a\u026a", "t"), "length")
