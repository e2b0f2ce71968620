"""From what the user named to a checked list of recordings, each with the name of its result."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from streamcell.runtime.batch.listing import Named
from streamcell.runtime.batch.naming import mirrored, result_names
from streamcell.runtime.batch.walk import Found, Walk
from streamcell.runtime.errors import InputError

__all__ = ["Inputs", "Item", "collect"]


@dataclass(frozen=True, slots=True)
class Item:
    """Hold a recording that is to be heard.

    Attributes:
        path: As it can be opened from here.
        name: Of its result, below the output folder, without a format's suffix.
        real: Its absolute path without symbolic links.
    """

    path: str
    name: str
    real: str


@dataclass(frozen=True, slots=True)
class Inputs:
    """Hold what was found.

    Attributes:
        items: Recordings, each once, in the order in which they were named.
        unreadable: Folders that could not be listed, each with the reason.
        notes: What the user should know: what was named twice, what was passed over.
    """

    items: tuple[Item, ...]
    unreadable: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]


def collect(
    named: Sequence[Named], pattern: str | None = None, root: str | None = None, *, once: bool = True
) -> Inputs:
    """Find the recordings that are meant, and name their results.

    A file in a folder that was named keeps its path below that folder; a file that was named itself keeps its relative
    path, see `streamcell.runtime.batch.naming`. With ``root`` every path is taken below that folder instead.

    Args:
        named: Files and folders; whether a file can be read shows when it is.
        pattern: Of names in folders, as a shell has it; None for all audio that can be read.
        root: The folder that becomes the output folder.
        once: Whether what is named twice is done once, and results must have different names.

    Raises:
        InputError: If a name is empty, results would have the same name, or a recording lies outside of ``root``.
    """
    walk, seen = Walk(pattern), dict[tuple[str, str | None], str]()
    found: list[tuple[Found, str | None]] = []
    twice: list[tuple[str, str]] = []
    for one in named:
        folder = os.path.isdir(one.path)  # noqa: PTH112 - where Path raises, this says no
        for file in walk.files(one.path) if folder else [_file(one)]:
            if once and (file.real, one.id) in seen:
                twice.append((file.path, seen[file.real, one.id]))
                continue
            seen[file.real, one.id] = file.path
            name = one.id if one.id is None or file.path == one.path else f"{one.id}/{file.below}"
            found.append((file, name))
    paths = [file.path for file, _ in found]
    below = [file.below if root is None else _below(file, root) for file, _ in found]
    names = result_names(below, [name for _, name in found], paths) if once else below
    items = [Item(file.path, name, file.real) for (file, _), name in zip(found, names, strict=True)]
    notes = _notes(walk, twice)
    if pattern is not None and not any(os.path.isdir(one.path) for one in named):  # noqa: PTH112 - as above
        notes.append(f"the pattern {pattern!r} is for files in folders, and no folder is named; it has no effect")
    return Inputs(tuple(items), tuple(walk.unreadable), tuple(notes))


def _file(one: Named) -> Found:
    if not one.path:
        raise InputError("one of the names is empty; expected a file or a folder, as in a.wav")
    return Found(one.path, mirrored(one.given or one.path), os.path.realpath(one.path))


def _below(file: Found, root: str) -> str:
    try:
        return str(PurePosixPath(os.path.abspath(file.path)).relative_to(os.path.abspath(root)))  # noqa: PTH100
    except ValueError as error:
        raise InputError(f"{file.path} does not lie below --root {root}; name a folder that holds all") from error


def _notes(walk: Walk, twice: Sequence[tuple[str, str]]) -> list[str]:
    notes = []
    if twice:
        path, first = twice[0]
        more = f" (and {len(twice) - 1} more)" if len(twice) > 1 else ""
        notes.append(f"{path} is the same file as {first}{more}; each is done once")
    if walk.again:
        more = f" (and {len(walk.again) - 1} more)" if len(walk.again) > 1 else ""
        notes.append(
            f"the folder {walk.again[0]} was met before, a loop or a second way to it{more}; it is not entered"
        )
    if walk.ignored:
        kinds = ", ".join(f"{count} {suffix}" for suffix, count in walk.ignored.most_common(4))
        notes.append(f"{walk.ignored.total()} other files in the folders were passed over ({kinds})")
    return notes
