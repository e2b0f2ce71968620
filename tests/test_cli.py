# ruff: noqa: RUF001 - IPA letters are meant to look like Latin ones
import argparse
import hashlib
import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType

import numpy as np
import onnx
import pytest
import soundfile

from helpers import LABELS, SAMPLES, tiny_manifest, tiny_model
from streamcell.export.graph import with_manifest
from streamcell.runtime.cli import main as cli
from streamcell.runtime.cli import mic, options, transcribe
from streamcell.runtime.cli.main import main
from streamcell.runtime.manifest import Parity
from streamcell.runtime.model import Model

SPEECH = Path("samples/phonemes/learner.flac")
COMMANDS = (
    *("transcribe", "mic", "spot", "align", "vad", "classify", "label", "forecast", "generate"),
    *("plot", "inspect", "verify", "bench", "lm", "train", "gradients", "export", "adopt", "import"),
    *("average", "drift", "quantize", "unpack"),
)


@pytest.fixture
def model(tmp_path: Path) -> str:
    path = tmp_path / "tiny.onnx"
    path.write_bytes(tiny_model(samples_per_step=160, sample_rate=16000))
    return str(path)


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    """Run the command line in this process; return exit code, stdout, stderr."""
    try:
        code = main([str(argument) for argument in arguments])
    except SystemExit as end:
        code = int(end.code or 0)
    out, err = capsys.readouterr()
    assert "Traceback" not in err
    return code, out, err


def outside(
    *arguments: object, code: str = "from streamcell.runtime.cli.main import main; sys.exit(main(sys.argv[1:]))"
) -> "subprocess.CompletedProcess[str]":
    call = [sys.executable, "-c", f"import sys; {code}", *map(str, arguments)]
    return subprocess.run(call, capture_output=True, text=True, check=False, timeout=120)


# streamcell


def test_help_lists_the_commands_and_teaches(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "--help")
    assert (code, err) == (0, "")
    for name in COMMANDS:
        assert f"\n  {name} " in out
    assert "examples:\n  streamcell transcribe speech.wav" in out
    code, out, err = run(capsys)
    assert (code, out) == (2, "")
    assert "commands:" in err


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_has_examples(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, name, "--help")
    assert code == 0
    assert out.startswith(f"usage: streamcell {name}")
    assert f"examples:\n  streamcell {name}" in out


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "--version")
    assert code == 0
    assert out.startswith("streamcell 0.")


def test_python_m_is_the_same(model: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "streamcell", "inspect", model], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("model")


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("transcibe", "Did you mean `streamcell transcribe`?"),
        ("verfy", "Did you mean `streamcell verify`?"),
        ("qqqqqq", "There are: "),
        (str(SPEECH), f"Did you mean `streamcell transcribe {SPEECH}`?"),
    ],
)
def test_an_unknown_command_is_answered_with_the_nearest(
    name: str, advice: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = run(capsys, name)
    assert (code, out) == (2, "")
    assert err.startswith(f"streamcell: error: unknown command {name!r}. {advice}")


def test_an_unknown_option_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "--nope")[0] == 2
    assert run(capsys, "transcribe", "a.wav", "--nope")[0] == 2


@pytest.mark.parametrize("arguments", [["--help"], ["transcribe", "--help"], ["mic", "--help"], ["vad", "--help"]])
def test_help_needs_nothing_heavy(arguments: list[str]) -> None:
    code = (
        "from streamcell.runtime.cli.main import main\ntry: main(sys.argv[1:])\nexcept SystemExit: pass\n"
        "heavy = {'torch', 'onnx', 'librosa', 'scipy', 'rich', 'sounddevice', 'onnxruntime'}\n"
        "print('LOADED', *sorted(heavy & set(sys.modules)))"
    )
    assert outside(*arguments, code=code).stdout.splitlines()[-1].strip() == "LOADED"


def test_transcribe_never_imports_torch(model: str) -> None:
    code = (
        "from streamcell.runtime.cli.main import main\ncode = main(sys.argv[1:])\n"
        "print(code, *sorted({'torch', 'onnx', 'librosa', 'scipy', 'rich', 'sounddevice'} & set(sys.modules)))"
    )
    assert outside("transcribe", SPEECH, "--model", model, code=code).stdout.splitlines()[-1].strip() == "0"


BAD = {
    "missing": "no_such_module_anywhere",
    "empty": "json",
    "raises": "bad_command",
}


