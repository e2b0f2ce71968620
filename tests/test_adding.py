"""What is learnt over a hundred steps: not by an Elman network, but by an LSTM and a GRU of the same width."""

import numpy as np
import pytest

from benchmarks.adding import BASELINE, AddingTask, SumLanes, learn

LENGTH, UPDATES = 100, 250


def test_sequences_are_as_written() -> None:
    sums = SumLanes(50, 30, seed=3).draw()
    marks = sums.inputs[:, :, 1]
    assert (marks[:, :15].sum(1) == 1).all()
    assert (marks[:, 15:].sum(1) == 1).all()
    picked = [row[row[:, 1] == 1, 0].sum() for row in sums.inputs]
    np.testing.assert_allclose(sums.answers, picked, rtol=1e-6)
    many = SumLanes(20000, 10, seed=4).draw().answers
    assert float(((many - 1) ** 2).mean()) == pytest.approx(BASELINE, rel=0.03)


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_gates_carry_what_was_marked(cell: str) -> None:
    _, error = learn(AddingTask(cell, LENGTH, UPDATES, 32, 1e-2, seed=1))
    assert error < BASELINE / 10


def test_an_elman_network_does_not() -> None:
    _, error = learn(AddingTask("elman", LENGTH, UPDATES, 32, 1e-2, seed=1))
    assert error > BASELINE * 0.9
