"""torch against ONNX Runtime, outputs and final states, whole and in blocks: what is not right is not written."""

import copy
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from streamcell.runtime.errors import ModelError
from streamcell.runtime.frames import log_softmax
from streamcell.runtime.manifest import Parity
from streamcell.runtime.model import Model
from streamcell.runtime.verify import Reference, VerifyReport, difference, verify
from streamcell.train.models import Network

__all__ = ["BOUND", "Exact", "ParityError", "as_reference", "measure", "prove", "synthetic"]

_Step: TypeAlias = Callable[
    [NDArray[Any], Mapping[str, NDArray[Any]]], tuple[NDArray[np.floating[Any]], dict[str, NDArray[Any]]]
]

BOUND = 1e-4
"""No output (log-probabilities of logits) and no number of a final state may differ by more, in proportion above 1."""

_ROUNDINGS = 4  # another order of sums and other approximations of tanh may cost so many times what float32 does
_STEPS = (1, 3, 10, 1000)  # of random input
_STREAMS = 3


class ParityError(ModelError):
    """The exported graph does not compute what the network computes; the message names tensor and step."""


class Exact:
    """A network in float64, as `verify` takes it, that also says what float32 costs.

    A network may be so sensitive to some input that float32 alone moves its answers by more than `BOUND`.

    Args:
        network: In evaluation mode.
        logs: Whether log-probabilities come out, or values.

    Attributes:
        rounding: The largest difference so far between the network in float32 and in float64.
    """

    def __init__(self, network: Network, *, logs: bool = True) -> None:
        self._single = as_reference(network, logs=logs)
        self._double = as_reference(copy.deepcopy(network).double(), logs=logs)
        self.rounding = 0.0

    def __call__(
        self, x: NDArray[Any], state: Mapping[str, NDArray[Any]]
    ) -> tuple[NDArray[np.floating[Any]], dict[str, NDArray[Any]]]:
        """Return what float64 gives."""
        (single, after), (double, exact) = self._single(x, state), self._double(x, state)
        each = [difference(double, single), *(difference(exact[name], after[name]) for name in exact)]
        self.rounding = max(self.rounding, *(float(one.max(initial=0)) for one in each))
        return double, exact

    @property
    def bound(self) -> float:
        """Return what a right graph may differ by: `BOUND`, or 4 times what float32 costs where that is more."""
        return max(BOUND, _ROUNDINGS * self.rounding)


def measure(
    network: Network,
    model: Model,
    recordings: Mapping[str, NDArray[np.float32]],
    seed: int = 0,
    reference: Reference | None = None,
) -> dict[str, VerifyReport]:
    """Compare every way of running ``model`` with ``network`` on the whole input, by `verify`.

    Args:
        network: In evaluation mode.
        model: What was made of it.
        recordings: By name, as `verify` takes them, at the model's rate, at least one step long; heard besides random
            input of 1, 3, 10 and 1000 steps.
        seed: Of the random input and states.
        reference: The network as `verify` takes it; None for float32.

    Returns:
        One report an input.
    """
    random = np.random.default_rng(seed)
    inputs = {f"random, steps: {steps}": network.example(_STREAMS, steps, random) for steps in _STEPS}
    reference = reference or as_reference(network, logs=model.manifest.outputs[0].kind == "logits")
    return {
        name: verify(model, samples, reference=reference, seed=seed)
        for name, samples in {**inputs, **recordings}.items()
    }


def prove(reports: Mapping[str, VerifyReport], bound: float = BOUND) -> Parity:
    """Return the manifest's proof.

    Raises:
        ParityError: If a difference is over ``bound``; the message names input, case, tensor and step.

    Examples:
        >>> from streamcell.runtime.verify import Case
        >>> prove({"noise": VerifyReport((Case(1, "initial", "all at once", 1e-6, 2e-6, "final state 'h0'"),))})
        Parity(bound=0.0001, outputs=1e-06, states=2e-06, cases=1)
    """
    for name, report in reports.items():
        if not report.within(bound):
            largest = max(report.outputs, report.states)
            raise ParityError(
                f"the exported graph is not the network: {name}, {report.worst} differs by {largest:.2g}, allowed is "
                f"{bound:.2g}. Leave out a recording of pure tones, whose empty bands are float32's rounding; else "
                "please report this flaw of the exporter"
            )
    outputs, states = (max(getattr(report, part) for report in reports.values()) for part in ("outputs", "states"))
    return Parity(bound, outputs, states, sum(report.cases for report in reports.values()))


def as_reference(network: Network, *, logs: bool = True) -> _Step:
    """Return ``network`` as `verify` takes it: arrays in; out come log-probabilities, or values, and the state."""
    kind = next(network.parameters()).dtype

    def take(value: NDArray[Any]) -> torch.Tensor:
        tensor = torch.tensor(value)
        return tensor.to(kind) if tensor.is_floating_point() else tensor

    def step(
        x: NDArray[Any], state: Mapping[str, NDArray[Any]]
    ) -> tuple[NDArray[np.floating[Any]], dict[str, NDArray[Any]]]:
        with torch.inference_mode():
            logits, after = network(take(x), {name: take(value) for name, value in state.items()})
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
