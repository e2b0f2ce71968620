"""What is heard again and again: recordings of which it is known what is right, and the pauses between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from streamcell.runtime.errors import InputError, SourceError
from streamcell.runtime.manifest import InputSpec, Manifest
from streamcell.train.data.sensor import UNSAID, read_sensor
from streamcell.train.data.utterances import Utterance, read_audio, read_corpus, to_float
from streamcell.train.recipe import PhonemeRecipe, read_recipe

__all__ = ["Block", "Piece", "Sensors", "block_of", "held_out", "read_pieces"]

_FRAME = 0.02  # seconds, of which the level is taken
_QUIET = 0.1  # the share of frames that are pause
_PART = 10.0  # seconds of a sensor's recording that count as one


@dataclass(frozen=True, slots=True)
class Piece:
    """Hold one recording.

    Attributes:
        name: Of the recording.
        corpus: Where it comes from.
        x: `[n]` samples or `[n, channels]` rows at the model's rate, float32.
        truth: Its phones without silence; for a model of frames the label of each row, empty where nobody knows.
    """

    name: str
    corpus: str
    x: NDArray[np.float32]
    truth: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Block:
    """Hold recordings in their order, and what is heard after each, of the model's rate.

    Attributes:
        pieces: The recordings.
        pauses: One a piece, `[n]` or `[n, channels]`.
        seconds: How long it lasts.
    """

    pieces: tuple[Piece, ...]
    pauses: tuple[NDArray[np.float32], ...]
    seconds: float


@dataclass(frozen=True, slots=True)
class Sensors:
    """Say how recordings of sensors lie there: as `read_sensor` takes it, and whose are heard (none named: all)."""

    format: Literal["recordings", "sequences", "hapt"]
    groups: tuple[str, ...] = ()


def read_pieces(
    manifest: Manifest,
    paths: Sequence[Path],
    seconds: float,
    *,
    speakers: Mapping[str, frozenset[str]] | None = None,
    sensors: Sensors | None = None,
    seed: int = 1,
) -> list[Piece]:
    """Return recordings that together last about ``seconds``, as much of each path; sound in an order drawn once.

    Recordings of sensors are cut into parts of 10 s, which follow each other as they were recorded.

    Args:
        manifest: The model's.
        paths: Folders with `utterances.jsonl`; for a model of features what ``sensors`` says.
        seconds: At most how much; less where there is no more.
        speakers: The speakers that may be heard of each corpus, by the name of its last two folders; None for all.
        sensors: How recordings of sensors lie there.
        seed: Of the order.

    Raises:
        InputError: If the model's task has no score here, or no recording is left.
        SourceError: If a corpus cannot be read.
    """
    if manifest.input.kind == "audio" and manifest.task == "ctc":
        drawn = [_spoken(manifest, path, seconds / len(paths), speakers, seed) for path in paths]
    elif manifest.input.kind == "features" and manifest.task == "frames":
        drawn = [_sensed(manifest, path, seconds / len(paths), sensors or Sensors("recordings")) for path in paths]
    else:
        raise InputError(
            f"{manifest.name} takes {manifest.input.kind} and is of task {manifest.task!r}; drift is measured for "
            "phonemes (audio, task 'ctc') and for labels of sensors (features, task 'frames')"
        )
    pieces = [piece for part in drawn for piece in part]
    if not pieces:
        raise InputError(f"no recording is left to hear in {', '.join(map(str, paths))}")
    if manifest.input.kind == "features":
        return pieces
    return [pieces[index] for index in np.random.default_rng(seed).permutation(len(pieces))]


def block_of(manifest: Manifest, pieces: Sequence[Piece], longest: float) -> Block:
    """Return recordings with their pauses: noise as loud as the quietest tenth of the recording before.

    Real speech never comes without pauses, and a policy that waits for silence would have nothing to wait for. Each
    recording begins at a step of the model, so that only time differs: how a step cuts a sound changes what is heard by
    a point or two. Recordings of sensors follow each other without a pause.

    Args:
        manifest: The model's.
        pieces: Recordings.
        longest: Seconds; lengths are drawn from 0 to this, once.
    """
    spec = manifest.input
    if spec.kind == "audio":
        between = _pauses(pieces, longest, spec)
    else:
        between = [np.zeros((0, spec.channels), np.float32)] * len(pieces)
    samples = sum(len(piece.x) for piece in pieces) + sum(map(len, between))
    return Block(tuple(pieces), tuple(between), samples / spec.sample_rate)


def _pauses(pieces: Sequence[Piece], longest: float, spec: InputSpec, seed: int = 1) -> list[NDArray[np.float32]]:
    random, found = np.random.default_rng(seed), []
    for piece in pieces:
        size, frame = int(random.uniform(0, longest) * spec.sample_rate), int(_FRAME * spec.sample_rate)
        size += -(len(piece.x) + size) % spec.samples_per_step
        frames = piece.x[: len(piece.x) // frame * frame].reshape(-1, frame)
        levels = np.sqrt(np.square(frames).mean(axis=1)) if len(frames) else np.zeros(1)
        found.append((random.standard_normal(size) * np.quantile(levels, _QUIET)).astype(np.float32))
    return found


def held_out(recipe: Path) -> dict[str, frozenset[str]]:
    """Return the speakers of each corpus that a phoneme recipe keeps to choose by, by the corpus's last two folders.

    Raises:
        InputError: If the recipe is of another task, or holds nobody out.
        RecipeError: If it cannot be read.
    """
    read, _ = read_recipe(recipe)
    if not isinstance(read, PhonemeRecipe):
        raise InputError(f"--recipe {recipe}: expected a recipe of task 'phonemes', got a {type(read).__name__}")
    found = {_name(Path(one.path)): frozenset(one.validation_speakers) for one in read.data.corpora}
    if not any(found.values()):
        raise InputError(f"--recipe {recipe} holds no speakers out of training")
    return found


def _name(path: Path) -> str:
    return "/".join(path.parts[-2:])


def _spoken(
    manifest: Manifest,
    path: Path,
    seconds: float,
    speakers: Mapping[str, frozenset[str]] | None,
    seed: int,
) -> list[Piece]:
    known, silence = set(manifest.outputs[0].labels), manifest.outputs[0].silence
    name = _name(path.resolve())
    left, pieces = seconds * manifest.input.sample_rate, list[Piece]()
    utterances = read_corpus(path.parent, path.name)
    for index in np.random.default_rng(seed).permutation(len(utterances)):
        one: Utterance = utterances[index]
        if left <= 0:
            break
        if speakers is not None and one.speaker not in speakers.get(name, frozenset()):
            continue
        x = to_float(read_audio(one.audio, manifest.input.sample_rate))
        truth = tuple(label for _, _, label in one.phones if label not in (silence, "SIL"))
        if unknown := set(truth) - known:
            raise InputError(f"{manifest.name} has no label {min(unknown)!r}, which {one.id} of {path} says; drift is "
                             "measured on phones of the model")  # fmt: skip
        pieces.append(Piece(one.id, name, x, truth))
        left -= len(x)
    return pieces


def _sensed(manifest: Manifest, path: Path, seconds: float, sensors: Sensors) -> list[Piece]:
    spec, labels = manifest.input, manifest.outputs[0].labels
    data = read_sensor(sensors.format, path, sample_rate=spec.sample_rate, channels=spec.channel_names, labels=labels)
    if missing := set(sensors.groups) - {one.group for one in data.recordings}:
        raise SourceError(f"{path} has no recordings of {', '.join(sorted(missing))}")
    left, pieces, size = round(seconds * spec.sample_rate), list[Piece](), round(_PART * spec.sample_rate)
    for one in data.recordings:
        if sensors.groups and one.group not in sensors.groups:
            continue
        for begin in range(0, min(left, len(one.values)), size):
            rows = slice(begin, min(begin + size, left))
            truth = tuple("" if label == UNSAID else labels[label] for label in one.labels[rows].tolist())
            x = np.ascontiguousarray(one.values[rows], np.float32)
            pieces.append(Piece(f"{one.name} {begin}", str(path), x, truth))
        left -= min(left, len(one.values))
    return pieces
