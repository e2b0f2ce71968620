import ctypes.util
import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import soxr
from numpy.typing import NDArray
from rapidfuzz.distance import Levenshtein

from helpers import tiny_model
from streamcell.runtime.errors import SourceError
from streamcell.runtime.sources.microphone import BlockQueue, Device, _find
from streamcell.train.data.utterances import read_corpus

SPEECH = Path("samples/phonemes/learner.flac")
DEVICES = [
    Device(2, "USB Audio Device", 1, 48000, default=False),
    Device(5, "pulse", 32, 44100, default=True),
    Device(6, "USB Audio", 2, 16000, default=False),
]


def block(length: int = 480) -> NDArray[np.float32]:
    return np.zeros(length, np.float32)


def test_blocks_come_out_in_order_and_nothing_is_lost() -> None:
    blocks = BlockQueue(3, 48000)
    for index in range(3):
        blocks.put(np.full(480, index, np.float32), index / 100, overflow=False)
    got = [blocks.get(0) for _ in range(3)]
    assert [int(samples[0]) for samples, _, _ in got] == [0, 1, 2]
    assert [lost for _, lost, _ in got] == [0, 0, 0]
    assert blocks.dropped == 0
    with pytest.raises(queue.Empty):
        blocks.get(0.01)


def test_a_full_queue_drops_the_new_and_says_so_before_the_block_that_follows() -> None:
    blocks = BlockQueue(1, 48000)
    for index in range(4):
        blocks.put(block(), index / 100, overflow=False)
    assert blocks.get(0)[1] == 0
    blocks.put(block(), 0.04, overflow=False)
    assert blocks.get(0)[1] == 3 * 480
    assert (blocks.dropped, blocks.take_lost()) == (3 * 480, 0)


@pytest.mark.parametrize(("start", "lost"), [(0.51, 24000), (0.01, 480), (0.0, 480)])
def test_an_overflow_is_measured_on_the_devices_clock_or_else_counts_as_one_block(start: float, lost: int) -> None:
    blocks = BlockQueue(5, 48000)
    for at, overflow in ((1.0, False), (1.0 + start, True)):
        blocks.put(block(), at, overflow=overflow)
    blocks.get(0)
    assert blocks.get(0)[1] == lost
    assert blocks.dropped == lost


@pytest.mark.parametrize(
    ("wanted", "index"), [(None, 5), (2, 2), ("6", 6), ("PULSE", 5), ("usb audio", 6), ("Device", 2)]
)
def test_a_device_is_found_by_number_name_or_part_of_it(wanted: int | str | None, index: int) -> None:
    assert _find(wanted, DEVICES).index == index


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (0, "no input device has the number 0"),
        ("usb", "several input devices"),
        ("headset", "no input device is called 'headset'"),
    ],
)
def test_an_unknown_device_lists_those_there_are(wanted: int | str, message: str) -> None:
    with pytest.raises(SourceError, match=f"{message}.*2: USB Audio Device; 5: pulse; 6: USB Audio"):
        _find(wanted, DEVICES)


def test_no_default_and_no_device_at_all() -> None:
    with pytest.raises(SourceError, match="no default microphone"):
        _find(None, DEVICES[:1])
    with pytest.raises(SourceError, match="no microphone was found"):
        _find(None, [])


def command(*arguments: str | Path, env: Mapping[str, str] | None = None) -> "subprocess.CompletedProcess[str]":
    call = [sys.executable, "-m", "streamcell", "mic", *map(str, arguments)]
    return subprocess.run(call, capture_output=True, text=True, check=False, env=env and dict(env), timeout=60)


