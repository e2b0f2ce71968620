"""N-grams: counts and smoothing against the formula, tables against the definition, ARPA files there and back."""

import math
from collections import Counter
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamcell.runtime.errors import InputError
from streamcell.runtime.lm import NGram, Table, read_arpa, train_ngram, write_arpa

SAID = [["A", "B", "A"], ["B", "B", "C"], ["A"], ["C", "A", "B", "A"], []]
WEIGHTS = [1.0, 2.0, 0.5, 1.0, 1.0]
TOKENS = ["A", "B", "C", "D"]


def by_formula(said: list[list[str]], weights: list[float], context: tuple[str, ...], token: str, last: int) -> float:
    """Return P(token | context) as Witten and Bell have it; ``last`` different tokens may follow nothing."""
    behind = Counter[str]()
    for row, weight in zip(said, weights, strict=True):
        names = ["<s>", *row, "</s>"]
        for end in range(1, len(names)):
            if tuple(names[max(0, end - len(context)) : end]) == context:
                behind[names[end]] += weight  # type: ignore[assignment]
    lower = by_formula(said, weights, context[1:], token, last) if context else 1 / last
    if not behind:
        return lower
    return (behind[token] + len(behind) * lower) / (behind.total() + len(behind))


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_probabilities_are_the_formulas_and_add_up_to_one(order: int) -> None:
    model = train_ngram(SAID, order, WEIGHTS, TOKENS)
    for length in range(order):
        for context in product(["<s>", *TOKENS], repeat=length):
            if "<s>" in context[1:]:
                continue
            probs = {token: 10 ** model.log10(context, token) for token in [*TOKENS, "</s>"]}
            assert sum(probs.values()) == pytest.approx(1, abs=1e-9)
            for token, prob in probs.items():
                assert prob == pytest.approx(by_formula(SAID, WEIGHTS, context, token, 5), abs=1e-12), context
    assert model.log10(["A"] * 9, "B") == model.log10(["A"] * (order - 1), "B")


def test_perplexity_is_the_inverse_geometric_mean() -> None:
    model = train_ngram(SAID, 3, WEIGHTS)
    expected = [
        by_formula(SAID, WEIGHTS, context, token, 4)
        for context, token in [(("<s>",), "B"), (("<s>", "B"), "A"), (("B", "A"), "</s>"), (("<s>",), "</s>")]
    ]
    assert model.perplexity([["B", "A"], []]) == pytest.approx(math.prod(expected) ** -0.25)
    assert math.isnan(model.perplexity([]))


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_a_table_says_what_the_model_says(order: int) -> None:
    model = train_ngram(SAID, order, WEIGHTS, TOKENS)
    labels = ["C", "A", "D", "B"]
    table = Table(model, labels)
    assert table.scores.shape == (6 ** (order - 1), 4)
    said, context = ["<s>"], table.start
    for column in (1, 1, 3, 0, 2, 3, 3, 1):
        for other, label in enumerate(labels):
            assert table.score(context, other) == pytest.approx(math.log(10) * model.log10(said, label), abs=1e-12)
        assert table.ends[context] == pytest.approx(math.log(10) * model.log10(said, "</s>"), abs=1e-12)
        context = table.follow(context, column)
        said.append(labels[column])


def same(a: NGram, b: NGram, tolerance: float) -> None:
    for left, right in zip((*a.probs, *a.backoffs), (*b.probs, *b.backoffs), strict=True):
        renamed = {tuple(a.tokens[n] for n in gram): value for gram, value in left.items()}
        again = {tuple(b.tokens[n] for n in gram): value for gram, value in right.items()}
        assert renamed.keys() == again.keys()
        np.testing.assert_allclose([again[gram] for gram in renamed], list(renamed.values()), rtol=0, atol=tolerance)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.lists(st.sampled_from("ABCDE"), max_size=8), min_size=1, max_size=12), st.integers(1, 4))
def test_an_arpa_file_there_and_back(said: list[list[str]], order: int) -> None:
    model = train_ngram(said, order)
    text = write_arpa(model)
    again = read_arpa(text)
    same(model, again, 6e-8)
    assert write_arpa(again) == text
    assert again.digest == read_arpa(text).digest
    assert again.perplexity(said) == pytest.approx(model.perplexity(said), rel=1e-5)


