"""Files that someone else made, adopted: small ones that count, and what PyTorch's own exporter writes."""

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from streamcell.export.adopt import adopter
from streamcell.export.adopt.adopter import Adopted, adopt
from streamcell.export.adopt.card import Card, InputCard, OutputCard, StateCard
from streamcell.export.adopt.fold import fold
from streamcell.export.adopt.source import read_source
from streamcell.runtime.errors import InputError, ModelError
from streamcell.runtime.model import Model

HEAD = '<ir_version: 8, opset_import: ["": 17]>\n'


def card(
    layout: str = "BTF", labels: int = 1, channels: int = 2, states: Sequence[StateCard] = (), **more: Any
) -> Card:
    """Return the card of a model of features `x` and logits `y`; ``layout`` is of both."""
    names = tuple("abcdefgh"[:labels])
    heard = InputCard("x", "features", 100, 1, channels, layout=layout)
    return Card(
        "theirs",
        "frames",
        heard,
        OutputCard("y", "logits", names, layout=layout.replace("F", "C")),
        states=tuple(states),
        **more,
    )


def adopted(graph: str, about: Card, folder: Path) -> Adopted:
    """Adopt a graph in ONNX's text format."""
    path = folder / "theirs.onnx"
    onnx.save(onnx.parser.parse_model(graph if graph.startswith("<") else HEAD + graph), path)
    return adopt(read_source(path), about, {})


def stepped(model: Model, x: NDArray[np.float32], size: int = 1) -> tuple[NDArray[np.float32], Mapping[str, Any]]:
    """Run `[B, T, F]` a few rows at a time."""
    state, found = model.initial_state(len(x)), []
    for begin in range(0, x.shape[1], size):
        outputs, state = model.step(x[:, begin : begin + size], state)
        found.append(outputs["y"])
    return np.concatenate(found, axis=1), state


COUNTER = """
counter (float[B, 2] x, float[B, 2] total) => (float[B, 2] y, float[B, 2] total_next) {
    total_next = Add(total, x)
    y = Identity(total_next)
}
"""


def test_an_accumulator_counts_every_step_once(tmp_path: Path) -> None:
    made = adopted(COUNTER, card("BF", labels=2), tmp_path)
    x = np.random.default_rng(0).integers(-9, 9, (3, 20, 2)).astype(np.float32)
    y, state = stepped(Model.open(made.data), x)
    assert np.array_equal(y, x.cumsum(axis=1))
    assert np.array_equal(state["total"], x.sum(axis=1))
    assert (made.manifest.steps_per_call, made.manifest.batch_invariant, made.refused) == (1, True, ())
    assert made.manifest.parity is not None
    assert made.manifest.training["adopted"]["file"] == "theirs.onnx"


def test_states_that_begin_elsewhere_count_in_integers_and_know_no_streams(tmp_path: Path) -> None:
    graph = """
    odd (float[1, 2] x, float[2] total, int64 count) => (float[1, 2] y, float[2] total_next, int64 count_next) {
        one = Constant<value_int: int = 1>()
        count_next = Add(count, one)
        n = Cast<to: int = 1>(count_next)
        axis = Constant<value_ints: ints = [0]>()
        row = Squeeze(x, axis)
        total_next = Add(total, row)
        mean = Div(total_next, n)
        y = Unsqueeze(mean, axis)
    }
    """
    states = [StateCard("count", "count_next", initial=10), StateCard("total", "total_next", initial=-3)]
    made = adopted(graph, card("BF", labels=2, states=states), tmp_path)
    assert [(state.shape, state.dtype, state.initial) for state in made.manifest.states] == [
        (("B", 2), "float32", -3.0),
        (("B",), "int64", 10.0),
    ]
    assert not made.manifest.batch_invariant
    x = np.random.default_rng(0).integers(-9, 9, (3, 20, 2)).astype(np.float32)
    y, state = stepped(Model.open(made.data), x)
    expected = (x.cumsum(axis=1) - 3) / np.arange(11, 31)[None, :, None]
    assert np.allclose(y, expected, atol=1e-6, rtol=0)
    assert state["count"].tolist() == [30, 30, 30]


