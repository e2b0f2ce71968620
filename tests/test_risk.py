"""Expected errors: against all paths, each with its edits counted by rapidfuzz."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from rapidfuzz.distance import Levenshtein

from streamcell.train.risk import _errors, expected_errors


def _read(path: tuple[int, ...], silent: int) -> list[int]:
    return [now for before, now in zip((0, *path), path, strict=False) if now != before and now >= silent]


def _edits(path: tuple[int, ...], tokens: list[int], silent: int) -> int:
    return Levenshtein.distance(_read(path, silent), [token for token in tokens if token >= silent])


@pytest.mark.parametrize("silent", [1, 2])
@pytest.mark.parametrize("frames", [1, 2, 3, 12])
def test_edits_with_one_frame_changed_are_those_of_the_changed_path(frames: int, silent: int) -> None:
    rng = np.random.default_rng(frames)
    paths = torch.from_numpy(rng.integers(0, 5, (16, frames)))
    tokens = [rng.integers(silent, 5, rng.integers(0, 9)).tolist() for _ in range(16)]
    tried = torch.arange(5).expand(16, frames, 5)
    errors, own = _errors(paths, tried, tokens, silent)
    for row, path in enumerate(paths.tolist()):
        assert own[row] == _edits(tuple(path), tokens[row], silent)
        for t, label in itertools.product(range(frames), range(5)):
            assert errors[row, t, label] == _edits((*path[:t], label, *path[t + 1 :]), tokens[row], silent)


@pytest.mark.parametrize(("tokens", "sharpness"), [([1, 3, 2], 1.0), ([2], 1.0), ([3, 3], 2.5)])
def test_the_mean_slope_is_that_of_the_expectation_over_all_paths(tokens: list[int], sharpness: float) -> None:
    logits = torch.randn(1, 4, 4, generator=torch.Generator().manual_seed(1))
    wanted = logits.clone().requires_grad_()
    shares = (sharpness * wanted).softmax(-1)[0]
    paths = list(itertools.product(range(4), repeat=4))
    edits = torch.stack([shares[range(4), path].prod() * _edits(path, tokens, 2) for path in paths])
    expectation = edits.sum() / sum(token >= 2 for token in tokens)
    (slope,) = torch.autograd.grad(expectation, wanted)

    drawn = logits.expand(40_000, -1, -1).clone().requires_grad_()
    loss = expected_errors(drawn, [tokens] * len(drawn), 2, torch.Generator().manual_seed(2), sharpness, 4)
    (drawn_slope,) = torch.autograd.grad(loss, drawn)
    assert loss.item() == pytest.approx(expectation.item(), rel=0.02)
    torch.testing.assert_close(drawn_slope.sum(0), slope[0], atol=0.01, rtol=0)


def test_nothing_said_counts_the_tokens_that_are_heard() -> None:
    logits = torch.zeros(1, 2, 3)
    logits[0, :, 2] = 50
    assert expected_errors(logits, [[]], 1, torch.Generator()).item() == 1


def test_logits_that_are_no_numbers_give_a_loss_that_is_none() -> None:
    assert expected_errors(torch.full((2, 3, 4), torch.nan), [[1], [2, 3]], 1, torch.Generator()).isnan()
