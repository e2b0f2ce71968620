"""Files that mean harm, made of the tiny model, and a part of what is said where each is refused."""

import json
from collections.abc import Callable
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from helpers import tiny_manifest

Change: TypeAlias = Callable[[ModelProto], None]


def tensor(model: ModelProto, name: str) -> TensorProto:
    found: TensorProto = next(item for item in model.graph.initializer if item.name == name)
    return found


def added(*nodes: NodeProto, **arrays: NDArray[Any]) -> Change:
    """Return a change that adds operators and the constants that they take."""

    def change(model: ModelProto) -> None:
        model.graph.node.extend(nodes)
        model.graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in arrays.items())

    return change


def node(operator: str, *inputs: str, domain: str = "", **attributes: Any) -> NodeProto:
    return helper.make_node(operator, list(inputs), ["more"], domain=domain, **attributes)


def inserted(output: str, *nodes: NodeProto, **arrays: NDArray[Any]) -> Change:
    """Return a change that puts operators between ``output``, now called "before", and whoever takes it."""

    def change(model: ModelProto) -> None:
        at = next(i for i, made in enumerate(model.graph.node) if output in made.output)
        maker = model.graph.node[at]
        maker.output[list(maker.output).index(output)] = "before"
        rest = list(model.graph.node)
        del model.graph.node[:]
        model.graph.node.extend([*rest[: at + 1], *nodes, *rest[at + 1 :]])
        added(**arrays)(model)

    return change


def free(*names: str) -> Change:
    """Return a change that declares no sizes of these inputs and outputs."""

    def change(model: ModelProto) -> None:
        for value in (*model.graph.input, *model.graph.output):
            if value.name in names:
                for size in value.type.tensor_type.shape.dim:
                    size.Clear()

    return change


def body() -> Any:
    return helper.make_graph([node("Identity", "h0")], "body", [], [])


def loop(model: ModelProto) -> None:
    """For ever: no trip count, a condition that is always true."""
    inner = helper.make_graph(
        [helper.make_node("Identity", ["on"], ["on_next"])],
        "body",
        [helper.make_tensor_value_info("i", 7, []), helper.make_tensor_value_info("on", 9, [])],
        [helper.make_tensor_value_info("on_next", 9, [])],
    )
    added(node("Loop", "", "true", body=inner), true=np.array(True))(model)


def external(item: TensorProto, location: str = "/etc/passwd") -> None:
    for name in ("raw_data", "float_data"):
        item.ClearField(name)
    item.data_location = TensorProto.EXTERNAL
    item.external_data.add(key="location", value=location)


def external_initializer(model: ModelProto) -> None:
    external(tensor(model, "kernel"))


def elsewhere() -> TensorProto:
    item = TensorProto(name="elsewhere", data_type=1, dims=[4])
    external(item)
    return item


def external_in_subgraph(model: ModelProto) -> None:
    inner = body()
    inner.initializer.append(elsewhere())
    added(node("If", "h0", then_branch=inner, else_branch=inner))(model)


def external_in_function(model: ModelProto) -> None:
    inner = helper.make_node("Constant", [], ["x"], value=elsewhere())
    model.functions.append(helper.make_function("ours", "Trick", [], ["x"], [inner], [helper.make_opsetid("", 17)]))
    added(node("Trick", domain="ours"))(model)


def external_in_sparse(model: ModelProto) -> None:
    sparse = model.graph.sparse_initializer.add(dims=[1 << 40])
    sparse.values.CopyFrom(elsewhere())


def external_without_entries(model: ModelProto) -> None:
    tensor(model, "kernel").data_location = TensorProto.EXTERNAL


def external_entries_alone(model: ModelProto) -> None:
    tensor(model, "kernel").external_data.add(key="location", value="weights.bin")


def sized(name: str, *dims: int) -> Change:
    def change(model: ModelProto) -> None:
        tensor(model, name).dims[:] = dims

    return change


def weight(name: str, value: float) -> Change:
    """Return a change of one number."""

    def change(model: ModelProto) -> None:
        item = tensor(model, name)
        array = numpy_helper.to_array(item).copy()
        array.flat[3] = value
        item.CopyFrom(numpy_helper.from_array(array, name))

    return change


def gru(**attributes: Any) -> Change:
    def change(model: ModelProto) -> None:
        made = next(item for item in model.graph.node if item.op_type == "GRU")
        for name, value in attributes.items():
            kept = [item for item in made.attribute if item.name != name]
            del made.attribute[:]
            made.attribute.extend([*kept, helper.make_attribute(name, value)])

    return change


