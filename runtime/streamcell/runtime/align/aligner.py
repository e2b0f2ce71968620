"""A recording and its text -> when each word and phone was said, and how well."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from streamcell.runtime.align.goodness import in_place
from streamcell.runtime.align.path import Run, best_path
from streamcell.runtime.align.script import Script
from streamcell.runtime.errors import InputError
from streamcell.runtime.frames import Frames, log_softmax
from streamcell.runtime.model import Model
from streamcell.runtime.phones import ARPABET
from streamcell.runtime.posteriors import Posteriors
from streamcell.runtime.sources import AudioFile

__all__ = ["Aligned", "AlignedPhone", "AlignedWord", "align_file", "answers"]

_SHOWN = 3  # phones that are told of each place
_NEVER = -1e4  # a logit


@dataclass(frozen=True, slots=True)
class AlignedPhone:
    """One phone of the text.

    Attributes:
        label: In ARPAbet.
        start: Seconds.
        end: Seconds.
        score: Mean log-ratio a frame of its likelihood to the best rival's in its place: above 0 where nothing fits
            better.
        heard: The phones that fit best in its place, likeliest first, with their shares (of all phones, 0 to 1).
    """

    label: str
    start: float
    end: float
    score: float
    heard: tuple[tuple[str, float], ...]


@dataclass(frozen=True, slots=True)
class AlignedWord:
    """One word of the text; ``score`` is its weakest phone's."""

    text: str
    start: float
    end: float
    score: float
    phones: tuple[AlignedPhone, ...]


@dataclass(frozen=True, slots=True)
class Aligned:
    """Hold what was found of a text in a recording.

    Attributes:
        file: Its name.
        duration: Seconds that could be read.
        words: In order; what lies between them is a pause.
        cut: Whether the file was damaged or shorter than it should be.
    """

    file: str
    duration: float
    words: tuple[AlignedWord, ...]
    cut: bool = False

    @property
    def phones(self) -> tuple[AlignedPhone, ...]:
        """Return the phones of all words."""
        return tuple(phone for word in self.words for phone in word.phones)


def align_file(model: Model, path: str | Path, script: Script) -> Aligned:
    """Find when each word and phone of a text was said in a recording, and how well.

    Of several pronunciations the likeliest is taken; pauses may lie around every word.

    Args:
        model: One of task ``"ctc"`` whose labels are ARPAbet phones.
        path: A file that `AudioFile` reads.
        script: What is said.

    Raises:
        SourceError: If the file gives no usable samples.
        InputError: If the model does not fit, or the recording is too short for the text.

    Examples:
        >>> script = Script.of_text("good morning", read_dictionary("cmudict.dict"))  # doctest: +SKIP
        >>> for phone in align_file(Model.open(), "speech.wav", script).phones:  # doctest: +SKIP
        ...     print(phone.label, phone.start, phone.end, phone.score)
    """
    output = model.manifest.outputs[0]
    if model.manifest.task != "ctc" or model.manifest.input.kind != "audio":
        raise InputError(f"{model.manifest.name} tells no phones of speech; choose a model of task 'ctc' for audio")
    columns = script.columns(output.labels)
    with AudioFile(path) as audio:
        scores = answers(model, audio)
        seconds, cut = audio.seconds, audio.cut
    pause = output.labels.index(output.silence) if output.silence else None
    try:
        runs = best_path(scores, columns, pause)
    except InputError as error:
        raise InputError(f"{path} ({seconds:.2f} s): {error}") from error
    words = _words(scores, runs, script, output.labels, output.seconds_per_step, seconds)
    return Aligned(str(path), seconds, words, cut)


def answers(model: Model, audio: AudioFile) -> NDArray[np.float32]:
    """Return what a model hears in a whole recording: log-probabilities `[T, labels]`, those of the blank left out.

    Without the blank, which CTC gives most frames to, the outputs are a frame classifier's.
    """
    output = model.manifest.outputs[0]
    posteriors = Posteriors(model, audio.sample_rate, "file")
    parts: list[Frames] = []
    for block in audio:
        parts += posteriors.push(block)
    parts += posteriors.flush()
    values = [part.values for part in parts if len(part.values)]
    logits = np.concatenate(values) if values else np.zeros((0, len(output.labels)), np.float32)
    if output.blank is not None:
        logits[:, output.blank] = _NEVER
    return log_softmax(logits)


def _words(
    scores: NDArray[np.float32],
    runs: Sequence[Run],
    script: Script,
    labels: Sequence[str],
    step: float,
    seconds: float,
) -> tuple[AlignedWord, ...]:
    columns, borders = [run.column for run in runs], [*(run.start for run in runs), runs[-1].end]
    rivals = [column for column, label in enumerate(labels) if label in ARPABET]
    found: dict[int, list[AlignedPhone]] = {}
    for place, run in enumerate(runs):
        if run.word >= 0:
            ratios = in_place(scores, columns, borders, place, rivals) / (run.end - run.start)
            times = min(run.start * step, seconds), min(run.end * step, seconds)
            found.setdefault(run.word, []).append(_phone(labels, run.column, times, rivals, ratios))
    return tuple(_word(script.words[word].text, phones) for word, phones in found.items())


def _word(text: str, phones: Sequence[AlignedPhone]) -> AlignedWord:
    return AlignedWord(text, phones[0].start, phones[-1].end, min(phone.score for phone in phones), tuple(phones))


def _phone(
    labels: Sequence[str],
    column: int,
    times: tuple[float, float],
    rivals: Sequence[int],
    ratios: NDArray[np.float64],
) -> AlignedPhone:
    others = np.array([rival != column for rival in rivals])
    shares = np.exp(ratios - ratios.max())
    shares /= shares.sum()
    heard = tuple((labels[rivals[i]], round(float(shares[i]), 4)) for i in np.argsort(-ratios, kind="stable")[:_SHOWN])
    return AlignedPhone(labels[column], *times, float(-ratios[others].max()), heard)
