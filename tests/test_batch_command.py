# ruff: noqa: RUF001 - IPA letters are meant to look like Latin ones
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from batches import here, json_lines, parts, results, save_many, save_model, save_noise, start, transcribe
from streamcell.runtime.batch.journal import locked
from streamcell.runtime.formats import jsonl
from streamcell.runtime.model import Model
from streamcell.runtime.transcribe import transcribe_file

KINDS = ("text", "jsonl", "ctm", "textgrid", "srt", "vtt")
SUFFIXES = (".txt", ".jsonl", ".ctm", ".TextGrid", ".srt", ".vtt")


@pytest.fixture
def model(tmp_path: Path) -> str:
    return save_model(tmp_path)


def test_a_tree_is_mirrored_in_all_formats(model: str, tmp_path: Path) -> None:
    paths = save_many(tmp_path / "in", 12)
    out = tmp_path / "out"
    code, err = transcribe(tmp_path / "in", "--out", out, "--model", model, "--format", *KINDS, "--jobs", 2)
    assert code == 0, err
    assert "12 files done" in err
    found = results(out)
    assert set(found) == {f"{i % 2}/{i:03d}{suffix}" for i in range(12) for suffix in SUFFIXES}
    for path in paths:
        written = found[str(path.relative_to(tmp_path / "in").with_suffix(".jsonl"))]
        assert written.decode() == jsonl.write(transcribe_file(Model.open(model), path))


def test_the_formats_end_where_the_files_begin(model: str, tmp_path: Path) -> None:
    save_many(tmp_path / "in", 2)
    code, err = transcribe("--out", tmp_path / "out", "--model", model, "--format", "ctm", "jsonl", tmp_path / "in")
    assert code == 0, err
    assert set(results(tmp_path / "out")) == {"0/000.ctm", "0/000.jsonl", "1/001.ctm", "1/001.jsonl"}


def test_ipa_is_for_all_formats(model: str, tmp_path: Path) -> None:
    save_noise(tmp_path / "in" / "a.wav", 3.0, 0)
    code, err = transcribe(tmp_path / "in", "--out", tmp_path / "out", "--model", model, "--ipa", "--format", *KINDS)
    assert code == 0, err
    for name, text in results(tmp_path / "out").items():
        letters = json.loads(text)["segments"] if name == "a.jsonl" else text.decode()
        assert "ɑ" in str(letters), name
        assert "AA" not in str(letters), name


@pytest.mark.parametrize("door", ["list", "stdin", "null"])
def test_lists_name_files(door: str, model: str, tmp_path: Path) -> None:
    odd = ["it's.wav", 'a "b".wav', "語 音.wav", "\udcff.wav"] + ["new\nline.wav"] * (door != "stdin")
    for i, name in enumerate(odd):
        save_noise(tmp_path / "tmp.wav", 0.5, i).rename(tmp_path / name)
    out = tmp_path / "out"
    options = ["--out", out, "--model", model, "--format", "jsonl"]
    if door == "list":
        (tmp_path / "list.jsonl").write_text("".join(json.dumps({"audio": name}) + "\n" for name in odd))
        code, err = transcribe("--list", tmp_path / "list.jsonl", *options)
    else:
        end = "\0" if door == "null" else "\n"
        (tmp_path / "names").write_bytes(os.fsencode("".join(name + end for name in odd)))
        with (tmp_path / "names").open("rb") as file:
            more = ["--null"] if door == "null" else []
            code, err = transcribe("-", *more, *options, stdin=file, cwd=tmp_path)
    assert code == 0, err
    assert set(results(out)) == {name.replace(".wav", ".jsonl") for name in odd}
    for name in odd:
        (found,) = json_lines(out / name.replace(".wav", ".jsonl"))
        assert found["file"].endswith(name)


