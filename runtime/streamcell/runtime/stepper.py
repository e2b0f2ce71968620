"""Step streams in place: buffers that are bound to the session once, so that a step copies and allocates nothing."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from streamcell.runtime.errors import InputError, ModelError
from streamcell.runtime.model import ORT_ERRORS, Model
from streamcell.runtime.state import State

__all__ = ["Stepper"]


@dataclass(frozen=True, slots=True)
class _Call:
    """Buffers of calls of one number of steps, and their bindings, made when first needed."""

    x: NDArray[np.float32]
    outputs: dict[str, NDArray[np.float32]]
    row: NDArray[np.float32]
    """The first stream's samples."""
    values: NDArray[np.float32]
    """The first stream's first output."""
    bindings: dict[int, ort.IOBinding]
    """By the side of the states that they read; they write the other side's."""


class Stepper:
    """Run a model for B streams whose states stay in buffers of its own.

    What `Model.step` does with values, faster: nothing is allocated, nothing copied, and nothing checked. Two sets of
    state buffers take turns, so that a step that fails leaves the state as it was. It belongs to one thread at a time.

    Args:
        model: The model; it may be shared.
        batch: B; 1 for a model that is not batch-invariant.
        warm: Whether to run one call now, since the first is slow: not worth it for who takes long ones.

    Raises:
        InputError: If streams must not share a call of this model.

    Examples:
        >>> stepper = Stepper(Model.open())  # doctest: +SKIP
        >>> for samples in blocks:  # doctest: +SKIP
        ...     stepper.input()[0] = samples
        ...     logits = stepper.run()["logits"]
    """

    def __init__(self, model: Model, batch: int = 1, *, warm: bool = True) -> None:
        if batch > 1 and not model.manifest.batch_invariant:
            raise InputError(f"streams of {model.manifest.name} must not share a call; expected batch 1, got {batch}")
        self._model, self._session = model, model.session
        self._specs = model.manifest.states
        initial = model.initial_state(batch)
        self._states = tuple({name: array.copy() for name, array in initial.items()} for _ in range(2))
        self._rows_first = tuple(
            {spec.input: np.moveaxis(states[spec.input], spec.batch_axis, 0) for spec in self._specs}
            for states in self._states
        )
        self._wrapped = tuple({name: _wrapped(array) for name, array in states.items()} for states in self._states)
        self._batch, self._initial, self._side = batch, initial, 0
        self._samples, self._first = model.manifest.input.samples_per_step, model.manifest.outputs[0].name
        self._calls: dict[int, _Call] = {}
        self._once: _Call | None = None
        if warm:
            self._once = self._bind(model.manifest.steps_per_call or 1, warm=True)

    @property
    def batch(self) -> int:
        """Return B, the number of streams."""
        return self._batch

    @property
    def buffers(self) -> dict[str, NDArray[Any]]:
        """Return the state by the names of the model's inputs: to read, or to write, until the next `run`."""
        return self._states[self._side]

    @property
    def rows_first(self) -> dict[str, NDArray[Any]]:
        """Return `buffers` with the streams as the first axis."""
        return self._rows_first[self._side]

    @property
    def state(self) -> State:
        """Return a copy of the state.

        Raises:
            InputError: If it is not finite.
        """
        return State(self._specs, self.buffers, self._batch)

    def load(self, state: State) -> None:
        """Go on from ``state``.

        Raises:
            InputError: If it is the state of another model or of another number of streams.
        """
        if state.specs != self._specs or state.batch != self._batch:
            raise InputError(f"expected the state of {self._batch} streams of this model, got {state!r}")
        for name, buffer in self.buffers.items():
            np.copyto(buffer, state[name])

    def reset(self) -> None:
        """Go back to the beginning."""
        self.load(self._initial)

    def input(self, steps: int = 1) -> NDArray[np.float32]:
        """Return the buffer that a `run` of ``steps`` steps reads, shaped as `Model.step` takes it."""
        return (self._calls.get(steps) or self._bind(steps, warm=True)).x

    def run(self, steps: int = 1) -> dict[str, NDArray[np.float32]]:
        """Take ``steps`` steps; return the outputs by name, each `[B, steps, labels]`, until the next run.

        Raises:
            ModelError: If the model fails; the state is as before.
        """
        call = self._calls.get(steps) or self._bind(steps)
        self._step(call)
        return call.outputs

    def advance(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """Run all steps of `x [T * samples_per_step]` or `[T, channels]` for the only stream.

        Returns:
            The first output `[T, labels]`, until the next run.
        """
        steps = len(x) // self._samples
        call = self._calls.get(steps) or self._bind(steps)
        call.row[...] = x
        self._step(call)
        return call.values

    def advance_once(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """Do as `advance` with exactly one call's worth: one step, or as many as each call must hold."""
        call = self._once
        if call is None:
            call = self._once = self._bind(self._model.manifest.steps_per_call or 1)
        call.row[...] = x
        self._step(call)
        return call.values

    def _bind(self, steps: int, *, warm: bool = False) -> _Call:
        """Make the buffers for calls of ``steps`` steps; ``warm``: and run once, as the first time is slow."""
        manifest = self._model.manifest
        if steps < 1 or manifest.steps_per_call not in (None, steps):
            raise InputError(f"this model takes {manifest.steps_per_call or 'one or more'} steps a call, got {steps}")
        x = np.zeros(manifest.input.sizes(self._batch, steps), manifest.input.dtype)
        outputs = {
            output.name: np.zeros((self._batch, steps, len(output.labels)), np.float32) for output in manifest.outputs
        }
        call = _Call(x, outputs, x[0], outputs[self._first][0], {})
        if warm:
            self._answer(call)  # the current state is only read
        self._calls[steps] = call
        return call

    def _step(self, call: _Call) -> None:
        """Run the model, and go on from where it came to."""
        self._answer(call)
        self._side ^= 1

    def _answer(self, call: _Call) -> None:
        """Run the model from the current states into the others."""
        binding = call.bindings.get(self._side) or self._binding(call)
        try:
            self._session.run_with_iobinding(binding)
        except ORT_ERRORS as error:
            raise ModelError(f"the model failed on {len(call.values)} steps: {error}") from error

    def _binding(self, call: _Call) -> ort.IOBinding:
        """Make the binding that reads the current states."""
        binding = self._session.io_binding()
        binding.bind_ortvalue_input(self._model.manifest.input.name, _wrapped(call.x))
        reads, writes = self._wrapped[self._side], self._wrapped[1 - self._side]
        for spec in self._specs:
            binding.bind_ortvalue_input(spec.input, reads[spec.input])
            binding.bind_ortvalue_output(spec.output, writes[spec.input])
        for name, array in call.outputs.items():
            binding.bind_ortvalue_output(name, _wrapped(array))
        call.bindings[self._side] = binding
        return binding


def _wrapped(array: NDArray[Any]) -> ort.OrtValue:
    """Return a view of ``array`` for ONNX Runtime; on the CPU it shares the memory."""
    return ort.OrtValue.ortvalue_from_numpy(array)
