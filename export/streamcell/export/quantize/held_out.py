"""Data that a model is scored and calibrated on: speech with its phones, or what a recipe holds out."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from streamcell.export.quantize.network import FileNetwork
from streamcell.runtime.errors import InputError
from streamcell.runtime.events import Segment
from streamcell.runtime.model import Model
from streamcell.runtime.stream import Stream
from streamcell.train.data.utterances import Utterance, read_audio, read_corpus, to_float
from streamcell.train.metrics import ErrorRate, error_rate
from streamcell.train.recipe import AnyRecipe, ForecastRecipe, PairRecipe, PhonemeRecipe, read_recipe
from streamcell.train.task import Task
from streamcell.train.tasks import open_task

__all__ = ["HeldOut", "open_held_out"]

T = TypeVar("T")

_CALIBRATION = 64  # streams


class HeldOut(Protocol):
    """Say how good a model is, and give what its ranges are measured on.

    Attributes:
        measure: What the error rate is called.
        about: What the data are.
    """

    @property
    def measure(self) -> str:
        """Return what the error rate is called."""

    @property
    def about(self) -> str:
        """Return what the data are, for the table."""

    def rate(self, model: Model) -> float:
        """Return a model's error rate, 0 is best."""

    def streams(self) -> list[NDArray[Any]]:
        """Return streams as the model takes them, without the axis of the batch, to measure ranges on."""


def open_held_out(
    model: Model, folders: Sequence[Path], recipe: Path | None, cache: Path, seconds: float | None = None
) -> HeldOut:
    """Return what ``model`` is scored on.

    Args:
        model: The model as it is.
        folders: With a recipe: the one that its paths are relative to. Without: corpora, each with `utterances.jsonl`.
        recipe: What the model was trained by; what it holds out is heard.
        cache: A folder for what is decoded.
        seconds: How much speech is heard at most; None for all.

    Raises:
        InputError: If the data are of another kind than the model.
        SourceError: If they are missing or unreadable.
        RecipeError: If the recipe is not right.
    """
    if recipe is None:
        _check_speech(model, "give the recipe that it was trained by as --recipe, and its data folder as --data")
        found = [one for folder in folders for one in read_corpus(folder.absolute().parent, folder.name)]
        return _speech(model, found, found, seconds)
    if len(folders) != 1:
        raise InputError(f"--recipe takes one folder as --data, the one that its paths begin in; got {len(folders)}")
    read, _ = read_recipe(recipe)
    if isinstance(read, PhonemeRecipe):
        _check_speech(model, f"{recipe} is one of phonemes; give the recipe that the model was trained by")
        heard, held = _parts(read, folders[0])
        return _speech(model, held, heard, seconds)
    if isinstance(read, ForecastRecipe | PairRecipe):
        raise InputError(
            f"{recipe} is of a task that cannot be scored here; expected phonemes, sensor, pictures, labels or text"
        )
    return _Validation(model, read, open_task(read, folders[0], cache, lambda _done, _all: None))


@dataclass(slots=True)
class _Speech:
    """Recordings with their phones, each heard by a stream of its own, as a file is."""

    utterances: list[Utterance]
    samples: list[NDArray[np.int16]]
    calibration: list[NDArray[np.int16]]
    about: str
    measure: str = "phone error rate"

    def rate(self, model: Model) -> float:
        """Return the phone error rate, pauses left out."""
        silence, total = model.manifest.outputs[0].silence, ErrorRate()
        for one, samples in zip(self.utterances, self.samples, strict=True):
            stream = Stream(model, quality="file")
            events = [*stream.push(to_float(samples)), *stream.flush()]
            heard = [event.label for event in events if isinstance(event, Segment) and event.final]
            spoken = [label for _, _, label in one.phones]
            total += error_rate(*([label for label in row if label != silence] for row in (spoken, heard)))
        return total.rate

    def streams(self) -> list[NDArray[Any]]:
        """Return recordings."""
        return [to_float(samples) for samples in self.calibration]


@dataclass(slots=True)
class _Validation:
    """What a recipe of another task holds out, scored by the task's own validation."""

    model: Model
    recipe: AnyRecipe
    task: Task[Any]
    heard: list[NDArray[Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        heard, output, columns = self.model.manifest.input, self.model.manifest.outputs[0], self.task.columns
        for what, mine, others in (
            ("labels", output.labels, columns.labels),
            ("channels", heard.channel_names, columns.channels),
            ("symbols", heard.symbols, columns.symbols),
        ):
            if mine != others:
                raise InputError(
                    f"the model's {len(mine)} {what} are not the {len(others)} of the recipe {self.recipe.name!r} and "
                    "its data; give those that the model was trained with"
                )

    @property
    def measure(self) -> str:
        """Return what the task calls its error rate."""
        return self.task.measure

    @property
    def about(self) -> str:
        """Return which recipe held the data out."""
        return f"what {self.recipe.name!r} holds out for validation"

    def rate(self, model: Model) -> float:
        """Return the error rate of the task's validation."""
        network, file = FileNetwork.of(model)
        rate = self.task.validate(network).rate
        self.heard = self.heard or _some(file.heard)
        return rate

    def streams(self) -> list[NDArray[Any]]:
        """Return what validation heard."""
        if not self.heard:
            self.rate(self.model)
        return self.heard


def _check_speech(model: Model, advice: str) -> None:
    manifest = model.manifest
    if manifest.task != "ctc" or manifest.input.kind != "audio":
        raise InputError(
            f"{manifest.name} is a model of task {manifest.task!r} that takes {manifest.input.kind}, not one that "
            f"hears phones in speech: {advice}"
        )


def _parts(recipe: PhonemeRecipe, data: Path) -> tuple[list[Utterance], list[Utterance]]:
    """Return what trains and what is held out, of the corpora that hold speakers out."""
    heard, held = list[Utterance](), list[Utterance]()
    for corpus in recipe.data.corpora:
        if corpus.validation_speakers:
            for one in read_corpus(data, corpus.path):
                (held if one.speaker in corpus.validation_speakers else heard).append(one)
    return heard, held


def _speech(model: Model, held: list[Utterance], heard: list[Utterance], seconds: float | None) -> _Speech:
    """Read recordings: all that are held out, or as many as ``seconds`` allow, and some to calibrate on."""
    if not any(one.phones for one in held):
        raise InputError("there is no speech with phones to score on; name other folders, or hold speakers out")
    known = model.manifest.outputs[0].labels
    if strange := sorted({label for one in held for _, _, label in one.phones} - set(known)):
        raise InputError(
            f"the data have the labels {', '.join(strange[:5])}, which {model.manifest.name} does not know"
        )
    rate = model.manifest.input.sample_rate
    order = np.random.default_rng(0).permutation(len(held)).tolist()
    chosen, samples, total = [], [], 0
    for place in order:
        chosen.append(held[place])
        samples.append(read_audio(held[place].audio, rate))
        total += len(samples[-1])
        if seconds is not None and total >= seconds * rate:
            break
    speakers = len({(one.corpus, one.speaker) for one in chosen})
    about = f"{len(chosen)} recordings, {total / rate / 60:.1f} min of {speakers} speakers"
    return _Speech(chosen, samples, [read_audio(one.audio, rate) for one in _some(heard)], about)


def _some(items: Sequence[T]) -> list[T]:
    """Return some of many, evenly spread."""
    return list(items[:: -(-len(items) // _CALIBRATION)])
