import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from streamcell.runtime.batch.outputs import WriteError, remove_unfinished, write_whole


def test_a_file_is_whole_or_not_there(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "c.txt"
    write_whole(path, ["ä\n", "語", "\udcff"])
    assert path.read_bytes() == "ä\n語".encode() + b"\xff"

    def half() -> Iterator[str]:
        yield "new"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_whole(path, half())
    assert path.read_bytes() == "ä\n語".encode() + b"\xff"
    assert os.listdir(path.parent) == ["c.txt"]  # noqa: PTH208


@pytest.mark.parametrize("place", ["file/a.txt", "folder.txt", "x" * 300])
def test_what_cannot_be_written_says_where(place: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "folder.txt").mkdir()
    with pytest.raises(WriteError, match="cannot be written: ") as found:
        write_whole(tmp_path / place, ["a"])
    assert str(tmp_path / place) in str(found.value)
    assert not found.value.hopeless
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder.txt"]


def test_a_kill_leaves_what_is_removed_later(tmp_path: Path) -> None:
    code = (
        "import os, pathlib, sys; from streamcell.runtime.batch.outputs import write_whole\n"
        "def half():\n    yield 'a' * 100000\n    os.kill(os.getpid(), 9)\n"
        "write_whole(pathlib.Path(sys.argv[1]), half())"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "a.txt")], check=False)
    assert done.returncode == -9
    (left,) = tmp_path.iterdir()
    assert left.name != "a.txt"
    remove_unfinished([tmp_path, tmp_path / "none"])
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_a_full_disk_is_hopeless(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "streamcell.runtime.batch.outputs.os.fsync", lambda _: os.write(os.open("/dev/full", os.O_WRONLY), b"a")
    )
    with pytest.raises(WriteError, match=os.strerror(errno.ENOSPC)) as found:
        write_whole(tmp_path / "a.txt", ["a"])
    assert found.value.hopeless
    assert not list(tmp_path.iterdir())
