"""Texts of a command: the lines of a file or of standard input, and what strangers say."""

import sys
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

from streamcell.runtime.errors import SourceError
from streamcell.runtime.printable import printable

__all__ = ["lines", "plain"]


def lines(name: str) -> Iterator[str]:
    """Yield the lines of a file, or of standard input for ``-``, as they come, without their ends.

    Raises:
        SourceError: If there is no such file, or a line is not UTF-8.
    """
    if name != "-" and not Path(name).is_file():
        what = "is a folder; name a file of text" if Path(name).is_dir() else "no such file; give a text with --text"
        raise SourceError(f"{name}: {what}")
    with nullcontext(sys.stdin.buffer) if name == "-" else Path(name).open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                yield line.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
            except UnicodeDecodeError as error:
                shown = "standard input" if name == "-" else name
                raise SourceError(f"{shown}, line {number}: expected UTF-8 ({error})") from error


def plain(text: str, longest: int) -> str:
    r"""Return a text without what would command a terminal, and not endless: it may be from a stranger's file.

    Examples:
        >>> print(plain("a\nb \x1b[2J and more", 9))
        a
        b \x1b[2J ...
    """
    shown = printable(text[:longest], keep="\n")
    return shown if len(text) <= longest else f"{shown} ..."
