"""What a graph tells of the lines that a card lacks."""

import json
from collections.abc import Sequence

from streamcell.export.adopt.source import Source, describe
from streamcell.export.adopt.states import stem
from streamcell.runtime.onnx_parts import Value

__all__ = ["example"]


def example(source: Source, key: str) -> str:
    """Return what to write for a key of the card, e.g. ``"input.name"``, and what the graph has."""
    heard, given = _heard(source), _given(source)
    found = {
        "name": source.path.stem,
        "task": "frames",
        "input.name": heard.name,
        "input.kind": "audio" if len(heard.shape or ()) < 3 else "features",
        "input.sample_rate": 16000,
        "input.samples_per_step": _last(heard, 512),
        "input.channels": _last(heard, 40),
        "output.name": given.name,
        "output.kind": "probabilities" if _last(given, 0) == 1 else "logits",
        "output.labels": ["speech"] if _last(given, 0) == 1 else [f"label{i}" for i in range(min(_last(given, 3), 3))],
        "input": heard.name,
        "output": given.name,
    }
    line = f"{key.rsplit('.', 1)[-1]} = {json.dumps(found.get(key, found.get(key.rsplit('.', 1)[-1], '')))}"
    graph = f"the graph takes {_list(source.inputs)} and gives {_list(source.outputs)}"
    return f"e.g. {line} ({graph})"


def _heard(source: Source) -> Value:
    """Return the input that is most likely no state: float, not a single number, without a partner in name."""
    partners = {stem(value.name) for value in source.outputs}
    return max(
        source.inputs,
        key=lambda value: (value.dtype == "float32", bool(value.shape), stem(value.name) not in partners),
        default=Value("input", "float32", None),
    )


def _given(source: Source) -> Value:
    """Return the output that is most likely no state."""
    partners = {stem(value.name) for value in source.inputs if value is not _heard(source)}
    return max(
        source.outputs,
        key=lambda value: (value.dtype == "float32", stem(value.name) not in partners),
        default=Value("output", "float32", None),
    )


def _last(value: Value, default: int) -> int:
    size = value.shape[-1] if value.shape else None
    return size if isinstance(size, int) else default


def _list(values: Sequence[Value]) -> str:
    return "; ".join(map(describe, values)) or "nothing"
