"""What a training must know of its task: what is heard, what is lost, what is good."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol, TypeVar

import torch
from numpy import bool_
from numpy.typing import NDArray
from torch import Tensor

from streamcell.train.columns import Columns
from streamcell.train.frontend import State
from streamcell.train.models import Network
from streamcell.train.recipe import AnyRecipe


class Chunk(Protocol):
    """What one update hears of every lane; `fresh` bool `[B]` is true where a lane begins with the initial state."""

    @property
    def fresh(self) -> NDArray[bool_]:
        """Return where lanes begin anew."""


C = TypeVar("C", bound=Chunk)
C_co = TypeVar("C_co", bound=Chunk, covariant=True)


class Lanes(Protocol[C_co]):
    """Endless streams side by side; after `load_state_dict` the same chunks come as after `state_dict`."""

    def draw(self) -> C_co:
        """Return the next chunk of every lane."""

    def state_dict(self) -> dict[str, Any]:
        """Return all that decides what comes next, as plain values and arrays that are never changed."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where `state_dict` was taken."""


class Score(Protocol):
    """How good a network is on what was held out."""

    @property
    def loss(self) -> float:
        """Return the mean loss a label (nats)."""

    @property
    def rate(self) -> float:
        """Return the error rate by which networks are chosen, 0 is best."""

    def figures(self) -> dict[str, float]:
        """Return what else is worth keeping, by name."""

    def groups(self) -> dict[str, float]:
        """Return the error rate of each speaker, person or take."""

    def draw(self, path: Path) -> None:
        """Draw what was taken for what."""


class Task(Protocol[C]):
    """One thing to learn, its data loaded.

    Attributes:
        recipe: what was asked for.
        columns: of the network that is trained.
        fingerprint: changes with anything of the data that would make a resumed training another one.
        measure: what `Score.rate` is called.
        silent_updates: how many updates go by before `Score.rate` says anything.
    """

    @property
    def recipe(self) -> AnyRecipe:
        """Return what was asked for."""

    @property
    def columns(self) -> Columns:
        """Return the names of what goes in and out."""

    @property
    def fingerprint(self) -> str:
        """Return a hash of the data."""

    @property
    def measure(self) -> str:
        """Return what the error rate is called."""

    @property
    def silent_updates(self) -> int:
        """Return how many updates go by before the error rate says anything."""

    def fit(self, network: Network) -> None:
        """Measure, on the training data, what the network's front end needs to know."""

    def lanes(self, number: int) -> Lanes[C]:
        """Return the endless streams of shard `number`."""

    def losses(
        self, network: Network, chunk: C, state: State, masks: torch.Generator, update: int
    ) -> tuple[Tensor, dict[str, Tensor], State]:
        """Hear a chunk from `state` on; return what to minimise, its parts by name, and the state after it."""

    def validate(self, network: Network) -> Score:
        """Score a network on what was held out."""
