"""Score a model of names on the names that training never heard.

    python samples/names/score.py samples/names/names.onnx --data DATA --out confusions.png

Prints how many names were told rightly, macro-F1, and for each language how many of its names were told.
"""

from pathlib import Path

from streamcell.train.labels import LabelsScore
from streamcell.train.metrics import macro_f1
from streamcell.train.scoring import interval, score_script


def report(score: LabelsScore) -> None:
    """Print accuracy and macro-F1 with their 95% intervals, and the share of each label that was told."""
    labels = len(score.labels)
    right = interval(score.true, score.answered, labels, lambda matrix: float(matrix.trace() / matrix.sum()))
    mean = interval(score.true, score.answered, labels, macro_f1)
    print(f"{len(score.true)} names: {_share(1 - score.rate, right)} right")
    print(f"macro-F1 {_share(macro_f1(score.matrix), mean)}")
    for name, row, told in zip(score.labels, score.matrix, score.matrix.diagonal(), strict=True):
        print(f"{name:10} {100 * told / row.sum():5.1f}% of {row.sum()}")


def _share(value: float, bounds: tuple[float, float]) -> str:
    low, high = bounds
    return f"{100 * value:.1f}% (95% interval {100 * low:.1f} to {100 * high:.1f})"


if __name__ == "__main__":
    score_script(__doc__, Path(__file__).parent / "recipe.toml", report)
