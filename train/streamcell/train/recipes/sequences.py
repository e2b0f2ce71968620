"""What all data of labelled sequences have in a recipe; `format` names the reader."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from streamcell.train.columns import Columns
from streamcell.train.data.labelled import LabelledData
from streamcell.train.fronts import Front


class SequencesRecipe(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="format"):
    """Sequences with one label each, below `--data`, and whom to hold out.

    `validation_groups` choose the network; `test_groups` are never heard in training at all.
    """

    path: str
    validation_groups: tuple[str, ...] = ()
    test_groups: tuple[str, ...] = ()

    def read(self, folder: Path) -> LabelledData:
        """Return the sequences that are found below `folder`, held out as the recipe says.

        Raises:
            SourceError: they are missing, unreadable, or not of this format.
            InputError: they do not fit the recipe.
        """
        raise NotImplementedError

    def change(self, x: NDArray[Any], random: np.random.Generator) -> NDArray[Any]:
        """Return what is heard of a sequence in training; it may be changed."""
        del random
        return x

    def front(self, columns: Columns, width: int) -> Front:
        """Return a fresh front, `width` wide, for such sequences."""
        raise NotImplementedError
