"""CTM, TextGrid, SubRip and WebVTT, read back by readers that know nothing of the writers."""

import json
import re
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamcell.runtime.errors import InputError
from streamcell.runtime.events import Event, Gap, Reset, Segment
from streamcell.runtime.formats import Transcript, ctm, jsonl, srt, text, textgrid, vtt
from streamcell.runtime.formats.names import FORMATS, find_format

ODD = 'a "b" -->\n\n<i>&amp; ; %20 é語'
SAID: tuple[Event, ...] = (
    Segment("SIL", 0.0, 0.5, 0.9),
    Segment("HH", 0.5, 0.56, 0.8),
    Segment("AY", 0.56, 0.9, 1.0),
    Gap(1.0, 1.1, 1600, "invalid", "fill"),
    Segment("SIL", 0.9, 1.2, 0.9),
    Segment(ODD, 1.2, 1.26, 0.0),
    Reset(1.5, "asked"),
)
HEARD = Transcript("calls/my ;call.v2.wav", 2.0000625, SAID)

Interval = tuple[float, float, str]


@st.composite
def transcripts(draw: st.DrawFn) -> Transcript:
    """Draw segments in order, with holes, pauses and gaps, and a duration near the last end."""
    at, events = 0.0, list[Event]()
    for _ in range(draw(st.integers(0, 60))):
        at += draw(st.sampled_from((0.0, 0.0, 1e-9, 0.03, 0.25, 1 / 3)))
        length = draw(st.sampled_from((0.0, 1e-8, 0.0004, 0.03, 0.1, 3.0, 9.0)))
        if draw(st.booleans()) and draw(st.booleans()):
            events.append(Gap(at, at + length, 5, "missing", "fill"))
        label = draw(st.sampled_from(("SIL", "AA", "K", ODD)))
        events.append(Segment(label, at, at + length, draw(st.floats(0, 1))))
        at += length
    return Transcript("a.wav", max(0.001, at + draw(st.sampled_from((-0.01, 0.0, 1 / 3)))), tuple(events))


def read_textgrid(written: str) -> tuple[float, dict[str, list[Interval]]]:
    """Read the long text form as Praat does: numbers and strings in their order, all else is decoration."""
    found = re.findall(r'"(?:[^"]|"")*"|(?<![\w"])-?\d+(?:\.\d+)?(?:e-?\d+)?(?![\w\]])|<exists>', written)
    values = iter([v[1:-1].replace('""', '"') if v[0] == '"' else v for v in found])
    assert (next(values), next(values)) == ("ooTextFile", "TextGrid")
    assert float(next(values)) == 0
    duration = float(next(values))
    assert next(values) == "<exists>"
    tiers: dict[str, list[Interval]] = {}
    for _ in range(int(next(values))):
        assert next(values) == "IntervalTier"
        name = next(values)
        assert (float(next(values)), float(next(values))) == (0, duration)
        count = int(next(values))
        tiers[name] = [(float(next(values)), float(next(values)), next(values)) for _ in range(count)]
    assert not list(values)
    return duration, tiers


def test_a_textgrid_has_pauses_gaps_and_every_phone() -> None:
    duration, tiers = read_textgrid(textgrid.write(HEARD))
    assert duration == 2.0000625
    assert tiers == {
        "phones": [
            (0.0, 0.5, ""),
            (0.5, 0.56, "HH"),
            (0.56, 0.9, "AY"),
            (0.9, 1.2, ""),
            (1.2, 1.26, ODD),
            (1.26, 2.0000625, ""),
        ],
        "gaps": [(0.0, 1.0, ""), (1.0, 1.1, "invalid: 1600 samples, fill"), (1.1, 2.0000625, "")],
    }


@given(transcripts())
@settings(deadline=None)
def test_the_tiers_of_a_textgrid_have_no_holes(transcript: Transcript) -> None:
    duration, tiers = read_textgrid(textgrid.write(transcript))
    assert duration == transcript.duration
    for intervals in tiers.values():
        assert (intervals[0][0], intervals[-1][1]) == (0, duration)
        assert all(a[1] == b[0] for a, b in pairwise(intervals))
        assert all(start < end for start, end, _ in intervals)
        assert not any(a[2] == b[2] == "" for a, b in pairwise(intervals))


def test_labels_that_hold_at_once_are_on_tiers_of_their_own() -> None:
    events = Segment("A", 0.0, 1.0, 1.0), Segment("B", 0.5, 0.7, 1.0), Segment("C", 0.7, 1.5, 1.0)
    _, tiers = read_textgrid(textgrid.write(Transcript("a", 2.0, events)))
    assert tiers["phones"] == [(0.0, 1.0, "A"), (1.0, 2.0, "")]
    assert tiers["phones 2"] == [(0.0, 0.5, ""), (0.5, 0.7, "B"), (0.7, 1.5, "C"), (1.5, 2.0, "")]


def test_praat_opens_a_textgrid(tmp_path: Path) -> None:
    parselmouth = pytest.importorskip("parselmouth", reason="praat-parselmouth is not installed")
    call = parselmouth.praat.call
    (tmp_path / "a.TextGrid").write_text(textgrid.write(HEARD), encoding="utf-8")
    grid = parselmouth.read(str(tmp_path / "a.TextGrid"))
    assert [call(grid, "Get tier name", tier) for tier in (1, 2)] == ["phones", "gaps"]
    assert call(grid, "Get total duration") == pytest.approx(2.0000625)
    labels = [call(grid, "Get label of interval", 1, i + 1) for i in range(call(grid, "Get number of intervals", 1))]
    assert labels == ["", "HH", "AY", "", ODD, ""]
    assert call(grid, "Get start time of interval", 1, 3) == pytest.approx(0.56)


