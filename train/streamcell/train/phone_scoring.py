"""What was said in recordings beside what a model file hears there: which ones, error rates, intervals."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from streamcell.runtime.decode import Decoder
from streamcell.runtime.events import Segment
from streamcell.runtime.frames import Frames
from streamcell.runtime.model import Model
from streamcell.runtime.phones import SILENCE
from streamcell.runtime.posteriors import Posteriors
from streamcell.runtime.sources import AudioFile
from streamcell.train.data.utterances import Utterance, read_corpus
from streamcell.train.metrics import ErrorRate, by_group, error_rate

Phone = tuple[float, float, str]
"""Start s, duration s, label."""

_DRAWS = 10_000


@dataclass(frozen=True, slots=True)
class Pair:
    """One recording: what was said and what was heard, pauses left out of both."""

    utterance: Utterance
    heard: list[Phone]

    @property
    def spoken(self) -> list[Phone]:
        """Return what was said."""
        return [phone for phone in self.utterance.phones if phone[2] != SILENCE]

    @property
    def labels(self) -> tuple[list[str], list[str]]:
        """Return the phones said and heard without their times."""
        return [phone[2] for phone in self.spoken], [phone[2] for phone in self.heard]

    @property
    def errors(self) -> ErrorRate:
        """Return the edits between them."""
        return error_rate(*self.labels)


@dataclass(frozen=True, slots=True)
class Answers:
    """What a model answered to one recording, and when that ended (s): for decoders to be tried on."""

    utterance: Utterance
    frames: list[Frames]
    end: float

    def decode(self, decoder: Decoder) -> list[Segment]:
        """Return the final segments without pauses."""
        decoder.reset()
        found = [segment for frames in self.frames for segment in decoder.push(frames)] + decoder.flush(self.end)
        return [segment for segment in found if segment.final and segment.label != SILENCE]

    def pair(self, segments: Iterable[Segment]) -> Pair:
        """Return what was said beside what was decoded."""
        return pair(self.utterance, segments)


def pair(utterance: Utterance, segments: Iterable[Segment]) -> Pair:
    """Return what was said beside what was heard."""
    heard = [(s.start, s.end - s.start, s.label) for s in segments if s.label != SILENCE]
    return Pair(utterance, heard)


def answer(model: Model, utterance: Utterance) -> Answers:
    """Run a model over one recording, as a file is streamed.

    Raises:
        SourceError: it cannot be read.
    """
    with AudioFile(utterance.audio) as audio:
        stage = Posteriors(model, audio.sample_rate, "file")
        items = [item for block in audio for item in stage.push(block)]
        return Answers(utterance, items + stage.flush(), stage.time)


def choose(folders: Sequence[Path], recipe: Path | None = None, most: int | None = None) -> list[list[Utterance]]:
    """Return utterances of each folder.

    Args:
        folders: each holds `utterances.jsonl`.
        recipe: a recipe file; only the speakers that it holds out of the folder are taken. None takes all.
        most: so many of each folder, spread evenly over it; None takes all.

    Raises:
        SourceError: a folder is no corpus.
    """
    chosen = []
    for folder in folders:
        found = read_corpus(folder.parent, folder.name)
        if recipe is not None:
            held = _held_out(recipe, folder)
            found = [one for one in found if one.speaker in held]
        places = range(len(found)) if most is None else np.linspace(0, len(found), most, endpoint=False).astype(int)
        chosen.append([found[place] for place in sorted(set(places))])
    return chosen


def _held_out(recipe: Path, folder: Path) -> set[str]:
    corpora = tomllib.loads(recipe.read_text(encoding="utf-8"))["data"]["corpora"]
    whole = f"/{folder.resolve().as_posix()}"
    return {
        speaker
        for corpus in corpora
        if whole.endswith(f"/{corpus['path']}")
        for speaker in corpus.get("validation_speakers", ())
    }


def total(pairs: Iterable[Pair]) -> ErrorRate:
    """Return the edits of all recordings together."""
    return sum((one.errors for one in pairs), ErrorRate())


def interval(pairs: Iterable[Pair]) -> tuple[float, float]:
    """Return the 95% interval of the error rate by bootstrap over speakers, 10,000 draws with a fixed seed.

    >>> from streamcell.train.data.utterances import Utterance
    >>> said = [Utterance("", name, "", Path(), ((0.0, 0.1, "AA"),) * 10) for name in "ab"]
    >>> interval([Pair(one, [(0.0, 0.1, "AA")] * heard) for one, heard in zip(said, (10, 5))])
    (0.0, 0.5)
    """
    groups = list(by_group((one.utterance.speaker, one.errors) for one in pairs).values())
    edits = np.array([group.substitutions + group.deletions + group.insertions for group in groups])
    phones = np.array([group.phones for group in groups])
    drawn = np.random.default_rng(1).integers(len(groups), size=(_DRAWS, len(groups)))
    low, high = np.quantile(edits[drawn].sum(1) / phones[drawn].sum(1), [0.025, 0.975])
    return float(low), float(high)


def wilson(hits: float, of: int) -> tuple[float, float]:
    """Return the 95% interval of a share (Wilson, 1927).

    >>> [round(number, 3) for number in wilson(181, 200)]
    [0.856, 0.938]
    """
    z = 1.96
    middle, half = hits / of + z * z / (2 * of), z * math.sqrt(hits / of * (1 - hits / of) / of + (z / of / 2) ** 2)
    return (middle - half) / (1 + z * z / of), (middle + half) / (1 + z * z / of)


def percent(share: float, bounds: tuple[float, float]) -> str:
    """Write a share and its interval.

    >>> percent(0.466, (0.44, 0.4951))
    '46.6% (44.0 to 49.5)'
    """
    return f"{100 * share:.1f}% ({100 * bounds[0]:.1f} to {100 * bounds[1]:.1f})"


def training_phones(recipe: Path, data: Path) -> Iterator[tuple[str, list[tuple[str, ...]]]]:
    """Yield each corpus of a recipe and what its speakers that are not held out say, phones without pauses.

    Raises:
        SourceError: a corpus is missing below `data`.
    """
    for corpus in tomllib.loads(recipe.read_text(encoding="utf-8"))["data"]["corpora"]:
        held = corpus.get("validation_speakers", ())
        rows = [one.phones for one in read_corpus(data, corpus["path"]) if one.speaker not in held]
        said = [tuple(label for _, _, label in row if label != SILENCE) for row in rows]
        yield corpus["path"], [row for row in said if row]
