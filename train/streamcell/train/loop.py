"""fit(): truncated back-propagation through time over endless streams, the state carried from chunk to chunk."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from queue import Queue
from threading import Event, Thread
from typing import Any

import torch
from torch import Tensor, nn

from streamcell.runtime.errors import StreamcellError
from streamcell.train.data.augment import SpecAugment
from streamcell.train.data.lanes import Chunk, Lanes
from streamcell.train.losses import ctc, frame_cross_entropy
from streamcell.train.models import PhonemeNet, detach
from streamcell.train.recipe import Recipe, TrainRecipe


@dataclass(frozen=True, slots=True)
class Update:
    """What one update measured: losses, gradient norm before clipping, learning rate."""

    number: int
    ctc: float
    frame: float
    gradient: float
    learning_rate: float


def learning_rate(update: int, recipe: TrainRecipe) -> float:
    """Return the rate for `update` (0-based): linear warm-up, then half a cosine down to zero.

    >>> recipe = TrainRecipe(updates=100, warmup=10, learning_rate=1.0)
    >>> [round(learning_rate(n, recipe), 2) for n in (0, 9, 55, 99)]
    [0.1, 1.0, 0.5, 0.0]
    """
    if update < recipe.warmup:
        return recipe.learning_rate * (update + 1) / recipe.warmup
    done = (update - recipe.warmup) / max(1, recipe.updates - recipe.warmup)
    return recipe.learning_rate * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))


class Trainer:
    """The state of a training: network, averaged weights, optimiser, carried states, data position, random generators.

    `state_dict` and `load_state_dict` hold all of it, so that a resumed training takes the very same updates as one
    never stopped.
    """

    def __init__(self, recipe: Recipe, network: PhonemeNet, lanes: Lanes) -> None:
        train = recipe.train
        self.recipe, self.network, self.lanes = recipe, network, lanes
        self.average = {name: value.detach().clone() for name, value in network.state_dict().items()}
        self.optimiser = torch.optim.AdamW(
            _groups(network, train.weight_decay), lr=train.learning_rate, betas=(0.9, 0.98)
        )
        self.state = network.initial_state(train.lanes)
        self.masks = torch.Generator().manual_seed(train.seed)
        self.update = 0
        self._drawn = lanes.state_dict()

    def run(self) -> Iterator[Update]:
        """Take the updates that are left, one each time the iterator advances."""
        with Prefetch(self.lanes) as chunks:
            while self.update < self.recipe.train.updates:
                chunk, self._drawn = chunks()
                yield self._step(chunk)

    def _step(self, chunk: Chunk) -> Update:
        train, network = self.recipe.train, self.network
        network.train()
        rate = learning_rate(self.update, train)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        state = network.keep(detach(self.state), ~torch.from_numpy(chunk.fresh))
        mask = SpecAugment(self.recipe.augment, self.masks)
        logits, self.state = network(torch.from_numpy(chunk.samples), state, mask)
        frame = frame_cross_entropy(logits, torch.from_numpy(chunk.frames))
        only_frames = self.update < train.frame_updates
        sequence = torch.zeros(()) if only_frames else ctc(logits, chunk.tokens)
        loss = frame if only_frames else sequence + train.frame_weight * frame
        self.optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        norm = float(nn.utils.clip_grad_norm_(network.parameters(), train.clip))
        if not math.isfinite(norm):
            raise StreamcellError(
                f"the gradient became {norm} at update {self.update}; lower train.learning_rate in "
                "the recipe and start again with another --out"
            )
        self.optimiser.step()
        self._follow(network.state_dict(), train.average)
        self.update += 1
        return Update(self.update, float(sequence.detach()), float(frame.detach()), norm, rate)

    def _follow(self, weights: dict[str, Tensor], share: float) -> None:
        """Move the average towards `weights`; at first it follows fast, so that early weights are soon forgotten."""
        keep = min(share, self.update / (self.update + 10))
        for name, value in weights.items():
            self.average[name].lerp_(value, 1 - keep)

    def state_dict(self) -> dict[str, Any]:
        """Return everything that decides the updates to come, as tensors and plain values."""
        return {
            "update": self.update,
            "weights": self.network.state_dict(),
            "average": self.average,
            "optimiser": self.optimiser.state_dict(),
            "state": detach(self.state),
            "masks": self.masks.get_state(),
            "torch": torch.get_rng_state(),
            "lanes": _to_tensors(self._drawn),
        }

    def load_state_dict(self, content: dict[str, Any]) -> None:
        """Continue exactly where `state_dict` was taken."""
        self.update = content["update"]
        self.network.load_state_dict(content["weights"])
        self.average = content["average"]
        self.optimiser.load_state_dict(content["optimiser"])
        self.state = content["state"]
        self.masks.set_state(content["masks"])
        torch.set_rng_state(content["torch"])
        self._drawn = _to_arrays(content["lanes"])
        self.lanes.load_state_dict(self._drawn)


class Prefetch:
    """Draws chunks in a thread while the network works; each comes with the lanes' state after it, for checkpoints."""

    def __init__(self, lanes: Lanes, ahead: int = 4) -> None:
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


def _groups(network: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Return parameter groups: matrices decay, biases and norms do not."""
    matrices = [p for p in network.parameters() if p.dim() > 1]
    others = [p for p in network.parameters() if p.dim() <= 1]
    return [{"params": matrices, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]


def _to_tensors(drawn: dict[str, Any]) -> dict[str, Any]:
    arrays = {key: [torch.from_numpy(x.copy()) for x in drawn[key]] for key in ("samples", "segments")}
    return {"rng": drawn["rng"], "deck": torch.from_numpy(drawn["deck"].copy()), **arrays}


def _to_arrays(stored: dict[str, Any]) -> dict[str, Any]:
    arrays = {key: [x.numpy() for x in stored[key]] for key in ("samples", "segments")}
    return {"rng": stored["rng"], "deck": stored["deck"].numpy(), **arrays}
