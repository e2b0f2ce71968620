"""Recipes: what is right is read, what is wrong is named."""

from pathlib import Path

import pytest
from torch.nn import LayerNorm

from helpers import SAMPLES
from streamcell.train.cells import ProjectedLSTM, ResetBeforeGRU, SigmoidElman
from streamcell.train.columns import Columns
from streamcell.train.recipe import LABELS, PhonemeRecipe, RecipeError, parse_recipe, read_recipe

GOOD = 'task = "phonemes"\nname = "tiny"\n[data]\ncorpora = [{path = "speech"}]\n'


def test_labels_are_blank_silence_and_39_phones() -> None:
    assert LABELS[:2] == ("<blank>", "SIL")
    assert len(LABELS) == 41
    assert list(LABELS[2:]) == sorted(LABELS[2:])


@pytest.mark.parametrize(
    "name",
    ["recipe", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth", "eleventh"],
)
def test_the_shipped_recipes_are_read_and_name_no_evaluation_data(name: str) -> None:
    recipe, text = read_recipe(SAMPLES / f"{name}.toml")
    assert isinstance(recipe, PhonemeRecipe)
    assert recipe.name == "phonemes-en"
    assert all(corpus.path.endswith("/train") for corpus in recipe.data.corpora)
    assert parse_recipe(text) == recipe


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (GOOD + "[model]\nhiden = 3\n", "'model.hiden'; did you mean 'hidden'"),
        (
            'task = "phonemes"\nname = "x"\n[data]\ncorpora = [{path = "a", wieght = 2.0}]\n',
            r"'data.corpora\[0\].wieght'; did you mean 'weight'",
        ),
        (GOOD + "zzzz = 3\n", "'data.zzzz'; known here: corpora, noise"),
        (GOOD + '[model]\ncell = "transformer"\n', "'model.cell' must be one of 'elman', .*, got 'transformer'$"),
        (GOOD + '[model]\ncell = ["gru", "lsmt", "gru"]\n', r"'model.cell\[1\]' .* got 'lsmt'; did you mean 'lstm'\?"),
        (
            GOOD + '[model]\ncell = ["gru", "lstm"]\n',
            r"one cell for each of 3 layers, got 2: gru, lstm - at `\$.model`",
        ),
        (GOOD + "[model]\nmemory = 9\n", "memory = 9 is for layers of 'lstm-projected', got gru, gru, gru"),
        (GOOD + "[model]\nnorm = 1\n", r"\$\.model\.norm"),
        (GOOD + "[model]\nhidden = 0\n", r"\$\.model\.hidden"),
        (GOOD + "[train]\naverage = 1.5\n", r"\$\.train\.average"),
        (GOOD + "[train]\nlearning_rate = 1e38\n", r"<= 1000.* - at `\$\.train\.learning_rate"),
        (GOOD + "[train]\nseed = 100000000000000000000\n", r"\$\.train\.seed"),
        (GOOD + "[train]\nlanes = 9223372036854775807\n", r"<= 2147483647.* - at `\$\.train\.lanes"),
        ("task = 'phonemes'\nname = 3", r"(missing|str)"),
        ('name = "tiny"', "recipe key 'task' must be one of .*'phonemes', .*, got None"),
        ("task = 3", "recipe key 'task' must be one of"),
        ("name = ", "not valid TOML"),
    ],
)
def test_what_is_wrong_is_named(text: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        parse_recipe(text)


def test_the_recurrent_layers_are_those_of_the_recipe() -> None:
    cells = 'cell = ["gru-reset-before", "lstm-projected", "elman-sigmoid"]'
    recipe = parse_recipe(f"{GOOD}[model]\n{cells}\nmemory = 9\nhidden = 6\nnorm = false\nresidual = false\n")
    stack = recipe.network(Columns(LABELS)).stack
    assert [type(cell) for cell in stack.cells()] == [ResetBeforeGRU, ProjectedLSTM, SigmoidElman]
    assert [cell.hidden_size for cell in stack.cells()] == [6, 9, 6]
    assert not stack.residual
    assert not any(isinstance(norm, LayerNorm) for norm in stack.norms)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"cannot read the recipe .*none\.toml"):
        read_recipe(tmp_path / "none.toml")
