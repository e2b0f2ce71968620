import io
import json
import os
import re
import subprocess
import sys
import threading
import tracemalloc
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pytest
from numpy.typing import NDArray

from streamcell.runtime.errors import InputError, SourceError
from streamcell.runtime.regular import Regular
from streamcell.runtime.sources import Lines, Readings
from streamcell.runtime.sources.line_parser import LineParser

CHANNELS = ("ax", "ay", "az")
Found = tuple[NDArray[np.float64] | None, NDArray[np.float32]]


class Pieces(io.RawIOBase):
    """Give bytes in pieces of given sizes, as a pipe does, then of any size."""

    def __init__(self, data: bytes, sizes: list[int]) -> None:
        self._stream, self._sizes = io.BytesIO(data), sizes

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1, /) -> bytes:
        return self._stream.read(self._sizes.pop(0) if self._sizes else size)


def joined(blocks: list[Readings], channels: int = 3) -> Found:
    """Return all readings as one block."""
    for block in blocks:
        assert block.values.dtype == np.float32
        assert block.values.shape == (len(block.values), channels)
        assert len(block.values)
        assert block.times is None or (block.times.dtype == np.float64 and block.times.shape == block.values.shape[:1])
    times = [block.times for block in blocks if block.times is not None]
    assert len(times) in (0, len(blocks))
    values = np.concatenate([np.zeros((0, channels), np.float32), *(block.values for block in blocks)])
    return np.concatenate(times) if times else None, values


def read(source: str | Path | bytes | BinaryIO, channels: Any = CHANNELS, **settings: Any) -> Found:
    with Lines(io.BytesIO(source) if isinstance(source, bytes) else source, channels, **settings) as lines:
        return joined(list(lines), len(channels))


def heard(source: Any, **settings: Any) -> tuple[Any, ...]:
    """Return what was read until the end or an error, the error, and what was left out."""
    lines = Lines(io.BytesIO(source) if isinstance(source, bytes) else source, CHANNELS, **settings)
    blocks, error = list[Readings](), ""
    try:
        for block in lines:
            blocks.append(block)
    except SourceError as found:
        error = re.sub("^the stream", "", str(found))
    times, values = joined(blocks)
    return None if times is None else times.tolist(), values.tolist(), error, lines.skipped, lines.skipped_lines


def recording(count: int = 500) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    random = np.random.default_rng(0)
    return 1.7e9 + np.cumsum(random.uniform(0.01, 0.03, count)).round(6), random.normal(size=(count, 3)).astype("f4")


def texts(times: NDArray[np.float64], values: NDArray[np.float32]) -> dict[str, bytes]:
    """Write the same readings in many ways."""
    rows = [[float(t), *map(float, row)] for t, row in zip(times, values, strict=True)]

    def csv(header: str, order: list[int], mark: str = ",", end: str = "\n", extra: str = "") -> bytes:
        body = [mark.join(repr(row[place]) for place in order) + extra for row in rows]
        return (end.join([header, *body] if header else body) + end).encode()

    objects = [dict(zip(("time", *CHANNELS), row, strict=True)) for row in rows]
    turned = [{"label": "wälk", **dict(reversed(item.items()))} for item in objects]
    return {
        "csv": csv("time,ax,ay,az", [0, 1, 2, 3]),
        "other order": csv("AZ;Ax;t;AY", [3, 1, 0, 2], ";", "\r\n"),
        "extra columns": csv("\ufefftimestamp\tax\tay\taz\twh\u00e4t", [0, 1, 2, 3], "\t", extra="\tw_\u00e4lk"),
        "quoted": csv('"time","ax","ay","az","what"', [0, 1, 2, 3], extra=',"a, ""b"""'),
        "no header": csv("", [0, 1, 2, 3]),
        "empty lines": csv("time,ax,ay,az", [0, 1, 2, 3], end="\n\n \n"),
        "cut end": csv("time,ax,ay,az", [0, 1, 2, 3])[:-1],
        "objects": "\n".join(map(json.dumps, objects)).encode(),
        "other keys": "\n".join(json.dumps(item, ensure_ascii=False) for item in turned).encode(),
        "arrays": "\n".join(map(json.dumps, rows)).encode(),
    }


