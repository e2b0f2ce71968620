"""The expected number of errors of what a network would write down, as a loss: minimum Bayes risk on single paths."""

from __future__ import annotations

import torch
from torch import Tensor

_SHARPNESS = 3.0  # of the paths that are drawn: between what the network believes (1) and the one that is written down
_LIKELY = 8  # labels of a frame that are tried; the others together weigh next to nothing


def expected_errors(
    logits: Tensor,
    tokens: list[list[int]],
    silent: int,
    generator: torch.Generator,
    sharpness: float = _SHARPNESS,
    likely: int = _LIKELY,
) -> Tensor:
    """Return an estimate of the expected edits per token of a path drawn frame by frame, as a loss.

    CTC raises the probability of all paths of the right labels together, but a network is asked for one best path and
    judged by its edits. Here a path is drawn; for each frame and each likely label it is worked out how many edits
    there would be with that label in this place, all else as drawn, which is the exact slope of the expectation in that
    frame's probabilities (Graves and Jaitly, Towards End-to-End Speech Recognition with Recurrent Neural Networks, ICML
    2014, section 4). Logits count `sharpness` times, as the scale of acoustic scores in minimum phone error training
    (Povey, 2005): else the network would learn to be surer rather than to be right. The value is the edits of the path.

    Args:
        logits: `[B, T, C]`.
        tokens: of each row the right labels; those below `silent` are left out.
        silent: labels 0 to `silent - 1` (blank, silence) part equal neighbours but are no token.
        generator: draws the paths.
        sharpness: factor on `logits`.
        likely: how many labels of a frame are tried; the others are taken as no better or worse than the drawn one.

    >>> right = torch.tensor([[[0.0, 9, 0], [0, 0, 9], [0, 0, 9]]])
    >>> expected_errors(right, [[1, 2]], 1, torch.Generator().manual_seed(0)).item()
    0.0
    """
    probabilities = (sharpness * logits.float()).softmax(-1)
    spoken = [[token for token in row if token >= silent] for row in tokens]
    with torch.no_grad():
        shares = probabilities.detach().cpu()
        path = (shares / torch.empty_like(shares).exponential_(generator=generator)).argmax(-1)  # in proportion
        tried = shares.topk(min(likely, shares.shape[-1])).indices
        errors, own = _errors(path, tried, spoken, silent)
        worse, tried = (errors - own[:, None, None]).to(logits.device), tried.to(logits.device)
        drawn = own.sum().to(logits.device)
    slope = (probabilities.gather(-1, tried) * worse).sum()
    return (drawn + slope - slope.detach()) / max(1, sum(map(len, spoken)))


def _errors(path: Tensor, tried: Tensor, tokens: list[list[int]], silent: int) -> tuple[Tensor, Tensor]:
    """Return the edits `[B, T, K]` of `path [B, T]` with one frame's label as `tried [B, T, K]`, and those without.

    Rows of the usual table of edits from the left and from the right meet behind the frame after the one that changes,
    as its label may be a token of its own or one with the changed one.
    """
    batch, frames = path.shape
    most = max(map(len, tokens), default=0)
    lengths = torch.tensor([len(row) for row in tokens])
    reference = torch.tensor([row + [-1] * (most - len(row)) for row in tokens], dtype=torch.long).view(batch, most)
    before = torch.nn.functional.pad(path[:, :-1], (1, 0))
    places = torch.arange(most + 1, dtype=torch.float32)
    left = [places.expand(batch, -1)]
    for t in range(frames):
        left.append(_hear(left[-1], path[:, t], before[:, t], reference, silent))
    rest = lengths[:, None] - places
    mirrored, right = reference.flip(-1), [rest.masked_fill(rest < 0, torch.inf).flip(-1)]
    for t in range(frames - 1, 1, -1):
        right.append(_hear(right[-1], path[:, t], before[:, t], mirrored, silent))
    later = torch.stack([*right[::-1], right[0]][:frames], 1).flip(-1)  # of each frame: what those from two on say
    following = torch.nn.functional.pad(path[:, 1:], (0, 1))[:, :, None].expand_as(tried)
    wide = reference[:, None, None]
    row = torch.stack(left[:-1], 1)[:, :, None].expand(-1, -1, tried.shape[-1], -1)
    row = _hear(row, tried, before[:, :, None], wide, silent)
    row = _hear(row, following, tried, wide, silent)
    return (row + later[:, :, None]).amin(-1), left[-1].gather(1, lengths[:, None])[:, 0]


def _hear(row: Tensor, label: Tensor, before: Tensor, reference: Tensor, silent: int) -> Tensor:
    """Return the next row `[..., N+1]` of the table of edits, for `label` after `before`; none where it is no token."""
    places = torch.arange(row.shape[-1], dtype=row.dtype)
    through = row[..., :-1] + (reference != label[..., None])
    heard = torch.cat([row[..., :1] + 1, torch.minimum(row[..., 1:] + 1, through)], -1)
    heard = (heard - places).cummin(-1).values + places
    token = (label >= silent) & (label != before)
    return torch.where(token[..., None], heard, row)
