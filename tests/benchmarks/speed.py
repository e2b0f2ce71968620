"""Speed of a phoneme model on this machine; prints figures, asserts nothing.

    python tests/benchmarks/speed.py samples/phonemes/reader.flac

Seconds to import and open; times real time of a long file (the recording again and again for ten minutes) through
`transcribe_file`; microseconds of `Stream.push` of 30 ms.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from streamcell.runtime import Model, Stream
from streamcell.runtime.transcribe import transcribe_file

OPEN = "from streamcell.runtime import Model; Model.open()"
START = f"import time; t = time.perf_counter(); {OPEN}; print(time.perf_counter() - t)"


def start() -> None:
    """Print how long it takes to import the runtime and open the default model, each time in a new process."""
    command = [sys.executable, "-c", START]
    took = [float(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout) for _ in range(7)]
    print(f"import and open: median {np.median(took):.3f} s, least {min(took):.3f} s")


def file(model: Model, samples: NDArray[np.float32], rate: int) -> None:
    """Print the throughput of a file, reading and decoding included."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "long.wav"
        soundfile.write(path, samples, rate)
        for _ in range(3):
            begin = time.perf_counter()
            transcribe_file(model, path)
            took = time.perf_counter() - begin
            print(f"file of {len(samples) / rate:.0f} s: {len(samples) / rate / took:.0f} times real time, one thread")


def push(model: Model, samples: NDArray[np.float32], rate: int) -> None:
    """Print the latency of pushing 30 ms in a loop; the samples are taken as sampled at `rate`."""
    block, took = round(0.03 * rate), []
    stream = Stream(model, rate)
    for start in range(0, min(len(samples), 5000 * block) - block, block):
        begin = time.perf_counter_ns()
        stream.push(samples[start : start + block])
        took.append((time.perf_counter_ns() - begin) / 1000)
    p50, p99 = np.quantile(took[100:], [0.5, 0.99])
    print(f"push of 30 ms at {rate} Hz: p50 {p50:.0f} us, p99 {p99:.0f} us, most {max(took[100:]):.0f} us")


def main() -> None:
    """Measure with the recording named on the command line."""
    start()
    samples, rate = soundfile.read(sys.argv[1], dtype="float32")
    long = np.tile(samples, -(-600 * rate // len(samples)))
    model = Model.open()
    file(model, long, rate)
    push(model, long, rate)
    push(model, long, 48000)


if __name__ == "__main__":
    main()
