"""Damaged bytes of a stream are refused; forged ones, whose checksums are right, are refused or go on soundly."""

import json
import math
import struct
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from helpers import LABELS, noise, tiny_model
from pools import FILES
from streamcell.runtime.errors import InputError, ModelError
from streamcell.runtime.events import Event, Reset, Segment, Utterance
from streamcell.runtime.model import Model
from streamcell.runtime.stream import Stream

WORDS = {
    "name": "words",
    "lexicon": "go\tB AA\nkay\tK AA\n",
    "longest": 0.5,
    "delay": 1.0,
    "utterances": {"pause": 0.1},
}


def saved_streams(*names: str) -> list[tuple[Model, bytes]]:
    """Return streams in the middle of much: rates converted, gaps waiting and held, tokens going on."""
    found = []
    for name in names or ("hold", "frames", "ctc"):
        model = Model.open(FILES[name] if name in FILES else tiny_model(decoder=WORDS))
        rate = 4800 if name == "hold" else 1600
        stream = Stream(model, rate, "file" if name == "ctc" else "live", "gap")
        stream.push(noise(1200, 3))
        stream.reset()
        stream.push(noise(901, 4))
        stream.gap(30)
        stream.push(noise(5, 5))
        stream.gap(30, "overflow")
        found.append((model, stream.snapshot()))
    return found


