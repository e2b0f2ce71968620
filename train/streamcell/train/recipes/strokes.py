"""Handwritten characters in a recipe."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from streamcell.train.columns import Columns
from streamcell.train.data.labelled import LabelledData
from streamcell.train.data.strokes import StrokeChange, change_strokes, read_strokes
from streamcell.train.fronts import Dense
from streamcell.train.recipes.base import Amount
from streamcell.train.recipes.sequences import SequencesRecipe


class StrokesRecipe(SequencesRecipe, frozen=True, kw_only=True, tag="strokes"):
    """Drawings of characters, see `read_strokes`; `turn`, `stretch`, `lean` and `jitter` as in `StrokeChange`."""

    turn: Amount = 0.0
    stretch: Amount = 0.0
    lean: Amount = 0.0
    jitter: Amount = 0.0

    def read(self, folder: Path) -> LabelledData:
        """Return the drawings below `folder`."""
        return read_strokes(folder / self.path, validation_groups=self.validation_groups, test_groups=self.test_groups)

    def change(self, x: NDArray[np.float32], random: np.random.Generator) -> NDArray[np.float32]:
        """Return a drawing by another hand."""
        return change_strokes(x, random, StrokeChange(self.turn, self.stretch, self.lean, self.jitter))

    def front(self, columns: Columns, width: int) -> Dense:
        """Return a fresh dense layer."""
        return Dense(len(columns.channels), width)
