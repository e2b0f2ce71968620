"""From a source's blocks to the model's answers, frame by frame on one clock."""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from itertools import chain, pairwise
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy import ndarray, vdot
from numpy.typing import ArrayLike, NDArray

from streamcell.runtime.blocks import QUIET, as_features, as_samples
from streamcell.runtime.errors import InputError, ModelError
from streamcell.runtime.events import GAP_REASONS, Gap, Reset
from streamcell.runtime.frames import Frames, check_finite
from streamcell.runtime.model import Model
from streamcell.runtime.pending import Pending
from streamcell.runtime.resample import Quality, Resampler
from streamcell.runtime.schema import read
from streamcell.runtime.state import State
from streamcell.runtime.stepper import Stepper
from streamcell.runtime.wire import pack, unpack

__all__ = ["Posteriors", "Span", "Steps"]

_VERSION = 2
_MOST_STEPS = 64  # a call, and of silence at a time
_LARGEST = 1 << 53  # saved counter
_FLOAT32 = np.dtype(np.float32)


class Steps(Protocol):
    """Run one stream's steps and keep its state."""

    @property
    def state(self) -> State:
        """Return a copy of the state."""

    def load(self, state: State) -> None:
        """Go on from ``state``."""

    def reset(self) -> None:
        """Go back to the beginning."""

    def advance(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """Run `x [T * samples_per_step]` or `[T, channels]`; return `[T, C]`, valid until the next call."""


class Span(NamedTuple):
    """Say which frames the rows ``begin`` to ``end - 1`` of a model's answer are; fields as in `Frames`."""

    first: int
    origin: float
    begin: int
    end: int


@dataclass(frozen=True, slots=True)
class _Counters:
    """What is saved of the numbers that `Posteriors._begin` explains."""

    clock: int
    epoch: int
    held: int
    steps: int
    shift: int
    jumps: tuple[tuple[int, ...], ...]
    flushed: bool

    def __post_init__(self) -> None:
        places = [(0, self.shift), *self.jumps]
        pairs = all(len(place) == 2 for place in places)
        rising = pairs and all(a[0] <= b[0] and a[1] <= b[1] for a, b in pairwise(places))
        numbers = (self.clock, self.epoch, self.held, self.steps, *chain.from_iterable(places))
        if not rising or not 0 <= min(numbers) <= max(numbers) < _LARGEST or self.epoch + self.held > self.clock:
            raise ValueError(f"{self} contradict each other")


class Posteriors:
    """Stream samples through a model: convert the rate, cut into steps, run, put each frame on the clock.

    The clock counts the source's samples, lost ones too. Frames describe what was heard at their time: the model's
    look-ahead is taken out. How the samples are cut into blocks changes no frame by more than the model's parity bound.

    Args:
        model: The model; it may be shared, the state is this object's.
        sample_rate: Of the source in Hz; None for the model's.
        quality: ``"live"``: answers at once; ``"file"``: a flatter rate conversion, and 64 steps at a time, which is
            faster.
        steps: What runs the model and keeps the state; None for buffers of its own.

    Attributes:
        frame: Number of the frame that `quick` gave last; below 0 it describes nothing.
        origin: Seconds: when the stream began or was last reset.

    Raises:
        InputError: If the model takes tokens, or the rate does not fit; models of features do not convert rates.
        MissingExtraError: If rates differ and soxr is not installed.

    Examples:
        >>> posteriors = Posteriors(Model.open(), sample_rate=48000)  # doctest: +SKIP
        >>> for block in source:  # doctest: +SKIP
        ...     for frames in posteriors.push(block):
        ...         print(frames.first, frames.log_probs.shape)
        >>> posteriors.flush()  # doctest: +SKIP
    """

    _shift: int
    _stepper: Stepper | None

    def __init__(
        self, model: Model, sample_rate: int | None = None, quality: Quality = "live", steps: Steps | None = None
    ) -> None:
        spec = model.manifest.input
        if spec.kind == "tokens":
            raise InputError(
                f"{model.manifest.name} takes tokens, which have no clock: use TokenStream, `streamcell generate` or "
                "`streamcell label` with it"
            )
        rate = spec.sample_rate if sample_rate is None else sample_rate
        if spec.kind == "features" and rate != spec.sample_rate:
            raise InputError(f"this model takes features at {spec.sample_rate} Hz, got {rate} Hz; convert them first")
        self._model, self._spec, self._output = model, spec, model.manifest.outputs[0]
        self._fixed = model.manifest.steps_per_call
        self._audio, self._samples = spec.kind == "audio", spec.samples_per_step
        self._resampler = Resampler(rate, spec.sample_rate, quality)
        self._runs = Stepper(model) if steps is None else steps
        wait = quality == "file" and steps is None  # who runs many streams together needs no long calls
        self._together = self._fixed or (_MOST_STEPS if wait else 1)
        self._look_ahead = spec.look_ahead_steps
        self._shape = (spec.samples_per_step,) if self._audio else (1, spec.channels)
        self._clock = 0  # samples of the source, lost ones too
        self.frame = 0
        self._begin()

    @property
    def sample_rate(self) -> int:
        """Return the source's rate in Hz."""
        return self._resampler.source_rate

    @property
    def time(self) -> float:
        """Return how many seconds of the source have gone by, lost ones too."""
        return self._clock / self.sample_rate

    @property
    def state(self) -> State:
        """Return a copy of the model's state."""
        return self._runs.state

    def push(self, block: ArrayLike) -> list[Frames]:
        """Take the next samples; return the frames that are ready, at most one `Frames` but around held gaps.

        Args:
            block: `[n]`, n from 0, as `streamcell.runtime.blocks.as_samples` takes them; for features
                `[n, channels]`, float32 or float64.

        Raises:
            InputError: If the block does not fit, or `flush` was called and `reset` was not. Nothing has changed then.
            ModelError: If the model fails.
        """
        self.take(block)
        return self.run()

    def quick(self, block: ArrayLike) -> NDArray[np.float32] | None:
        """Run a block that is exactly one step at once, where nothing is in the way; else return None, nothing changed.

        Returns:
            `[1, C]`, valid until the next call, of frame `frame`; not checked.

        Raises:
            ModelError: If the model fails.
        """
        if (
            self._stepper is None
            or type(block) is not ndarray
            or block.dtype is not _FLOAT32
            or block.shape != self._shape
            or self._pending.count
            or not vdot(block, block) <= QUIET
        ):
            return None
        values = self._stepper.advance_once(block)
        self._clock += len(block)
        self.frame = self._steps - self._look_ahead + self._shift
        self._steps += 1
        return values

    @property
    def place(self) -> tuple[int, float]:
        """Return number and origin of the next frame, as in `Frames`."""
        begin = max(0, self._steps - self._look_ahead)
        shift = next((shift for step, shift in reversed(self._jumps) if step <= begin), self._shift)
        return begin + shift, self.origin

    def take(self, block: ArrayLike) -> None:
        """Take the next samples as `push` does, and let them wait: for who runs the steps of many streams together.

        Then `peek` gives what `ready` steps are to be run on, and `accept` is told that they were; or `run` runs them.
        """
        self._check_open("pushing more")
        samples = self._resampler.push(block) if self._audio else as_features(block, self._spec.channels)
        self._clock += len(block)  # type: ignore[arg-type]  # what was accepted has a length
        self._pending.append(samples)

    def check(self, block: ArrayLike) -> None:
        """Raise what `push` would raise for a block that does not fit; take nothing."""
        self._check_open("pushing more")
        if self._audio:
            as_samples(block)
        else:
            as_features(block, self._spec.channels)

    def run(self) -> list[Frames]:
        """Run the steps that are ready; return their frames."""
        return self._run()

    def answers(self, stop: int | None = None) -> Iterator[tuple[NDArray[np.float32], list[Span]]]:
        """Run the steps that are ready, of a file in full calls; yield each call's answer, valid until the next.

        Args:
            stop: Where the stream ends: run all whole steps that wait, and have no frames from this one on.

        Raises:
            ModelError: If the model fails. Values are not checked.
        """
        ready = self.ready if stop is None else self._pending.count // self._samples
        for steps in (1,) * ready if ready < 2 and self._fixed is None else _calls(ready, self._fixed):
            yield self._runs.advance(self.peek(steps)), self.accept(steps, stop)

    @property
    def waiting(self) -> float:
        """Return how many seconds wait to be run."""
        return self._pending.count / self._spec.sample_rate

    @property
    def ready(self) -> int:
        """Return how many steps can be run on what waits."""
        return self._pending.count // self._samples // self._together * self._together

    def peek(self, steps: int) -> NDArray[np.float32]:
        """Return what the next ``steps`` steps are to be run on, until more is taken."""
        return self._pending.peek(steps * self._samples)

    def accept(self, steps: int, stop: int | None = None) -> list[Span]:
        """Drop what ``steps`` steps were run on; say which frames came of it: from ``stop`` on none.

        Frames before the beginning, which the model's look-ahead has, are none either.
        """
        self._pending.drop(steps * self._samples)
        first = self._steps - self._look_ahead
        self._steps += steps
        end = first + steps if stop is None else min(stop, first + steps)
        origin = self.origin
        if first >= 0 and not self._jumps and end > first:
            return [Span(first + self._shift, origin, 0, end - first)]
        begin, spans = max(first, 0), []
        while begin < end:
            while self._jumps and self._jumps[0][0] <= begin:
                self._shift = self._jumps.pop(0)[1]
            until = min(end, self._jumps[0][0]) if self._jumps else end
            spans.append(Span(begin + self._shift, origin, begin - first, until - first))
            begin = until
        return spans

    def flush(self) -> list[Frames]:
        """End the stream: return the frames that look-ahead and rate conversion still hold.

        They hear silence after the end; frames wholly after it are dropped. Less than one step of sound has no frame.
        """
        frames, self._flushed = list(self._end()), True
        self._set_quick()
        return frames

    def reset(self, reason: str = "asked") -> list[Frames | Reset]:
        """Flush, then begin anew with the initial state; the clock goes on.

        Args:
            reason: For the `Reset`, which comes last.
        """
        frames = self.flush()
        self._begin()
        return [*frames, Reset(self.time, reason)]

    def gap(self, samples: int, reason: str = "missing") -> list[Frames | Gap]:
        """Say that samples were lost here; return what follows from it, by the manifest's gap policy.

        Args:
            samples: How many, at the source's rate.
            reason: ``"overflow"``, ``"missing"`` or ``"invalid"``, as in `Gap`.

        Raises:
            InputError: If an argument does not fit, or the stream was flushed.
        """
        return list(self.iter_gap(samples, reason))

    def iter_gap(self, samples: int, reason: str = "missing") -> Iterator[Frames | Gap]:
        """Do as `gap`, piece by piece as it is taken: for gaps too long for a list. It must be taken to its end."""
        self.check_gap(samples, reason)
        if not samples:
            return
        policy, end = self._model.manifest.gap, (self._clock + samples) / self.sample_rate
        action = "reset" if samples > policy.reset_after * self.sample_rate else policy.action
        gap = Gap(self.time, end, int(samples), reason, action)
        if action == "reset":
            yield from self._end()
            self._clock += samples
            self._begin()
        yield gap
        if action == "fill":
            seconds = _MOST_STEPS * self._spec.seconds_per_step
            for silence in self._silence(samples, max(1, int(seconds * self.sample_rate))):
                yield from self.push(silence)
        elif action == "hold":
            self._hold(samples)

    def to_bytes(self) -> bytes:
        """Return everything but the model as bytes, for `from_bytes`."""
        meta: dict[str, Any] = {"version": _VERSION, "fingerprint": self._model.fingerprint}
        meta["counters"] = {field.name: getattr(self, f"_{field.name}") for field in fields(_Counters)}
        stages = {"state": self.state.to_bytes(), "resampler": self._resampler.to_bytes()}
        arrays = {name: np.frombuffer(stage, np.uint8) for name, stage in stages.items()}
        return pack("posteriors", meta, {"pending": self._pending.peek(self._pending.count), **arrays})

    @classmethod
    def from_bytes(cls, model: Model, data: bytes, steps: Steps | None = None) -> "Posteriors":
        """Go on where `to_bytes` was called: exactly, or within 1e-6 where rates are converted.

        Raises:
            InputError: If the bytes are damaged, of another kind or version, or of another model.
        """
        meta, arrays = unpack(data, "posteriors")
        if meta.get("version") != _VERSION or meta.get("fingerprint") != model.fingerprint:
            raise InputError(
                f"expected a stream of version {_VERSION} saved with model {model.fingerprint:.8}, got version "
                f"{meta.get('version')!r} with {meta.get('fingerprint')!s:.8}; open the model that it was saved with"
            )
        try:
            resampler = Resampler.from_bytes(arrays["resampler"].tobytes())
            posteriors = cls(model, resampler.source_rate, resampler.quality, steps)
            state = State.from_bytes(arrays["state"].tobytes(), model.manifest)
            posteriors._restore(resampler, state, arrays["pending"], read(_Counters, meta["counters"], "counters"))
        except (KeyError, TypeError, ValueError, ModelError) as error:
            raise InputError(f"a saved stream is damaged: {error!r}") from error
        return posteriors

    def _begin(self) -> None:
        self._resampler.reset()
        self._runs.reset()
        self._pending = Pending(() if self._audio else (self._spec.channels,))
        self._epoch = self._clock  # when this began
        self._held = 0  # samples since then that were skipped with the state kept
        self._steps = 0  # the model has done since then
        self._shift = 0  # steps that frames now lie later than the model thinks, since samples were skipped
        self._jumps: list[list[int]] = []  # [step of the model, shift from there on], not yet reached
        self._flushed = False
        self.origin = self._epoch / self.sample_rate
        self._set_quick()

    def _set_quick(self) -> None:
        """Keep the stepper at hand where a block of one step needs nothing but a run."""
        runs, plain = self._runs, not (self._flushed or self._jumps or self._resampler.converts)
        self._stepper = runs if plain and self._together == 1 and isinstance(runs, Stepper) else None

    def _restore(self, resampler: Resampler, state: State, pending: NDArray[np.float32], counters: _Counters) -> None:
        """Take over what was saved, if it fits."""
        step, heard = self._samples, counters.clock - counters.epoch - counters.held
        taken, given = (resampler.taken, resampler.given) if resampler.converts else (heard, heard)
        most = step * (self._fixed or _MOST_STEPS)
        fits = self._pending.row == pending.shape[1:] and len(pending) < most
        if pending.dtype != np.float32 or not fits or not np.isfinite(pending).all() or state.batch != 1:
            raise ValueError(f"{pending.dtype} {list(pending.shape)} cannot wait for a call with {state.batch} streams")
        if not counters.flushed and (taken != heard or given != counters.steps * step + len(pending)):
            raise ValueError(
                f"{heard} samples heard, {taken} taken, {given} given and {counters} contradict each other"
            )
        self._resampler = resampler
        self._pending.append(pending)
        for field in fields(counters):
            setattr(self, f"_{field.name}", getattr(counters, field.name))
        self._jumps = list(map(list, counters.jumps))
        self._runs.load(state)
        self.origin = self._epoch / self.sample_rate
        self._set_quick()

    def _run(self, stop: int | None = None) -> list[Frames]:
        """Run all whole steps that wait; make `Frames` of them."""
        parts = []
        for values, spans in self.answers(stop):
            check_finite(values)
            parts += [(values[span.begin : span.end].copy(), span) for span in spans]
        return _joined(parts, self._output.kind)

    def _end(self) -> Iterator[Frames]:
        """Let out what is still held, by silence after the end."""
        if self._flushed:
            return
        fixed = self._fixed or 1
        heard, step = self._in_steps(self._clock - self._epoch - self._held)
        whole, part = divmod(heard, step)
        if not whole:
            return
        frames = whole + (part > 0)
        calls = -(-(frames + self._spec.look_ahead_steps) // fixed)
        if self._audio:
            self._pending.append(self._resampler.flush())
        missing = (calls * fixed - self._steps) * self._samples - self._pending.count
        yield from self._run(frames)
        for silence in self._silence(missing, _MOST_STEPS * self._samples):
            self._pending.append(silence)
            yield from self._run(frames)

    def _silence(self, samples: int, most: int) -> Iterator[NDArray[np.float32]]:
        """Make zeros in pieces of at most ``most``."""
        zeros = np.zeros((max(0, min(samples, most)), *self._pending.row), np.float32)
        for begin in range(0, samples, most):
            yield zeros[: samples - begin]

    def _hold(self, samples: int) -> None:
        """Move the clock on; have frames follow in whole steps, the rest with the next gap."""
        heard, step = self._in_steps(self._clock - self._epoch - self._held)
        self._clock += samples
        self._held += samples
        lost, _ = self._in_steps(self._held)
        junction, shift = (2 * heard + step) // (2 * step), lost // step
        if self._jumps and self._jumps[-1][0] == junction:
            self._jumps[-1][1] = shift
        else:
            self._jumps.append([junction, shift])
        self._set_quick()

    def _in_steps(self, samples: int) -> tuple[int, int]:
        """Return a count of the source's samples as a fraction of steps, two whole numbers."""
        return samples * self._spec.sample_rate, self.sample_rate * self._samples

    def _check_open(self, purpose: str) -> None:
        if self._flushed:
            raise InputError(f"the stream was flushed and has ended; call reset() before {purpose}")

    def check_gap(self, samples: int, reason: str) -> None:
        """Raise what `gap` would raise for arguments that do not fit; do nothing else."""
        if isinstance(samples, bool) or not isinstance(samples, int | np.integer) or samples < 0:
            raise InputError(f"a gap must be a whole number of the source's samples, 0 or more; got {samples!r}")
        if reason not in GAP_REASONS:
            raise InputError(f"the reason of a gap must be one of {', '.join(GAP_REASONS)}; got {reason!r}")
        self._check_open("reporting a gap")


def _calls(steps: int, fixed: int | None) -> Iterator[int]:
    """Cut a number of steps into calls: of ``fixed`` steps, or of few sizes, so that ONNX Runtime meets few shapes."""
    most = fixed or _MOST_STEPS
    for _ in range(steps // most):
        yield most
    if fixed is None:
        yield from (size for size in (32, 16, 8, 4, 2, 1) if steps % most & size)


def _joined(parts: list[tuple[NDArray[np.float32], Span]], kind: Any) -> list[Frames]:
    """Make `Frames` of spans; those that follow each other are one."""
    runs: list[list[tuple[NDArray[np.float32], Span]]] = []
    for values, span in parts:
        if runs and runs[-1][-1][1].first + len(runs[-1][-1][0]) == span.first:
            runs[-1].append((values, span))
        else:
            runs.append([(values, span)])
    return [
        Frames(
            run[0][0] if len(run) == 1 else np.concatenate([v for v, _ in run]), run[0][1].first, run[0][1].origin, kind
        )
        for run in runs
    ]