def test_the_past_becomes_a_state(tmp_path: Path) -> None:
    graph = """
    fir (float[B, N] x) => (float[B, T] y) {
        axis = Constant<value_ints: ints = [1]>()
        wide = Unsqueeze(x, axis)
        kernel = Constant<value_floats: floats = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]>()
        shape = Constant<value_ints: ints = [1, 1, 7]>()
        weight = Reshape(kernel, shape)
        found = Conv<strides: ints = [4]>(wide, weight)
        y = Squeeze(found, axis)
    }
    """
    heard = InputCard("x", "audio", 400, 4, 1, left_context=3)
    about = Card("fir", "frames", heard, OutputCard("y", "logits", ("a",), layout="BT"))
    made = adopted(graph, about, tmp_path)
    assert made.manifest.steps_per_call is None
    assert [(state.input, state.output, state.shape) for state in made.manifest.states] == [
        ("x_context", "x_context_next", ("B", 3))
    ]
    x = np.random.default_rng(0).integers(-9, 9, (2, 40)).astype(np.float32) * np.float32(1 / 16)
    padded = np.concatenate([np.zeros((2, 3)), x], axis=1)
    windows = np.lib.stride_tricks.sliding_window_view(padded, 7, axis=1)[:, ::4]
    for size in (4, 8, 20, 40):
        y, state = stepped(Model.open(made.data), x, size)
        assert np.array_equal(y[..., 0], windows @ np.arange(1, 8)), f"{size} samples a call"
        assert np.array_equal(state["x_context"], x[:, -3:])


@pytest.mark.parametrize(
    ("body", "steps", "rows", "reason"),
    [
        ("y = Add(x, s)", None, True, ""),
        ("m = ReduceMean<axes: ints = [1], keepdims: int = 1>(x) y = Add(x, m)", 1, True, "any number of steps a call"),
        ("m = ReduceMean<axes: ints = [0], keepdims: int = 1>(x) y = Add(x, m)", None, False, "any number of streams"),
        ("m = ReduceMean<axes: ints = [0, 1], keepdims: int = 1>(x) y = Add(x, m)", 1, False, "any number of streams"),
    ],
)
def test_only_what_holds_is_promised(body: str, steps: int | None, rows: bool, reason: str, tmp_path: Path) -> None:
    ports = "(float[B, T, 2] x, float[B, 1, 2] s) => (float[B, T, 2] y, float[B, 1, 2] s_next)"
    graph = f"g {ports} {{ s_next = Identity(s) {body} }}"
    made = adopted(graph, card(labels=2, states=[StateCard("s", "s_next")]), tmp_path)
    assert (made.manifest.steps_per_call, made.manifest.batch_invariant) == (steps, rows)
    assert bool(made.refused) == bool(reason)
    assert reason in "".join(made.refused)
    x = np.random.default_rng(0).standard_normal((3, 6, 2), np.float32)
    alone = [stepped(Model.open(made.data), x[row : row + 1])[0] for row in range(3)]
    assert np.allclose(stepped(Model.open(made.data), x)[0], np.concatenate(alone), atol=1e-6, rtol=0)


BRANCH = """
branch (float[B, 2] x, float[B, 2] h, int64 rate) => (float[B, 2] y, float[B, 2] h_next) {{
    {condition}
    y = If (known) <
        then_branch = up () => (float[B, 2] a) {{ a = Add(x, h) }},
        else_branch = down () => (float[B, 2] b) {{ b = Sub(x, h) }}
    >
    h_next = Identity(x)
}}
"""