def half(model: ModelProto) -> None:
    """All of it in float16, as converters do it: ONNX Runtime's optimiser crashes."""
    for name in ("kernel", "bias", "w", "r", "b", "head", "shift"):
        array = numpy_helper.to_array(tensor(model, name)).astype(np.float16)
        tensor(model, name).CopyFrom(numpy_helper.from_array(array, name))
    taken, given = ("samples", "tail", "h0"), ("logits", "tail_next", "h0_next")
    nodes = list(model.graph.node)
    for made in nodes:
        for names, ends in ((made.input, taken), (made.output, given)):
            names[:] = [f"{name}_half" if name in ends else name for name in names]
    begin = [helper.make_node("Cast", [name], [f"{name}_half"], to=TensorProto.FLOAT16) for name in taken]
    end = [helper.make_node("Cast", [f"{name}_half"], [name], to=TensorProto.FLOAT) for name in given]
    del model.graph.node[:]
    model.graph.node.extend([*begin, *nodes, *end])


def many_nodes(model: ModelProto) -> None:
    for _ in range(10_001):
        model.graph.node.add(op_type="Identity")


def nested(model: ModelProto) -> None:
    inner = body()
    for _ in range(20):
        inner = helper.make_graph([node("If", "h0", then_branch=inner)], "body", [], [])
    model.graph.node.append(inner.node[0])


def doubled(model: ModelProto) -> None:
    """Thirty times twice as much."""
    for index in range(30):
        name = "head" if not index else f"double{index - 1}"
        model.graph.node.append(helper.make_node("Concat", [name, name], [f"double{index}"], axis=0))


def by_adding(model: ModelProto) -> None:
    """The same without saying a name twice: Concat of x and x + 0, 28 times, beginning with 48 numbers."""
    for index in range(28):
        name = "head" if not index else f"double{index - 1}"
        model.graph.node.append(helper.make_node("Identity", [name], [f"copy{index}"]))
        model.graph.node.append(helper.make_node("Concat", [name, f"copy{index}"], [f"double{index}"], axis=0))
    last = helper.make_node("ReduceMax", ["double27"], ["peak"], keepdims=0)
    used(model, last)


def used(model: ModelProto, *nodes: NodeProto) -> None:
    """Add operators whose last gives the number "peak", and let the answer depend on it."""
    inserted("logits", *nodes, helper.make_node("Add", ["before", "peak"], ["logits"]))(model)


def product(model: ModelProto) -> None:
    """[N, 1] times [1, N] is N * N: a terabyte and more of two small constants."""
    side = np.ones(1 << 19, np.float32)
    added(tall=side[:, None], wide=side[None])(model)
    used(model, node("Mul", "tall", "wide"), helper.make_node("ReduceMax", ["more"], ["peak"], keepdims=0))


def square(axis: int) -> Change:
    """Memory that grows with the fourth power of the steps (axis 0) or streams (1) of a call."""

    def change(model: ModelProto) -> None:
        column = np.array([-1, 1, 1, 1], np.int64)
        wide = [np.roll(column, turn) for turn in range(4)]
        nodes = [
            helper.make_node("Transpose", ["features"], ["turned"], perm=[axis, 1 - axis, 2]),
            helper.make_node("ReduceMax", ["turned"], ["line"], axes=[1, 2], keepdims=0),
            *(helper.make_node("Reshape", ["line", f"wide{i}"], [f"side{i}"]) for i in range(4)),
            helper.make_node("Mul", ["side0", "side1"], ["two"]),
            helper.make_node("Mul", ["two", "side2"], ["three"]),
            helper.make_node("Mul", ["three", "side3"], ["four"]),
            helper.make_node("Tanh", ["four"], ["bent"]),
            helper.make_node("Softmax", ["bent"], ["soft"]),
            helper.make_node("MatMul", ["soft", "bent"], ["more"]),
            helper.make_node("Reshape", ["more", "flat"], ["list"]),
            helper.make_node("ReduceMax", ["list"], ["peak"], keepdims=0),
        ]
        used(model, *nodes)
        added(**{f"wide{i}": array for i, array in enumerate(wide)}, flat=np.array([-1], np.int64))(model)

    return change


def labour(model: ModelProto) -> None:
    """Two thousand products of matrices in a row, with each step."""
    side, names = 512, ["row", *(f"work{index}" for index in range(2000))]
    nodes = [helper.make_node("MatMul", [a, "large"], [b]) for a, b in pairwise(names)]
    first = [
        helper.make_node("ReduceMax", ["features"], ["loud"], keepdims=0),
        helper.make_node("Mul", ["loud", "large"], ["row"]),
    ]
    used(model, *first, *nodes, helper.make_node("ReduceMax", [names[-1]], ["peak"], keepdims=0))
    added(large=np.full((side, side), 1 / side, np.float32))(model)


