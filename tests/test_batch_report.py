import io
from pathlib import Path

import pytest

from batches import json_lines
from streamcell.runtime.batch import report
from streamcell.runtime.batch.failures import Failures
from streamcell.runtime.batch.journal import Journal, locked
from streamcell.runtime.batch.report import Progress
from streamcell.runtime.batch.run import Summary
from streamcell.runtime.errors import InputError


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(report, "time", clock)
    return clock


def advance(progress: Progress, clock: Clock) -> None:
    for _ in range(30):
        clock.now += 1
        progress.heard(720.0)
        progress.finished(1000, failed=False)


def test_elsewhere_than_on_a_terminal_a_line_comes_twice_a_minute(clock: Clock) -> None:
    stream = io.StringIO()
    progress = Progress(120, 120_000, stream)
    advance(progress, clock)
    advance(progress, clock)
    progress.clear()
    assert stream.getvalue() == (
        "streamcell: 29 of 120 files, 6.00 h, 720 times real time, 1:34 left\n"
        "streamcell: 59 of 120 files, 12.00 h, 720 times real time, 1:02 left\n"
    )


def test_on_a_terminal_one_line_changes_and_goes(clock: Clock) -> None:
    stream = Terminal()
    progress = Progress(60, 60_000, stream)
    advance(progress, clock)
    progress.say("streamcell: note: something")
    clock.now += 1
    progress.finished(0, failed=True)
    progress.clear()
    shown = stream.getvalue().split("\r\x1b[K")
    assert shown[-4] == "━" * 12 + "─" * 12 + " 29 of 60 files, 6.00 h, 720 times real time, 0:32 left"
    assert shown[-3] == "streamcell: note: something\n"
    assert "1 failed" in shown[-2]
    assert shown[-1] == ""


def test_nothing_known_is_nothing_said(clock: Clock) -> None:
    assert Progress(3, 0, io.StringIO()).line() == "0 of 3 files, 0.00 h"


@pytest.mark.parametrize(
    ("summary", "code", "text"),
    [
        (Summary(), 2, "0 files done"),
        (Summary(failed=3), 2, "0 files done, 3 failed"),
        (Summary(before=2), 0, "0 files done, 2 were done before"),
        (Summary(done=1, seconds=7200, took=10), 0, "1 files done (2.00 h in 0:10, 720 times real time)"),
        (Summary(before=1, cut=1), 1, "0 files done, 1 were done before, 1 of them cut or damaged"),
        (Summary(before=1, failed=2), 1, "0 files done, 1 were done before, 2 failed"),
        (Summary(before=1, left=2), 1, "0 files done, 1 were done before, 2 not tried"),
    ],
)
def test_the_exit_code_says_whether_all_is_there(summary: Summary, code: int, text: str) -> None:
    assert (summary.code, str(summary)) == (code, text)


def test_failures_are_lines_and_without_any_there_is_no_file(tmp_path: Path) -> None:
    with locked(tmp_path), Journal(tmp_path) as journal:
        failures = Failures(tmp_path, journal)
        assert not failures.path.exists()
        failures.add("a\n\udcff.wav", "bad")
        failures.add("b.wav", "worse")
        assert json_lines(failures.path) == [
            {"file": "a\n\udcff.wav", "error": "bad"},
            {"file": "b.wav", "error": "worse"},
        ]
        assert failures.count == 2
    with Journal(tmp_path) as journal:  # of the next run
        assert not Failures(tmp_path, journal).path.exists()
        failures.path.mkdir()
        with pytest.raises(InputError, match="cannot remove"):
            Failures(tmp_path, journal)


def test_a_list_of_failures_of_somebody_else_is_not_touched_unasked(tmp_path: Path) -> None:
    (tmp_path / "failed.jsonl").write_text("somebody's")
    with locked(tmp_path), Journal(tmp_path) as journal:
        with pytest.raises(InputError, match="is there already and no run of streamcell has written it"):
            Failures(tmp_path, journal)
        assert (tmp_path / "failed.jsonl").read_text() == "somebody's"
        assert not Failures(tmp_path, journal, overwrite=True).path.exists()
