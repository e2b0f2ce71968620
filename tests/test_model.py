"""Opening: everything that does not fit is refused. Stepping: pure, checked, and the same for any cutting."""

import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper

from helpers import LABELS, tiny_manifest, tiny_model
from streamcell.runtime import model as model_module
from streamcell.runtime import models
from streamcell.runtime.errors import InputError, ModelError
from streamcell.runtime.manifest import GapPolicy, InputSpec, Manifest, OutputSpec, StateSpec
from streamcell.runtime.model import Model
from streamcell.runtime.state import State
from streamcell.runtime.verify import verify

STEP = 16


def drawn(model: Model, batch: int, steps: int, seed: int = 0) -> tuple[NDArray[np.float32], State]:
    """Return random samples and a random state."""
    random = np.random.default_rng(seed)
    x = random.standard_normal((batch, steps * STEP)).astype(np.float32)
    specs = model.manifest.states
    return x, State(specs, {spec.input: random.standard_normal(spec.sizes(batch)).astype("f4") for spec in specs})


@pytest.fixture(scope="module")
def model() -> Model:
    return Model.open(tiny_model())


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("cut", [1, 7, 20, 64])
def test_whole_equals_any_cutting_in_outputs_and_states(model: Model, batch: int, cut: int) -> None:
    x, state = drawn(model, batch, 64)
    whole, last = model.step(x, state)
    assert whole["logits"].shape == (batch, 64, len(LABELS))
    parts = []
    for start in range(0, 64, cut):
        outputs, state = model.step(x[:, start * STEP : (start + cut) * STEP], state)
        parts.append(outputs["logits"])
    np.testing.assert_allclose(np.concatenate(parts, axis=1), whole["logits"], atol=1e-5)
    for name, array in last.items():
        np.testing.assert_allclose(state[name], array, atol=1e-5)


def test_streams_in_one_call_do_not_touch_each_other(model: Model) -> None:
    x, state = drawn(model, 5, 9)
    together, after = model.step(x, state)
    for row in range(5):
        alone, left = model.step(x[row : row + 1], state.rows([row]))
        np.testing.assert_allclose(alone["logits"][0], together["logits"][row], atol=1e-5)
        for name, array in after.rows([row]).items():
            np.testing.assert_allclose(left[name], array, atol=1e-5)


def test_step_is_pure_and_gives_its_own_arrays(model: Model) -> None:
    x, state = drawn(model, 2, 3)
    before, saved = x.copy(), state.to_bytes()
    first, after = model.step(x, state)
    kept, kept_after = first["logits"].copy(), after.to_bytes()
    x[...] = 9
    first["logits"][...] = 9
    second, again = model.step(before, state)
    assert state.to_bytes() == saved
    assert after.to_bytes() == again.to_bytes() == kept_after
    np.testing.assert_array_equal(second["logits"], kept)


def test_read_only_and_strided_samples_are_read_rightly(model: Model) -> None:
    x, state = drawn(model, 2, 4)
    expected, _ = model.step(x, state)
    wide = np.zeros((2, 8 * STEP), np.float32)
    wide[:, ::2] = x
    x.flags.writeable = False
    for view in (x, wide[:, ::2]):
        np.testing.assert_array_equal(model.step(view, state)[0]["logits"], expected["logits"])


