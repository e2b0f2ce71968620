"""One call of the model for many streams, of whose answer each hears its part."""

from collections.abc import Sequence
from threading import RLock

import numpy as np
from numpy import vdot
from numpy.typing import NDArray

from streamcell.runtime.errors import ModelError, StreamcellError
from streamcell.runtime.events import Event
from streamcell.runtime.model import Model
from streamcell.runtime.rows import Rows
from streamcell.runtime.slot import Slot

__all__ = ["Together"]

_MOST_STEPS = 16  # of one call


class Together:
    """Step streams that are busy for it; what goes wrong with one is noted there and harms no other.

    Args:
        model: The model.
        rows: The states.
        lock: Held while streams are changed, not while the model runs.
    """

    def __init__(self, model: Model, rows: Rows, lock: RLock) -> None:
        self._spec, self._fixed = model.manifest.input, model.manifest.steps_per_call
        self._rows, self._lock = rows, lock

    def step(self, batch: Sequence[Slot]) -> int:
        """Step streams by as much as all of them have waiting; return by how many steps."""
        with self._lock:
            ready = min(_MOST_STEPS, *[slot.ready for slot in batch])
            steps = self._fixed or 1 << (ready.bit_length() - 1)
            data = b"".join([slot.draw(steps) for slot in batch])
        self._run(batch, steps, np.frombuffer(data, np.float32).reshape(self._spec.sizes(len(batch), steps)))
        return steps

    def _run(self, batch: Sequence[Slot], steps: int, x: NDArray[np.float32]) -> None:
        try:
            values = self._rows.run([slot.row for slot in batch], steps, x)
        except ModelError as error:
            if len(batch) == 1:
                batch[0].error = error
                return
            for i, slot in enumerate(batch):  # one of them may be to blame
                self._run([slot], steps, x[i : i + 1])
            return
        if not vdot(values, values) < np.inf:
            values = self._finite(batch, values)
        items = batch[0].stream.decoder.read(values.reshape(-1, values.shape[2]))
        with self._lock:
            for i, slot in enumerate(batch):
                if slot.error is not None:
                    continue
                try:
                    found: Sequence[Event] | None = slot.stream.accept_one(items[i]) if steps == 1 else None
                    if found is None:
                        found = slot.hear(values[i], items[i * steps : (i + 1) * steps])
                    slot.events += found
                except StreamcellError as error:
                    slot.error = error

    def _finite(self, batch: Sequence[Slot], values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Note who was given values that are not finite; return all values, made finite."""
        for row in np.flatnonzero(~np.isfinite(values).all((1, 2))).tolist():
            batch[row].error = ModelError(
                "the model gave values that are not finite; its weights or its input are broken"
            )
        return np.nan_to_num(values, posinf=0.0, neginf=0.0)
