"""What tests of many streams share: models, scripts of what happens to a stream, and the stream alone."""

import time
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
import pytest

from accumulator import as_numbers
from helpers import LABELS, finals, noise, tiny_model
from streamcell.runtime.errors import OverloadError
from streamcell.runtime.events import Event, Reset
from streamcell.runtime.manifest import GapPolicy, OutputSpec
from streamcell.runtime.model import Model
from streamcell.runtime.pool import StreamPool
from streamcell.runtime.resample import Quality
from streamcell.runtime.stream import Invalid, Stream

Deed: TypeAlias = tuple[Any, ...]

FRAMES: dict[str, Any] = {
    "task": "frames",
    "outputs": (OutputSpec("logits", "logits", LABELS, None, None, 0.01),),
    "decoder": {"threshold": 0.4, "min_duration": 0.03, "min_gap": 0.02},
}
FILES = {
    "ctc": tiny_model(),
    "hold": tiny_model(gap=GapPolicy("hold", 0.5), look_ahead=2),
    "frames": tiny_model(**FRAMES),
    "four steps a call": tiny_model(steps_per_call=4),
    "one stream a call": tiny_model(batch_invariant=False),
}
SETTINGS: tuple[tuple[int, Quality, Invalid], ...] = (
    (1600, "live", "error"),
    (4800, "live", "gap"),
    (800, "file", "error"),
    (1600, "file", "gap"),
)


def script(seed: int, rate: int, invalid: Invalid) -> list[Deed]:
    """Draw what happens to a stream: blocks of many sizes, NaN among them where they may be, gaps, resets."""
    random, sound, deeds, begin = np.random.default_rng(seed), noise(3 * rate, seed), list[Deed](), 0
    while begin < len(sound):
        size = int(random.choice([0, 1, 7, 48, 160, rate // 3]))
        block = sound[begin : begin + size].copy()
        if invalid == "gap" and len(block) > 7 and random.random() < 0.1:
            block[random.integers(0, len(block), 3)] = random.choice([np.nan, np.inf])
            block[random.integers(0, 2 * len(block)) :] = np.nan
        deeds.append(("push", block))
        begin += size
        if random.random() < 0.03:
            deeds.append(("gap", int(random.choice([1, 50, rate])), "overflow"))
        if random.random() < 0.01:
            deeds.append(("reset", "asked"))
    return deeds


def alone(model: Model, deeds: Sequence[Deed], *settings: Any) -> list[Event]:
    """Return the finals of a stream that has no neighbours."""
    stream = Stream(model, *settings)
    events = [event for name, *args in deeds for event in getattr(stream, name)(*args)]
    return in_order(model, finals(events + stream.flush()))


def in_order(model: Model, events: list[Event]) -> list[Event]:
    """Check that events come by their beginnings; where labels hold side by side, sort them so."""

    def place(event: Event) -> tuple[float, int]:
        return event.time if isinstance(event, Reset) else event.start, getattr(event, "id", -1)

    expected = sorted(events, key=place)
    assert events == expected or model.manifest.task == "frames"
    return expected


def insist(pool: StreamPool, deed: Callable[[], None]) -> None:
    """Do something, waiting as often as it is refused because the pool has not come so far."""
    for _ in range(20_000):
        try:
            return deed()
        except OverloadError:
            if not pool.step():
                time.sleep(0.001)
    pytest.fail("the pool does not come on")


def do(pool: StreamPool, stream: int, deed: Deed) -> None:
    name, *args = deed
    insist(pool, lambda: getattr(pool, name)(stream, *args))


def settle(pool: StreamPool) -> None:
    """Have everything stepped, by the workers or here."""
    while pool.step():
        pass
    assert pool.wait(20)


def numbers(model: Model, saved: bytes) -> dict[str, list[int]]:
    """Return the numbers of an accumulator's stream."""
    return as_numbers(Stream.restore(model, saved).state)
