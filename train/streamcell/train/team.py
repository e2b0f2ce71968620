"""Several processes that train one network together, as `torchrun` starts them; alone, every method costs nothing."""

from __future__ import annotations

import os
from collections.abc import Iterable
from datetime import timedelta
from types import TracebackType
from typing import Any, Self

import torch
import torch.distributed as dist
from torch import Tensor

from streamcell.runtime.errors import StreamcellError

_PATIENCE = timedelta(hours=2)  # the others wait while the first validates


class Team:
    """The processes of this training: `rank` of `size`, each with its `device` (a GPU of its own, or the CPU).

    A context manager; within it, all processes must call the same methods in the same order.
    """

    def __init__(self) -> None:
        self.rank, self.size = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
        gpu = torch.cuda.is_available()
        self.device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0"))) if gpu else torch.device("cpu")

    def __enter__(self) -> Self:
        if self.size > 1:
            dist.init_process_group("nccl" if self.device.type == "cuda" else "gloo", timeout=_PATIENCE)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if dist.is_initialized():
            dist.destroy_process_group()

    @property
    def leads(self) -> bool:
        """Whether this is the process that shows, validates and writes."""
        return self.rank == 0

    def mine(self, shards: int) -> range:
        """Return which of `shards` parts of the data this process hears.

        Raises:
            StreamcellError: there are not as many for each process.
        """
        if shards % self.size:
            raise StreamcellError(
                f"train.shards must be a multiple of the number of processes, got {shards} for {self.size}; "
                "change the recipe or --nproc-per-node"
            )
        return range(self.rank, shards, self.size)

    def add_up(self, parameters: Iterable[Tensor], signals: list[float]) -> list[float]:
        """Replace each gradient by the sum over all processes; return `signals` summed in the same message."""
        if self.size == 1:
            return signals
        gradients = [p.grad for p in parameters if p.grad is not None]
        extra = torch.tensor(signals, device=self.device)
        flat = torch.cat([*(g.flatten() for g in gradients), extra])
        dist.all_reduce(flat)
        parts = torch.split(flat, [*(g.numel() for g in gradients), len(signals)])
        for gradient, part in zip(gradients, parts, strict=False):
            gradient.copy_(part.view_as(gradient))
        return [float(value) for value in parts[-1]]

    def gather(self, value: Any) -> list[Any] | None:
        """Return every process's `value`, in the order of ranks, where this process leads; else None."""
        if self.size == 1:
            return [value]
        values = [None] * self.size if self.leads else None
        dist.gather_object(value, values)
        return values

    def from_first(self, value: Any) -> Any:
        """Return the leading process's `value`."""
        if self.size == 1:
            return value
        values = [value]
        dist.broadcast_object_list(values)
        return values[0]
