"""Phone error rate and confusions."""

import numpy as np
import pytest

from streamcell.train.metrics import ErrorRate, align, by_group, confusions, error_rate


def distance(a: list[str], b: list[str]) -> int:
    """Levenshtein's recurrence, written out."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        row, last = [i], row
        for j, y in enumerate(b, 1):
            row.append(min(last[j] + 1, row[-1] + 1, last[j - 1] + (x != y)))
    return row[-1]


@pytest.mark.parametrize("seed", range(20))
def test_error_rate_is_the_edit_distance(seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = (list(map(str, rng.integers(5, size=rng.integers(0, 30)))) for _ in range(2))
    found = error_rate(a, b)
    assert found.substitutions + found.deletions + found.insertions == distance(a, b)
    assert found.phones == len(a)
    pairs = align(a, b)
    assert [i for i, _ in pairs if i is not None] == list(range(len(a)))
    assert [j for _, j in pairs if j is not None] == list(range(len(b)))


def test_no_phones_is_not_a_rate() -> None:
    assert np.isnan(error_rate([], ["K"]).rate)


def test_confusions_and_groups_add_up() -> None:
    counts = confusions([(["K", "AE", "T"], ["K", "AH", "T", "S"]), (["K"], [])])
    assert counts == {("K", "K"): 1, ("AE", "AH"): 1, ("T", "T"): 1, ("-", "S"): 1, ("K", "-"): 1}
    assert by_group([("a", ErrorRate(1, 0, 0, 4)), ("b", ErrorRate()), ("a", ErrorRate(0, 1, 0, 6))])["a"].rate == 0.2
