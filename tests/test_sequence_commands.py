"""streamcell generate, label and forecast: what they print, and how they refuse."""

import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from PIL import Image

from helpers import noise, tiny_model
from sequences import LETTERS, described, letters, network_for, pair, rows, writer
from sequences import data as file_of
from streamcell.export.graph import build_model
from streamcell.runtime.beam_text import beam_text
from streamcell.runtime.forecast import forecast
from streamcell.runtime.generate import generate
from streamcell.runtime.linked import Linked
from streamcell.runtime.manifest import InputSpec
from streamcell.runtime.model import Model
from streamcell.runtime.sampling import Sampling
from test_cli import run
from test_forecast import forecaster, history
from test_label import KINDS

IMAGE = (8, 6, 3)
PICTURE = rows(8 * 6 * 3, image=IMAGE)


class Files:
    """Models in files, each made once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, name: str) -> Path:
        path = self.folder / f"{name}.onnx"
        if not path.exists():
            path.write_bytes(getattr(self, f"_{name}")())
        return path

    def _writer(self) -> bytes:
        network, model = writer()
        return file_of(network, model.manifest)

    def _endless(self) -> bytes:
        network, model = writer(decoder={"stop": ""})
        return file_of(network, model.manifest)

    def _first(self) -> bytes:
        network, model, _, _ = pair()
        return file_of(network, model.manifest)

    def _second(self) -> bytes:
        _, _, network, model = pair()
        return file_of(network, model.manifest)

    def _seeing(self) -> bytes:
        network, model, _, _ = pair(PICTURE)
        return file_of(network, model.manifest)

    def _telling(self) -> bytes:
        _, _, network, model = pair(PICTURE)
        return file_of(network, model.manifest)

    def _names(self) -> bytes:
        return self._labels(letters())

    def _points(self) -> bytes:
        return self._labels(rows(2, channel_names=("x", "y")))

    def _still(self) -> bytes:
        return self._labels(PICTURE, layers=0)

    def _frames(self) -> bytes:
        spec = rows(8 * 6 * 3, 10, image=IMAGE)
        return self._labels(spec, "frames", decoder={"name": "smoothed", "smoothing": 0.0, "min_duration": 0.0})

    def _sound(self) -> bytes:
        return tiny_model(task="sequence", samples_per_step=160, sample_rate=16000)

    def _spoken(self) -> bytes:
        return tiny_model(samples_per_step=160, sample_rate=16000)

    def _moves(self) -> bytes:
        return self._labels(rows(2, 50), "frames")

    def _future(self) -> bytes:
        network, model = forecaster()
        return bytes(build_model(network, model.manifest).SerializeToString())

    def _labels(self, spec: InputSpec, task: str = "sequence", decoder: Any = None, **shape: Any) -> bytes:
        network = network_for(spec, len(KINDS), **shape)
        return file_of(network, described(network, spec, task, KINDS, decoder=decoder or {}))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return Files(tmp_path_factory.mktemp("models"))


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return what gives a text to standard input."""

    def give(text: str) -> None:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))

    return give


@pytest.mark.parametrize("command", ["generate", "label", "forecast"])
def test_help_teaches(capsys: pytest.CaptureFixture[str], command: str) -> None:
    code, out, err = run(capsys, command, "--help")
    assert (code, err) == (0, "")
    assert f"examples:\n  streamcell {command} " in out
    assert "exit code: 0 done" in out


# generate


def test_generate_prints_the_prompt_and_what_follows(capsys: pytest.CaptureFixture[str], files: Files) -> None:
    path = files("writer")
    settings = {"temperature": 0.8, "top_k": 5, "top_p": 0.9, "seed": 4}
    options = [word for name, value in settings.items() for word in (f"--{name.replace('_', '-')}", value)]
    expected = "".join(generate(Model.open(path), "bad", Sampling(**settings), length=30, stop="zz"))  # type: ignore[arg-type]
    code, out, err = run(capsys, "generate", path, "--prompt", "bad", "--length", 30, "--stop", "zz", *options)
    assert (code, out, err) == (0, f"bad{expected}\n", "")


