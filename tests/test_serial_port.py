import errno
import io
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from receivers import at_alarm, readings_of, take, until, writing
from streamcell.runtime.errors import InputError, SourceError
from streamcell.runtime.sources import Lines, Readings, Serial
from streamcell.runtime.sources.serial_port import _problem

CHANNELS = ("ax", "ay", "az")


class Device:
    """Be what is plugged into a serial port: a pseudo-terminal's other end."""

    def __init__(self) -> None:
        self.end, self._port = os.openpty()
        self.path = os.ttyname(self._port)

    def write(self, data: bytes) -> None:
        os.write(self.end, data)

    def unplug(self) -> None:
        if self.end >= 0:
            os.close(self.end)
            os.close(self._port)
            self.end = -1


@pytest.fixture
def device() -> Iterator[Device]:
    device = Device()
    yield device
    device.unplug()


def values(blocks: list[Readings]) -> list[list[float]]:
    return readings_of(blocks)[1]


TEXTS = {
    "csv": b"time,az,ax,ay\n" + b"".join(b"%d.5,3,%d,2\r\n" % (row, row) for row in range(3000)),
    "objects": b"".join(b'{"ax": %d, "ay": 2.5, "az": 3, "t": %d}\n' % (row, row) for row in range(1000)),
    "arrays": b"".join(b"[%d, 2.5, 3]\n" % row for row in range(1000)),
}


@pytest.mark.parametrize("kind", TEXTS)
def test_a_port_gives_what_a_file_gives(device: Device, kind: str) -> None:
    expected = list(Lines(io.BytesIO(TEXTS[kind]), CHANNELS))
    with Serial(f"serial:{device.path}?baud=9600", CHANNELS) as port, writing(device.end, TEXTS[kind]):
        blocks = take(port, 3000 if kind == "csv" else 1000)
    assert port.skipped == 0
    assert readings_of(blocks) == readings_of(expected)
    assert all(block.outage == 0 for block in blocks)


def test_a_line_is_given_at_once(device: Device) -> None:
    came = list[float]()
    with Serial(device.path, CHANNELS) as port:
        thread = threading.Thread(target=lambda: came.extend(time.monotonic() for _ in port))
        thread.start()
        device.write(b"ax,ay,az\n")
        took = list[float]()
        for row in range(20):
            device.write(b"%d,2" % row)
            time.sleep(0.02)
            assert len(came) == row
            sent = time.monotonic()
            device.write(b",3\n")
            until(lambda: len(came) == len(took) + 1)
            took.append(came[row] - sent)
    thread.join(5)
    assert sorted(took)[5] < 0.01  # most, but for a machine that has no time for us


@pytest.mark.parametrize(
    ("first", "rest", "rows", "skipped"),
    [
        (b"2,3\n", b"4,5,6\n7,8,9\n", [[4, 5, 6], [7, 8, 9]], [1]),
        (b"1.5,2,3\n", b"0,4,5,6\n1,7,8,9\n", [[4, 5, 6], [7, 8, 9]], [1]),  # the time is cut, its rest is none
        (b"\n", b"4,5,6\n7,8,9\n", [[4, 5, 6], [7, 8, 9]], []),
        (b"ay,az\n", b"4,5,6\n7,8,9\n", [[4, 5, 6], [7, 8, 9]], [1]),
        (b"az,ay,ax\n", b"4,5,6\n7,8,9\n", [[6, 5, 4], [9, 8, 7]], []),
        (b"9,5\n", b"az,ay,ax\n4,5,6\n7,8,9\n", [[6, 5, 4], [9, 8, 7]], [1]),
        (b"\xff\x00\xfe\n", b"4,5,6\n7,8,9\n", [[4, 5, 6], [7, 8, 9]], [1]),
        (b"7" * 3_000_000 + b"\n", b"4,5,6\n7,8,9\n", [[4, 5, 6], [7, 8, 9]], [1]),
        (b',"az":3}\n', b'{"ax":4,"ay":5,"az":6}\n{"ay":8,"az":9,"ax":7}\n', [[4, 5, 6], [7, 8, 9]], [1]),
        (b'{"ax":4,"ay":5,"az":6}\n', b'{"ay":8,"az":9,"ax":7}\n', [[4, 5, 6], [7, 8, 9]], []),
        (b"3]\n", b"[4,5,6]\n[7,8,9]\n", [[4, 5, 6], [7, 8, 9]], [1]),
        (b"[4,5,6]\n", b"[7,8,9]\n", [[4, 5, 6], [7, 8, 9]], []),
    ],
)
def test_a_first_line_counts_only_if_it_surely_is_whole(
    device: Device, first: bytes, rest: bytes, rows: list[list[float]], skipped: list[int]
) -> None:
    with Serial(device.path, CHANNELS) as port, writing(device.end, first + rest):
        assert values(take(port, 2)) == rows
    assert (port.skipped, port.skipped_lines) == (len(skipped), skipped)


