import subprocess
import sys
from pathlib import Path

import pytest

from streamcell.runtime.batch.journal import Done, Journal, Stamp, locked
from streamcell.runtime.errors import InputError

DONE = Done(Stamp("/data/\udcff\n.wav", 10, 20), "key", 1.5, cut=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with locked(tmp_path):
        pass
    return tmp_path


def test_what_was_noted_is_known_again(folder: Path) -> None:
    with Journal(folder) as journal:
        journal.begin("a\nb")
        journal.begin("c")
        journal.finish("a\nb", DONE)
    with Journal(folder) as journal:
        assert journal.done == {"a\nb": DONE}
        assert journal.begun == {"a\nb", "c"}


def test_the_last_word_counts(folder: Path) -> None:
    with Journal(folder) as journal:
        for seconds in (1.0, 2.0):
            journal.finish("a", Done(DONE.stamp, "key", seconds, cut=True))
    with Journal(folder) as journal:
        assert journal.done["a"].seconds == 2.0


def test_a_torn_line_is_forgotten_wherever_it_is_torn(folder: Path) -> None:
    path = folder / ".streamcell" / "done.jsonl"
    with Journal(folder) as journal:
        journal.finish("a", DONE)
        whole = path.read_bytes()
        journal.finish("b", DONE)
    second = path.read_bytes()[len(whole) :]
    for length in range(len(second)):
        path.write_bytes(whole + second[:length])
        with Journal(folder) as journal:
            assert set(journal.done) == ({"a"} if length < len(second) - 1 else {"a", "b"}), length
            journal.finish("c", DONE)
        with Journal(folder) as journal:
            assert {"a", "c"} <= set(journal.done), length


@pytest.mark.parametrize("line", ["[]", "3", "{}", '{"done": []}', '{"begun": {}}', '{"done": "x"}', "\x00\xff", ""])
def test_a_strange_line_is_passed_over(line: str, folder: Path) -> None:
    (folder / ".streamcell" / "done.jsonl").write_bytes(line.encode("latin-1") + b'\n{"begun": "a"}\n')
    with Journal(folder) as journal:
        assert (journal.done, journal.begun) == ({}, {"a"})


def test_a_folder_is_one_runs_at_a_time(tmp_path: Path) -> None:
    code = (
        "import pathlib, sys; from streamcell.runtime.batch.journal import locked\n"
        "with locked(pathlib.Path(sys.argv[1])):\n    print('in', flush=True); sys.stdin.read()"
    )
    call = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(call, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout
        assert other.stdout.readline() == "in\n"
        with pytest.raises(InputError, match="another run is writing"), locked(tmp_path):
            pass
        other.kill()
        other.wait()
        with locked(tmp_path):
            pass


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot write to the output folder"), locked(tmp_path / "file" / "out"):
        pass
