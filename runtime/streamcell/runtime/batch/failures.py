"""The recordings that failed, each with its reason, as a file beside the results."""

import json
from pathlib import Path

from streamcell.runtime.batch.journal import Journal
from streamcell.runtime.batch.naming import RESERVED
from streamcell.runtime.batch.outputs import WriteError
from streamcell.runtime.errors import InputError

__all__ = ["Failures"]


class Failures:
    """Write ``failed.jsonl`` line by line; without a failure there is no such file.

    That of an earlier run, which the journal knows, is removed at the beginning; a file of that name that somebody else
    made is not touched unasked.

    Args:
        folder: The output folder.
        journal: Of that folder.
        overwrite: Whether somebody else's file is removed too.

    Attributes:
        path: Of the file.
        count: How many failed.

    Raises:
        InputError: If there is somebody else's file, or one of an earlier run that cannot be removed.
    """

    def __init__(self, folder: Path, journal: Journal, *, overwrite: bool = False) -> None:
        self.path, self.count, self._journal = folder / f"{RESERVED}.jsonl", 0, journal
        if self.path.exists() and RESERVED not in journal.begun and not overwrite:
            advice = "failures are listed under that name; move it away, or say --overwrite"
            raise InputError(f"{self.path} is there already and no run of streamcell has written it; {advice}")
        try:
            self.path.unlink(missing_ok=True)  # of an earlier run
        except OSError as error:
            raise InputError(f"cannot remove {self.path} of an earlier run: {error.strerror}") from error

    def add(self, path: str, reason: str) -> None:
        """Note a failure; a disk that is full keeps it from being noted, not from being counted."""
        self.count += 1
        try:
            self._journal.begin(RESERVED)
            with self.path.open("a") as file:
                file.write(json.dumps({"file": path, "error": reason}) + "\n")
        except (OSError, WriteError):
            return
