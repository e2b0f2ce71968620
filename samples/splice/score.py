"""Score a model of splice junctions on the windows that training never heard, or the recipe over ten folds.

    python samples/splice/score.py samples/splice/splice.onnx --data DATA
    python samples/splice/score.py --folds runs/splice-folds --data DATA

The first prints the error of the model file on the recipe's test fold. The second trains ten networks, each without
another tenth of the windows, and prints the error on those tenths; folds that are there already are not trained again.
"""

from pathlib import Path

from streamcell.train.labels import LabelsScore
from streamcell.train.scoring import interval, score_script


def report(score: LabelsScore) -> None:
    """Print the error in all, with its 95% interval, and of each label."""
    matrix, labels = score.matrix, score.labels
    low, high = interval(score.true, score.answered, len(labels), lambda m: 1 - float(m.trace() / m.sum()))
    total = f"{100 * score.rate:.1f}% mistaken (95% interval {100 * low:.1f} to {100 * high:.1f})"
    print(f"{len(score.true)} windows: {total}")
    for name, row, right in zip(labels, matrix, matrix.diagonal(), strict=True):
        print(f"{name:2} {100 * (1 - right / row.sum()):5.1f}% of {row.sum()}")


if __name__ == "__main__":
    score_script(__doc__, Path(__file__).parent / "recipe.toml", report)
