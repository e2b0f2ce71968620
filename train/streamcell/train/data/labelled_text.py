"""Texts with one label each: lines of files, whole files, or rows of an ARFF table, in folders or in a ZIP archive."""

from __future__ import annotations

import csv
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import TypeAlias

from streamcell.runtime.errors import InputError, SourceError
from streamcell.runtime.symbols import UNKNOWN, Split, Symbols, cut
from streamcell.train.columns import Columns
from streamcell.train.data.labelled import Labelled, LabelledData, check_split, deal, hold_out
from streamcell.train.data.text import read_file, vocabulary

Texts: TypeAlias = list[tuple[str, str]]
"""Texts, each with its label."""

_MOST_BYTES = 1 << 30  # of one file within an archive


def read_lines(path: Path, files: Mapping[str, str]) -> Texts:
    """Return the lines of the text files in a folder or ZIP archive that are not blank.

    Args:
        path: of the folder or archive.
        files: for each label the name of its file, below `path`; none: all `*.txt`, each with its name as label.

    Raises:
        SourceError: a file is missing or cannot be read, or there is none.
    """
    found = dict(_contents(path))
    chosen = files or {PurePosixPath(name).stem: name for name in found if name.endswith(".txt")}
    if missing := [name for name in chosen.values() if name not in found]:
        raise SourceError(f"expected {missing[0]} in {path}, found {_some(found)}")
    return [(line.strip(), label) for label, name in chosen.items() for line in found[name].split("\n") if line.strip()]


def read_files(path: Path) -> Texts:
    """Return the texts of the files in a folder or ZIP archive; the folder that a file is in is its label.

    Raises:
        SourceError: a file cannot be read, or there is none in a folder.
    """
    found = [(PurePosixPath(name), text.strip()) for name, text in _contents(path)]
    return [(text, name.parent.name) for name, text in found if name.parent.name and text]


def read_arff(path: Path, *, label: str, leave_out: Sequence[str] = (), split: Split = "characters") -> Texts:
    """Return the rows of an ARFF table: the values of a row's columns, from left to right, are the symbols of a text.

    Args:
        path: of the file.
        label: the column that is no symbol but the label.
        leave_out: columns that are neither.
        split: with "characters", each value must be one.

    Raises:
        SourceError: it cannot be read, has no such column, or a row does not fit.
    """
    lines = read_file(path).split("\n")
    heads = [number for number, line in enumerate(lines) if line.strip().lower() == "@data"]
    if not heads:
        raise SourceError(f"expected an ARFF file at {path}, found no line '@data' in it")
    names = [_attribute(line) for line in lines[: heads[0]] if line.strip().lower().startswith("@attribute")]
    if unknown := [name for name in (label, *leave_out) if name not in names]:
        raise SourceError(f"{path} has no attribute {unknown[0]!r}; it has {_some(names)}")
    kept = [place for place, name in enumerate(names) if name != label and name not in leave_out]
    texts = []
    for number, line in enumerate(lines[heads[0] + 1 :], heads[0] + 2):
        if line.strip() and not line.startswith("%"):
            row = _row(line, len(names), f"{path}, line {number}")
            values = [row[place] for place in kept]
            if split == "characters" and (long := [value for value in values if len(value) != 1]):
                raise SourceError(f"{path}, line {number}: expected values of one character, got {long[0]!r}")
            texts.append((("" if split == "characters" else " ").join(values), row[names.index(label)]))
    return texts


def encode(
    texts: Texts,
    split: Split,
    *,
    least: int = 1,
    unknown: bool = False,
    distinct: bool = False,
    folds: int = 10,
    seed: int = 1,
    validation_groups: Sequence[str] = (),
    test_groups: Sequence[str] = (),
) -> LabelledData:
    """Return texts as symbols, held out by folds; the symbols are those of the part that is trained on.

    Args:
        texts: each with its label.
        split: "characters" or "words".
        least: how often a symbol must be there in training.
        unknown: whether "<unk>" is needed in any case.
        distinct: keep one of equal texts with equal labels.
        folds: see `deal`.
        seed: see `deal`.
        validation_groups: names of folds.
        test_groups: names of folds.

    Raises:
        InputError: there are no texts, or the folds leave nothing.
    """
    texts = [(text, label) for text, label in (dict.fromkeys(texts) if distinct else texts) if cut(text, split)]
    labels = tuple(sorted({label for _, label in texts}))
    if len(labels) < 2:
        raise InputError(f"expected texts of two labels at least, got {len(texts)} of {list(labels)}")
    groups = deal([text for text, _ in texts], [label for _, label in texts], folds, seed)
    check_split(groups, validation_groups, test_groups)
    held = {*validation_groups, *test_groups}
    heard = [
        piece for (text, _), group in zip(texts, groups, strict=True) if group not in held for piece in cut(text, split)
    ]
    symbols = vocabulary(heard, least, (piece for text, _ in texts for piece in cut(text, split)))
    if unknown and UNKNOWN not in symbols:
        symbols = (UNKNOWN, *symbols)
    table = Symbols(symbols, split)
    sequences = [
        Labelled(table.encode(text), labels.index(label), group)
        for (text, label), group in zip(texts, groups, strict=True)
    ]
    return hold_out(sequences, Columns(labels, symbols=symbols), validation_groups, test_groups)


def _contents(path: Path) -> Iterator[tuple[str, str]]:
    """Yield name and text of each file in a folder or ZIP archive, sorted by name."""
    if path.is_dir():
        for file in sorted(path.rglob("*")):
            if file.is_file() and not file.name.startswith("."):
                yield file.relative_to(path).as_posix(), read_file(file)
        return
    try:
        with zipfile.ZipFile(path) as archive:
            for item in sorted(archive.infolist(), key=lambda item: item.filename):
                if not item.is_dir():
                    yield item.filename, _unpack(archive, item, path)
    except (OSError, zipfile.BadZipFile) as error:
        raise SourceError(f"expected a folder or a ZIP archive of texts at {path}, cannot read it: {error}") from error


def _unpack(archive: zipfile.ZipFile, item: zipfile.ZipInfo, path: Path) -> str:
    if item.file_size > _MOST_BYTES:
        raise SourceError(f"{path}: {item.filename} has {item.file_size} bytes; at most {_MOST_BYTES} are read")
    try:
        return archive.read(item).decode("utf-8-sig").replace("\r\n", "\n")
    except (UnicodeDecodeError, RuntimeError, zlib.error) as error:
        raise SourceError(f"{path}: expected text (UTF-8) in {item.filename}, cannot read it: {error}") from error


def _attribute(line: str) -> str:
    """Return the name that an ARFF attribute's line declares.

    >>> _attribute("@attribute 'a b' { x, y }"), _attribute("@ATTRIBUTE size real")
    ('a b', 'size')
    """
    rest = line.strip().split(maxsplit=1)[1]
    return rest[1:].split(rest[0])[0] if rest[0] in "'\"" else rest.split()[0]


def _row(line: str, columns: int, where: str) -> list[str]:
    row = [value.strip() for value in next(csv.reader([line], quotechar="'", skipinitialspace=True))]
    if len(row) != columns:
        raise SourceError(f"{where}: expected {columns} values, got {len(row)}")
    return row


def _some(names: Iterator[str] | Sequence[str] | Mapping[str, str]) -> str:
    """Return the first few of `names`, and how many more there are."""
    names = list(names)
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "") if names else "nothing"
