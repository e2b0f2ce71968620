"""What decoders of words and of phrases share: the vocabulary as strings of phones, and what they need of a frame."""

import hashlib
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from streamcell.runtime.decode.decoder import Decoder
from streamcell.runtime.decode.settings import check_number, in_frames
from streamcell.runtime.errors import InputError
from streamcell.runtime.frames import check_finite
from streamcell.runtime.manifest import OutputSpec
from streamcell.runtime.words.graph import Chains, Row, Rows
from streamcell.runtime.words.lexicon import Lexicon

__all__ = ["REACH", "StringDecoder", "StringSettings"]

REACH = 1.0
"""Seconds, by which a start may lie before the first spike, and the end of a word behind the last."""


@dataclass(frozen=True, slots=True)
class StringSettings:
    """Hold what every decoder of a vocabulary is made with; its attributes are described at `WordDecoder`.

    The vocabulary is 64 hexadecimal digits that tell it from all others.
    """

    labels: tuple[str, ...]
    blank: int
    silence: int | None
    seconds_per_step: float
    vocabulary: str
    floor: float

    @classmethod
    def of(cls, output: OutputSpec, lexicon: Lexicon, floor: float, **more: Any) -> Self:
        """Return the settings for a model's output and a vocabulary; ``more`` are a child's own.

        Raises:
            InputError: If the output has no blank (then it cannot be read as CTC), or the floor makes no sense.
        """
        if output.blank is None:
            raise InputError("words need a model of phones trained with CTC (task 'ctc', with a blank); choose another")
        check_number("floor", floor, above=0)
        silence = None if output.silence is None else output.labels.index(output.silence)
        said = repr([(entry.text, entry.ways) for entry in lexicon.entries])
        vocabulary = hashlib.sha256(said.encode()).hexdigest()
        return cls(output.labels, output.blank, silence, output.seconds_per_step, vocabulary, float(floor), **more)


class StringDecoder(Decoder):
    """Hold a vocabulary as `Chains`, one string for each way to say an entry.

    Args:
        settings: Made for this vocabulary.
        lexicon: The vocabulary.

    Raises:
        InputError: If an entry has a phone that the model does not know.
    """

    def __init__(self, settings: StringSettings, lexicon: Lexicon) -> None:
        self.settings = settings
        self._seconds = settings.seconds_per_step
        self._rows = Rows(settings.labels, settings.blank, settings.silence, settings.floor)
        self._texts = [entry.text for entry in lexicon.entries]
        self._ways = [way for entry in lexicon.entries for way in entry.ways]
        counts = [len(entry.ways) for entry in lexicon.entries]
        self._owner = np.repeat(np.arange(len(counts)), counts)  # the entry of each string
        columns = {label: column for column, label in enumerate(settings.labels) if column != settings.blank}
        self._chains = Chains(self._ways, columns, settings.blank, len(settings.labels))
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
