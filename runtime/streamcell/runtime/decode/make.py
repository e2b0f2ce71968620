"""The decoder that a manifest asks for."""

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from streamcell.runtime.decode.beam import BeamCTC
from streamcell.runtime.decode.ctc import GreedyCTC
from streamcell.runtime.decode.decoder import Decoder
from streamcell.runtime.decode.endpointer import Endpointer
from streamcell.runtime.decode.hysteresis import Hysteresis
from streamcell.runtime.decode.smoothed import Smoothed
from streamcell.runtime.decode.whole import Whole
from streamcell.runtime.errors import InputError, ModelError
from streamcell.runtime.lm import NGram, read_arpa
from streamcell.runtime.manifest import Manifest, OutputSpec, Task

if TYPE_CHECKING:
    from streamcell.runtime.words import Lexicon

__all__ = ["labels_of", "make_decoder", "make_endpointer"]

_NAMES: dict[Task, tuple[str, ...]] = {
    "ctc": ("ctc-greedy", "ctc-beam", "words"),
    "frames": ("hysteresis", "smoothed"),
    "sequence": ("whole",),
}  # the usual one first
_ELSEWHERE: dict[Task, str] = {
    "next": "it writes text: use `streamcell generate`, or streamcell.runtime.generate",
    "forecast": "it forecasts: use `streamcell forecast`, or streamcell.runtime.forecast",
    "encode": "it is the first half of a pair: use `streamcell generate DECODER --encoder` with it, or Linked",
}


def make_decoder(manifest: Manifest) -> Decoder:
    """Return the decoder of a model's first output: what ``manifest.decoder`` names, or the task's usual one.

    Raises:
        ModelError: If there is no such decoder for the task, or it has no such setting; if the task has no segments, or
            the model begins with another one's answer.
    """
    if manifest.task in _ELSEWHERE:
        raise ModelError(f"{manifest.name} has no segments, {_ELSEWHERE[manifest.task]}")
    if manifest.link is not None:
        raise ModelError(f"{manifest.name} begins with what {manifest.link.name} gives, so it cannot stream by itself")
    output, settings, names = manifest.outputs[0], dict(manifest.decoder), _NAMES[manifest.task]
    name = settings.pop("name", names[0])
    settings.pop("utterances", None)  # see `make_endpointer`
    if name not in names:
        choices = " or ".join(map(repr, names))
        raise ModelError(f"manifest.decoder.name must be {choices} for task {manifest.task!r}, got {name!r:.80}")
    silence = None if output.silence is None else output.labels.index(output.silence)
    try:
        if manifest.task == "sequence":
            return Whole(output.labels, output.seconds_per_step, **settings)
        if manifest.task == "frames":
            skip = {column for column in (output.blank, silence) if column is not None}
            kind = Smoothed if name == "smoothed" else Hysteresis
            return kind(output.labels, output.seconds_per_step, kind=output.kind, skip=skip, **settings)
        if output.blank is None:
            raise ModelError("task 'ctc' needs a blank")
        if name == "words":
            return _make_words(output, **settings)
        place = (output.labels, output.blank, output.seconds_per_step, silence)
        return BeamCTC(*place, **_read_lm(settings)) if name == "ctc-beam" else GreedyCTC(*place, **settings)
    except (TypeError, InputError) as error:
        raise ModelError(f"manifest.decoder does not fit {name!r}: {error}") from error


def make_endpointer(manifest: Manifest) -> Endpointer | None:
    """Return what finds utterances, with the settings ``manifest.decoder["utterances"]``; None where there are none.

    Raises:
        ModelError: If there is no such setting, or a length makes no sense.
    """
    settings = manifest.decoder.get("utterances")
    if settings is None:
        return None
    try:
        return Endpointer(labels_of(manifest)[1], **settings)
    except (TypeError, InputError) as error:
        raise ModelError(f"manifest.decoder.utterances does not fit: {error}") from error


def labels_of(manifest: Manifest) -> tuple[str, str | None]:
    """Return what segments of a model are, ``"phones"`` or ``"words"``, and the label that stands for a pause."""
    if manifest.decoder.get("name") == "words":
        return "words", None
    return "phones", manifest.outputs[0].silence


def _make_words(output: OutputSpec, lexicon: object = None, **settings: Any) -> Decoder:
    """Make a decoder of words, of the text of a lexicon."""
    from streamcell.runtime.words import WordDecoder  # now, as it is a decoder itself

    if not isinstance(lexicon, str):
        raise InputError(f"lexicon must be the text of a lexicon, each word with its phones; got {lexicon!r:.80}")
    return WordDecoder(output, _lexicon(lexicon), **settings)


@lru_cache(maxsize=4)
def _lexicon(text: str) -> "Lexicon":
    """Read a lexicon once for many streams."""
    from streamcell.runtime.words import Lexicon

    return Lexicon.parse(text)


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