KINDS = list(texts(*recording(1)))


@pytest.mark.parametrize("kind", KINDS)
def test_every_way_of_writing_and_any_chunks_give_the_same(kind: str, tmp_path: Path) -> None:
    times, values = recording()
    data = texts(times, values)[kind]
    path = tmp_path / "a.txt"
    path.write_bytes(data)
    random = np.random.default_rng(1)
    small = [1] * len(data)
    ways: list[Any] = [path, str(path), data, Pieces(data, small), Pieces(data, random.integers(1, 99, 2000).tolist())]
    for way in ways:
        found, rows = read(way)
        assert found is not None
        np.testing.assert_array_equal(found, times)
        np.testing.assert_array_equal(rows, values)


def test_a_pipe_is_read_as_it_grows() -> None:
    """The writer waits for each answer, so a reader that waited for more would never end; half lines are no rows."""
    reading, writing = os.pipe()
    answers = list[Readings]()
    came = threading.Semaphore(0)
    stuck = list[str]()

    def write() -> None:
        with open(writing, "wb", buffering=0) as pipe:  # noqa: PTH123 - a descriptor
            for part in (b"ax,ay,az\n1,2,3\n4,5", b",6\n7", b",8,9\n10,11,1"):
                pipe.write(part)
                if not came.acquire(timeout=20):
                    stuck.append(part.decode())
                    return
            pipe.write(b"2")

    thread = threading.Thread(target=write)
    thread.start()
    with open(reading, "rb") as pipe:  # noqa: PTH123 - a descriptor
        for block in Lines(pipe, CHANNELS):
            answers.append(block)
            came.release()
    thread.join()
    assert not stuck
    assert [block.values.tolist() for block in answers] == [[[1, 2, 3]], [[4, 5, 6]], [[7, 8, 9]], [[10, 11, 12]]]


