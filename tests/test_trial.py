"""Strangers' files are opened elsewhere first."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from helpers import tiny_model
from networks import random_network, spoken_manifest
from streamcell.export.graph import build_model
from streamcell.runtime import Model
from streamcell.runtime.errors import ModelError
from streamcell.runtime.trial import try_out


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
    Model.open(tiny_model(), trust=False)


def test_too_long_and_too_much_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    data = tiny_model()
    with pytest.raises(ModelError, match=r"could not be opened and run within 0.01 s in a trial"):
        try_out(data, seconds=0.01)
    with pytest.raises(ModelError, match=r"."):
        try_out(data, memory=100 << 20)


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_a_crash_is_told_and_hurts_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    killer = tmp_path / "python"
    killer.write_text("#!/bin/sh\ncat > /dev/null\nkill -SEGV $$\n", encoding="utf-8")
    killer.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(killer))
    with pytest.raises(ModelError, match="crashes whoever opens it, with SIGSEGV"):
        try_out(tiny_model())
    assert os.getpid()


def test_a_graph_that_is_not_the_exported_one_is_refused() -> None:
    network = random_network()
    data = bytearray(build_model(network, spoken_manifest(network)).SerializeToString())
    Model.open(bytes(data))
    data[data.index(b"head.weight") + 100] ^= 1
    with pytest.raises(ModelError, match="not the one that was exported: its checksum differs"):
        Model.open(bytes(data))