@given(transcripts())
@settings(deadline=None)
def test_a_ctm_has_six_fields_and_rising_times(transcript: Transcript) -> None:
    lines = ctm.write(transcript).splitlines()
    spoken = [segment for segment in transcript.segments if segment.label != "SIL"]
    assert len(lines) == len(spoken)
    starts = []
    for line, segment in zip(lines, spoken, strict=True):
        assert re.fullmatch(r"[^\s;]\S* 1 \d+\.\d{3} \d+\.\d{3} \S+ [01]\.\d{3}", line)
        start, length = map(float, line.split()[2:4])
        assert start + length == pytest.approx(segment.end, abs=0.00051)
        starts.append(start)
    assert starts == sorted(starts)


def test_a_ctm_escapes_what_would_split_a_field() -> None:
    lines = ctm.write(HEARD).split("\n")
    assert lines[0] == "my%20;call.v2 1 0.500 0.060 HH 0.800"
    assert lines[2] == 'my%20;call.v2 1 1.200 0.060 a%20"b"%20-->%0A%0A<i>&amp;%20;%20%2520%20é語 0.000'
    assert ctm.write(Transcript(";a\udcff.wav", 2.0, SAID[1:2])).startswith("%3Ba%FF 1 ")


def srt_cues(written: str) -> list[Interval]:
    blocks = written.split("\n\n")
    assert blocks.pop() == ""
    found = []
    for number, block in enumerate(blocks, 1):
        index, times, words = block.split("\n")
        assert index == str(number)
        found.append((*_times(times, ","), words))
    return found


def vtt_cues(written: str) -> list[Interval]:
    header, *blocks = written.split("\n\n")
    assert header == "WEBVTT"
    assert blocks.pop() == ""
    found = []
    for block in blocks:
        times, words = block.split("\n")
        assert not re.search(r"[<>]|&(?!amp;|lt;|gt;)", words)
        found.append((*_times(times, r"\."), words))
    return found


def _times(line: str, mark: str) -> tuple[float, float]:
    found = re.fullmatch(
        rf"(\d\d+):([0-5]\d):([0-5]\d){mark}(\d{{3}}) --> (\d\d+):([0-5]\d):([0-5]\d){mark}(\d{{3}})", line
    )
    assert found, line
    numbers = list(map(int, found.groups()))
    start, end = ((h * 60 + m) * 60 + s + ms / 1000 for h, m, s, ms in (numbers[:4], numbers[4:]))
    return start, end


@pytest.mark.parametrize(("write", "read"), [(srt.write, srt_cues), (vtt.write, vtt_cues)])
def test_cues_are_phrases(write: Callable[[Transcript], str], read: Callable[[str], list[Interval]]) -> None:
    first, second = read(write(HEARD))
    assert first == (0.5, 0.9, "HH AY")
    assert second[:2] == (1.2, 1.26)
    assert "\n" not in second[2]
    assert read(write(Transcript("a", 1.0, ()))) == []
    many = tuple(Segment("K", i / 10, i / 10 + 0.1, 1.0) for i in range(100))
    assert [len(words.split()) for _, _, words in read(write(Transcript("a", 10.0, many)))] == [40, 40, 20]
    slow = tuple(Segment("K", i * 3.0, i * 3.0 + 3, 1.0) for i in range(4))
    assert [cue[:2] for cue in read(write(Transcript("a", 12.0, slow)))] == [(0, 6), (6, 12)]
    late = Segment("K", 363723.004, 363723.0041, 1.0)
    assert read(write(Transcript("a", 4e5, (late,)))) == [(363723.004, 363723.005, "K")]


@given(transcripts())
@settings(deadline=None)
def test_cues_hold_every_phone_in_order(transcript: Transcript) -> None:
    for cues in (srt_cues(srt.write(transcript)), vtt_cues(vtt.write(transcript))):
        assert all(start < end for start, end, _ in cues)
        starts = [start for start, _, _ in cues]
        assert starts == sorted(starts)
        spoken = [segment for segment in transcript.segments if segment.label != "SIL"]
        assert sum(words.count("AA") for _, _, words in cues) == sum(s.label == "AA" for s in spoken)


@given(transcripts(), st.booleans())
@settings(deadline=None)
def test_json_lines_keep_to_their_schema(transcript: Transcript, cut: bool) -> None:
    written = jsonl.write(Transcript(ODD, transcript.duration, transcript.events, cut))
    assert written.count("\n") == 1
    found = json.loads(written)
    assert json.dumps(found) + "\n" == written
    assert {"file": str, "duration": float, "segments": list}.items() <= {k: type(v) for k, v in found.items()}.items()
    assert set(found) <= {"file", "duration", "segments", "gaps", "cut"}
    assert [list(one) for one in found["segments"]] == [["label", "start", "end", "confidence"]] * len(
        transcript.segments
    )
    assert all(list(one) == ["start", "end", "samples", "reason", "action"] for one in found.get("gaps", []))
    assert found.get("cut", False) is cut


@given(transcripts())
@settings(deadline=None, max_examples=20)
def test_parts_are_the_whole(transcript: Transcript) -> None:
    for module in (ctm, jsonl, srt, text, textgrid, vtt):
        assert "".join(module.parts(transcript)) == module.write(transcript)


def test_formats_are_found_by_name() -> None:
    assert [form.suffix for form in FORMATS.values()] == [".txt", ".jsonl", ".ctm", ".TextGrid", ".srt", ".vtt"]
    with pytest.raises(InputError, match="there is no format 'praat'; there are text, jsonl"):
        find_format("praat")
