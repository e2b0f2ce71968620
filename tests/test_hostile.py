"""Files that mean harm: each is refused with a word about why, and whoever opened it goes on as if nothing were."""

import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import ModelProto, helper

from helpers import tiny_model
from hostile import CORPUS, added, external, inserted, labour, tensor
from streamcell.runtime import Model
from streamcell.runtime.errors import ModelError
from streamcell.runtime.trial import try_out


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def hurt(*, children: frozenset[str]) -> list[str]:
    """Return what is left of a file that meant harm: processes beside those that were there before."""
    tasks = Path("/proc/self/task")
    now = " ".join(path.read_text() for path in tasks.glob("*/children")) if tasks.exists() else ""
    return sorted(set(now.split()) - children)


def peak() -> int:
    """Return the largest memory that this process has had, in bytes."""
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


@pytest.mark.parametrize("name", CORPUS)
def test_a_file_that_means_harm_is_refused_and_hurts_nobody(name: str, tmp_path: Path) -> None:
    change, message = CORPUS[name]
    path = tmp_path / "evil.onnx"
    path.write_bytes(tiny_model(change=change))
    before, children = peak(), frozenset(hurt(children=frozenset()))
    with pytest.raises(ModelError, match=message) as caught:
        Model.open(path, trust=False)
    assert str(caught.value).startswith(f"{path}: ")
    assert len(str(caught.value)) < 1000
    assert not hurt(children=children)
    assert peak() - before < 200 << 20
    model = Model.open(tiny_model())
    outputs, _ = model.step(np.zeros((1, 16), np.float32), model.initial_state())
    assert np.isfinite(outputs["logits"]).all()


def test_there_are_enough_of_them() -> None:
    assert len(CORPUS) >= 50


def test_a_hard_link_is_another_file_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def change(model: ModelProto) -> None:
        external(tensor(model, "kernel"), "weights.bin")

    secret = tmp_path / "secret"
    secret.write_bytes(bytes(576))
    (tmp_path / "weights.bin").hardlink_to(secret)
    (tmp_path / "evil.onnx").write_bytes(tiny_model(change=change))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelError, match="'kernel' lies in another file"):
        Model.open("evil.onnx", trust=False)


def test_work_without_end_is_ended() -> None:
    data = tiny_model(change=labour)
    children = frozenset(hurt(children=frozenset()))
    with pytest.raises(ModelError, match="could not be opened and run within 2 s in a trial"):
        try_out(data, seconds=2)
    assert not hurt(children=children)


def test_a_file_of_very_many_parts_is_refused_soon() -> None:
    data = tiny_model() + b"\x22\x00" * 400_000
    before = peak()
    with pytest.raises(ModelError, match="absurdly many parts"):
        Model.open(data, trust=False)
    assert peak() - before < 200 << 20


@pytest.mark.parametrize("content", [b"", b"\0" * 4096, b"PK\x03\x04", b"GIF89a" * 100])
def test_files_of_another_kind(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "evil.onnx"
    path.write_bytes(content)
    with pytest.raises(ModelError, match="expected a"):
        Model.open(path, trust=False)


def _answer(data: bytes, *, trust: bool = True) -> NDArray[np.float32]:
    """Return what a file of `tiny_model` says of some noise."""
    model = Model.open(data, trust=trust)
    noise = np.random.default_rng(0).normal(0, 0.1, (1, 48)).astype(np.float32)
    return model.step(noise, model.initial_state())[0]["logits"]


def test_sizes_from_shapes_and_constants_are_welcome() -> None:
    """As many numbers as there are streams, found by Shape from the middle of the graph: no value decides about it."""

    def change(model: ModelProto) -> None:
        nodes = [
            helper.make_node("Shape", ["before"], ["shape"]),
            helper.make_node("Reshape", ["before", "shape"], ["logits"]),
        ]
        inserted("logits", *nodes)(model)

    assert (_answer(tiny_model(change=change), trust=False) == _answer(tiny_model())).all()


def test_one_infinite_number_is_a_bound_and_may_be_there() -> None:
    def change(model: ModelProto) -> None:
        inserted("logits", helper.make_node("Clip", ["before", "", "most"], ["logits"]))(model)
        added(most=np.array(np.inf, np.float32))(model)

    assert (_answer(tiny_model(change=change), trust=False) == _answer(tiny_model())).all()
