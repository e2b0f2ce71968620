"""The decoder that a manifest asks for."""

from functools import lru_cache
from typing import Any

from streamcell.runtime.decode.beam import BeamCTC
from streamcell.runtime.decode.ctc import GreedyCTC
from streamcell.runtime.decode.decoder import Decoder
from streamcell.runtime.decode.hysteresis import Hysteresis
from streamcell.runtime.decode.smoothed import Smoothed
from streamcell.runtime.errors import InputError, ModelError
from streamcell.runtime.lm import NGram, read_arpa
from streamcell.runtime.manifest import Manifest

__all__ = ["make_decoder"]

_NAMES = {"ctc": ("ctc-greedy", "ctc-beam"), "frames": ("hysteresis", "smoothed")}  # the usual one first


def make_decoder(manifest: Manifest) -> Decoder:
    """Return the decoder of a model's first output: what ``manifest.decoder`` names, or the task's usual one.

    Raises:
        ModelError: If there is no such decoder for the task, or it has no such setting.
    """
    output, settings, names = manifest.outputs[0], dict(manifest.decoder), _NAMES[manifest.task]
    name = settings.pop("name", names[0])
    if name not in names:
        choices = " or ".join(map(repr, names))
        raise ModelError(f"manifest.decoder.name must be {choices} for task {manifest.task!r}, got {name!r:.80}")
    silence = None if output.silence is None else output.labels.index(output.silence)
    try:
        if manifest.task == "frames":
            skip = {column for column in (output.blank, silence) if column is not None}
            kind = Smoothed if name == "smoothed" else Hysteresis
            return kind(output.labels, output.seconds_per_step, kind=output.kind, skip=skip, **settings)
        if output.blank is None:
            raise ModelError("task 'ctc' needs a blank")
        place = (output.labels, output.blank, output.seconds_per_step, silence)
        return BeamCTC(*place, **_read_lm(settings)) if name == "ctc-beam" else GreedyCTC(*place, **settings)
    except (TypeError, InputError) as error:
        raise ModelError(f"manifest.decoder does not fit {name!r}: {error}") from error


def _read_lm(settings: dict[str, Any]) -> dict[str, Any]:
    """Make an n-gram of the text of an ARPA file."""
    text = settings.get("lm")
    if text is None:
        return settings
    if not isinstance(text, str):
        raise InputError(f"lm must be the text of an ARPA file, got {text!r:.80}")
    return {**settings, "lm": _lm(text)}


@lru_cache(maxsize=4)
def _lm(text: str) -> NGram:
    """Read an n-gram once for many streams."""
    return read_arpa(text, "lm")
