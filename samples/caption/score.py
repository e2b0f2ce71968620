"""Score captions of scenes that training never saw: how many are right in every word.

    python samples/caption/scenes.py --out runs/scenes
    python samples/caption/score.py runs/scenes --out runs/caption-score

Prints the share of right captions of the test part, and of the unseen part, whose scenes each hold a combination of
colour and shape that training never had; and which words are wrong how often. With --out, `captions.png` and
`score.json` go there. --part validation scores what the network was chosen by.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TypeAlias

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from streamcell.runtime.linked import Linked
from streamcell.runtime.model import Model

HERE = Path(__file__).parent
KINDS = {
    "size": {"small", "large"},
    "colour": {"red", "green", "blue", "yellow", "white"},
    "shape": {"circle", "square", "triangle", "cross"},
    "place": {"above", "left", "right", "top", "bottom", "middle"},
}

Rows: TypeAlias = list[tuple[NDArray[np.uint8], str, str]]


def captions(pair: Linked, folder: Path, part: str) -> Rows:
    """Return pictures, what is in them, and what the files say of them."""
    with np.load(folder / "scenes.npz", allow_pickle=False) as file:
        mine = file["parts"] == part
        pictures, truths = file["pictures"][mine], file["captions"][mine]
    return [(one, str(truth), "".join(pair.text(one))) for one, truth in zip(pictures, truths, strict=True)]


def mistakes(rows: Rows) -> dict[str, float]:
    """Return the share of captions that are wrong in a size, a colour, a shape, a place."""

    def of(kind: str, text: str) -> list[str]:
        return [word for word in text.split() if word in KINDS[kind]]

    return {kind: float(np.mean([of(kind, truth) != of(kind, said) for _, truth, said in rows])) for kind in KINDS}


def draw(parts: dict[str, Rows], path: Path) -> None:
    """Draw the first scenes of each part with what is said of them, in red what is wrong."""
    figure = Figure(figsize=(12, 7.2), layout="constrained")
    axes = figure.subplots(len(parts) * 2, 4)
    shown = [(part, row) for part, rows in parts.items() for row in rows[:8]]
    for place, (part, (picture, truth, said)) in zip(axes.flat, shown, strict=True):
        place.imshow(picture)
        place.set_title("\n".join(_folded(said)), fontsize=8, color="black" if said == truth else "crimson")
        place.set_ylabel(part, fontsize=8)
        place.set_xticks([])
        place.set_yticks([])
    figure.savefig(path, dpi=100)


def _folded(text: str) -> list[str]:
    words = text.split()
    return [" ".join(words[:5]), " ".join(words[5:])]


def main() -> None:
    """Parse, score, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenes", type=Path, help="folder that scenes.py wrote")
    parser.add_argument("--encoder", type=Path, default=HERE / "scene.onnx")
    parser.add_argument("--decoder", type=Path, default=HERE / "caption.onnx")
    parser.add_argument(
        "--part", choices=("test", "validation"), default="test", help="test: and the unseen part (default)"
    )
    parser.add_argument("--out", type=Path, help="folder for captions.png and score.json")
    args = parser.parse_args()
    pair = Linked(Model.open(args.encoder), Model.open(args.decoder))
    names = ("validation",) if args.part == "validation" else ("test", "unseen")
    parts = {part: captions(pair, args.scenes, part) for part in names}
    scores = {}
    for part, rows in parts.items():
        right = float(np.mean([truth == said for _, truth, said in rows]))
        scores[part] = {"scenes": len(rows), "right": right, "wrong in": mistakes(rows)}
        wrong = ", ".join(f"{kind} {100 * share:.1f}%" for kind, share in mistakes(rows).items())
        print(f"{part}: {len(rows)} scenes, {100 * right:.1f}% of captions right in every word; wrong in {wrong}")
    if args.out:
        args.out.mkdir(parents=True, exist_ok=True)
        (args.out / "score.json").write_text(json.dumps(scores, indent=1), encoding="utf-8")
        draw(parts, args.out / "captions.png")


if __name__ == "__main__":
    main()