def test_standard_input_is_read_as_it_grows() -> None:
    code = (
        "from streamcell.runtime.sources import Lines\n"
        "for block in Lines('-', ['a', 'b']):\n    print(block.times.tolist(), block.values.tolist(), flush=True)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin
        assert process.stdout
        for number in range(3):
            process.stdin.write(b"%d,2,3\n" % number)
            process.stdin.flush()
            assert process.stdout.readline() == b"[%d.0] [[2.0, 3.0]]\n" % number
        process.stdin.close()
        assert process.stdout.read() == b""
    assert process.returncode == 0


@pytest.mark.parametrize(
    ("name", "cell", "seconds"),
    [
        ("time", "1700000000000", 1.7e12),
        ("t", "2.5", 2.5),
        ("TIME_MS", "1500", 1.5),
        ("timestamp_ns", "1700000000123456789", 1700000000.1234567),
        ("ts_us", "-5", -5e-6),
        ("time (\u00b5s)", "7000000", 7.0),
        ("Time [s]", "1e3", 1000.0),
        ("timestampMs", "20", 0.02),
        ("time", "2024-02-29T12:00:00.25Z", 1709208000.25),
        ("time", "2024-02-29 12:00:00", 1709208000.0),
        ("timestamp", "2024-02-29T13:00:00.500+01:00", 1709208000.5),
        ("time", "nan", np.nan),
    ],
)
def test_times_are_in_the_unit_that_the_name_says(name: str, cell: str, seconds: float) -> None:
    for data in (f"{name},ax,ay,az\n{cell},1,2,3\n", f"ax,{name},what,ay,az\n1,{cell},x,2,3\n1,{cell},x,2,3\n"):
        times, values = read(data.encode())
        assert times is not None
        np.testing.assert_allclose(times, seconds, rtol=1e-15)
        assert values[0].tolist() == [1, 2, 3]
    if not re.fullmatch(r"[\d.e-]+", cell):
        cell = json.dumps(cell) if cell != "nan" else "NaN"
    times, _ = read(f'{{"ax": 1, "ay": 2, "az": 3, {json.dumps(name)}: {cell}}}'.encode())
    np.testing.assert_allclose(np.asarray(times), seconds, rtol=1e-15)


def test_a_time_can_be_named() -> None:
    data = b"time,arrival_ms,ax,ay,az\n1,20,1,2,3\n"
    assert read(data)[0] == [1.0]
    assert read(data, time="Arrival_MS")[0] == [0.02]
    assert read(b"20,1,2,3\n", time="t_ms")[0] == [0.02]
    assert read(b"[20,1,2,3]", time="t_ms")[0] == [0.02]
    assert read(b"t,x\n5,6\n", ["t", "x"])[0] is None
    assert read(b"1,2,3\n")[0] is None
    with pytest.raises(SourceError, match="no column is called 'clock'; there are 'time', 'arrival_ms', 'ax'"):
        read(data, time="clock")
    with pytest.raises(SourceError, match=r"'time' or 'timestamp_ms'; say which with time="):
        read(b"time,timestamp_ms,ax,ay,az\n")
    with pytest.raises(SourceError, match="expected 3 columns"):
        read(b"1,2,3\n", time="t_ms")


CSV = b"time,ax,ay,az\n0,1,2,3\n1,1,2,3\n%s\n3,1,2,3\n"
JSON = b'{"time":0,"ax":1,"ay":2,"az":3}\n{"time":1,"ax":1,"ay":2,"az":3}\n\n%s\n{"time":3,"ax":1,"ay":2,"az":3}\n'


@pytest.mark.parametrize(
    ("frame", "line", "says"),
    [
        (CSV, b"2,1,2", "expected 4 columns, got 3: '2,1,2'"),
        (CSV, b"2,1,2,3,4", "expected 4 columns, got 5: '2,1,2,3,4'"),
        (CSV, b"2,1,walk,3", ", column 'ay': expected a number, got 'walk'"),
        (CSV, b"2,1,,3", ", column 'ay': expected a number, got ''"),
        (CSV, b"2,1,1_0,3", ", column 'ay': expected a number, got '1_0'"),
        (CSV, b"2,1,0x10,3", ", column 'ay': expected a number, got '0x10'"),
        (CSV, "2,1,\u0661,3".encode(), ", column 'ay': expected a number, got '\\u0661'"),
        (CSV, b"soon,1,2,3", ", column 'time': expected a number or a time as in ISO 8601, got 'soon'"),
        (CSV, b"2,1,2,\xff", "expected UTF-8, got byte 0xff as number 7"),
        (CSV, b'2,1,2,"' + b"9" * 140_000, "expected CSV, got '2,1,2,\"999"),
        (CSV, b"," * 10_000, "it has more than 10000 columns"),
        (CSV, b"," * 999_999, "it has more than 10000 columns"),
        (CSV, b"2,1,2," + b"3" * (1 << 20), "it is longer than 1048576 bytes"),
        (CSV, b"9" * 3_000_000, "it is longer than 1048576 bytes"),
        (JSON, b'{"time":2,"ax":1,"az":3}', "no column is called 'ay'; there are 'time', 'ax', 'az'"),
        (JSON, b'{"ax":1,"ay":2,"az":3}', "there is no 'time', which the lines before have"),
        (JSON, b'{"time":2,"ax":1,"ay":"2","az":3}', ", column 'ay': expected a number, got '2'"),
        (JSON, b'{"time":2,"ax":1,"ay":null,"az":3}', ", column 'ay': expected a number, got null"),
        (JSON, b'{"time":2,"ax":1,"ay":true,"az":3}', ", column 'ay': expected a number, got true or false"),
        (JSON, b'{"time":2,"ax":1,"ay":[2],"az":3}', ", column 'ay': expected a number, got an array"),
        (JSON, b'{"time":{},"ax":1,"ay":2,"az":3}', ", column 'time': expected a number or a time"),
        (JSON, b'{"time":2,"ax":1,"ay":2', "expected JSON, got "),
        (JSON, b"[" * 100_000, "expected JSON, got "),
        (JSON, b"[2,1,2,3]", "expected an object as before, got '[2,1,2,3]'"),
        (JSON, b"17", "expected an object as before, got '17'"),
        (JSON, b"[" + b"0," * 10_000 + b"0]", "it has more than 10000 columns"),
    ],
)
def test_a_bad_line_is_named_or_left_out(frame: bytes, line: bytes, says: str) -> None:
    data = frame.replace(b"%s", line)
    with pytest.raises(SourceError) as error:
        read(data)
    assert f"line 4{says}" in str(error.value).replace("line 4: ", "line 4")
    assert len(str(error.value)) < 400
    for sizes in ([], [7] * 40, [len(frame), *[100_000] * 20]):
        times, _, error_, *_ = heard(Pieces(data, [*sizes]))
        assert (times, bool(error_)) == ([0, 1], True)
        assert heard(Pieces(data, [*sizes]), on_error="skip") == ([0, 1, 3], [[1, 2, 3]] * 3, "", 1, [4])


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "is empty; it should hold lines of CSV or JSON"),
        (b"\n \n", "is empty"),
        (b"time,ax,ay,az\n", "holds a header, but no readings"),
        (b"ax,ay\n1,2\n", "line 1: no column is called 'az'; there are 'ax', 'ay'. The first line"),
        (b"ax,ay,az,AX\n1,2,3,4\n", "line 1: several columns are called 'ax'"),
        (b"\n1,2\n", "line 2: expected 3 columns ('ax', 'ay', 'az'), or one more with the time before them; got 2"),
        (b"1,5;2,5;3,5\n", "line 1, column 'ax': expected a number, got '1,5'"),
        (b"\x89PNG\r\n\x1a\n", "line 1: expected UTF-8, got byte 0x89 as number 1"),
        (b"x" * 10_000_000, "line 1: it is longer than 1048576 bytes"),
        (b"," * 1_000_000 + b"\n1\n", "line 1: it has more than 10000 columns"),
    ],
)
def test_what_gives_no_columns_or_rows_is_an_error_always(data: bytes, says: str) -> None:
    for on_error in ("stop", "skip"):
        times, values, error, *_ = heard(data, on_error=on_error)
        assert (times, values) == (None, [])
        assert says in error or (on_error == "skip" and "all its lines were left out, 1 of them" in error)


