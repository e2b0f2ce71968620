import fcntl
import json
import os
import re
import signal
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from helpers import tiny_model
from receivers import until, writing
from sensors import CHANNELS, LABELS, moves, sensor_model
from streamcell.runtime.cli.main import main
from test_mqtt import Broker, Sender
from walks import DECODER, HEADER, Running, lines_of, rows, text_of


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "moves.onnx"
    path.write_bytes(sensor_model(decoder=DECODER))
    return path


@pytest.fixture(scope="module")
def walk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("readings") / "walk.csv"
    path.write_bytes(text_of(rows()))
    return path


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    """Run the command in this process; return exit code, stdout, stderr."""
    try:
        code = main(["classify", *map(str, arguments)])
    except SystemExit as end:
        code = int(end.code or 0)
    out, err = capsys.readouterr()
    assert "Traceback" not in err
    return code, out, err


@pytest.fixture
def port() -> Iterator[tuple[int, str]]:
    """Return the end of a device, and the path of the port that it is plugged into."""
    end, other = os.openpty()
    yield end, f"serial:{os.ttyname(other)}"
    os.close(other)
    os.close(end)


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    broker = Broker(tmp_path_factory.mktemp("broker"))
    yield broker
    broker.kill()


@pytest.fixture
def own_broker(tmp_path: Path) -> Iterator[Broker]:
    """Return a broker that may be killed."""
    broker = Broker(tmp_path)
    yield broker
    broker.kill()


@pytest.fixture
def sender(broker: Broker) -> Iterator[Sender]:
    sender = Sender(broker)
    yield sender
    sender.close()


# the same from everywhere


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_file_pipe_port_and_broker_give_the_same_lines(
    kind: str, path: Path, tmp_path: Path, port: tuple[int, str], broker: Broker, sender: Sender
) -> None:
    lines = text_of(rows()).splitlines()
    if kind == "jsonl":
        names = HEADER.split(",")
        objects = [dict(zip(names, map(float, line.split(b",")), strict=True)) for line in lines[1:]]
        lines = [json.dumps(item).encode() for item in objects]
    text = b"".join(line + b"\n" for line in lines)
    (tmp_path / "walk").write_bytes(text)
    file = Running(tmp_path / "walk", "--model", path, "--format", "jsonl")
    assert file.join() == 0
    expected, events = file.out, list(map(json.loads, file.out))
    assert {event["type"] for event in events} == {"segment", "gap", "oddity"}
    assert [event["kind"] for event in events if event["type"] == "oddity"] == ["late", "duplicate"]
    assert {event["label"] for event in events if event["type"] == "segment"} == set(LABELS)
    options = ("--model", path, "--format", "jsonl", "--no-partial")

    pipe = Running("-", *options, stdin=subprocess.PIPE)
    assert pipe.stdin is not None
    pipe.stdin.write(text)
    pipe.stdin.close()
    assert (pipe.join(), pipe.out) == (0, expected)

    end, url = port
    serial = Running(url, *options)
    serial.wait_for("listening to")
    with writing(end, text):
        serial.wait_for('"duplicate"')
    assert (serial.end(), serial.out) == (0, expected)

    messages = Running(broker.url, *options)
    messages.wait_for("listening to")
    sender.send(*lines)
    messages.wait_for('"duplicate"')
    assert (messages.end(), messages.out) == (0, expected)
    summary = (
        r"streamcell: heard 12\.7 s, 601 readings: 14 segments \((\w+ \d+(, )?){4}\); 1 gap \(26 rows lost\); "
        "odd readings: late 1, duplicate 1"
    )
    assert len(file.err) == 1
    assert re.fullmatch(summary, file.err[0])
    for running in (pipe, serial, messages):
        assert running.err == [running.err[0], file.err[0]]
        assert re.fullmatch("streamcell: listening to .*; Ctrl-C ends", running.err[0])


