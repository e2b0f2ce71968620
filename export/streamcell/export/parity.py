"""torch against ONNX Runtime, outputs and final states, whole and in blocks: what is not right is not written."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from streamcell.runtime.errors import ModelError
from streamcell.runtime.frames import log_softmax
from streamcell.runtime.manifest import Parity
from streamcell.runtime.model import Model
from streamcell.runtime.verify import Reference, VerifyReport, verify
from streamcell.train.models import Network

__all__ = ["BOUND", "ParityError", "as_reference", "measure", "prove", "synthetic"]

BOUND = 1e-4
"""No output (log-probabilities of logits) and no number of a final state may differ by more, in proportion above 1."""

_STEPS = (1, 3, 10, 1000)  # of random input
_STREAMS = 3


class ParityError(ModelError):
    """The exported graph does not compute what the network computes; the message names tensor and step."""


def measure(
    network: Network, model: Model, recordings: Mapping[str, NDArray[np.float32]], seed: int = 0
) -> dict[str, VerifyReport]:
    """Compare every way of running ``model`` with ``network`` on the whole input, by `verify`.

    Args:
        network: In evaluation mode.
        model: What was made of it.
        recordings: By name, as `verify` takes them, at the model's rate, at least one step long; heard besides random
            input of 1, 3, 10 and 1000 steps.
        seed: Of the random input and states.

    Returns:
        One report an input.
    """
    random = np.random.default_rng(seed)
    inputs = {f"random, steps: {steps}": network.example(_STREAMS, steps, random) for steps in _STEPS}
    reference = as_reference(network, logs=model.manifest.outputs[0].kind == "logits")
    return {
        name: verify(model, samples, reference=reference, seed=seed)
        for name, samples in {**inputs, **recordings}.items()
    }


def prove(reports: Mapping[str, VerifyReport]) -> Parity:
    """Return the manifest's proof.

    Raises:
        ParityError: If a difference is over `BOUND`; the message names input, case, tensor and step.

    Examples:
        >>> from streamcell.runtime.verify import Case
        >>> prove({"noise": VerifyReport((Case(1, "initial", "all at once", 1e-6, 2e-6, "final state 'h0'"),))})
        Parity(bound=0.0001, outputs=1e-06, states=2e-06, cases=1)
    """
    for name, report in reports.items():
        if not report.within(BOUND):
            largest = max(report.outputs, report.states)
            raise ParityError(
                f"the exported graph is not the network: {name}, {report.worst} differs by {largest:.2g}, allowed is "
                f"{BOUND:g}. Leave out a recording of pure tones, whose empty bands are float32's rounding; else "
                "please report this flaw of the exporter"
            )
    outputs, states = (max(getattr(report, part) for report in reports.values()) for part in ("outputs", "states"))
    return Parity(BOUND, outputs, states, sum(report.cases for report in reports.values()))


def as_reference(network: Network, *, logs: bool = True) -> Reference:
    """Return ``network`` as `verify` takes it: arrays in; out come log-probabilities, or values, and the state."""

    def step(x: NDArray[Any], state: Mapping[str, NDArray[Any]]) -> tuple[NDArray[np.float32], dict[str, Any]]:
        with torch.inference_mode():
            logits, after = network(torch.tensor(x), {name: torch.tensor(value) for name, value in state.items()})
        answers = log_softmax(logits.numpy()) if logs else logits.numpy()
        return answers, {name: value.numpy() for name, value in after.items()}

    return step


def synthetic(seconds: float, sample_rate: int, seed: int = 0) -> NDArray[np.float32]:
    """Return a sound like a voice, `[seconds * sample_rate]`: gliding harmonics in bursts, soft noise, and silence.

    Examples:
        >>> sound = synthetic(2.0, 16000)
        >>> sound.shape, bool(abs(sound).max() < 1), float(sound[15000])
        ((32000,), True, 0.0)
    """
    random = np.random.default_rng(seed)
    time = np.arange(round(seconds * sample_rate)) / sample_rate
    phase = 2 * np.pi * (120 * time + 8 * np.sin(2 * np.pi * 0.7 * time))  # 85 to 155 Hz
    voice = sum(np.sin(k * phase) / k for k in range(1, 20)) * np.sin(2 * np.pi * 2.5 * time) ** 2
    sound = 0.2 * voice + 0.01 * random.standard_normal(len(time))
    return np.where(time % 1 < 0.8, sound, 0).astype(np.float32)
