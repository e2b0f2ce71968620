"""A small real model that tests stream through, and a microphone that gives a recording."""

import importlib.util
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from streamcell.runtime.errors import SourceError
from streamcell.runtime.events import Event, Segment, is_final
from streamcell.runtime.manifest import MANIFEST_KEY, GapPolicy, InputSpec, Manifest, OutputSpec, StateSpec
from streamcell.runtime.sources import Device, Microphone
from streamcell.runtime.wire import pack, unpack

SAMPLES = Path(__file__).parent.parent / "samples" / "phonemes"
LABELS = ("<blank>", "SIL", "AA", "B", "K", "S")


def load_script(path: Path) -> ModuleType:
    """Return a script of samples/ as a module."""
    name = f"{path.parent.name}_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look there
    spec.loader.exec_module(module)
    return module


def tiny_manifest(
    *,
    samples_per_step: int = 16,
    look_ahead: int = 1,
    sample_rate: int = 1600,
    hidden: int = 8,
    overlap: int = 8,
    **changes: Any,
) -> Manifest:
    """Return the manifest of `tiny_model`; ``changes`` are fields of `Manifest`."""
    seconds = samples_per_step / sample_rate
    values: dict[str, Any] = {
        "name": "tiny",
        "description": "A random network for tests.",
        "task": "ctc",
        "input": InputSpec("samples", "audio", sample_rate, 1, samples_per_step, look_ahead),
        "states": (
            StateSpec("tail", "tail_next", ("B", overlap), 0),
            StateSpec("h0", "h0_next", (1, "B", hidden), 1),
        ),
        "outputs": (OutputSpec("logits", "logits", LABELS, 0, "SIL", seconds),),
        "gap": GapPolicy("fill", 0.5),
        "licence": "Apache-2.0",
        "created_by": "tests",
    }
    return Manifest(**{**values, **changes})


