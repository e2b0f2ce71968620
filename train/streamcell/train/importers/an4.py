"""CMU AN4 (Acero 1990): `etc/an4_train.fileids`, `etc/an4_train.transcription`, `wav/**.sph`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from streamcell.runtime.errors import SourceError
from streamcell.train.importers.spoken import Spoken, read_lines

_LINE = re.compile(r"^(?:<s>)?(?P<text>.*?)(?:</s>)?\s*\((?P<name>[^()]+)\)\s*$")


def read(folder: Path, split: str = "train") -> Iterator[Spoken]:
    """Yield the recordings of one half of the corpus, `train` or `test`.

    Raises:
        SourceError: a list is missing, or the two do not fit each other.
    """
    names, transcripts = folder / "etc" / f"an4_{split}.fileids", folder / "etc" / f"an4_{split}.transcription"
    files, lines = read_lines(names), read_lines(transcripts)
    if len(files) != len(lines):
        raise SourceError(f"expected as many lines in {names} as in {transcripts}, got {len(files)} and {len(lines)}")
    for file, line in zip(files, lines, strict=True):
        found, name = _LINE.match(line), Path(file).name
        if found is None or found["name"] != name:
            raise SourceError(f"{transcripts}: expected '<s> TEXT </s> ({name})', got {line!r:.80}")
        yield Spoken(name, Path(file).parent.name, _audio(folder / "wav" / file), found["text"].strip())


def _audio(path: Path) -> Path:
    """Return the recording, as it came (NIST SPHERE) or converted."""
    found = (path.with_name(f"{path.name}{suffix}") for suffix in (".sph", ".wav", ".flac", ".ogg"))
    return next((one for one in found if one.is_file()), path.with_name(f"{path.name}.sph"))
