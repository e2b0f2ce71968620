"""Results as files: each is there whole, or not at all."""

import errno
import os
import secrets
from collections.abc import Iterable, Sequence
from pathlib import Path

from streamcell.runtime.errors import StreamcellError
from streamcell.runtime.formats import Transcript
from streamcell.runtime.formats.names import find_format

__all__ = ["WriteError", "remove_unfinished", "result_paths", "write_results", "write_whole"]

_UNFINISHED = ".streamcell-part"
_HOPELESS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO}


class WriteError(StreamcellError):
    """Report a result that could not be written; nothing of it is there.

    Args:
        message: What went wrong.
        hopeless: Whether every other would fail alike.
    """

    def __init__(self, message: str, *, hopeless: bool) -> None:
        super().__init__(message)
        self.hopeless = hopeless


def result_paths(folder: str, name: str, formats: Sequence[str]) -> list[Path]:
    """Return where the result of a recording is written, one path a format.

    Examples:
        >>> [str(path) for path in result_paths("out", "calls/a", ["textgrid", "jsonl"])]
        ['out/calls/a.TextGrid', 'out/calls/a.jsonl']
    """
    return [Path(folder, name + find_format(form).suffix) for form in formats]


def write_results(folder: str, name: str, formats: Sequence[str], transcript: Transcript) -> None:
    """Write a transcript in some formats, each whole or not at all.

    Raises:
        WriteError: If one cannot be written.
    """
    for path, form in zip(result_paths(folder, name, formats), formats, strict=True):
        write_whole(path, find_format(form).parts(transcript))


def write_whole(path: Path, parts: Iterable[str]) -> None:
    """Write a text so that the file is complete as soon as it has its name, even if the power fails.

    It is written beside its place, brought to the disk, and renamed. Bytes of names that are no UTF-8 stay as they are.

    Raises:
        WriteError: If it cannot be written; then nothing has changed.
    """
    unfinished = path.parent / f".{secrets.token_hex(8)}{_UNFINISHED}"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with unfinished.open("x", encoding="utf-8", errors="surrogateescape", newline="\n") as file:
                file.writelines(parts)
                file.flush()
                os.fsync(file.fileno())
            unfinished.replace(path)
        except BaseException:
            unfinished.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise WriteError(f"{path} cannot be written: {error.strerror}", hopeless=error.errno in _HOPELESS) from error


def remove_unfinished(folders: Iterable[Path]) -> None:
    """Remove what a process that was killed left half written in some folders."""
    for folder in folders:
        for path in folder.glob(f".*{_UNFINISHED}"):
            path.unlink(missing_ok=True)
