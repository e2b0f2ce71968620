"""The models that come with the package."""

from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

__all__ = ["DEFAULT_LIVE_MODEL", "DEFAULT_MODEL", "bundled_models", "find_bundled", "read_model"]

DEFAULT_MODEL = "phonemes-en"
"""The name of the model that is opened when none is named."""

DEFAULT_LIVE_MODEL = "phonemes-en-live"
"""The name of the model that live speech is heard with when none is named: the same network, quicker at each step."""


def bundled_models() -> list[str]:
    """Return the names of the models inside the package, sorted."""
    return sorted(item.name.removesuffix(".onnx") for item in files(__name__).iterdir() if item.name.endswith(".onnx"))


def find_bundled(name: str) -> Traversable | None:
    """Return the file of a bundled model, or None where there is no such model."""
    return files(__name__) / f"{name}.onnx" if name in bundled_models() else None


def read_model(name: str | None) -> bytes:
    """Return the bytes of a bundled model, or of the file of that path; None is the default model."""
    name = DEFAULT_MODEL if name is None else name
    return (find_bundled(name) or Path(name)).read_bytes()
