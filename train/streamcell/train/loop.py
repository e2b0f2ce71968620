"""fit(): truncated back-propagation through time over endless streams, the state carried from chunk to chunk."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from queue import Queue
from threading import Event, Thread
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from streamcell.runtime.errors import StreamcellError
from streamcell.train.models import Network, detach
from streamcell.train.optimiser import make_optimiser
from streamcell.train.precision import SMALLEST_SCALE, choose_precision, lower_precision
from streamcell.train.recipe import TrainRecipe
from streamcell.train.task import Chunk, Lanes, Task
from streamcell.train.team import Team


class DivergedError(StreamcellError):
    """A loss or a gradient is no number any more; the update that it belongs to was not taken."""


@dataclass(frozen=True, slots=True)
class Signals:
    """What the processes of a team want: to stop after this update, to save a checkpoint."""

    stop: bool = False
    save: bool = False


@dataclass(frozen=True, slots=True)
class Update:
    """What one update measured: losses of this process, gradient norm before clipping, learning rate; and signals."""

    number: int
    losses: dict[str, float]
    gradient: float
    learning_rate: float
    signals: Signals = Signals()


def learning_rate(update: int, recipe: TrainRecipe) -> float:
    """Return the rate for `update` (0-based): linear warm-up, then the recipe's schedule.

    >>> recipe = TrainRecipe(updates=100, warmup=10, learning_rate=1.0)
    >>> [round(learning_rate(n, recipe), 2) for n in (0, 9, 55, 99)]
    [0.1, 1.0, 0.5, 0.0]
    """
    if update < recipe.warmup:
        return recipe.learning_rate * (update + 1) / recipe.warmup
    done = min(1.0, (update - recipe.warmup) / max(1, recipe.updates - recipe.warmup))
    match recipe.schedule:
        case "cosine":
            share = 0.5 * (1 + math.cos(math.pi * done))
        case "linear":
            share = 1 - done
        case "constant":
            share = 1.0
    return recipe.learning_rate * share


class Shard:
    """One part of the data, heard side by side with others: its lanes, their carried states, its random masks."""

    def __init__(self, task: Task[Any], network: Network, number: int) -> None:
        train = task.recipe.train
        self.task, self.network, self.lanes = task, network, task.lanes(number)
        self.state = network.initial_state(train.lanes)
        self.masks = torch.Generator().manual_seed(train.seed + number)
        self.drawn = self.lanes.state_dict()

    def losses(self, chunk: Chunk, update: int) -> tuple[Tensor, dict[str, Tensor]]:
        """Hear `chunk`, carry the state on; return the loss and its parts."""
        device = self.network.head.weight.device
        state = self.network.keep(detach(self.state), ~torch.from_numpy(chunk.fresh).to(device))
        loss, parts, self.state = self.task.losses(self.network, chunk, state, self.masks, update)
        return loss, parts

    def state_dict(self) -> dict[str, Any]:
        """Return everything that decides what is heard next."""
        state = {name: value.cpu() for name, value in detach(self.state).items()}
        return {"state": state, "masks": self.masks.get_state(), "lanes": _to_tensors(self.drawn)}

    def load_state_dict(self, content: dict[str, Any]) -> None:
        """Continue exactly where `state_dict` was taken."""
        device = self.network.head.weight.device
        self.state = {name: value.to(device) for name, value in content["state"].items()}
        self.masks.set_state(content["masks"])
        self.drawn = _to_arrays(content["lanes"])
        self.lanes.load_state_dict(self.drawn)


class Trainer:
    """The state of a training: network, averaged weights, optimiser, and the shards that this process hears.

    `state_dict` and `load_state_dict` hold all of it, so that a resumed training takes the very same updates as one
    never stopped, if there are as many processes.

    Args:
        task: what to learn.
        network: on the team's device.
        team: who trains along.

    Attributes:
        precision: what the network computes in.
    """

    def __init__(self, task: Task[Any], network: Network, team: Team) -> None:
        self.recipe: TrainRecipe = task.recipe.train
        train = self.recipe
        self.network, self.team = network, team
        self.average = {name: value.detach().clone() for name, value in network.state_dict().items()}
        chosen = choose_precision(train.precision, team.device)
        self.precision = choose_precision(team.from_first(chosen), team.device)  # the same in all processes
        self.optimiser = make_optimiser(network, train, self.precision)
        self.scaler = torch.amp.GradScaler(team.device.type, enabled=self.precision == "float16")
        lower_precision(network, self.precision, team.device)
        self.shards = [Shard(task, network, number) for number in team.mine(train.shards)]
        self.update = 0

    def run(self, signals: Callable[[], Signals] = Signals) -> Iterator[Update]:
        """Take the updates that are left, one each time the iterator advances.

        Args:
            signals: asked in each update; what any process of the team signals comes back in everybody's `Update`.

        Raises:
            DivergedError: a loss or a gradient became infinite or no number; weights and averages are as before.
        """
        with ExitStack() as stack:
            chunks = [stack.enter_context(Prefetch(shard.lanes)) for shard in self.shards]
            while self.update < self.recipe.updates:
                yield self._step(chunks, signals())

    def _step(self, chunks: Sequence[Callable[[], tuple[Chunk, dict[str, Any]]]], signals: Signals) -> Update:
        train, network = self.recipe, self.network
        network.train()
        rate = learning_rate(self.update, train)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        self.optimiser.zero_grad()
        parts: dict[str, float] = {}
        for shard, draw in zip(self.shards, chunks, strict=True):
            chunk, shard.drawn = draw()
            loss, measured = shard.losses(chunk, self.update)
            self.scaler.scale(loss / train.shards).backward()  # type: ignore[no-untyped-call]
            for name, value in measured.items():
                parts[name] = parts.get(name, 0.0) + float(value.detach()) / len(self.shards)
        stop, save = self.team.add_up(network.parameters(), [float(signals.stop), float(signals.save)])
        self.scaler.unscale_(self.optimiser)
        norm = float(nn.utils.clip_grad_norm_(network.parameters(), train.clip))
        if not self.scaler.is_enabled() or self.scaler.get_scale() <= SMALLEST_SCALE:
            _refuse_no_numbers({**parts, "gradient": norm}, self.update + 1)
        self.scaler.step(self.optimiser)  # with float16 it leaves out an update that is no number, and scales less
        self.scaler.update()
        self._follow(network.state_dict(), train.average)
        self.update += 1
        return Update(self.update, parts, norm, rate, Signals(stop > 0, save > 0))

    def _follow(self, weights: dict[str, Tensor], share: float) -> None:
        """Move the average towards `weights`; at first it follows fast, so that early weights are soon forgotten."""
        keep = min(share, self.update / (self.update + 10))
        for name, value in weights.items():
            self.average[name].lerp_(value, 1 - keep)

    def state_dict(self) -> dict[str, Any] | None:
        """Return everything that decides the updates to come, as tensors and plain values, where this process leads.

        All processes must call it; the others get None.
        """
        mine = {"shards": [shard.state_dict() for shard in self.shards], "torch": torch.get_rng_state()}
        everybody = self.team.gather(mine)
        if everybody is None:
            return None
        return {
            "update": self.update,
            "precision": self.precision,
            "weights": self.network.state_dict(),
            "average": self.average,
            "optimiser": self.optimiser.state_dict(),
            "scaler": self.scaler.state_dict(),
            # shard k is heard by process k modulo their number
            "shards": [part["shards"][i] for i in range(len(self.shards)) for part in everybody],
            "torch": [part["torch"] for part in everybody],
        }

    def load_state_dict(self, content: dict[str, Any]) -> None:
        """Continue exactly where `state_dict` was taken; with another number of processes, dropout is drawn anew."""
        self.update = content["update"]
        self.network.load_state_dict(content["weights"])
        for name, value in content["average"].items():
            self.average[name].copy_(value)
        self.optimiser.load_state_dict(content["optimiser"])
        if content.get("scaler"):
            self.scaler.load_state_dict(content["scaler"])
        for number, shard in zip(self.team.mine(len(content["shards"])), self.shards, strict=True):
            shard.load_state_dict(content["shards"][number])
        if len(content["torch"]) == self.team.size:
            torch.set_rng_state(content["torch"][self.team.rank])


class Prefetch:
    """Draws chunks in a thread while the network works; each comes with the lanes' state after it, for checkpoints."""

    def __init__(self, lanes: Lanes[Any], ahead: int = 4) -> None:
        self._lanes = lanes
        self._queue: Queue[tuple[Chunk, dict[str, Any]] | BaseException] = Queue(ahead)
        self._stop = Event()
        self._thread = Thread(target=self._work, daemon=True)

    def __enter__(self) -> Callable[[], tuple[Chunk, dict[str, Any]]]:
        self._thread.start()
        return self._get

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        while self._thread.is_alive():
            while not self._queue.empty():
                self._queue.get_nowait()
            self._thread.join(0.05)

    def _work(self) -> None:
        while not self._stop.is_set():
            try:
                self._queue.put((self._lanes.draw(), self._lanes.state_dict()))
            except BaseException as error:  # noqa: BLE001 - handed over to the thread that trains
                self._queue.put(error)
                return

    def _get(self) -> tuple[Chunk, dict[str, Any]]:
        item = self._queue.get()
        if isinstance(item, BaseException):
            raise item
        return item


def _refuse_no_numbers(measured: dict[str, float], number: int) -> None:
    """Raise for the first of `measured` that is infinite or not a number in update `number`."""
    for name, value in measured.items():
        if not math.isfinite(value):
            what = "gradient" if name == "gradient" else f"loss {name!r}"
            raise DivergedError(
                f"the {what} became {value} at update {number}, which was not taken; "
                "lower train.learning_rate or train.clip in the recipe"
            )


def _to_tensors(drawn: Any) -> Any:
    """Return plain values with tensors for arrays, copied, as a checkpoint holds them."""
    if isinstance(drawn, np.ndarray):
        return torch.from_numpy(drawn.copy())
    if isinstance(drawn, dict):
        return {key: _to_tensors(value) for key, value in drawn.items()}
    return [_to_tensors(value) for value in drawn] if isinstance(drawn, list) else drawn


def _to_arrays(stored: Any) -> Any:
    """Undo `_to_tensors`."""
    if isinstance(stored, Tensor):
        return stored.numpy()
    if isinstance(stored, dict):
        return {key: _to_arrays(value) for key, value in stored.items()}
    return [_to_arrays(value) for value in stored] if isinstance(stored, list) else stored
