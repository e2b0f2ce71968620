"""Losses against their definitions, written out."""

from itertools import product

import pytest
import torch

from streamcell.train.losses import ctc, frame_cross_entropy


def collapse(path: tuple[int, ...]) -> list[int]:
    return [now for before, now in zip((0, *path[:-1]), path, strict=True) if now not in {before, 0}]


@pytest.mark.parametrize("tokens", [[1], [1, 2], [2, 2], []])
def test_ctc_sums_over_all_paths(tokens: list[int]) -> None:
    logits = torch.randn(1, 4, 3, generator=torch.Generator().manual_seed(len(tokens)))
    log_probs = logits.log_softmax(-1)[0]
    paths = [path for path in product(range(3), repeat=4) if collapse(path) == tokens]
    total = torch.stack(
        [sum((log_probs[t, k] for t, k in enumerate(path)), torch.zeros(())) for path in paths]
    ).logsumexp(0)
    torch.testing.assert_close(ctc(logits, [tokens]), -total / max(1, len(tokens)))


def test_ctc_of_a_target_too_long_is_no_infinity() -> None:
    assert ctc(torch.zeros(2, 2, 3), [[1, 1], [1]]).isfinite()


def test_frame_cross_entropy_leaves_the_blank_alone() -> None:
    logits = torch.randn(2, 3, 5, requires_grad=True)
    (gradient,) = torch.autograd.grad(frame_cross_entropy(logits, torch.tensor([[1, 2, 3], [4, 1, 1]])), logits)
    assert torch.equal(gradient[:, :, 0], torch.zeros(2, 3))
    assert gradient[:, :, 1:].abs().min() > 0
