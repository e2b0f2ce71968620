import io
import os
from pathlib import Path

import pytest

from receivers import readings_of
from streamcell.runtime.errors import InputError, SourceError
from streamcell.runtime.sources import Lines, Serial, open_readings


def test_a_file_and_standard_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a:b.csv").write_text("1,2;3\n")
    with open_readings(str(tmp_path / "a:b.csv"), ["a"], on_error="skip", format="csv") as source:
        assert isinstance(source, Lines)
        with pytest.raises(SourceError, match="all its lines were left out, 1 of them"):
            list(source)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"s_ms,a\n1500,2\n")))
    with open_readings("-", ["a"], "s_ms") as source:
        assert readings_of(source) == ([1.5], [[2]])


def test_a_port() -> None:
    end, port = os.openpty()
    with open_readings(f"serial:{os.ttyname(port)}?baud=9600", ["a"]) as source:
        assert isinstance(source, Serial)
        os.write(end, b"a\n7\n")
        assert next(iter(source)).values == [[7]]
    os.close(end)
    os.close(port)


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("tcp://me:secret@host:5000", "expected a file, -, serial:PORT.baud=115200 or mqtt://HOST/TOPIC; got tcp:"),
        ("HTTP://host/a.csv", "got http:"),
        ("mqtt:host/a", r"expected mqtt://\[user:password@\]host"),
        ("mqtt://host/a/#", "would mix the readings of several senders"),
        ("serial:", "expected a port such as /dev/ttyUSB0"),
    ],
)
def test_what_is_no_source(source: str, says: str) -> None:
    with pytest.raises(InputError, match=says) as error:
        open_readings(source, ["a"])
    assert "secret" not in str(error.value)


def test_what_is_not_there() -> None:
    for source, says in (("nowhere.csv", "no such file: nowhere.csv"), ("serial:/dev/ttyNONE", "no such port")):
        with pytest.raises(SourceError, match=says):
            open_readings(source, ["a"])