def test_failures_are_listed_and_the_rest_is_done(model: str, tmp_path: Path) -> None:
    save_many(tmp_path / "in", 6)
    (tmp_path / "in" / "bad\n.flac").write_bytes(b"nonsense" * 100)
    (tmp_path / "in" / "gone.wav").symlink_to("nowhere")
    save_noise(tmp_path / "whole.flac", 3.0, 3)
    whole = (tmp_path / "whole.flac").read_bytes()
    (tmp_path / "in" / "cut.flac").write_bytes(whole[: len(whole) // 2])
    out = tmp_path / "out"
    code, err = transcribe(tmp_path / "in", "--out", out, "--model", model)
    assert code == 1
    assert "7 files done" in err
    assert "2 failed" in err
    assert "1 of them cut or damaged" in err
    failed = {Path(line["file"]).name: line["error"] for line in json_lines(out / "failed.jsonl")}
    assert sorted(failed) == ["bad\n.flac", "gone.wav"]
    assert "no such file" in failed["gone.wav"]
    (tmp_path / "in" / "bad\n.flac").unlink()
    (tmp_path / "in" / "gone.wav").unlink()
    code, err = transcribe(tmp_path / "in", "--out", out, "--model", model, "--resume")
    assert code == 1, "one is still cut"
    assert "0 files done" in err
    assert "7 were done before" in err
    assert not (out / "failed.jsonl").exists()


def test_nothing_done_is_2(model: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    (tmp_path / "in").mkdir()
    code, err = transcribe(tmp_path / "in", "--out", out, "--model", model)
    assert (code, err.count("\n")) == (2, 1)
    assert f"there are no audio files in {tmp_path / 'in'}" in err
    (tmp_path / "in" / "a.wav").write_text("no")
    assert transcribe(tmp_path / "in", "--out", out, "--model", model)[0] == 2
    assert "the list, which is empty" in transcribe("-", "--model", model, stdin=subprocess.DEVNULL)[1]
    (tmp_path / "file").write_text("")
    code, err = transcribe(tmp_path / "in", "--out", tmp_path / "file", "--model", model)
    assert (code, err.count("\n")) == (2, 1)
    assert "cannot write to the output folder" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "name at least one audio file"),
        (("a.wav", "--format", "praat"), "there is no format 'praat'"),
        (("a.wav", "--format", "text", "jsonl"), "name a folder with --out"),
        (("a.wav", "--resume"), "--resume is for results in a folder"),
        (("a.wav", "b.wav", "--format", "srt"), "holds one recording"),
        (("a.wav", "--out", "o", "--jobs", "0"), "--jobs must be 1 or more"),
        (("a.wav", "--out", ""), "--out is empty"),
        (("a.wav", "--engine", "ray"), "--engine is for results in a folder"),
        (("a.wav", "--ray-address", "auto"), "--ray-address is for results in a folder"),
        (("a.wav", "--out", "o", "--ray-address", "auto"), "--ray-address is for --engine ray"),
        (("a.wav", "--null"), "--null is for names on stdin"),
    ],
)
def test_bad_arguments_are_one_line(arguments: tuple[str, ...], message: str, model: str, tmp_path: Path) -> None:
    code, err = transcribe(*arguments, "--model", model, cwd=tmp_path)
    assert (code, err.count("\n")) == (2, 1), err
    assert message in err


