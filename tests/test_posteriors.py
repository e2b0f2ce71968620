import tracemalloc
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from helpers import forged, tiny_manifest, tiny_model
from streamcell.runtime.errors import InputError
from streamcell.runtime.events import Gap, Reset
from streamcell.runtime.frames import Frames, log_softmax
from streamcell.runtime.manifest import GapPolicy, InputSpec
from streamcell.runtime.model import Model
from streamcell.runtime.posteriors import Posteriors
from streamcell.runtime.resample import Quality

STEP = 16  # samples, 10 ms at 1600 Hz
BLOCKS = (1, 7, 160, 481, 5000)
QUALITIES: tuple[Quality, ...] = ("live", "file")


def open_tiny(**settings: Any) -> Model:
    return Model.open(tiny_model(**settings))


def noise(samples: int, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).standard_normal(samples).astype(np.float32) * np.float32(0.3)


def push_all(posteriors: Posteriors, samples: NDArray[np.float32], block: int) -> list[Frames]:
    """Reuse one buffer, as sources do."""
    buffer = np.empty((block, *samples.shape[1:]), np.float32)
    found = []
    for begin in range(0, len(samples), block):
        part = samples[begin : begin + block]
        buffer[: len(part)] = part
        found += posteriors.push(buffer[: len(part)])
    return found


def joined(items: Iterable[Frames | Gap | Reset]) -> NDArray[np.float32]:
    """Join frames that must follow each other from 0 on."""
    frames = [item for item in items if isinstance(item, Frames)]
    begins = np.cumsum([0] + [len(item.log_probs) for item in frames])[:-1]
    assert [item.first for item in frames] == begins.tolist()
    return np.concatenate([np.zeros((0, 6), np.float32), *(item.log_probs for item in frames)])


