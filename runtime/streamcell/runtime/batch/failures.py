"""The recordings that failed, each with its reason, as a file beside the results."""

import json
from pathlib import Path

from streamcell.runtime.batch.naming import RESERVED
from streamcell.runtime.errors import InputError

__all__ = ["Failures"]


class Failures:
    """Write ``failed.jsonl`` line by line; without a failure there is no such file.

    Args:
        folder: The output folder.

    Attributes:
        path: Of the file.
        count: How many failed.
    """

    def __init__(self, folder: Path) -> None:
        self.path, self.count = folder / f"{RESERVED}.jsonl", 0
        try:
            self.path.unlink(missing_ok=True)  # of an earlier run
        except OSError as error:
            raise InputError(f"cannot remove {self.path} of an earlier run: {error.strerror}") from error

    def add(self, path: str, reason: str) -> None:
        """Note a failure; a disk that is full keeps it from being noted, not from being counted."""
        self.count += 1
        try:
            with self.path.open("a") as file:
                file.write(json.dumps({"file": path, "error": reason}) + "\n")
        except OSError:
            return
