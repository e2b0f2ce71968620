"""``--lexicon`` and ``--pause`` as users meet them: one file, many, live; and words that never change once told."""

import json
from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from batches import here, json_lines, results, transcribe
from helpers import SAMPLES, Tape, assert_same, finals
from streamcell.runtime import Event, Model, Segment, Stream, Utterance, sources
from streamcell.runtime.cli.decoding import decoded
from streamcell.runtime.cli.main import main
from streamcell.runtime.events import from_dict
from streamcell.runtime.find_words import find_words
from streamcell.runtime.lm import train_ngram, write_arpa
from streamcell.runtime.phones import ARPABET
from streamcell.runtime.sources import AudioFile
from streamcell.runtime.words import Lexicon, WordDecoder, read_dictionary

VOLUNTEER = str(SAMPLES / "volunteer.flac")
LINES = """\
there
is
a\tAH
police  P AH L IY S
station  S T EY SH AH N
on
on(2)  AO N
the
main road  M EY N | R OW D
"""
WORDS = ["there", "is", "a", "police", "station", "on", "the", "main road"]
DICTIONARY = "there DH EH1 R\nis IH1 Z\non AA1 N\nthe DH AH0\nthe(2) DH IY0\nlight L AY1 T\nlights L AY1 T S\n"


@pytest.fixture
def words(tmp_path: Path) -> list[str]:
    """Write a lexicon and a dictionary; return the options that name them."""
    (tmp_path / "words.txt").write_text(LINES, encoding="utf-8")
    (tmp_path / "small.dict").write_text(DICTIONARY, encoding="utf-8")
    return ["--lexicon", str(tmp_path / "words.txt"), "--dictionary", str(tmp_path / "small.dict")]


def said_in(text: str) -> list[str]:
    return [segment["label"] for segment in json.loads(text)["segments"]]


def test_a_file_becomes_words(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["transcribe", VOLUNTEER, *words, "--format", "jsonl"]) == 0
    found = said_in(capsys.readouterr().out)
    assert {"there", "station", "main road"} <= set(found) <= set(WORDS)
    model, lexicon = Model.open(), Lexicon.read(words[1], read_dictionary(words[3]))
    assert [entry.text for entry in lexicon.entries] == WORDS
    expected = find_words(model, VOLUNTEER, WordDecoder(model.manifest.outputs[0], lexicon))
    assert found == [segment.label for segment in expected.segments]


