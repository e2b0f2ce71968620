"""One label for a whole: a text, a recording, a gesture, a picture."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from streamcell.runtime.decode import Whole, make_decoder
from streamcell.runtime.errors import InputError, ModelError, SourceError
from streamcell.runtime.events import Event, is_final
from streamcell.runtime.frames import Frames
from streamcell.runtime.manifest import Manifest
from streamcell.runtime.model import Model
from streamcell.runtime.sense import SensorStream
from streamcell.runtime.sources import AudioFile
from streamcell.runtime.sources.line_source import LineSource
from streamcell.runtime.stream import Stream
from streamcell.runtime.tokens import TokenStream

__all__ = ["label_audio", "label_film", "label_readings", "label_rows", "label_tokens"]

_BLOCK = 4096  # rows


def label_tokens(model: Model, tokens: str | ArrayLike) -> dict[str, float]:
    """Return how probable each label of a text is, the most probable first.

    Args:
        model: One of task ``"sequence"`` that takes tokens.
        tokens: Text, or places of symbols `[n]`.

    Raises:
        InputError: If the model takes something else, the text has symbols that it does not know, or is empty.
        ModelError: If the model's task is another, or it fails.

    Examples:
        >>> label_tokens(Model.open("names.onnx"), "Rossi")  # doctest: +SKIP
        {'Italian': 0.91, 'Spanish': 0.04}
    """
    decoder = _whole(model.manifest)
    stream = TokenStream(model)
    stream.push(tokens)
    if stream.last is None:
        raise InputError("there is no symbol in this text; expected one at least")
    decoder.push(Frames(stream.last[None], stream.count - 1))
    return _shares(model, decoder)


def label_rows(model: Model, rows: ArrayLike) -> dict[str, float]:
    """Return how probable each label of rows of features is, the most probable first.

    Args:
        model: One of task ``"sequence"`` that takes features.
        rows: `[n, channels]` at the model's rate, float32 or float64; of pictures see `as_pictures`.

    Raises:
        InputError: If the rows do not fit, or there are none.
        ModelError: If the model's task is another, or it fails.
    """
    _whole(model.manifest)
    stream, values = Stream(model, quality="file"), np.asarray(rows)
    for begin in range(0, len(values), _BLOCK):
        stream.push(values[begin : begin + _BLOCK])
    return _heard(model, stream, "the input")


def label_readings(
    model: Model, source: LineSource, max_gap: float | None = None
) -> tuple[dict[str, float], list[str]]:
    """Return how probable each label of a sensor's readings is, the most probable first, and what is odd about them.

    Where the model has no clock (1 Hz), each reading is a step, and timestamps mean nothing.

    Args:
        model: One of task ``"sequence"`` that takes features.
        source: Of the readings, e.g. `Lines`.
        max_gap: Seconds, as for `SensorStream`.

    Raises:
        InputError: If the readings do not fit.
        SourceError: If the source fails, or there are no readings.
        ModelError: If the model's task is another, or it fails.
    """
    _whole(model.manifest)
    stream = Stream(model, quality="file")
    if model.manifest.input.sample_rate == 1:
        for readings in source:
            stream.push(readings.values)
        return _heard(model, stream, "the input"), []
    sensor = SensorStream(model, max_gap, stage=stream)
    for readings in source:
        sensor.push(readings)
    sensor.flush()
    odd = [f"{kind} {count}" for kind, count in sensor.oddities.items()]
    return _heard(model, stream, "the input"), [*odd, *([f"{sensor.lost} rows lost"] if sensor.lost else [])]


def label_audio(model: Model, audio: AudioFile) -> dict[str, float]:
    """Return how probable each label of a recording is, the most probable first.

    Args:
        model: One of task ``"sequence"`` that takes audio.
        audio: The recording, at any rate; `AudioFile.cut` tells afterwards whether it was whole.

    Raises:
        InputError: If the model takes something else.
        SourceError: If the recording gives no usable samples, or is shorter than a step.
        ModelError: If the model's task is another, or it fails.
        MissingExtraError: If rates differ and soxr is not installed.
    """
    _whole(model.manifest)
    if model.manifest.input.kind != "audio":
        raise InputError(f"{model.manifest.name} takes {model.manifest.input.kind}, not audio; choose another model")
    stream = Stream(model, audio.sample_rate, "file")
    for block in audio:
        stream.push(block)
    return _heard(model, stream, "the recording")


def label_film(model: Model, rows: ArrayLike) -> tuple[Event, ...]:
    """Return the stretches of a film with the same label.

    Args:
        model: One of task ``"frames"`` that takes features.
        rows: `[n, channels]` at the model's rate, e.g. as `as_pictures` makes them.

    Raises:
        InputError: If the rows do not fit.
        ModelError: If the model has no segments, or it fails.
    """
    stream, values = Stream(model, quality="file"), np.asarray(rows)
    events = [event for begin in range(0, len(values), _BLOCK) for event in stream.push(values[begin : begin + _BLOCK])]
    return tuple(filter(is_final, [*events, *stream.flush()]))


def _whole(manifest: Manifest) -> Whole:
    """Return the decoder of a model that gives one label for all."""
    if manifest.task != "sequence":
        raise ModelError(f"{manifest.name} is of task {manifest.task!r}; only one of task 'sequence' labels a whole")
    decoder = make_decoder(manifest)
    assert isinstance(decoder, Whole)
    return decoder


def _heard(model: Model, stream: Stream, what: str) -> dict[str, float]:
    """End a stream; return what it heard at last."""
    stream.flush()
    decoder = stream.decoder
    assert isinstance(decoder, Whole)
    if not decoder.probabilities.size:
        seconds = model.manifest.input.seconds_per_step
        raise SourceError(f"{what} is shorter than a step of {model.manifest.name} ({seconds:g} s)")
    return _shares(model, decoder)


def _shares(model: Model, decoder: Whole) -> dict[str, float]:
    shares: NDArray[np.float64] = decoder.probabilities
    labels = model.manifest.outputs[0].labels
    return {labels[place]: float(shares[place]) for place in np.argsort(-shares, kind="stable").tolist()}
