"""What a trial runs: ``python -m streamcell.runtime.trial_child MEMORY SECONDS``.

See `streamcell.runtime.trial`; the model file comes on stdin.
"""

import json
import math
import sys
import time
from contextlib import suppress

import numpy as np

from streamcell.runtime.errors import ModelError
from streamcell.runtime.model import Model
from streamcell.runtime.trial import ADVICE

__all__ = ["limit", "main"]

_LONGEST = 500  # letters of what went wrong
_TOO_MUCH = f"it needs more memory than a trial allows; {ADVICE}"
_NO_MEMORY = ("bad_alloc", "Failed to allocate memory")  # in the words of ONNX Runtime
_USUAL, _MOST = 64, 512  # streams or steps that share a call, as elsewhere in this package; where there is time
_TIME = 2.0  # seconds for such a call
_LARGEST = 1 << 22  # numbers that many streams or steps may carry together
_STEPS = 4  # one after the other


def limit(memory: int, seconds: int, file: int = 0) -> None:
    """Let this process have no more than so much, where the system can: bytes of address space, processor time.

    Args:
        memory: Bytes of address space.
        seconds: Of processor time.
        file: Bytes of the largest file that may be written.
    """
    with suppress(ImportError):
        import resource

        limits = {"RLIMIT_AS": memory, "RLIMIT_CPU": seconds, "RLIMIT_CORE": 0, "RLIMIT_FSIZE": file}
        for name, most in limits.items():
            last = most + (name == "RLIMIT_CPU")  # SIGXCPU says why, SIGKILL would not
            with suppress(ValueError, OSError):
                resource.setrlimit(getattr(resource, name), (most, last))


def main() -> int:
    """Open what comes on stdin and take some steps; print what is wrong as JSON."""
    data = sys.stdin.buffer.read()
    limit(int(sys.argv[1]), int(sys.argv[2]))
    found: dict[str, str] = {}
    try:
        _use(Model.open(data))
    except ModelError as error:
        text = str(error).removeprefix("model: ")
        found = {"error": _TOO_MUCH if any(words in text for words in _NO_MEMORY) else text[:_LONGEST]}
    except MemoryError:
        found = {"error": _TOO_MUCH}
    print(json.dumps(found), flush=True)
    return 0


def _use(model: Model) -> None:
    """Take some steps one after the other, then calls as large as files and many streams make them."""
    manifest = model.manifest
    least = manifest.steps_per_call or 1
    begin = time.process_time()
    _call(model, 1, least, _STEPS)
    most = min(_MOST, max(_USUAL, int(_TIME * _STEPS / (time.process_time() - begin + 1e-6))))
    heard = math.prod(manifest.input.sizes(1, least))
    carried = sum(math.prod(state.sizes(1)) for state in manifest.states)
    if manifest.steps_per_call is None:
        _call(model, 1, max(1, min(most, _LARGEST // heard)))
    if manifest.batch_invariant:
        _call(model, max(1, min(most, _LARGEST // (heard + carried))), least)


def _call(model: Model, rows: int, steps: int, times: int = 1) -> None:
    """Let so many streams hear noise."""
    spec, random = model.manifest.input, np.random.default_rng(0)
    state, sizes = model.initial_state(rows), spec.sizes(rows, steps)
    for _ in range(times):
        noise = random.integers(len(spec.symbols), size=sizes) if spec.symbols else random.normal(0, 0.1, sizes)
        _, state = model.step(noise.astype(spec.dtype), state)


if __name__ == "__main__":
    sys.exit(main())
