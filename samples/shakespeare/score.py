"""Score a model of running text on the part that training never heard.

    python samples/shakespeare/score.py samples/shakespeare/shakespeare.onnx --data DATA

Prints the mean loss of a character, in one stream through the whole part with the state carried, and in windows of 256
characters that each begin with the initial state, as a network without a state hears them.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from streamcell.runtime.errors import StreamcellError
from streamcell.runtime.model import Model
from streamcell.train.data.text import read_text
from streamcell.train.recipe import TextRecipe, read_recipe

WINDOW = 256
BLOCK = 4096  # characters a call


def losses(model: Model, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return how surprising each symbol but the first of each row is, nats `[B, T - 1]`; rows `[B, T]`."""
    state, found = model.initial_state(len(rows)), []
    for start in range(0, rows.shape[1] - 1, BLOCK):
        x, following = rows[:, start : start + BLOCK], rows[:, start + 1 : start + 1 + BLOCK]
        x = x[:, : following.shape[1]]
        outputs, state = model.step(x, state)
        logits = outputs[model.manifest.outputs[0].name].astype(np.float64)
        chosen = np.take_along_axis(logits, following[..., None], -1)[..., 0]
        found.append(np.logaddexp.reduce(logits, axis=-1) - chosen)
    return np.concatenate(found, axis=1)


def main() -> None:
    """Parse, score, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="the exported model")
    parser.add_argument("--data", type=Path, required=True, help="folder that text/tinyshakespeare.txt is in")
    args = parser.parse_args()
    recipe, _ = read_recipe(Path(__file__).parent / "recipe.toml")
    if not isinstance(recipe, TextRecipe):
        raise StreamcellError("expected a recipe of task 'text'")
    what, model = recipe.data, Model.open(args.model)
    text = read_text(args.data / what.path, what.split, least=what.least, validation_share=what.validation_share)
    if text.symbols != model.manifest.input.symbols:
        raise StreamcellError(
            "the model's symbols are not those of this text; score it on the text that it was made of"
        )
    held = text.validation
    stream = losses(model, held[None])
    print(f"{stream.size} characters in one stream: {stream.mean():.4f} nats each")
    starts = np.arange(0, len(held) - WINDOW, WINDOW)
    windows = losses(model, held[starts[:, None] + np.arange(WINDOW + 1)])
    print(f"{windows.size} characters in windows of {WINDOW}: {windows.mean():.4f} nats each")


if __name__ == "__main__":
    main()
