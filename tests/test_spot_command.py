import json
from pathlib import Path

import numpy as np
import pytest

from helpers import SAMPLES, Tape
from streamcell.runtime import sources
from streamcell.runtime.cli.main import main
from streamcell.runtime.sources import AudioFile

VOLUNTEER = str(SAMPLES / "volunteer.flac")
PHONES = "/AA N/ /DH AH/ /M EY N/ /R OW D/"


def test_a_phrase_of_words_is_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dictionary = tmp_path / "small.dict"
    dictionary.write_text("the DH AH0\nmain M EY1 N\nroad R OW1 D\n", encoding="utf-8")
    assert main(["spot", "the main road", VOLUNTEER, "--dictionary", str(dictionary)]) == 0
    out, err = capsys.readouterr()
    header, line = out.splitlines()
    start, end, *phrase, score = line.split()
    assert header.startswith(VOLUNTEER)
    assert phrase == ["the", "main", "road"]
    assert 1.9 < float(start) < float(end) < 3.4
    assert 0 < float(score) <= 1
    assert "for 0.1 false alarms per phrase and hour (measured with phonemes-en on speakers held out" in err


def test_phrases_come_as_phones_and_from_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    listed = tmp_path / "orders.txt"
    listed.write_text("police station\tP AH L IY S S T EY SH AH N\n", encoding="utf-8")
    command = ["spot", PHONES, VOLUNTEER, str(SAMPLES / "reader.flac"), "--phrases", str(listed), "--format", "jsonl"]
    assert main([*command, "--threshold", "0.07"]) == 0
    out, err = capsys.readouterr()
    there, elsewhere = map(json.loads, out.splitlines())
    assert [segment["label"] for segment in there["segments"]] == ["police station", PHONES]
    assert elsewhere["segments"] == []
    assert "threshold" not in err


def test_more_false_alarms_lower_the_threshold(capsys: pytest.CaptureFixture[str]) -> None:
    thresholds = []
    for rate in ("0.1", "3"):
        assert main(["spot", PHONES, VOLUNTEER, "--false-alarms", rate]) == 0
        thresholds.append(float(capsys.readouterr().err.split("threshold ")[1].split()[0]))
    assert thresholds[0] > thresholds[1]


def test_a_phrase_that_is_too_short_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["spot", "/M EY/", VOLUNTEER]) == 0
    assert "warning: '/M EY/' is too short to be found: its score never exceeds 0.0" in capsys.readouterr().err


def test_the_microphone_is_heard_until_it_ends(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with AudioFile(VOLUNTEER) as audio:
        samples = np.concatenate(list(audio))
    monkeypatch.setattr(sources, "Microphone", lambda _device: Tape(samples, {}))
    assert main(["spot", PHONES, "mic", "--format", "jsonl"]) == 0
    (event,) = map(json.loads, capsys.readouterr().out.splitlines())
    assert event["label"] == PHONES
    assert event["type"] == "segment"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["police station", VOLUNTEER], "no pronunciation of 2 words is known; give a dictionary"),
        ([VOLUNTEER], "expected a phrase, got none"),
        ([PHONES], "expected audio files, or mic alone, behind the phrases; got '/AA N/ /DH AH"),
        (["", VOLUNTEER], "one of the phrases is empty"),
        ([PHONES, VOLUNTEER, "--seconds", "3"], "--seconds is for the microphone"),
        ([PHONES, VOLUNTEER, "--device", "3"], "--device is for the microphone"),
        ([PHONES, VOLUNTEER, "mic"], "expected audio files, or mic alone"),
        ([PHONES, VOLUNTEER, "--threshold", "2"], "threshold must be a number above 0 to 1, got 2.0"),
        ([PHONES, VOLUNTEER, "--false-alarms", "0"], "false alarms must be a number per phrase-hour above 0"),
        ([PHONES, "missing.wav"], "missing.wav"),
        ([PHONES, VOLUNTEER, "--dictionary", "missing.dict"], "missing.dict cannot be read"),
        (["/P AX/", VOLUNTEER], "expected phones of ARPAbet (AA, AE, AH, AO, ...), got 'AX'"),
    ],
)
def test_what_cannot_be_is_one_line(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["spot", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "streamcell: error: " in err
    assert message in err
