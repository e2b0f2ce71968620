"""Mozilla Common Voice (Ardila et al. 2020), one language's folder: `validated.tsv` and `clips/`."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

from streamcell.runtime.errors import SourceError
from streamcell.train.importers.spoken import Spoken, read_lines


def read(folder: Path, split: str = "validated") -> Iterator[Spoken]:
    """Yield the recordings that `SPLIT.tsv` in `folder` lists.

    Raises:
        SourceError: there is no such table, or it lacks a column.
    """
    table = folder / f"{split}.tsv"
    rows = csv.DictReader(read_lines(table), delimiter="\t", quoting=csv.QUOTE_NONE)
    missing = {"client_id", "path", "sentence"} - set(rows.fieldnames or ())
    if missing:
        raise SourceError(f"{table}: expected columns client_id, path and sentence; {', '.join(missing)} is missing")
    for row in rows:
        audio = folder / "clips" / row["path"]
        yield Spoken(audio.stem, row["client_id"][:16], audio, row["sentence"] or "")