ARPA = """remark

\\data\\
ngram 1=4
ngram 2=2

\\1-grams:
-99\t<s>\t-0.3
-0.5\t</s>
-0.4 A -0.2
-0.6 <unk>

\\2-grams:
-0.1\t<s> A
-0.25 A </s>

\\end\\
"""


def test_a_file_of_another_program_is_read_with_its_unknown_token() -> None:
    model = read_arpa(ARPA.replace("\n", "\r\n"))
    assert (model.order, model.tokens) == (2, ("<s>", "</s>", "A", "<unk>"))
    assert model.log10(["<s>"], "A") == -0.1
    assert model.log10(["<s>"], "</s>") == pytest.approx(-0.3 - 0.5)
    assert model.log10(["A"], "Q") == pytest.approx(-0.2 - 0.6)
    assert model.log10(["A"], "<s>") == -99
    assert Table(model, ["Q", "A"]).score(0, 0) == pytest.approx(math.log(10) * (-0.3 - 0.6))


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("\\data\\", "data", r"expected \\data\\ ... \\end\\, got 'its end'"),
        ("ngram 1=4", "ngram 1=four", "line 4: expected 'ngram 1=NUMBER', got 'ngram 1=four'"),
        ("ngram 2=2", "ngram 3=2", "line 5: expected 'ngram 2=NUMBER'"),
        ("ngram 1=4", "ngram 1=5000", "at most 4096 tokens"),
        ("ngram 1=4\nngram 2=2\n", "", "line 5: expected an n-gram of order 1 to 4"),
        ("ngram 2=2\n", "ngram 2=2\nngram 3=0\nngram 4=0\nngram 5=0\n", "order 1 to 4"),
        ("\\1-grams:", "\\2-grams:", r"line 7: expected \\1-grams:"),
        ("-0.5\t</s>", "x\t</s>", "line 9: expected log10 of a probability, got 'x\\\\t</s>'"),
        ("-0.5\t</s>", "0.5\t</s>", "line 9: expected log10 of a probability"),
        ("-0.5\t</s>", "nan\t</s>", "line 9: expected log10 of a probability"),
        ("A -0.2", "A inf", "line 10: expected log10 of a backoff weight"),
        ("-0.6 <unk>\n", "", "line 12: expected 4 1-grams before, as .* says; there were 3"),
        ("-0.6 <unk>", "-0.6 <unk>\n-1 B", "line 12: expected one of 4 lines"),
        ("-0.6 <unk>", "-0.6 A", "line 11: expected each n-gram once"),
        ("<s> A\n", "<s> B\n", "line 14: expected tokens that are 1-grams \\('B' is none\\)"),
        ("<s> A\n", "<s> A -0.1\n", "line 14: expected one of 2 lines with a number, 2 tokens"),
        ("\\end\\", "\\fin\\", r"line 17: expected \\end\\"),
        ("\\end\\", "", "got 'its end'"),
        ("</s>", "<e>", "expected tokens that differ, <s> and </s> among them"),
    ],
)
def test_damage_is_refused_with_its_line(old: str, new: str, words: str) -> None:
    with pytest.raises(InputError, match=f"^lm.arpa.*{words}"):
        read_arpa(ARPA.replace(old, new), "lm.arpa")


def test_what_is_too_large_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streamcell.runtime.lm.arpa.MAX_TEXT", 100)
    with pytest.raises(InputError, match="at most 100 are read"):
        read_arpa(ARPA)
    many = train_ngram([[f"t{n}" for n in range(70)]], 4)
    with pytest.raises(InputError, match="a 4-gram of 72 tokens is too large for a table"):
        Table(many, ["t1"])


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"utterances": [], "order": 2}, "expected utterances"),
        ({"utterances": SAID, "order": 5}, "order must be from 1 to 4, got 5"),
        ({"utterances": [["A B"]]}, "expected tokens without spaces"),
        ({"utterances": [["<s>"]]}, "expected tokens without spaces, other than <s>"),
        ({"utterances": [["A"]], "weights": [0.0]}, "weight must be a number above 0, got 0.0"),
    ],
)
def test_what_cannot_be_counted_is_refused(given: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        train_ngram(**given)


def test_a_label_that_nobody_said_is_unknown() -> None:
    model = train_ngram(SAID, 2)
    with pytest.raises(InputError, match="the language model knows no 'D'"):
        Table(model, ["A", "D"])
    with pytest.raises(InputError, match="knows no 'E'"):
        model.perplexity([["E"]])