def test_a_seed_that_is_not_given_is_told(capsys: pytest.CaptureFixture[str], files: Files) -> None:
    code, out, err = run(capsys, "generate", files("writer"), "--length", 20)
    seed = re.fullmatch(r"streamcell: --seed (\d+) writes this text again\n", err)
    assert code == 0
    assert seed
    assert run(capsys, "generate", files("writer"), "--length", 20, "--seed", seed[1]) == (0, out, "")
    assert run(capsys, "generate", files("writer"), "--length", 20, "--temperature", 0)[2] == ""


def test_generate_translates_lines_and_tells_pictures(
    capsys: pytest.CaptureFixture[str], files: Files, typed: Any, tmp_path: Path
) -> None:
    pair_of = Linked(Model.open(files("first")), Model.open(files("second")))
    texts = ["the cat sees", "a dog."]
    expected = ["".join(pair_of.text(text, sampling=Sampling(0.0))) for text in texts]
    call = ["generate", files("second"), "--encoder", files("first"), "--temperature", 0]
    assert run(capsys, *call, "--input", texts[0]) == (0, f"{expected[0]}\n", "")
    typed("\n".join(texts))
    assert run(capsys, *call, "--input", "-") == (0, "".join(f"{text}\n" for text in expected), "")
    found = beam_text(pair_of.decoder, 3, state=pair_of.begin(texts[0]))
    assert run(capsys, *call[:4], "--input", texts[0], "--beam", 3) == (0, f"{found}\n", "")
    picture = np.random.default_rng(0).integers(0, 256, IMAGE).astype(np.uint8)
    Image.fromarray(picture).save(tmp_path / "a.png")
    told = Linked(Model.open(files("seeing")), Model.open(files("telling"))).text(picture, sampling=Sampling(0.0))
    call = ["generate", files("telling"), "--encoder", files("seeing"), "--temperature", 0]
    assert run(capsys, *call, "--input", tmp_path / "a.png") == (0, f"{''.join(told)}\n", "")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["writer", "--prompt", "xyz"], None),
        (["second"], "second begins with what first gives: name its file with --encoder"),
        (["second", "--encoder", "first"], "say with --input what first hears"),
        (["second", "--encoder", "seeing", "--input", "a"], "use the two files that were exported together"),
        (["writer", "--encoder", "first", "--input", "a"], "begins by itself; it takes no encoder, such as first"),
        (["writer", "--input", "a"], "name one with --encoder"),
        (["names"], "only one of task 'next' writes text"),
        (["writer", "--temperature", "-1"], "temperature must be a number from 0"),
        (["writer", "--length", "-1"], "length must be a whole number"),
        (["writer", "--beam", "3", "--temperature", "1"], "--temperature is about drawing"),
        (["writer", "--beam", "3", "--stop", "a"], "--stop is about text as it is written"),
        (["writer", "--beam", "0"], "width of 1 to 64"),
        (["telling", "--encoder", "seeing", "--input", "none.png"], "no such file: none.png"),
        (["second", "--encoder", "first", "--input", "a bird"], "'bird' at place 1"),
    ],
)
def test_generate_refuses(
    capsys: pytest.CaptureFixture[str], files: Files, arguments: list[str], words: str | None
) -> None:
    known = {"writer", "first", "second", "seeing", "telling", "names"}
    code, _, err = run(capsys, "generate", *(files(word) if word in known else word for word in arguments))
    if words is None:  # <unk> stands for what is not known
        assert code == 0
        return
    assert code == 2
    assert err.startswith("streamcell: error: ")
    assert words in err


