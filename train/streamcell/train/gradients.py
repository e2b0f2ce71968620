"""How a gradient fades or explodes on its way back through time (Bengio et al. 1994; Pascanu et al. 2013)."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from streamcell.train.cells import GRU, LSTM, Elman, Stack
from streamcell.train.frontend import State
from streamcell.train.models import Network
from streamcell.train.starts import open_gates, orthogonal
from streamcell.train.task import Task

Recurrent = Callable[[Tensor, State], tuple[Tensor, State]]
"""Takes `x [B, T, F]` and a state, each tensor `[1, B, H]`; returns outputs and the state after the last step."""


ROWS = 32
"""How many streams a curve is averaged over: one random direction each."""


@dataclass(frozen=True, slots=True)
class Curve:
    """What is left of a gradient `k` steps back, `shares[k]`; `shares[0]` is 1, more than 1 means that it grows."""

    shares: tuple[float, ...]

    @property
    def half_life(self) -> float:
        """Steps until half is left, on a straight line of the logarithm between two lags; infinite if never.

        >>> Curve((1.0, 0.8, 0.4)).half_life
        1.6780719051126378
        """
        for k, (before, after) in enumerate(zip(self.shares, self.shares[1:], strict=False)):
            if after <= 0.5:
                return k + math.log(0.5 / before) / math.log(after / before) if after > 0 else k + 1.0
        return math.inf


def fading(
    run: Recurrent, x: Tensor, state: State, lags: int, groups: Mapping[str, Sequence[str]], seed: int = 0
) -> dict[str, Curve]:
    """Return how much of a gradient at the last state reaches the states up to `lags` steps before.

    Exact back-propagation, one step of `run` at a time, in the precision of `x` (use float64: float32 ends at 1e-45).
    A random unit vector v stands for the gradient of a loss by the state `s_t` of a row, and the share at lag k is the
    root mean square over rows of the norm of `v^T ds_t / ds_{t-k}`. That is the mean gain of the product of Jacobians,
    its Frobenius norm over the root of its size: 0.9 ** k for `s' = 0.9 s`, whatever v is.

    Args:
        run: the recurrent layers.
        x: their inputs `[B, T, F]`, T from `lags`; the steps before the last `lags` bring the state to life.
        state: before the first input.
        lags: how far back, from 1.
        groups: names of states that are one vector together (a layer's h and c), by the name of their curve.
        seed: of v.

    >>> def run(x, state):  # a leaky sum, one step
    ...     h = 0.5 * state["h"] + x.transpose(0, 1)
    ...     return h.transpose(0, 1), {"h": h}
    >>> fading(run, torch.ones(3, 3, 2), {"h": torch.ones(1, 3, 2)}, 3, {"all": ["h"]})["all"].shares
    (1.0, 0.5, 0.25, 0.125)
    """
    begin = x.shape[1] - lags
    if lags < 1 or begin < 0:
        raise ValueError(f"expected from 1 to {x.shape[1]} lags, as many as x has steps, got {lags}")
    with torch.no_grad():
        state = run(x[:, :begin], state)[1] if begin else state
    state = {name: value.detach().requires_grad_() for name, value in state.items()}
    passed = []
    for t in range(begin, x.shape[1]):
        passed.append(state)
        _, after = run(x[:, t : t + 1], state)
        state = {name: value.clone() for name, value in after.items()}  # so that h never hangs on the c beside it
    generator = torch.Generator().manual_seed(seed)
    return {group: _curve([*passed, state], names, generator) for group, names in groups.items()}


def of_network(network: Network, task: Task[Any], lags: int) -> dict[str, Curve]:
    """Return the curve of each recurrent layer of a trained `network` on the training data of `task`.

    The layers hear what they hear in training, chunk after chunk, without dropout; where training would begin a lane
    afresh the state is carried on, so that lags may be longer than a recording.
    """
    stack = copy.deepcopy(network.stack).double().eval()
    x = _heard(network.eval(), task, 2 * lags)[:ROWS].double()
    x = x.repeat(-(-ROWS // len(x)), 1, 1)
    each = zip(stack.cells(), stack.layer_states(), strict=True)
    groups = {f"{', '.join(names)} ({type(cell).__name__})": names for cell, names in each}
    return fading(stack, x[:, : 2 * lags], _doubled(stack, len(x)), lags, groups)


def of_textbook(lags: int, hidden: int = 64, seed: int = 0) -> dict[str, Curve]:
    """Return the curves of fresh networks of one layer that hear the same noise: the textbooks' comparison.

    Each kind as torch draws it, and as it remembers longest: an Elman network with an orthogonal recurrent matrix
    (`orthogonal`), also of twice the size, whose gradient explodes; LSTM and GRU with their gates open for `lags` steps
    (`open_gates`). Norm and residual are left out.
    """
    x = torch.randn(ROWS, 2 * lags, hidden, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    curves = {}
    with torch.random.fork_rng(devices=[]):
        for name, cell, start in (
            ("Elman as drawn", "elman", 0.0),
            ("Elman orthogonal", "elman", 1.0),
            ("Elman orthogonal, times 2", "elman", 2.0),
            ("LSTM as drawn", "lstm", 0.0),
            ("LSTM gates open", "lstm", 1.0),
            ("GRU as drawn", "gru", 0.0),
            ("GRU gates open", "gru", 1.0),
        ):
            torch.manual_seed(seed)
            stack = Stack(cell, hidden, 1, norm=False, residual=False)
            if start:
                _start(stack, start, lags)
            stack.double()
            curves[name] = fading(stack, x, _doubled(stack, ROWS), lags, {"all": stack.state_names})["all"]
    return curves


def _start(stack: Stack, gain: float, steps: int) -> None:
    """Let a fresh stack begin with as long a memory as its cells can have."""
    for cell in stack.cells():
        if isinstance(cell, Elman):
            orthogonal(cell, gain)
        if isinstance(cell, LSTM | GRU):
            open_gates(cell, steps)


def _doubled(stack: Stack, rows: int) -> State:
    """Return the initial state in float64."""
    return {name: value.double() for name, value in stack.initial_state(rows).items()}


@torch.no_grad()
def _heard(network: Network, task: Task[Any], steps: int) -> Tensor:
    """Return what the stack of `network` hears of the first lanes, `[B, T, H]` with T from `steps`."""
    heard: list[Tensor] = []
    hook = network.stack.register_forward_pre_hook(lambda _, arguments: heard.append(arguments[0]))
    lanes, masks = task.lanes(0), torch.Generator().manual_seed(task.recipe.train.seed)
    state = network.initial_state(task.recipe.train.lanes)
    while sum(x.shape[1] for x in heard) < steps:
        _, _, state = task.losses(network, lanes.draw(), state, masks, 0)
    hook.remove()
    return torch.cat(heard, dim=1)


def _curve(passed: Sequence[State], names: Sequence[str], generator: torch.Generator) -> Curve:
    """Send a random unit vector back from the last of the states `passed`."""
    last = [passed[-1][name] for name in names]
    drawn = [torch.randn(value.shape, generator=generator, dtype=value.dtype) for value in last]
    unit = [one / _norms(drawn)[None, :, None] for one in drawn]
    earlier = [state[name] for state in passed[:-1] for name in names]
    gradients = torch.autograd.grad(last, earlier, unit, retain_graph=True, materialize_grads=True)
    steps = [gradients[i : i + len(names)] for i in range(0, len(gradients), len(names))]
    return Curve((1.0, *(float(_norms(step).square().mean().sqrt()) for step in reversed(steps))))


def _norms(group: Sequence[Tensor]) -> Tensor:
    """Return the norm of each row `[B]` over all states `[1, B, H]` of `group`."""
    squares: Tensor = torch.stack([value.square().sum((0, 2)) for value in group]).sum(0)
    return squares.sqrt()
