"""Words and phrases with their pronunciations: a closed vocabulary from a file, a dictionary, or both."""

import difflib
import itertools
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from streamcell.runtime.errors import InputError
from streamcell.runtime.phones import ARPABET

__all__ = ["Dictionary", "Entry", "Lexicon", "Way", "read_dictionary"]

Way: TypeAlias = tuple[tuple[str, ...], ...]
"""One way to say an entry: for each of its words the phones."""

Dictionary: TypeAlias = Mapping[str, tuple[tuple[str, ...], ...]]
"""For each word in lower case its pronunciations, each a tuple of phones."""

_MOST_WAYS = 256
_MOST_PHONES = 200
_VARIANT = re.compile(r"\(\d+\)$")
_APART = re.compile(r"\t| {2,}")
_BETWEEN = "|"  # two words of a phrase, among their phones
_COMMENT = re.compile(r"(^|\s)#.*$")
_OWN = "phones in slashes (/T ER N/)"
_PARTS = re.compile(r"/[^/]*/|[^\s/]+|/")


@dataclass(frozen=True, slots=True)
class Entry:
    """A word or phrase, and all the ways to say it.

    Attributes:
        text: As the user wrote it; phones that stood in slashes too.
        ways: At least one, all different.
    """

    text: str
    ways: tuple[Way, ...]


@dataclass(frozen=True, slots=True)
class Lexicon:
    """Hold a closed vocabulary.

    Attributes:
        entries: Words or phrases, in the order in which they came, no text twice.

    Examples:
        >>> Lexicon.of(["go", "/S T AA1 P/"], {"go": (("G", "OW"),)}).entries[1]
        Entry(text='/S T AA1 P/', ways=((('S', 'T', 'AA', 'P'),),))
    """

    entries: tuple[Entry, ...]

    @classmethod
    def of(cls, texts: Iterable[str], dictionary: Dictionary | None = None) -> "Lexicon":
        """Look up words and phrases; where phones stand in slashes (``/T ER N/``), these are said in a word's place.

        Args:
            texts: One word or phrase each; one that comes again counts once.
            dictionary: As `read_dictionary` returns it; not needed where all is written in slashes.

        Raises:
            InputError: If a word is not in the dictionary, a phone is none, or there is no text at all.
        """
        found: dict[str, Entry] = {}
        sayer = _Sayer(dictionary or {})
        for text in texts:
            plain = " ".join(text.split())
            found.setdefault(plain, Entry(plain, sayer.ways(plain, f"{plain!r}")))
        sayer.check()
        return _checked(found.values(), "the vocabulary")

    @classmethod
    def read(cls, path: str | Path, dictionary: Dictionary | None = None) -> "Lexicon":
        """Read a file with a word or phrase a line.

        A line may carry its own phones behind a tab or two spaces (``word  W ER D``), and then needs no dictionary; the
        same word on several lines has several pronunciations, also where they are numbered (``word(2)``). A bar parts
        the words of a phrase: ``turn on  T ER N | AA N``. What follows a ``#`` is a comment.

        Args:
            path: A text file in UTF-8.
            dictionary: As `read_dictionary` returns it.

        Raises:
            InputError: If the file cannot be read, is empty, or a line does not fit, which the message names; words
                that the dictionary lacks are all named, with those that are spelled alike.
        """
        return cls._made(_lines(path), str(path), dictionary or {})

    @classmethod
    def parse(cls, text: str, name: str = "the lexicon") -> "Lexicon":
        r"""Read what `read` would read from a file, every line with its phones.

        Args:
            text: The lines.
            name: For messages.

        Raises:
            InputError: If there is no line, or one does not fit.

        Examples:
            >>> Lexicon.parse("go  G OW").to_text()
            'go\tG OW\n'
        """
        return cls._made(_numbered(text), name, {})

    def to_text(self) -> str:
        """Return what `parse` makes the same lexicon of."""
        said = ((entry.text, f" {_BETWEEN} ".join(map(" ".join, way))) for entry in self.entries for way in entry.ways)
        return "".join(f"{text}\t{phones}\n" for text, phones in said)

    @classmethod
    def _made(cls, lines: Iterable[tuple[int, str]], name: str, dictionary: Dictionary) -> "Lexicon":
        found: dict[str, Entry] = {}
        sayer = _Sayer(dictionary)
        for number, line in lines:
            plain, ways = _entry(line, f"{name}, line {number}", sayer)
            old = found[plain].ways if plain in found else ()
            found[plain] = Entry(plain, tuple(dict.fromkeys((*old, *ways))))
        sayer.check()
        return _checked(found.values(), name)


def read_dictionary(path: str | Path) -> Dictionary:
    """Read a pronouncing dictionary in the CMU format: ``word  P H O N E S``, further ways as ``word(2)``.

    Words come in any case, stress digits are dropped, ``;;;`` begins a line of comment, ``#`` a comment in a line.

    Args:
        path: A text file in UTF-8 or Latin-1.

    Raises:
        InputError: If the file cannot be read, holds nothing, or a line has a phone that is none.
    """
    found: dict[str, dict[tuple[str, ...], None]] = {}
    for number, line in _lines(path):
        word, *phones = line.split()
        ways = found.setdefault(_VARIANT.sub("", word).lower(), {})
        ways[_phones(phones, f"{path}, line {number}")] = None
    if not found:
        raise InputError(f"{path} holds no pronunciation; expected lines like 'light L AY T'")
    return {word: tuple(ways) for word, ways in found.items()}


