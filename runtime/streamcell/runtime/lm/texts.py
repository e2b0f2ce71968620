"""What was said, as strings of phones: from plain text and a dictionary, from phones, from a corpus."""

import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from streamcell.runtime.errors import InputError

if TYPE_CHECKING:
    from streamcell.runtime.words import Dictionary

__all__ = ["Weighed", "read_corpus_phones", "read_lines", "read_phones", "speak"]

Weighed = tuple[tuple[str, ...], float]
"""Phones in a row, and how often they count."""

_MOST_VARIANTS = 4
_WORD = re.compile(r"'*[^\W_](?:[^\W_]|')*")


def speak(text: str, dictionary: "Dictionary", unknown: Counter[str], *, variants: bool = False) -> list[Weighed]:
    """Look up the words of a text; one that is unknown is counted and ends the row, as nobody knows what is there.

    Args:
        text: Any; what is no letter parts words.
        dictionary: As `read_dictionary` returns it.
        unknown: Counts unknown words.
        variants: Whether all pronunciations count, else the first of each word. Rows are given up to four times then,
            each time with the next pronunciation of every word, and count so much less.

    Examples:
        >>> words = {"a": (("AH",), ("EY",)), "cat": (("K", "AE", "T"),)}
        >>> unknown = Counter()
        >>> speak("A cat -- qwx cat", words, unknown), dict(unknown)
        ([(('AH', 'K', 'AE', 'T'), 1.0), (('K', 'AE', 'T'), 1.0)], {'qwx': 1})
        >>> speak("a cat", words, unknown, variants=True)
        [(('AH', 'K', 'AE', 'T'), 0.5), (('EY', 'K', 'AE', 'T'), 0.5)]
    """
    found: list[Weighed] = []
    row: list[tuple[tuple[str, ...], ...]] = []
    for word in [*_WORD.findall(text.lower().replace("\u2019", "'")), ""]:
        ways = dictionary.get(word) or dictionary.get(word.strip("'"))
        if ways:
            row.append(ways)
            continue
        if word:
            unknown[word] += 1
        found += _rows(row, _MOST_VARIANTS if variants else 1)
        row = []
    return found


def _rows(row: list[tuple[tuple[str, ...], ...]], most: int) -> Iterator[Weighed]:
    if row:
        count = min(most, max(map(len, row)))
        for turn in range(count):
            yield tuple(phone for ways in row for phone in ways[turn % len(ways)]), 1 / count


def read_lines(path: str | Path) -> Iterator[tuple[int, str]]:
    """Yield the lines of a text file that are not empty, with their numbers.

    Raises:
        InputError: If it cannot be read or is not UTF-8.
    """
    try:
        with Path(path).open(encoding="utf-8-sig") as file:
            yield from ((number, line) for number, line in enumerate(file, 1) if line.strip())
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}; name a text file") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 ({error}); convert it") from error


def read_phones(path: str | Path) -> Iterator[tuple[str, ...]]:
    """Yield the phones of each line of a text file, parted by spaces.

    Raises:
        InputError: As `read_lines`.
    """
    yield from (tuple(line.split()) for _, line in read_lines(path))


def read_corpus_phones(path: str | Path) -> Iterator[tuple[str, ...]]:
    """Yield ``phones`` of each line of a corpus's ``utterances.jsonl``: labels, or ``[start, duration, label]``.

    Raises:
        InputError: As `read_lines`, or if a line is no such object; the message has its number.
    """
    for number, line in read_lines(path):
        try:
            said = json.loads(line)["phones"]
            phones = tuple(phone if isinstance(phone, str) else phone[2] for phone in said)
        except (ValueError, KeyError, TypeError, IndexError, RecursionError) as error:
            raise InputError(f"{path}, line {number}: expected an object with phones: {error!r}") from error
        if not all(isinstance(phone, str) for phone in phones):
            raise InputError(f"{path}, line {number}: expected phones as text, got {phones!r:.80}")
        yield phones