def test_skipped_lines_are_counted_and_the_first_ten_named() -> None:
    lines = Lines(io.BytesIO(b"ax,ay,az\n" + b"1,2,3\n1,2\n" * 20), CHANNELS, on_error="skip")
    assert sum(len(block.values) for block in lines) == 20
    assert (lines.skipped, lines.skipped_lines) == (20, list(range(3, 23, 2)))


@pytest.mark.parametrize("data", [b"1,2,3\n" + b"1" * 10_000_000, b"," * 1_000_000 + b"\n", b"a," * 10_000_000])
def test_long_lines_cost_little_memory(data: bytes) -> None:
    tracemalloc.start()
    try:
        heard(Pieces(data, [50_000] * 500), on_error="skip")
        assert tracemalloc.get_traced_memory()[1] < 6_000_000
    finally:
        tracemalloc.stop()


def test_what_cannot_be_opened_is_an_error(tmp_path: Path) -> None:
    for source, says in ((tmp_path / "no", "no such file"), (tmp_path, "is a folder"), ("a\0b", "cannot read")):
        with pytest.raises(SourceError, match=says):
            Lines(source, CHANNELS)
    (tmp_path / "a.csv").write_text("1,2,3\n")
    with (tmp_path / "a.csv").open() as text, pytest.raises(SourceError, match="gave str, not bytes"):
        list(Lines(text, CHANNELS))  # type: ignore[arg-type]
    with pytest.raises(InputError, match="open binary stream; got int"):
        Lines(3, CHANNELS)  # type: ignore[arg-type]
    wrong: dict[str, Any]
    for wrong in ({"channels": "ax"}, {"channels": ["a", "A"]}, {"channels": []}, {"on_error": "x"}, {"format": "x"}):
        with pytest.raises(InputError):
            Lines(io.BytesIO(), **dict[str, Any]({"channels": CHANNELS} | wrong))