@pytest.mark.parametrize(("rate", "sign"), [(16000, 1), (8000, -1)])
def test_a_branch_on_a_constant_is_taken(rate: int, sign: int, tmp_path: Path) -> None:
    graph = BRANCH.format(condition="want = Constant<value_int: int = 16000>() known = Equal(rate, want)")
    made = adopted(graph, card("BF", labels=2, constants={"rate": rate}), tmp_path)
    assert "If" not in made.operators
    assert "Equal" not in made.operators
    x = np.random.default_rng(0).standard_normal((2, 9, 2), np.float32)
    before = np.concatenate([np.zeros((2, 1, 2), np.float32), x[:, :-1]], axis=1)
    assert np.allclose(stepped(Model.open(made.data), x)[0], x + sign * before, atol=1e-6, rtol=0)


def test_a_branch_on_the_number_of_streams_is_taken_for_one(tmp_path: Path) -> None:
    graph = BRANCH.format(
        condition="one = Constant<value_ints: ints = [1]>() zero = Constant<value_ints: ints = [0]>() sizes = Shape(x) "
        "rows = Gather(sizes, zero) known = Equal(rows, one)"
    )
    made = adopted(graph, card("BF", labels=2, constants={"rate": 1}), tmp_path)
    assert not made.manifest.batch_invariant
    assert "If" not in made.operators
    assert "control flow" in made.refused[0]


def test_what_cannot_be_folded_is_named(tmp_path: Path) -> None:
    loud = "sum = ReduceSum<keepdims: int = 0>(x) z = Constant<value_float: float = 0.0>() known = Greater(sum, z)"
    graph = BRANCH.format(condition=loud)
    with pytest.raises(ModelError, match=r"control flow that cannot be folded away \(If: its condition depends on"):
        adopted(graph, card("BF", labels=2, constants={"rate": 1}), tmp_path)
    graph = COUNTER.replace("Identity(total_next)", "Multinomial<dtype: int = 6>(total_next)").replace("y,", "y,")
    with pytest.raises((ModelError, InputError), match="Multinomial"):
        adopted(
            graph.replace("y = Multi", "z = Multi").replace("}", "c = Cast<to: int = 1>(z) y = Add(c, x) }"),
            card("BF", labels=2),
            tmp_path,
        )


@pytest.mark.parametrize(
    ("version", "squeeze"), [(9, "Squeeze<axes: ints = [1]>(w)"), (11, "Squeeze<axes: ints = [1]>(w)")]
)
def test_old_operators_are_lifted(version: int, squeeze: str, tmp_path: Path) -> None:
    body = COUNTER.replace("Identity(total_next)", squeeze).replace(
        "y =", "w = Unsqueeze<axes: ints = [1]>(total_next) y ="
    )
    made = adopted(f'<ir_version: 4, opset_import: ["": {version}]>\n{body}', card("BF", labels=2), tmp_path)
    model = onnx.load_from_string(made.data)
    assert (model.opset_import[0].version, model.ir_version) == (13, 8)
    x = np.ones((2, 5, 2), np.float32)
    assert np.array_equal(stepped(Model.open(made.data), x)[0], x.cumsum(axis=1))


def test_a_size_that_the_graph_does_not_tell_is_found_by_running(tmp_path: Path) -> None:
    graph = """
    g (float[B, 2] x, float[B, K] past) => (float[B, 1] y, float[B, M] past_next) {
        both = Concat<axis: int = 1>(past, x)
        from = Constant<value_ints: ints = [-5]>()
        to = Constant<value_ints: ints = [9999]>()
        axis = Constant<value_ints: ints = [1]>()
        past_next = Slice(both, from, to, axis)
        y = ReduceSum<keepdims: int = 1>(both, axis)
    }
    """
    made = adopted(graph, card("BF"), tmp_path)
    assert made.manifest.states[0].shape == ("B", 5)


