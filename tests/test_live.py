# ruff: noqa: RUF001 - IPA letters are meant to look like Latin ones
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

from helpers import tiny_model
from streamcell.runtime.cli.live import _View, live
from streamcell.runtime.errors import SourceError
from streamcell.runtime.events import Reset, Segment, Utterance
from streamcell.runtime.transcribe import Heard

SPEECH = Path("samples/phonemes/learner.flac")


def phones(numbers: range) -> Heard:
    segments = [Segment("HH", number / 10, number / 10 + 0.1, 1.0, id=number) for number in numbers]
    return Heard([*segments], numbers.stop / 10, -20.0, 0.1, 0)


@pytest.mark.parametrize("end", [SourceError, KeyboardInterrupt])
def test_what_was_said_is_printed_even_if_the_device_goes_away(
    end: type[BaseException], capsys: pytest.CaptureFixture[str]
) -> None:
    def talk() -> None:
        with live(str) as show:
            show(phones(range(5, 8)))
            raise end

    with pytest.raises(end):
        talk()
    assert "    0.50  HH HH HH\n" in capsys.readouterr().out


def test_where_no_pause_comes_a_line_ends_after_100_phones(capsys: pytest.CaptureFixture[str]) -> None:
    with live(str) as show:
        for number in range(250):
            show(phones(range(number, number + 1)))
    out = capsys.readouterr().out
    assert re.findall(r"^ +([0-9.]+)  HH", out, re.MULTILINE) == ["0.00", "10.00", "20.00"]
    assert out.count("HH") == 250


def test_where_utterances_are_told_a_pause_alone_ends_no_line(capsys: pytest.CaptureFixture[str]) -> None:
    told = Utterance(0.5, 0.8, ("HH",) * 3, "pause")
    pause = Segment("SIL", 0.8, 1.0, 1.0, id=8)
    with live(str, utterances=True) as show:
        show(phones(range(5, 8)))
        show(Heard([pause], 1.0, -20.0, 0.1, 0))
        assert "HH HH HH\n" not in capsys.readouterr().out
        show(Heard([told, Segment("HH", 1.4, 1.5, 0.9, final=False, id=9)], 1.5, -20.0, 0.1, 0))
        assert "    0.50  HH HH HH\n" in capsys.readouterr().out


def test_resets_by_the_manifests_policy_are_no_lines() -> None:
    view = _View(str, utterances=False)
    events = [Reset(1.0, "silence"), Reset(2.0, "interval"), Reset(3.0, "gap")]
    lines = [str(line) for line in view.add(Heard([*events], 3.0, -20.0, 0.1, 0))]
    assert len(lines) == 1
    assert "gap" in lines[0]


def test_what_was_guessed_and_is_guessed_no_more_goes() -> None:
    def guess(*labels: str) -> Heard:
        said = [Segment(label, 0.1, 0.2, 0.9, final=False, id=number) for number, label in enumerate(labels)]
        return Heard([*said], 1.0, -20.0, 0.1, 0)

    view = _View(str, utterances=True)
    for labels in (("turn", "on", "the"), ("turn", "off")):
        assert not list(view.add(guess(*labels)))
    assert view.phones(80).plain == " turn off"


def test_the_live_view_in_a_terminal(tmp_path: Path) -> None:
    """Show a recording in a real pseudo-terminal, through the live view that the microphone command uses."""
    model = tmp_path / "tiny.onnx"
    model.write_bytes(tiny_model(samples_per_step=160, sample_rate=16000))
    program = f"""
import time, soundfile
from streamcell.runtime.cli.live import live
from streamcell.runtime.events import Gap
from streamcell.runtime.model import Model
from streamcell.runtime.phones import to_ipa
from streamcell.runtime.stream import Stream
from streamcell.runtime.transcribe import Heard
stream = Stream(Model.open({str(model)!r}), 16000)
samples, _ = soundfile.read({str(SPEECH)!r}, dtype="float32")
with live(to_ipa) as show:
    for start in range(0, len(samples), 480):
        show(Heard(stream.push(samples[start : start + 480]), stream.time, -20.5, 0.062, 7))
    time.sleep(0.3)
    show(Heard([*stream.flush(), Gap(2.6, 2.7, 1600, "overflow", "fill")], stream.time, -100.0, 0.062, 7))
"""
    parent, child = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=child,
        stderr=subprocess.PIPE,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "100"},
    ) as process:
        os.close(child)
        shown = b""
        while True:
            try:
                part = os.read(parent, 65536)
            except OSError:
                break
            if not part:
                break
            shown += part
        assert process.stderr is not None
        assert process.stderr.read() == b""
    os.close(parent)
    text = shown.decode()
    assert process.returncode == 0
    assert "-20.5 dBFS" in text
    assert "62 ms behind" in text
    assert "7 dropped" in text
    assert "(gap: 1600 samples lost, overflow; fill)" in text
    assert "ɑ" in text