def mutated(data: bytes, random: np.random.Generator) -> bytes:
    """Flip bits, cut, insert, double, drop or swap spans."""
    bytes_ = bytearray(data)
    at, length = int(random.integers(len(data))), int(random.choice([1, 2, 4, 8, 50, 1000]))
    kind = random.integers(7)
    if kind == 0:
        for place in random.integers(0, 8 * len(data), random.integers(1, 4)):
            bytes_[place // 8] ^= 1 << int(place % 8)
    elif kind == 1:
        del bytes_[at:]
    elif kind == 2:
        del bytes_[:at]
    elif kind == 3:
        bytes_[at:at] = random.bytes(length)
    elif kind == 4:
        bytes_[at:at] = bytes_[at : at + length]
    elif kind == 5:
        del bytes_[at : at + length]
    else:
        bytes_[at : at + length] = random.bytes(len(bytes_[at : at + length]))
    return bytes(bytes_)


def test_ten_thousand_mutations_are_refused() -> None:
    random, streams = np.random.default_rng(0), saved_streams()
    tried = 0
    while tried < 10_000:
        model, data = streams[tried % len(streams)]
        changed = mutated(data, random)
        if changed == data:
            continue
        tried += 1
        with pytest.raises(InputError):
            Stream.restore(model, changed)


@dataclass
class Packed:
    """The bytes of `wire.pack`, taken apart without a check, so that wrong ones can be put together."""

    header: Any
    bodies: list[bytes]

    @classmethod
    def of(cls, data: bytes) -> "Packed":
        length = struct.unpack_from("<I", data, 4)[0]
        header, at, bodies = json.loads(data[8 : 8 + length]), 8 + length, []
        for entry in header["arrays"]:
            size = np.dtype(entry["dtype"]).itemsize * int(np.prod(entry["shape"]))
            bodies.append(data[at : at + size])
            at += size
        return cls(header, bodies)

    def join(self, header: bytes | None = None) -> bytes:
        """Put the parts together with a right length and checksum; ``header`` in place of what is there."""
        head = json.dumps(self.header).encode() if header is None else header
        data = b"SCW1" + struct.pack("<I", len(head)) + head + b"".join(self.bodies)
        return data + struct.pack("<I", zlib.crc32(data))

    def put(self, name: str, data: bytes) -> None:
        """Put other bytes in the place of an array of bytes."""
        place = [entry["name"] for entry in self.header["arrays"]].index(name)
        self.header["arrays"][place]["shape"] = [len(data)]
        self.bodies[place] = data


LEVELS: tuple[tuple[str, ...], ...] = (
    (),
    ("posteriors",),
    ("posteriors", "state"),
    ("posteriors", "resampler"),
    ("decoder",),
)
VALUES: tuple[Any, ...] = (
    *(-1, 0, 1, 2, 63, 1000, 2**31, 2**53 - 1, 2**53, 2**63, 10**40, -(2**53), 0.5, 1e300, -1e300, float("nan")),
    *(float("inf"), None, True, "", "x", [], [1], {}, [[1, 2]], [{"type": "gap"}]),
)


def rewritten(data: bytes, level: tuple[str, ...], change: Callable[[Packed], bytes]) -> bytes:
    """Change one of the parts that are packed in each other, and make every checksum right again."""
    packed = Packed.of(data)
    if not level:
        return change(packed)
    names = [entry["name"] for entry in packed.header["arrays"]]
    inner = packed.bodies[names.index(level[0])]
    packed.put(level[0], rewritten(inner, level[1:], change))
    return packed.join()


def forge(packed: Packed, random: np.random.Generator) -> bytes:
    """Change one number, name, list or byte of a header, or an array."""
    kind = random.integers(6)
    arrays = [i for i, body in enumerate(packed.bodies) if body]
    if kind <= 2:
        places = [*walk(packed.header)]
        holder, key = places[random.integers(len(places))]
        old = holder[key]
        if type(old) is int and random.random() < 0.5:
            holder[key] = old + int(random.choice([-1000, -16, -1, 1, 16, 1000]))
        elif random.random() < 0.1:
            del holder[key]
        else:
            holder[key] = VALUES[random.integers(len(VALUES))]
        return packed.join()
    if kind == 3 or not arrays:
        return packed.join(mutated(json.dumps(packed.header).encode(), random))
    place = int(random.choice(arrays))
    if kind == 4:
        packed.bodies[place] = mutated(packed.bodies[place], random)
    else:
        entry = packed.header["arrays"][place]
        array = np.frombuffer(packed.bodies[place], entry["dtype"]).copy()
        index = random.integers(array.size, size=random.integers(1, 4))
        with np.errstate(all="ignore"):
            array[index] = np.array(random.choice([0, -1, 0.5, 1e9, 1e38, -1e38, np.inf, np.nan])).astype(array.dtype)
        packed.bodies[place] = array.tobytes()
    return packed.join()


def walk(value: Any) -> list[tuple[Any, Any]]:
    """Return every place in a JSON value, as a holder and a key."""
    keys = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else []
    return [pair for key in keys for pair in ((value, key), *walk(value[key]))]


@pytest.mark.parametrize("names", [(), ("words",)], ids=["", "words"])
@pytest.mark.parametrize("level", LEVELS, ids=lambda level: "/".join(level) or "stream")
def test_forged_snapshots_are_refused_or_go_on(level: tuple[str, ...], names: tuple[str, ...]) -> None:
    """Of 400 each: `InputError`, or a stream that hears a second of sound, a gap, a reset and its end at once.

    Numbers that are finite may be so large that the model's answers are not: that is the model's `ModelError`.
    """
    random, streams, restored = np.random.default_rng(len(level)), saved_streams(*names), 0
    for turn in range(400):
        model, data = streams[turn % len(streams)]
        changed = rewritten(data, level, lambda packed: forge(packed, random))
        begin = time.monotonic()
        try:
            stream = Stream.restore(model, changed)
        except InputError:
            continue
        restored += 1
        try:
            events = live(model, stream)
        except ModelError as error:
            assert "not finite" in str(error), f"turn {turn}"  # noqa: PT017  # most turns raise nothing
            continue
        assert time.monotonic() - begin < 10, f"turn {turn}"
        for event in events:
            assert is_sound(event), f"turn {turn}: {event}"
    assert restored > 5


def live(model: Model, stream: Stream) -> list[Event]:
    """Do with a stream whatever can be done; one that has ended is begun anew."""
    events = list[Event]()
    try:
        events += stream.push(noise(1))
    except InputError as error:
        if "call reset()" not in str(error):
            raise
        events += stream.reset()
    for size in (700, 900):
        events += stream.push(noise(size))
    events += stream.gap(10) + stream.push(noise(100)) + stream.reset() + stream.push(noise(500))
    return events + Stream.restore(model, stream.snapshot()).flush()


def is_sound(event: Event) -> bool:
    if isinstance(event, Segment):
        return (
            math.isfinite(event.start + event.end)
            and 0 <= event.confidence <= 1
            and event.label in (*LABELS, "go", "kay")
        )
    if isinstance(event, Utterance):
        return 0 <= event.start <= event.end < math.inf and all(isinstance(label, str) for label in event.labels)
    return math.isfinite(event.time if isinstance(event, Reset) else event.start + event.end)


def test_no_snapshot_makes_a_stream_allocate_what_it_does_not_hold() -> None:
    """Sizes that the header claims are looked at before memory is taken."""
    model, data = saved_streams()[0]

    def claim(packed: Packed) -> bytes:
        packed.header["arrays"][0]["shape"] = [2**40]
        return packed.join()

    for level in LEVELS:
        with pytest.raises(InputError, match="larger than the data"):
            Stream.restore(model, rewritten(data, level, claim))