MISFIT = """
    numbers = Constant<value_floats: floats = [1.0, 2.0]>()
    size = Constant<value_ints: ints = [2, 1]>()
    w = Reshape(numbers, size)
    z = MatMul(h, w)
    old = Shape(h)
    h_next = Reshape(z, old)
"""


@pytest.mark.parametrize(
    ("state", "body", "reason"),
    [
        ("B, K", "h_next = Concat<axis: int = 1>(h, x)", "its size changes with every call"),
        ("B, K", MISFIT, "fails on a call"),
        ("M, K", "h_next = Tanh(h)", "several axes are of free size"),
    ],
)
def test_a_size_that_cannot_be_found_is_asked_for(state: str, body: str, reason: str, tmp_path: Path) -> None:
    ports = f"(float[B, 2] x, float[{state}] h) => (float[B, 2] y, float[{state}] h_next)"
    with pytest.raises(InputError, match=reason) as caught:
        adopted(f"g {ports} {{ {body} y = Identity(x) }}", card("BF", labels=2), tmp_path)
    assert '[[states]]\ninput = "h"\noutput = "h_next"\nshape = [' in str(caught.value)


def test_the_card_tells_a_size(tmp_path: Path) -> None:
    graph = """
    g (float[B, 2] x, float[M, K] h) => (float[B, 2] y, float[M, K] h_next) {
        h_next = Tanh(h)
        t = Transpose(h)
        y = Add(x, t)
    }
    """
    made = adopted(graph, card("BF", labels=2, states=[StateCard("h", "h_next", shape=(2, "B"))]), tmp_path)
    assert (made.manifest.states[0].shape, made.manifest.states[0].batch_axis) == ((2, "B"), 1)


GRAPHS = {
    "counter": COUNTER,
    "mute": COUNTER.replace("Identity(total_next)", "Identity(x)"),
    "infinite": COUNTER.replace("Add(total, x)", "Div(x, total)"),
    "double": COUNTER.replace("float[B, 2] y", "double[B, 2] y").replace("Identity(t", "Cast<to: int = 11>(t"),
    "fixed": COUNTER.replace("B", "4"),
    "constant": COUNTER.replace("total)", "total, int64 rate)", 1),
}


