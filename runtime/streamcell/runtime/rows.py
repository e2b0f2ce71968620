"""The states of many streams side by side, run together or one by one."""

from threading import local

import numpy as np
from numpy.typing import NDArray

from streamcell.runtime.model import Model
from streamcell.runtime.state import State
from streamcell.runtime.stepper import Stepper

__all__ = ["MOST_ROWS", "Row", "Rows"]

_BATCHES = (1, 2, 4, 8, 12, 16, 24, 32, 48, 64, 96, 128)  # few shapes; what is missing is filled up

MOST_ROWS = _BATCHES[-1]
"""The largest batch of `Rows.run`."""


class Rows:
    """Keep the states of ``capacity`` streams, one row each, and step any of them in one call.

    Different rows may be used by different threads at once; each thread has bound buffers of its own.

    Args:
        model: The model.
        capacity: How many rows.

    Examples:
        >>> rows = Rows(Model.open(), capacity=100)  # doctest: +SKIP
        >>> logits = rows.run([3, 70], 1, np.stack([samples_of_3, samples_of_70]))  # doctest: +SKIP
    """

    def __init__(self, model: Model, capacity: int) -> None:
        self._model, self._specs = model, model.manifest.states
        self._arrays = {name: array.copy() for name, array in State.initial(self._specs, capacity).items()}
        self._rows_first = {
            spec.input: np.moveaxis(self._arrays[spec.input], spec.batch_axis, 0) for spec in self._specs
        }
        self._taken = [(spec.input, self._arrays[spec.input], spec.batch_axis) for spec in self._specs]
        self._output, self._local = model.manifest.outputs[0].name, local()

    def run(self, rows: list[int], steps: int, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """Take ``steps`` steps of some rows; return the first output `[B, steps, labels]`.

        Args:
            rows: Up to `MOST_ROWS` different ones.
            steps: How many.
            x: `[B, steps * samples_per_step]`, or features `[B, steps, channels]`.

        Returns:
            Values that hold until this thread's next run.

        Raises:
            ModelError: If the model fails; the states are as before.
        """
        stepper, count = self._stepper(len(rows)), len(rows)
        inputs = stepper.input(steps)
        inputs[:count], inputs[count:] = x, x[:1]  # what fills the call up must not be what failed before
        index = np.array(rows + rows[:1] * (stepper.batch - count))
        before = stepper.buffers
        for name, array, axis in self._taken:
            # mode "clip" writes to the buffer directly; the rows are known to be there
            array.take(index, axis, before[name], "clip")
        values = stepper.run(steps)[self._output]
        index, after = index[:count], stepper.rows_first
        for name, array in self._rows_first.items():
            array[index] = after[name][:count]
        return values[:count]

    def warm(self, most: int) -> None:
        """Make this thread's buffers for batches up to ``most`` now: the first call of a size is slow."""
        for count in range(1, most + 1):
            self._stepper(count)

    def get(self, row: int) -> State:
        """Return a copy of one row's state."""
        arrays = {s.input: np.take(self._arrays[s.input], [row], s.batch_axis) for s in self._specs}
        return State(self._specs, arrays, 1)

    def put(self, row: int, state: State) -> None:
        """Set one row's state, of a batch of 1."""
        for spec in self._specs:
            self._rows_first[spec.input][row] = np.moveaxis(state[spec.input], spec.batch_axis, 0)[0]

    def _stepper(self, count: int) -> Stepper:
        """Return this thread's buffers for ``count`` rows or a few more."""
        steppers: dict[int, Stepper] | None = getattr(self._local, "steppers", None)
        if steppers is None:
            steppers = self._local.steppers = {}
        batch = next(size for size in _BATCHES if size >= count)
        if batch not in steppers:
            steppers[batch] = Stepper(self._model, batch)
        return steppers[batch]


class Row:
    """Be one row of `Rows` as the `Steps` of a stream.

    Args:
        rows: All rows.
        row: Which.
        model: Theirs.
    """

    def __init__(self, rows: Rows, row: int, model: Model) -> None:
        self._rows, self._row, self._initial = rows, row, model.initial_state()
        self._samples = model.manifest.input.samples_per_step

    @property
    def state(self) -> State:
        """Return a copy of the state."""
        return self._rows.get(self._row)

    def load(self, state: State) -> None:
        """Go on from ``state``."""
        self._rows.put(self._row, state)

    def reset(self) -> None:
        """Go back to the beginning."""
        self._rows.put(self._row, self._initial)

    def advance(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """Run `x [T * samples_per_step]` or `[T, channels]`; return `[T, C]`, valid until this thread's next call."""
        values: NDArray[np.float32] = self._rows.run([self._row], len(x) // self._samples, x[None])[0]
        return values
