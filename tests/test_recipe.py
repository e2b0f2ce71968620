"""Recipes: what is right is read, what is wrong is named."""

from pathlib import Path

import pytest

from helpers import SAMPLES
from streamcell.train.recipe import LABELS, PhonemeRecipe, RecipeError, parse_recipe, read_recipe

GOOD = 'task = "phonemes"\nname = "tiny"\n[data]\ncorpora = [{path = "speech"}]\n'


def test_labels_are_blank_silence_and_39_phones() -> None:
    assert LABELS[:2] == ("<blank>", "SIL")
    assert len(LABELS) == 41
    assert list(LABELS[2:]) == sorted(LABELS[2:])


def test_the_shipped_recipe_is_read_and_names_no_evaluation_data() -> None:
    recipe, text = read_recipe(SAMPLES / "recipe.toml")
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
        (GOOD + '[model]\ncell = "transformer"\n', r"Invalid enum value 'transformer'"),
        (GOOD + "[model]\nhidden = 0\n", r"\$\.model\.hidden"),
        (GOOD + "[train]\naverage = 1.5\n", r"\$\.train\.average"),
        ("task = 'phonemes'\nname = 3", r"(missing|str)"),
        ('name = "tiny"', "recipe key 'task' must be one of 'phonemes', 'sensor', got None"),
        ("task = 3", "recipe key 'task' must be one of"),
        ("name = ", "not valid TOML"),
    ],
)
def test_what_is_wrong_is_named(text: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        parse_recipe(text)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"cannot read the recipe .*none\.toml"):
        read_recipe(tmp_path / "none.toml")