def direct(model: Model, samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Run the model on the whole at once, with silence after it, and take out the look-ahead."""
    spec = model.manifest.input
    frames = -(-len(samples) // spec.samples_per_step)
    padded = np.zeros((frames + spec.look_ahead_steps) * spec.samples_per_step, np.float32)
    padded[: len(samples)] = samples
    outputs, _ = model.step(padded[None], model.initial_state())
    return log_softmax(outputs["logits"][0])[spec.look_ahead_steps :]


@pytest.mark.parametrize("quality", QUALITIES)
@pytest.mark.parametrize("look_ahead", [0, 1, 3])
@pytest.mark.parametrize("length", [16, 17, 31, 160, 2005])
def test_any_cutting_equals_the_model_itself(length: int, look_ahead: int, quality: Quality) -> None:
    model, samples = open_tiny(look_ahead=look_ahead), noise(length)
    for block in BLOCKS:
        posteriors = Posteriors(model, quality=quality)
        found = joined(push_all(posteriors, samples, block) + posteriors.push([]) + posteriors.flush())
        np.testing.assert_allclose(found, direct(model, samples), atol=1e-5, err_msg=f"blocks of {block}")
        assert posteriors.time == length / 1600


@pytest.mark.parametrize("quality", QUALITIES)
@pytest.mark.parametrize("steps", [4, 10])
def test_fixed_steps_per_call(steps: int, quality: Quality) -> None:
    model, samples = open_tiny(steps_per_call=steps), noise(2005)
    expected = direct(open_tiny(), samples)
    for block in BLOCKS:
        posteriors = Posteriors(model, quality=quality)
        found = joined(push_all(posteriors, samples, block) + posteriors.flush())
        np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("length", [0, 8, 15])
def test_less_than_a_step_says_nothing(length: int) -> None:
    posteriors = Posteriors(open_tiny())
    assert posteriors.push(noise(length)) + posteriors.flush() + posteriors.flush() == []
    assert posteriors.time == length / 1600


@pytest.mark.parametrize("quality", QUALITIES)
@pytest.mark.parametrize("rate", [4800, 4410, 800])
def test_other_rates_have_as_many_frames_whatever_the_cutting(rate: int, quality: Quality) -> None:
    model, samples = open_tiny(), noise(rate)
    whole = Posteriors(model, rate, quality)
    expected = joined(whole.push(samples) + whole.flush())
    assert len(expected) == 100
    for block in BLOCKS:
        posteriors = Posteriors(model, rate, quality)
        found = joined(push_all(posteriors, samples, block) + posteriors.flush())
        np.testing.assert_allclose(found, expected, atol=1e-5, err_msg=f"blocks of {block}")
        assert posteriors.time == 1.0


@pytest.mark.parametrize("dtype", [np.float64, np.int16])
def test_number_types_mean_the_same(dtype: type) -> None:
    model = open_tiny()
    integers = (noise(500) * 20000).astype(np.int16)
    samples: NDArray[Any] = integers if dtype is np.int16 else integers / 32768
    expected = direct(model, (integers / 32768).astype(np.float32))
    posteriors = Posteriors(model)
    np.testing.assert_allclose(joined(posteriors.push(samples) + posteriors.flush()), expected, atol=1e-5)


@pytest.mark.parametrize("quality", QUALITIES)
def test_reset_equals_fresh_but_for_the_clock(quality: Quality) -> None:
    model, samples = open_tiny(), noise(500)
    posteriors = Posteriors(model, 4800)
    fresh = Posteriors(model, 4800)
    expected = joined(fresh.push(samples) + fresh.flush())
    posteriors.push(noise(1001, 1))
    for time in (1001 / 4800, 1501 / 4800):
        *_, reset = posteriors.reset("why not")
        assert reset == Reset(time, "why not")
        found = posteriors.push(samples) + posteriors.flush()
        np.testing.assert_array_equal(joined(found), expected)
        assert {frames.origin for frames in found} == {time}


@pytest.mark.parametrize("quality", QUALITIES)
@pytest.mark.parametrize("rate", [1600, 4800])
def test_restored_equals_uninterrupted(rate: int, quality: Quality) -> None:
    model, samples = open_tiny(look_ahead=2), noise(3 * rate)
    for cut in (0, 1, 15, 16, 17, 1000, 2 * rate, 3 * rate):
        whole, posteriors = Posteriors(model, rate, quality), Posteriors(model, rate, quality)
        expected = whole.push(samples[:cut]) + whole.push(samples[cut:]) + whole.flush()
        found = posteriors.push(samples[:cut])
        posteriors = Posteriors.from_bytes(model, posteriors.to_bytes())
        found += posteriors.push(samples[cut:]) + posteriors.flush()
        np.testing.assert_allclose(joined(found), joined(expected), rtol=0, atol=0 if rate == 1600 else 1e-5)
        assert posteriors.time == 3.0
        with pytest.raises(InputError, match="flushed"):
            Posteriors.from_bytes(model, posteriors.to_bytes()).push(samples)


@pytest.mark.parametrize("quality", QUALITIES)
def test_a_filled_gap_is_heard_as_silence(quality: Quality) -> None:
    model, samples = open_tiny(), noise(800)
    with_gap, whole = Posteriors(model, quality=quality), Posteriors(model, quality=quality)
    found = [*with_gap.push(samples[:405]), *with_gap.gap(333, "overflow"), *with_gap.push(samples[405:])]
    gaps = [item for item in found if isinstance(item, Gap)]
    assert gaps == [Gap(405 / 1600, 738 / 1600, 333, "overflow", "fill")]
    filled = np.concatenate([samples[:405], np.zeros(333, np.float32), samples[405:]])
    np.testing.assert_allclose(
        joined([*found, *with_gap.flush()]), joined(whole.push(filled) + whole.flush()), atol=1e-5
    )
    assert with_gap.time == whole.time


def frame_numbers(items: Iterable[Frames | Gap | Reset]) -> list[int]:
    return [k for i in items if isinstance(i, Frames) for k in range(i.first, i.first + len(i.log_probs))]


@pytest.mark.parametrize("quality", QUALITIES)
@pytest.mark.parametrize("block", [1, 16, 1000])
@pytest.mark.parametrize("look_ahead", [0, 1, 3])
def test_a_held_gap_moves_the_clock_and_nothing_else(look_ahead: int, block: int, quality: Quality) -> None:
    model = open_tiny(gap=GapPolicy("hold", 0.5), look_ahead=look_ahead)
    samples = noise(800)
    posteriors = Posteriors(model, quality=quality)
    found: list[Any] = push_all(posteriors, samples[:400], block)
    for lost in (10, 10, 160, 12):  # 0.6 + 0.6 + 10 + 0.75 steps
        found += posteriors.gap(lost)
    found += [*push_all(posteriors, samples[400:], block), *posteriors.flush()]
    log_probs = np.concatenate([item.log_probs for item in found if isinstance(item, Frames)])
    np.testing.assert_allclose(log_probs, direct(model, samples), atol=1e-5)
    assert frame_numbers(found) == [*range(25), *range(37, 62)]
    assert posteriors.time == 992 / 1600
    gaps = [item for item in found if isinstance(item, Gap)]
    assert [gap.action for gap in gaps] == ["hold"] * 4
    assert all(a.end == b.start for a, b in pairwise(gaps))


@pytest.mark.parametrize("quality", QUALITIES)
def test_held_gaps_are_restored(quality: Quality) -> None:
    model, samples = open_tiny(gap=GapPolicy("hold", 0.5), look_ahead=3), noise(800)
    results = []
    for restore in (False, True):
        posteriors = Posteriors(model, quality=quality)
        found: list[Any] = [*posteriors.push(samples[:400]), *posteriors.gap(30)]
        if restore:
            posteriors = Posteriors.from_bytes(model, posteriors.to_bytes())
        results.append(
            frame_numbers([*found, *posteriors.push(samples[400:]), *posteriors.gap(30), *posteriors.flush()])
        )
    assert results[0] == results[1]


@pytest.mark.parametrize("quality", QUALITIES)
@pytest.mark.parametrize("action", ["fill", "hold"])
def test_a_long_gap_resets(action: Any, quality: Quality) -> None:
    model, samples = open_tiny(gap=GapPolicy(action, 0.5)), noise(800)
    posteriors = Posteriors(model, quality=quality)
    before: list[Any] = posteriors.push(samples[:405])
    *last, gap = posteriors.gap(801)
    assert gap == Gap(405 / 1600, 1206 / 1600, 801, "missing", "reset")
    np.testing.assert_allclose(joined(before + last), direct(model, samples[:405]), atol=1e-5)
    after = posteriors.push(samples[405:]) + posteriors.flush()
    np.testing.assert_allclose(joined(after), direct(model, samples[405:]), atol=1e-5)
    assert {frames.origin for frames in after} == {1206 / 1600}
    assert posteriors.time == 1601 / 1600


def test_ten_hours_of_filled_gap_need_no_memory() -> None:
    model = open_tiny(gap=GapPolicy("fill", 1e6), sample_rate=16000, samples_per_step=480, overlap=8)
    posteriors = Posteriors(model)
    lost = 36000 * 16000
    pieces = posteriors.iter_gap(lost)
    tracemalloc.start()
    for _, item in zip(range(2000), pieces, strict=False):  # an hour of it
        assert isinstance(item, Gap) or len(item.log_probs) <= 64
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**20


def features_model(channels: int = 3) -> bytes:
    """Return an ONNX file without states: `[B, T, channels]` -> MatMul -> logits."""
    weights = np.random.default_rng(0).standard_normal((channels, 6)).astype(np.float32)

    def tensor(name: str, width: int) -> onnx.ValueInfoProto:
        return onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["B", "T", width])

    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("MatMul", ["x", "weights"], ["logits"])],
        "features",
        [tensor("x", channels)],
        [tensor("logits", 6)],
        [onnx.numpy_helper.from_array(weights, "weights")],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    spec = InputSpec("x", "features", 100, channels, 1, 0)
    manifest = tiny_manifest(samples_per_step=1, sample_rate=100, input=spec, states=())
    onnx.helper.set_model_props(model, {"streamcell.manifest": manifest.to_json()})
    return bytes(model.SerializeToString())


def test_features_without_states() -> None:
    model = Model.open(features_model())
    rows = np.random.default_rng(1).standard_normal((200, 3)).astype(np.float32)
    expected = log_softmax(model.step(rows[None], model.initial_state())[0]["logits"][0])
    for block in (1, 7, 200):
        posteriors = Posteriors(model)
        np.testing.assert_allclose(joined(push_all(posteriors, rows, block) + posteriors.flush()), expected, atol=1e-5)
    posteriors = Posteriors.from_bytes(model, Posteriors(model).to_bytes())
    gap, frames = posteriors.gap(10)
    assert isinstance(gap, Gap)
    assert isinstance(frames, Frames)
    assert len(frames.log_probs) == 10
    with pytest.raises(InputError, match=r"expected features \[n, 3\]"):
        posteriors.push(rows[:, 0])
    with pytest.raises(InputError, match="features at 100 Hz, got 50 Hz"):
        Posteriors(model, 50)


def test_a_refused_block_changes_nothing() -> None:
    model, samples = open_tiny(), noise(500)
    posteriors = Posteriors(model, 4800)
    whole = Posteriors(model, 4800)
    found: list[Any] = posteriors.push(samples[:100])
    for bad in (np.full(50, np.nan), np.zeros((50, 2)), np.zeros(50, np.int32)):
        with pytest.raises(InputError):
            posteriors.push(bad)
    wrongs: list[Any] = [(-1, "missing"), (1.5, "missing"), (True, "missing"), (5, "bored")]
    for wrong in wrongs:
        with pytest.raises(InputError, match="gap must be"):
            posteriors.gap(*wrong)
    assert posteriors.gap(0) == []
    found += posteriors.push(samples[100:]) + posteriors.flush()
    np.testing.assert_allclose(joined(found), joined(whole.push(samples) + whole.flush()), atol=1e-5)


def test_misuse_is_refused() -> None:
    model = open_tiny()
    posteriors = Posteriors(model)
    posteriors.flush()
    for call in (lambda: posteriors.push(noise(3)), lambda: posteriors.gap(3)):
        with pytest.raises(InputError, match=r"call reset\(\)"):
            call()
    with pytest.raises(InputError, match="open the model that it was saved with"):
        Posteriors.from_bytes(open_tiny(seed=1), posteriors.to_bytes())
    with pytest.raises(InputError, match="damaged"):
        Posteriors.from_bytes(model, posteriors.to_bytes()[:-1])


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("counters", None),
        ("counters/clock", "x"),
        ("counters/clock", 500.0),
        ("counters/clock", 10**400),
        ("counters/epoch", 501),
        ("counters/steps", -5),
        ("counters/jumps", 5),
        ("counters/jumps", [[1]]),
        ("counters/jumps", [[1, "2"]]),
        ("counters/flushed", 0),
        ("pending", np.zeros(4)),
        ("pending", np.zeros((4, 1), np.float32)),
        ("pending", np.float32(0)),
        ("pending", np.zeros(16, np.float32)),
        ("pending", np.full(4, np.nan, np.float32)),
        ("state", np.zeros(3)),
    ],
)
def test_forged_bytes_are_refused(path: str, value: Any) -> None:
    model = open_tiny()
    posteriors = Posteriors(model)
    posteriors.push(noise(500))
    data = posteriors.to_bytes()
    assert forged(data, "posteriors", "counters/clock", 500) == data, "the example is right but for what is forged"
    with pytest.raises(InputError, match=r"a saved stream is damaged|expected a saved"):
        Posteriors.from_bytes(model, forged(data, "posteriors", path, value))


def test_the_state_of_two_streams_is_none_of_one() -> None:
    model = open_tiny()
    two = np.frombuffer(model.initial_state(2).to_bytes(), np.uint8)
    with pytest.raises(InputError, match="2 streams"):
        Posteriors.from_bytes(model, forged(Posteriors(model).to_bytes(), "posteriors", "state", two))
