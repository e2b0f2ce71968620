"""The ONNX reader against onnx itself, against damage, and against models that mean harm."""

import struct
from collections.abc import Callable
from contextlib import suppress

import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from helpers import LABELS, tiny_model
from streamcell.runtime import onnx_file
from streamcell.runtime.errors import ModelError
from streamcell.runtime.manifest import MANIFEST_KEY, Manifest
from streamcell.runtime.onnx_file import check_graph, read_onnx


def judge(data: bytes) -> None:
    check_graph(read_onnx(data))


def test_it_reads_what_onnx_wrote() -> None:
    data = tiny_model()
    file, model = read_onnx(data), onnx.load_from_string(data)
    assert [node.operator for node in file.graph.nodes] == [node.op_type for node in model.graph.node]
    assert [tensor.name for tensor in file.graph.initializers] == [tensor.name for tensor in model.graph.initializer]
    for tensor, other in zip(file.graph.initializers, model.graph.initializer, strict=True):
        array = numpy_helper.to_array(other)
        assert (tensor.dtype, tensor.shape, tensor.stored) == (array.dtype.name, array.shape, array.nbytes)
    assert [(value.name, value.shape) for value in file.graph.inputs] == [
        ("samples", ("B", "N")),
        ("tail", ("B", 8)),
        ("h0", (1, "B", 8)),
    ]
    assert file.graph.outputs[0].shape == ("B", "T", len(LABELS))
    assert Manifest.from_json(file.metadata[MANIFEST_KEY]).name == "tiny"
    check_graph(file)


def test_every_truncation_is_a_model_error() -> None:
    data = tiny_model()
    for size in sorted({*range(0, len(data), 17), *range(64), *range(len(data) - 64, len(data))}):
        try:
            file = read_onnx(data[:size])
        except ModelError:
            continue
        assert MANIFEST_KEY not in file.metadata, f"{size} of {len(data)} bytes passed for a whole file"


@pytest.mark.parametrize("seed", range(4))
def test_flipped_bytes_are_a_model_error_or_harmless(seed: int) -> None:
    data, random = bytearray(tiny_model()), np.random.default_rng(seed)
    accepted = 0
    for _ in range(2500):
        mutant = bytearray(data)
        for index in random.integers(len(data), size=random.integers(1, 5)):
            mutant[index] = random.integers(256)
        with suppress(ModelError):
            judge(bytes(mutant))
            accepted += 1
    assert 0 < accepted < 2500  # a changed weight is harmless, a changed length is not


def test_random_bytes_are_a_model_error() -> None:
    random = np.random.default_rng(0)
    for size in range(1, 400):
        with pytest.raises(ModelError, match="expected a whole ONNX file"):
            read_onnx(random.bytes(size))


@pytest.mark.parametrize("data", [b"", b"hello, I am a text\n" * 9, b"\x89PNG\r\n\x1a\n", b"RIFF$\0\0\0WAVEfmt "])
def test_other_files(data: bytes) -> None:
    with pytest.raises(ModelError, match=r"expected a(n| whole) ONNX file"):
        read_onnx(data)


def node(operator: str, domain: str = "") -> Callable[[ModelProto], None]:
    return lambda model: model.graph.node.append(helper.make_node(operator, ["h0"], ["more"], domain=domain))


def loop(model: ModelProto) -> None:
    body = helper.make_graph([helper.make_node("Scan", ["h0"], ["more"])], "body", [], [])
    model.graph.node.append(helper.make_node("If", ["h0"], ["more"], then_branch=body, else_branch=body))


def subgraph(model: ModelProto) -> None:
    model.graph.node[0].attribute.append(helper.make_attribute("body", helper.make_graph([], "body", [], [])))


def function(model: ModelProto) -> None:
    model.functions.append(helper.make_function("ours", "Trick", ["x"], ["x"], [], [helper.make_opsetid("", 17)]))


def training(model: ModelProto) -> None:
    model.training_info.add()


def external(model: ModelProto) -> None:
    model.graph.initializer[0].ClearField("raw_data")
    model.graph.initializer[0].data_location = TensorProto.EXTERNAL
    model.graph.initializer[0].external_data.add(key="location", value="weights.bin")