def test_closing_ends_it_and_what_was_given_stays_open(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("1,2,3\n" * 200_000)
    with Lines(tmp_path / "a.csv", CHANNELS) as lines:
        first = next(iter(lines))
        rest = sum(len(block.values) for block in lines)
        assert len(first.values) + rest == 200_000
    lines = Lines(tmp_path / "a.csv", CHANNELS)
    next(iter(lines))
    lines.close()
    assert list(lines) == []
    stream = io.BytesIO(b"1,2,3\n")
    with Lines(stream, CHANNELS) as lines:
        assert len(list(lines)) == 1
    assert not stream.closed


@pytest.mark.parametrize("kind", ["csv", "quoted", "extra columns", "other keys", "arrays"])
@pytest.mark.parametrize("on_error", ["stop", "skip"])
def test_mutations_give_rows_or_an_error_whatever_the_chunks(kind: str, on_error: str) -> None:
    random = np.random.default_rng(KINDS.index(kind))
    whole = texts(*recording(30))[kind]
    pieces = [
        b",",
        b"\n",
        b'"',
        b"\xff",
        b"\0",
        b"nan",
        b"e9",
        b"-",
        b"{",
        b"]",
        b"\r",
        b"1e999",
        b"\xef\xbb\xbf",
        b"_",
    ]
    for turn in range(150):
        data = bytearray(whole)
        for _ in range(int(random.integers(1, 5))):
            at, length = int(random.integers(len(data) + 1)), int(random.integers(0, 20))
            piece = pieces[random.integers(len(pieces))] if random.random() < 0.7 else random.bytes(length)
            data[at : at + int(random.choice([0, 0, length]))] = piece
        found = heard(bytes(data), on_error=on_error)
        sizes = random.integers(1, 60, 300).tolist()
        other = heard(Pieces(bytes(data), sizes), on_error=on_error)
        assert repr(other) == repr(found), f"{kind}, turn {turn}: {bytes(data)!r}"


def test_what_is_read_goes_onto_a_grid() -> None:
    times, values = recording(300)
    regular = Regular(50, 3)
    rows = [
        item for block in Lines(io.BytesIO(texts(times, values)["csv"]), CHANNELS) if block.times is not None
        for item in regular.push(block.times, block.values)
    ]  # fmt: skip
    assert all(isinstance(item, np.ndarray) for item in rows)
    assert sum(len(item) for item in rows if isinstance(item, np.ndarray)) == int((times[-1] - times[0]) * 50) + 1


def test_a_boards_words_before_the_header_are_left_out_where_that_is_wanted() -> None:
    text = b"ESP-ROM:esp32c3\nrst:0x1 (POWERON),boot:0xc\nax,ay\n1,2\n3,4\n"
    parser = LineParser("the board", ["ax", "ay"], on_error="skip", live=True, cut=True)
    blocks = [block.values.tolist() for block in parser.feed(text)]
    assert blocks == [[[1.0, 2.0], [3.0, 4.0]]]
    assert (parser.skipped, parser.skipped_lines) == (2, [1, 2])
    with pytest.raises(SourceError, match=r"line 2: .*name other channels, in the model's order"):
        list(LineParser("the board", ["ax", "ay"], live=True, cut=True).feed(text))


def test_a_decimal_comma_is_named() -> None:
    with pytest.raises(SourceError, match="got '0,5'; write decimals with a point"):
        list(Lines(io.BytesIO(b"ax;ay\n0,5;1\n"), ["ax", "ay"]))