def test_utterances_are_lines_objects_and_cues(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    command = ["transcribe", VOLUNTEER, *words, "--pause", "0.5", "--format"]
    assert main([*command, "jsonl"]) == 0
    row = json.loads(capsys.readouterr().out)
    (one,) = row["utterances"]
    assert one["labels"] == [segment["label"] for segment in row["segments"]]
    assert (one["start"], one["end"]) == (row["segments"][0]["start"], row["segments"][-1]["end"])
    assert one["reason"] == "pause"
    assert main([*command, "text"]) == 0
    assert capsys.readouterr().out.endswith(f"({' '.join(one['labels'])})\n\n")
    assert main([*command, "srt"]) == 0
    assert capsys.readouterr().out.splitlines()[2:] == [" ".join(one["labels"]), ""]


def test_without_a_pause_nothing_is_new(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["transcribe", VOLUNTEER, "--format", "jsonl"]) == 0
    plain = json.loads(capsys.readouterr().out)
    assert main(["transcribe", VOLUNTEER, "--format", "jsonl", "--pause", "0.3"]) == 0
    paused = json.loads(capsys.readouterr().out)
    assert paused.pop("utterances")
    assert paused == plain


def test_many_files_in_processes_give_what_one_gives(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    kinds = ("text", "jsonl", "ctm", "textgrid", "srt", "vtt")
    command = [SAMPLES, *words, "--pause", "0.3", "--out", out, "--format", *kinds]
    code, err = transcribe(*command, "--jobs", 2)
    assert code == 0, err
    found = results(out)
    assert len(found) == 3 * len(kinds)
    for name in ("learner", "reader", "volunteer"):
        assert main(["transcribe", str(SAMPLES / f"{name}.flac"), *words, "--pause", "0.3", "--format", "jsonl"]) == 0
        alone, written = capsys.readouterr().out, found[f"{name}.jsonl"].decode()
        assert said_in(written) == said_in(alone)
        assert [one["labels"] for one in json.loads(written).get("utterances", [])] == [
            one["labels"] for one in json.loads(alone).get("utterances", [])
        ]
    assert b'name = "words"' in found["volunteer.TextGrid"]
    assert b'name = "utterances"' in found["volunteer.TextGrid"]
    assert b" station " in found["volunteer.ctm"]
    assert b"main road" in found["volunteer.vtt"]


def test_resume_knows_the_words_and_the_pause(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    command = [VOLUNTEER, "--out", out, "--format", "jsonl", "--resume"]
    assert "1 files done" in here(capsys, *command, *words)[1]
    assert "0 files done, 1 were done before" in here(capsys, *command, *words)[1]
    Path(words[1]).write_text("police  P AH L IY S\n", encoding="utf-8")
    assert "1 files done" in here(capsys, *command, *words)[1]
    (row,) = json_lines(out / "volunteer.jsonl")
    assert {segment["label"] for segment in row["segments"]} == {"police"}
    assert "1 files done" in here(capsys, *command, *words, "--pause", "0.5")[1]
    assert "0 files done, 1 were done before" in here(capsys, *command, *words, "--pause", "0.5")[1]


def test_the_microphone_tells_words_and_utterances(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with AudioFile(VOLUNTEER) as audio:
        samples = np.concatenate(list(audio))
    monkeypatch.setattr(sources, "Microphone", lambda _device: Tape(samples, {}))
    assert main(["mic", *words, "--format", "jsonl"]) == 0
    out, err = capsys.readouterr()
    events = [from_dict(json.loads(line)) for line in out.splitlines()]
    said = [event for event in events if isinstance(event, Segment)]
    assert isinstance(events[-1], Utterance)
    assert events[-1].labels == tuple(segment.label for segment in said)
    assert f"{len(said)} words" in err


with AudioFile(VOLUNTEER) as recording:
    SOUND, RATE = np.concatenate(list(recording)), recording.sample_rate
LEXICON = "police\tP AH L IY S\nstation\tS T EY SH AH N\nthe\tDH AH\non\tAA N\nmain\tM EY N\nroad\tR OW D\n"
MODEL = Model.open().with_decoder({"name": "words", "lexicon": LEXICON, "utterances": {"pause": 0.3}})


def told(stream: Stream, blocks: list[NDArray[np.float32]]) -> list[Event]:
    return [event for block in blocks for event in stream.push(block)]


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(0, len(SOUND)), max_size=40), st.integers(0, 40))
def test_what_was_told_never_changes(cuts: list[int], saved_at: int) -> None:
    """Whatever the blocks are, and wherever the stream is saved, words and utterances come once, in one order."""
    whole, stream = Stream(MODEL, RATE), Stream(MODEL, RATE)
    expected = finals([*told(whole, [SOUND]), *whole.flush()])
    assert {type(event) for event in expected} == {Segment, Utterance}
    blocks = np.split(SOUND, sorted(cuts))
    first = told(stream, blocks[:saved_at])
    again = Stream.restore(MODEL, stream.snapshot())
    rest = [*told(again, blocks[saved_at:]), *again.flush()]
    assert_same(finals([*first, *rest]), expected, 1e-4)
    done = set[int]()
    for segment in (event for event in (*first, *rest) if isinstance(event, Segment)):
        assert segment.id not in done
        if segment.final:
            done.add(segment.id)


@pytest.mark.parametrize(
    ("lines", "options", "message"),
    [
        ("there\nlihgt\nlihgts\nis\n", [], "no pronunciation of 2 words is known; write others, or their phones"),
        ("there\nlihgt\nlihgts\nis\n", [], "words.txt, line 2: 'lihgt' (near it: light"),
        ("there\nlihgt\nlihgts\nis\n", [], "words.txt, line 3: 'lihgts' (near it: lights"),
        ("lihgt\n", [], "words.txt, line 1: no pronunciation of 'lihgt' is known; the nearest entries are light"),
        ("\n", [], "words.txt is empty"),
        ("go  G OH\n", [], "words.txt, line 1: expected phones of ARPAbet"),
        ("is\n", ["--ipa"], "--ipa is for phones and --lexicon gives words"),
        ("is\n", ["--lm", "phones.arpa"], "--lm is for phones and --lexicon for words"),
    ],
)
def test_what_cannot_be_is_said(
    lines: str, options: list[str], message: str, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    Path(words[1]).write_text(lines, encoding="utf-8")
    assert main(["transcribe", VOLUNTEER, *words, *options]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("streamcell: error: ")
    assert message in err


def test_a_dictionary_alone_and_a_pause_of_nothing(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["transcribe", VOLUNTEER, *words[2:]]) == 2
    assert "--dictionary says how the words of a --lexicon are said" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["transcribe", VOLUNTEER, "--pause", "0"])
    assert "expected a number of seconds above 0, got '0'" in capsys.readouterr().err


def test_a_language_model_keeps_the_models_calibration(tmp_path: Path) -> None:
    path = tmp_path / "phones.arpa"
    path.write_text(write_arpa(train_ngram([["AA", "B"]], 2, tokens=ARPABET)), encoding="utf-8")
    asked = Namespace(lm=str(path), lexicon=None, dictionary=None, pause=0.7, ipa=False)
    model = Model.open()
    found = decoded(asked, model).manifest.decoder
    assert found["calibration"] == model.manifest.decoder["calibration"]
    assert found["utterances"] == {"pause": 0.7}
    assert found["name"] == "ctc-beam"


def test_the_models_own_utterances_are_kept(words: list[str]) -> None:
    model = Model.open()
    model = model.with_decoder({**model.manifest.decoder, "utterances": {"pause": 0.4, "longest": 9}})
    asked = Namespace(lm=None, lexicon=words[1], dictionary=words[3], pause=None, ipa=False)
    assert decoded(asked, model).manifest.decoder["utterances"] == {"pause": 0.4, "longest": 9}
