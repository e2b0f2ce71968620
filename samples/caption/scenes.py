"""Draw synthetic scenes of one or two shapes, and say what is in them.

    python samples/caption/scenes.py --out runs/scenes
    python samples/caption/scenes.py --out runs/scenes --picture scene.png

Writes `scenes.npz`: pictures uint8 `[N, 24, 24, 3]`, captions, and the part of each: training, validation, test, and
unseen, whose scenes each hold one of four combinations of colour and shape that no other part has. With --picture, the
first test scene is written as a picture, too, and its caption printed.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIZE = 24  # rows and columns
FINE = 4  # points of a pixel along each axis
COLOURS = {
    "red": (220, 40, 40),
    "green": (50, 190, 70),
    "blue": (60, 90, 230),
    "yellow": (235, 215, 60),
    "white": (240, 240, 240),
}
SHAPES = ("circle", "square", "triangle", "cross")
SIZES = {"small": (2.8, 3.2), "large": (4.6, 5.2)}  # half the width, pixels
UNSEEN = {("red", "triangle"), ("blue", "circle"), ("yellow", "cross"), ("white", "square")}
PARTS = {"training": 40000, "validation": 1000, "test": 1000, "unseen": 1000}


@dataclass(frozen=True, slots=True)
class Thing:
    """One shape; `row` and `column` are its centre, `half` half its width, in pixels."""

    size: str
    colour: str
    shape: str
    row: float
    column: float
    half: float

    @property
    def words(self) -> str:
        """Return what it is."""
        return f"a {self.size} {self.colour} {self.shape}"


def caption(things: list[Thing]) -> str:
    """Return what is in a scene: one thing and its place, or the upper or left one of two first.

    >>> one = Thing("small", "red", "circle", 6.0, 7.0, 2.5)
    >>> caption([Thing("large", "blue", "cross", 18.0, 6.0, 4.5), one])
    'a small red circle above a large blue cross'
    >>> caption([one])
    'a small red circle at the top left'
    """
    if len(things) == 1:
        return f"{things[0].words} {_place(things[0])}"
    rows, columns = (abs(getattr(things[0], axis) - getattr(things[1], axis)) for axis in ("row", "column"))
    axis, relation = ("row", "above") if rows > columns else ("column", "left of")
    first, second = sorted(things, key=lambda thing: getattr(thing, axis))
    return f"{first.words} {relation} {second.words}"


def _place(thing: Thing) -> str:
    if max(abs(thing.row - SIZE / 2), abs(thing.column - SIZE / 2)) < SIZE / 10:
        return "in the middle"
    return f"at the {'top' if thing.row < SIZE / 2 else 'bottom'} {'left' if thing.column < SIZE / 2 else 'right'}"


def draw(things: list[Thing], random: np.random.Generator) -> NDArray[np.uint8]:
    """Return the picture of a scene `[24, 24, 3]`, edges smoothed, on a dark ground with noise."""
    picture = np.broadcast_to(random.uniform(10, 60, 3), (SIZE, SIZE, 3)).copy()
    for thing in things:
        rows, columns = (
            slice(int(centre - thing.half), int(centre + thing.half) + 1) for centre in (thing.row, thing.column)
        )
        y, x = np.meshgrid(_ticks(rows, thing.row), _ticks(columns, thing.column), indexing="ij")
        inside = _inside(thing.shape, y / thing.half, x / thing.half)
        covered = inside.reshape(rows.stop - rows.start, FINE, columns.stop - columns.start, FINE).mean(axis=(1, 3))
        colour = np.array(COLOURS[thing.colour]) * random.uniform(0.85, 1.05)
        picture[rows, columns] += covered[..., None] * (colour - picture[rows, columns])
    picture += random.normal(0, 6, picture.shape)
    return np.asarray(np.clip(picture, 0, 255), np.uint8)


def _ticks(pixels: slice, centre: float) -> NDArray[np.float64]:
    """Return where the fine points of some pixels are, from the centre."""
    return (np.arange(pixels.start * FINE, pixels.stop * FINE) + 0.5) / FINE - centre


def _inside(shape: str, y: NDArray[np.float64], x: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which points, in units of half the width, are of the shape."""
    box = (abs(y) <= 1) & (abs(x) <= 1)
    match shape:
        case "circle":
            return y**2 + x**2 <= 1
        case "square":
            return box
        case "triangle":
            return box & (2 * abs(x) <= 1 + y)
        case _:
            return box & ((abs(x) <= 1 / 3) | (abs(y) <= 1 / 3))


def scene(random: np.random.Generator) -> list[Thing]:
    """Return one or two things that do not touch, and of which it is plain where they are."""
    while True:
        things = [_thing(random) for _ in range(random.choice([1, 2], p=[0.25, 0.75]))]
        if _plain(things):
            return things


def _thing(random: np.random.Generator) -> Thing:
    size = str(random.choice(list(SIZES)))
    half = random.uniform(*SIZES[size])
    row, column = random.uniform(half + 0.5, SIZE - half - 0.5, 2)
    return Thing(size, str(random.choice(list(COLOURS))), str(random.choice(SHAPES)), row, column, half)


def _plain(things: list[Thing]) -> bool:
    rows, columns = (abs(getattr(things[0], axis) - getattr(things[-1], axis)) for axis in ("row", "column"))
    if len(things) == 2:
        apart = max(rows, columns) - 1 > things[0].half + things[1].half
        return bool(apart and max(rows, columns) > 1.5 * min(rows, columns))
    away = [abs(things[0].row - SIZE / 2), abs(things[0].column - SIZE / 2)]
    return bool(max(away) < SIZE / 12 or min(away) > SIZE / 8)


def scenes(part: str, count: int, seed: int) -> tuple[NDArray[np.uint8], list[str]]:
    """Return pictures and captions of a part."""
    random = np.random.default_rng([seed, list(PARTS).index(part)])
    pictures: list[NDArray[np.uint8]] = []
    captions: list[str] = []
    while len(captions) < count:
        things = scene(random)
        if any((thing.colour, thing.shape) in UNSEEN for thing in things) == (part == "unseen"):
            pictures.append(draw(things, random))
            captions.append(caption(things))
    return np.stack(pictures), captions


def main() -> None:
    """Parse, draw, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for scenes.npz")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--share", type=float, default=1.0, help="of the usual number of scenes")
    parser.add_argument("--picture", type=Path, help="where the first test scene goes")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    drawn = {part: scenes(part, max(1, round(count * args.share)), args.seed) for part, count in PARTS.items()}
    np.savez_compressed(
        args.out / "scenes.npz",
        pictures=np.concatenate([pictures for pictures, _ in drawn.values()]),
        captions=np.array([caption for _, captions in drawn.values() for caption in captions]),
        parts=np.array([part for part, (_, captions) in drawn.items() for _ in captions]),
    )
    if args.picture:
        Image.fromarray(drawn["test"][0][0]).save(args.picture)
        print(drawn["test"][1][0])


if __name__ == "__main__":
    main()
