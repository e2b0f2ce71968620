"""Sources and the texts that belong to them: lines of two languages, pictures with captions."""

from __future__ import annotations

import hashlib
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from streamcell.runtime.errors import SourceError
from streamcell.runtime.symbols import UNKNOWN, Split, Symbols, cut, is_special
from streamcell.train.recipes.pairs import PairDataRecipe

START, STOP = "<start>", "<end>"

Source: TypeAlias = NDArray[np.int64] | NDArray[np.uint8]
"""What an encoder reads: symbols int64 `[S]`, or a picture uint8 `[1, rows * columns * colours]`."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A source, and the symbols int64 `[n]` of its text, without start and end; `texts` is both as written."""

    source: Source
    target: NDArray[np.int64]
    texts: tuple[str, str]


@dataclass(frozen=True, slots=True)
class PairData:
    """All pairs, in three parts that share no source and no text.

    Attributes:
        training: to learn from.
        validation: to choose by.
        test: for the figure; no training reads it.
        symbols: of the sources; empty for pictures.
        labels: symbols of the texts; the first is `START`, then `STOP` and `UNKNOWN`.
        fingerprint: of everything above.
    """

    training: tuple[Pair, ...]
    validation: tuple[Pair, ...]
    test: tuple[Pair, ...]
    symbols: tuple[str, ...]
    labels: tuple[str, ...]
    fingerprint: str


def read_pairs(what: PairDataRecipe, data: Path) -> PairData:
    """Return the pairs that `what` names below the folder `data`.

    `"tsv"`: UTF-8 lines of at least two columns with a tab between. Pairs that share a source or a text stay in one
    part. `"pictures"`: an `.npz` file with `pictures` uint8 `[N, rows, columns, colours]`, `captions` and `parts`
    (`training`, `validation` or `test`), both texts `[N]`.

    Raises:
        SourceError: the file is missing, unreadable or of another kind, or a part is empty.
    """
    path = data / what.path
    if not path.is_file():
        raise SourceError(f"expected the pairs in {path}, found no such file; is {data} the folder of the data?")
    parts, symbols, labels = _lines(what, path) if what.format == "tsv" else _pictures(what, path)
    for part, name in zip(parts, ("training", "validation"), strict=False):
        if not part:
            raise SourceError(f"{path}: no pairs are left for {name}; hold fewer out, or allow longer ones")
    digest = hashlib.sha256("\n".join([*symbols, "", *labels]).encode())
    for part in parts:
        digest.update(b"part")
        for pair in part:
            digest.update(pair.source.tobytes() + pair.target.tobytes())
    training, validation, test = parts
    return PairData(training, validation, test, symbols, labels, digest.hexdigest())


_Read: TypeAlias = tuple[list[tuple[Pair, ...]], tuple[str, ...], tuple[str, ...]]