def external_constant(model: ModelProto) -> None:
    tensor = TensorProto(data_type=1, dims=[4], name="c", data_location=TensorProto.EXTERNAL)
    model.graph.node.append(helper.make_node("Constant", [], ["c"], value=tensor))


def sparse_constant(model: ModelProto) -> None:
    values = helper.make_tensor("v", TensorProto.FLOAT, [1], [1.0])
    indices = helper.make_tensor("i", TensorProto.INT64, [1], [0])
    sparse = helper.make_sparse_tensor(values, indices, [1 << 40])
    model.graph.node.append(helper.make_node("Constant", [], ["c"], sparse_value=sparse))


def sparse_initializer(model: ModelProto) -> None:
    model.graph.sparse_initializer.add()


def huge(model: ModelProto) -> None:
    model.graph.initializer[0].dims[:] = [1 << 20, 1 << 20]


def negative(model: ModelProto) -> None:
    model.graph.initializer[0].dims[:] = [-1, -1]


def hollow(model: ModelProto) -> None:
    model.graph.initializer[0].ClearField("raw_data")


def shrunk(model: ModelProto) -> None:
    model.graph.initializer[0].raw_data = b"1234"


def wide_input(model: ModelProto) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 1 << 40


def padded(model: ModelProto) -> None:
    model.graph.node[3].attribute.append(helper.make_attribute("pads", [0, 4097]))


def pad(*amounts: int, name: str = "amounts") -> Callable[[ModelProto], None]:
    def change(model: ModelProto) -> None:
        model.graph.initializer.append(numpy_helper.from_array(np.array(amounts, np.int64), "amounts"))
        model.graph.node.append(helper.make_node("Pad", ["h0", name], ["more"]))

    return change


def old_pad(*amounts: int) -> Callable[[ModelProto], None]:
    return lambda model: model.graph.node.append(helper.make_node("Pad", ["h0"], ["more"], pads=amounts))


def doubled(model: ModelProto) -> None:
    model.graph.node.append(helper.make_node("Concat", ["h0", "tail", "h0"], ["more"], axis=0))


