"""What training minimises: connectionist temporal classification, a frame classifier, the pinball loss."""

from __future__ import annotations

from itertools import chain

import torch
import torch.nn.functional as F
from torch import Tensor


def ctc(logits: Tensor, tokens: list[list[int]]) -> Tensor:
    """Return the CTC loss per token (Graves et al. 2006) of `logits [B, T, C]`, blank 0.

    Targets that cannot be reached in T frames count zero.
    """
    batch, frames, _ = logits.shape
    lengths = torch.tensor([len(row) for row in tokens])
    targets = torch.tensor(list(chain.from_iterable(tokens)), dtype=torch.long, device=logits.device)
    log_probs = logits.log_softmax(-1).transpose(0, 1)
    loss = F.ctc_loss(log_probs, targets, torch.full((batch,), frames), lengths, reduction="sum", zero_infinity=True)
    return loss / max(1, len(targets))


def frame_cross_entropy(logits: Tensor, frames: Tensor) -> Tensor:
    """Return the cross-entropy of `frames int64 [B, T]` (1 to C-1) given not blank, `logits [B, T, C]`.

    It asks nothing of the blank, so it goes together with CTC: blank and label share the frame, and
    `P(label | not blank)` stays a frame classifier.
    """
    return F.cross_entropy(logits[:, :, 1:].flatten(0, 1), frames.flatten() - 1)


def pinball(values: Tensor, known: Tensor, levels: Tensor) -> Tensor:
    """Return the pinball loss of each horizon `[H]` (Koenker and Bassett, Regression Quantiles, Econometrica 1978).

    `max(q * (y - v), (q - 1) * (y - v))`, v the forecast of quantile q and y what came; its mean is least where v is
    the quantile.

    Args:
        values: forecasts `[..., H, Q]`.
        known: what came, `[..., H]`; NaN counts nothing.
        levels: the quantiles `[Q]`, 0 to 1.

    >>> pinball(torch.tensor([[1.0, 3.0]]), torch.tensor([2.0]), torch.tensor([0.1, 0.9]))
    tensor([0.1000])
    """
    there = known.isfinite()
    apart = torch.where(there, known, 0)[..., None] - values
    loss = torch.maximum(levels * apart, (levels - 1) * apart).mean(-1) * there
    horizons = known.shape[-1]
    return loss.reshape(-1, horizons).sum(0) / there.reshape(-1, horizons).sum(0).clamp(min=1)