def _lines(path: str | Path) -> list[tuple[int, str]]:
    """Return the lines that say something, with their numbers."""
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}; name a text file") from error
    if b"\0" in data:
        raise InputError(f"{path} is no text file; expected one word a line")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("latin-1")
    return _numbered(text)


def _numbered(text: str) -> list[tuple[int, str]]:
    lines = ((number, _COMMENT.sub("", line).rstrip()) for number, line in enumerate(text.splitlines(), 1))
    return [(number, line) for number, line in lines if line.strip() and not line.startswith(";;;")]


def _checked(entries: Iterable[Entry], where: str) -> Lexicon:
    lexicon = Lexicon(tuple(entries))
    if not lexicon.entries:
        raise InputError(f"{where} is empty; expected at least one word or phrase")
    return lexicon


def _entry(line: str, where: str, sayer: "_Sayer") -> tuple[str, tuple[Way, ...]]:
    """Return a line's word or phrase, and its ways."""
    text, *rest = _APART.split(line if line.startswith("\t") else line.strip(), maxsplit=1)
    phones = "".join(rest).split()
    plain = " ".join((_VARIANT.sub("", text) if phones else text).split())
    if not plain:
        raise InputError(f"{where}: expected a word before the phones, got {line!r:.80}")
    if not phones:
        return plain, sayer.ways(plain, where)
    words = " ".join(phones).split(_BETWEEN)
    return plain, _checked_ways([(_phones(word.split(), where),) for word in words], where)


class _Sayer:
    """Look up how texts are said; remember the words that the dictionary lacks."""

    def __init__(self, dictionary: Dictionary) -> None:
        self._dictionary = dictionary
        self._unknown: dict[str, tuple[str, str]] = {}  # as it was looked up: where it stood first, and how

    def ways(self, text: str, where: str) -> tuple[Way, ...]:
        """Return all ways to say a text: every choice of a pronunciation for each of its words."""
        words = [self._pronunciations(part, where) for part in _PARTS.findall(text)]
        return _checked_ways(words, where) if all(words) else ()

    def check(self) -> None:
        """Raise `InputError` if words were looked up that the dictionary lacks."""
        if len(self._unknown) == 1:
            ((word, (where, part)),) = self._unknown.items()
            raise InputError(f"{where}: no pronunciation of {part!r} is known; {self._advice(word)}")
        if self._unknown:
            lines = "".join(f"\n  {where}: {part!r}{self._near(word)}" for word, (where, part) in self._unknown.items())
            advice = f"write others, or their {_OWN}" if self._dictionary else self._advice("")
            raise InputError(f"no pronunciation of {len(self._unknown)} words is known; {advice}:{lines}")

    def _near(self, word: str) -> str:
        near = self._alike(word)
        return f" (near it: {', '.join(near)})" if near else ""

    def _pronunciations(self, part: str, where: str) -> tuple[tuple[str, ...], ...]:
        """Return how a word, or phones in slashes, can be said."""
        if part.startswith("/"):
            return (_phones(part.strip("/").split(), where),)
        word = part.lower()
        bare = word.strip('.,;:!?"()[]')
        for known in (word, bare):
            if known in self._dictionary:
                return self._dictionary[known]
        self._unknown.setdefault(bare, (where, part))
        return ()

    def _advice(self, word: str) -> str:
        """Say what to do about a word that is not known."""
        if not self._dictionary:
            return f"give a dictionary in the CMU format, or write {_OWN}"
        near = self._alike(word)
        nearest = f"the nearest entries are {', '.join(near)}; " if near else "nothing is near it; "
        return f"{nearest}write one of those, or its {_OWN}"

    def _alike(self, word: str) -> list[str]:
        """Return up to three words that are spelled much like one."""
        alike = [known for known in self._dictionary if known[:1] == word[:1] and abs(len(known) - len(word)) <= 2]
        return difflib.get_close_matches(word, alike, n=3, cutoff=0.6)


def _checked_ways(words: list[tuple[tuple[str, ...], ...]], where: str) -> tuple[Way, ...]:
    """Return every choice of a pronunciation for each word, if these are not too many."""
    count = math.prod(map(len, words))
    phones = sum(max(map(len, choices)) for choices in words)
    if not words or count > _MOST_WAYS or phones > _MOST_PHONES:
        raise InputError(
            f"{where}: expected from 1 to {_MOST_PHONES} phones and at most {_MOST_WAYS} ways to say them, got "
            f"{phones} phones and {count} ways; give a shorter phrase, or one way in slashes (/T ER N/)"
        )
    return tuple(itertools.product(*words))


def _phones(given: list[str], where: str) -> tuple[str, ...]:
    """Check phones, without their stress."""
    phones = tuple(phone.upper().rstrip("012") for phone in given)
    strangers = [shown for shown, phone in zip(given, phones, strict=True) if phone not in _KNOWN]
    if strangers or not phones:
        got = f"{strangers[0]!r:.40}" if strangers else "none"
        raise InputError(f"{where}: expected phones of ARPAbet ({', '.join(ARPABET[:4])}, ...), got {got}")
    return phones


_KNOWN = frozenset(ARPABET)
