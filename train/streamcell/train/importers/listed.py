"""Any corpus as JSON lines: `audio` (beside the file, if relative) and `text`, perhaps `id`, `speaker` and `phones`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from streamcell.runtime.errors import SourceError
from streamcell.train.importers.spoken import Spoken, read_lines


def read(path: Path) -> Iterator[Spoken]:
    """Yield the recordings that a file, or `utterances.jsonl` in a folder, lists.

    Raises:
        SourceError: there is none, or a line does not fit.
    """
    path = path / "utterances.jsonl" if path.is_dir() else path
    for number, line in enumerate(read_lines(path), 1):
        try:
            row = json.loads(line)
            audio = path.parent / row["audio"]
            phones = tuple((float(start), float(size), str(label)) for start, size, label in row.get("phones", ()))
            yield Spoken(str(row.get("id", audio.stem)), str(row.get("speaker", "")), audio, str(row["text"]), phones)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise SourceError(
                f'{path}, line {number}: expected an object with "audio" and "text", got {line!r:.80}'
            ) from error
