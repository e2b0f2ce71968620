"""TIMIT (Garofolo et al. 1993, LDC93S1): `TRAIN/DR*/SPEAKER/*.PHN` with the times of 61 phones, 16 kHz recordings.

`FOLD` is what our 39 phones and silence make of the 61: as Lee and Hon (1989) fold them, but that a closure belongs to
its stop, as in a dictionary's phones, and that AO and ZH stay apart from AA and SH. `fold_39` goes the rest of the way,
to the 39 classes on which TIMIT's published error rates are counted.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

from streamcell.runtime.errors import SourceError
from streamcell.runtime.phones import SILENCE
from streamcell.train.importers.spoken import Spoken, read_lines

RATE = 16000  # Hz, of the times

_SAME = "aa ae ah ao aw ay b ch d dh eh er ey f g hh ih iy jh k l m n ng ow oy p r s sh t th uh uw v w y z zh"
_OTHERS = {
    "ax": "AH", "ax-h": "AH", "axr": "ER", "dx": "D", "el": "L", "em": "M", "en": "N", "eng": "NG", "hv": "HH",
    "ix": "IH", "nx": "N", "ux": "UW", "epi": SILENCE, "h#": SILENCE, "pau": SILENCE, "q": SILENCE,
}  # fmt: skip
CLOSURES = {"bcl": "B", "dcl": "D", "gcl": "G", "kcl": "K", "pcl": "P", "tcl": "T"}

FOLD = {**{phone: phone.upper() for phone in _SAME.split()}, **_OTHERS, **CLOSURES}
"""TIMIT's 61 phones -> ours."""

_RELEASED = {"bcl": ("b",), "dcl": ("d", "jh"), "gcl": ("g",), "kcl": ("k",), "pcl": ("p",), "tcl": ("t", "ch")}
_CLASSES = {"AO": "AA", "ZH": "SH"}


def read(folder: Path) -> Iterator[Spoken]:
    """Yield the recordings below `folder`, e.g. TIMIT/TRAIN, but the two sentences that all speakers read (SA).

    Raises:
        SourceError: there is none, or a line of phones does not fit.
    """
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() == ".phn")
    if not found:
        raise SourceError(f"expected DR1/SPEAKER/SENTENCE.PHN below {folder}, found none; name TIMIT's TRAIN folder")
    for path in found:
        if not path.stem.lower().startswith("sa"):
            speaker = path.parent.name
            text = " ".join(line.split(maxsplit=2)[-1] for line in _beside(path, ".txt"))
            yield Spoken(f"{speaker}-{path.stem}", speaker, _audio(path), text, _phones(path))


def fold_39(labels: Sequence[str]) -> list[str]:
    """Return the classes of TIMIT's published error rates for our labels.

    >>> fold_39(["AO", "ZH", "IY"])
    ['AA', 'SH', 'IY']
    """
    return [_CLASSES.get(label, label) for label in labels]


def fold(rows: Sequence[tuple[int, int, str]]) -> tuple[tuple[float, float, str], ...]:
    """Return phones `(start s, duration s, label)` of `(first sample, end sample, one of the 61)`.

    A closure and the stop or affricate behind it are one phone; pauses side by side are one.

    >>> fold([(0, 1600, "h#"), (1600, 2400, "tcl"), (2400, 3200, "t"), (3200, 4800, "ux"), (4800, 6400, "kcl")])
    ((0.0, 0.1, 'SIL'), (0.1, 0.1, 'T'), (0.2, 0.1, 'UW'), (0.3, 0.1, 'K'))
    """
    merged: list[list[int | str]] = []
    ends = [*rows, (0, 0, "")]
    held: int | None = None
    for (start, end, phone), (_, _, after) in pairwise(ends):
        begin = start if held is None else held
        held = begin if after in _RELEASED.get(phone, ()) else None
        if held is None:
            label = FOLD[phone]
            if label == SILENCE and merged and merged[-1][2] == SILENCE:
                merged[-1][1] = end
            else:
                merged.append([begin, end, label])
    return tuple((int(a) / RATE, (int(b) - int(a)) / RATE, str(label)) for a, b, label in merged)


def _phones(path: Path) -> tuple[tuple[float, float, str], ...]:
    rows = []
    for number, line in enumerate(read_lines(path), 1):
        parts = line.split()
        if len(parts) != 3 or not (parts[0].isdigit() and parts[1].isdigit()) or parts[2] not in FOLD:
            raise SourceError(f"{path}, line {number}: expected 'BEGIN END PHONE' in samples, got {line!r:.80}")
        rows.append((int(parts[0]), int(parts[1]), parts[2]))
    return fold(rows)


def _beside(path: Path, suffix: str) -> list[str]:
    """Return the lines of the file beside `path` with another suffix, in any case; none if there is no such file."""
    found = (path.with_suffix(one) for one in (suffix, suffix.upper()))
    return next((read_lines(one) for one in found if one.is_file()), [])


def _audio(path: Path) -> Path:
    names = [f"{path.stem}{suffix}" for suffix in (".WAV", ".wav", ".WAV.wav", ".flac")]
    return next((path.with_name(name) for name in names if path.with_name(name).is_file()), path.with_suffix(".WAV"))