def cut_by_sound(model: ModelProto) -> None:
    """Two million numbers are repeated as often as the sound is loud."""
    ints = [helper.make_node("ReduceMax", ["samples"], ["loud"], axes=[0, 1], keepdims=0)]
    ints += [helper.make_node("Cast", ["loud"], ["index"], to=TensorProto.INT64)]
    ints += [helper.make_node("Unsqueeze", ["index", "axis0"], ["end"])]
    used(
        model,
        *ints,
        helper.make_node("Slice", ["head", "axis0", "end"], ["part"]),
        helper.make_node("ReduceSum", ["part"], ["peak"], keepdims=0),
    )
    added(axis0=np.array([0], np.int64))(model)


def reshaped_by_state(model: ModelProto) -> None:
    nodes = [helper.make_node("Cast", ["tail"], ["whole"], to=TensorProto.INT64)]
    used(model, *nodes, helper.make_node("Reshape", ["head", "whole"], ["peak"]))


def cyclic(model: ModelProto) -> None:
    model.graph.node.extend(
        [helper.make_node("Add", ["b1", "h0"], ["a1"]), helper.make_node("Add", ["a1", "h0"], ["b1"])]
    )


def twice(model: ModelProto) -> None:
    model.graph.node.append(helper.make_node("Identity", ["shift"], ["logits"]))


def attribute(operator: str, **attributes: Any) -> Change:
    return inserted(
        "bands", helper.make_node(operator, ["before", "scale"], ["bands"], **attributes), scale=np.ones(6, "f4")
    )


def wall(model: ModelProto) -> None:
    """A convolution over three axes whose padding is 8 thousand on each side of each."""
    nodes = [
        helper.make_node("Unsqueeze", ["heard", "front"], ["block"]),
        helper.make_node("Conv", ["block", "cube"], ["more"], pads=[4096] * 6),
        helper.make_node("ReduceMax", ["more"], ["peak"], keepdims=0),
    ]
    used(model, *nodes)
    added(front=np.array([1, 2, 3], np.int64), cube=np.ones((1, 1, 1, 1, 1), np.float32))(model)


def growing(model: ModelProto) -> None:
    """The state is all that was heard."""
    made = next(item for item in model.graph.node if "tail_next" in item.output)
    made.op_type = "Identity"
    del made.input[1:]
    free("tail", "tail_next")(model)


def shrinking(model: ModelProto) -> None:
    tensor(model, "to").CopyFrom(numpy_helper.from_array(np.array([-1], np.int64), "to"))
    free("tail", "tail_next")(model)


def few_steps(model: ModelProto) -> None:
    """Right for calls of one or two steps, none more than four."""
    inserted(
        "logits",
        helper.make_node("Slice", ["before", "zero", "four", "axis1"], ["logits"]),
        zero=np.array([0], np.int64),
        four=np.array([4], np.int64),
    )(model)
    free("logits")(model)


def text(manifest: str) -> Change:
    def change(model: ModelProto) -> None:
        helper.set_model_props(model, {"streamcell.manifest": manifest})

    return change


def edited(**values: Any) -> Change:
    return text(json.dumps({**json.loads(tiny_manifest().to_json()), **values}))


def metadata_twice(model: ModelProto) -> None:
    model.metadata_props.append(model.metadata_props[0])


def opset(version: int) -> Change:
    def change(model: ModelProto) -> None:
        model.opset_import[0].version = version

    return change


def wide_input(model: ModelProto) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 1 << 40


def no_kernel(model: ModelProto) -> None:
    tensor(model, "kernel").ClearField("raw_data")


def training(model: ModelProto) -> None:
    model.training_info.add()


def one_step(model: ModelProto) -> None:
    added(index=np.array([0], np.int64))(model)
    inserted("logits", helper.make_node("Gather", ["before", "index"], ["logits"], axis=1))(model)