def test_without_portaudio_it_says_what_to_install() -> None:
    program = (
        "import ctypes.util, sys; ctypes.util.find_library = lambda name: None\n"
        "from streamcell.runtime.cli.main import main; sys.exit(main(['mic', '--list-devices']))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "apt install libportaudio2" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(ctypes.util.find_library("portaudio") is None, reason="needs PortAudio: apt install libportaudio2")
@pytest.mark.parametrize("arguments", [[], ["--list-devices"], ["--device", "nowhere"]])
def test_without_a_microphone(arguments: list[str], tmp_path: Path) -> None:
    (tmp_path / "tiny.onnx").write_bytes(tiny_model())
    env = {**os.environ, "HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path)}
    if command("--list-devices", env=env).returncode == 0:
        pytest.skip("this machine has a microphone")
    done = command("--model", tmp_path / "tiny.onnx", *arguments, env=env)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("streamcell: error: no microphone was found")


@pytest.fixture(scope="module")
def sound_server() -> Iterator[dict[str, str]]:
    """Run PulseAudio with a speaker that is heard by its own microphone; give the environment that finds it."""
    missing = [tool for tool in ("pulseaudio", "paplay", "pactl") if shutil.which(tool) is None]
    if missing or ctypes.util.find_library("portaudio") is None:
        pytest.skip("needs apt install pulseaudio pulseaudio-utils libasound2-plugins libportaudio2")
    with tempfile.TemporaryDirectory(prefix="sc", dir="/tmp") as folder:  # a socket's path must be short
        home = Path(folder)
        (home / ".asoundrc").write_text("pcm.!default { type pulse }\n")
        keep = {key: value for key, value in os.environ.items() if not key.startswith(("PULSE", "DBUS", "XDG", "ALSA"))}
        env = {**keep, "HOME": folder, "XDG_RUNTIME_DIR": folder, "OMP_NUM_THREADS": "1"}
        modules = ("--load=module-null-sink sink_name=speaker", "--load=module-native-protocol-unix")
        server = subprocess.Popen(
            ["pulseaudio", "--daemonize=no", "-n", "--exit-idle-time=-1", *modules],
            env=env,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            _wait_for(env)
            yield env
        finally:
            server.terminate()
            server.wait(10)


def _wait_for(env: dict[str, str]) -> None:
    for _ in range(100):
        if subprocess.run(["pactl", "info"], env=env, capture_output=True, check=False).returncode == 0:
            break
        time.sleep(0.1)
    else:
        pytest.skip("PulseAudio does not start here")
    if " pulse " not in command("--list-devices", env=env).stdout:
        pytest.skip("PortAudio does not see PulseAudio: apt install libasound2-plugins")


def play(path: Path, env: dict[str, str]) -> None:
    subprocess.run(["paplay", "--volume=65536", path.resolve()], env=env, check=True, timeout=60)


CAPTURE = """
import sys, numpy as np
from streamcell.runtime.sources import Microphone
microphone = Microphone("pulse")
blocks, lost = [], 0
with microphone:
    for block in microphone:
        if not blocks:
            print("listening", file=sys.stderr, flush=True)
        blocks.append(block)
        lost += microphone.take_lost()
        if sum(map(len, blocks)) >= 5 * microphone.sample_rate:
            microphone.close()
np.savez(sys.argv[1], samples=np.concatenate(blocks), rate=microphone.sample_rate, lost=lost,
         dropped=microphone.dropped, latency=microphone.latency)
"""


def capture(call: list[str], env: dict[str, str], recording: Path = SPEECH) -> tuple[str, str]:
    """Run a program until it listens, play a recording to it, and return what it printed."""
    with subprocess.Popen(call, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        first = process.stderr.readline()
        assert "listening" in first, first + process.stderr.read()
        time.sleep(0.5)
        play(recording, env)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    return out, err


def test_what_is_played_is_recorded(sound_server: dict[str, str], tmp_path: Path) -> None:
    capture([sys.executable, "-c", CAPTURE, str(tmp_path / "heard.npz")], sound_server)
    heard = np.load(tmp_path / "heard.npz")
    speech, rate = soundfile.read(SPEECH, dtype="float32")
    samples = soxr.resample(heard["samples"], int(heard["rate"]), rate)
    size = 1 << 18
    correlation = np.fft.irfft(np.fft.rfft(samples, size) * np.conj(np.fft.rfft(speech, size)), size)
    shift = int(np.argmax(correlation))
    part = samples[shift : shift + len(speech)]
    assert len(part) == len(speech)
    assert np.corrcoef(part, speech)[0, 1] > 0.95
    assert abs(np.std(part) / np.std(speech) - 1) < 0.05
    assert heard["lost"] == heard["dropped"]
    assert 0 < heard["latency"] < 1


SLOW = """
import json, time
from streamcell.runtime.sources import Microphone
microphone = Microphone("pulse", queue_seconds=0.3)
read = lost = 0
with microphone:
    for block in microphone:
        read += len(block)
        lost += microphone.take_lost()
        begin = time.monotonic() if read == len(block) else begin
        if time.monotonic() - begin > 3:
            microphone.close()
            ended = time.monotonic()
        elif 1 < time.monotonic() - begin < 2:
            time.sleep(1)
lost += microphone.take_lost()
rate = microphone.sample_rate
print(json.dumps({"heard": (read + lost) / rate, "lost": lost, "dropped": microphone.dropped, "took": ended - begin}))
"""


def test_what_a_slow_reader_misses_is_counted(sound_server: dict[str, str]) -> None:
    call = [sys.executable, "-c", SLOW]
    done = subprocess.run(call, env=sound_server, check=True, capture_output=True, text=True, timeout=60)
    found = json.loads(done.stdout)
    assert found["lost"] == found["dropped"] > 0
    assert found["heard"] == pytest.approx(found["took"], abs=0.5)


def phones(segments: list[dict[str, Any]]) -> list[str]:
    return [
        segment["label"]
        for segment in segments
        if segment.get("type", "segment") == "segment" and segment["label"] != "SIL"
    ]


def test_the_command_hears_what_the_file_holds(sound_server: dict[str, str], tmp_path: Path) -> None:
    """Compare by what was said: another position in the model's steps alone turns some mistakes into others."""
    names = ("reader", "volunteer", "learner")
    parts = [soundfile.read(SPEECH.with_name(f"{name}.flac"))[0] for name in names]
    said = {one.id: [label for *_, label in one.phones if label != "SIL"] for one in read_corpus(SPEECH.parent, ".")}
    spoken = [label for name in names for label in said[name]]
    soundfile.write(tmp_path / "all.flac", np.concatenate(parts), 16000)
    program = [sys.executable, "-m", "streamcell"]
    call = [*program, "mic", "--device", "pulse", "--seconds", "13", "--format", "jsonl"]
    out, err = capture(call, sound_server, tmp_path / "all.flac")
    heard = phones([json.loads(line) for line in out.splitlines()])
    call = [*program, "transcribe", str(tmp_path / "all.flac"), "--format", "jsonl"]
    done = subprocess.run(call, check=True, capture_output=True, text=True)
    expected = phones(json.loads(done.stdout)["segments"])
    wrong, wrong_in_file = Levenshtein.distance(heard, spoken), Levenshtein.distance(expected, spoken)
    assert wrong_in_file < 0.5 * len(spoken)
    assert wrong <= wrong_in_file + 0.08 * len(spoken), f"{heard}\n{expected}\n{spoken}"
    assert "streamcell: heard 13.0 s" in err
    assert " 0 samples dropped, 0 gaps" in err


def test_ctrl_c_flushes_and_sums_up(sound_server: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "tiny.onnx").write_bytes(tiny_model())
    call = [sys.executable, "-m", "streamcell", "mic", "--model", str(tmp_path / "tiny.onnx")]
    with subprocess.Popen(call, env=sound_server, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert "listening to 'default'" in process.stderr.readline()
        time.sleep(1.5)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    assert process.returncode == 0, err
    assert "Traceback" not in err
    assert "samples dropped, " in err
    seconds = float(err.split("heard ")[1].split(" s")[0])
    assert 0.5 < seconds < 5
    assert abs(float(out.splitlines()[-1].split()[1]) - seconds) < 0.1


def test_devices_are_listed_and_an_unknown_one_names_them(sound_server: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "tiny.onnx").write_bytes(tiny_model())
    listed = command("--list-devices", env=sound_server)
    assert listed.returncode == 0
    assert any(line.startswith("*") and "default" in line for line in listed.stdout.splitlines())
    done = command("--device", "nowhere", "--model", tmp_path / "tiny.onnx", env=sound_server)
    assert done.returncode == 2
    assert "no input device is called 'nowhere'; there are: 0: " in done.stderr