def test_ctrl_c_ends_a_text_cleanly(files: Files) -> None:
    options = [str(files("endless")), "--length", "100000000", "--seed", "1"]
    call = [sys.executable, "-m", "streamcell", "generate", *options]
    started = subprocess.Popen(call, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert started.stdout is not None
    first = os.read(started.stdout.fileno(), 1)  # it prints while it writes
    started.send_signal(signal.SIGINT)
    rest, err = started.communicate(timeout=60)
    assert started.returncode == 130
    assert err == b""
    assert set((first + rest[:-1]).decode()) <= set("".join(LETTERS[3:]))
    assert rest.endswith(b"\n")


# label


def test_label_names_texts_from_everywhere(
    capsys: pytest.CaptureFixture[str], files: Files, typed: Any, tmp_path: Path
) -> None:
    path, file = files("names"), tmp_path / "names.txt"
    file.write_text("bad\n\ncab\n")
    typed("fed\nbag\n")
    code, out, err = run(capsys, "label", path, "--text", "add", file, "-", "--format", "jsonl", "--top", 3)
    assert (code, err) == (0, "")
    told = [json.loads(line) for line in out.splitlines()]
    assert [one["input"] for one in told] == ["add", "bad", "cab", "fed", "bag"]
    assert all(list(one["labels"]) and one["label"] == next(iter(one["labels"])) for one in told)
    assert all(sum(one["labels"].values()) == pytest.approx(1, abs=1e-5) for one in told)
    code, out, _ = run(capsys, "label", path, "--text", "add")
    assert out == f"add: {told[0]['label']} {told[0]['probability']:.3f}\n"
    typed("add\n")
    assert run(capsys, "label", path) == (code, out, "")
    assert len(run(capsys, "label", path, "--text", "a" * 500)[1]) < 100


def test_label_hears_and_sees(capsys: pytest.CaptureFixture[str], files: Files, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", noise(48000), 48000)
    code, out, err = run(capsys, "label", files("sound"), tmp_path / "a.wav")
    assert (code, err) == (0, "")
    assert re.fullmatch(rf"{re.escape(str(tmp_path))}.* [01]\.\d{{3}}\n", out)
    values = np.random.default_rng(0).standard_normal((9, 2)).round(3)
    np.save(tmp_path / "a.npy", values)
    (tmp_path / "a.csv").write_text("x,y\n" + "".join(f"{x},{y}\n" for x, y in values))
    code, out, err = run(capsys, "label", files("points"), tmp_path / "a.npy", tmp_path / "a.csv", "--format", "jsonl")
    assert (code, err) == (0, "")
    first, second = (json.loads(line) for line in out.splitlines())
    assert (first["label"], first["labels"]) == (second["label"], second["labels"])
    picture = np.random.default_rng(0).integers(0, 256, (16, 12, 3)).astype(np.uint8)
    Image.fromarray(picture).save(tmp_path / "a.png")
    code, out, err = run(capsys, "label", files("still"), tmp_path / "a.png")
    assert code == 2
    assert "got 16 and 12; --resize" in err
    assert run(capsys, "label", files("still"), tmp_path / "a.png", "--resize")[0] == 0


def test_label_tells_the_stretches_of_a_film(capsys: pytest.CaptureFixture[str], files: Files, tmp_path: Path) -> None:
    film = np.random.default_rng(0).integers(0, 256, (30, *IMAGE)).astype(np.uint8)
    np.save(tmp_path / "a.npy", film)
    Image.fromarray(film[0]).save(
        tmp_path / "a.png", save_all=True, append_images=[Image.fromarray(one) for one in film[1:]], duration=100
    )
    found = []
    for name in ("a.npy", "a.png"):
        code, out, err = run(capsys, "label", files("frames"), tmp_path / name, "--format", "jsonl")
        assert (code, err) == (0, "")
        found.append(json.loads(out))
        assert found[-1].pop("file") == str(tmp_path / name)
    assert found[0] == found[1]
    assert found[0]["duration"] == 3.0
    assert found[0]["segments"][-1]["end"] == 3.0
    code, out, _ = run(capsys, "label", files("frames"), tmp_path / "a.npy")
    assert len(out.splitlines()) == 1 + len(found[0]["segments"])


def test_what_cannot_be_labelled_does_not_keep_others_from_it(
    capsys: pytest.CaptureFixture[str], files: Files, tmp_path: Path
) -> None:
    soundfile.write(tmp_path / "a.wav", noise(16000), 16000)
    (tmp_path / "b.wav").write_text("no sound")
    code, out, err = run(capsys, "label", files("sound"), tmp_path / "b.wav", tmp_path / "none.wav", tmp_path / "a.wav")
    assert code == 2
    assert len(out.splitlines()) == 1
    assert "b.wav is not audio" in err
    assert "no such file" in err
    code, out, err = run(capsys, "label", files("frames"), tmp_path / "b.wav", tmp_path / "none.gif")
    assert (code, out) == (2, "")
    assert err.count("streamcell: error:") == 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["spoken", "a.wav"], "is of task 'ctc', which labels no whole: use `streamcell transcribe`"),
        (["moves", "a.csv"], "use `streamcell classify`"),
        (["writer", "a.txt"], "use `streamcell generate`"),
        (["future", "a.csv"], "use `streamcell forecast`"),
        (["first", "a.csv"], "use `streamcell generate DECODER --encoder`"),
        (["sound", "--text", "a"], "--text is for models of text; tiny takes audio"),
        (["still", "--text", "a"], "takes pictures"),
        (["points"], "name at least one file"),
        (["points", "a.csv", "--resize"], "--resize is about pictures"),
        (["names", "none.txt"], "none.txt: no such file; give a text with --text"),
        (["names", "--text", "a", "--top", "0"], "--top must be 1 or more"),
        (["points", "none.csv"], "none.csv"),
    ],
)
def test_label_refuses(capsys: pytest.CaptureFixture[str], files: Files, arguments: list[str], words: str) -> None:
    code, out, err = run(capsys, "label", files(arguments[0]), *arguments[1:])
    assert (code, out) == (2, "")
    assert err.startswith("streamcell: error: ")
    assert words in err