def _lines(what: PairDataRecipe, path: Path) -> _Read:
    try:
        rows = [line.split("\t") for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(f"cannot read {path} as lines of UTF-8: {error}") from error
    wanted = max(what.source, what.target) + 1
    for number, row in enumerate(rows, 1):
        if len(row) < wanted:
            raise SourceError(f"{path}: line {number} of text has {len(row)} columns; expected {wanted}, tabs between")
    texts = list(dict.fromkeys((row[what.source].strip(), row[what.target].strip()) for row in rows))
    kept = [pair for pair in texts if _fits(pair, what)]
    parts = split_pairs(kept, what.validation, what.test, what.split_seed)
    symbols = (UNKNOWN, *_frequent((one for one, _ in parts[0]), what.source_split, what.least_source))
    labels = _labels((one for _, one in parts[0]), what.target_split, what.least_target)
    sources, targets = Symbols(symbols, what.source_split), Symbols(labels, what.target_split)
    return _encode(parts, sources.encode, targets), symbols, labels


def _fits(pair: tuple[str, str], what: PairDataRecipe) -> bool:
    source, target = len(cut(pair[0], what.source_split)), len(cut(pair[1], what.target_split))
    return 0 < source <= what.longest_source and 0 < target <= what.longest_target


def _pictures(what: PairDataRecipe, path: Path) -> _Read:
    try:
        with np.load(path, allow_pickle=False) as file:
            pictures, captions, names = (file[name] for name in ("pictures", "captions", "parts"))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise SourceError(
            f"expected {path} to be an .npz file with pictures, captions and parts, got {error}"
        ) from error
    count = len(captions)
    if pictures.dtype != np.uint8 or pictures.shape != (count, *what.image) or names.shape != (count,):
        raise SourceError(
            f"{path}: expected pictures uint8 {[count, *what.image]} and parts {[count]}, got pictures "
            f"{pictures.dtype} {list(pictures.shape)} and parts {list(names.shape)}"
        )
    flat: dict[str, Source] = {str(place): picture.reshape(1, -1) for place, picture in enumerate(pictures)}
    parts = [
        [(str(place), str(captions[place])) for place in np.flatnonzero(names == part)]
        for part in ("training", "validation", "test")
    ]
    labels = _labels((one for _, one in parts[0]), what.target_split, what.least_target)
    return _encode(parts, flat.__getitem__, Symbols(labels, what.target_split)), (), labels


def _encode(
    parts: Sequence[Sequence[tuple[str, str]]], source: Callable[[str], Source], targets: Symbols
) -> list[tuple[Pair, ...]]:
    return [tuple(Pair(source(one), targets.encode(other), (one, other)) for one, other in part) for part in parts]


def _labels(texts: Iterable[str], split: Split, least: int) -> tuple[str, ...]:
    return (START, STOP, UNKNOWN, *_frequent(texts, split, least))


def _frequent(texts: Iterable[str], split: Split, least: int) -> list[str]:
    """Return the pieces that come at least so often, the most frequent first."""
    counts = Counter(piece for text in texts for piece in cut(text, split))
    pieces = [piece for piece, count in counts.items() if count >= least and not is_special(piece)]
    return sorted(pieces, key=lambda piece: (-counts[piece], piece))


def split_pairs(pairs: Sequence[tuple[str, str]], validation: int, test: int, seed: int) -> list[list[tuple[str, str]]]:
    """Return training, validation and test pairs; no source and no target is in two of them.

    Pairs that share a source or a target make a group, and so on; groups are drawn whole, those of many pairs stay in
    training.

    >>> pairs = [("a", "1"), ("b", "1"), ("b", "2"), ("c", "3"), ("d", "4")]
    >>> split_pairs(pairs, 1, 1, seed=0)
    [[('a', '1'), ('b', '1'), ('b', '2')], [('d', '4')], [('c', '3')]]
    """
    groups = _groups(pairs)
    order = np.random.Generator(np.random.PCG64(seed)).permutation(len(groups))
    parts: list[list[tuple[str, str]]] = [[], [], []]
    for place in order:
        group = groups[place]
        part = next((p for p, most in ((1, validation), (2, test)) if len(parts[p]) + len(group) <= most), 0)
        parts[part if len(group) <= _LARGE else 0].extend(group)
    return parts


_LARGE = 2  # pairs of a group that may be held out


def _groups(pairs: Sequence[tuple[str, str]]) -> list[list[tuple[str, str]]]:
    """Return the pairs in groups that share no source and no target with each other."""
    leader: dict[tuple[int, str], tuple[int, str]] = {}

    def find(node: tuple[int, str]) -> tuple[int, str]:
        while (above := leader.setdefault(node, node)) != node:
            leader[node] = leader.setdefault(above, above)
            node = leader[node]
        return node

    for source, target in pairs:
        leader[find((0, source))] = find((1, target))
    found: dict[tuple[int, str], list[tuple[str, str]]] = {}
    for source, target in pairs:
        found.setdefault(find((0, source)), []).append((source, target))
    return list(found.values())
