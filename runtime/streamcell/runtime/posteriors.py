"""From a source's blocks to the model's answers, frame by frame on one clock."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy import ndarray, vdot
from numpy.typing import ArrayLike, NDArray

from streamcell.runtime.blocks import FLOAT32, QUIET, as_features, as_samples, is_quiet
from streamcell.runtime.errors import InputError, ModelError
from streamcell.runtime.events import GAP_REASONS, Gap, Reset
from streamcell.runtime.frames import Frames, check_finite
from streamcell.runtime.model import Model
from streamcell.runtime.resample import Quality, Resampler
from streamcell.runtime.state import State
from streamcell.runtime.step_queue import MOST_STEPS, StepQueue, Steps
from streamcell.runtime.stepper import Stepper
from streamcell.runtime.timeline import Span
from streamcell.runtime.wire import pack, unpack

__all__ = ["Posteriors"]

_VERSION = 2


class Posteriors:
    """Stream samples through a model: convert the rate, cut into steps, run, put each frame on the clock.

    The clock counts the source's samples, lost ones too, see `Timeline`. Where the manifest has a reset policy, the
    state begins anew between two frames, see `ResetRule`. How the samples are cut into blocks changes no frame by more
    than the model's parity bound.

    Args:
        model: The model; it may be shared, the state is this object's.
        sample_rate: Of the source in Hz; None for the model's.
        quality: ``"live"``: answers at once; ``"file"``: a flatter rate conversion, and 64 steps at a time, which is
            faster.
        steps: What runs the model and keeps the state; None for buffers of its own.

    Attributes:
        direct: Whether a step of samples waits as it comes, and its answer changes no state: no rate is converted, no
            reset rule is to be asked and the stream goes on.
        frame: Number of the frame that `quick` gave last; below 0 it describes nothing.
        origin: Seconds: when the stream began or was last reset.
        shape: Of a step of samples, `[samples]` or `[1, channels]`.

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
        self._audio = spec.kind == "audio"
        self._resampler = Resampler(rate, spec.sample_rate, quality)
        wait = quality == "file" and steps is None  # who runs many streams together needs no long calls
        self._queue = StepQueue(model, rate, MOST_STEPS if wait else 1, steps)
        self._at = self._queue.at
        self._look_ahead = spec.look_ahead_steps
        self.shape = (spec.samples_per_step,) if self._audio else (1, spec.channels)
        self.frame, self.origin = 0, self._at.origin
        self._set_quick()

    @property
    def sample_rate(self) -> int:
        """Return the source's rate in Hz."""
        return self._resampler.source_rate

    @property
    def time(self) -> float:
        """Return how many seconds of the source have gone by, lost ones too."""
        return self._at.time

    @property
    def state(self) -> State:
        """Return a copy of the model's state."""
        return self._queue.runs.state

    @property
    def queue(self) -> StepQueue:
        """Return the steps that wait, for who runs those of many streams together."""
        return self._queue

    def push(self, block: ArrayLike) -> list[Frames]:
        """Take the next samples; return the frames that are ready, one `Frames` but around held gaps and resets.

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
            or block.dtype is not FLOAT32
            or block.shape != self.shape
            or self._queue.pending.count
            or not vdot(block, block) <= QUIET
        ):
            return None
        values = self._stepper.advance_once(block)
        at = self._at
        at.clock += len(block)
        self.frame = at.steps - self._look_ahead + at.shift
        at.steps += 1
        return values

    def take(self, block: ArrayLike) -> None:
        """Take the next samples as `push` does, and let them wait: for who runs the steps of many streams together.

        `queue` has them then, and `run` runs what is ready.
        """
        if self._plain and type(block) is ndarray and block.dtype is FLOAT32 and block.ndim == 1 and is_quiet(block):
            samples = block
        else:
            self._check_open("pushing more")
            samples = self._resampler.push(block) if self._audio else as_features(block, self._spec.channels)
        self._at.clock += len(block)  # type: ignore[arg-type]  # what was accepted has a length
        self._queue.pending.append(samples)

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

    def flush(self) -> list[Frames]:
        """End the stream: return the frames that look-ahead and rate conversion still hold.

        They hear silence after the end; frames wholly after it are dropped. Less than one step of sound has no frame.
        """
        self._plain, self.direct, self._stepper = False, False, None  # also if what follows fails
        frames, self._at.flushed = list(self._end()), True
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
        policy, end = self._model.manifest.gap, (self._at.clock + samples) / self.sample_rate
        action = "reset" if samples > policy.reset_after * self.sample_rate else policy.action
        gap = Gap(self.time, end, int(samples), reason, action)
        if action == "reset":
            yield from self._end()
            self._at.clock += samples
            self._begin()
        yield gap
        if action == "fill":
            seconds = MOST_STEPS * self._spec.seconds_per_step
            for silence in self._queue.silence(samples, max(1, int(seconds * self.sample_rate))):
                yield from self.push(silence)
        elif action == "hold":
            self._at.hold(samples)
            self._set_quick()

    def to_bytes(self) -> bytes:
        """Return everything but the model as bytes, for `from_bytes`."""
        meta, arrays = self._queue.save()
        stages = {"state": self.state.to_bytes(), "resampler": self._resampler.to_bytes()}
        arrays |= {name: np.frombuffer(stage, np.uint8) for name, stage in stages.items()}
        return pack("posteriors", {"version": _VERSION, "fingerprint": self._model.fingerprint, **meta}, arrays)

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
            posteriors._queue.restore(meta, arrays, state)
            posteriors._take_over(resampler)
        except (KeyError, TypeError, ValueError, ModelError) as error:
            raise InputError(f"a saved stream is damaged: {error!r}") from error
        return posteriors

    def _begin(self) -> None:
        self._resampler.reset()
        self._queue.begin()
        self.origin = self._at.origin
        self._set_quick()

    def _set_quick(self) -> None:
        """Note where blocks wait as they come; keep the stepper where one of one step needs nothing but a run."""
        queue, at = self._queue, self._at
        as_it_is = not (at.flushed or self._resampler.converts)
        self._plain = self._audio and as_it_is
        self.direct = as_it_is and queue.rule is None and queue.together == 1
        quick = self.direct and not at.jumps
        self._stepper = queue.runs if quick and isinstance(queue.runs, Stepper) else None

    def _take_over(self, resampler: Resampler) -> None:
        """Go on with a saved rate conversion, if it fits what else was saved."""
        at, heard, waits = self._at, self._at.heard, self._queue.pending.count
        taken, given = (resampler.taken, resampler.given) if resampler.converts else (heard, heard)
        if not at.flushed and (taken != heard or given != at.steps * self._spec.samples_per_step + waits):
            raise ValueError(
                f"{heard} samples heard, {taken} taken, {given} given and {at.steps} steps contradict each other"
            )
        self._resampler = resampler
        self.origin = at.origin
        self._set_quick()

    def _run(self, stop: int | None = None) -> list[Frames]:
        """Run all whole steps that wait; make `Frames` of them."""
        parts = []
        for values, spans in self._queue.answers(stop):
            check_finite(values)
            parts += [(values[span.begin : span.end].copy(), span) for span in spans]
        return _joined(parts, self._output.kind)

    def _end(self) -> Iterator[Frames]:
        """Let out what is still held, by silence after the end."""
        at = self._at
        if at.flushed:
            return
        fixed = self._model.manifest.steps_per_call or 1
        heard, step = at.in_steps(at.heard)
        whole, part = divmod(heard, step)
        if not whole:
            return
        frames = whole + (part > 0)
        calls = -(-(frames + self._spec.look_ahead_steps) // fixed)
        if self._audio:
            self._queue.pending.append(self._resampler.flush())
        missing = (calls * fixed - at.steps) * self._spec.samples_per_step - self._queue.pending.count
        most = MOST_STEPS * self._spec.samples_per_step
        for silence in self._queue.silence(missing, most):
            self._queue.pending.append(silence)
            if self._queue.pending.count >= most:
                yield from self._run(frames)
        yield from self._run(frames)

    def _check_open(self, purpose: str) -> None:
        if self._at.flushed:
            raise InputError(f"the stream was flushed and has ended; call reset() before {purpose}")

    def check_gap(self, samples: int, reason: str) -> None:
        """Raise what `gap` would raise for arguments that do not fit; do nothing else."""
        if isinstance(samples, bool) or not isinstance(samples, int | np.integer) or samples < 0:
            raise InputError(f"a gap must be a whole number of the source's samples, 0 or more; got {samples!r}")
        if reason not in GAP_REASONS:
            raise InputError(f"the reason of a gap must be one of {', '.join(GAP_REASONS)}; got {reason!r}")
        self._check_open("reporting a gap")


def _joined(parts: list[tuple[NDArray[np.float32], Span]], kind: Any) -> list[Frames]:
    """Make `Frames` of spans; those that follow each other are one."""
    runs: list[list[tuple[NDArray[np.float32], Span]]] = []
    for values, span in parts:
        if runs and runs[-1][-1][1].first + len(runs[-1][-1][0]) == span.first and not span.reset:
            runs[-1].append((values, span))
        else:
            runs.append([(values, span)])
    return [_frames([values for values, _ in run], run[0][1], kind) for run in runs]


def _frames(parts: list[NDArray[np.float32]], span: Span, kind: Any) -> Frames:
    """Make one of parts that follow each other, the first of them of ``span``."""
    values = parts[0] if len(parts) == 1 else np.concatenate(parts)
    return Frames(values, span.first, span.origin, kind, span.reset)
