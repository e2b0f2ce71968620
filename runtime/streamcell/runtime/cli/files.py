"""What commands that take many files share: each is done, one that cannot be read keeps no other from it."""

import sys
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from streamcell.runtime.errors import SourceError

if TYPE_CHECKING:
    from streamcell.runtime.formats import Transcript

__all__ = ["EXIT_CODES", "each", "writer"]

EXIT_CODES = """\
exit code: 0 all done, 1 a file was cut or damaged and what could be decoded is printed, 2 a file or the model
could not be read (the other files are done all the same). Results go to stdout, remarks to stderr.
"""


def each(files: Iterable[str], hear: "Callable[[str], Transcript]", show: "Callable[[Transcript], None]") -> int:
    """Hear and show each file; return 0, 1 (a file was cut) or 2 (a file could not be read)."""
    code = 0
    for file in files:
        try:
            transcript = hear(file)
        except SourceError as error:
            print(f"streamcell: error: {error}", file=sys.stderr)
            code = 2
            continue
        show(transcript)
        code = max(code, _remark(transcript))
    return code


def writer(form: str) -> "Callable[[Transcript], str]":
    """Return what writes a transcript as ``"text"`` or ``"jsonl"``."""
    from streamcell.runtime.formats import jsonl, text

    return {"text": text.write, "jsonl": jsonl.write}[form]


def _remark(transcript: "Transcript") -> int:
    """Say on stderr what is odd about a result; return 1 if part of the file is missing."""
    file, seconds = transcript.file, f"{transcript.duration:.3f} s"
    if not transcript.segments:
        print(f"streamcell: note: nothing was found in {file} ({seconds} of audio)", file=sys.stderr)
    if transcript.cut:
        problem = f"{file} is cut or damaged; only its first {seconds} could be decoded"
        print(f"streamcell: warning: {problem}", file=sys.stderr)
    return int(transcript.cut)
