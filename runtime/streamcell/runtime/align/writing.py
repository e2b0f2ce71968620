"""How alignments are written: for reading, for programs, for Praat, and as a corpus to train on."""

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from itertools import pairwise

from streamcell.runtime.align.aligner import Aligned, AlignedPhone, AlignedWord
from streamcell.runtime.formats import textgrid
from streamcell.runtime.phones import SILENCE
from streamcell.runtime.printable import printable

__all__ = ["FORMATS", "AlignedWord", "relabel"]

_PLACES = 3


def relabel(aligned: Aligned, rename: Callable[[str], str]) -> Aligned:
    """Return the same with other names for its phones."""

    def renamed(phone: AlignedPhone) -> AlignedPhone:
        return replace(phone, label=rename(phone.label), heard=tuple((rename(p), share) for p, share in phone.heard))

    words = tuple(replace(word, phones=tuple(map(renamed, word.phones))) for word in aligned.words)
    return replace(aligned, words=words)


def text(aligned: Aligned) -> str:
    """Write a line a phone: start, end (s), word, phone, score, and what fits best there with its share.

    Examples:
        >>> phone = AlignedPhone("G", 0.5, 0.56, -1.5, (("K", 0.8), ("G", 0.2)))
        >>> print(text(Aligned("a.wav", 1.0, (AlignedWord("go", 0.5, 0.56, -1.5, (phone,)),))), end="")
           0.500    0.560  go               G    -1.50 !  K 0.80  G 0.20
    """
    lines = []
    for word in aligned.words:
        for phone in word.phones:
            heard = "  ".join(f"{printable(label)} {share:.2f}" for label, share in phone.heard)
            mark = "!" if phone.score < 0 else " "
            place = f"{phone.start:8.3f} {phone.end:8.3f}  {word.text:<16} {printable(phone.label):<3}"
            lines.append(f"{place} {phone.score:+6.2f} {mark}  {heard}\n")
    return "".join(lines)


def jsonl(aligned: Aligned) -> str:
    """Write one JSON object: file, duration, words with their phones, scores and what was heard."""
    words = [{**asdict(word), "phones": [_phone(phone) for phone in word.phones]} for word in aligned.words]
    for word in words:
        word.update({key: round(word[key], _PLACES) for key in ("start", "end", "score")})
    return json.dumps({"file": aligned.file, "duration": round(aligned.duration, _PLACES), "words": words}) + "\n"


def _phone(phone: AlignedPhone) -> dict[str, object]:
    numbers = {key: round(getattr(phone, key), _PLACES) for key in ("start", "end", "score")}
    return {"label": phone.label, **numbers, "heard": dict(phone.heard)}


def praat(aligned: Aligned) -> str:
    """Write a TextGrid with the tiers ``words`` and ``phones``, and ``scores``, the phones' scores."""
    tiers: list[textgrid.Tier] = [
        ("words", lambda: ((word.start, word.end, word.text) for word in aligned.words)),
        ("phones", lambda: ((phone.start, phone.end, phone.label) for phone in aligned.phones)),
        ("scores", lambda: ((phone.start, phone.end, f"{phone.score:+.2f}") for phone in aligned.phones)),
    ]
    return "".join(textgrid.grid(aligned.duration, tiers))


def utterance(aligned: Aligned) -> str:
    """Write one line of a corpus's ``utterances.jsonl``, pauses included; the speaker is for whoever knows."""
    phones: list[list[object]] = []
    silent = AlignedPhone(SILENCE, 0.0, 0.0, 0.0, ())
    edges = [silent, *aligned.phones, replace(silent, start=aligned.duration, end=aligned.duration)]
    for before, phone in pairwise(edges):
        if phone.start > before.end:
            phones.append([round(before.end, _PLACES), round(phone.start - before.end, _PLACES), SILENCE])
        if phone.end > phone.start:
            phones.append([round(phone.start, _PLACES), round(phone.end - phone.start, _PLACES), phone.label])
    said = " ".join(word.text for word in aligned.words)
    return json.dumps({"audio": aligned.file, "text": said, "phones": phones}) + "\n"


FORMATS = {"text": text, "jsonl": jsonl, "textgrid": praat, "utterances": utterance}
"""What writes an alignment, by name."""
