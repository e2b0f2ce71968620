"""Mixed precision: a network that computes in 16 bits where that is safe (Micikevicius et al. 2018)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from streamcell.runtime.errors import InputError
from streamcell.train.frontend import LogMel, Standardise, State
from streamcell.train.models import Network

SMALLEST_SCALE = 1.0
"""Below it, losses of float16 that are still infinite are not for want of a smaller factor."""


def choose_precision(precision: str, device: torch.device) -> str:
    """Return what a network shall compute in: `precision`, or for "auto" what `device` is fast at.

    That is bfloat16 on a GPU that has it and on a CPU with instructions for it (AMX, AVX-512 BF16), else float32.

    Raises:
        InputError: float16 on a CPU, bfloat16 on a GPU that has none.

    >>> choose_precision("bfloat16", torch.device("cpu"))
    'bfloat16'
    """
    if precision == "auto":
        return "bfloat16" if _has_bfloat16(device) else "float32"
    if precision == "float16" and device.type == "cpu":
        raise InputError('train.precision "float16" needs a GPU, and here is none; take "bfloat16" or "float32"')
    if precision == "bfloat16" and device.type == "cuda" and not _has_bfloat16(device):
        raise InputError('train.precision "bfloat16" is not what this GPU computes in; take "float16" or "float32"')
    return precision


def lower_precision(network: Network, precision: str, device: torch.device) -> None:
    """Let `network` compute in `precision` from now on, and still give float32: outputs and states.

    Weights stay float32. So does all that `LogMel` and `Standardise` compute, since 8 bits of a spectrum's power are
    too few, and the loss, which is computed outside. On a CPU with instructions for it (AMX, AVX-512 BF16), bfloat16
    takes 0.6 to 0.7 of float32's time; on one without any it is some ten times slower, to try what a GPU will do.

    Args:
        network: on `device`; its `forward`, and that of an encoder in it, is replaced, unless `precision` is "float32".
        precision: "auto", "float32", "bfloat16" or "float16".
        device: that it computes on.

    Raises:
        InputError: as `choose_precision`.
    """
    precision = choose_precision(precision, device)
    if precision == "float32":
        return
    for module in network.modules():
        if isinstance(module, LogMel | Standardise):
            module.forward = torch.autocast(device.type, enabled=False)(module.forward)  # type: ignore[method-assign]
        if isinstance(module, nn.LSTM) and device.type == "cpu":
            module.forward = _without_onednn(module.forward)  # type: ignore[method-assign]
        if isinstance(module, Network):  # with what it may have within, an encoder
            module.forward = _mixed(module.forward, device, getattr(torch, precision))


def _has_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    capabilities: Callable[[], dict[str, Any]] = getattr(torch.cpu, "get_capabilities", dict)  # torch 2.10 has it not
    return any(capabilities().get(name) for name in ("amx_bf16", "avx512_bf16"))


def _mixed(
    forward: Callable[..., tuple[Tensor, State]], device: torch.device, dtype: torch.dtype
) -> Callable[..., Any]:
    def call(*arguments: Any, **settings: Any) -> tuple[Tensor, State]:
        with torch.autocast(device.type, dtype=dtype):
            outputs, state = forward(*arguments, **settings)
        return outputs.float(), {name: value.float() for name, value in state.items()}

    return call


def _without_onednn(forward: Callable[..., Any]) -> Callable[..., Any]:
    """Keep an LSTM from oneDNN, which has no bfloat16 for its mixture of inputs (torch 2.13: "no primitive")."""

    def call(*arguments: Any, **settings: Any) -> Any:
        before = torch.backends.mkldnn.enabled
        torch.backends.mkldnn.enabled = False  # type: ignore[assignment]
        try:
            return forward(*arguments, **settings)
        finally:
            torch.backends.mkldnn.enabled = before

    return call
