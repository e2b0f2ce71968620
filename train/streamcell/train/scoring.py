"""How good labels of sequences are: of a model file on what was held out, or of a recipe over folds."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from streamcell.runtime.errors import InputError
from streamcell.runtime.model import Model
from streamcell.train.checkpoint import load_best
from streamcell.train.columns import Columns
from streamcell.train.data.batches import pad
from streamcell.train.data.labelled import Labelled
from streamcell.train.labels import LabelsScore, LabelsTask
from streamcell.train.recipe import LabelsRecipe, RecipeError, parse_recipe
from streamcell.train.session import Session

_BATCH = 64
_DRAWS = 2000


def score_fold(text: str, data: Path, out: Path) -> LabelsScore:
    """Train as a recipe says, unless that is done already, and return how good the best network is on its test groups.

    Args:
        text: the recipe, TOML, of task "labels".
        data: folder that its data are in.
        out: the run folder; a run that was stopped goes on.

    Raises:
        RecipeError: the recipe is of another task, or `out` holds a run of another recipe.
        StreamcellError: as `Session`.
    """
    recipe = parse_recipe(text)
    if not isinstance(recipe, LabelsRecipe):
        raise RecipeError(f"expected a recipe of task 'labels', got a {type(recipe).__name__}")
    if not (out / "done").exists():
        Session(recipe, text, data, out, resume=(out / "checkpoint.pt").exists()).run()
        (out / "done").touch()
    best = load_best(out)
    if msgspec.to_builtins(best.recipe) != msgspec.to_builtins(recipe):
        raise RecipeError(f"{out} was trained by another recipe; choose another folder")
    task = LabelsTask(recipe, data)
    return task.score(best.network, task.data.test)


def score_folds(text: str, data: Path, out: Path, count: int = 10) -> Iterator[LabelsScore]:
    """Train and score on each of `count` folds in turn, the one before it choosing the network.

    Args:
        text: the recipe, which holds out the last fold to test on and the one before it to choose by.
        data: folder that its data are in.
        out: folder for the runs; those that are there already are not trained again.
        count: the recipe's `data.folds`.
    """
    for test in range(1, count + 1):
        chosen_by = f'"fold {test - 1 or count}"'
        parts = [part.replace(f'"fold {count - 1}"', chosen_by) for part in text.split(f'"fold {count}"')]
        yield score_fold(f'"fold {test}"'.join(parts), data, out / f"fold {test}")


def score_model(model: Model, columns: Columns, sequences: Sequence[Labelled]) -> LabelsScore:
    """Return how good a model file is on `sequences`, each from the initial state, by its answer at the end.

    Raises:
        InputError: its symbols or labels are not those of the data.
    """
    heard, output = model.manifest.input, model.manifest.outputs[0]
    for what, mine, others in (("symbols", heard.symbols, columns.symbols), ("labels", output.labels, columns.labels)):
        if mine != others:
            raise InputError(
                f"the model's {len(mine)} {what} are not the {len(others)} of the data; "
                "score it on the data and by the recipe that it was trained with"
            )
    order = sorted(range(len(sequences)), key=lambda i: len(sequences[i].x))
    ends = np.zeros((len(sequences), len(output.labels)))
    for start in range(0, len(order), _BATCH):
        rows = order[start : start + _BATCH]
        batch = pad([sequences[row] for row in rows], heard.samples_per_step)
        outputs, _ = model.step(batch.x, model.initial_state(len(rows)))
        ends[rows] = outputs[output.name][np.arange(len(rows)), batch.lengths - 1]
    true = np.array([one.label for one in sequences])
    logs = ends - np.logaddexp.reduce(ends, axis=1, keepdims=True)
    loss = -float(logs[np.arange(len(true)), true].mean())
    return LabelsScore(output.labels, [one.group for one in sequences], true, ends.argmax(1), loss)


def interval(
    true: NDArray[np.int64], answered: NDArray[np.int64], labels: int, measure: Callable[[NDArray[np.int64]], float]
) -> tuple[float, float]:
    """Return the 95% interval of a measure of the confusion matrix, by bootstrap over sequences.

    >>> true = np.repeat([0, 1], 200)
    >>> low, high = interval(true, true * (np.arange(400) % 10 > 0), 2, lambda matrix: matrix.trace() / matrix.sum())
    >>> low < 0.95 < high
    True
    """
    random, pairs = np.random.default_rng(1), true * labels + answered
    matrix = np.bincount(pairs, minlength=labels * labels)
    drawn = random.multinomial(len(pairs), matrix / len(pairs), size=_DRAWS).reshape(-1, labels, labels)
    low, high = np.quantile([measure(one) for one in drawn], [0.025, 0.975])
    return float(low), float(high)


def joined(scores: Sequence[LabelsScore]) -> LabelsScore:
    """Return the scores of several folds as one."""
    counts = [len(one.true) for one in scores]
    return LabelsScore(
        scores[0].labels,
        [group for one in scores for group in one.of],
        np.concatenate([one.true for one in scores]),
        np.concatenate([one.answered for one in scores]),
        float(np.average([one.loss for one in scores], weights=counts)),
    )


def score_script(about: str, recipe: Path, report: Callable[[LabelsScore], None]) -> None:
    """Be the command line of a sample's score: a model file on the recipe's test group, or the recipe over its folds.

    Args:
        about: what the script does.
        recipe: its file.
        report: prints what is worth knowing.
    """
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, nargs="?", help="the exported model")
    parser.add_argument("--data", type=Path, required=True, help="folder that the recipe's data are in")
    parser.add_argument("--folds", type=Path, metavar="RUNS", help="train and score all folds instead; their folder")
    parser.add_argument("--out", type=Path, metavar="PNG", help="draw which label was taken for which")
    args = parser.parse_args()
    if (args.model is None) == (args.folds is None):
        parser.error("name a model, or a folder with --folds")
    text = recipe.read_text(encoding="utf-8")
    score = _of_folds(text, args.data, args.folds) if args.folds else _of_file(text, args.data, args.model)
    report(score)
    if args.out:
        score.draw(args.out)


def _of_folds(text: str, data: Path, out: Path) -> LabelsScore:
    scores: list[LabelsScore] = []
    for score in score_folds(text, data, out):
        print(f"fold {len(scores) + 1:2}: {100 * score.rate:.1f}% of {len(score.true)} mistaken", flush=True)
        scores.append(score)
    return joined(scores)


def _of_file(text: str, data: Path, model: Path) -> LabelsScore:
    recipe = parse_recipe(text)
    if not isinstance(recipe, LabelsRecipe):
        raise RecipeError(f"expected a recipe of task 'labels', got a {type(recipe).__name__}")
    found = recipe.data.read(data)
    return score_model(Model.open(model), found.columns, found.test)
