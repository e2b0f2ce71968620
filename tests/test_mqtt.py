import io
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from receivers import at_alarm, readings_of, take, until, writing
from streamcell.runtime.errors import InputError, SourceError
from streamcell.runtime.sources import Lines, Mqtt, MqttPublisher, Readings, Serial, mqtt_link

CHANNELS = ("ax", "ay", "az")
TOPIC = "home/watch 1"
MOSQUITTO = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


class Broker:
    """Run mosquitto on a free port of this machine."""

    def __init__(self, folder: Path, *settings: str) -> None:
        if MOSQUITTO is None and "CI" not in os.environ:
            pytest.skip("needs apt install mosquitto")
        assert MOSQUITTO, "mosquitto is not installed: apt install mosquitto"
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = int(free.getsockname()[1])
        lines = (f"listener {self.port} 127.0.0.1", "user root", "persistence false", "max_queued_messages 100000")
        file = folder / "mosquitto.conf"
        self._call = [MOSQUITTO, "-c", str(file)]
        file.write_text("\n".join([*lines, *(settings or ["allow_anonymous true"])]) + "\n")
        self.url = f"mqtt://127.0.0.1:{self.port}/home/watch%201"
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(self._call, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(200):
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
            except ConnectionRefusedError:
                assert self.process.poll() is None
                time.sleep(0.02)
            else:
                break

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


NewBroker = Callable[..., Broker]


@pytest.fixture
def new_broker(tmp_path: Path) -> Iterator[NewBroker]:
    """Return what starts a broker with settings of its own."""
    brokers = list[Broker]()

    def start(*settings: str) -> Broker:
        brokers.append(Broker(tmp_path, *settings))
        return brokers[-1]

    yield start
    for broker in brokers:
        broker.kill()


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    broker = Broker(tmp_path_factory.mktemp("broker"))
    yield broker
    broker.kill()


class Sender:
    """Publish, and know that the broker has it."""

    def __init__(self, broker: Broker) -> None:
        self._client = Client(CallbackAPIVersion.VERSION2)
        self._client.reconnect_delay_set(1, 1)
        self._client.connect("127.0.0.1", broker.port)
        self._client.loop_start()

    def send(self, *payloads: bytes, retain: bool = False, topic: str = TOPIC) -> None:
        sent = [self._client.publish(topic, payload, qos=1, retain=retain) for payload in payloads]
        for each in sent:
            each.wait_for_publish(20)
            assert each.is_published()

    def wait(self) -> None:
        until(self._client.is_connected)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@pytest.fixture
def sender(broker: Broker) -> Iterator[Sender]:
    sender = Sender(broker)
    yield sender
    sender.close()


def texts(count: int = 400) -> dict[str, list[bytes]]:
    """Return messages that hold the same readings."""
    random = np.random.default_rng(0)
    times = 1.7e9 + np.cumsum(random.uniform(0.01, 0.03, count)).round(6)
    rows = [[float(t), *map(float, row)] for t, row in zip(times, random.normal(size=(count, 3)), strict=True)]
    csv = [",".join(map(repr, row)).encode() for row in rows]
    objects = [dict(zip(("time", *CHANNELS), row, strict=True)) for row in rows]
    header = b"time,ax,ay,az"
    return {
        "CSV, a line a message": [header, *csv],
        "CSV, all in one": [b"\n".join([header, *csv])],
        "CSV, a header in each": [b"\r\n".join([header, *csv[at : at + 7]]) for at in range(0, count, 7)],
        "objects": [json.dumps(item).encode() for item in objects],
        "JSON lines": ["\n".join(map(json.dumps, objects[at : at + 30])).encode() for at in range(0, count, 30)],
        "arrays": [json.dumps(row).encode() for row in rows],
        "arrays in arrays": [json.dumps(rows[at : at + 50], indent=1).encode() for at in range(0, count, 50)],
        "objects in an array": [json.dumps(objects).encode()],
        "objects over lines": [json.dumps(item, indent=2).encode() for item in objects],
    }


@pytest.mark.parametrize("kind", texts(1))
def test_every_way_of_writing_gives_the_same(broker: Broker, sender: Sender, kind: str) -> None:
    expected = readings_of(Lines(io.BytesIO(texts()["CSV, all in one"][0]), CHANNELS))
    with Mqtt(broker.url, CHANNELS) as source:
        sender.send(*texts()[kind])
        blocks = take(source, 400)
    assert readings_of(blocks) == expected
    assert len(expected[0]) == 400
    assert (source.skipped, source.dropped) == (0, 0)
    assert all(block.outage == 0 for block in blocks)


@pytest.mark.parametrize("kind", ["CSV, a line a message", "objects", "arrays"])
def test_file_pipe_port_and_broker_give_the_same(broker: Broker, sender: Sender, kind: str, tmp_path: Path) -> None:
    text = b"\n".join(texts()[kind]) + b"\n"
    (tmp_path / "a.txt").write_bytes(text)
    with Lines(tmp_path / "a.txt", CHANNELS) as lines:
        expected = readings_of(lines)
    assert len(expected[0]) == 400
    code = (
        "from streamcell.runtime.sources import Lines\n"
        f"print(*[(t, v) for b in Lines('-', {CHANNELS}) for t, v in zip(b.times.tolist(), b.values.tolist())])"
    )
    done = subprocess.run([sys.executable, "-c", code], input=text, check=True, capture_output=True)
    assert done.stdout.decode().strip() == " ".join(map(str, zip(*expected, strict=True)))
    end, port = os.openpty()
    with Serial(os.ttyname(port), CHANNELS) as source, writing(end, text):
        assert readings_of(take(source, 400)) == expected
    os.close(port)
    os.close(end)
    with Mqtt(broker.url, CHANNELS) as messages:
        sender.send(*texts()[kind])
        assert readings_of(take(messages, 400)) == expected


def test_the_broker_goes_away_and_comes_back(new_broker: NewBroker) -> None:
    broker = new_broker()
    sender = Sender(broker)
    source = Mqtt(broker.url, CHANNELS)
    sender.send(*(b"%d,1,2,3" % row for row in range(10)))
    assert len(readings_of(take(source, 10))[1]) == 10
    last = time.monotonic()
    blocks = list[Readings]()
    thread = threading.Thread(target=lambda: blocks.extend(take(source, 10)))
    thread.start()
    broker.kill()
    time.sleep(0.3)
    assert not source.connected
    broker.start()
    until(lambda: source.connected)
    sender.wait()
    away = time.monotonic() - last
    sender.send(*(b"%d,1,2,3" % row for row in range(10, 20)))
    thread.join(5)
    source.close()
    sender.close()
    broker.kill()
    assert readings_of(blocks)[0] == list(range(10, 20))
    assert [block.outage > 0 for block in blocks] == [True, *[False] * (len(blocks) - 1)]
    assert away - 0.1 < blocks[0].outage < away + 5


def test_what_is_not_read_is_dropped_and_told(broker: Broker, sender: Sender) -> None:
    with Mqtt(broker.url, CHANNELS, queue_size=5) as source:
        sender.send(*(b"%d,1,2,3" % row for row in range(6)))
        until(lambda: source.dropped == 1)  # so the five before it are here
        time.sleep(0.3)
        sender.send(*(b"%d,1,2,3" % row for row in range(6, 12)))
        until(lambda: source.dropped == 7)
        before = take(source, 5)
        sender.send(b"12,1,2,3", b"13,1,2,3")
        after = take(source, 2)
        assert source.dropped == 7
    assert readings_of(before)[0] == [0, 1, 2, 3, 4]
    assert [block.outage for block in before] == [0] * 5
    assert readings_of(after)[0] == [12, 13]
    assert 0.3 < after[0].outage < 10
    assert after[1].outage == 0


def test_a_message_without_readings_passes_the_outage_on(broker: Broker, sender: Sender) -> None:
    with Mqtt(broker.url, CHANNELS, queue_size=1) as source:
        sender.send(b"ax,ay,az\n1,2,3", b"4,5,6")
        until(lambda: source.dropped == 1)
        take(source, 1)
        sender.send(b"ax,ay,az\n")
        blocks = list[Readings]()
        thread = threading.Thread(target=lambda: blocks.extend(take(source, 1)))
        thread.start()
        time.sleep(0.2)
        sender.send(b"7,8,9")
        thread.join(5)
    assert readings_of(blocks)[1] == [[7, 8, 9]]
    assert blocks[0].outage > 0


def test_retained_messages_are_not_of_now(broker: Broker, sender: Sender) -> None:
    sender.send(b"1,2,3", retain=True)
    try:
        with Mqtt(broker.url, CHANNELS) as source:
            sender.send(b"4,5,6", retain=True)
            assert readings_of(take(source, 1)) == ([], [[4, 5, 6]])
    finally:
        sender.send(b"", retain=True)


def test_a_bad_message_is_an_error_after_the_readings_before_it_or_is_left_out(broker: Broker, sender: Sender) -> None:
    messages = (b"ax,ay,az", b"1,2,3\n4,walk,6\n7,8,9", b"," * 1_000_000, b"1" * 10_000_000, b"", b"1,2,3")
    with Mqtt(broker.url, CHANNELS, on_error="skip") as source:
        sender.send(*messages)
        assert readings_of(take(source, 3))[1] == [[1, 2, 3], [7, 8, 9], [1, 2, 3]]
    assert source.skipped_lines == [3, 5, 6]
    got = list[Readings]()
    with Mqtt(broker.url, CHANNELS) as source:
        sender.send(*messages)
        with pytest.raises(SourceError, match=f"{TOPIC}, line 3, column 'ay': expected a number, got 'walk'"):
            got.extend(source)
    assert readings_of(got)[1] == [[1, 2, 3]]


def test_close_ends_the_iteration(broker: Broker, sender: Sender) -> None:
    for way in ("thread", "signal"):
        source = Mqtt(broker.url, CHANNELS)
        sender.send(b"1,2,3")
        assert len(take(source, 1)) == 1
        begin = time.monotonic()
        if way == "thread":
            timer = threading.Timer(0.2, source.close)
            timer.start()
            assert list(source) == []
            timer.join()
        else:
            with at_alarm(0.2, source.close):
                assert list(source) == []
        assert 0.15 < time.monotonic() - begin < 5
        source.close()
        assert not source.connected
    threads = [thread.name for thread in threading.enumerate()]
    assert not [name for name in threads if name.startswith("streamcell")], threads


def test_close_while_the_broker_is_away(new_broker: NewBroker) -> None:
    broker = new_broker()
    source = Mqtt(broker.url, CHANNELS)
    broker.kill()
    timer = threading.Timer(0.3, source.close)
    timer.start()
    begin = time.monotonic()
    assert list(source) == []
    assert time.monotonic() - begin < 5
    timer.join()


def url(port: int, scheme: str = "mqtt", user: str = "") -> str:
    return f"{scheme}://{user}127.0.0.1:{port}/a"


def test_a_broker_that_cannot_be_reached(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    for kind in (lambda: Mqtt(url(port), CHANNELS), lambda: MqttPublisher(url(port))):
        with pytest.raises(SourceError, match=f"cannot reach 127.0.0.1, port {port}: nothing listens there; start"):
            kind()
    with pytest.raises(SourceError, match=r"cannot reach nowhere\.invalid, port 1883: there is no host of that name"):
        Mqtt("mqtt://nowhere.invalid/a", CHANNELS)
    monkeypatch.setattr(mqtt_link, "_PATIENCE", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        begin = time.monotonic()
        with pytest.raises(SourceError, match=r"127.0.0.1 said nothing for 0.5 s. Is it an MQTT broker"):
            Mqtt(url(silent.getsockname()[1]), CHANNELS)
        assert time.monotonic() - begin < 4


def test_a_broker_that_refuses(new_broker: NewBroker, tmp_path: Path) -> None:
    subprocess.run(["mosquitto_passwd", "-b", "-c", str(tmp_path / "users"), "me", "se@cret"], check=True)
    (tmp_path / "rules").write_text("user me\ntopic readwrite mine/#\n")
    broker = new_broker("allow_anonymous false", f"password_file {tmp_path}/users", f"acl_file {tmp_path}/rules")
    for user in ("", "me:wrong@"):
        with pytest.raises(
            SourceError, match=r"the broker refuses the connection \(Not authorized\). Give user"
        ) as error:
            Mqtt(url(broker.port, user=user), CHANNELS)
        assert "wrong" not in str(error.value)
        with pytest.raises(SourceError, match="refuses the connection"):
            MqttPublisher(url(broker.port, user=user))
    mine = f"mqtt://me:se%40cret@127.0.0.1:{broker.port}/mine/watch"
    with Mqtt(mine, CHANNELS) as source, MqttPublisher(mine) as publisher:
        publisher.send("1,2,3")
        assert readings_of(take(source, 1))[1] == [[1, 2, 3]]
        broker.kill()
        (tmp_path / "users").write_text("")
        broker.start()
        with pytest.raises(SourceError, match="the broker refuses the connection"):
            list(source)


def test_a_broker_that_lets_nobody_read(new_broker: NewBroker, tmp_path: Path) -> None:
    plugins = list(Path("/usr/lib").glob("*/mosquitto_dynamic_security.so"))
    if not plugins:
        pytest.skip("needs mosquitto's plugin for rules")
    rules = {"defaultACLAccess": {"subscribe": False}, "clients": [], "groups": [{"groupname": "all"}], "roles": []}
    (tmp_path / "rules.json").write_text(json.dumps({**rules, "anonymousGroup": "all"}))
    settings = ("allow_anonymous true", f"plugin {plugins[0]}", f"plugin_opt_config_file {tmp_path}/rules.json")
    broker = new_broker(*settings)
    with pytest.raises(SourceError, match="the broker does not let somebody without a name read this topic"):
        Mqtt(broker.url, CHANNELS)


def test_tls(broker: Broker, new_broker: NewBroker, tmp_path: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("needs apt install openssl")
    call = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "key", "-out", "certificate"]
    call += ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    subprocess.run(call, check=True, capture_output=True, cwd=tmp_path)
    files = (f"certfile {tmp_path}/certificate", f"keyfile {tmp_path}/key")
    plain, broker = broker, new_broker("allow_anonymous true", *files)
    code = (
        "import os, sys; from streamcell.runtime.errors import SourceError; from streamcell.runtime.sources import *\n"
        "for url, os.environ['SSL_CERT_FILE'] in zip(sys.argv[1::2], sys.argv[2::2]):\n"
        "    try:\n"
        "        with Mqtt(url, ['a']) as source, MqttPublisher(url) as publisher:\n"
        "            publisher.send('17'); print(next(iter(source)).values)\n"
        "    except SourceError as error: print(error)"
    )
    ours, theirs = url(broker.port, "mqtts"), url(plain.port, "mqtts")
    call = [sys.executable, "-c", code, ours, f"{tmp_path}/certificate", ours, "", theirs, ""]
    found = subprocess.run(call, check=True, capture_output=True, text=True).stdout.splitlines()
    assert found[0] == "[[17.]]"
    assert re.search(
        r"certificate is not trusted \(self.signed certificate\); name the file .* SSL_CERT_FILE", found[1]
    )
    assert re.search(r"it does not answer with TLS .*; is that port one for mqtt://\?", found[2])
    with pytest.raises(SourceError, match=r"127.0.0.1 ended the connection. Is it an MQTT broker"):
        Mqtt(url(broker.port), CHANNELS)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("mqtt://host", "the topic is missing"),
        ("mqtt://host/", "the topic is missing"),
        ("mqtt:///a", "got mqtt:///a"),
        ("mqtt:host/a", "got mqtt://"),
        ("http://host/a", "got http://host/a"),
        ("mqtt://host:0/a", "got mqtt://host/a"),
        ("mqtt://host:70000/a", "odd letters"),
        ("mqtt://me:secret/7@host/a", "odd letters"),
        ("mqtt://host/a?qos=1", r"got mqtt://host/a\?"),
        ("mqtt://host/a/+/b", r"\+ and # would mix the readings of several senders"),
        ("mqtt://host/a/#", r"\+ and # would mix"),
        ("mqtt://host/%23", r"\+ and # would mix"),
        ("mqtt://host/a%00", "zero byte"),
        ("mqtt://host/" + "a" * 65536, "too long"),
    ],
)
def test_a_url_that_is_none(text: str, says: str) -> None:
    for kind in (lambda: Mqtt(text, CHANNELS), lambda: MqttPublisher(text)):
        with pytest.raises(InputError, match=rf"expected mqtt://\[user:password@\]host.*{says}") as error:
            kind()
        assert "secret" not in str(error.value)


def test_settings_that_do_not_fit(broker: Broker) -> None:
    settings: dict[str, Any]
    for settings in ({"queue_size": 0}, {"channels": "ax"}, {"on_error": "x"}, {"format": "x"}):
        with pytest.raises(InputError):
            Mqtt(**dict[str, Any]({"url": broker.url, "channels": CHANNELS} | settings))


def test_a_publisher_delivers_in_order(broker: Broker) -> None:
    with Mqtt(broker.url, CHANNELS) as source:
        with MqttPublisher(broker.url) as publisher:
            for row in range(500):
                publisher.send(f"{row},1,2,3")
        assert publisher.unsent == 0
        assert readings_of(take(source, 500))[0] == list(range(500))
    with pytest.raises(InputError, match="the publisher is closed"):
        publisher.send("1")
    publisher.close()


def test_a_publisher_sends_at_once(broker: Broker) -> None:
    took = list[float]()
    with Mqtt(broker.url, CHANNELS) as source, MqttPublisher(broker.url) as publisher:
        for _ in range(20):
            time.sleep(0.01)
            begin = time.monotonic()
            publisher.send("1,2,3")
            take(source, 1)
            took.append(time.monotonic() - begin)
    assert sorted(took)[5] < 0.02  # most, but for a machine that has no time for us


def test_a_publisher_never_waits_and_counts_what_finds_no_room(new_broker: NewBroker) -> None:
    broker = new_broker()
    with MqttPublisher(broker.url) as publisher:
        broker.process.send_signal(signal.SIGSTOP)
        begin = time.monotonic()
        for row in range(1500):
            publisher.send("x" * 2000 + str(row))
        assert time.monotonic() - begin < 4
        assert publisher.unsent == 500
        broker.process.send_signal(signal.SIGCONT)
        publisher.close(patience=5)
    assert publisher.unsent == 500


def test_a_publisher_that_closes_waits_a_limited_time_and_counts_what_is_lost(new_broker: NewBroker) -> None:
    broker = new_broker()
    publisher = MqttPublisher(broker.url)
    publisher.send("1,2,3")
    until(lambda: publisher._link.confirmed == 1)
    broker.kill()
    for _ in range(3):
        publisher.send("1,2,3")
    begin = time.monotonic()
    publisher.close(patience=0.3)
    assert 0.25 < time.monotonic() - begin < 1.8
    assert publisher.unsent == 3


def test_what_waits_for_the_broker_is_sent_when_it_is_back(new_broker: NewBroker) -> None:
    broker = new_broker()
    publisher = MqttPublisher(broker.url)
    source = Mqtt(broker.url, CHANNELS)
    publisher.send("0,1,2,3")
    take(source, 1)
    broker.kill()
    time.sleep(0.15)
    broker.start()
    until(lambda: source.connected)
    for row in range(1, 50):
        publisher.send(f"{row},1,2,3")
    rows = set(map(int, readings_of(take(source, 49))[0]))
    publisher.close()
    source.close()
    broker.kill()
    assert rows == set(range(1, 50))
    assert publisher.unsent == 0


def test_without_paho_it_names_the_extra() -> None:
    code = (
        "import sys; sys.modules['paho.mqtt'] = None; from streamcell.runtime.sources import Mqtt\n"
        "try: Mqtt('mqtt://localhost/a', ['a'])\nexcept Exception as error: print(type(error).__name__, error)"
    )
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert found == (
        "MissingExtraError paho-mqtt is needed to speak with an MQTT broker, but is not installed. "
        "Install it with: pip install 'streamcell[sensor]'\n"
    )


def test_importing_the_sources_imports_neither_paho_nor_pyserial() -> None:
    code = "import sys, streamcell.runtime.sources; print([name for name in ('paho', 'serial') if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True).stdout == b"[]\n"
