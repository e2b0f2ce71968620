"""Score a model of sentiment on the sentences that training never heard, or the recipe over ten folds.

    python samples/sentiment/score.py samples/sentiment/sentiment.onnx --data DATA
    python samples/sentiment/score.py --folds runs/sentiment-folds --data DATA

The first prints F1 and accuracy of the model file on the recipe's test fold. The second trains ten networks, each
without another tenth of the sentences, and prints both on those tenths; folds that are there already are not trained
again.
"""

from pathlib import Path

from streamcell.train.labels import LabelsScore
from streamcell.train.metrics import macro_f1
from streamcell.train.scoring import interval, score_script


def report(score: LabelsScore) -> None:
    """Print F1, the mean of both labels', with its 95% interval, and accuracy."""
    low, high = interval(score.true, score.answered, len(score.labels), macro_f1)
    f1 = f"F1 {100 * macro_f1(score.matrix):.1f} (95% interval {100 * low:.1f} to {100 * high:.1f})"
    print(f"{len(score.true)} sentences: {f1}, {100 * (1 - score.rate):.1f}% right")


if __name__ == "__main__":
    score_script(__doc__, Path(__file__).parent / "recipe.toml", report)
