"""Where speech is: from samples to the stretches in which someone speaks, by any model that tells."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from streamcell.runtime.blocks import finite_runs
from streamcell.runtime.decode import Hysteresis, Splitter, make_decoder
from streamcell.runtime.decode.settings import HysteresisSettings
from streamcell.runtime.errors import InputError
from streamcell.runtime.events import Gap, Segment
from streamcell.runtime.frames import Frames, log_softmax
from streamcell.runtime.model import Model
from streamcell.runtime.posteriors import Posteriors
from streamcell.runtime.resample import Quality
from streamcell.runtime.stream import Invalid

__all__ = ["SPEECH", "SpeechDetector", "speech_of"]

SPEECH = "speech"
"""The label of speech."""

_SETTINGS = ("threshold", "release", "min_duration", "min_gap", "padding")
_FOLLOWS = {"release": "threshold", "padding": "min_gap"}  # what is left open where the other is given

_Probabilities: TypeAlias = Callable[[Frames], NDArray[np.float32]]


def speech_of(model: Model) -> _Probabilities:
    """Return what makes probabilities of speech `[T]` of a model's frames.

    A model of task ``"frames"`` has a label ``"speech"``. One of task ``"ctc"`` with a label for silence says speech
    wherever it says not silence: 1 - P(silence | not blank).

    Raises:
        InputError: If the model tells no speech, or does not take audio.
    """
    manifest, output = model.manifest, model.manifest.outputs[0]
    if manifest.input.kind != "audio":
        raise InputError(f"{manifest.name} takes {manifest.input.kind}, not audio; choose another model")
    if manifest.task == "frames" and SPEECH in output.labels:
        column = output.labels.index(SPEECH)
        return lambda frames: frames.probs[:, column]
    if manifest.task == "ctc" and output.silence is not None:
        silence = output.labels.index(output.silence)
        spoken = [index for index in range(len(output.labels)) if index != output.blank]
        column = spoken.index(silence)
        return lambda frames: 1 - np.exp(log_softmax(frames.values[:, spoken]))[:, column]
    raise InputError(
        f"{manifest.name} does not tell where speech is; that takes a model of task 'frames' with a label {SPEECH!r}, "
        f"or one of task 'ctc' with a label for silence"
    )


class SpeechDetector:
    """Hear samples, tell where speech is: rate conversion, model, `Hysteresis`, `Splitter`.

    All segments are final, labelled ``"speech"``, and come in the order of their beginnings, the same for any cutting
    into blocks. A gap is told at once, so a segment that ends with it may come later.

    Args:
        model: One that `speech_of` takes.
        sample_rate: Of the source in Hz; None for the model's.
        quality: As in `Stream`.
        invalid: What samples are that are not finite: ``"error"`` or ``"gap"``.
        max_seconds: Longer speech is cut where it is quietest, see `Splitter`.
        settings: ``threshold``, ``release``, ``min_duration``, ``min_gap``, ``padding`` of `Hysteresis`; what is not
            given is the manifest's where that asks for a `Hysteresis`, else the default.

    Raises:
        InputError: If the model tells no speech, or an argument does not fit.
        MissingExtraError: If rates differ and soxr is not installed.

    Examples:
        >>> detector = SpeechDetector(Model.open(), sample_rate=48000)  # doctest: +SKIP
        >>> for block in microphone:  # doctest: +SKIP
        ...     for event in detector.push(block):
        ...         print(event)
        >>> detector.flush()  # doctest: +SKIP
    """

    def __init__(
        self,
        model: Model,
        sample_rate: int | None = None,
        quality: Quality = "live",
        invalid: Invalid = "error",
        max_seconds: float = 30.0,
        **settings: float | None,
    ) -> None:
        if invalid not in ("error", "gap"):
            raise InputError(f"invalid must be 'error' or 'gap', got {invalid!r}")
        self._probabilities = speech_of(model)
        step = model.manifest.outputs[0].seconds_per_step
        hysteresis = Hysteresis([SPEECH], step, kind="probabilities", **_settings(model, settings))
        self._splitter = Splitter(hysteresis, max_seconds)
        self._posteriors = Posteriors(model, sample_rate, quality)
        self._invalid = invalid
        self._floor = 0.0  # seconds; nothing begins before the last reset

    @property
    def sample_rate(self) -> int:
        """Return the source's rate in Hz."""
        return self._posteriors.sample_rate

    @property
    def time(self) -> float:
        """Return how many seconds of the source have gone by, lost ones too."""
        return self._posteriors.time

    @property
    def settled(self) -> float:
        """Return the time (seconds) before which no segment will begin any more."""
        return max(self._floor, self._splitter.settled)

    def push(self, block: ArrayLike) -> list[Segment | Gap]:
        """Take the next samples `[n]`; return what can be said now.

        Raises:
            InputError: If the block does not fit (nothing has changed then), or `flush` was called.
            ModelError: If the model fails.
        """
        try:
            return self._hear(self._posteriors.push(block))
        except InputError:
            if self._invalid == "error":
                raise
        return [event for part in finite_runs(block) for event in self._hear_part(part)]

    def gap(self, samples: int, reason: str = "missing") -> list[Segment | Gap]:
        """Say that samples were lost here, as `Stream.gap` does.

        Raises:
            InputError: If an argument does not fit, or `flush` was called.
        """
        return self._hear(self._posteriors.iter_gap(samples, reason))

    def flush(self) -> list[Segment | Gap]:
        """End the sound; return what was not final."""
        return [*self._hear(self._posteriors.flush()), *self._splitter.flush(self.time)]

    def _hear_part(self, part: ArrayLike | int) -> list[Segment | Gap]:
        return self.gap(part, "invalid") if isinstance(part, int) else self._hear(self._posteriors.push(part))

    def _hear(self, items: Iterable[Frames | Gap]) -> list[Segment | Gap]:
        events: list[Segment | Gap] = []
        for item in items:
            if isinstance(item, Frames):
                events += self._splitter.take(item.first, item.origin, self._probabilities(item).tolist())
            else:
                if item.action == "reset":
                    events += self._splitter.flush(item.start)
                    self._floor = item.end
                events.append(item)
        return events


def _settings(model: Model, given: Mapping[str, float | None]) -> dict[str, Any]:
    """Return what is given, and from the manifest, if it asks for a `Hysteresis`, what is not."""
    known = {name: value for name, value in given.items() if value is not None}
    usual = make_decoder(model.manifest).settings
    if not isinstance(usual, HysteresisSettings):
        return known
    kept = [name for name in _SETTINGS if _FOLLOWS.get(name) not in known]
    return {**{name: getattr(usual, name) for name in kept}, **known}
