"""Handwritten characters as the way of the pen: the stroke files of Omniglot, and the steps that a network hears."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from streamcell.runtime.errors import SourceError
from streamcell.train.columns import Columns
from streamcell.train.data.labelled import Labelled, LabelledData, hold_out

CANVAS = 105.0  # points of the sheet's side
CHANNELS = ("x", "y", "dx", "dy", "pen")

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class StrokeChange:
    """How strongly a drawing is changed before it is heard, all standard deviations.

    Attributes:
        turn: angle, radians.
        stretch: logarithm of a factor, of width and height each.
        lean: how far the top moves to the side, as a share of the height.
        jitter: of each step, as a share of the sheet.
    """

    turn: float
    stretch: float
    lean: float
    jitter: float


def parse_strokes(text: str, name: str) -> list[NDArray[np.float64]]:
    r"""Return the strokes `[N, 2]` of a drawing, in points, y up.

    The text is Omniglot's: `START`, then lines `x,y,milliseconds`, and `BREAK` after each stroke.

    Raises:
        SourceError: A line is none of these, or there is no point; `name` and line are named.

    >>> text = "START\n1,-2,0\n3,-2,9\nBREAK\n5,-6,20\nBREAK"
    >>> [stroke.tolist() for stroke in parse_strokes(text, "a")]
    [[[1.0, -2.0], [3.0, -2.0]], [[5.0, -6.0]]]
    """
    strokes: list[list[tuple[float, float]]] = [[]]
    for number, line in enumerate(text.split("\n"), 1):
        word = line.strip()
        if word == "BREAK":
            strokes.append([])
        elif word and word != "START":
            strokes[-1].append(_point(word, f"{name}, line {number}"))
    found = [np.array(stroke) for stroke in strokes if stroke]
    if not found:
        raise SourceError(f"{name}: expected lines x,y,milliseconds, found none")
    return found


def _point(line: str, where: str) -> tuple[float, float]:
    try:
        x, y, _ = map(float, line.split(","))
    except ValueError as error:
        raise SourceError(f"{where}: expected x,y,milliseconds, START or BREAK, got {line[:40]!r}") from error
    if not np.isfinite([x, y]).all():
        raise SourceError(f"{where}: expected finite numbers, got {line[:40]!r}")
    return x, y


def to_steps(strokes: Sequence[NDArray[np.float64]], spacing: float = 6.0) -> Floats:
    """Return the steps `[N, 5]` of the pen: x, y, dx, dy as shares of the sheet, and whether it was down.

    Places are counted from where the pen first touched. Within a stroke a step is `spacing` points long, the last one
    shorter; from stroke to stroke it is one step with the pen up. How fast the pen was is left out.

    >>> strokes = [np.array([[10.0, 0.0], [22.0, 0.0]]), np.array([[22.0, 21.0]])]
    >>> print(to_steps(strokes, spacing=6.0).round(2))
    [[0.06 0.   0.06 0.   1.  ]
     [0.11 0.   0.06 0.   1.  ]
     [0.11 0.2  0.   0.2  0.  ]]
    """
    places, pens = [], []
    for stroke in strokes:
        length = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(stroke, axis=0).T))])
        at = np.append(np.arange(0, length[-1] - 1e-9, spacing), length[-1]) if length[-1] > 0 else np.zeros(1)
        places.append(np.stack([np.interp(at, length, column) for column in stroke.T], axis=1))
        pens.append(np.arange(len(at)) > 0)
    way = (np.concatenate(places) - places[0][0]) / CANVAS
    steps = np.column_stack([way[1:], np.diff(way, axis=0), np.concatenate(pens)[1:]])
    return np.asarray(steps if len(steps) else [[0, 0, 0, 0, 1]], np.float32)


def read_strokes(path: Path, *, validation_groups: Sequence[str] = (), test_groups: Sequence[str] = ()) -> LabelledData:
    """Read the drawings of an Omniglot archive of strokes, `.../ALPHABET/characterNN/..._DRAWER.txt`.

    A label is the alphabet and the character; a group is the number of the drawer, who are others in each alphabet.

    Raises:
        SourceError: There is no such archive, or something in it is no drawing.
        InputError: A drawer is unknown, or nothing is left to train or validate on.
    """
    found = [(*_names(name), to_steps(parse_strokes(text, name))) for name, text in _texts(path)]
    labels = tuple(sorted({label for label, _, _ in found}))
    index = {label: place for place, label in enumerate(labels)}
    sequences = [Labelled(steps, index[label], drawer) for label, drawer, steps in found]
    return hold_out(sequences, Columns(labels, CHANNELS), validation_groups, test_groups)


def _names(name: str) -> tuple[str, str]:
    *_, alphabet, character, file = name.split("/")
    return f"{alphabet} {character.removeprefix('character')}", file.removesuffix(".txt").split("_")[-1]


def _texts(path: Path) -> Iterator[tuple[str, str]]:
    if not path.is_file():
        raise SourceError(f"expected an archive of strokes at {path}, found no file; give what holds it as --data")
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name for name in sorted(archive.namelist()) if name.endswith(".txt") and name.count("/") >= 2]
            drawn = [name for name in names if not name.startswith("__MACOSX")]
            if not drawn:
                raise SourceError(f"{path}: expected files ALPHABET/CHARACTER/NAME_DRAWER.txt, found none")
            for name in drawn:
                yield name, archive.read(name).decode("ascii")
    except (zipfile.BadZipFile, OSError, ValueError, EOFError) as error:
        raise SourceError(f"cannot read {path} as an archive of strokes: {error}") from error


def change_strokes(steps: Floats, random: np.random.Generator, change: StrokeChange) -> Floats:
    """Return a changed copy of `steps [N, 5]`: turned, stretched, leaning, unsteady."""
    angle = change.turn * random.standard_normal()
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    lean = np.array([[1.0, change.lean * random.standard_normal()], [0.0, 1.0]])
    matrix = (turn @ lean * np.exp(change.stretch * random.standard_normal(2))).T
    moved = steps[:, 2:4] @ matrix + change.jitter * random.standard_normal((len(steps), 2))
    return np.column_stack([np.cumsum(moved, axis=0), moved, steps[:, 4]]).astype(np.float32)
