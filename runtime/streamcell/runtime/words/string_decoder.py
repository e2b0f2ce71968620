"""What decoders of words and of phrases share: the vocabulary as strings of phones, and what they need of a frame."""

import hashlib

import numpy as np
from numpy.typing import NDArray

from streamcell.runtime.decode.decoder import Decoder
from streamcell.runtime.decode.settings import in_frames
from streamcell.runtime.errors import InputError
from streamcell.runtime.frames import check_finite
from streamcell.runtime.manifest import OutputSpec
from streamcell.runtime.words.graph import Chains, Row, Rows
from streamcell.runtime.words.lexicon import Lexicon

__all__ = ["REACH", "StringDecoder", "columns_of", "digest"]

REACH = 1.0
"""Seconds, by which a start may lie before the first spike, and the end of a word behind the last."""


class StringDecoder(Decoder):
    """Hold a vocabulary as `Chains`, one string for each way to say an entry.

    Args:
        output: The model's first output; it must have a blank.
        lexicon: The vocabulary.
        floor: As in `Rows`.

    Raises:
        InputError: If the output has no blank, or an entry has a phone that the model does not know.
    """

    def __init__(self, output: OutputSpec, lexicon: Lexicon, floor: float) -> None:
        blank, silence = columns_of(output)
        self._seconds = output.seconds_per_step
        self._rows = Rows(output.labels, blank, silence, floor)
        self._texts = [entry.text for entry in lexicon.entries]
        self._ways = [way for entry in lexicon.entries for way in entry.ways]
        counts = [len(entry.ways) for entry in lexicon.entries]
        self._owner = np.repeat(np.arange(len(counts)), counts)  # the entry of each string
        columns = {label: column for column, label in enumerate(output.labels) if column != blank}
        self._chains = Chains(self._ways, columns, blank, len(output.labels))
        self._begins, self._ends = self._chains.columns[self._chains.first], self._chains.columns[self._chains.last]
        self._reach = in_frames(REACH, self._seconds)

    def read(self, values: NDArray[np.float32]) -> list[Row]:
        """Return what `take` needs of each row of `values [N, C]`, logits.

        Raises:
            InputError: If the shape does not fit.
            ModelError: If there are values that are not finite.
        """
        check_finite(values)
        return self._rows.read(values)


def columns_of(output: OutputSpec) -> tuple[int, int | None]:
    """Return the columns of blank and silence.

    Raises:
        InputError: If the output has no blank: then it cannot be read as CTC.
    """
    if output.blank is None:
        raise InputError("words need a model of phones trained with CTC (task 'ctc', with a blank); choose another")
    return output.blank, None if output.silence is None else output.labels.index(output.silence)


def digest(lexicon: Lexicon) -> str:
    """Return 64 hexadecimal digits that tell a vocabulary from all others."""
    return hashlib.sha256(repr([(entry.text, entry.ways) for entry in lexicon.entries]).encode()).hexdigest()