def test_threads_share_a_model(model: Model) -> None:
    x, state = drawn(model, 1, 32)
    expected, _ = model.step(x, state)
    with ThreadPoolExecutor(4) as pool:
        for outputs, _ in pool.map(lambda _: model.step(x, state), range(32)):
            np.testing.assert_array_equal(outputs["logits"], expected["logits"])


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.zeros((1, STEP)), r"samples must be of float32 \[B, N\], got float64 \[1, 16\]"),
        (np.zeros(STEP, np.float32), r"got float32 \[16\]"),
        (np.zeros((1, STEP, 1), np.float32), r"got float32 \[1, 16, 1\]"),
        ([[0.0] * STEP], "got list"),
        (np.zeros((1, 0), np.float32), "one or more whole steps of 16 samples, got 0"),
        (np.zeros((1, 17), np.float32), "one or more whole steps of 16 samples, got 17"),
        (np.zeros((2, STEP), np.float32), "expected the state of 2 streams"),
        (np.full((1, STEP), np.nan, np.float32), "samples has NaN or infinite values"),
        (np.full((1, STEP), -np.inf, np.float32), "samples has NaN or infinite values"),
    ],
)
def test_wrong_samples(model: Model, x: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        model.step(x, model.initial_state())


def test_the_state_of_another_model(model: Model) -> None:
    other = Model.open(tiny_model(hidden=9))
    with pytest.raises(InputError, match="expected the state of 1 streams of this model"):
        model.step(np.zeros((1, STEP), np.float32), other.initial_state())


def test_values_that_are_not_finite_are_never_given_out() -> None:
    def overflow(model: ModelProto) -> None:
        model.graph.node[-1].op_type = "Div"
        model.graph.initializer[6].raw_data = bytes(4 * len(LABELS))

    with pytest.raises(ModelError, match="'logits' that are not finite"):
        Model.open(tiny_model(change=overflow))


def test_a_fixed_number_of_steps_is_obeyed() -> None:
    model = Model.open(tiny_model(steps_per_call=4))
    outputs, _ = model.step(*drawn(model, 2, 4))
    assert outputs["logits"].shape == (2, 4, len(LABELS))
    for steps in (1, 3, 8):
        with pytest.raises(InputError, match="exactly 4 steps of 16 samples"):
            model.step(*drawn(model, 2, steps))


def fix_batch(model: ModelProto) -> None:
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[1 if value.name.startswith("h0") else 0].dim_value = 1


def test_where_streams_would_change_each_other_each_runs_alone() -> None:
    free, alone = Model.open(tiny_model()), Model.open(tiny_model(batch_invariant=False, change=fix_batch))
    x, state = drawn(free, 3, 5)
    (expected, after), (outputs, found) = free.step(x, state), alone.step(x, state)
    np.testing.assert_allclose(outputs["logits"], expected["logits"], atol=1e-5)
    for name, array in after.items():
        np.testing.assert_allclose(found[name], array, atol=1e-5)


def features_model() -> bytes:
    spec = InputSpec("x", "features", 50, 3, 1, 0)
    output = OutputSpec("logits", "logits", ("a", "b"), None, None, 0.02)
    manifest = tiny_manifest(task="frames", input=spec, states=(), outputs=(output,))

    def change(model: ModelProto) -> None:
        graph = model.graph
        del graph.node[:], graph.input[:], graph.output[:], graph.initializer[:]
        graph.initializer.append(helper.make_tensor("w", TensorProto.FLOAT, [3, 2], [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]))
        graph.node.append(helper.make_node("MatMul", ["x", "w"], ["logits"]))
        graph.input.append(helper.make_tensor_value_info("x", TensorProto.FLOAT, ["B", "T", 3]))
        graph.output.append(helper.make_tensor_value_info("logits", TensorProto.FLOAT, None))

    return tiny_model(manifest=manifest, change=change)


def test_features_and_no_state() -> None:
    model = Model.open(features_model())
    outputs, state = model.step(np.ones((2, 5, 3), np.float32), model.initial_state(2))
    np.testing.assert_array_equal(outputs["logits"], np.full((2, 5, 2), [9, 12], np.float32))
    assert (len(state), state.batch) == (0, 2)
    with pytest.raises(InputError, match=r"x must be of float32 \[B, T, 3\], got float32 \[2, 5, 4\]"):
        model.step(np.ones((2, 5, 4), np.float32), state)
    with pytest.raises(InputError, match="one or more whole steps of one row, got 0"):
        model.step(np.ones((2, 0, 3), np.float32), state)


def test_bytes_path_and_name_open_the_same_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = tiny_model()
    path = tmp_path / "phonemes-en.onnx"
    path.write_bytes(data)
    monkeypatch.setattr(models, "files", lambda _: tmp_path)
    found = {Model.open(source).fingerprint for source in (data, path, str(path), "phonemes-en", None)}
    assert len(found) == 1
    assert found != {Model.open(tiny_model(seed=1)).fingerprint}


def test_no_such_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "only.onnx").touch()
    monkeypatch.setattr(models, "files", lambda _: tmp_path)
    for source in (tmp_path / "none.onnx", str(tmp_path / "none.onnx"), "none"):
        with pytest.raises(ModelError, match=r"none.*: no such file; expected an .onnx file or one of: only"):
            Model.open(source)
    for source in (tmp_path, ""):
        with pytest.raises(ModelError, match="is no file"):
            Model.open(source)
    with pytest.raises(ModelError, match=r"only.onnx: expected an ONNX file .* got 0 bytes"):
        Model.open(tmp_path / "only.onnx")


def test_a_file_that_is_too_large_is_not_even_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "large.onnx").write_bytes(bytes(1001))
    monkeypatch.setattr(model_module, "MAX_FILE", 1000)
    with pytest.raises(ModelError, match=r"large.onnx: expected a model of at most 1000 bytes, got 1001"):
        Model.open(tmp_path / "large.onnx")


@pytest.mark.parametrize("part", [0.02, 0.5, 0.9, 0.99])
def test_a_truncated_file(part: float) -> None:
    data = tiny_model()
    with pytest.raises(ModelError, match="expected a whole ONNX file"):
        Model.open(data[: int(part * len(data))])


