"""Score a model of gestures on what training never heard: how often it is right after how much of a gesture.

    python samples/gestures/score.py samples/gestures/gestures.onnx --out runs/gestures

Prints the accuracy after each point of the path, with a 95% interval by bootstrap over blocks at the end. With --out,
`early.png`, `confusions.png` and `score.json` go there.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from streamcell.runtime.model import Model
from streamcell.train.data.sensor import Recording, read_sensor
from streamcell.train.metrics import confusion_matrix
from streamcell.train.plots import plot_confusions
from streamcell.train.recipe import SensorRecipe, read_recipe

HERE = Path(__file__).parent


def held_out(recipe: SensorRecipe, path: Path) -> list[Recording]:
    """Return the gestures of the recipe's test blocks that share no point with what training heard.

    A gesture has 16 points, and each row moves on by at least one of them; so the first and the last 32 rows of each
    run of blocks are left out.
    """
    data = recipe.data
    found = read_sensor(
        data.format, path, sample_rate=data.sample_rate, channels=data.channels, units=data.units, labels=data.labels
    )
    held, blocks = set(data.test_groups), list(dict.fromkeys(one.group for one in found.recordings))
    inner = {
        block
        for before, block, after in zip(blocks, blocks[1:], [*blocks[2:], ""], strict=False)
        if block in held and before in held and (after in held or not after)
    }
    return [one for one in found.recordings if one.group in inner]


def answers(model: Model, gestures: list[Recording]) -> NDArray[np.int64]:
    """Return the most probable label after each point, `[gestures, points]`, each gesture from the initial state."""
    outputs, _ = model.step(np.stack([one.values for one in gestures]), model.initial_state(len(gestures)))
    best: NDArray[np.int64] = outputs[model.manifest.outputs[0].name].argmax(-1)
    return best


def interval(right: NDArray[np.bool_], blocks: NDArray[np.str_]) -> tuple[float, float]:
    """Return the 95% interval of the accuracy by bootstrap over blocks, as neighbours overlap."""
    names = np.unique(blocks)
    sums = np.array([[right[blocks == name].sum(), (blocks == name).sum()] for name in names])
    drawn = np.random.default_rng(1).integers(len(names), size=(10000, len(names)))
    low, high = np.quantile(sums[drawn, 0].sum(1) / sums[drawn, 1].sum(1), [0.025, 0.975])
    return float(low), float(high)


def draw(right: NDArray[np.bool_], true: NDArray[np.int64], labels: tuple[str, ...], path: Path) -> None:
    """Draw accuracy against the share of the gesture seen, for all and for each label."""
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    share = 100 * np.arange(1, right.shape[1] + 1) / right.shape[1]
    for index, name in enumerate(labels):
        axes.plot(share, 100 * right[true == index].mean(axis=0), label=name, alpha=0.7)
    axes.plot(share, 100 * right.mean(axis=0), "k", linewidth=2.5, label="all")
    axes.set(xlabel="share of the gesture seen (%)", ylabel="right answers (%)", xlim=(0, 100), ylim=(0, 101))
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=110)


def main() -> None:
    """Parse, score, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="the exported model")
    parser.add_argument("--data", type=Path, default=HERE / "point_history.csv", help="default: the file beside this")
    parser.add_argument("--out", type=Path, help="folder for early.png, confusions.png and score.json")
    args = parser.parse_args()
    recipe, _ = read_recipe(HERE / "recipe.toml")
    if not isinstance(recipe, SensorRecipe):
        raise SystemExit("expected a recipe of task 'sensor'")
    model, gestures = Model.open(args.model), held_out(recipe, args.data)
    labels = model.manifest.outputs[0].labels
    true, given = np.array([one.labels[-1] for one in gestures]), answers(model, gestures)
    right = given == true[:, None]
    low, high = interval(right[:, -1], np.array([one.group for one in gestures]))
    early = right.mean(axis=0).tolist()
    print(f"{len(gestures)} gestures of {len({one.group for one in gestures})} blocks")
    for point in range(0, len(early), 3):
        print(f"after {point + 1:2} of {len(early)} points  {100 * early[point]:5.1f}%")
    print(f"at the end {100 * early[-1]:.1f}% (95% interval {100 * low:.1f} to {100 * high:.1f})")
    if args.out:
        args.out.mkdir(parents=True, exist_ok=True)
        scores = {"gestures": len(gestures), "accuracy_after_point": early, "interval": [low, high]}
        (args.out / "score.json").write_text(json.dumps(scores, indent=1), encoding="utf-8")
        matrix = confusion_matrix(true, given[:, -1], len(labels))
        counts = {(a, b): int(matrix[i, j]) for i, a in enumerate(labels) for j, b in enumerate(labels)}
        plot_confusions(counts, args.out / "confusions.png", labels)
        draw(right, true, labels, args.out / "early.png")


if __name__ == "__main__":
    main()
