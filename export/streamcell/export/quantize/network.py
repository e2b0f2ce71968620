"""A model file in a network's place, so that a task's own validation scores it."""

from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from streamcell.runtime.model import Model
from streamcell.runtime.state import State
from streamcell.train.models import Network

__all__ = ["FileNetwork"]

_LONGEST = 4096  # steps a call


class FileNetwork(torch.nn.Module):
    """Answer as a network does, ``outputs, state = network(x, state)``, by a model file.

    Calls have as many steps as the manifest asks for; what is missing in the last is filled with zeros, and the state
    returned is then that after the zeros.

    Args:
        model: The model.

    Attributes:
        model: The model.
        heard: Streams that were heard, each without the axis of the batch.
    """

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.model = model
        self.heard: list[NDArray[Any]] = []

    @classmethod
    def of(cls, model: Model) -> tuple[Network, "FileNetwork"]:
        """Return the same object twice: as what a task scores, and as what it is."""
        found = cls(model)
        return cast("Network", found), found

    def initial_state(self, batch: int) -> dict[str, Tensor]:
        """Return the state of ``batch`` streams at their beginning."""
        state = self.model.initial_state(batch)
        return {name: torch.from_numpy(value.copy()) for name, value in state.items()}

    def forward(self, x: Tensor, state: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the first output `[B, T, C]` and the state after ``x``."""
        manifest, heard = self.model.manifest, x.numpy()
        self.heard.extend(heard)
        size = manifest.input.samples_per_step * (manifest.steps_per_call or _LONGEST)
        whole = heard.shape[1] // manifest.input.samples_per_step
        if manifest.steps_per_call is not None and (missing := -heard.shape[1] % size):
            heard = np.pad(heard, [(0, 0), (0, missing), *[(0, 0)] * (heard.ndim - 2)])
        now = State(manifest.states, {name: value.numpy() for name, value in state.items()}, len(heard))
        parts = []
        for begin in range(0, heard.shape[1], size):
            outputs, now = self.model.step(heard[:, begin : begin + size], now)
            parts.append(outputs[manifest.outputs[0].name])
        answers = torch.from_numpy(np.concatenate(parts, axis=1)[:, :whole])
        return answers, {name: torch.from_numpy(value.copy()) for name, value in now.items()}
