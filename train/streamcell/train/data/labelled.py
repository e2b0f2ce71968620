"""Sequences with one label each, whatever they are made of: held out by group or by fold, hashed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamcell.runtime.errors import InputError
from streamcell.train.columns import Columns
from streamcell.train.data.groups import MOST_NAMES, check_groups


@dataclass(frozen=True, slots=True, eq=False)
class Labelled:
    """One sequence and what it is.

    Attributes:
        x: int64 `[N]` for tokens, float32 `[N]` for sound, float32 `[N, C]` for features; not empty.
        label: index of the data's labels.
        group: who or what sequences share that must not be split between training and validation.
    """

    x: NDArray[Any]
    label: int
    group: str


@dataclass(frozen=True, slots=True, eq=False)
class LabelledData:
    """All sequences of a corpus, split.

    Attributes:
        columns: names of what goes in and out.
        training: what is trained on.
        validation: what networks are chosen by.
        test: what nothing is chosen by.
    """

    columns: Columns
    training: list[Labelled]
    validation: list[Labelled]
    test: list[Labelled]

    @property
    def fingerprint(self) -> str:
        """Return a hash (SHA-256) of what is trained on and validated on."""
        digest = hashlib.sha256(repr(self.columns).encode())
        for part in (self.training, self.validation):
            digest.update(f"{len(part)} ".encode())
            for one in part:
                digest.update(f"{one.x.shape} {one.label} {one.group} ".encode() + one.x.tobytes())
        return digest.hexdigest()


def deal(contents: Iterable[str | bytes], labels: Iterable[object], folds: int, seed: int) -> list[str]:
    """Return the fold of each sequence, "fold 1" and so on, each with about as many of every label.

    Sequences of the same content are in the same fold.

    Args:
        contents: of the sequences.
        labels: of the sequences.
        folds: how many, at least 2.
        seed: who goes where.

    >>> deal("abcdea", [0, 0, 1, 1, 0, 0], folds=2, seed=1)
    ['fold 1', 'fold 2', 'fold 2', 'fold 1', 'fold 1', 'fold 1']
    """
    contents = list(contents)
    first = dict(zip(reversed(contents), reversed(list(labels)), strict=True))  # of each content, its first label
    kinds = {
        label: [content for content in dict.fromkeys(contents) if first[content] == label] for label in first.values()
    }
    random, fold, given = np.random.default_rng(seed), {}, 0
    for distinct in kinds.values():
        for place in random.permutation(len(distinct)):
            fold[distinct[place]] = f"fold {given % folds + 1}"
            given += 1
    return [fold[content] for content in contents]


def hold_out(
    sequences: Sequence[Labelled], columns: Columns, validation_groups: Sequence[str], test_groups: Sequence[str]
) -> LabelledData:
    """Return the sequences, those of `validation_groups` and `test_groups` held out.

    Raises:
        InputError: a group is not in the data or named twice, or nothing is left to train or validate on.
    """
    check_split([one.group for one in sequences], validation_groups, test_groups)
    held, test = set(validation_groups), set(test_groups)
    return LabelledData(
        columns,
        [one for one in sequences if one.group not in held | test],
        [one for one in sequences if one.group in held],
        [one for one in sequences if one.group in test],
    )


def check_split(groups: Sequence[str], validation_groups: Sequence[str], test_groups: Sequence[str]) -> None:
    """Raise `InputError` unless the groups that are held out are there, and leave something to train on."""
    there = list(dict.fromkeys(groups))
    check_groups(there, validation_groups, test_groups)
    if not validation_groups:
        raise InputError(f"nothing is left to validate on; name data.validation_groups, of {there[:MOST_NAMES]}")
    if {*validation_groups, *test_groups} >= set(there):
        raise InputError("nothing is left to train on; hold fewer groups out")