def many(model: ModelProto) -> None:
    for _ in range(10_001):
        model.graph.node.add(op_type="Identity")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (node("Loop"), "does not run: Loop"),
        (node("ConstantOfShape"), "does not run: ConstantOfShape"),
        (node("Add", "evil.domain"), "does not run: evil.domain.Add"),
        (node("Gelu", "com.microsoft"), "does not run: com.microsoft.Gelu"),
        (loop, "does not run: If, Scan"),
        (subgraph, "subgraphs or sparse"),
        (function, r"functions \(Trick\)"),
        (training, "training information"),
        (external, "'kernel' lies in another file"),
        (external_constant, "'c' lies in another file"),
        (sparse_constant, "subgraphs or sparse"),
        (sparse_initializer, "subgraphs or sparse"),
        (huge, "'kernel' has an absurd shape"),
        (negative, "'kernel' has an absurd shape"),
        (hollow, "'kernel' of shape .* the file has 0"),
        (shrunk, "'kernel' of shape .* needs 576 bytes, the file has 4"),
        (wide_input, "'samples' has an absurd shape"),
        (padded, "Conv has a padding"),
        (
            pad(0, 0, 4097, 0, 0, 0),
            r"a Pad must have constant amounts of at most 4096, on at most 2 axes; got \[0, 0, 40",
        ),
        (pad(0, 0, 0, 0, 0, -4097), "a Pad must have constant amounts of at most 4096"),
        (pad(1, 1, 0, 0, 0, 1), "on at most 2 axes"),
        (pad(*[0] * 18), "got amounts that are no initializer"),
        (pad(0, 0, 0, 0, 0, 0, name="h0"), "got amounts that are no initializer"),
        (old_pad(0, 0, 0, 0, 0, 5000), "a Pad must have constant amounts of at most 4096"),
        (doubled, "a Concat takes the same input twice"),
        (many, "10012 operators; expected at most 10000"),
    ],
)
def test_models_that_mean_harm(change: Callable[[ModelProto], None], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        judge(tiny_model(change=change))


@pytest.mark.parametrize("change", [pad(0, 0, 64, 0, 0, 4096), pad(0, 9, 0, 0, 0, -9), old_pad(0, 0, 64, 0, 0, 4096)])
def test_a_pad_of_known_and_small_amounts_is_welcome(change: Callable[[ModelProto], None]) -> None:
    data = tiny_model(change=change)
    judge(data)
    assert "Pad" in {node.operator for node in read_onnx(data).graph.nodes}


def test_small_integer_constants_are_read_and_no_others() -> None:
    def change(model: ModelProto) -> None:
        model.graph.initializer.append(helper.make_tensor("plain", TensorProto.INT64, [2], [-1, 1 << 40]))
        model.graph.initializer.append(numpy_helper.from_array(np.arange(17), "many"))

    numbers = {tensor.name: tensor.numbers for tensor in read_onnx(tiny_model(change=change)).graph.initializers}
    assert (numbers["plain"], numbers["many"], numbers["from"], numbers["bias"]) == ((-1, 1 << 40), (), (-8,), ())


def text_tensor(model: ModelProto) -> None:
    model.graph.initializer.append(TensorProto(name="words", data_type=TensorProto.STRING, dims=[1]))


def many_axes(model: ModelProto) -> None:
    model.graph.initializer[0].dims[:] = [1] * 9


def sequence(model: ModelProto) -> None:
    model.graph.input.append(helper.make_tensor_sequence_value_info("list", TensorProto.FLOAT, ["B"]))


def twice(model: ModelProto) -> None:
    model.metadata_props.add(key=MANIFEST_KEY, value="another")


def no_opset(model: ModelProto) -> None:
    model.ClearField("opset_import")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (text_tensor, "'words' holds numbers of type 8"),
        (many_axes, "'kernel' has 9 axes"),
        (sequence, "'list' is no tensor"),
        (twice, "'streamcell.manifest' twice"),
        (no_opset, "no graph, format version or operator set"),
    ],
)
def test_files_that_cannot_be_read(change: Callable[[ModelProto], None], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        read_onnx(tiny_model(change=change))


def test_a_second_graph_is_refused() -> None:
    data = tiny_model()
    graph = ModelProto.FromString(data).graph.SerializeToString()
    size = struct.pack("<BB", len(graph) & 0x7F | 0x80, len(graph) >> 7)
    with pytest.raises(ModelError, match="field 7 comes 2 times"):
        read_onnx(data + b"\x3a" + size + graph)


def test_graphs_nested_without_end_are_refused() -> None:
    def nest(model: ModelProto) -> None:
        inner = helper.make_graph([], "end", [], [])
        for _ in range(20):
            inner = helper.make_graph([helper.make_node("If", [], [], then_branch=inner)], "body", [], [])
        model.graph.node.append(inner.node[0])

    with pytest.raises(ModelError, match="nested more than 8 deep"):
        read_onnx(tiny_model(change=nest))


def test_numbers_that_are_not_raw_and_the_quantised_operators_are_welcome() -> None:
    def change(model: ModelProto) -> None:
        model.graph.initializer.append(helper.make_tensor("plain", TensorProto.FLOAT, [3], [1.0, 2.0, 3.0]))
        model.graph.initializer.append(helper.make_tensor("signed", TensorProto.INT8, [2], [-1, 2]))
        model.graph.initializer.append(helper.make_tensor("scalar", TensorProto.INT64, [], [5]))
        for operator, domain in (("MatMulInteger", ""), ("DynamicQuantizeLSTM", "com.microsoft"), ("Relu", "ai.onnx")):
            node(operator, domain)(model)

    data = tiny_model(change=change)
    judge(data)
    operators = [node.operator for node in read_onnx(data).graph.nodes]
    assert operators[-3:] == ["MatMulInteger", "DynamicQuantizeLSTM", "Relu"]


def test_a_file_that_is_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_file, "MAX_FILE", 1000)
    with pytest.raises(ModelError, match="of 1 to 1000 bytes, got"):
        read_onnx(tiny_model())
