"""Prefix search against its definition: every path of labels over the frames, added up."""

import math
from collections import defaultdict
from functools import cache
from itertools import pairwise, product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from streamcell.runtime.decode.gains import Gains, make_gains
from streamcell.runtime.decode.prefixes import Prefixes
from streamcell.runtime.decode.spikes import Spike
from streamcell.runtime.errors import InputError
from streamcell.runtime.lm import NGram, train_ngram

LABELS = ("<blank>", "A", "B", "C")
ENDLESS = 10**6
Prefix = tuple[int, ...]


def random_log_probs(frames: int, seed: int, columns: int = len(LABELS)) -> NDArray[np.float64]:
    logits = 2 * np.random.default_rng(seed).standard_normal((frames, columns))
    log_probs: NDArray[np.float64] = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    return log_probs


@cache
def ngram(order: int) -> NGram:
    return train_ngram([["A", "B", "A"], ["B", "B", "C"], ["A"]], order, tokens=LABELS[1:])


def gains(order: int, weight: float = 0.7, prior: float = 0.3, bonus: float = 0.2) -> Gains:
    return make_gains(LABELS, ngram(order) if order else None, weight, prior, bonus, (0,))


def collapse(path: Prefix) -> Prefix:
    return tuple(now for before, now in zip((0, *path[:-1]), path, strict=True) if now not in {before, 0})


def gain(prefix: Prefix, order: int, weight: float = 0.7, prior: float = 0.3, bonus: float = 0.2) -> float:
    """Score a prefix by the n-gram's definition."""
    total = bonus * len(prefix)
    names = ["<s>", *(LABELS[label] for label in prefix)]
    for place in range(1, len(names)) if order else ():
        said = ngram(order).log10(names[:place], names[place])
        total += math.log(10) * (weight * said - prior * ngram(order).log10((), names[place]))
    return total


def by_hand(log_probs: NDArray[np.float64], order: int) -> dict[Prefix, float]:
    mass: dict[Prefix, float] = defaultdict(float)
    for path in product(range(log_probs.shape[1]), repeat=len(log_probs)):
        mass[collapse(path)] += math.exp(sum(log_probs[t, label] for t, label in enumerate(path)))
    return {prefix: math.log(total) + gain(prefix, order) for prefix, total in mass.items()}


def searched(log_probs: NDArray[np.float64], by: Gains, width: int = 10**4, margin: float = math.inf) -> Prefixes:
    search = Prefixes(0, by, width, margin)
    for frame, row in enumerate(log_probs):
        hear(search, frame, row)
    return search


def hear(search: Prefixes, frame: int, row: NDArray[np.float64]) -> None:
    labels = np.arange(1, len(row))
    search.hear(frame, row, labels, np.exp(row[labels]).tolist())


@pytest.mark.parametrize("order", [0, 1, 2, 3, 4])
@pytest.mark.parametrize("frames", [1, 2, 5])
def test_an_endless_beam_has_every_prefix_with_the_probability_of_all_its_paths(order: int, frames: int) -> None:
    log_probs = random_log_probs(frames, 10 * order + frames)
    found, expected = searched(log_probs, gains(order)).scores, by_hand(log_probs, order)
    assert found.keys() == expected.keys()
    np.testing.assert_allclose([found[prefix] for prefix in expected], list(expected.values()), rtol=0, atol=1e-9)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 6), st.integers(2, 4), st.integers(0, 3))
def test_so_has_any_endless_beam(seed: int, frames: int, columns: int, order: int) -> None:
    log_probs = random_log_probs(frames, seed, columns)
    by = make_gains(LABELS[:columns], ngram(order) if order else None, 0.7, 0.3, 0.2, (0,))
    found, expected = searched(log_probs, by).scores, by_hand(log_probs, order)
    assert found.keys() == expected.keys()
    np.testing.assert_allclose([found[prefix] for prefix in expected], list(expected.values()), rtol=0, atol=1e-9)


def test_where_no_label_begins_prefixes_stay_and_take_all_their_paths() -> None:
    log_probs = random_log_probs(5, 1)
    search = searched(log_probs[:3], gains(2))
    prefixes = set(search.scores)
    for row in log_probs[3:]:
        search.wait(row)
    paths = [path for path in product(range(4), repeat=5) if collapse(path) == collapse(path[:3])]
    assert {collapse(path) for path in paths} == search.scores.keys() == prefixes
    for prefix, score in search.scores.items():
        mass = sum(math.exp(log_probs[range(5), path].sum()) for path in paths if collapse(path) == prefix)
        assert score == pytest.approx(math.log(mass) + gain(prefix, 2), abs=1e-9)


