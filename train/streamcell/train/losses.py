"""What training minimises: connectionist temporal classification, and a frame classifier inside the same softmax."""

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
