"""The 39 phones of ARPAbet without stress, as in the CMU dictionary, and how IPA writes them."""

# ruff: noqa: RUF001, RUF002 - IPA letters are meant to look like Latin ones

from collections.abc import Iterable

from streamcell.runtime.errors import InputError

__all__ = ["ARPABET", "IPA", "SILENCE", "check_arpabet", "from_ipa", "to_ipa"]

SILENCE = "SIL"

# fmt: off
IPA = {
    "AA": "ɑ", "AE": "æ", "AH": "ʌ", "AO": "ɔ", "AW": "aʊ", "AY": "aɪ", "B": "b", "CH": "tʃ", "D": "d", "DH": "ð",
    "EH": "ɛ", "ER": "ɝ", "EY": "eɪ", "F": "f", "G": "ɡ", "HH": "h", "IH": "ɪ", "IY": "i", "JH": "dʒ", "K": "k",
    "L": "l", "M": "m", "N": "n", "NG": "ŋ", "OW": "oʊ", "OY": "ɔɪ", "P": "p", "R": "ɹ", "S": "s", "SH": "ʃ",
    "T": "t", "TH": "θ", "UH": "ʊ", "UW": "u", "V": "v", "W": "w", "Y": "j", "Z": "z", "ZH": "ʒ",
}
# fmt: on
"""ARPAbet to IPA as General American says it. Without stress, ``AH`` is ʌ also where a dictionary writes ə."""

ARPABET = tuple(IPA)
"""The 39 phones, in alphabetical order."""


def to_ipa(label: str) -> str:
    """Write one ARPAbet phone in the International Phonetic Alphabet; silence stays ``SIL``.

    Args:
        label: One of `ARPABET`, or `SILENCE`.

    Raises:
        InputError: If the label is neither.

    Examples:
        >>> [to_ipa(label) for label in ("SIL", "CH", "IY", "Z")]
        ['SIL', 'tʃ', 'i', 'z']
    """
    if label == SILENCE:
        return label
    if label not in IPA:
        raise InputError(
            f"expected an ARPAbet phone without stress ({', '.join(ARPABET[:3])}, ...) or {SILENCE}, got {label!r}"
        )
    return IPA[label]


_ALSO = {
    "ə": "AH", "ɐ": "AH", "ɚ": "ER", "ɜ": "ER", "ɜɹ": "ER", "ɜr": "ER", "əɹ": "ER", "ər": "ER", "ɝɹ": "ER",
    "ɒ": "AA", "a": "AA", "ɔɹ": "AO R", "o": "OW", "əʊ": "OW", "e": "EY", "ɪj": "IY", "ɨ": "IH", "ʉ": "UW",
    "r": "R", "ɾ": "D", "g": "G", "ʧ": "CH", "ʤ": "JH", "ɫ": "L", "ʍ": "W", "ɦ": "HH", "ʔ": "T", "n̩": "AH N",
    "l̩": "AH L", "m̩": "AH M", "aj": "AY", "aw": "AW", "ej": "EY", "ow": "OW", "ɔj": "OY", "ɛɹ": "EH R",
}  # fmt: skip
"""How else the 39 phones are written in IPA."""

_PASSED = frozenset("ˈˌ.ːˑ͡‿ʰ̃̚ʲʷ̥̬|")  # stress, length, ties and the like
_FROM_IPA = {**{ipa: label for label, ipa in IPA.items()}, **_ALSO}
_LONGEST = max(map(len, _FROM_IPA))


def from_ipa(text: str) -> list[str]:
    """Read English in the International Phonetic Alphabet as ARPAbet phones; stress, length and ties are dropped.

    Raises:
        InputError: If a letter stands for no phone of General American English; the message names it and its place.

    Examples:
        >>> from_ipa("ˈtʃiːz"), from_ipa("ˈwɔtɚ")
        (['CH', 'IY', 'Z'], ['W', 'AO', 'T', 'ER'])
    """
    letters, found, at = "".join(letter for letter in text if letter not in _PASSED), list[str](), 0
    while at < len(letters):
        size = next((n for n in range(_LONGEST, 0, -1) if letters[at : at + n] in _FROM_IPA), 0)
        if not size:
            known = " ".join(IPA.values())
            raise InputError(f"{letters[at]!r} in {text!r:.60} is no phone of English in IPA, as {known} are")
        found += _FROM_IPA[letters[at : at + size]].split()
        at += size
    return found


def check_arpabet(labels: Iterable[str]) -> None:
    """Make sure that every label can be written in IPA.

    Raises:
        InputError: If one cannot; the message names the first few.

    Examples:
        >>> check_arpabet(["SIL", "AA", "ZH"])
    """
    strangers = [label for label in labels if label != SILENCE and label not in IPA]
    if strangers:
        shown = ", ".join(strangers[:5])
        raise InputError(
            f"IPA needs a model whose labels are ARPAbet phones; this one also gives {shown}. Leave IPA out."
        )