@pytest.mark.parametrize("seed", range(10))
def test_a_narrow_beam_keeps_the_best_and_says_no_more_of_them_than_is_true(seed: int) -> None:
    log_probs = random_log_probs(6, seed)
    expected = by_hand(log_probs, 2)
    for width in (1, 3, 8):
        found = searched(log_probs, gains(2), width).scores
        assert len(found) == width
        assert all(score <= expected[prefix] + 1e-9 for prefix, score in found.items())
    best = max(expected, key=lambda prefix: expected[prefix])
    assert max(found, key=lambda prefix: found[prefix]) == best
    close = searched(log_probs, gains(2), margin=3.0).scores
    assert 1 < len(close) < len(expected)
    assert min(close.values()) >= max(close.values()) - 3


def test_the_end_of_the_utterance_counts() -> None:
    by = make_gains(LABELS, train_ngram([["A"]] * 50 + [["B", "C"]] * 50, 2), 3.0, 0.0, 0.0, (0,))
    search = Prefixes(0, by, 20, math.inf)
    hear(search, 0, np.log(np.array([0.02, 0.4, 0.56, 0.02])))
    assert max(search.scores, key=lambda prefix: search.scores[prefix]) == (2,)
    assert [spike.label for spike in search.finish()] == [1]


def alignment(log_probs: NDArray[np.float64], labels: Prefix) -> tuple[int, ...]:
    """Return where labels begin on their most probable path."""
    paths = (path for path in product(range(4), repeat=len(log_probs)) if collapse(path) == labels)
    best = max(paths, key=lambda path: sum(log_probs[t, k] for t, k in enumerate(path)))
    return tuple(t for t, k in enumerate(best) if k and (t == 0 or best[t - 1] != k))


@pytest.mark.parametrize("seed", range(20))
def test_labels_are_where_they_were_heard(seed: int) -> None:
    """Spikes as a trained network has them: the most probable path is the one that brings most."""
    random = np.random.default_rng(seed)
    frames = np.sort(random.choice(np.arange(0, 9, 2), 3, replace=False))
    labels = tuple(random.integers(1, 4, 3).tolist())
    probs = np.full((9, 4), 0.02)
    probs[:, 0] = 0.94
    for frame, label in zip(frames, labels, strict=True):
        probs[frame, [0, label]] = 0.06, 0.9
    spikes = searched(np.log(probs), gains(0), 16).finish()
    assert tuple(spike.label for spike in spikes) == labels
    assert tuple(spike.frame for spike in spikes) == tuple(frames) == alignment(np.log(probs), labels)
    np.testing.assert_allclose([spike.share for spike in spikes], 0.9)


def settled(log_probs: NDArray[np.float64], width: int, delay: int) -> tuple[list[Spike], list[int]]:
    """Return all labels, and for each how many frames it took to settle."""
    search, found, took = Prefixes(0, gains(2), width, math.inf), list[Spike](), list[int]()
    for frame, row in enumerate(log_probs):
        hear(search, frame, row)
        before = search.horizon
        new = search.settle(frame, delay)
        assert all(before <= spike.frame < search.horizon <= frame + 1 for spike in new)
        assert search.horizon >= max(before, frame - delay + 1)
        took += [frame - spike.frame for spike in new]
        found += new
    return found + search.finish(), took


@pytest.mark.parametrize("seed", range(10))
def test_what_settles_early_is_what_would_have_come_out(seed: int) -> None:
    log_probs = random_log_probs(60, seed) * 4
    log_probs -= np.log(np.exp(log_probs).sum(1, keepdims=True))
    whole = searched(log_probs, gains(2), 4).finish()
    found, took = settled(log_probs, 4, ENDLESS)
    assert [spike.label for spike in found] == [spike.label for spike in whole]
    assert took, "some settle before the end"
    frames = [spike.frame for spike in found]
    assert frames == sorted(set(frames))


@pytest.mark.parametrize("delay", [1, 3, 10])
def test_what_is_old_settles(delay: int) -> None:
    for seed in range(10):
        found, took = settled(random_log_probs(80, seed), 12, delay)
        assert max(took) <= delay, f"seed {seed}"
        frames = [spike.frame for spike in found]
        assert frames == sorted(set(frames)), f"seed {seed}"


@pytest.mark.parametrize("seed", range(3))
def test_restored_equals_uninterrupted(seed: int) -> None:
    log_probs = random_log_probs(30, seed)
    one = Prefixes(0, gains(3), 8, 9.0)
    for frame, row in enumerate(log_probs):
        again = Prefixes(0, gains(3), 8, 9.0, one.horizon)
        again.restore(one.arrays(), frame)
        for search in (one, again):
            hear(search, frame, row)
        assert again.settle(frame, 5) == one.settle(frame, 5)
        assert again.scores == one.scores
        assert again.finish() == one.finish()


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("at_blank", lambda a: a[:-1]),
        ("at_blank", lambda a: a.astype(np.float32)),
        ("at_label", lambda a: a * np.nan),
        ("context", lambda a: a + 10**6),
        ("last", lambda a: a * 0),
        ("lengths", lambda a: a + 1),
        ("lengths", lambda a: a - 10),
        ("frames", lambda a: a + 100),
        ("frames", lambda a: a - 100),
        ("labels", lambda a: a * 0),
        ("labels", lambda a: a * 0 + 1),
        ("shares", lambda a: a + 2),
        ("shares", lambda a: a[:, None]),
    ],
)
def test_forged_arrays_are_refused(name: str, change: Any) -> None:
    arrays = searched(random_log_probs(6, 0), gains(2), 8).arrays()
    Prefixes(0, gains(2), 8, math.inf).restore(arrays, 6)
    with pytest.raises(ValueError):
        Prefixes(0, gains(2), 8, math.inf).restore({**arrays, name: change(arrays[name])}, 6)


