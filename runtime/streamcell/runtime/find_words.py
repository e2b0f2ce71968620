"""Words and phrases in a recording: a stream that carries a decoder of its own."""

from pathlib import Path

from streamcell.runtime.decode import Decoder
from streamcell.runtime.errors import InputError, SourceError
from streamcell.runtime.events import Event, is_final
from streamcell.runtime.formats import Transcript
from streamcell.runtime.model import Model
from streamcell.runtime.resample import Quality
from streamcell.runtime.sources import AudioFile
from streamcell.runtime.stream import Invalid, Stream

__all__ = ["DecodingStream", "find_words"]


class DecodingStream(Stream):
    """Stream with another decoder than the model's; it cannot be saved, since the model does not name its decoder.

    Args:
        model: The model.
        decoder: Fresh, for the model's first output.
        sample_rate: As in `Stream`, like the rest.
        quality: See there.
        invalid: See there.

    Raises:
        InputError: If the rate or a choice does not fit.
        MissingExtraError: If rates differ and soxr is not installed.

    Examples:
        >>> stream = DecodingStream(model, Spotter(model.manifest.outputs[0], phrases, 0.2))  # doctest: +SKIP
        >>> for segment in stream.push(block):  # doctest: +SKIP
        ...     print(segment.label, segment.start, segment.confidence)
    """

    def __init__(
        self,
        model: Model,
        decoder: Decoder,
        sample_rate: int | None = None,
        quality: Quality = "live",
        invalid: Invalid = "error",
    ) -> None:
        super().__init__(model, sample_rate, quality, invalid)
        self._decoder = decoder

    def snapshot(self) -> bytes:
        """Refuse: nothing could be made of the bytes.

        Raises:
            InputError: Always.
        """
        raise InputError(
            "a stream with a decoder of its own cannot be saved; for words make a Stream of Model.with_decoder instead"
        )


def find_words(model: Model, path: str | Path, decoder: Decoder, invalid: Invalid = "error") -> Transcript:
    """Stream one audio file through a model and a decoder of words or phrases, in bounded memory.

    Args:
        model: One that takes audio.
        path: A file that `AudioFile` reads.
        decoder: A `WordDecoder` or a `Spotter`; it begins anew.
        invalid: What samples are that are not finite: ``"error"`` or ``"gap"``.

    Returns:
        Segments labelled with words or phrases, and gaps.

    Raises:
        SourceError: If the file gives no usable samples.
        InputError: If the model does not take audio.
    """
    if model.manifest.input.kind != "audio":
        raise InputError(f"{model.manifest.name} takes {model.manifest.input.kind}, not audio; choose another model")
    decoder.reset()
    with AudioFile(path, finite=invalid == "error") as audio:
        stream = DecodingStream(model, decoder, audio.sample_rate, "file", invalid)
        events: list[Event] = []
        try:
            for block in audio:
                events += filter(is_final, stream.push(block))
        except InputError as error:
            raise SourceError(f"{path}: {error}") from error
        events += filter(is_final, stream.flush())
        return Transcript(str(path), audio.seconds, tuple(events), audio.cut)
