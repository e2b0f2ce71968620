"""Texts with a label each in a recipe: one file a label, one folder a label, or an ARFF table."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from streamcell.train.columns import Columns
from streamcell.train.data.labelled import LabelledData
from streamcell.train.data.labelled_text import Texts, encode, read_arff, read_files, read_lines
from streamcell.train.fronts import Embed, Motifs
from streamcell.train.recipes.base import Count, Positive, Share
from streamcell.train.recipes.sequences import SequencesRecipe


class TextsRecipe(SequencesRecipe, frozen=True, kw_only=True):
    """Texts, cut into characters or words, and dealt into `folds` groups, "fold 1" and so on, by `fold_seed`.

    Equal texts are in the same fold; with `distinct`, a text is there once for each of its labels. What is rarer than
    `least` in training is no symbol of its own but "<unk>"; of the others, `unknown_share` become "<unk>" each time
    that they are heard in training.

    With a `kernel` the network hears motifs of so many symbols and knows which of the first `places` it is at, see
    `Motifs`.
    """

    split: Literal["characters", "words"] = "characters"
    least: Positive = 1
    places: Positive = 1
    kernel: Count = 0
    unknown_share: Share = 0.0
    distinct: bool = False
    folds: Annotated[int, Meta(ge=2)] = 10
    fold_seed: Count = 1
    validation_groups: tuple[str, ...] = ("fold 9",)
    test_groups: tuple[str, ...] = ("fold 10",)

    def encode(self, texts: Texts) -> LabelledData:
        """Return texts, each with its label's name, as symbols, held out as the recipe says."""
        return encode(
            texts,
            self.split,
            least=self.least,
            unknown=self.unknown_share > 0,
            distinct=self.distinct,
            folds=self.folds,
            seed=self.fold_seed,
            validation_groups=self.validation_groups,
            test_groups=self.test_groups,
        )

    def change(self, x: NDArray[Any], random: np.random.Generator) -> NDArray[Any]:
        """Return a text with some of its symbols unknown."""
        return np.where(random.random(len(x)) < self.unknown_share, 0, x) if self.unknown_share else x

    def front(self, columns: Columns, width: int) -> Embed | Motifs:
        """Return a fresh embedding of the symbols."""
        if self.kernel:
            return Motifs(len(columns.symbols), width, places=self.places, kernel=self.kernel)
        return Embed(len(columns.symbols), width)


class LinesRecipe(TextsRecipe, frozen=True, kw_only=True, tag="lines"):
    """A text a line, a file a label, see `read_lines`."""

    files: dict[str, str] = {}  # noqa: RUF012 - msgspec copies it

    def read(self, folder: Path) -> LabelledData:
        """Return the lines of the files below `folder`."""
        return self.encode(read_lines(folder / self.path, self.files))


class FilesRecipe(TextsRecipe, frozen=True, kw_only=True, tag="files"):
    """A text a file, a folder a label, see `read_files`."""

    def read(self, folder: Path) -> LabelledData:
        """Return the texts of the files below `folder`."""
        return self.encode(read_files(folder / self.path))


class ArffRecipe(TextsRecipe, frozen=True, kw_only=True, tag="arff"):
    """A text a row of an ARFF table, a column a symbol, see `read_arff`."""

    label: str
    leave_out: tuple[str, ...] = ()

    def read(self, folder: Path) -> LabelledData:
        """Return the rows of the table below `folder`."""
        rows = read_arff(folder / self.path, label=self.label, leave_out=self.leave_out, split=self.split)
        return self.encode(rows)