@pytest.fixture
def strangers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Install broken third-party commands, one of them under a name of ours."""
    (tmp_path / "bad_command.py").write_text("raise SystemExit('no')\n")
    monkeypatch.syspath_prepend(tmp_path)
    bad = [EntryPoint(name, value, cli.GROUP) for name, value in {**BAD, "inspect": "bad_command"}.items()]
    real = list(entry_points(group=cli.GROUP))
    monkeypatch.setattr(cli, "entry_points", lambda group: [*real, *bad] if group == cli.GROUP else [])


@pytest.mark.usefixtures("strangers")
def test_a_broken_command_of_another_package_kills_nothing(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "--help")
    assert code == 0
    assert "\n  transcribe   print" in out
    for name, value in BAD.items():
        assert f"(the command '{name}' ({value}) " in out
        code, _, err = run(capsys, name)
        assert code == 2
        assert f"streamcell: error: the command '{name}' ({value})" in err
    assert run(capsys, "inspect", model)[0] == 0, "ours wins over another package's command of the same name"


def test_a_closed_pipe_ends_quietly(model: str) -> None:
    call = f"{sys.executable} -m streamcell transcribe {SPEECH} {SPEECH} --model {model} | head -n 1"
    done = subprocess.run(["bash", "-c", f"set -o pipefail; {call}"], capture_output=True, text=True, check=False)
    assert done.stdout.count("\n") == 1
    assert done.stderr == ""
    assert done.returncode in {0, 141}


@pytest.mark.parametrize("closed", ["1", "2"])
def test_a_closed_output_is_written_to_nowhere(closed: str, model: str) -> None:
    call = f"{sys.executable} -m streamcell inspect {model} {closed}>&-"
    done = subprocess.run(["bash", "-c", call], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("model" if closed == "2" else "")


def test_an_empty_name_is_no_default(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "transcribe", SPEECH, "--model", "")
    assert (code, out) == (2, "")
    assert err.startswith("streamcell: error: .: is no file")


@pytest.mark.parametrize(("command", "default"), [(mic, "phonemes-en-live"), (transcribe, "phonemes-en")])
def test_live_speech_has_a_default_model_of_its_own(command: ModuleType, default: str) -> None:
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    args = parser.parse_args([] if command is mic else [str(SPEECH)])
    assert options.open_model(args).manifest.name == default
    assert f"(default: {default})" in " ".join(parser.format_help().split())


def test_an_interrupt_ends_with_130(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupt(_arguments: list[str]) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "_run", interrupt)
    assert run(capsys, "mic") == (130, "", "")


# transcribe


def test_text_and_jsonl_say_the_same(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "transcribe", SPEECH, "--model", model)
    assert (code, err) == (0, "")
    header, *rows = out.splitlines()
    assert header == f"{SPEECH}  2.630 s"
    code, out, _ = run(capsys, "transcribe", SPEECH, "--model", model, "--format", "jsonl")
    (found,) = map(json.loads, out.splitlines())
    assert list(found) == ["file", "duration", "segments"]
    assert (found["file"], found["duration"]) == (str(SPEECH), 2.63)
    assert all(list(segment) == ["label", "start", "end", "confidence"] for segment in found["segments"])
    assert [row.split() for row in rows] == [
        [f"{one['start']:.3f}", f"{one['end']:.3f}", one["label"], row.split()[3]]
        for one, row in zip(found["segments"], rows, strict=True)
    ]
    assert {one["label"] for one in found["segments"]} <= set(LABELS[1:])


def test_ipa(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    plain = json.loads(run(capsys, "transcribe", SPEECH, "--model", model, "--format", "jsonl")[1])
    ipa = json.loads(run(capsys, "transcribe", SPEECH, "--model", model, "--format", "jsonl", "--ipa")[1])
    table = {"SIL": "SIL", "AA": "ɑ", "B": "b", "K": "k", "S": "s"}
    assert [table[one["label"]] for one in plain["segments"]] == [one["label"] for one in ipa["segments"]]


def test_ipa_of_other_labels_is_refused_before_any_work(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base = tiny_manifest().outputs[0]
    labels = ("<blank>", "SIL", "walk", "run", "sit", "fall")
    path = tmp_path / "other.onnx"
    path.write_bytes(tiny_model(outputs=(replace(base, labels=labels),)))
    code, out, err = run(capsys, "transcribe", SPEECH, "--ipa", "--model", path)
    assert (code, out) == (2, "")
    assert "walk, run, sit, fall" in err


def test_labels_of_a_stranger_do_not_command_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base = tiny_manifest().outputs[0]
    path = tmp_path / "other.onnx"
    labels = (*base.labels[:2], *(f"{label}\x1b[2J" for label in base.labels[2:]))
    path.write_bytes(tiny_model(outputs=(replace(base, labels=labels),)))
    code, out, _ = run(capsys, "transcribe", SPEECH, "--model", path)
    assert code == 0
    assert "\\x1b[2J  " in out
    assert "\x1b" not in out + run(capsys, "inspect", path)[1]
    told = json.loads(run(capsys, "transcribe", SPEECH, "--model", path, "--format", "jsonl")[1])
    assert {one["label"] for one in told["segments"]} <= set(labels)
    cues = run(capsys, "transcribe", SPEECH, "--model", path, "--format", "srt")[1]
    assert "\\x1b[2J" in cues
    assert "\x1b" not in cues


def test_the_same_for_sensors_and_whole_gestures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, example, command in (
        ("gestures/gestures", "gestures/example.csv", "classify"),
        ("handwriting/handwriting", "handwriting/drawing.csv", "label"),
    ):
        model = onnx.load(SAMPLES.parent / f"{name}.onnx")
        manifest = Model.open(SAMPLES.parent / f"{name}.onnx").manifest
        output = manifest.outputs[0]
        odd = replace(output, labels=tuple(f"{label}\x1b[2J" for label in output.labels))
        path = tmp_path / f"{command}.onnx"
        path.write_bytes(with_manifest(model, replace(manifest, outputs=(odd,), name="odd\x1b[2J")).SerializeToString())
        arguments = (
            (path, SAMPLES.parent / example) if command == "label" else (SAMPLES.parent / example, "--model", path)
        )
        code, out, err = run(capsys, command, *arguments)
        assert code == 0
        assert "\\x1b[2J" in out
        assert "\x1b" not in out + err


def test_one_bad_file_does_not_keep_the_others(model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cut = tmp_path / "cut.flac"
    cut.write_bytes(SPEECH.read_bytes()[: SPEECH.stat().st_size // 2])
    files = [SPEECH, tmp_path / "none.wav", cut, SPEECH]
    code, out, err = run(capsys, "transcribe", *files, "--model", model, "--format", "jsonl")
    assert code == 2
    assert [json.loads(line)["file"] for line in out.splitlines()] == [str(SPEECH), str(cut), str(SPEECH)]
    assert f"streamcell: error: no such file: {tmp_path / 'none.wav'}" in err
    assert f"streamcell: warning: {cut} is cut or damaged" in err


def test_a_cut_file_is_printed_and_reported(model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cut = tmp_path / "cut.flac"
    cut.write_bytes(SPEECH.read_bytes()[: SPEECH.stat().st_size * 6 // 10])
    code, out, err = run(capsys, "transcribe", cut, "--model", model)
    assert code == 1
    assert len(out.splitlines()) > 3
    assert err.count("\n") == 1
    assert "cut or damaged; only its first" in err


def test_a_blink_of_audio_is_no_error(model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    soundfile.write(tmp_path / "a.wav", np.zeros(80), 16000)
    code, out, err = run(capsys, "transcribe", tmp_path / "a.wav", "--model", model, "--format", "jsonl")
    assert code == 0
    assert json.loads(out) == {"file": str(tmp_path / "a.wav"), "duration": 0.005, "segments": []}
    assert err == f"streamcell: note: nothing was found in {tmp_path / 'a.wav'} (0.005 s of audio)\n"


@pytest.mark.parametrize("kind", ["none", "folder", "text", "empty", "nan", "loud", "raw"])
def test_bad_audio_is_one_line_and_2(kind: str, model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / ("a.RAW" if kind == "raw" else f"{kind}.wav")
    if kind == "folder":
        path.mkdir()
    elif kind in {"nan", "loud"}:
        soundfile.write(path, np.full(9000, np.nan if kind == "nan" else 1e4), 16000, subtype="FLOAT")
    elif kind != "none":
        path.write_text("hello\n" * 100 if kind == "text" else "")
    code, out, err = run(capsys, "transcribe", path, "--model", model)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("streamcell: error: ")
    assert str(path) in err


def test_a_bad_model_is_one_line_and_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = tiny_model()
    bad = {
        "truncated": whole[: len(whole) // 2],
        "bare": tiny_model(with_manifest=False),
        "text": b"hello world",
        "empty": b"",
        "broken": tiny_model(manifest="{"),
    }
    for name, data in bad.items():
        path = tmp_path / f"{name}.onnx"
        path.write_bytes(data)
        for call in (["transcribe", SPEECH, "--model", path], ["inspect", path], ["verify", path]):
            code, out, err = run(capsys, *call)
            assert (code, out, err.count("\n")) == (2, "", 1), f"{name}: {err}"
            assert err.startswith(f"streamcell: error: {path}")
    assert "no such file" in run(capsys, "transcribe", SPEECH, "--model", tmp_path / "none.onnx")[2]


def test_names_that_are_not_unicode_are_printed(model: str, tmp_path: Path) -> None:
    path = os.fsencode(tmp_path) + b"/\xff.flac"
    with open(path, "wb") as file:  # noqa: PTH123
        file.write(SPEECH.read_bytes())
    call = [
        sys.executable.encode(),
        b"-m",
        b"streamcell",
        b"transcribe",
        path,
        b"--format",
        b"jsonl",
        b"--model",
        os.fsencode(model),
    ]
    env = {**os.environ, "PYTHONUTF8": "1"}
    done = subprocess.run(call, capture_output=True, text=True, check=True, env=env)
    assert os.fsencode(json.loads(done.stdout)["file"]) == path


def test_jsonl_is_json_in_any_encoding(model: str, tmp_path: Path) -> None:
    path = tmp_path / "é.flac"
    path.write_bytes(SPEECH.read_bytes())
    call = [sys.executable, "-m", "streamcell", "transcribe", str(path), "--format", "jsonl", "--ipa", "--model", model]
    env = {**os.environ, "PYTHONIOENCODING": "ascii"}
    found = json.loads(subprocess.run(call, capture_output=True, text=True, check=True, env=env).stdout)
    assert found["file"] == str(path)
    assert "ɑ" in {segment["label"] for segment in found["segments"]}


def test_gaps_are_shown_where_they_are_asked_for(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, samples = tmp_path / "a.wav", soundfile.read(SPEECH, dtype="float32")[0]
    samples[16000:16160] = np.nan
    soundfile.write(path, samples, 16000, subtype="FLOAT")
    for command in ("transcribe", "vad"):
        code, out, err = run(capsys, command, path, "--model", model)
        assert (code, out) == (2, "")
        assert "not a finite number, at 1.000 s" in err
        code, out, _ = run(capsys, command, path, "--model", model, "--gap")
        assert code == 0
        assert "   1.000    1.010  (gap: 160 samples lost, invalid; fill)\n" in out
        found = json.loads(run(capsys, command, path, "--model", model, "--gap", "--format", "jsonl")[1])
        gap = {"start": 1.0, "end": 1.01, "samples": 160, "reason": "invalid", "action": "fill"}
        assert found["gaps"] == [gap]


# vad


def test_vad_says_where_speech_is_and_how_much(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "vad", SPEECH, SPEECH.with_name("reader.flac"))
    assert code == 0
    assert re.fullmatch(r"streamcell: 4\.\d of 6\.2 s are speech \(\d\d%\)\n", err)
    header, first, *_ = out.splitlines()
    assert header == f"{SPEECH}  2.630 s"
    assert first.split()[2] == "speech"
    assert [float(text) for text in first.split()[:2]] == pytest.approx([0.55, 2.12], abs=0.15)
    code, out, _ = run(capsys, "vad", SPEECH, "--format", "jsonl")
    (found,) = map(json.loads, out.splitlines())
    assert (found["file"], found["duration"], len(found["segments"])) == (str(SPEECH), 2.63, 1)
    assert list(found["segments"][0]) == ["label", "start", "end", "confidence"]


def test_vad_cuts_speech_into_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "new" / "clips"
    call = ["vad", SPEECH, "--cut", folder, "--max-speech", 1, "--padding", 0, "--format", "jsonl"]
    code, out, _ = run(capsys, *call)
    assert code == 0
    segments = json.loads(out)["segments"]
    assert len(segments) >= 2
    whole = soundfile.read(SPEECH, dtype="int16")[0]
    clips = sorted(folder.iterdir())
    assert len(clips) == len(segments)
    for clip, segment in zip(clips, segments, strict=True):
        start, end = segment["start"], segment["end"]
        assert clip.name == f"learner_{start:09.3f}-{end:09.3f}.wav"
        samples, rate = soundfile.read(clip, dtype="int16")
        np.testing.assert_array_equal(samples, whole[round(start * rate) : round(end * rate)])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--threshold", "2"], "threshold must be a number above 0 to 1, got 2.0"),
        (["--release", "0.6"], "release must be a number above 0 to 0.5, got 0.6"),
        (["--min-speech", "-1"], "min_duration must be a number from 0, got -1.0"),
        (["--min-silence", "nan"], "min_gap"),
        (["--padding", "0.1"], "padding must be a number from 0 to 0.05, got 0.1"),
        (["--max-speech", "0.2"], "max_duration must be at least 0.34 s"),
        (["--cut", "{file}"], "--cut"),
        (["{file}", "--cut", "{folder}"], "would have the same names; cut them into other folders"),
    ],
)
def test_vad_with_settings_that_make_no_sense_is_one_line_and_2(
    arguments: list[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [text.format(file=SPEECH, folder=tmp_path) for text in arguments]
    code, out, err = run(capsys, "vad", SPEECH, *given)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert words in err


def test_vad_needs_a_model_that_tells_speech(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "other.onnx"
    path.write_bytes(tiny_model(outputs=(replace(tiny_manifest().outputs[0], silence=None),)))
    code, out, err = run(capsys, "vad", SPEECH, "--model", path)
    assert (code, out) == (2, "")
    assert "does not tell where speech is" in err


def test_vad_does_what_it_can(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cut, quiet = tmp_path / "cut.flac", tmp_path / "quiet.wav"
    cut.write_bytes(SPEECH.read_bytes()[: SPEECH.stat().st_size // 2])
    soundfile.write(quiet, np.zeros(16000), 16000)
    code, out, err = run(capsys, "vad", cut, quiet)
    assert code == 1
    assert out.count("speech") == 1
    assert f"streamcell: warning: {cut} is cut or damaged" in err
    assert f"streamcell: note: nothing was found in {quiet}" in err
    code, out, err = run(capsys, "vad", tmp_path / "none.wav", quiet)
    assert code == 2
    assert f"{quiet}  1.000 s" in out
    assert err.startswith("streamcell: error: no such file")
    assert err.endswith("streamcell: 0.0 of 1.0 s are speech (0%)\n")


# inspect and verify


def test_inspect_says_what_is_in_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = tiny_model(
        samples_per_step=160,
        sample_rate=16000,
        parity=Parity(1e-4, 1e-6, 2e-6, 40),
        training={"data": ["a", "b"], "figures": {"PER": 0.43}},
    )
    path = tmp_path / "tiny.onnx"
    path.write_bytes(data)
    code, out, err = run(capsys, "inspect", path)
    assert (code, err) == (0, "")
    for text in (
        "tiny: A random network for tests.",
        "samples: audio, float32 [B, N], 16000 Hz",
        "160 samples, 10 ms; look-ahead 10 ms",
        "h0 -> h0_next: float32 [1, B, 8], begins as 0",
        "tail -> tail_next: float32 [B, 8]",
        "<blank> SIL AA B K S (blank: <blank>, silence: SIL)",
        "up to 0.5 s: heard as silence; longer: the state is reset",
        "within 0.0001 (measured: outputs 1.0e-06, states",
        "data: a, b",
        "figures: PER 0.43",
        "Apache-2.0",
        hashlib.sha256(data).hexdigest(),
        f"{len(data) / 1e6:.2f} MB",
    ):
        assert text in out
    code, out, _ = run(capsys, "inspect", path, "--json")
    assert json.loads(out)["training"]["figures"] == {"PER": 0.43}


def test_verify_prints_a_table_for_each_input(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "verify", model, "--audio", SPEECH)
    assert (code, err) == (0, "")
    random, audio = out.strip().split("\n\n")
    assert random.startswith("tiny, random input:\nbatch  state")
    assert audio.startswith(f"tiny, {SPEECH}:\nbatch  state")
    for table in (random, audio):
        assert "blocks of 481" in table
        assert table.endswith("bound 0.0001: kept")


def test_verify_fails_where_the_bound_is_broken(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "tiny.onnx"
    path.write_bytes(tiny_model(parity=Parity(1e-12, 0.0, 0.0, 1)))
    code, out, _ = run(capsys, "verify", path)
    assert code == 1
    assert out.endswith("bound 1e-12: BROKEN\n\n")


def test_verify_does_not_take_the_files_word_for_a_loose_bound(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "tiny.onnx"
    path.write_bytes(tiny_model(parity=Parity(1e9, 0.0, 0.0, 1)))
    code, out, err = run(capsys, "verify", path)
    assert code == 0
    assert out.endswith("bound 0.0001: kept\n\n")
    assert err == "streamcell: warning: the model's own bound is 1e+09; judged by 0.0001\n"
