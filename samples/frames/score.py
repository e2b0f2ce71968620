"""Score the labels of films' pictures: how many are right, and how soon after the disc does something else.

    python samples/frames/score.py samples/frames/frames.onnx --data DATA/films/films.npz

Scored are the films of the group "test", the state carried through each, by the most probable label of each picture.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from streamcell.runtime.model import Model
from streamcell.train.data.films import read_films

SHOWN = (1, 2, 3, 4, 5, 6)


def since_change(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return for each picture `[N, T]` how many, itself among them, have had its label in a row."""
    count = np.ones_like(labels)
    for step in range(1, labels.shape[1]):
        count[:, step] = np.where(labels[:, step] == labels[:, step - 1], count[:, step - 1] + 1, 1)
    return count


def main() -> None:
    """Parse, score, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="the exported model")
    parser.add_argument("--data", type=Path, required=True, help="films.npz")
    args = parser.parse_args()
    model = Model.open(args.model)
    spec, names = model.manifest.input, model.manifest.outputs[0].labels
    rows, columns, colours = spec.image
    data = read_films(args.data, image=(rows, columns, colours), sample_rate=spec.sample_rate)
    films = [one for one in data.recordings if one.group == "test"]
    x, true = np.stack([one.values for one in films]), np.stack([one.labels for one in films])
    outputs, _ = model.step(x, model.initial_state(len(x)))
    right = outputs[model.manifest.outputs[0].name].argmax(-1) == true
    known, after = true >= 0, since_change(true)
    print(f"{known.sum()} pictures of {len(films)} films: {100 * right[known].mean():.1f}%")
    for place, name in enumerate(names):
        print(f"  {name:10} {100 * right[true == place].mean():5.1f}%")
    for count in SHOWN:
        print(f"picture {count} of what it does now {100 * right[known & (after == count)].mean():5.1f}%")
    print(f"later {100 * right[known & (after > SHOWN[-1])].mean():5.1f}%")
    alone = model.step(x.reshape(-1, 1, x.shape[-1]), model.initial_state(true.size))[0]
    guessed = alone[model.manifest.outputs[0].name].argmax(-1).reshape(true.shape) == true
    print(f"each picture alone, the state thrown away: {100 * guessed[known].mean():.1f}%")


if __name__ == "__main__":
    main()
