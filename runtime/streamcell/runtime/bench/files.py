"""How much faster than real time one stream of a file is."""

import time

import numpy as np

from streamcell.runtime.bench.heard import Heard
from streamcell.runtime.bench.report import FileSpeed
from streamcell.runtime.model import Model
from streamcell.runtime.stream import Stream

__all__ = ["measure_file"]

_STEPS = 64  # of the model, that `Stream` runs in one call where the model allows


def measure_file(model: Model, heard: Heard, seconds: float) -> FileSpeed:
    """Push blocks of 64 of the model's steps into a stream of quality ``"file"`` for about ``seconds``."""
    stream = Stream(model, quality="file")
    calls = max(1, _STEPS // (model.manifest.steps_per_call or 1))
    block = np.resize(heard.samples, (calls * heard.size, *heard.samples.shape[1:]))
    stream.push(block)  # the first call is slow
    warm, begin = stream.time, time.perf_counter()
    while (took := time.perf_counter() - begin) < seconds or stream.time == warm:
        stream.push(block)
    return FileSpeed(round((stream.time - warm) / took, 3), round(stream.time - warm, 3))