def test_nothing_is_overwritten_unasked(model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_many(tmp_path / "in", 3)
    (tmp_path / "out" / "0").mkdir(parents=True)
    (tmp_path / "out" / "0" / "002.txt").write_text("mine")
    call = [tmp_path / "in", "--out", tmp_path / "out", "--model", model]
    for more in ([], ["--resume"]):
        code, err = here(capsys, *call, *more)
        assert code == 2
        assert "out/0/002.txt is there already" in err
        assert results(tmp_path / "out") == {"0/002.txt": b"mine"}
    assert here(capsys, *call, "--resume", "--overwrite")[0] == 0
    assert results(tmp_path / "out")["0/002.txt"].startswith(str(tmp_path).encode())
    code, err = here(capsys, *call)
    assert code == 2
    assert "and 2 more are there already; --resume skips" in err


def _touch(path: Path, _: str) -> list[str]:
    os.utime(path, ns=(1, 1))
    return []


def _grow(path: Path, _: str) -> list[str]:
    save_noise(path, 1.0, 99)
    return []


def _other_model(_: Path, model: str) -> list[str]:
    save_model(Path(model).parent, seed=5)
    return []


CHANGES: dict[str, tuple[Callable[[Path, str], list[str]], int]] = {
    "nothing": (lambda *_: [], 0),
    "time": (_touch, 1),
    "content": (_grow, 1),
    "model": (_other_model, 4),
    "formats": (lambda *_: ["--format", "text", "ctm"], 4),
    "ipa": (lambda *_: ["--ipa"], 4),
    "gap": (lambda *_: ["--gap"], 4),
}


@pytest.mark.parametrize("what", CHANGES)
def test_resume_does_again_what_has_changed(
    what: str, model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = save_many(tmp_path / "in", 4)
    call = [tmp_path / "in", "--out", tmp_path / "out", "--model", model, "--resume"]
    assert here(capsys, *call)[0] == 0
    change, count = CHANGES[what]
    more = change(paths[1], model)
    code, err = here(capsys, *call, *more)
    assert code == 0
    assert f"{count} files done" in err
    assert "0 files done" in here(capsys, *call, *more)[1]


def test_resume_does_again_what_is_missing_and_leaves_what_was_edited(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_many(tmp_path / "in", 4)
    call = [tmp_path / "in", "--out", tmp_path / "out", "--model", model, "--resume", "--format", "text", "ctm"]
    assert here(capsys, *call)[0] == 0
    whole = results(tmp_path / "out")
    (tmp_path / "out" / "0" / "002.ctm").unlink()
    (tmp_path / "out" / "1" / "001.ctm").write_text("mended by hand")
    assert "1 files done" in here(capsys, *call)[1]
    assert results(tmp_path / "out") == {**whole, "1/001.ctm": b"mended by hand"}


def test_a_second_run_into_the_same_folder_is_refused(model: str, tmp_path: Path) -> None:
    save_many(tmp_path / "in", 1)
    with locked(tmp_path / "out"):
        code, err = transcribe(tmp_path / "in", "--out", tmp_path / "out", "--model", model, "--resume")
    assert (code, err.count("\n")) == (2, 1)
    assert "another run is writing" in err


def test_an_interrupt_keeps_what_is_done(model: str, tmp_path: Path) -> None:
    save_many(tmp_path / "in", 300)
    call = [tmp_path / "in", "--out", tmp_path / "out", "--model", model, "--jobs", 2]
    process = start(*call)
    wait_for(lambda: len(list((tmp_path / "out").glob("*/*.txt"))) > 5)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "--resume goes on" in err
    assert "Traceback" not in err
    assert len(results(tmp_path / "out")) < 300
    assert not parts(tmp_path / "out")
    assert transcribe(*call, "--resume")[0] == 0
    assert len(results(tmp_path / "out")) == 300


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.mark.parametrize("jobs", [1, 2])
def test_killed_at_any_time_it_goes_on(jobs: int, model: str, tmp_path: Path) -> None:
    """Kill the run at random times; what then lies in the folder is whole; at the end it is as if nothing had been."""
    save_many(tmp_path / "in", 100)
    call = [tmp_path / "in", "--model", model, "--jobs", jobs, "--format", "jsonl", "textgrid"]
    begin = time.monotonic()
    assert transcribe(*call, "--out", tmp_path / "quiet")[0] == 0
    took, expected = time.monotonic() - begin, results(tmp_path / "quiet")
    random, out = np.random.default_rng(jobs), tmp_path / "out"
    for _ in range(3):
        process = start(*call, "--out", out, "--resume", start_new_session=True)
        try:
            process.communicate(timeout=float(random.uniform(0.3, 1) * took))
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
        assert results(out).items() <= expected.items()
    assert transcribe(*call, "--out", out, "--resume")[0] == 0
    assert results(out) == expected
    assert not parts(out)


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("unshare"), reason="only root can make a small disk")
def test_a_full_disk_stops_the_run_and_resume_goes_on(model: str, tmp_path: Path) -> None:
    save_many(tmp_path / "in", 80)
    call = [tmp_path / "in", "--model", model, "--format", *KINDS, "--resume"]
    assert transcribe(*call, "--out", tmp_path / "quiet")[0] == 0
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k", "none", str(disk)], check=False).returncode:
        pytest.skip("no disk can be made")
    try:
        code, err = transcribe(*call, "--out", disk / "out")
        assert code == 1
        assert "No space left on device" in err
        assert "--resume goes on" in err
        expected = results(tmp_path / "quiet")
        there = results(disk / "out")
        there.pop("failed.jsonl", None)
        assert 0 < len(there) < len(expected)
        assert there.items() <= expected.items()
        subprocess.run(["mount", "-o", "remount,size=8m", str(disk)], check=True)
        code, err = transcribe(*call, "--out", disk / "out")
        assert code == 0, err
        assert results(disk / "out") == expected
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_printing_is_as_ever(model: str, tmp_path: Path) -> None:
    paths = save_many(tmp_path / "in", 4)
    process = start(tmp_path / "in", paths[0], paths[0], "--model", model, "--format", "jsonl")
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    order = [paths[0], paths[2], paths[1], paths[3], paths[0], paths[0]]
    assert out == "".join(jsonl.write(transcribe_file(Model.open(model), path)) for path in order)
