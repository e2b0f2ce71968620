"""Optimisers by their recipes' names: AdamW, or Muon for what the recurrent layers multiply by."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from streamcell.train.cells import Stack
from streamcell.train.recipes.base import TrainRecipe

BETAS = (0.9, 0.98)
MOMENTUM = 0.95
RMS = 0.2
"""What AdamW's steps are like, root mean square, at rate 1 (Liu et al. 2025, "Muon is scalable for LLM training")."""


def orthogonal(matrices: Tensor) -> Tensor:
    """Return `matrices [..., n, m]` with singular values near 1 (0.7 to 1.2) in place of theirs, but those near 0.

    Five iterations of a quintic by Newton and Schulz (Jordan et al. 2024, "Muon: an optimizer for hidden layers in
    neural networks"), in the matrices' own precision; bfloat16 is enough.

    >>> orthogonal(torch.tensor([[3.0, 0.0], [0.0, -2.0]])).sign()
    tensor([[ 1.,  0.],
            [ 0., -1.]])
    """
    tall = matrices.shape[-2] > matrices.shape[-1]
    x: Tensor = matrices.mT if tall else matrices
    x = x / torch.linalg.matrix_norm(x, keepdim=True).clamp(min=1e-7)
    for _ in range(5):
        gram = x @ x.mT
        x = 3.4445 * x + (2.0315 * gram @ gram - 4.775 * gram) @ x
    return x.mT if tall else x


class Muon(torch.optim.Optimizer):
    """Muon for matrices of recurrent layers, each gate's by itself; AdamW for the rest.

    A step of a gate goes along Nesterov's momentum made orthogonal, so that what is rarely learnt counts as much as
    what every update teaches; it is as long as AdamW's would be, so that both take the same rate. `torch.optim.Muon`
    computes in bfloat16, which most processors do slowly, and takes the gates of a layer for one matrix.

    Args:
        matrices: `[n, m]`; where n is a multiple of m, each of the n / m squares is a gate.
        others: groups of parameters for AdamW, with their `weight_decay`.
        lr: the rate.
        weight_decay: of the matrices, as AdamW's.
        dtype: that directions are made orthogonal in.
    """

    def __init__(
        self,
        matrices: list[nn.Parameter],
        others: list[dict[str, Any]],
        lr: float,
        weight_decay: float,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__(matrices, {"lr": lr, "weight_decay": weight_decay})
        self.dtype = dtype
        self._others = torch.optim.AdamW(others, lr=lr, betas=BETAS)
        self._link()

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Take one step along the gradients."""
        del closure
        group = self.param_groups[0]
        for weights in group["params"]:
            if weights.grad is not None:
                weights.mul_(1 - group["lr"] * group["weight_decay"])
                weights.sub_(self._direction(weights, weights.grad), alpha=group["lr"])
        self._others.step()

    def state_dict(self) -> dict[str, Any]:
        """Return everything that decides the next step."""
        momenta = [self.state[weights].get("momentum") for weights in self.param_groups[0]["params"]]
        return {"momenta": momenta, "others": self._others.state_dict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue where `state_dict` was called."""
        for weights, momentum in zip(self.param_groups[0]["params"], state_dict["momenta"], strict=True):
            self.state[weights] = {} if momentum is None else {"momentum": momentum.to(weights.device)}
        self._others.load_state_dict(state_dict["others"])
        self._link()

    def _link(self) -> None:
        """Show AdamW's groups behind the own one, so that who changes the rate changes it everywhere."""
        self.param_groups = [self.param_groups[0], *self._others.param_groups]

    def _direction(self, weights: nn.Parameter, gradient: Tensor) -> Tensor:
        state = self.state[weights]
        if not state:
            state["momentum"] = torch.zeros_like(weights)
        momentum = state["momentum"]
        momentum.lerp_(gradient, 1 - MOMENTUM)
        ahead = gradient.lerp(momentum, MOMENTUM)
        rows, columns = ahead.shape
        gates = ahead.reshape(-1, columns if rows % columns == 0 else rows, columns)
        length: float = RMS * max(gates.shape[1:]) ** 0.5
        return orthogonal(gates.to(self.dtype)).to(weights.dtype).view_as(weights) * length


def make_optimiser(network: nn.Module, recipe: TrainRecipe, precision: str = "float32") -> torch.optim.Optimizer:
    """Return the recipe's optimiser of a network, AdamW if it has no layers; matrices decay, other weights do not.

    `precision` is what the network computes in: Muon's directions are made orthogonal in bfloat16 where that is it.
    """
    rate, decay = recipe.learning_rate, recipe.weight_decay
    stacks = [module for module in network.modules() if isinstance(module, Stack)]
    gates = [p for stack in stacks for p in stack.parameters() if p.dim() == 2] if recipe.optimiser == "muon" else []
    chosen = set(map(id, gates))
    left = [p for p in network.parameters() if id(p) not in chosen]
    groups = [
        {"params": [p for p in left if p.dim() > 1], "weight_decay": decay},
        {"params": [p for p in left if p.dim() <= 1], "weight_decay": 0.0},
    ]
    if not gates:
        return torch.optim.AdamW(groups, lr=rate, betas=BETAS)
    return Muon(gates, groups, rate, decay, torch.bfloat16 if precision == "bfloat16" else torch.float32)