def test_no_manifest_and_a_broken_one() -> None:
    with pytest.raises(ModelError, match=r"has no streamcell manifest .* Make one with `streamcell export`"):
        Model.open(tiny_model(with_manifest=False))
    with pytest.raises(ModelError, match="the manifest is not JSON"):
        Model.open(tiny_model(manifest="{"))


def another_state(**changes: Any) -> Manifest:
    tail, h0 = tiny_manifest().states
    return tiny_manifest(states=(tail, replace(h0, **changes)))


def another_output(**changes: Any) -> Manifest:
    return tiny_manifest(outputs=(replace(tiny_manifest().outputs[0], **changes),))


@pytest.mark.parametrize(
    ("manifest", "message"),
    [
        (another_state(shape=(1, "B", 9)), r"input 'h0' is float32 \[1, B, 9\] in the manifest, float32 \[1, B, 8\]"),
        (another_state(shape=("B", 8), batch_axis=0), r"'h0' is float32 \[B, 8\] in the manifest"),
        (another_state(shape=("B", 1, 8), batch_axis=0), r"'h0' is float32 \[B, 1, 8\] in the manifest"),
        (another_state(dtype="float16"), "'h0' is float16 .* in the manifest, float32"),
        (another_state(input="h1"), "inputs h1, samples, tail in the manifest, h0, samples, tail in the graph"),
        (another_state(output="h1_next"), "outputs h1_next, logits, tail_next in the manifest"),
        (tiny_manifest(states=tiny_manifest().states[:1]), "inputs samples, tail in the manifest, h0, samples, tail"),
        (
            tiny_manifest(states=(*tiny_manifest().states, StateSpec("c0", "c0_next", ("B", 1), 0))),
            "inputs c0, h0, samples, tail in the manifest",
        ),
        (
            another_output(labels=LABELS[:4]),
            r"output 'logits' is float32 \[B, any, 4\] in the manifest, .*, 6\]",
        ),
        (another_output(name="y"), "outputs h0_next, tail_next, y in the manifest"),
        (tiny_manifest(input=InputSpec("x", "audio", 1600, 1, 16, 1)), "inputs h0, tail, x in the manifest"),
    ],
)
def test_a_manifest_that_does_not_fit_the_graph(manifest: Manifest, message: str) -> None:
    with pytest.raises(ModelError, match=f"the manifest does not fit the graph: .*{message}"):
        Model.open(tiny_model(manifest=manifest))


def dynamic(model: ModelProto) -> None:
    """Round the features to 8 bits, by the largest that is in the call."""
    index = next(i for i, node in enumerate(model.graph.node) if node.output[0] == "squashed")
    model.graph.node[index].output[0] = "exact"
    scale = helper.make_node("DynamicQuantizeLinear", ["exact"], ["rounded", "scale", "zero"])
    back = helper.make_node("DequantizeLinear", ["rounded", "scale", "zero"], ["squashed"])
    model.graph.node.insert(index + 1, scale)
    model.graph.node.insert(index + 2, back)


def test_rounding_by_what_shares_the_call_must_be_said_in_the_manifest() -> None:
    for said in ({}, {"steps_per_call": 1}, {"batch_invariant": False}):
        with pytest.raises(ModelError, match="DynamicQuantizeLinear: its answers depend on what shares the call"):
            Model.open(tiny_model(change=dynamic, **said))
    model = Model.open(tiny_model(change=dynamic, steps_per_call=1, batch_invariant=False))
    assert verify(model).within(1e-6)


def untold(*names: str) -> Callable[[ModelProto], None]:
    """Return a change that hides the shapes of some inputs and outputs."""

    def change(model: ModelProto) -> None:
        for value in (*model.graph.input, *model.graph.output):
            if value.name in names:
                value.type.tensor_type.ClearField("shape")

    return change


def transposed(model: ModelProto) -> None:
    untold("logits")(model)
    model.graph.node[-1].output[0] = "before"
    model.graph.node.append(helper.make_node("Transpose", ["before"], ["logits"], perm=[1, 0, 2]))


def last_frame(model: ModelProto) -> None:
    model.graph.node[-1].output[0] = "before"
    model.graph.node.append(helper.make_node("Slice", ["before", "minus", "to", "axis1"], ["logits"]))
    model.graph.initializer.append(helper.make_tensor("minus", TensorProto.INT64, [1], [-1]))


