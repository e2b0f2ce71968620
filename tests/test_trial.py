"""Strangers' files are opened elsewhere first."""

import json
import subprocess
import sys
from pathlib import Path

import onnx
import pytest

from helpers import SAMPLES, tiny_model
from networks import random_network, spoken_manifest
from streamcell.export import adopt_command
from streamcell.export.graph import build_model
from streamcell.runtime import Model
from streamcell.runtime import model as model_module
from streamcell.runtime.cli.main import main
from streamcell.runtime.errors import ModelError
from streamcell.runtime.trial import try_out
from test_adopt_command import CARD, GRAPH


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_what_has_passed_is_not_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "tiny.onnx"
    path.write_bytes(tiny_model())
    assert Model.open(path, trust=False).manifest.name == "tiny"
    assert len(list((tmp_path / "cache" / "streamcell" / "tried").iterdir())) == 1

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a second trial")

    monkeypatch.setattr(subprocess, "run", refuse)
    Model.open(path, trust=False)
    Model.open(tiny_model(seed=1))  # trusted
    Model.open("phonemes-en", trust=False)  # comes along
    path.write_bytes(tiny_model(seed=1))
    with pytest.raises(AssertionError, match="a second trial"):
        Model.open(path, trust=False)


def test_a_cache_that_cannot_be_written_costs_only_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert Model.open(tiny_model(), trust=False).manifest.name == "tiny"


def test_too_long_and_too_much_are_told() -> None:
    data = tiny_model()
    with pytest.raises(ModelError, match=r"could not be opened and run within 0.01 s in a trial"):
        try_out(data, seconds=0.01)
    with pytest.raises(ModelError, match="it needs more memory than a trial allows"):
        try_out(data, memory=100 << 20)


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_a_crash_is_told_and_hurts_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    killer = tmp_path / "python"
    killer.write_text("#!/bin/sh\ncat > /dev/null\nkill -SEGV $$\n", encoding="utf-8")
    killer.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(killer))
    with pytest.raises(ModelError, match="crashes whoever opens it, with SIGSEGV"):
        try_out(tiny_model())
    monkeypatch.undo()
    assert Model.open(tiny_model()).manifest.name == "tiny"


def test_a_graph_that_is_not_the_exported_one_is_refused() -> None:
    network = random_network()
    data = bytearray(build_model(network, spoken_manifest(network)).SerializeToString())
    Model.open(bytes(data))
    data[data.index(b"head.weight") + 100] ^= 1
    with pytest.raises(ModelError, match="not the one that was exported: its checksum differs"):
        Model.open(bytes(data))


def test_a_cache_that_may_not_be_looked_at_costs_only_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / ("x" * 300)))  # a name that no folder can have: OSError
    assert Model.open(tiny_model(), trust=False).manifest.name == "tiny"


def test_files_in_the_working_directory_are_no_modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("numpy", "onnxruntime", "json"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('taken over')", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert Model.open(tiny_model(), trust=False).manifest.name == "tiny"


def test_where_no_process_can_be_started_the_way_out_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "no python"))
    with pytest.raises(
        ModelError, match=r"no process for a trial can be started .*; do not use it, or open it without"
    ):
        try_out(tiny_model())


ENDLESS = """
    most = Constant<value_int: int = 9223372036854775807>()
    spun = Loop (most, right, now) <
        body = turn (int64 i, bool on, float[B, 1] x) => (bool on_next, float[B, 1] x_next) {
            on_next = Identity(on)
            x_next = Tanh(x)
        }
    >
    levelN_spun = Add(spun, now)
    """
SOUND = str(SAMPLES / "reader.flac")
COMMANDS = {
    "inspect": ["MODEL"],
    "verify": ["MODEL"],
    "bench": ["MODEL", "--only", "latency", "--seconds", "1"],
    "transcribe": [SOUND, "--model", "MODEL"],
    "vad": [SOUND, "--model", "MODEL"],
    "spot": ["/T ER N/", SOUND, "--model", "MODEL"],
    "plot": [SOUND, "--model", "MODEL", "--out", "FOLDER/picture.png"],
    "align": [SOUND, "AA B", "--written", "arpabet", "--model", "MODEL"],
    "classify": ["FOLDER/x.csv", "--model", "MODEL"],
    "label": ["MODEL", "--text", "a"],
    "generate": ["MODEL"],
    "forecast": ["MODEL", "FOLDER/x.csv"],
    "import": ["list", "FOLDER/x.jsonl", "--out", "FOLDER/out", "--dictionary", "FOLDER/x.dict", "--model", "MODEL"],
}


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_tries_a_file_out_unless_it_is_trusted(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(_: bytes) -> None:
        raise ModelError("it was tried out")

    monkeypatch.setattr(model_module, "try_out", refuse)
    path = tmp_path / "tiny.onnx"
    path.write_bytes(tiny_model())
    (tmp_path / "x.csv").write_text("time,a\n0,1\n", encoding="utf-8")
    (tmp_path / "x.jsonl").write_text(json.dumps({"audio": SOUND, "text": "a"}) + "\n", encoding="utf-8")
    (tmp_path / "x.dict").write_text("a  AA\n", encoding="utf-8")
    arguments = [word.replace("MODEL", str(path)).replace("FOLDER", str(tmp_path)) for word in COMMANDS[command]]
    assert main([command, *arguments]) == 2
    assert f"{path}: it was tried out" in capsys.readouterr().err
    main([command, *arguments, "--trust"])
    assert "it was tried out" not in capsys.readouterr().err


def test_what_a_file_says_commands_no_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def change(model: onnx.ModelProto) -> None:
        model.graph.node.add(op_type="\x1b[2Jevil" + "x" * 10_000)

    path = tmp_path / "tiny.onnx"
    path.write_bytes(tiny_model(change=change))
    assert main(["inspect", str(path)]) == 2
    printed = capsys.readouterr().err
    assert r"\x1b[2Jevilxxx" in printed
    assert "\x1b" not in printed
    assert len(printed) < 5000
    path.write_bytes(tiny_model(description="\x1b[2Jgone", training={"\x1b[3J": "x"}))
    assert main(["inspect", str(path), "--trust"]) == 0
    printed = capsys.readouterr().out
    assert r"\x1b[2Jgone" in printed
    assert "\x1b" not in printed


def test_adopting_happens_in_a_process_with_limits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    theirs, card, out = tmp_path / "theirs.onnx", tmp_path / "card.toml", tmp_path / "new.onnx"
    card.write_text(CARD, encoding="utf-8")
    onnx.save(onnx.parser.parse_model(GRAPH), theirs)
    arguments = ["adopt", str(theirs), "--manifest", str(card), "--out", str(out)]
    assert main(arguments) == 0
    assert f"{out}: 0.00 MB" in capsys.readouterr().out
    assert Model.open(out, trust=False).manifest.name == "level"
    out.unlink()
    onnx.save(onnx.parser.parse_model(GRAPH.replace("half = Constant", f"{ENDLESS}half = Constant")), theirs)
    monkeypatch.setattr(adopt_command, "_SECONDS", 8.0)
    assert main(arguments) == 2
    assert "could not be opened and run within 8 s in a trial" in capsys.readouterr().err
    assert not out.exists()
