"""From a source's blocks to events: the whole chain, with one state and one clock."""

from collections.abc import Iterable
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from streamcell.runtime.blocks import finite_runs
from streamcell.runtime.decode import Decoder, make_decoder, make_endpointer
from streamcell.runtime.errors import InputError
from streamcell.runtime.events import Event, Gap, Reset, Segment, Utterance, as_dict, from_dict, is_final
from streamcell.runtime.frames import Frames
from streamcell.runtime.model import Model
from streamcell.runtime.posteriors import Posteriors
from streamcell.runtime.resample import Quality
from streamcell.runtime.state import State
from streamcell.runtime.step_queue import Steps
from streamcell.runtime.timeline import Span
from streamcell.runtime.wire import pack, unpack

__all__ = ["Invalid", "Stream"]

Invalid: TypeAlias = Literal["error", "gap"]
"""What NaN or infinite samples are: an `InputError`, and nothing has changed, or a `Gap` where they lie."""

_VERSION = 2
_MOST_WAITING = 64
_LARGEST = 1 << 53  # saved counter
_ORDER: dict[type[Event], int] = {Gap: 0, Reset: 1, Segment: 2, Utterance: 3}  # of events that begin together


class Stream:
    """Hear samples, tell events: rate conversion, model, decoder.

    All final segments, gaps and resets come in the same order for any cutting into blocks: that of their beginning, or,
    where several labels can hold at the same time, that in which they become known. A gap comes before a segment that
    begins with it; so it waits until no segment can begin before it, unless more than 64 wait: then the oldest come
    early. So does the `Reset` that the manifest's reset policy brings, with the reason ``"silence"`` or ``"interval"``:
    segments go on over it. Where the decoder's settings ask for utterances (see `Endpointer`), each comes behind its
    segments. Partial segments, which still go on, come last. Times are seconds since the stream began, lost samples
    counted; they lie between 0 and `time`.

    A stream is used by one thread at a time; the model may be shared.

    Args:
        model: The model.
        sample_rate: Of the source in Hz; None for the model's.
        quality: ``"live"``: answers at once, rate conversion with 20 ms of delay; ``"file"``: 64 steps at a time, rate
            conversion with 40 ms of delay and a flatter band.
        invalid: What samples are that are not finite: ``"error"`` or ``"gap"``.
        steps: What runs the model and keeps the state; None for buffers of its own.

    Raises:
        InputError: If the rate or a choice does not fit.
        ModelError: If the manifest asks for a decoder that there is not.
        MissingExtraError: If rates differ and soxr is not installed.

    Examples:
        >>> stream = Stream(Model.open(), sample_rate=48000)  # doctest: +SKIP
        >>> for block in microphone:  # doctest: +SKIP
        ...     for event in stream.push(block):
        ...         print(event)
        >>> saved = stream.snapshot()  # doctest: +SKIP
        >>> stream = Stream.restore(Model.open(), saved)  # in another process, on another day  # doctest: +SKIP
        >>> stream.flush()  # doctest: +SKIP
    """

    def __init__(
        self,
        model: Model,
        sample_rate: int | None = None,
        quality: Quality = "live",
        invalid: Invalid = "error",
        steps: Steps | None = None,
    ) -> None:
        if invalid not in ("error", "gap"):
            raise InputError(f"invalid must be 'error' or 'gap', got {invalid!r}")
        self._decoder, self._endpointer = make_decoder(model.manifest), make_endpointer(model.manifest)
        self._attach(Posteriors(model, sample_rate, quality, steps))
        self._invalid: Invalid = invalid
        self._waiting: list[Gap | Reset] = []
        self._seconds = model.manifest.outputs[0].seconds_per_step
        self._bad = 0  # samples that were not finite, not yet told as a gap: more may follow

    @property
    def sample_rate(self) -> int:
        """Return the source's rate in Hz."""
        return self._posteriors.sample_rate

    @property
    def time(self) -> float:
        """Return how many seconds of the source have gone by, lost ones too."""
        return self._posteriors.time

    @property
    def state(self) -> State:
        """Return a copy of the model's state."""
        return self._posteriors.state

    def push(self, block: ArrayLike) -> list[Event]:
        """Take the next samples; return what can be said now.

        Args:
            block: `[n]`, n from 0: float32 or float64 in -1 to 1, or int16; for a model of features `[n, channels]`.

        Raises:
            InputError: If the block does not fit (nothing has changed then), or `flush` was called and `reset` was not.
            ModelError: If the model fails.
        """
        posteriors = self._posteriors
        if not self._bad:
            if (values := posteriors.quick(block)) is not None:
                return self._answer(values)
            try:
                posteriors.take(block)
            except InputError:
                if self._invalid == "error":
                    raise
            else:
                return self.run()
        events: list[Event] = []
        parts = list(finite_runs(block))
        for part in parts:  # all or nothing
            if not isinstance(part, int):
                self._posteriors.check(part)
        for part in parts:
            if isinstance(part, int):
                self._bad += part
            else:
                events += [*self._lost(), *self._hear(self._posteriors.push(part))]
        return [*filter(is_final, events), *self._decoder.partial()]

    def flush(self) -> list[Event]:
        """End the stream; return what was not final yet. Sound shorter than one step of the model has no segment."""
        events = [*self._lost(), *self._hear(self._posteriors.flush())]
        finals = [*filter(is_final, events), *self._mark(self._settle(self.time))]
        return [*finals, *self._endpointer.flush()] if self._endpointer else finals

    def reset(self, reason: str = "asked") -> list[Event]:
        """Flush, then begin anew as a fresh stream would, but with clock and segment numbers going on.

        Args:
            reason: For the `Reset`, which comes last.
        """
        return [*filter(is_final, self._lost()), *self._hear(self._posteriors.reset(reason))]

    def gap(self, samples: int, reason: str = "missing") -> list[Event]:
        """Say that samples were lost here, before the next block; the manifest's gap policy says what follows.

        Args:
            samples: How many, at the source's rate.
            reason: ``"overflow"`` (they came faster than they were taken), ``"missing"`` (they never came) or
                ``"invalid"`` (they were no numbers).

        Raises:
            InputError: If an argument does not fit, or the stream was flushed.
        """
        self._posteriors.check_gap(samples, reason)  # before anything is told
        return [*filter(is_final, self._lost()), *self._hear(self._posteriors.iter_gap(samples, reason))]

    def snapshot(self) -> bytes:
        """Return everything but the model as bytes: samples that wait, rate conversion, state, decoder, clock."""
        stages = {"posteriors": self._posteriors.to_bytes(), "decoder": self._decoder.to_bytes()}
        arrays = {name: np.frombuffer(data, np.uint8) for name, data in stages.items()}
        meta: dict[str, Any] = {
            "version": _VERSION,
            "invalid": self._invalid,
            "bad": self._bad,
            "waiting": [as_dict(event) for event in self._waiting],
        }
        if self._endpointer:
            meta["utterance"] = self._endpointer.to_dict()
        return pack("stream", meta, arrays)

    @classmethod
    def restore(cls, model: Model, data: bytes, steps: Steps | None = None) -> "Stream":
        """Go on where `snapshot` was called, in any process: exactly, or within 1e-6 where rates are converted.

        The bytes hold no code and are checked against checksum, model and ranges, so strangers' may be tried.

        Args:
            model: The same, or one with the same `Model.fingerprint`.
            data: What `snapshot` returned.
            steps: As in the constructor.

        Raises:
            InputError: If the bytes are damaged, of another kind or version, or of another model.
        """
        meta, arrays = unpack(data, "stream")
        if meta.get("version") != _VERSION:
            raise InputError(f"expected a saved stream of version {_VERSION}, got {meta.get('version')!r}")
        try:
            posteriors = Posteriors.from_bytes(model, arrays["posteriors"].tobytes(), steps)
            stream = cls.__new__(cls)
            stream._decoder, stream._endpointer = make_decoder(model.manifest), make_endpointer(model.manifest)
            stream._attach(posteriors)
            stream._decoder.restore(arrays["decoder"].tobytes())
            if stream._endpointer:
                stream._endpointer.restore(meta["utterance"])
            stream._invalid, stream._bad = meta["invalid"], meta["bad"]
            waiting = [from_dict(event) for event in meta["waiting"]]
        except (KeyError, TypeError, AttributeError) as error:
            raise InputError(f"a saved stream is damaged: {error!r}") from error
        most = {"error": 0, "gap": _LARGEST}.get(str(stream._invalid), -1)
        if type(stream._bad) is not int or not 0 <= stream._bad <= most or len(waiting) > _MOST_WAITING:
            raise InputError(f"a saved stream is damaged: {meta!r:.200}")
        if not stream._decoder.follows(*posteriors.queue.at.place):
            raise InputError("a saved stream is damaged: its decoder has heard other frames than its model gave")
        stream._waiting = [event for event in waiting if isinstance(event, Gap | Reset)]
        stream._seconds = model.manifest.outputs[0].seconds_per_step
        return stream

    @property
    def posteriors(self) -> Posteriors:
        """Return the stage before the decoder, for who steps many streams together."""
        return self._posteriors

    @property
    def decoder(self) -> Decoder:
        """Return the last stage, for who steps many streams together."""
        return self._decoder

    @property
    def invalid(self) -> Invalid:
        """Return what samples are that are not finite."""
        return self._invalid

    @property
    def in_gap(self) -> bool:
        """Tell whether the last samples were not finite: the gap is told when it ends."""
        return self._bad > 0

    def run(self) -> list[Event]:
        """Run the steps that are ready of what `Posteriors.take` let wait; return what `push` would."""
        events: list[Event] = []
        spoke = False
        for values, spans in self._queue.answers():
            events += self.accept(spans, self._decoder.read(values))
            spoke = True
        return [*events, *self._decoder.partial()] if spoke else events

    def accept(self, spans: Iterable[Span], items: list[Any]) -> list[Event]:
        """Hear what the model said of some steps, run here or elsewhere; return final events.

        While gaps or resets wait, frames are decoded one by one, so that these get their places.

        Args:
            spans: As `StepQueue.accept` gives them.
            items: As the decoder reads them, one a step.
        """
        events: list[Event] = []
        for first, origin, begin, end, reset in spans:
            if reset:
                reset_here = Reset(origin + first * self._seconds, reset)
                self._waiting = sorted([*self._waiting, reset_here], key=_rank)  # gaps are told before their frames
            if self._waiting:
                for row in range(begin, end):
                    events += self._due([*self._decoder.take(first + row - begin, origin, items[row : row + 1])])
            else:
                events += self._decoder.take(first, origin, items[begin:end])
        return self._mark(events)

    def accept_one(self, item: Any) -> list[Segment] | None:
        """Hear what the model said of one step, run elsewhere, where nothing is in the way: return final segments.

        Else return None, and nothing has changed: `Timeline.accept` and `accept` are to hear it.

        Args:
            item: As the decoder reads it.
        """
        at = self._at
        if self._waiting or not self._simple or (frame := at.accept_one()) is None:
            return None
        return self._decoder.take(frame, at.origin, [item])

    def partial(self) -> list[Segment]:
        """Return the segments that go on, as far as they are known."""
        return self._decoder.partial()

    def _attach(self, posteriors: Posteriors) -> None:
        """Go on from what gives the answers, once there is what hears them."""
        self._posteriors, self._queue, self._at = posteriors, posteriors.queue, posteriors.queue.at
        self._simple = self._queue.rule is None and self._endpointer is None

    def _answer(self, values: NDArray[np.float32]) -> list[Event]:
        """Decode one frame, with as little around it as can be: this is what a live stream does all the time."""
        posteriors, decoder = self._posteriors, self._decoder
        if posteriors.frame < 0:
            return []
        found = decoder.take(posteriors.frame, posteriors.origin, decoder.read(values))
        if found or self._waiting or self._endpointer:
            return [*self._mark(self._due([*found])), *decoder.partial()]
        return [*decoder.partial()]

    def _lost(self) -> list[Event]:
        """Tell the samples that were not finite as one gap, now that it has an end."""
        samples, self._bad = self._bad, 0
        return self._hear(self._posteriors.iter_gap(samples, "invalid")) if samples else []

    def _hear(self, items: Iterable[Frames | Gap | Reset]) -> list[Event]:
        """Decode frames as they come; put gaps and resets between the segments."""
        events: list[Event] = []
        speaks = False
        for item in items:
            if isinstance(item, Frames):
                span = Span(item.first, item.origin, 0, len(item.values), item.reset)
                events += self.accept([span], self._decoder.read(item.values))
                speaks = True
            elif isinstance(item, Gap) and item.action != "reset":
                self._waiting.append(item)
                events += self._mark(self._due([]))
            else:
                events += self._mark([*self._settle(_begin(item)), item])
                speaks = False
        return [*events, *self._decoder.partial()] if speaks else events

    def _due(self, events: list[Event]) -> list[Event]:
        """Add the gaps and resets whose time has come, in order."""
        if not self._waiting:
            return events
        due = [event for event in self._waiting if _begin(event) <= self._decoder.settled]
        due = due or self._waiting[:-_MOST_WAITING]  # memory stays flat where one segment lasts for hours
        self._waiting = self._waiting[len(due) :]
        return sorted([*events, *due], key=_rank)

    def _mark(self, events: list[Event]) -> list[Event]:
        """Add the utterances that ended, where they are asked for."""
        if self._endpointer is None:
            return events
        quiet, partial = self._decoder.settled, self._decoder.partial()
        if len(partial) == 1 and partial[0].label == self._endpointer.silence:
            quiet = max(quiet, partial[0].end)
        return self._endpointer.push(events, min(quiet, self.time))

    def _settle(self, time: float) -> list[Event]:
        """End what goes on at ``time``, where sound or state ends."""
        events: list[Event] = [*self._decoder.flush(time), *self._waiting]
        self._waiting = []
        return sorted(events, key=_rank)


def _begin(event: Event) -> float:
    return event.time if isinstance(event, Reset) else event.start


def _rank(event: Event) -> tuple[float, int]:
    return _begin(event), _ORDER[type(event)]