# forecast


@pytest.fixture
def table(tmp_path: Path) -> Path:
    values = history(60).astype(np.float64).round(4)
    lines = ["date,heat,load"]
    lines += [
        f"2020-01-{1 + hour // 24:02} {hour % 24:02}:00:00,{heat},{load}" for hour, (load, heat) in enumerate(values)
    ]
    (tmp_path / "table.csv").write_text("\n".join(lines) + "\n")
    return tmp_path / "table.csv"


def test_forecast_prints_a_line_a_step(capsys: pytest.CaptureFixture[str], files: Files, table: Path) -> None:
    values = history(60).astype(np.float64).round(4)
    expected = forecast(Model.open(files("future")), values)
    code, out, err = run(capsys, "forecast", files("future"), table)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == "heat after 2020-01-03 11:00:00 (60 rows)"
    assert lines[1].split() == ["step", "time", "q0.1", "q0.5", "q0.9"]
    assert lines[2].split()[:3] == ["+1", "2020-01-03", "12:00:00"]
    assert lines[4].split()[:3] == ["+6", "2020-01-03", "17:00:00"]
    np.testing.assert_allclose([float(cell) for cell in lines[4].split()[3:]], expected[2], rtol=1e-3)


def test_forecast_shows_what_came(capsys: pytest.CaptureFixture[str], files: Files, table: Path) -> None:
    values = history(60).astype(np.float64).round(4)
    code, out, err = run(capsys, "forecast", files("future"), table, "--hold-back", 3, "--format", "jsonl")
    assert (code, err) == (0, "")
    told = [json.loads(line) for line in out.splitlines()]
    assert [one["step"] for one in told] == [1, 2, 6]
    assert [one.get("came") for one in told] == [pytest.approx(values[57, 1]), pytest.approx(values[58, 1]), None]
    assert told[0]["time"] == "2020-01-03 09:00:00"
    expected = forecast(Model.open(files("future")), values[:57])
    np.testing.assert_allclose([list(one["quantiles"].values()) for one in told], expected, rtol=1e-5)
    text = run(capsys, "forecast", files("future"), table, "--hold-back", 3)[1]
    assert text.splitlines()[1].split()[-1] == "came"


