"""Make synthetic films of a disc that moves, grows, shrinks or rests, with what it does in each picture.

    python samples/frames/films.py --out DATA/films --seed 1

Nothing was filmed: each picture is drawn, 16 by 16 points, at 10 pictures a second. A disc moves left, right, up or
down and turns round at the walls, grows, shrinks, or rests; what it does changes every 0.6 to 2 s. No single picture
tells which: it takes the ones before. `films.npz` holds films of the groups "training", "validation" and "test", drawn
from three seeds; `example.gif` is one more film.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIZE, RATE = 16, 10
NAMES = ("left", "right", "up", "down", "growing", "shrinking", "resting")
WAYS = {"left": (0, -1), "right": (0, 1), "up": (-1, 0), "down": (1, 0)}
BACK = {"left": "right", "right": "left", "up": "down", "down": "up", "growing": "shrinking", "shrinking": "growing"}
SMALLEST, LARGEST = 1.5, 4.5  # radius
FILMS = {"training": 400, "validation": 60, "test": 100}
LENGTH = 60


def film(random: np.random.Generator, length: int = LENGTH) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return pictures `[T, 16, 16]` and what the disc did since the one before; of the first nobody can say (-1)."""
    centre, radius = random.uniform(5, SIZE - 5, 2), float(random.uniform(2, 4))
    doing, left, speed = "resting", 0, 0.0
    dark, light = random.uniform(0, 0.25), random.uniform(0.55, 1)
    noise = random.uniform(0.01, 0.06)
    pictures, labels = [], []
    for _ in range(length):
        if not left:
            others = [name for name in NAMES if name != doing]
            doing, left = str(random.choice(others)), int(random.integers(6, 21))
            speed = float(random.uniform(0.4, 1.0))
        if at_limit(doing, centre, radius, speed):
            doing = BACK[doing]
        centre = centre + speed * np.array(WAYS.get(doing, (0, 0)))
        radius += 0.4 * speed * {"growing": 1, "shrinking": -1}.get(doing, 0)
        pictures.append(draw(centre, radius, dark, light) + noise * random.standard_normal((SIZE, SIZE)))
        labels.append(NAMES.index(doing))
        left -= 1
    labels[0] = -1
    return (np.clip(np.stack(pictures), 0, 1) * 255).astype(np.uint8), np.array(labels)


def at_limit(doing: str, centre: NDArray[np.float64], radius: float, speed: float) -> bool:
    """Say whether the disc cannot go on as it does."""
    if doing in WAYS:
        after = centre + speed * np.array(WAYS[doing])
        return bool((after < 2).any() or (after > SIZE - 3).any())
    change = 0.4 * speed
    return (doing == "growing" and radius + change > LARGEST) or (doing == "shrinking" and radius - change < SMALLEST)


def draw(centre: NDArray[np.float64], radius: float, dark: float, light: float) -> NDArray[np.float64]:
    """Return a disc with soft edges."""
    rows, columns = np.mgrid[:SIZE, :SIZE]
    inside = np.clip(radius + 0.5 - np.hypot(rows - centre[0], columns - centre[1]), 0, 1)
    return np.asarray(dark + (light - dark) * inside)


def main() -> None:
    """Parse, draw, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for films.npz and example.gif")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    films, groups = [], []
    for number, (group, count) in enumerate(FILMS.items()):
        random = np.random.default_rng([args.seed, number])
        films += [film(random) for _ in range(count)]
        groups += [group] * count
    pictures, labels = (np.stack(part) for part in zip(*films, strict=True))
    np.savez_compressed(args.out / "films.npz", pictures=pictures, labels=labels, names=NAMES, groups=groups)
    example, said = film(np.random.default_rng([args.seed, len(FILMS)]))
    images = [Image.fromarray(picture) for picture in example]
    images[0].save(args.out / "example.gif", save_all=True, append_images=images[1:], duration=1000 // RATE, loop=0)
    for start in (0, *(np.flatnonzero(np.diff(said)) + 1)):
        print(f"{start / RATE:5.1f} s  {NAMES[said[start]] if said[start] >= 0 else '-'}")


if __name__ == "__main__":
    main()
