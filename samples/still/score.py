"""Score the labels of single pictures.

    python samples/still/score.py samples/still/still.onnx --data DATA/shapes/shapes.npz

Scored are the pictures of the group "test".
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from streamcell.runtime.model import Model
from streamcell.train.data.films import read_films


def main() -> None:
    """Parse, score, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="the exported model")
    parser.add_argument("--data", type=Path, required=True, help="shapes.npz")
    args = parser.parse_args()
    model = Model.open(args.model)
    spec, names = model.manifest.input, model.manifest.outputs[0].labels
    rows, columns, colours = spec.image
    data = read_films(args.data, image=(rows, columns, colours), sample_rate=spec.sample_rate)
    pictures = [one for one in data.recordings if one.group == "test"]
    x, true = np.stack([one.values for one in pictures]), np.stack([one.labels for one in pictures])
    given = model.step(x, model.initial_state(len(x)))[0][model.manifest.outputs[0].name].argmax(-1)
    print(f"{len(pictures)} pictures: {100 * (given == true).mean():.1f}%")
    for place, name in enumerate(names):
        taken = np.bincount(given[true == place], minlength=len(names))
        others = ", ".join(f"{names[i]} {taken[i]}" for i in np.argsort(-taken) if i != place and taken[i])
        print(f"  {name:9} {taken[place]} of {taken.sum()}" + (f"; taken for {others}" if others else ""))


if __name__ == "__main__":
    main()