@pytest.mark.parametrize("suffix", [".png", ".svg"])
def test_forecast_draws_a_fan(
    capsys: pytest.CaptureFixture[str], files: Files, table: Path, tmp_path: Path, suffix: str
) -> None:
    picture = tmp_path / f"fan{suffix}"
    code, _, err = run(capsys, "forecast", files("future"), table, "--hold-back", 6, "--plot", picture)
    assert (code, err) == (0, f"streamcell: drew {picture}\n")
    assert picture.read_bytes()[1:4] == b"PNG" if suffix == ".png" else b"what came" in picture.read_bytes()


def test_forecast_reads_a_pipe_without_times(capsys: pytest.CaptureFixture[str], files: Files, typed: Any) -> None:
    typed("load,heat\n1,2\n3,4\n")
    code, out, err = run(capsys, "forecast", files("future"), "-")
    assert (code, err) == (0, "")
    assert out.splitlines()[0] == "heat after the last row (2 rows)"
    assert out.splitlines()[1].split() == ["step", "q0.1", "q0.5", "q0.9"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["names", "TABLE"], "only one of task 'forecast' forecasts"),
        (["future", "none.csv"], "none.csv"),
        (["future", "TABLE", "--hold-back", "60"], "--hold-back 60 leaves none of 60 rows"),
        (["future", "TABLE", "--hold-back", "-1"], "--hold-back must be 0 or more"),
        (["future", "TABLE", "--channels", "a"], "--channels must name 2 columns"),
        (["future", "TABLE", "--channels", "a,b"], "no column is called 'a'"),
        (["future", "TABLE", "--plot", "fan.gif"], "ends with .png or .svg"),
        (["future", "TABLE", "--plot", "no/fan.png"], "a folder that is there"),
    ],
)
def test_forecast_refuses(
    capsys: pytest.CaptureFixture[str], files: Files, table: Path, arguments: list[str], words: str
) -> None:
    model, *rest = arguments
    code, out, err = run(capsys, "forecast", files(model), *(table if word == "TABLE" else word for word in rest))
    assert (code, out) == (2, "")
    assert err.startswith("streamcell: error: ")
    assert words in err


# the other commands


@pytest.mark.parametrize(
    "name", ["writer", "first", "second", "seeing", "names", "points", "still", "frames", "future"]
)
def test_models_of_every_kind_are_inspected_and_verified(
    capsys: pytest.CaptureFixture[str], files: Files, name: str
) -> None:
    assert run(capsys, "inspect", files(name))[0] == 0
    assert run(capsys, "verify", files(name))[0] == 0


@pytest.mark.parametrize("name", ["writer", "second", "names", "future", "first"])
def test_commands_of_streams_refuse_what_does_not_stream(
    capsys: pytest.CaptureFixture[str], files: Files, table: Path, tmp_path: Path, name: str
) -> None:
    soundfile.write(tmp_path / "a.wav", noise(16000), 16000)
    path = files(name)
    for call in (
        ["transcribe", tmp_path / "a.wav", "--model", path],
        ["vad", tmp_path / "a.wav", "--model", path],
        ["classify", table, "--model", path, *(["--channels", "load,heat"] if name == "future" else [])],
        ["plot", table, "--model", path, "--out", tmp_path / "a.png"],
        ["bench", path, "--seconds", "1", "--only", "latency"],
    ):
        begin = time.monotonic()
        code, out, err = run(capsys, *call)
        assert (code, out) == (2, ""), call
        assert err.splitlines()[-1].startswith("streamcell: error: "), err
        assert time.monotonic() - begin < 20
