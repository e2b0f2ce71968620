"""Score the handwriting model: characters that it knows by new hands, and characters that it never saw.

    python samples/handwriting/score.py samples/handwriting/handwriting.onnx --data DATA/handwriting --out runs/score

(a) Characters of small1, drawn by the drawers that training never saw. (b) Characters of small2's alphabets that small1
does not have, 20 ways: 20 characters are drawn by lot, of each one or five drawings by lot are examples, and further
ones are given to the character whose mean embedding is nearest (by cosine). The embedding is the model's state after
the last step: what it has put together of the drawing. Nothing is trained on small2. 400 such tests each, with a 95%
interval.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from streamcell.runtime.model import Model
from streamcell.train.data.labelled import Labelled
from streamcell.train.data.strokes import read_strokes

WAYS, TESTS, QUERIES = 20, 400, 5  # queries: further drawings of each character
EMBEDDING = "h1"

Floats = NDArray[np.float32]


def hear(model: Model, drawing: Labelled) -> tuple[Floats, Floats]:
    """Return the logits at a drawing's end, and its embedding of length 1."""
    outputs, state = model.step(drawing.x[None], model.initial_state())
    embedding = state[EMBEDDING].ravel()
    return outputs[model.manifest.outputs[0].name][0, -1], embedding / np.linalg.norm(embedding)


def few_shot(by_character: list[Floats], shots: int, random: np.random.Generator) -> float:
    """Return the share of right answers of one test; `by_character` has embeddings `[drawings, H]`."""
    chosen = random.choice(len(by_character), WAYS, replace=False)
    lots = [by_character[i][random.permutation(len(by_character[i]))[: shots + QUERIES]] for i in chosen]
    means = np.stack([lot[:shots].mean(axis=0) for lot in lots])
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    queries = np.stack([lot[shots:] for lot in lots])  # [WAYS, QUERIES, H]
    answers = (queries @ means.T).argmax(-1)
    return float((answers == np.arange(WAYS)[:, None]).mean())


def draw(drawings: list[Labelled], answers: list[str], names: tuple[str, ...], path: Path) -> None:
    """Draw some drawings with what they are and what they were taken for."""
    figure = Figure(figsize=(12, 5), layout="constrained")
    for axes, one, answer in zip(figure.subplots(2, 6).ravel(), drawings, answers, strict=False):
        places = np.concatenate([[[0.0, 0.0]], one.x[:, :2]])
        for begin, end, pen in zip(places[:-1], places[1:], one.x[:, 4], strict=True):
            if pen:
                axes.plot(*np.stack([begin, end]).T, "k", linewidth=2)
        right = names[one.label] == answer
        axes.set_title(
            names[one.label] + ("" if right else f"\ntaken for {answer}"), color="k" if right else "r", size=9
        )
        axes.set_aspect("equal")
        axes.axis("off")
    figure.savefig(path, dpi=100)


def known(model: Model, path: Path, out: Path | None) -> None:
    """Print (a)."""
    groups = ("19", "20")
    data = read_strokes(path, validation_groups=("17", "18"), test_groups=groups)
    names = model.manifest.outputs[0].labels
    if names != data.columns.labels:
        raise SystemExit(f"{path} has other characters than the model")
    logits = np.stack([hear(model, one)[0] for one in data.test])
    true = np.array([one.label for one in data.test])
    ranks = (logits > logits[np.arange(len(true)), true, None]).sum(axis=1)
    alphabets = np.array([name.rsplit(" ", 1)[0] for name in names])[true]
    print(f"(a) {len(true)} drawings of {len(names)} characters by drawers {' and '.join(groups)} of each alphabet:")
    print(f"    right {100 * (ranks == 0).mean():.1f}%, among the first five {100 * (ranks < 5).mean():.1f}%")
    for alphabet in dict.fromkeys(alphabets):
        print(f"      {alphabet:14} {100 * (ranks == 0)[alphabets == alphabet].mean():5.1f}%")
    if out:
        out.mkdir(parents=True, exist_ok=True)
        some = np.random.default_rng(1).permutation(len(true))[:12]
        answers = [names[logits[i].argmax()] for i in some]
        draw([data.test[i] for i in some], answers, names, out / "examples.png")


def unseen(model: Model, path: Path) -> None:
    """Print (b)."""
    data = read_strokes(path, validation_groups=("20",))
    heard = {name.rsplit(" ", 1)[0] for name in model.manifest.outputs[0].labels}
    new = [i for i, name in enumerate(data.columns.labels) if name.rsplit(" ", 1)[0] not in heard]
    drawings = [*data.training, *data.validation]
    embedded = {i: np.stack([hear(model, one)[1] for one in drawings if one.label == i]) for i in new}
    alphabets = sorted({data.columns.labels[i].rsplit(" ", 1)[0] for i in new})
    print(f"(b) {len(new)} characters never seen, of {', '.join(alphabets)}; {WAYS} ways:")
    for shots in (1, 5):
        random = np.random.default_rng(shots)
        right = np.array([few_shot(list(embedded.values()), shots, random) for _ in range(TESTS)])
        half = 196 * right.std() / np.sqrt(TESTS)
        print(f"    {shots} shot{'s' if shots > 1 else ''}: {100 * right.mean():.1f}% +- {half:.1f}")


def main() -> None:
    """Parse, score, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="the exported model")
    parser.add_argument("--data", type=Path, required=True, help="folder of the two archives")
    parser.add_argument("--out", type=Path, help="folder for examples.png")
    args = parser.parse_args()
    model = Model.open(args.model)
    known(model, args.data / "strokes_background_small1.zip", args.out)
    unseen(model, args.data / "strokes_background_small2.zip")


if __name__ == "__main__":
    main()