def test_text_and_json_say_the_same(path: Path, walk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, walk, "--model", path)
    events = list(map(json.loads, run(capsys, walk, "--model", path, "--format", "jsonl")[1].splitlines()))
    assert code == 0
    assert [line.split() for line in out.splitlines() if "gap" not in line] == [
        [f"{event['start']:.3f}", f"{event['end']:.3f}", event["label"], line.split()[3]]
        for event, line in zip(
            [event for event in events if event["type"] == "segment"],
            [line for line in out.splitlines() if "gap" not in line],
            strict=True,
        )
    ]
    assert "(gap: 26 samples lost, missing; hold)" in out
    late, duplicate, _ = err.splitlines()
    assert re.fullmatch(r"streamcell: odd reading \(late\) at 3\.025 s: 0\.0\d+ s before the last .*", late)
    assert re.fullmatch(r"streamcell: odd reading \(duplicate\) at 12\.\d{3} s: the timestamp came .*", duplicate)
    assert list(events[0]) == ["type", "label", "start", "end", "confidence"]
    assert [list(event) for event in events if event["type"] == "oddity"] == [["type", "kind", "time", "detail"]] * 2


def test_an_oddity_is_told_once_a_kind_as_text_and_always_as_json(
    path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.csv").write_text("t,a,b,c\n" + "".join(f"{row // 3},1,2,3\n" for row in range(30)))
    options = (tmp_path / "a.csv", "--model", path, "--channels", "c, b ,a", "--time", "T", "--max-gap", "2")
    _, out, err = run(capsys, *options)
    assert err.count("odd reading (duplicate) at 0.000 s") == err.count("odd reading (duplicate)") == 1
    assert "; odd readings: duplicate 20" in err
    assert "oddity" not in out
    _, out, err = run(capsys, *options, "--format", "jsonl")
    assert out.count('"kind": "duplicate"') == 20
    assert err.count("\n") == 1


def test_other_names_are_in_the_models_order(path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = ["z,y,x"] + ["0,0,1"] * 100
    (tmp_path / "a.csv").write_text("\n".join(lines))
    assert "walk" in run(capsys, tmp_path / "a.csv", "--model", path, "--channels", "x,y,z")[1]
    assert "fall" in run(capsys, tmp_path / "a.csv", "--model", path, "--channels", "z,y,x")[1]


def test_beginnings_of_a_file_are_told_where_they_are_asked_for(path: Path, walk: Path) -> None:
    """A file's block holds most ends too: what it does not is told when it begins."""
    running = Running(walk, "--model", path, "--format", "jsonl", "--partial")
    running.join()
    assert '"final": false' in "\n".join(running.out)


# live


@pytest.mark.parametrize("form", ["text", "jsonl"])
def test_a_segment_is_told_when_it_begins_and_when_it_has_ended(form: str, path: Path) -> None:
    pipe = Running("-", "--model", path, "--format", form, stdin=subprocess.PIPE)
    assert pipe.stdin is not None

    def write(reading: str, count: int) -> None:
        for _ in range(count):
            assert pipe.stdin is not None
            pipe.stdin.write(f"{reading}\n".encode())
            pipe.stdin.flush()

    write(",".join(CHANNELS), 1)
    write("0,0,0", 30)
    pipe.wait_for("rest")
    write("1,0,0", 30)
    pipe.wait_for("walk")
    write("0,1,0", 30)
    pipe.wait_for("turn")
    assert (pipe.end(), len(pipe.out)) == (0, 6)
    if form == "text":
        begun, ended = pipe.out[::2], pipe.out[1::2]
        order = [line.split()[2] for line in pipe.out]
        assert order == ["rest", "rest", "walk", "walk", "turn", "turn"]
        assert [line.split()[0] for line in begun] == [line.split()[0] for line in ended]
        assert [line.split()[1] for line in begun] == ["..."] * 3
        assert pipe.out[1].index("rest") == pipe.out[0].index("rest")
    else:
        events = list(map(json.loads, pipe.out))
        assert [event.get("final") for event in events] == [False, None] * 3
        assert [event["start"] for event in events[::2]] == [event["start"] for event in events[1::2]]
        assert [event["label"] for event in events[::2]] == ["rest", "walk", "turn"]
        assert all(event["end"] <= heard for event, heard in zip(events[::2], (0.6, 1.2, 1.8), strict=True))


def unread(terminal: int) -> int:
    return int.from_bytes(fcntl.ioctl(terminal, termios.FIONREAD, bytes(4)), sys.byteorder)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("kind", ["pipe", "fifo", "terminal", "port", "broker"])
def test_a_signal_ends_it_while_nothing_comes(
    kind: str, number: int, path: Path, tmp_path: Path, port: tuple[int, str], broker: Broker, sender: Sender
) -> None:
    end, url = port
    lines = text_of(rows(100)[:-1])
    if kind == "fifo":
        os.mkfifo(tmp_path / "fifo")
    source = {"port": url, "broker": broker.url, "fifo": tmp_path / "fifo"}.get(kind, "-")
    stdin = os.open(url.removeprefix("serial:"), os.O_RDONLY | os.O_NOCTTY) if kind == "terminal" else subprocess.PIPE
    running = Running(source, "--model", path, "--format", "jsonl", stdin=stdin)
    if kind == "fifo":
        writer = os.open(tmp_path / "fifo", os.O_WRONLY)
    running.wait_for("listening to")
    if kind == "pipe":
        assert running.stdin is not None
        running.stdin.write(lines)
        running.stdin.flush()
    elif kind == "fifo":
        os.write(writer, lines)
    elif kind == "broker":
        sender.send(lines)
    elif kind == "terminal":
        for at in range(0, len(lines), 1000):
            os.write(end, lines[at : at + 1000])
            time.sleep(0.1)  # until it is there
            until(lambda: not unread(stdin))  # a terminal holds 4,096 bytes and throws away the rest
    else:
        os.write(end, lines[:2000])
        os.write(end, lines[2000:])
    running.wait_for('"late"')
    time.sleep(0.2)
    assert running.end(number) == 0
    for fd in ([writer] if kind == "fifo" else []) + ([stdin] if kind == "terminal" else []):
        os.close(fd)
    assert re.fullmatch(
        r"streamcell: heard 2\.\d s, 100 readings: \d segments? \(.*\); 1 gap \(\d+ rows lost\); odd readings: late 1",
        running.err[-1],
    )
    last = [event for event in map(json.loads, running.out) if event.get("final", True)][-1]
    assert last["type"] == "segment"
    assert 1.9 < last["end"] < 3


def test_a_signal_ends_it_before_anything_has_come(path: Path) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        pipe = Running("-", "--model", path, stdin=subprocess.PIPE)
        pipe.wait_for("listening to standard input; Ctrl-C ends")
        assert pipe.end(number) == 0
        assert pipe.err[1:] == ["streamcell: heard 0.0 s, 0 readings: 0 segments; no gaps"]


def test_the_time_is_over_though_nothing_comes(path: Path, broker: Broker, port: tuple[int, str]) -> None:
    for source in ("-", broker.url, port[1]):
        running = Running(source, "--model", path, "--seconds", "0.5", stdin=subprocess.PIPE)
        assert running.join() == 0  # which does not wait for ever
        assert "heard 0.0 s" in running.err[-1]


def test_a_port_that_is_unplugged_loses_nothing(path: Path) -> None:
    end, other = os.openpty()
    running = Running(f"serial:{os.ttyname(other)}?baud=9600", "--model", path, "--format", "jsonl", "--no-partial")
    running.wait_for("listening to")
    os.close(other)
    with writing(end, text_of(rows(300))):
        running.wait_for('"duplicate"')
    os.close(end)
    assert running.join() == 2
    assert json.loads(running.out[-1])["type"] == "segment"
    assert running.err[-2].startswith("streamcell: heard 6.")
    assert re.fullmatch(r"streamcell: error: /dev/\S+ at 9600 baud is gone .*", running.err[-1])


def test_a_bad_line_comes_after_what_was_before_it(
    path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = rows(300)
    (tmp_path / "good.csv").write_bytes(text_of(lines))
    (tmp_path / "bad.csv").write_bytes(text_of([*lines, "7,walk,0,0", "8,0,0,0"]))
    _, expected, _ = run(capsys, tmp_path / "good.csv", "--model", path)
    code, out, err = run(capsys, tmp_path / "bad.csv", "--model", path)
    assert (code, out) == (2, expected)
    heard, error = err.splitlines()[-2:]
    assert heard.startswith("streamcell: heard 6.")
    assert error.startswith(f"streamcell: error: {tmp_path}/bad.csv, line 303, column 'acc_x': expected a number")
    code, out, err = run(capsys, tmp_path / "bad.csv", "--model", path, "--on-error", "skip")
    assert code == 0
    assert "; 1 line left out (303)" in err
    (tmp_path / "many.csv").write_bytes(text_of([*lines, *["x,0,0,0"] * 12, "8,0,0,0"]))
    _, _, err = run(capsys, tmp_path / "many.csv", "--model", path, "--on-error", "skip")
    assert "; 12 lines left out (303, 304, 305, 306, 307, 308, 309, 310, 311, 312, ...)" in err


# brokers


def test_events_are_published(path: Path, walk: Path, tmp_path: Path, broker: Broker) -> None:
    target = f"mqtt://127.0.0.1:{broker.port}/home/moves"
    received = Listener(broker, "home/moves")
    file = tmp_path / "mqtt.csv"
    file.write_bytes(walk.read_bytes())
    running = Running(file, "--model", path, "--format", "jsonl", "--publish", target)
    assert running.join() == 0
    until(lambda: len(received.lines) == len(running.out))
    received.close()
    assert received.lines == running.out
    assert len(running.out) > 10
    assert "not sent" not in running.err[-1]


class Listener:
    """Hear a topic."""

    def __init__(self, broker: Broker, topic: str) -> None:
        self.lines = list[str]()
        ready = threading.Event()
        self._client = Client(CallbackAPIVersion.VERSION2)
        self._client.on_message = lambda _client, _data, message: self.lines.append(message.payload.decode())
        self._client.on_subscribe = lambda *_: ready.set()
        self._client.connect("127.0.0.1", broker.port)
        self._client.subscribe(topic, 1)
        self._client.loop_start()
        assert ready.wait(5)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


def test_the_broker_of_the_readings_goes_away_and_comes_back(path: Path, own_broker: Broker) -> None:
    lines = lines_of(*moves(400))
    running = Running(own_broker.url, "--model", path, "--format", "jsonl")
    running.wait_for("listening to")
    sender = Sender(own_broker)
    sender.send(*(line.encode() for line in lines[:200]), b"0,0,0,0")
    running.wait_for('"late"')
    own_broker.kill()
    time.sleep(0.3)
    own_broker.start()
    sender.wait()
    time.sleep(3)  # until the program is there again, too
    sender.send(*(line.encode() for line in lines[300:]), b"1,0,0,0")
    until(lambda: sum('"late"' in line for line in running.out) == 2)
    sender.close()
    assert running.end() == 0
    events = list(map(json.loads, running.out))
    (gap,) = (event for event in events if event["type"] == "gap")
    assert (gap["reason"], gap["action"]) == ("missing", "reset")
    assert 95 < gap["samples"] < 105
    assert any(event["type"] == "segment" and event["start"] >= gap["end"] for event in events)
    assert "1 gap (" in running.err[-1]


def test_where_events_cannot_be_sent_it_goes_on_and_counts_them(path: Path, own_broker: Broker) -> None:
    target = f"mqtt://127.0.0.1:{own_broker.port}/home/moves"
    pipe = Running(
        "-", "--model", path, "--format", "jsonl", "--publish", target, "--no-partial", stdin=subprocess.PIPE
    )
    assert pipe.stdin is not None
    pipe.wait_for("listening to")
    received = Listener(own_broker, "home/moves")
    lines = text_of(rows()).splitlines(keepends=True)
    pipe.stdin.write(b"".join(lines[:300]))
    pipe.stdin.flush()
    pipe.wait_for('"late"')
    time.sleep(0.5)
    until(lambda: len(received.lines) == len(pipe.out))
    time.sleep(0.2)  # until the program has heard so
    received.close()
    own_broker.kill()
    sent = len(pipe.out)
    pipe.stdin.write(b"".join(lines[300:]))
    pipe.stdin.close()
    assert pipe.join() == 1
    assert len(pipe.out) > sent + 3
    assert pipe.err[-1].endswith(f"; {len(pipe.out) - sent} events not sent")


def test_readings_and_events_need_topics_of_their_own(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call = ("mqtt://host/a", "--model", path, "--publish", "mqtt://me:secret@host:1883/a")
    code, out, err = run(capsys, *call)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "--publish mqtt://host:1883/a: is the topic that readings come from" in err


# what cannot be done


BAD = {
    "none": ("{path}/none.csv", "no such file: "),
    "folder": ("{path}", "is a folder"),
    "empty": ("", "is empty"),
    "header": ("a,b,c\n", "no column is called 'acc_x'; there are 'a', 'b', 'c'"),
    "columns": ("acc_x,acc_y,gyr_z\n1,2\n", "line 2: expected 3 columns, got 2"),
    "text": ("acc_x,acc_y,gyr_z\n1,walk,3\n", "line 2, column 'acc_y': expected a number, got 'walk'"),
    "wide": (",".join(["1"] * 500_000) + "\n", "line 1: it has more than 10000 columns"),
    "wider": (",".join(["1"] * 1_000_000) + "\n", "line 1: it is longer than 1048576 bytes"),
    "long": ("acc_x,acc_y,gyr_z\n" + "1" * 10_000_000 + "\n", "line 2: it is longer than 1048576 bytes"),
    "port": ("serial:/dev/ttyNONE9", "no such port: /dev/ttyNONE9"),
    "device": ("/dev/tty", "/dev/tty is a port; write serial:/dev/tty?baud=115200"),
    "host": ("mqtt://127.0.0.1:1/a", "cannot reach 127.0.0.1, port 1: nothing listens there"),
    "url": ("tcp://host:5000", "expected a file, -, serial:PORT"),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_source_is_one_line_and_2(
    kind: str, path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, says = BAD[kind]
    if kind not in ("none", "folder", "port", "device", "host", "url"):
        (tmp_path / "a.csv").write_text(source)
        source = "{path}/a.csv"
    code, out, err = run(capsys, source.format(path=tmp_path), "--model", path)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("streamcell: error: ")
    assert says in err
    assert len(err) < 500


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--channels", "a,b"], "--channels must name 3 columns, for acc_x, acc_y, gyr_z; got 2"),
        (["--channels", "a,b,a"], "channels must be names that differ"),
        (["--time", "when"], "no column is called 'when'"),
        (["--max-gap", "0.01"], "max_gap of at least 0.04 s"),
        (["--seconds", "0"], "--seconds must be a number above 0, got 0"),
        (["--seconds", "nan"], "--seconds must be a number above 0, got nan"),
        (["--publish", "mqtt://127.0.0.1:1/a"], "cannot reach 127.0.0.1, port 1"),
        (["--publish", "walk.csv"], "expected mqtt://"),
    ],
)
def test_an_option_that_does_not_fit_is_one_line_and_2(
    options: list[str], says: str, path: Path, walk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = run(capsys, walk, "--model", path, *options)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert says in err


def test_a_model_of_sound_is_for_other_commands(tmp_path: Path, walk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "tiny.onnx").write_bytes(tiny_model())
    code, out, err = run(capsys, walk, "--model", tmp_path / "tiny.onnx")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "tiny takes audio, not readings of sensors: use `streamcell transcribe` or `streamcell mic`" in err
    assert run(capsys, walk)[0] == 2


def test_another_rate_and_times_that_go_back_are_told_and_heard(
    path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, values = moves(400)
    for kind, times in (("rate", np.arange(400) / 100), ("jump", np.arange(400) / 50 - 9000 * (np.arange(400) > 200))):
        (tmp_path / "a.csv").write_bytes(text_of(lines_of(times, values)))
        code, out, err = run(capsys, tmp_path / "a.csv", "--model", path)
        assert code == 0
        assert len(out.splitlines()) > 3
        assert err.startswith(f"streamcell: odd reading ({kind}) at ")
        assert f"; odd readings: {kind} 1" in err


# help


def test_help_teaches(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "--help")
    assert (code, err) == (0, "")
    assert "examples:\n  streamcell classify walk.csv" in out
    for words in ("| streamcell classify -", "serial:/dev/ttyUSB0?baud=115200", "--publish mqtt://", '"final": false'):
        assert words in out
    assert max(map(len, out.splitlines())) <= 120


def test_help_and_lines_need_nothing_heavy(path: Path, walk: Path) -> None:
    code = (
        "import sys; from streamcell.runtime.cli.main import main\n"
        "try: main(['classify', *sys.argv[1:]])\nexcept SystemExit: pass\n"
        "heavy = {'torch', 'onnx', 'librosa', 'scipy', 'rich', 'sounddevice', 'soundfile', 'paho', 'serial'}\n"
        "print('LOADED', *sorted(heavy & set(sys.modules)))"
    )
    for arguments in (["--help"], [walk, "--model", path]):
        call = [sys.executable, "-c", code, *map(str, arguments)]
        out = subprocess.run(call, capture_output=True, text=True, check=True).stdout
        assert out.splitlines()[-1].strip() == "LOADED"


def test_readings_without_timestamps_are_said(path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.csv").write_text("acc_x,acc_y,gyr_z\n" + "1,0,0\n" * 100)
    code, _, err = run(capsys, tmp_path / "a.csv", "--model", path)
    assert code == 0
    assert err.splitlines()[0] == "streamcell: no timestamps: taken as 50 readings a second (--time)"
    assert "heard 2.0 s, 100 readings" in err
