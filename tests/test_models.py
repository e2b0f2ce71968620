"""The models inside the package."""

from pathlib import Path

import pytest

from streamcell.runtime import models
from streamcell.runtime.models import bundled_models, find_bundled


def test_a_model_is_found_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "files", lambda _: tmp_path)
    for name in ("b.onnx", "a.onnx", "card.md"):
        (tmp_path / name).touch()
    assert bundled_models() == ["a", "b"]
    assert find_bundled("a") == tmp_path / "a.onnx"
    for name in ("c", "a.onnx", "../a", "card", ""):
        assert find_bundled(name) is None
