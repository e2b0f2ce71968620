"""What all data of labelled sequences have in a recipe; `format` names the reader."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray


class SequencesRecipe(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="format"):
    """Sequences with one label each, below `--data`, and whom to hold out.

    `validation_groups` choose the network; `test_groups` are never heard in training at all. Each format reads them
    (`read(folder)`, a `LabelledData`) and has a front of its own (`front(columns, width)`).
    """

    path: str
    validation_groups: tuple[str, ...] = ()
    test_groups: tuple[str, ...] = ()

    def change(self, x: NDArray[Any], random: np.random.Generator) -> NDArray[Any]:
        """Return what is heard of a sequence in training; it may be changed."""
        del random
        return x
