"""The names of results: a recording's path, mirrored below the output folder."""

from collections import Counter
from collections.abc import Sequence
from pathlib import PurePosixPath

from streamcell.runtime.errors import InputError

__all__ = ["RESERVED", "mirrored", "result_names"]

RESERVED = "failed"
"""A result of this name would be where failures are listed."""


def mirrored(path: str) -> str:
    """Return where below the output folder the result of a file belongs that was named by itself.

    A path that leads down from here keeps its folders; of any other only the file's name is left.

    Examples:
        >>> mirrored("./calls/a.wav"), mirrored("../calls/a.wav"), mirrored("/data/calls/a.wav")
        ('calls/a.wav', 'a.wav', 'a.wav')
    """
    parts = PurePosixPath(path)
    return parts.name if parts.is_absolute() or ".." in parts.parts else str(parts)


def result_names(below: Sequence[str], ids: Sequence[str | None], paths: Sequence[str]) -> list[str]:
    """Return each result's name, to which a format's suffix will be added.

    It is the id, or the mirrored path without its suffix. Where two would have the same name, as ``x.wav`` and
    ``x.flac`` beside each other, each keeps its suffix: ``x.wav.TextGrid`` and ``x.flac.TextGrid``.

    Args:
        below: Mirrored paths, see `mirrored`.
        ids: What the user calls them, or None.
        paths: For errors.

    Raises:
        InputError: If an id leads out of the output folder, a name into the folder that streamcell keeps for itself, or
            names are the same all the same.

    Examples:
        >>> result_names(["a/x.wav", "a/x.flac", "a/y.wav"], [None] * 3, ["1", "2", "3"])
        ['a/x.wav', 'a/x.flac', 'a/y']
    """
    names = [_checked(name) if name is not None else _bare(path) for path, name in zip(below, ids, strict=True)]
    counts = Counter(names)
    counts[RESERVED] += 1
    full = [
        path if name is None and counts[short] > 1 else short
        for path, name, short in zip(below, ids, names, strict=True)
    ]
    _check_different(full, paths)
    return full


def _bare(path: str) -> str:
    return str(PurePosixPath(path).with_suffix(""))


def _checked(name: str) -> str:
    parts = PurePosixPath(name)
    if parts.is_absolute() or ".." in parts.parts or not parts.name or "\0" in name:
        raise InputError(f"the id {name!r} is no name below the output folder; leave out / and ..")
    return str(parts)


def _check_different(names: Sequence[str], paths: Sequence[str]) -> None:
    first: dict[str, str] = {RESERVED: "the list of failures"}
    for name, path in zip(names, paths, strict=True):
        if name.startswith(".streamcell/"):
            raise InputError(
                f"{path} would be written as {name!r}, where streamcell keeps its journal; name it otherwise"
            )
        if name in first:
            raise InputError(
                f"{first[name]} and {path} would both be written as {name!r}. Name the folder that holds both, say "
                "--root FOLDER to have paths below it, or give each an id in a --list"
            )
        first[name] = path