def tiny_model(
    *,
    samples_per_step: int = 16,
    look_ahead: int = 1,
    sample_rate: int = 1600,
    hidden: int = 8,
    overlap: int = 8,
    seed: int = 0,
    manifest: Manifest | str | None = None,
    with_manifest: bool = True,
    change: Callable[[onnx.ModelProto], None] | None = None,
    **changes: Any,
) -> bytes:
    """Return an ONNX file: overlap state -> Conv -> GRU -> logits over `LABELS`, with random weights.

    Args:
        samples_per_step: Hop of the front end.
        look_ahead: Steps, said in the manifest only.
        sample_rate: Hz, said in the manifest only; with 16 samples a step, 1600 Hz make frames of 10 ms.
        hidden: Units of the GRU.
        overlap: Samples that the front end sees again, its state ``tail``.
        seed: Of the weights.
        manifest: Another manifest, or any text in its place.
        with_manifest: False leaves it out.
        change: Edits the ONNX model before it is written.
        changes: Fields of the manifest to change, e.g. ``steps_per_call=4``.
    """
    graph = helper.make_graph(
        _nodes(samples_per_step, hidden),
        "tiny",
        [_tensor("samples", ["B", "N"]), _tensor("tail", ["B", overlap]), _tensor("h0", [1, "B", hidden])],
        [
            _tensor("logits", ["B", "T", len(LABELS)]),
            _tensor("tail_next", ["B", overlap]),
            _tensor("h0_next", [1, "B", hidden]),
        ],
        [
            numpy_helper.from_array(array, name)
            for name, array in _weights(samples_per_step, overlap, hidden, seed).items()
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    if manifest is None:
        manifest = tiny_manifest(
            samples_per_step=samples_per_step,
            look_ahead=look_ahead,
            sample_rate=sample_rate,
            hidden=hidden,
            overlap=overlap,
            **changes,
        )
    if with_manifest:
        text = manifest if isinstance(manifest, str) else manifest.to_json()
        helper.set_model_props(model, {MANIFEST_KEY: text})
    if change is not None:
        change(model)
    return bytes(model.SerializeToString())


class Tape(Microphone):
    """Give a recording as a microphone would; before some blocks samples are missing; at the end the device may go."""

    def __init__(self, samples: NDArray[np.float32], lost: dict[int, int], *, unplugged: bool = False) -> None:
        self.device = Device(0, "tape", 1, 16000, default=True)
        self.sample_rate = 16000
        self.latency = 0.06
        self._samples, self._gaps, self._unplugged = samples, lost, unplugged
        self._lost = self._total = 0
        self._open = False

    @property
    def dropped(self) -> int:
        return self._total

    def __enter__(self) -> "Tape":
        self._open = True
        return self

    def close(self) -> None:
        self._open = False

    def __iter__(self) -> Iterator[NDArray[np.float32]]:
        for index, block in enumerate(np.split(self._samples, range(480, len(self._samples), 480))):
            if not self._open:
                return
            self._lost = self._gaps.get(index, 0)
            self._total += self._lost
            yield block
        if self._unplugged:
            raise SourceError("unplugged")
        self._lost = self._gaps.get(-1, 0)


def forged(data: bytes, kind: str, path: str, value: Any) -> bytes:
    """Return saved bytes with one fact or array changed, ``path`` like ``counters/clock``, and a right checksum."""
    meta, arrays = unpack(data, kind)
    *parents, key = path.split("/")
    place: Any = arrays if key in arrays else meta
    for parent in parents:
        place = place[parent]
    place[key] = value
    return pack(kind, meta, arrays)


def noise(samples: int, seed: int = 0) -> NDArray[np.float32]:
    """Make noise that grows and fades, so that segments are long and short."""
    random = np.random.default_rng(seed)
    loud = np.repeat(random.uniform(0, 0.5, samples // 40 + 1), 40)[:samples]
    return (random.standard_normal(samples) * loud).astype(np.float32)


def finals(events: Iterable[Event]) -> list[Event]:
    """Return the events that can no longer change."""
    return list(filter(is_final, events))


def assert_same(found: list[Event], expected: list[Event], confidence: float, message: str = "") -> None:
    """Compare everything exactly but confidences."""

    def without(event: Event) -> Any:
        return (event.label, event.start, event.end, event.id) if isinstance(event, Segment) else event

    assert list(map(without, found)) == list(map(without, expected)), message
    for a, b in zip(found, expected, strict=True):
        if isinstance(a, Segment) and isinstance(b, Segment):
            assert abs(a.confidence - b.confidence) <= confidence, message


def _tensor(name: str, shape: list[int | str]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def _weights(step: int, overlap: int, hidden: int, seed: int) -> dict[str, np.ndarray[Any, Any]]:
    random = np.random.default_rng(seed)

    def draw(*shape: int) -> np.ndarray[Any, Any]:
        return random.standard_normal(shape).astype(np.float32)

    features = 6
    return {
        "kernel": draw(features, 1, step + overlap),
        "bias": draw(features),
        "w": draw(1, 3 * hidden, features),
        "r": draw(1, 3 * hidden, hidden) * np.float32(0.6),
        "b": draw(1, 6 * hidden) * np.float32(0.3),
        "head": draw(hidden, len(LABELS)) * np.float32(2),
        "shift": draw(len(LABELS)),
        "axis1": np.array([1], np.int64),
        "from": np.array([-overlap], np.int64),
        "to": np.array([np.iinfo(np.int64).max], np.int64),
    }


def _nodes(step: int, hidden: int) -> list[onnx.NodeProto]:
    return [
        helper.make_node("Concat", ["tail", "samples"], ["heard"], axis=1),
        helper.make_node("Slice", ["heard", "from", "to", "axis1"], ["tail_next"]),
        helper.make_node("Unsqueeze", ["heard", "axis1"], ["wave"]),
        helper.make_node("Conv", ["wave", "kernel", "bias"], ["bands"], strides=[step]),
        helper.make_node("Tanh", ["bands"], ["squashed"]),
        helper.make_node("Transpose", ["squashed"], ["features"], perm=[2, 0, 1]),
        helper.make_node(
            "GRU", ["features", "w", "r", "b", "", "h0"], ["y", "h0_next"], linear_before_reset=1, hidden_size=hidden
        ),
        helper.make_node("Squeeze", ["y", "axis1"], ["time_first"]),
        helper.make_node("Transpose", ["time_first"], ["batch_first"], perm=[1, 0, 2]),
        helper.make_node("MatMul", ["batch_first", "head"], ["product"]),
        helper.make_node("Add", ["product", "shift"], ["logits"]),
    ]
