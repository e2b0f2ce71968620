"""Run a model over a file, and collect what is to be drawn."""

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from streamcell.runtime.errors import InputError, SourceError
from streamcell.runtime.model import Model
from streamcell.runtime.plot.recorder import Recorder
from streamcell.runtime.plot.scene import Scene
from streamcell.runtime.sense import SensorStream, channel_names
from streamcell.runtime.sources import AudioFile, Lines
from streamcell.runtime.stream import Invalid

__all__ = ["gather"]


def gather(
    model: Model,
    path: str | Path,
    *,
    start: float = 0.0,
    end: float | None = None,
    invalid: Invalid = "error",
    channels: Sequence[str] | None = None,
    time: str | None = None,
    on_error: Literal["stop", "skip"] = "stop",
    max_gap: float | None = None,
) -> Scene:
    """Stream a file through a model from its beginning, and collect what lies between ``start`` and ``end``.

    The file is read no further than needed. Memory is bounded, see `Recorder`.

    Args:
        model: One of sound, for a file that `AudioFile` reads, or of features, for one that `Lines` reads: readings at
            any times, see `SensorStream`.
        path: The file.
        start: Seconds.
        end: Seconds; None for the end of the file.
        invalid: What samples of sound are that are not finite: ``"error"`` or ``"gap"``.
        channels: Names of the columns in the model's order; None for the model's own.
        time: Name of the column of timestamps, as in `Lines`.
        on_error: What a line is that is no reading, as in `Lines`.
        max_gap: Seconds, as in `SensorStream`.

    Raises:
        SourceError: If the file gives nothing usable, or less than one step of the model.
        InputError: If there is nothing between start and end.
        MissingExtraError: If what reads sound is not installed.

    Examples:
        >>> scene = gather(Model.open("phonemes-en"), "speech.wav", end=2.0)  # doctest: +SKIP
        >>> [segment.label for segment in scene.segments]  # doctest: +SKIP
        ['SIL', 'HH', 'AY']
    """
    window = (start, math.inf if end is None else end)
    if not 0 <= window[0] < window[1]:
        raise InputError(f"expected a start of 0 s or more and an end after it, got {start!r} and {end!r}")
    if model.manifest.input.kind == "audio":
        return _sound(model, path, window, invalid)
    names = channel_names(model.manifest.input) if channels is None else channels
    with Lines(path, names, time, on_error) as lines:
        return _readings(model, path, window, lines, max_gap)


def _sound(model: Model, path: str | Path, window: tuple[float, float], invalid: Invalid) -> Scene:
    with AudioFile(path, finite=invalid == "error") as audio:
        recorder = Recorder(model, audio.sample_rate, window)
        for block in audio:
            try:
                recorder.push(block)
            except InputError as error:
                raise SourceError(f"{path}: {error}") from error
            if recorder.done:
                break
        else:
            recorder.flush()
        return replace(_scene(model, path, recorder, window), cut=audio.cut)


def _readings(
    model: Model, path: str | Path, window: tuple[float, float], lines: Lines, max_gap: float | None
) -> Scene:
    recorder = Recorder(model, None, window)
    stream = SensorStream(model, max_gap, stage=recorder)
    for readings in lines:
        stream.push(readings)
        if recorder.done:
            break
    else:
        stream.flush()
    scene, skipped = _scene(model, path, recorder, window), tuple(lines.skipped_lines)
    return replace(scene, oddities=stream.oddities, skipped=lines.skipped, skipped_lines=skipped)


def _scene(model: Model, path: str | Path, recorder: Recorder, window: tuple[float, float]) -> Scene:
    """Put together what was recorded.

    Raises:
        SourceError: If it is less than a step of the model.
        InputError: If nothing of it lies in the window.
    """
    output, step, lasts = model.manifest.outputs[0], model.manifest.input.seconds_per_step, recorder.time
    if lasts < step:
        raise SourceError(f"{path} lasts {lasts:.3f} s, less than one step of the model, {step:g} s")
    if window[0] >= lasts:
        raise InputError(f"expected a start within {path}, which lasts {lasts:.3f} s; got {window[0]:g} s")
    kept = recorder.segments, recorder.gaps, recorder.resets
    return Scene(
        file=str(path),
        model=model.manifest.name,
        start=window[0],
        end=min(window[1], lasts),
        panels=recorder.signals.panels,
        mel=recorder.signals.mel,
        top=recorder.signals.top,
        labels=tuple(label for column, label in enumerate(output.labels) if column != output.blank),
        probabilities=recorder.probabilities,
        exclusive=output.kind == "logits",
        silence=output.silence,
        segments=recorder.segments.events,
        gaps=recorder.gaps.events,
        resets=recorder.resets.events,
        left_out=sum(one.left_out for one in kept),
    )