def test_a_device_that_begins_anew_writes_its_header_again(device: Device) -> None:
    """Its order holds from there on; what was said twice is no reading."""
    parts = (b"t,ax,ay,az\n0,1,2,3\n", b"t,ax,ay,az\n1,1,2,3\n", b"t,az,ay,ax,more\n2,3,2,1,9\n", b"3,3,2,1,9\n" * 300)
    with Serial(device.path, CHANNELS) as port, writing(device.end, b"".join(parts)):
        assert values(take(port, 303)) == [[1, 2, 3]] * 303
    assert port.skipped == 0
    with Serial(device.path, CHANNELS) as port:
        device.write(b"t,ax,ay,az\n0,1,2,3\nax,ay,az\n1,2,3\n")
        with pytest.raises(SourceError, match="line 3: there is no 't', which the lines before have; there are 'ax'"):
            take(port, 2)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (b"1,walk,3", "at 115200 baud, line 3, column 'ay': expected a number, got 'walk'"),
        (b"1,2", "at 115200 baud, line 3: expected 3 columns, got 2: '1,2'"),
        (b"," * 1_000_000, "at 115200 baud, line 3: it has more than 10000 columns"),
        (b"1" * 10_000_000, "at 115200 baud, line 3: it is longer than 1048576 bytes"),
        (b"\xff1,2,3", "at 115200 baud, line 3: expected UTF-8, got byte 0xff"),
    ],
)
def test_a_bad_line_is_an_error_after_the_readings_before_it_or_is_left_out(
    device: Device, line: bytes, says: str
) -> None:
    data = b"ax,ay,az\n4,5,6\n" + line + b"\n7,8,9\n"
    with Serial(device.path, CHANNELS, on_error="skip") as port, writing(device.end, data):
        assert values(take(port, 2)) == [[4, 5, 6], [7, 8, 9]]
    assert port.skipped_lines == [3]
    got = list[Readings]()
    with Serial(device.path, CHANNELS) as port, writing(device.end, data), pytest.raises(SourceError) as error:
        got.extend(port)
    assert values(got) == [[4, 5, 6]]
    assert says in str(error.value)
    assert len(str(error.value)) < 400


def test_noise_of_a_wrong_baud_rate_is_an_error_that_asks_for_it(device: Device) -> None:
    with Serial(device.path, CHANNELS, 300) as port:
        os.write(device.end, b"\xf8\x00\n\x1c\xff\x80\n")
        with pytest.raises(SourceError, match=r"at 300 baud, line 2: expected UTF-8, .* Is the baud rate the"):
            list(port)


def test_unplugged_it_gives_what_it_heard_and_says_so(device: Device) -> None:
    port = Serial(device.path, CHANNELS)
    device.write(b"ax,ay,az\n" + b"1,2,3\n" * 10 + b"4,5")
    assert len(values(take(port, 10))) == 10
    timer = threading.Timer(0.2, device.unplug)
    timer.start()
    with pytest.raises(SourceError, match=rf"{device.path} at 115200 baud is gone .*: connect it and begin anew"):
        take(port, 1)
    timer.join()
    port.close()
    assert list(port) == []


def test_close_ends_the_iteration(device: Device) -> None:
    for way in ("thread", "signal"):
        port = Serial(device.path, CHANNELS)
        device.write(b"ax,ay,az\n1,2,3\n")
        assert len(take(port, 1)) == 1
        begin = time.monotonic()
        if way == "thread":
            timer = threading.Timer(0.2, port.close)
            timer.start()
            assert list(port) == []
            timer.join()
        else:
            with at_alarm(0.2, port.close):
                assert list(port) == []
        assert 0.15 < time.monotonic() - begin < 5
        Serial(device.path, CHANNELS).close()  # not in use any more


def test_what_cannot_be_opened_says_why(device: Device, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"no such port: /dev/ttyNONE9\. There are"):
        Serial("/dev/ttyNONE9", CHANNELS)
    (tmp_path / "a.csv").write_text("1,2,3\n")
    with pytest.raises(SourceError, match=r"a\.csv cannot be opened as a serial port"):
        Serial(str(tmp_path / "a.csv"), CHANNELS)
    with Serial(device.path, CHANNELS), pytest.raises(SourceError, match="is in use by another program; end that"):
        Serial(device.path, CHANNELS)
    assert "is in use by another program" in _problem("/dev/ttyS0", OSError(errno.EBUSY, "busy"))
    Path(device.path).chmod(0)
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        with pytest.raises(SourceError, match=r"may not be opened by you.*dialout"):
            Serial(device.path, CHANNELS)
    finally:
        os.seteuid(user)


@pytest.mark.parametrize(
    "port", ["serial:", "serial://ttyUSB0/x", "serial:/dev/x?speed=1", "serial:/dev/x?baud=fast", "serial:/dev/x?baud="]
)
def test_a_url_that_is_none(port: str) -> None:
    with pytest.raises(InputError, match=r"expected a port such as /dev/ttyUSB0, or serial:/dev/ttyUSB0\?baud=115200"):
        Serial(port, CHANNELS)


def test_settings_that_do_not_fit(device: Device) -> None:
    settings: dict[str, Any]
    for settings in ({"baud": 0}, {"baud": -1}, {"baud": 1 << 40}, {"channels": "ax"}, {"on_error": "x"}, {"port": ""}):
        with pytest.raises(InputError):
            Serial(**dict[str, Any]({"port": device.path, "channels": CHANNELS} | settings))


def test_without_pyserial_it_names_the_extra() -> None:
    code = (
        "import sys; sys.modules['serial'] = None; from streamcell.runtime.sources import Serial\n"
        "try: Serial('/dev/ttyUSB0', ['a'])\nexcept Exception as error: print(type(error).__name__, error)"
    )
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert found == (
        "MissingExtraError pyserial is needed to read from a serial port, but is not installed. "
        "Install it with: pip install 'streamcell[sensor]'\n"
    )
