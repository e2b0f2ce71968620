"""The formats by name: what writes each, and the suffix of its files."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from streamcell.runtime.errors import InputError
from streamcell.runtime.formats import Transcript, ctm, jsonl, srt, text, textgrid, vtt

__all__ = ["FORMATS", "Format", "find_format"]


@dataclass(frozen=True, slots=True)
class Format:
    """Hold what a format is.

    Attributes:
        suffix: Of its files.
        parts: Yields the text of a transcript piece by piece.
        joins: Whether several recordings may follow each other in one file.
    """

    suffix: str
    parts: Callable[[Transcript], Iterator[str]]
    joins: bool


FORMATS = {
    "text": Format(".txt", text.parts, joins=True),
    "jsonl": Format(".jsonl", jsonl.parts, joins=True),
    "ctm": Format(".ctm", ctm.parts, joins=True),
    "textgrid": Format(".TextGrid", textgrid.parts, joins=False),
    "srt": Format(".srt", srt.parts, joins=False),
    "vtt": Format(".vtt", vtt.parts, joins=False),
}


def find_format(name: str) -> Format:
    """Return the format of a name.

    Raises:
        InputError: If there is none.

    Examples:
        >>> find_format("textgrid").suffix
        '.TextGrid'
    """
    if name not in FORMATS:
        raise InputError(f"there is no format {name!r}; there are {', '.join(FORMATS)}")
    return FORMATS[name]