MEMORY = "it needs more memory than a trial allows"
SHAPE = np.array([1 << 18, 1 << 18], np.int64)
CORPUS: dict[str, tuple[Change, str]] = {
    # operators and structures
    "loop without end": (loop, "does not run: Loop"),
    "if": (added(node("If", "h0", then_branch=body(), else_branch=body())), "does not run: If"),
    "scan": (added(node("Scan", "h0", body=body(), num_scan_inputs=1)), "does not run: Scan"),
    "operator of its own": (added(node("Run", "h0", domain="evil")), "does not run: evil.Run"),
    "bomb ConstantOfShape": (added(node("ConstantOfShape", "n"), n=SHAPE), "does not run: ConstantOfShape"),
    "bomb Expand": (added(node("Expand", "head", "n"), n=SHAPE), "does not run: Expand"),
    "bomb Tile": (added(node("Tile", "head", "n"), n=SHAPE), "does not run: Tile"),
    "training": (training, "training information"),
    "10,001 operators": (many_nodes, "operators; expected at most 10000"),
    "graphs in graphs": (nested, "nested more than 8 deep"),
    "cycle": (cyclic, "cyclic|acyclic|cycle"),
    "two of a name": (twice, "logits"),
    "operators of the future": (opset(9999), "opset|version"),
    # data that is elsewhere
    "external initializer": (external_initializer, "'kernel' lies in another file"),
    "external attribute": (
        added(helper.make_node("Constant", [], ["c"], value=elsewhere())),
        "'elsewhere' lies in another file",
    ),
    "external in a subgraph": (external_in_subgraph, "does not run: If"),
    "external in a function": (external_in_function, r"functions \(Trick\)"),
    "external and sparse": (external_in_sparse, "subgraphs or sparse tensors"),
    "external without entries": (external_without_entries, "'kernel' lies in another file"),
    "external by entries alone": (external_entries_alone, "'kernel' lies in another file"),
    # sizes
    "256 GiB constant": (sized("kernel", 1 << 18, 1 << 18), "'kernel' has an absurd shape"),
    "sizes that overflow": (sized("kernel", 1 << 62, 1 << 62, 4), "'kernel' has an absurd shape"),
    "negative sizes": (sized("kernel", -6, -1, 24), "'kernel' has an absurd shape"),
    "no data": (no_kernel, "the file has 0"),
    "less data": (sized("kernel", 6, 1, 25), "needs 600 bytes, the file has 576"),
    "absurd input": (wide_input, "'samples' has an absurd shape"),
    "concat doubles": (doubled, "a Concat takes the same input twice"),
    "concat doubles a copy": (by_adding, MEMORY),
    "pad bomb": (added(node("Pad", "head", "p"), p=np.array([0, 0, 1 << 40, 0])), "at most 4096"),
    "conv bomb": (added(node("Conv", "wave", "kernel", pads=[1 << 40, 0])), "Conv has a padding"),
    "conv bomb of three axes": (wall, MEMORY),
    "terabytes by broadcasting": (product, MEMORY),
    "square of the steps": (square(0), MEMORY),
    "square of the streams": (square(1), MEMORY),
    "sizes from sound": (cut_by_sound, "a Slice takes its sizes from 'end', which depends on what the model hears"),
    "sizes from a state": (reshaped_by_state, "a Reshape takes its sizes from 'whole'"),
    # numbers and shapes that do not fit
    "NaN weights of a GRU": (weight("r", np.nan), "'r' holds NaN or infinite numbers"),
    "infinite weights of a Conv": (weight("kernel", np.inf), "'kernel' holds NaN or infinite numbers"),
    "float16": (half, "crashes whoever opens it, with SIG"),
    "hidden size below 0": (gru(hidden_size=-8), "cannot load the graph"),
    "hidden size of another": (gru(hidden_size=7), "cannot load the graph"),
    "direction of none": (gru(direction="sideways"), "cannot load the graph"),
    "weights of another shape": (sized("w", 1, 6, 24), "W must have shape"),
    "axis of none": (attribute("LayerNormalization", axis=99), "Unexpected axis value"),
    "state that grows": (growing, "does not give the states that its manifest promises"),
    "state that shrinks": (shrinking, "does not give the states that its manifest promises"),
    "answer of one step": (one_step, r"must be \[2, 2, 6\] .* the graph gives \[2, 1, 6\]"),
    "answer of few steps": (few_steps, r"must be \[1, 512, 6\] .* the graph gives \[1, 4, 6\]"),
    # metadata
    "metadata twice": (metadata_twice, "'streamcell.manifest' twice"),
    "manifest that is no JSON": (text("{,}"), "not JSON"),
    "manifest that is a list": (text("[]"), "must be a JSON object"),
    "manifest in the deep": (text("[" * 100_000), "not JSON"),
    "manifest deep in a field": (edited(training={"a": json.loads("[" * 40 + "]" * 40)}), "nested more than 32 deep"),
    "huge integer": (text('{"version": ' + "9" * 100_000 + "}"), "not JSON"),
    "huge rate": (
        edited(input={**json.loads(tiny_manifest().to_json())["input"], "sample_rate": 10**30}),
        "sample_rate",
    ),
    "manifest of 17 MB": (text("[" + "[]," * 6_000_000 + "[]]"), "absurdly much text"),
    "manifest of another graph": (edited(states=[]), "does not fit the graph"),
    "checksum of another graph": (edited(checksum="0" * 64), "its checksum differs"),
}
