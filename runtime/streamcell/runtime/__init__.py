"""Stream audio and sensor samples through a recurrent network, one step at a time, with the state as a value.

The names that need numpy or onnxruntime are loaded when they are first used, so that errors, events and manifests
cost no such import.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from streamcell.runtime.errors import (
    InputError,
    MissingExtraError,
    ModelError,
    OverloadError,
    SourceError,
    StreamcellError,
)
from streamcell.runtime.events import Event, Gap, Reset, Segment, Utterance
from streamcell.runtime.manifest import GapPolicy, InputSpec, Link, Manifest, OutputSpec, Parity, ResetPolicy, StateSpec

if TYPE_CHECKING:
    from streamcell.runtime.frames import Frames
    from streamcell.runtime.linked import Linked
    from streamcell.runtime.model import Model
    from streamcell.runtime.models import bundled_models
    from streamcell.runtime.pool import StreamPool
    from streamcell.runtime.posteriors import Posteriors
    from streamcell.runtime.state import State
    from streamcell.runtime.stepper import Stepper
    from streamcell.runtime.stream import Stream
    from streamcell.runtime.tokens import TokenStream

__all__ = [
    "Event",
    "Frames",
    "Gap",
    "GapPolicy",
    "InputError",
    "InputSpec",
    "Link",
    "Linked",
    "Manifest",
    "MissingExtraError",
    "Model",
    "ModelError",
    "OutputSpec",
    "OverloadError",
    "Parity",
    "Posteriors",
    "Reset",
    "ResetPolicy",
    "Segment",
    "SourceError",
    "State",
    "StateSpec",
    "Stepper",
    "Stream",
    "StreamPool",
    "StreamcellError",
    "TokenStream",
    "Utterance",
    "bundled_models",
]

_MODULES = {
    "Frames": "frames",
    "Linked": "linked",
    "Model": "model",
    "Posteriors": "posteriors",
    "State": "state",
    "Stepper": "stepper",
    "Stream": "stream",
    "StreamPool": "pool",
    "TokenStream": "tokens",
    "bundled_models": "models",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