def test_gains_are_what_they_say() -> None:
    by = gains(3)
    context = by.start
    for place, label in enumerate((1, 2, 1, 1, 3)):
        prefix = (1, 2, 1, 1, 3)[: place + 1]
        assert by.scores[context, label] == pytest.approx(gain(prefix, 3) - gain(prefix[:-1], 3), abs=1e-12)
        context = int(by.follow(np.array([context]), np.array([label]))[0])
    assert (by.scores[:, 0] == 0).all()
    assert gains(3) is by, "a table is made once"
    with pytest.raises(InputError, match="the language model knows no 'D'"):
        make_gains((*LABELS, "D"), ngram(2), 1.0, 0.0, 0.0, (0,))


FORMS = (1, 2, 3, 1, 2)  # columns of A, B, C, A_B, B_B; they are tokens 1 to 5


@cache
def ngram_of_forms() -> NGram:
    said = [["A_B", "B", "A"], ["B_B", "B", "C"], ["A_B"], ["C", "A"]]
    return train_ngram(said, 2, tokens=("A", "B", "C", "A_B", "B_B"))


def gain_of_forms(prefix: Prefix) -> float:
    """Score a prefix of forms by definition; what single labels have counts for all forms of a label together."""
    lm, total, names = ngram_of_forms(), 0.0, ("A", "B", "C", "A_B", "B_B")
    said = ["<s>", *(names[token - 1] for token in prefix)]
    for before, token in pairwise(said):
        alike = [name for name in names if name[0] == token[0]]
        usual = math.log(sum(10 ** lm.log10((), name) for name in alike))
        total += 0.7 * math.log(10) * lm.log10([before], token) - 0.3 * usual + 0.2
    return total


@pytest.mark.parametrize("seed", range(3))
def test_forms_of_a_label_sound_alike(seed: int) -> None:
    log_probs = random_log_probs(4, seed)
    mass = {labels: score - gain(labels, 0) for labels, score in by_hand(log_probs, 0).items()}
    expected = {}
    for labels, score in mass.items():
        for prefix in product(*([token for token, column in enumerate(FORMS, 1) if column == k] for k in labels)):
            expected[prefix] = score + gain_of_forms(prefix)
    search = searched(log_probs, make_gains(LABELS, ngram_of_forms(), 0.7, 0.3, 0.2, (0,)))
    assert search.scores.keys() == expected.keys()
    np.testing.assert_allclose([search.scores[one] for one in expected], list(expected.values()), rtol=0, atol=1e-9)


def test_spikes_are_of_labels_whatever_their_form() -> None:
    by = make_gains(LABELS, ngram_of_forms(), 0.7, 0.3, 0.2, (0,))
    one, found, forms = Prefixes(0, by, 8, 9.0), list[Spike](), set[int]()
    for frame, row in enumerate(random_log_probs(30, 4)):
        again = Prefixes(0, by, 8, 9.0, one.horizon)
        again.restore(one.arrays(), frame)
        for search in (one, again):
            hear(search, frame, row)
        forms |= {token for prefix in one.scores for token in prefix}
        found += one.settle(frame, 5)
        again.settle(frame, 5)
        assert again.scores == one.scores
        assert again.finish() == one.finish()
    assert forms == {1, 2, 3, 4, 5}
    assert {spike.label for spike in found} == {1, 2, 3}


def test_a_label_may_be_listed_in_forms_only() -> None:
    only = train_ngram([["A_B", "A_I", "B_S"], ["C_S"]], 2)
    by = make_gains(LABELS, only, 1.0, 0.0, 0.0, (0,))
    assert by.columns.tolist() == [0, 1, 2, 3, 1]
    assert by.scores[by.start, 1] == pytest.approx(math.log(10) * only.log10(["<s>"], "A_B"), abs=1e-12)
    labels = ("<blank>", "A", "B", "A_B")  # where A_B is a label, it is no form of A
    assert make_gains(labels, ngram_of_forms(), 1.0, 0.0, 0.0, (0,)).columns.tolist() == [0, 1, 2, 3, 2]
