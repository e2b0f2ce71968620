"""What is done in an output folder: a list that grows line by line and outlives a kill."""

import errno
import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from streamcell.runtime.batch.outputs import WriteError
from streamcell.runtime.errors import InputError

__all__ = ["Done", "Journal", "Stamp", "locked"]

HOME = ".streamcell"
"""Folder within the output folder for what is no result."""


@dataclass(frozen=True, slots=True)
class Stamp:
    """Tell a recording from another or from itself before it was changed."""

    real: str
    size: int
    changed: int  # nanoseconds, mtime

    @classmethod
    def of(cls, real: str) -> "Stamp | None":
        """Return the stamp of a file, or None if there is none."""
        try:
            status = os.stat(real)  # noqa: PTH116 - for a million of them
        except (OSError, ValueError):
            return None
        return cls(real, status.st_size, status.st_mtime_ns)


@dataclass(frozen=True, slots=True)
class Done:
    """Hold what the journal knows of a result: of which recording, by which `Job.key`, and what was heard."""

    stamp: Stamp
    key: str
    seconds: float
    cut: bool


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other runs out of an output folder, which is made if it is not there.

    The lock goes with the process, however that ends.

    Raises:
        InputError: If another run is writing there, or the folder cannot be written to.
    """
    try:
        (folder / HOME).mkdir(parents=True, exist_ok=True)
        file = (folder / HOME / "lock").open("a")
    except OSError as error:
        raise InputError(f"cannot write to the output folder {folder}: {error.strerror}") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise InputError(f"another run is writing to {folder}; wait for it, or choose another --out") from error
        yield


class Journal:
    """Remember what was begun and what is done in an output folder.

    ``.streamcell/done.jsonl`` has a line for each recording that was begun and a line for each that is done. Lines are
    only ever added, each in one write. A line that is torn, because the power failed or the disk was full, is not read;
    what it told of is done again.

    Args:
        folder: The output folder; `locked` by the caller.

    Attributes:
        done: By name of the result.
        begun: Names of results that a run of streamcell has begun to write, done or not.

    Raises:
        InputError: If the journal cannot be read or written.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / HOME / "done.jsonl"
        self.done: dict[str, Done] = {}
        self.begun: set[str] = set()
        try:
            torn = self._read()
            self._file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
            if torn:
                os.write(self._file, b"\n")
        except OSError as error:
            raise InputError(f"cannot use the journal {self._path}: {error.strerror}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._file)

    def begin(self, name: str) -> None:
        """Note that a result is about to be written: what is found under its name from now on is ours.

        Raises:
            WriteError: If the journal cannot be written.
        """
        if name not in self.begun:
            self._append({"begun": name})
            self.begun.add(name)

    def finish(self, name: str, done: Done) -> None:
        """Note that a result is there, whole.

        Raises:
            WriteError: If the journal cannot be written.
        """
        self.done[name] = done
        stamp = done.stamp
        values = {"done": name, "file": stamp.real, "size": stamp.size, "mtime_ns": stamp.changed, "key": done.key}
        self._append({**values, "seconds": done.seconds, "cut": done.cut})

    def sync(self) -> None:
        """Bring the journal to the disk."""
        os.fsync(self._file)

    def _append(self, values: dict[str, Any]) -> None:
        line = json.dumps(values).encode() + b"\n"
        try:
            written = os.write(self._file, line)
        except OSError as error:
            raise WriteError(f"{self._path} cannot be written: {error.strerror}", hopeless=True) from error
        if written != len(line):
            raise WriteError(f"{self._path} cannot be written: {os.strerror(errno.ENOSPC)}", hopeless=True)

    def _read(self) -> bool:
        """Take in what is there; return whether its last line is torn."""
        if not self._path.exists():
            return False
        line = b"\n"
        with self._path.open("rb") as file:
            for line in file:
                self._take(line)
        return not line.endswith(b"\n")

    def _take(self, line: bytes) -> None:
        try:
            values = json.loads(line)
            name = values["begun"] if "begun" in values else values["done"]
            if "done" in values:
                stamp = Stamp(values["file"], values["size"], values["mtime_ns"])
                self.done[name] = Done(stamp, values["key"], values["seconds"], values["cut"])
            self.begun.add(name)
        except (ValueError, KeyError, TypeError):
            return
