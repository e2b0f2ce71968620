"""Folders, looked through for recordings."""

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

__all__ = ["AUDIO", "Found", "Walk"]

AUDIO = (".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aiff", ".aif", ".aifc", ".au", ".caf", ".w64", ".rf64")
"""Suffixes of what `AudioFile` reads."""


@dataclass(frozen=True, slots=True)
class Found:
    """Hold a file.

    Attributes:
        path: As it can be opened from here.
        below: Its path below the folder that was named.
        real: Its absolute path without symbolic links: equal ones are the same file.
    """

    path: str
    below: str
    real: str


@dataclass(slots=True)
class Walk:
    """Look for recordings in folders and all that is below them, in the order of their names.

    Symbolic links are followed. A folder is entered once, so that loops of links end; names that begin with a dot are
    passed over.

    Args:
        pattern: What a file's name must match, as a shell has it; None for the suffixes of `AUDIO`.

    Attributes:
        unreadable: Folders that could not be listed, each with the reason.
        again: Folders that were met twice: a loop, or two ways to one place.
        ignored: How many files did not match, by suffix.
    """

    pattern: str | None = None
    unreadable: list[tuple[str, str]] = field(default_factory=list)
    again: list[str] = field(default_factory=list)
    ignored: Counter[str] = field(default_factory=Counter)
    _entered: set[tuple[int, int]] = field(default_factory=set)

    def files(self, folder: str) -> Iterator[Found]:
        """Yield what matches below a folder."""
        below = [(folder, "", os.path.realpath(folder))]
        while below:
            path, name, real = below.pop()
            entries = self._entries(path)
            folders = []
            for entry in entries:
                inside = f"{name}/{entry.name}" if name else entry.name
                place = os.path.realpath(entry.path) if entry.is_symlink() else f"{real}/{entry.name}"
                if _is_folder(entry):
                    folders.append((entry.path, inside, place))
                elif self._matches(entry.name):
                    yield Found(entry.path, inside, place)
            below += reversed(folders)

    def _entries(self, path: str) -> list["os.DirEntry[str]"]:
        try:
            status = os.stat(path)  # noqa: PTH116 - a million of Path objects take long
            if (status.st_dev, status.st_ino) in self._entered:
                self.again.append(path)
                return []
            self._entered.add((status.st_dev, status.st_ino))
            with os.scandir(path) as entries:
                return sorted((e for e in entries if not e.name.startswith(".")), key=lambda entry: entry.name)
        except OSError as error:
            self.unreadable.append((path, f"the folder cannot be read: {error.strerror}"))
            return []

    def _matches(self, name: str) -> bool:
        suffix = os.path.splitext(name)[1].lower()  # noqa: PTH122 - as above
        if fnmatchcase(name, self.pattern) if self.pattern is not None else suffix in AUDIO:
            return True
        self.ignored[suffix or "no suffix"] += 1
        return False


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself: opening it will say so
        return False
