"""What a trial runs: ``python -m streamcell.runtime.trial_child MEMORY SECONDS``.

See `streamcell.runtime.trial`; the model file comes on stdin.
"""

import json
import sys
from contextlib import suppress

import numpy as np

from streamcell.runtime.errors import ModelError
from streamcell.runtime.model import Model

__all__ = ["main"]


def _limit(memory: int, seconds: int) -> None:
    """Let this process have no more than so much; write no file, leave no core."""
    with suppress(ImportError):
        import resource

        limits = {"RLIMIT_AS": memory, "RLIMIT_CPU": seconds, "RLIMIT_CORE": 0, "RLIMIT_FSIZE": 0}
        for name, most in limits.items():
            with suppress(ValueError, OSError):
                resource.setrlimit(getattr(resource, name), (most, most))


def main() -> int:
    """Open what comes on stdin and take some steps; print what is wrong as JSON."""
    data = sys.stdin.buffer.read()
    _limit(int(sys.argv[1]), int(sys.argv[2]))
    found: dict[str, str] = {}
    try:
        model = Model.open(data)
        spec, random = model.manifest.input, np.random.default_rng(0)
        for steps in (3, 1) if model.manifest.steps_per_call is None else (model.manifest.steps_per_call,):
            sizes = spec.sizes(1, steps)
            noise = random.integers(len(spec.symbols), size=sizes) if spec.symbols else random.normal(0, 0.1, sizes)
            model.step(noise.astype(spec.dtype), model.initial_state())
    except ModelError as error:
        found = {"error": str(error).removeprefix("model: ")}
    except MemoryError:
        found = {"error": "it needs more memory than a trial allows; do not use it"}
    print(json.dumps(found), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