def short_tail(model: ModelProto) -> None:
    untold("tail_next")(model)
    next(item for item in model.graph.initializer if item.name == "from").raw_data = np.array([-7], np.int64).tobytes()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"manifest": another_state(shape=(1, "B", 9)), "change": untold("h0", "h0_next")},
            "the model failed on float32",
        ),
        ({"change": transposed}, r"'logits' must be \[2, 1, 6\] .* gives \[1, 2, 6\]"),
        ({"change": last_frame}, r"'logits' must be \[2, 2, 6\] .* after 2 steps, the graph gives \[2, 1, 6\]"),
        ({"change": short_tail}, r"does not give the states .* 'tail' must be float32 \[2, 8\], got float32 \[2, 7\]"),
        (
            {"manifest": another_output(labels=LABELS[:5]), "change": untold("logits")},
            r"'logits' must be \[2, 1, 5\] .* gives \[2, 1, 6\]",
        ),
    ],
)
def test_a_graph_that_does_otherwise_than_it_says(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        Model.open(tiny_model(**changes))


def fixed_time(model: ModelProto) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 4 * STEP


def test_fixed_sizes_must_be_said_in_the_manifest() -> None:
    assert Model.open(tiny_model(change=fixed_time, steps_per_call=4)).manifest.steps_per_call == 4
    with pytest.raises(ModelError, match=r"\[B, any\] in the manifest, float32 \[B, 64\] in the graph"):
        Model.open(tiny_model(change=fixed_time))
    with pytest.raises(ModelError, match=r"\[1, N\] in the graph"):
        Model.open(tiny_model(change=fix_batch))


@pytest.mark.parametrize("operator", ["Loop", "If", "Scan", "Range"])
def test_operators_that_are_not_run(operator: str) -> None:
    def change(model: ModelProto) -> None:
        model.graph.node.append(helper.make_node(operator, ["h0"], ["more"]))

    with pytest.raises(ModelError, match=f"does not run: {operator}"):
        Model.open(tiny_model(change=change))


def dangling(model: ModelProto) -> None:
    model.graph.node[4].input[0] = "nowhere"


def wrong_kernel(model: ModelProto) -> None:
    model.graph.node[3].input[1] = "w"


@pytest.mark.parametrize("change", [dangling, wrong_kernel, "not utf-8"])
def test_a_graph_that_onnx_runtime_refuses(
    change: Callable[[ModelProto], None] | str, capfd: pytest.CaptureFixture[str]
) -> None:
    data = (
        tiny_model().replace(b"squashed", b"squash\xe8d", 1) if isinstance(change, str) else tiny_model(change=change)
    )
    with pytest.raises(ModelError, match=r"ONNX Runtime cannot load the graph|the model failed|is not text"):
        Model.open(data)
    assert capfd.readouterr() == ("", "")


SPEED = """
import sys, time
from streamcell.runtime import Model
Model.open(sys.argv[1])
print(time.process_time())
foreign = {"torch", "onnx", "librosa", "scipy"} & set(sys.modules)
assert not foreign, foreign
"""


def test_start_import_and_open_of_ten_megabytes_take_under_half_a_second_of_cpu(tmp_path: Path) -> None:
    path = tmp_path / "large.onnx"
    path.write_bytes(tiny_model(hidden=900))
    assert 9e6 < path.stat().st_size < 12e6

    def once() -> float:
        run = subprocess.run([sys.executable, "-c", SPEED, path], capture_output=True, text=True, check=True)
        return float(run.stdout)

    assert min(once() for _ in range(3)) < 0.5


def test_threads_and_providers_can_be_chosen_among_what_there_is() -> None:
    data = tiny_model()
    x = np.random.default_rng(0).standard_normal((1, 160)).astype(np.float32)
    one, two = Model.open(data), Model.open(data, threads=2, providers=["CPUExecutionProvider"])
    answers = [model.step(x, model.initial_state())[0]["logits"] for model in (one, two)]
    np.testing.assert_allclose(answers[0], answers[1], atol=1e-5)
    assert two.session.get_session_options().intra_op_num_threads == 2
    for threads in (0, -1, True, 1.5, 100_000):
        with pytest.raises(InputError, match="expected 1 to 256 threads"):
            Model.open(data, threads=threads)  # type: ignore[arg-type]
    for providers in ([], ["TeaExecutionProvider"], "CPUExecutionProvider"):
        with pytest.raises(InputError, match=r"expected a list of execution providers of .*CPUExecutionProvider"):
            Model.open(data, providers=providers)


def test_the_fingerprint_is_of_what_steps_and_decodes() -> None:
    own = Model.open(tiny_model()).fingerprint
    for words in ({"description": "Another."}, {"licence": "MIT"}, {"training": {"seed": 7}}, {"name": "other"}):
        assert Model.open(tiny_model(**words)).fingerprint == own
    for change in (
        {"gap": GapPolicy("hold", 0.5)},
        {"decoder": {"name": "ctc-greedy"}},
        {"look_ahead": 2},
        {"seed": 1},
    ):
        assert Model.open(tiny_model(**change)).fingerprint != own
