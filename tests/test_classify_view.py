import os
import pty
import re
import select
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from sensors import CHANNELS, sensor_model
from walks import DECODER, HEADER


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "moves.onnx"
    path.write_bytes(sensor_model(decoder=DECODER))
    return path


class Terminal:
    """Run the command in a terminal of 100 x 24, fed through a pipe, and know what was written to it."""

    def __init__(self, *arguments: object, environment: dict[str, str] | None = None) -> None:
        reader, self.feed = os.pipe()
        call = [sys.executable, "-m", "streamcell", "classify", *map(str, arguments)]
        self._pid, self._end = pty.fork()
        if not self._pid:
            os.dup2(reader, 0)
            os.close(self.feed)
            size = {"TERM": "xterm", "COLUMNS": "100", "LINES": "24"}
            os.execve(sys.executable, call, {**os.environ, **size, **(environment or {})})
        os.close(reader)
        self._shown = b""

    def shown(self, until: Callable[[str], bool], within: float = 20.0) -> str:
        """Return all that was shown, without colours, as soon as it holds what is waited for, or at the end."""
        end = time.monotonic() + within
        while True:
            text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", self._shown.decode(errors="ignore"))
            if until(text):
                return text
            assert time.monotonic() < end, text
            if select.select([self._end], [], [], 0.1)[0]:
                try:
                    self._shown += os.read(self._end, 65536)
                except OSError:
                    return text

    def write(self, lines: list[str]) -> None:
        os.write(self.feed, "".join(f"{line}\n" for line in lines).encode())

    def close(self) -> int:
        """Return the exit code."""
        os.close(self.feed)
        self.shown(lambda _: False)
        os.close(self._end)
        return os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])


def test_the_live_view(path: Path) -> None:
    terminal = Terminal("-", "--model", path, "--on-error", "skip")
    terminal.shown(lambda text: "(no readings yet)" in text)
    now = time.time() - 30
    terminal.write([HEADER, *(f"{now + row / 50},0,0,1" for row in range(100)), "what?"])
    text = terminal.shown(lambda text: "no readings for 1." in text)
    assert "fall  since 0.00 s, for 2.0 s" in text
    assert re.search(r"rest ─+ 0\.0\d", text)
    assert re.search(r"fall ━{38,40}─* (0\.9\d|1\.00)", text)
    assert re.search(r"2\.0 s   50\.0 Hz of 50   \d\d\.\d\d s behind this clock", text)
    assert "1 line left out (102)" in text
    terminal.write([f"{now + row / 50},1,0,0" for row in (99, 99, *range(200, 300))])
    text = terminal.shown(lambda text: "walk  since" in text and "1 gap (100 rows lost)" in text)
    assert "   0.000    2.000  fall  0.9" in text
    assert "   2.000    4.000  (gap: 100 samples lost, missing; reset)" in text
    assert text.count("odd reading (duplicate) at") == 1
    assert "odd readings: duplicate 2" in text
    assert terminal.close() == 0
    text = terminal.shown(lambda _: True)
    assert "   4.000    6.000  walk" in text
    assert "streamcell: heard 6.0 s, 202 readings: 2 segments (fall 1, walk 1); 1 gap (100 rows lost)" in text
    assert "Traceback" not in text


def test_without_rich_a_terminal_gets_lines(path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "sitecustomize.py").write_text("import sys; sys.modules['rich'] = None\n")
    environment = {"PYTHONPATH": str(tmp_path)}
    terminal = Terminal("-", "--model", path, environment=environment)
    terminal.write([",".join(CHANNELS), *["0,0,1"] * 100])
    terminal.shown(lambda text: "   0.000      ...  fall" in text)
    assert terminal.close() == 0
    assert "\x1b" not in terminal._shown.decode()
    terminal = Terminal("-", "--model", path, "--format", "live", environment=environment)
    text = terminal.shown(lambda text: "\n" in text)
    assert "streamcell: error: rich is needed for --format live (or use --format text)" in text
    assert "'streamcell[sensor]'" in text
    assert terminal.close() == 2
