"""From a source's blocks to events: the whole chain, with one state and one clock."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import ArrayLike

from streamcell.runtime.decode.ctc import GreedyCTC
from streamcell.runtime.errors import InputError, ModelError
from streamcell.runtime.events import Event, Gap, Reset, Segment, as_dict, from_dict
from streamcell.runtime.frames import Frames
from streamcell.runtime.model import Model
from streamcell.runtime.posteriors import Posteriors
from streamcell.runtime.resample import Quality
from streamcell.runtime.wire import pack, unpack

__all__ = ["Stream"]

_VERSION = 1
_MOST_WAITING = 64
_DECODERS: tuple[dict[str, str], ...] = ({}, {"name": "ctc-greedy"})


class Stream:
    """Hear samples, tell events: rate conversion, model, decoder.

    All final segments, gaps and resets come in the order of their beginning, the same for any cutting into blocks; a
    gap comes before a segment that begins with it. So a gap waits until no segment can begin before it, unless more
    than 64 wait: then the oldest come early. The partial segment that is still going on comes last. Times are seconds
    since the stream began, lost samples counted; they lie between 0 and `time`.

    Args:
        model: The model; it may be shared by many streams.
        sample_rate: Of the source in Hz; None for the model's.
        quality: ``"live"``: answers at once, rate conversion with 20 ms of delay; ``"file"``: 64 steps at a time, rate
            conversion with 40 ms of delay and a flatter band.

    Raises:
        InputError: If the rate does not fit.
        ModelError: If the model's task is not ``"ctc"``, or its manifest asks for a decoder that there is not.
        MissingExtraError: If rates differ and soxr is not installed.

    Examples:
        >>> stream = Stream(Model.open(), sample_rate=48000)  # doctest: +SKIP
        >>> for block in microphone:  # doctest: +SKIP
        ...     for event in stream.push(block):
        ...         print(event)
        >>> stream.flush()  # doctest: +SKIP
    """

    def __init__(self, model: Model, sample_rate: int | None = None, quality: Quality = "live") -> None:
        output, task = model.manifest.outputs[0], model.manifest.task
        if task != "ctc" or output.blank is None:
            raise ModelError(f"Stream decodes models of task 'ctc', got one of {task!r}; use Posteriors for its frames")
        if model.manifest.decoder not in _DECODERS:
            raise ModelError(f"manifest.decoder must be one of {_DECODERS}, got {model.manifest.decoder!r:.80}")
        self._posteriors = Posteriors(model, sample_rate, quality)
        silence = None if output.silence is None else output.labels.index(output.silence)
        self._decoder = GreedyCTC(output.labels, output.blank, output.seconds_per_step, silence)
        self._waiting: list[Gap] = []

    @property
    def sample_rate(self) -> int:
        """Return the source's rate in Hz."""
        return self._posteriors.sample_rate

    @property
    def time(self) -> float:
        """Return how many seconds of the source have gone by, lost ones too."""
        return self._posteriors.time

    def push(self, block: ArrayLike) -> list[Event]:
        """Take the next samples; return what can be said now.

        Args:
            block: `[n]`, n from 0: float32 or float64 in -1 to 1, or int16; for a model of features `[n, channels]`.

        Raises:
            InputError: If the block does not fit (nothing has changed then), or `flush` was called and `reset` was not.
            ModelError: If the model fails.
        """
        return self._hear(self._posteriors.push(block))

    def flush(self) -> list[Event]:
        """End the stream; return what was not final yet. Sound shorter than one step of the model has no segment."""
        events = self._hear(self._posteriors.flush())
        return [*filter(_is_final, events), *self._settle(self.time)]

    def reset(self, reason: str = "asked") -> list[Event]:
        """Flush, then begin anew as a fresh stream would, but with clock and segment numbers going on.

        Args:
            reason: For the `Reset`, which comes last.
        """
        return self._hear(self._posteriors.reset(reason))

    def gap(self, samples: int, reason: str = "missing") -> list[Event]:
        """Say that samples were lost here, before the next block; the manifest's gap policy says what follows.

        Args:
            samples: How many, at the source's rate.
            reason: ``"overflow"`` (they came faster than they were taken) or ``"missing"`` (they never came).

        Raises:
            InputError: If an argument does not fit, or the stream was flushed.
        """
        return self._hear(self._posteriors.iter_gap(samples, reason))

    def to_bytes(self) -> bytes:
        """Return everything but the model as bytes, for `from_bytes`."""
        stages = {"posteriors": self._posteriors.to_bytes(), "decoder": self._decoder.to_bytes()}
        arrays = {name: np.frombuffer(data, np.uint8) for name, data in stages.items()}
        return pack("stream", {"version": _VERSION, "waiting": [as_dict(gap) for gap in self._waiting]}, arrays)

    @classmethod
    def from_bytes(cls, model: Model, data: bytes) -> "Stream":
        """Go on where `to_bytes` was called: exactly, or within 1e-6 where rates are converted.

        Raises:
            InputError: If the bytes are damaged, of another kind or version, or of another model file.
        """
        meta, arrays = unpack(data, "stream")
        if meta.get("version") != _VERSION:
            raise InputError(f"expected a saved stream of version {_VERSION}, got {meta.get('version')!r}")
        stream = cls(model)
        try:
            stream._posteriors = Posteriors.from_bytes(model, arrays["posteriors"].tobytes())
            decoder = GreedyCTC.from_bytes(arrays["decoder"].tobytes())
            gaps = [from_dict(gap) for gap in meta["waiting"]]
        except (KeyError, TypeError, AttributeError) as error:
            raise InputError(f"a saved stream is damaged: {error!r}") from error
        if decoder.settings != stream._decoder.settings:
            raise InputError("a saved stream is damaged: its decoder is another than the model's")
        stream._decoder = decoder
        stream._waiting = [gap for gap in gaps if isinstance(gap, Gap)]
        return stream

    def _hear(self, items: Iterable[Frames | Gap | Reset]) -> list[Event]:
        """Decode frames as they come; put gaps and resets between the segments."""
        events: list[Event] = []
        partial: list[Segment] = []
        for item in items:
            if isinstance(item, Frames):
                segments = self._decoder.push(item)
                partial = [segment for segment in segments if not segment.final]
                events += filter(_is_final, segments)
            elif isinstance(item, Gap) and item.action != "reset":
                self._waiting.append(item)
            else:
                events += [*self._settle(_begin(item)), item]
                partial = []
        due = [gap for gap in self._waiting if gap.start <= self._decoder.settled]
        due = due or self._waiting[:-_MOST_WAITING]  # memory stays flat where one segment lasts for hours
        self._waiting = self._waiting[len(due) :]
        return [*sorted([*events, *due], key=_rank), *partial]

    def _settle(self, time: float) -> list[Event]:
        """End what goes on at ``time``, where sound or state ends."""
        events: list[Event] = [*self._decoder.flush(time), *self._waiting]
        self._waiting = []
        return sorted(events, key=_rank)


def _begin(event: Event) -> float:
    return event.time if isinstance(event, Reset) else event.start


def _rank(event: Event) -> tuple[float, bool]:
    return _begin(event), isinstance(event, Segment)


def _is_final(event: Event) -> bool:
    return not isinstance(event, Segment) or event.final
