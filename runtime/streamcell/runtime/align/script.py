"""What a recording is said to say: words with all the ways to say them, or phones alone."""

# ruff: noqa: RUF002 - IPA

import re
from collections.abc import Sequence
from dataclasses import dataclass

from streamcell.runtime.errors import InputError
from streamcell.runtime.phones import ARPABET, from_ipa
from streamcell.runtime.words import Dictionary, Lexicon

__all__ = ["Script", "Word"]

_WORDS = re.compile(r"/[^/]*/|[^\s/]+")
_LETTER = re.compile(r"[^\W_]")
_MOST_WORDS = 20_000


@dataclass(frozen=True, slots=True)
class Word:
    """One word of a script.

    Attributes:
        text: As it was written.
        ways: Its pronunciations, each a tuple of ARPAbet phones.
    """

    text: str
    ways: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Script:
    """Hold what is said to be said, word by word."""

    words: tuple[Word, ...]

    @classmethod
    def of_text(cls, text: str, dictionary: Dictionary | None = None) -> "Script":
        """Look up the words of a text; phones in slashes (``/T ER N/``) stand for themselves, marks for nothing.

        Args:
            text: Words between white space.
            dictionary: As `read_dictionary` returns it; not needed where all is written in slashes.

        Raises:
            InputError: If there is no word, or there are too many; if words are not in the dictionary: all are named.

        Examples:
            >>> Script.of_text("Go, go!", {"go": (("G", "OW"),)}).words[0]
            Word(text='Go,', ways=(('G', 'OW'),))
        """
        parts = [part for part in _WORDS.findall(text) if _LETTER.search(part)]
        if not 0 < len(parts) <= _MOST_WORDS:
            raise InputError(f"expected a text of 1 to {_MOST_WORDS} words, got {len(parts)}")
        known = {entry.text: entry.ways for entry in Lexicon.of(parts, dictionary).entries}
        ways = {part: tuple(dict.fromkeys(way[0] for way in known[" ".join(part.split())])) for part in set(parts)}
        return cls(tuple(Word(part, ways[part]) for part in parts))

    @classmethod
    def of_phones(cls, text: str) -> "Script":
        """Take ARPAbet phones between white space as they are; a bar parts words, which are then named by their phones.

        Raises:
            InputError: If there is none, or one is no phone.

        Examples:
            >>> [word.text for word in Script.of_phones("HH AH0 L OW1 | DH EH R").words]
            ['HH AH L OW', 'DH EH R']
        """
        words = [tuple(phone.upper().rstrip("012") for phone in word.split()) for word in text.split("|")]
        strangers = sorted({phone for word in words for phone in word if phone not in ARPABET})
        if strangers or not any(words):
            got = ", ".join(strangers[:3]) or "none"
            raise InputError(f"expected phones of ARPAbet ({', '.join(ARPABET[:4])}, ...), got {got:.80}")
        return cls(tuple(Word(" ".join(word), (word,)) for word in words if word))

    @classmethod
    def of_ipa(cls, text: str) -> "Script":
        """Take IPA, words between white space; each word is named as it was written.

        Raises:
            InputError: If a letter stands for no phone of English.

        Examples:
            >>> Script.of_ipa("həˈloʊ").words
            (Word(text='həˈloʊ', ways=(('HH', 'AH', 'L', 'OW'),)),)
        """
        words = [Word(part, (tuple(from_ipa(part)),)) for part in text.split()]
        if not words or not all(word.ways[0] for word in words):
            raise InputError(f"expected phones in IPA, got {text!r:.80}")
        return cls(tuple(words))

    def columns(self, labels: Sequence[str]) -> list[list[list[int]]]:
        """Return for each word and way the columns of its phones among a model's labels.

        Raises:
            InputError: If the model does not know a phone.
        """
        places = {label: column for column, label in enumerate(labels)}
        strangers = sorted({p for word in self.words for way in word.ways for p in way if p not in places})
        if strangers:
            raise InputError(f"the model has no label {', '.join(strangers)}; choose a model of ARPAbet phones")
        return [[[places[phone] for phone in way] for way in word.ways] for word in self.words]
