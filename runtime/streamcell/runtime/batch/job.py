"""What is to be done, as values that can be sent to another process or machine."""

import hashlib
import json
import os
from dataclasses import asdict, dataclass
from typing import Any

from streamcell.runtime.errors import ModelError
from streamcell.runtime.model import Model
from streamcell.runtime.stream import Invalid

__all__ = ["Heard", "Job", "Outcome", "Task"]

_VERSION = 1  # raised where the same model and settings give other results than before


@dataclass(frozen=True, slots=True)
class Job:
    """Hold what is the same for all recordings.

    Attributes:
        model: As `Model.open` takes it; bytes where it was sent to another machine.
        fingerprint: Of that model.
        folder: The output folder.
        formats: Names of `streamcell.runtime.formats.names.FORMATS`.
        ipa: Whether phones are written in IPA.
        invalid: What samples are that are not finite.
        decoder: Settings in the place of the model's own, as for `Model.with_decoder`, or None; the fingerprint covers
            them.
    """

    model: str | bytes | None
    fingerprint: str
    folder: str
    formats: tuple[str, ...]
    ipa: bool = False
    invalid: Invalid = "error"
    decoder: dict[str, Any] | None = None

    @property
    def key(self) -> str:
        """Return 16 hexadecimal digits, the same for jobs that write the same of the same recording."""
        facts = {name: value for name, value in asdict(self).items() if name not in ("model", "folder", "decoder")}
        text = json.dumps({**facts, "formats": sorted(self.formats), "version": _VERSION}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def open_model(self) -> Model:
        """Open the model.

        Raises:
            ModelError: If it is not the one that the job was made for.
        """
        model = Model.open(self.model)
        model = model if self.decoder is None else model.with_decoder(self.decoder)
        if model.fingerprint != self.fingerprint:
            if isinstance(self.model, bytes):
                raise ModelError(f"streamcell on {os.uname().nodename} is another version; install the same everywhere")
            raise ModelError(f"the model {self.model or 'that is the default'} was changed meanwhile; begin again")
        return model


@dataclass(frozen=True, slots=True)
class Task:
    """Hold one recording: its number in the job, its path, the name of its result below the output folder."""

    number: int
    path: str
    name: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """Say what became of a recording.

    Attributes:
        number: As in `Task`.
        seconds: How much of it was heard.
        segments: How many segments were found.
        cut: Whether it was damaged or shorter than it should be.
        error: Why there is no result, or None.
        stop: Whether no other recording could be written either, e.g. because the disk is full.
    """

    number: int
    seconds: float = 0.0
    segments: int = 0
    cut: bool = False
    error: str | None = None
    stop: bool = False


@dataclass(frozen=True, slots=True)
class Heard:
    """Say that ``seconds`` more were heard, of recordings that may not be done yet."""

    seconds: float
