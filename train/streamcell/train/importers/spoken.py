"""One recording of a corpus, before its phones are known."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from streamcell.runtime.errors import SourceError


@dataclass(frozen=True, slots=True)
class Spoken:
    """What a corpus says of a recording.

    Attributes:
        id: its name, unlike all others of the corpus.
        speaker: who speaks; unlike all others of the corpus.
        audio: the recording.
        text: what is said, as the corpus writes it.
        phones: `(start s, duration s, label)` where the corpus itself says when each phone was said, else none.
    """

    id: str
    speaker: str
    audio: Path
    text: str
    phones: tuple[tuple[float, float, str], ...] = ()


def read_lines(path: Path) -> list[str]:
    """Return the lines of a corpus's text file, without empty ones.

    Raises:
        SourceError: it is not there or no text.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise SourceError(f"expected {path} in this kind of corpus, found nothing; name its top folder") from error
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(f"{path} cannot be read: {error}") from error
    return [line for line in text.splitlines() if line.strip()]
