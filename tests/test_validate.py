"""Scoring a network: the batch, its padding and its order change nothing."""

from pathlib import Path

import numpy as np
import torch

from streamcell.train.data.utterances import Utterance
from streamcell.train.models import PhonemeNet
from streamcell.train.recipe import LABELS
from streamcell.train.validate import collapse, validate


def test_batches_change_nothing() -> None:
    torch.manual_seed(2)
    network = PhonemeNet(len(LABELS), channels=8, hidden=16, layers=1)
    network.head.weight.data *= 8
    rng = np.random.default_rng(2)
    sounds = [rng.standard_normal(n).astype(np.float32) * 0.1 for n in (9000, 4801, 480, 16000, 12345)]
    utterances = [
        Utterance(
            str(i),
            "x",
            "y",
            Path(),
            ((0.0, 0.1, "K"), (0.1, 0.1, "AE")),
        )
        for i in range(5)
    ]
    together, alone = (
        validate(network, utterances, sounds, 3),
        [validate(network, [u], [s], 3) for u, s in zip(utterances, sounds, strict=True)],
    )
    heard = {one.utterance.id: one.hypothesis for one in together.scored}
    assert heard == {one.scored[0].utterance.id: one.scored[0].hypothesis for one in alone}
    assert any(heard.values())
    assert abs(together.loss - sum(one.loss for one in alone) / 5) < 1e-4


def test_repeats_need_a_blank_between_them() -> None:
    assert collapse([2, 2, 0, 2, 3, 3, 1, 3]) == [LABELS[2], LABELS[2], LABELS[3], LABELS[3]]
