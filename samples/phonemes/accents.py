"""How a sentence is said in the south of England, in Kokoro's symbols (misaki's IPA), for `synthesise.py`.

Who learns phones from an American dictionary meets people who say them otherwise: no R but before a vowel, another
vowel in "lot", "bath" and "goat" (Wells, Accents of English, 1982, sections 2.2 and 4.1). Speech that is said so and
labelled as the dictionary says lets a network hear the same words in both.
"""

# ruff: noqa: RUF001, RUF002 - IPA letters are meant to look like Latin ones

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

VOWELS = frozenset(re.findall("[A-Z]+", "AA AE AH AO AW AY EH ER EY IH IY OW OY UH UW"))
LIKE = {"AE": "a", "OW": "Q", "IY": "iː", "UW": "uː", "IY0": "i"}
"""Vowels that sound otherwise wherever they are."""

UNHEARD_R = {"AA": "ː", "AO": "ː", "EH": "ː"}
"""What an unheard R leaves behind: these vowels are longer, the others end in a schwa."""

BATH = frozenset(
    re.findall(
        "[a-z']+",
        """
    advance advanced advantage after afternoon afterwards answer answered answers ask asked asking asks aunt banana
    basket bath behalf branch brass broadcast can't cast casting castle chance chances clasp class classes classroom
    command commander commands contrast craft crafted dance danced dancer dances dancing demand demanded demands
    disaster draft drama example examples fast fasten faster fastest forecast france ghastly glance glass glasses grant
    granted graph grasp grass half halfway halves last lasted laugh laughed laughing laughs laughter mask master
    masterpiece masters nasty pass passed passing past path paths photograph photographed plant plants plaster raft
    rafter rascal rather sample shaft slant staff task tasks telegraph vast
        """,
    )
)
"""Words whose AE, where it is stressed, is that of "father"."""

LOT = frozenset(["from", "of", "what", "whatever"])
"""Words whose AH is that of "lot"."""


def british(
    words: Sequence[str], pronunciations: Mapping[str, Sequence[str]], american: Mapping[str, str]
) -> list[list[str]]:
    """Return for each word the symbols of each of its phones.

    Args:
        words: of a sentence, in lower case.
        pronunciations: of words, phones with the digits of their stress.
        american: the symbols of phones that are said as in America, with or without stress.

    >>> words, same = {"far": ["F", "AA1", "R"], "on": ["AA1", "N"]}, {"F": "f", "N": "n"}
    >>> british(["far", "on"], words, same), british(["on", "far"], words, same)
    ([['f', 'ɑː', 'ɹ'], ['ɒ', 'n']], [['ɒ', 'n'], ['f', 'ɑ', 'ː']])
    """
    ways = [list(pronunciations[word]) for word in words]
    after = [*(way[0] for way in ways[1:]), ""]
    return [_say(word, way, then, american) for word, way, then in zip(words, ways, after, strict=True)]


def _say(word: str, way: list[str], then: str, american: Mapping[str, str]) -> list[str]:
    """Return the symbols of each phone of one word; `then` is the phone that follows it."""
    phones = [phone.rstrip("012") for phone in (*way, then)]
    found = list[str]()
    for at, phone in enumerate(way):
        name, before, sounds = phones[at], phones[at - 1] if at else "", phones[at + 1] in VOWELS
        r = "" if phones[at + 1 : len(way)][:1] != ["R"] else "heard" if phones[at + 2] in VOWELS else "unheard"
        if name == "R":
            found.append("ɹ" if sounds or before not in VOWELS else UNHEARD_R.get(before, "ə"))
        elif name == "ER":
            short = "ʌ" if sounds and re.search("urr|our|orr", word) else "ɜː"
            found.append(("ə" if phone == "ER0" else short) + "ɹ" * sounds)
        elif name in {"AA", "AO"}:
            found.append(_open(word, name, r))
        elif name == "AE" and word in BATH and phone != "AE0":
            found.append("ɑː")
        elif name == "AH" and word in LOT and phone != "AH0":
            found.append("ɒ")
        elif name == "EH" and r == "heard":
            found.append("a" if "arr" in word else "ɛː" if re.search("ar|air|ear", word) else "ɛ")
        elif name == "UW" and before in {"T", "D", "N"} and re.search("[tdn](eu|ew|u)", word):
            found.append("juː")
        else:
            found.append(LIKE.get(phone) or LIKE.get(name) or american.get(phone) or american[name])
    return found


def _open(word: str, name: str, r: str) -> str:
    """Return AA or AO: of "lot", of "thought" or of "palm", as it is spelled and whether an R follows and is heard."""
    if r == "unheard":  # its length is the R's
        return "ɑ" if name == "AA" else "ɔ"
    if r == "heard" and name == "AO":
        return "ɒ" if re.search("orr|fore[is]|oran|oral|orit|oric|orig|lor[ei]", word) else "ɔː"
    if not r and re.search("au|aw|ought|broad", word):
        return "ɔː"
    if name == "AO" and (re.search("al(?!o)", word) or "o" not in word):
        return "ɔː"
    return "ɒ" if re.search("o|wa|qua", word) else "ɑː"
