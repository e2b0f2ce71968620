"""Files damaged at random, and manifests with odd values: refused, or opened and whole."""

import copy
import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pytest
from onnx import ModelProto

from helpers import tiny_manifest
from networks import random_network, spoken_manifest
from streamcell.export.graph import build_model
from streamcell.runtime import Model, Stream
from streamcell.runtime import model as model_module
from streamcell.runtime.errors import ModelError, StreamcellError
from streamcell.runtime.manifest import MANIFEST_KEY, Manifest
from streamcell.runtime.onnx_file import read_onnx


def spoken() -> bytes:
    """Return a file as `streamcell export` writes it, with a checksum."""
    network = random_network(hidden=8, layers=1, mels=8, channels=4)
    facts = {"error": 0.25, "data": ["a", "b"], "more": {"x": 1}}
    manifest = replace(spoken_manifest(network), training=facts, decoder={"name": "ctc-greedy"}, licence="MIT")
    return bytes(build_model(network, manifest).SerializeToString())


def damaged(data: bytes, random: np.random.Generator) -> bytes:
    """Flip, cut, insert or repeat bytes at one to three places, at half of them near the end, where the manifest is."""
    mutant = bytearray(data)
    for _ in range(random.integers(1, 4)):
        at = (
            int(random.integers(len(mutant) + 1)) if random.random() < 0.5 else len(mutant) - int(random.integers(4000))
        )
        size, kind = int(random.integers(1, 40)), random.integers(4)
        if kind == 0:
            mutant[at : at + 1] = random.bytes(1)
        elif kind == 1:
            del mutant[at : at + size]
        elif kind == 2:
            mutant[at:at] = random.bytes(size)
        else:
            begin = int(random.integers(len(mutant)))
            mutant[at:at] = mutant[begin : begin + size]
    return bytes(mutant)


def opened(data: bytes, program: bytes) -> bool:
    """Say whether a file is opened; then its graph is the exported one and its manifest can be worked with."""
    try:
        model = Model.open(data)
    except ModelError:
        return False
    assert read_onnx(data).program == program
    assert model.manifest.checksum in ("", program.hex())
    assert Manifest.from_json(model.manifest.to_json()) == model.manifest
    assert len(model.fingerprint) == 64
    with suppress(StreamcellError):  # settings of a decoder are looked at by whoever decodes
        stream = Stream(model)
        for event in (*stream.push(np.zeros(8000, np.float32)), *stream.flush()):
            assert json.dumps(asdict(event)).encode()
    return True


@pytest.mark.parametrize("seed", range(5))
def test_random_damage_is_found_or_harmless(seed: int) -> None:
    data, random = spoken(), np.random.default_rng(seed)
    program = read_onnx(data).program
    assert opened(data, program)
    for _ in range(2000):
        opened(damaged(data, random), program)


def test_another_graph_than_the_exported_one_never_comes_to_the_runtime(monkeypatch: pytest.MonkeyPatch) -> None:
    data, random = spoken(), np.random.default_rng(0)
    graph = ModelProto.FromString(data).graph.SerializeToString()
    begin = data.index(graph)

    def seen(*_: object) -> None:
        raise AssertionError("a session")

    monkeypatch.setattr(model_module, "_session", seen)
    with pytest.raises(AssertionError, match="a session"):
        Model.open(data)
    for _ in range(200):
        mutant = bytearray(data)
        mutant[begin + int(random.integers(len(graph)))] ^= 1 << int(random.integers(8))
        with pytest.raises(ModelError):
            Model.open(bytes(mutant))


ODD: tuple[Any, ...] = (
    *(None, True, False, -1, 0, 1, 2, 1 << 31, 1 << 63, 10**400, -1e308, 1e308, 1e-320, 0.5, "1e999"),
    *("", "x", "B", "\ud800", "\x1b[2J", "x" * 5000, [], {}, [[]], [1], [-1], ["B"], ["a", "a"], {"a": 1}, [None]),
    *("ctc-beam", "hysteresis", "features", "tokens", "frames", "sequence", "next", "forecast", "encode"),
)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the keys that lead to each value within; of labels, which are many, the first few."""
    if path:
        yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value[:3]) if isinstance(value, list) else ()
    for key, item in inner:
        yield from places(item, (*path, key))


def altered(values: dict[str, Any], random: np.random.Generator) -> str:
    """Replace, remove, add or repeat one or two values of a manifest."""
    values = copy.deepcopy(values)
    for _ in range(random.integers(1, 3)):
        every = list(places(values))
        *parents, last = every[random.integers(len(every))]
        place: Any = values
        for key in parents:
            place = place[key]
        odd, kind = copy.deepcopy(ODD[random.integers(len(ODD))]), random.integers(6)
        if kind == 0:
            del place[last]
        elif kind == 1 and isinstance(place, dict):
            place["more"] = odd
        elif kind == 2 and isinstance(place, list):
            place.append(copy.deepcopy(place[last]))
        else:
            place[last] = odd
    return json.dumps(values).replace('"1e999"', "1e999")


def test_manifests_with_odd_values_are_refused_or_can_be_worked_with() -> None:
    data, random = spoken(), np.random.default_rng(0)
    program = read_onnx(data).program
    model = ModelProto.FromString(data)
    (entry,) = (item for item in model.metadata_props if item.key == MANIFEST_KEY)
    values, welcome = json.loads(entry.value), 0
    for _ in range(500):
        entry.value = altered(values, random)
        welcome += opened(bytes(model.SerializeToString()), program)
    assert 0 < welcome < 250


@pytest.mark.parametrize("value", ["1e999", '"\\ud800"', "-1e999"])
def test_values_that_cannot_be_written_again_are_refused(value: str) -> None:
    manifest = tiny_manifest(training={"found": 1}).to_json().replace('{"found": 1}', f'{{"found": {value}}}')
    with pytest.raises(ModelError, match="the manifest is not JSON"):
        Manifest.from_json(manifest)
