"""The recordings that a recipe names: what trains, what validates, what makes noise."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from streamcell.runtime.errors import SourceError
from streamcell.train.data.augment import Samples
from streamcell.train.data.lanes import Lanes
from streamcell.train.data.utterances import Recordings, Utterance, fingerprint, read_audio, read_corpus, to_float
from streamcell.train.recipe import LABELS, Corpus, PhonemeRecipe

AUDIO = {".wav", ".flac", ".ogg", ".opus", ".mp3"}


@dataclass(frozen=True, slots=True)
class Material:
    """Everything that a training hears. `weights` belong to `training`: how often a pass hears each.

    `fingerprint` changes with anything that would make a resumed training another one.
    """

    fingerprint: str
    training: list[Utterance]
    weights: list[float]
    recordings: Recordings
    validation: list[Utterance]
    validation_recordings: list[Samples]
    noises: list[Samples]

    def lanes(self, recipe: PhonemeRecipe, samples_per_step: int, shard: int = 0) -> Lanes:
        """Return the endless streams of `recipe` over this material, for one of its shards."""
        train = recipe.train
        return Lanes(
            self.training,
            self.weights,
            self.recordings,
            self.noises,
            recipe.augment,
            lanes=train.lanes,
            steps=train.chunk_steps,
            samples_per_step=samples_per_step,
            look_ahead=recipe.model.look_ahead,
            reset_share=train.reset_share,
            seed=train.seed + shard,
        )


def load_material(
    recipe: PhonemeRecipe, data: Path, cache: Path, sample_rate: int, progress: Callable[[int, int], None]
) -> Material:
    """Read what `recipe` asks for below the folder `data`.

    Args:
        recipe: names the corpora.
        data: folder that their paths are relative to.
        cache: folder for the decoded samples.
        sample_rate: Hz, of the samples that the network hears.
        progress: called with (files decoded, files in all).

    Raises:
        SourceError: a corpus, a recording or the noise folder is missing or unreadable; a validation speaker or a
            phone is unknown.
    """
    if not data.is_dir():
        raise SourceError(
            f"expected the data folder at {data}, found none; give the folder that holds the corpora as --data"
        )
    training: list[Utterance] = []
    weights: list[float] = []
    validation: list[Utterance] = []
    for corpus in recipe.data.corpora:
        utterances = read_corpus(data, corpus.path)
        _check(corpus, utterances)
        held_out = set(corpus.validation_speakers)
        heard = [one for one in utterances if one.speaker not in held_out]
        training += heard
        weights += [corpus.weight] * len(heard)
        validation += [one for one in utterances if one.speaker in held_out]
    _check_parts(training, validation)
    files = [one.audio for one in (*training, *validation)]
    recordings = Recordings(files, sample_rate, cache, lambda done: progress(done, len(files)))
    for i, one in enumerate((*training, *validation)):
        _check_length(one, len(recordings[i]) / sample_rate)
    held = [recordings[i] for i in range(len(training), len(files))]
    noises = load_noises(data, recipe.data.noise, sample_rate)
    seen = fingerprint([*training, *validation], [*weights, *([0.0] * len(validation))])
    return Material(seen, training, weights, recordings, validation, held, noises)


def load_noises(data: Path, folder: str, sample_rate: int) -> list[Samples]:
    """Return every recording below `data / folder`, float32; none if `folder` is empty.

    Raises:
        SourceError: the folder has no recordings.
    """
    if not folder:
        return []
    files = sorted(path for path in (data / folder).rglob("*") if path.suffix.lower() in AUDIO)
    if not files:
        raise SourceError(
            f"expected recordings of noise ({', '.join(sorted(AUDIO))}) below {data / folder}, found none"
        )
    noises = [to_float(read_audio(path, sample_rate)) for path in files]
    return [noise for noise in noises if len(noise)]


def _check_parts(training: Sequence[Utterance], validation: Sequence[Utterance]) -> None:
    if not training:
        raise SourceError("no recordings are left to train on; hold out fewer speakers, or name more corpora")
    if not any(label != "SIL" for one in validation for _, _, label in one.phones):
        raise SourceError(
            "no phones to validate on; hold some speakers out: validation_speakers = [...] of a corpus in the recipe"
        )


def _check_length(one: Utterance, seconds: float) -> None:
    end = one.phones[-1][0] + one.phones[-1][1] if one.phones else 0.0
    if end > seconds + 0.1:
        raise SourceError(
            f"{one.audio} lasts {seconds:.2f} s, but its phones end at {end:.2f} s; "
            "expected phones [start s, duration s, label]"
        )


def _check(corpus: Corpus, utterances: Sequence[Utterance]) -> None:
    missing = set(corpus.validation_speakers) - {one.speaker for one in utterances}
    if missing:
        raise SourceError(
            f"corpus {corpus.path!r} has no speakers {sorted(missing)}, which the recipe holds out for validation"
        )
    unknown = {label for one in utterances for _, _, label in one.phones} - set(LABELS)
    if unknown:
        raise SourceError(
            f"corpus {corpus.path!r} has labels {sorted(unknown)}; expected SIL and 39 ARPAbet phones without stress"
        )