@pytest.mark.parametrize(
    ("graph", "about", "message"),
    [
        ("counter", card("BF", labels=1), "output.labels: the card has 1, the graph's y float32 .B, 2. has 2"),
        (
            "counter",
            card("BF", labels=2, channels=3),
            "input.channels: the card has 3, the graph's x float32 .B, 2. has 2",
        ),
        ("counter", card("BTF", labels=2), "layout 'BTF' has 3 axes, the graph's x .* has 2; e.g. layout = 'BF'"),
        ("counter", card("BF", labels=2, constants={"rate": 1}), "rate: the graph has no such input; there are: total"),
        ("counter", card("BF", labels=2, states=[StateCard("h", "g")]), "input = 'h': the graph has no such input"),
        (
            "counter",
            card("BF", labels=2, states=[StateCard("total", "total_next", 2)]),
            "batch_axis = 2: expected an axis",
        ),
        (
            "counter",
            card("BF", labels=2, states=[StateCard("total", "total_next", 1)]),
            "batch_axis = 1: expected an axis",
        ),
        ("mute", card("BF", labels=2), "another value of it changes no answer in 50 calls"),
        ("infinite", card("BF", labels=2), "call 1 gives values that are not finite"),
        ("double", card("BF", labels=2), "y is float64; streamcell runs float32 outputs only"),
        ("fixed", card("BF", labels=2), "takes 4 streams a call"),
        ("constant", card("BF", labels=2), "fed back into rate int64"),
        ("constant", card("BF", labels=2, constants={"rate": 1.5}), "rate must be int64, so write int; got 1.5"),
        ("constant", card("BF", labels=2, constants={"rate": True}), "rate must be int64, so write int; got True"),
        ("constant", card("BF", labels=2, constants={"rate": "16k"}), "rate must be int64, so write int; got '16k'"),
        ("constant", card("BF", labels=2, constants={"rate": [1, 2]}), "rate must be int64 of shape"),
        ("constant", card("BF", labels=2, constants={"rate": 1 << 70}), "rate must be int64 of shape"),
    ],
)
def test_what_does_not_fit_is_told(graph: str, about: Card, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        adopted(GRAPHS[graph], about, tmp_path)


def test_names_that_the_graph_does_not_have(tmp_path: Path) -> None:
    heard, given = (
        InputCard("X", "features", 100, 1, 2, layout="BF"),
        OutputCard("Y", "logits", ("a", "b"), layout="BC"),
    )
    about = card("BF", labels=2)
    with pytest.raises(InputError, match=r"\[input\] name = 'X': the graph has no such input; there is: x float32"):
        adopted(COUNTER, Card("n", "frames", heard, about.output), tmp_path)
    with pytest.raises(InputError, match=r"\[output\] name = 'Y': the graph has no such output; there is: y float32"):
        adopted(COUNTER, Card("n", "frames", about.input, given), tmp_path)


def test_probabilities_that_are_none(tmp_path: Path) -> None:
    about = card("BF", labels=2)
    output = OutputCard("y", "probabilities", ("a", "b"), layout="BC")
    with pytest.raises(InputError, match='no probabilities; write kind = "logits"'):
        adopted(COUNTER, Card("n", "frames", about.input, output), tmp_path)


def test_a_wrong_number_of_samples(tmp_path: Path) -> None:
    graph = "g (float[1, 576] x) => (float[1, 576] y) { y = Relu(x) }"
    heard = InputCard("x", "audio", 16000, 512, 1, left_context=32)
    with pytest.raises(InputError, match="takes 576 samples a call; that is not left_context = 32 and a multiple of"):
        adopted(graph, Card("n", "frames", heard, OutputCard("y", "logits", ("a",), layout="BT")), tmp_path)
    heard = InputCard("x", "audio", 16000, 512, 1, left_context=64)
    with pytest.raises(InputError, match=r"different numbers of steps a call \(\[1, 576\]\)"):
        adopted(graph, Card("n", "frames", heard, OutputCard("y", "logits", ("a",), layout="BT")), tmp_path)


def test_a_file_that_computes_something_else_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(model: onnx.ModelProto) -> onnx.ModelProto:
        made = fold(model)
        next(node for node in made.graph.node if node.op_type == "Add").op_type = "Sub"
        return made

    monkeypatch.setattr(adopter, "fold", wrong)
    with pytest.raises(
        ModelError, match=r"not the original run step by step: random, batch 3, .* differs by .*, allowed"
    ):
        adopted(COUNTER, card("BF", labels=2), tmp_path)


class Recurrent(nn.Module):
    """Two recurrent layers and a head, as a user would write them."""

    def __init__(self, kind: type[nn.GRU] | type[nn.LSTM], *, batch_first: bool) -> None:
        super().__init__()
        self.rnn = kind(5, 8, 2, batch_first=batch_first)
        self.head = nn.Linear(8, 3)

    def forward(self, x: Tensor, h: Tensor, c: Tensor | None = None) -> tuple[Tensor, ...]:
        y, after = self.rnn(x, h if c is None else (h, c))
        return (self.head(y), *(after if c is not None else (after,)))


class Cell(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.GRUCell(5, 8)
        self.head = nn.Linear(8, 3)

    def forward(self, x: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        h = self.cell(x, h)
        return self.head(h), h


def export(
    module: nn.Module, inputs: tuple[Tensor, ...], path: Path, axes: Sequence[dict[int, str]], *, dynamo: bool
) -> None:
    """Call `torch.onnx.export` as its documentation does; ``axes`` are the free ones of each input."""
    names = ["x", "h0", "c0"][: len(inputs)]
    outputs = ["y", "hn", "cn"][: len(inputs)]
    free: dict[str, Any] = {"dynamic_axes": dict(zip([*names, *outputs], [*axes, *axes], strict=True))}
    if dynamo:
        letters = {letter: torch.export.Dim(letter) for axis in axes for letter in axis.values()}
        free = {"dynamic_shapes": tuple({i: letters[letter] for i, letter in axis.items()} for axis in axes)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module.eval(), inputs, path, dynamo=dynamo, input_names=names, output_names=outputs, verbose=False, **free
        )


@pytest.mark.parametrize("dynamo", [True, False])
@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("kind", [nn.GRU, nn.LSTM])
def test_what_torch_exports(
    kind: type[nn.GRU] | type[nn.LSTM], batch_first: bool, dynamo: bool, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    module, rows, time = Recurrent(kind, batch_first=batch_first), 0 if batch_first else 1, 1 if batch_first else 0
    steps, states = 1 if dynamo else 4, 1 if kind is nn.GRU else 2
    x = torch.randn((2, steps, 5) if batch_first else (steps, 2, 5))
    free = {rows: "batch"} if dynamo else {rows: "batch", time: "time"}
    zeros = [torch.zeros(2, 2, 8) for _ in range(states)]  # one tensor twice would become one input
    export(module, (x, *zeros), tmp_path / "rnn.onnx", [free, *[{1: "batch"}] * states], dynamo=dynamo)
    made = adopt(read_source(tmp_path / "rnn.onnx"), card("BTF" if batch_first else "TBF", 3, 5), {})
    assert (made.manifest.steps_per_call, made.manifest.batch_invariant) == (1 if dynamo else None, True)
    x = torch.randn(3, 24, 5)
    with torch.inference_mode():
        y, *after = module(x if batch_first else x.transpose(0, 1), *[torch.zeros(2, 3, 8)] * states)
    y = y if batch_first else y.transpose(0, 1)
    for size in [1] if dynamo else [1, 7, 24]:
        found, state = stepped(Model.open(made.data), x.numpy(), size)
        assert np.allclose(found, y.numpy(), atol=1e-5, rtol=0)
        for name, value in zip(("h0", "c0"), after, strict=False):
            assert np.allclose(state[name], value.numpy(), atol=1e-5, rtol=0)


@pytest.mark.parametrize("free", [{0: "batch"}, {}])
def test_a_cell_that_torch_exports(free: dict[int, str], tmp_path: Path) -> None:
    torch.manual_seed(0)
    module, rows = Cell(), 2 if free else 1
    export(module, (torch.randn(rows, 5), torch.zeros(rows, 8)), tmp_path / "cell.onnx", [free, free], dynamo=True)
    made = adopt(read_source(tmp_path / "cell.onnx"), card("BF", 3, 5), {})
    assert (made.manifest.steps_per_call, made.manifest.batch_invariant) == (1, bool(free))
    x, h, expected = torch.randn(3, 10, 5), torch.zeros(3, 8), []
    with torch.inference_mode():
        for t in range(10):
            y, h = module(x[:, t], h)
            expected.append(y)
    found, state = stepped(Model.open(made.data), x.numpy())
    assert np.allclose(found, torch.stack(expected, dim=1).numpy(), atol=1e-5, rtol=0)
    assert np.allclose(state["h0"], h.numpy(), atol=1e-5, rtol=0)


def test_an_output_that_is_the_state(tmp_path: Path) -> None:
    graph = "g (float[B, 2] x, float[B, 2] h) => (float[B, 2] y) { y = Add(x, h) }"
    made = adopted(graph, card("BF", labels=2, states=[StateCard("h", "y")]), tmp_path)
    assert [(state.input, state.output) for state in made.manifest.states] == [("h", "y_state")]
    x = np.ones((2, 5, 2), np.float32)
    assert np.array_equal(stepped(Model.open(made.data), x)[0], x.cumsum(axis=1))
