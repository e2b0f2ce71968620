"""Make synthetic pictures of one shape each.

    python samples/still/shapes.py --out DATA/shapes --seed 1

Nothing was photographed: each picture is drawn, 24 by 24 points, a shape of any place, size, angle and brightness in
noise. `shapes.npz` holds pictures of the groups "training", "validation" and "test", drawn from three seeds;
`example.png` is one more.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

SIZE, FINE = 24, 8  # points, and how many times finer they are drawn
NAMES = ("circle", "ring", "triangle", "square", "cross", "star")
PICTURES = {"training": 4000, "validation": 500, "test": 1000}


def corners(name: str) -> NDArray[np.float64]:
    """Return the outline of a shape of radius 1, `[N, 2]`."""
    if name == "cross":
        a = 0.3
        quarter = np.array([[a, a], [a, 1.0], [-a, 1.0]])
        return np.concatenate([quarter @ turned(k * np.pi / 2) for k in range(4)])
    count, radii = {"triangle": (3, (1.0,)), "square": (4, (1.0,)), "star": (10, (1.0, 0.42))}[name]
    angles = 2 * np.pi * np.arange(count) / count
    radius = np.resize(radii, count)
    return np.stack([radius * np.cos(angles), radius * np.sin(angles)], axis=1)


def turned(angle: float) -> NDArray[np.float64]:
    """Return the matrix that turns a row by an angle."""
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


def picture(name: str, random: np.random.Generator) -> NDArray[np.uint8]:
    """Return a picture `[24, 24]` of a shape."""
    radius = random.uniform(5, 10)
    centre = random.uniform(radius + 1, SIZE - radius - 1, 2)
    image = Image.new("L", (SIZE * FINE, SIZE * FINE))
    pen = ImageDraw.Draw(image)
    if name in ("circle", "ring"):
        box = [float(x) for x in (*(FINE * (centre - radius)), *(FINE * (centre + radius)))]
        width = round(FINE * radius * random.uniform(0.2, 0.4))
        pen.ellipse(box, fill=255 if name == "circle" else None, outline=255, width=width)
    else:
        outline = corners(name) @ turned(random.uniform(0, 2 * np.pi)) * radius + centre
        pen.polygon([(float(x), float(y)) for x, y in FINE * outline], fill=255)
    shape = np.asarray(image.resize((SIZE, SIZE), Image.Resampling.BOX)) / 255
    dark, light = random.uniform(0, 0.3), random.uniform(0.5, 1)
    noisy = dark + (light - dark) * shape + random.uniform(0.01, 0.1) * random.standard_normal(shape.shape)
    return np.asarray(np.clip(noisy, 0, 1) * 255, np.uint8)


def main() -> None:
    """Parse, draw, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for shapes.npz and example.png")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    pictures, labels, groups = [], [], []
    for number, (group, count) in enumerate(PICTURES.items()):
        random = np.random.default_rng([args.seed, number])
        drawn = random.integers(len(NAMES), size=count)
        pictures += [picture(NAMES[label], random) for label in drawn]
        labels += drawn.tolist()
        groups += [group] * count
    films = np.stack(pictures)[:, None]  # films of one picture
    told = np.array(labels)[:, None]
    np.savez_compressed(args.out / "shapes.npz", pictures=films, labels=told, names=NAMES, groups=groups)
    Image.fromarray(picture("star", np.random.default_rng([args.seed, len(PICTURES)]))).save(args.out / "example.png")


if __name__ == "__main__":
    main()
