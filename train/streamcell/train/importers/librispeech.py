"""LibriSpeech (Panayotov et al. 2015, openslr.org/12), or a subset: `*/SPEAKER/CHAPTER/*.trans.txt` and flac."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from streamcell.runtime.errors import SourceError
from streamcell.train.importers.spoken import Spoken, read_lines


def read(folder: Path) -> Iterator[Spoken]:
    """Yield the recordings below `folder`.

    Raises:
        SourceError: there is no transcript, or a line of one has no text.
    """
    transcripts = sorted(folder.rglob("*.trans.txt"))
    if not transcripts:
        raise SourceError(f"expected SPEAKER/CHAPTER/SPEAKER-CHAPTER.trans.txt below {folder}, found none")
    for transcript in transcripts:
        for line in read_lines(transcript):
            name, _, text = line.partition(" ")
            if not text:
                raise SourceError(f"{transcript}: expected 'ID TEXT' a line, got {line!r:.80}")
            yield Spoken(name, name.split("-")[0], transcript.with_name(f"{name}.flac"), text)
