"""From a source's blocks to the model's answers, frame by frame on one clock."""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from streamcell.runtime.blocks import as_features
from streamcell.runtime.errors import InputError, ModelError
from streamcell.runtime.events import Gap, Reset
from streamcell.runtime.frames import Frames, log_softmax
from streamcell.runtime.model import Model
from streamcell.runtime.resample import Quality, Resampler
from streamcell.runtime.schema import read
from streamcell.runtime.state import State
from streamcell.runtime.wire import pack, unpack

__all__ = ["Posteriors"]

_VERSION = 1
_MOST_STEPS = 64  # a call, and of silence at a time
_REASONS = ("overflow", "missing")
_LARGEST = 1 << 53  # saved counter


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
        numbers = (self.clock, self.epoch, self.held, self.steps, self.shift, *(n for jump in self.jumps for n in jump))
        pairs = all(len(jump) == 2 for jump in self.jumps)
        if not pairs or not 0 <= min(numbers) <= max(numbers) < _LARGEST or self.epoch + self.held > self.clock:
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

    Raises:
        InputError: If the rate does not fit; models of features do not convert rates.
        MissingExtraError: If rates differ and soxr is not installed.

    Examples:
        >>> posteriors = Posteriors(Model.open(), sample_rate=48000)  # doctest: +SKIP
        >>> for block in source:  # doctest: +SKIP
        ...     for frames in posteriors.push(block):
        ...         print(frames.first, frames.log_probs.shape)
        >>> posteriors.flush()  # doctest: +SKIP
    """

    def __init__(self, model: Model, sample_rate: int | None = None, quality: Quality = "live") -> None:
        spec = model.manifest.input
        rate = spec.sample_rate if sample_rate is None else sample_rate
        if spec.kind == "features" and rate != spec.sample_rate:
            raise InputError(f"this model takes features at {spec.sample_rate} Hz, got {rate} Hz; convert them first")
        self._model = model
        self._resampler = Resampler(rate, spec.sample_rate, quality)
        self._clock = 0  # samples of the source, lost ones too
        self._begin()

    @property
    def sample_rate(self) -> int:
        """Return the source's rate in Hz."""
        return self._resampler.source_rate

    @property
    def time(self) -> float:
        """Return how many seconds of the source have gone by, lost ones too."""
        return self._clock / self.sample_rate

    def push(self, block: ArrayLike) -> list[Frames]:
        """Take the next samples; return the frames that are ready, at most one `Frames` but around held gaps.

        Args:
            block: `[n]`, n from 0, as `streamcell.runtime.blocks.as_samples` takes them; for features
                `[n, channels]`, float32 or float64.

        Raises:
            InputError: If the block does not fit, or `flush` was called and `reset` was not. Nothing has changed then.
            ModelError: If the model fails.
        """
        if self._flushed:
            raise InputError("the stream was flushed and has ended; call reset() before pushing more")
        samples = self._convert(block)
        self._clock += len(np.asarray(block))
        return self._feed(samples)

    def flush(self) -> list[Frames]:
        """End the stream: return the frames that look-ahead and rate conversion still hold.

        They hear silence after the end; frames wholly after it are dropped. Less than one step of sound has no frame.
        """
        frames, self._flushed = list(self._end()), True
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
            reason: ``"overflow"`` or ``"missing"``.

        Raises:
            InputError: If an argument does not fit, or the stream was flushed.
        """
        return list(self.iter_gap(samples, reason))

    def iter_gap(self, samples: int, reason: str = "missing") -> Iterator[Frames | Gap]:
        """Do as `gap`, piece by piece as it is taken: for gaps too long for a list. It must be taken to its end."""
        self._check_gap(samples, reason)
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
            seconds = _MOST_STEPS * self._model.manifest.input.seconds_per_step
            for silence in self._silence(samples, max(1, int(seconds * self.sample_rate))):
                yield from self.push(silence)
        elif action == "hold":
            self._hold(samples)

    def to_bytes(self) -> bytes:
        """Return everything but the model as bytes, for `from_bytes`."""
        meta: dict[str, Any] = {"version": _VERSION, "fingerprint": self._model.fingerprint}
        meta["counters"] = {field.name: getattr(self, f"_{field.name}") for field in fields(_Counters)}
        stages = {"state": self._state.to_bytes(), "resampler": self._resampler.to_bytes()}
        arrays = {name: np.frombuffer(stage, np.uint8) for name, stage in stages.items()}
        return pack("posteriors", meta, {"pending": self._pending, **arrays})

    @classmethod
    def from_bytes(cls, model: Model, data: bytes) -> "Posteriors":
        """Go on where `to_bytes` was called: exactly, or within 1e-6 where rates are converted.

        Raises:
            InputError: If the bytes are damaged, of another kind or version, or of another model file.
        """
        meta, arrays = unpack(data, "posteriors")
        if meta.get("version") != _VERSION or meta.get("fingerprint") != model.fingerprint:
            raise InputError(
                f"expected a stream of version {_VERSION} saved with model file {model.fingerprint:.8}, got version "
                f"{meta.get('version')!r} of file {meta.get('fingerprint')!s:.8}; open the model that it was saved with"
            )
        try:
            resampler = Resampler.from_bytes(arrays["resampler"].tobytes())
            posteriors = cls(model, resampler.source_rate, resampler.quality)
            state = State.from_bytes(arrays["state"].tobytes(), model.manifest)
            posteriors._restore(resampler, state, arrays["pending"], read(_Counters, meta["counters"], "counters"))
        except (KeyError, TypeError, ValueError, ModelError) as error:
            raise InputError(f"a saved stream is damaged: {error!r}") from error
        return posteriors

    def _begin(self) -> None:
        spec = self._model.manifest.input
        self._resampler.reset()
        self._state = self._model.initial_state()
        self._pending = np.zeros((0,) if spec.kind == "audio" else (0, spec.channels), np.float32)
        self._epoch = self._clock  # when this began
        self._held = 0  # samples since then that were skipped with the state kept
        self._steps = 0  # the model has done since then
        self._shift = 0  # steps that frames now lie later than the model thinks, since samples were skipped
        self._jumps: list[list[int]] = []  # [step of the model, shift from there on], not yet reached
        self._flushed = False

    def _restore(self, resampler: Resampler, state: State, pending: NDArray[np.float32], counters: _Counters) -> None:
        """Take over what was saved, if it fits."""
        manifest = self._model.manifest
        most = manifest.input.samples_per_step * self._together()
        alike = pending.dtype == np.float32 and pending.shape[1:] == self._pending.shape[1:] and len(pending) < most
        if not alike or not np.isfinite(pending).all() or state.batch != 1:
            raise ValueError(f"{pending.dtype} {list(pending.shape)} cannot wait for a call with {state.batch} streams")
        self._resampler, self._state, self._pending = resampler, state, pending
        for field in fields(counters):
            setattr(self, f"_{field.name}", getattr(counters, field.name))
        self._jumps = list(map(list, counters.jumps))

    def _convert(self, block: ArrayLike) -> NDArray[np.float32]:
        spec = self._model.manifest.input
        return self._resampler.push(block) if spec.kind == "audio" else as_features(block, spec.channels)

    def _feed(self, samples: NDArray[np.float32], stop: int | None = None) -> list[Frames]:
        """Run all whole steps, of a file in full calls; with ``stop``, the last ones, up to that step's frame."""
        spec, name = self._model.manifest.input, self._model.manifest.outputs[0].name
        data = np.concatenate([self._pending, samples]) if len(self._pending) else samples
        logits, begin = [], 0
        together = self._together() if stop is None else 1
        ready = len(data) // spec.samples_per_step // together * together
        for steps in _calls(ready, self._model.manifest.steps_per_call):
            end = begin + steps * spec.samples_per_step
            outputs, self._state = self._model.step(data[None, begin:end], self._state)
            logits.append(outputs[name][0])
            begin = end
        self._pending = data[begin:].copy()
        return self._place(np.concatenate(logits), stop) if logits else []

    def _together(self) -> int:
        """Return how many steps samples wait for: the model's fixed number, a full call of a file, or one."""
        return self._model.manifest.steps_per_call or (_MOST_STEPS if self._resampler.quality == "file" else 1)

    def _place(self, logits: NDArray[np.float32], stop: int | None) -> list[Frames]:
        """Put the next frames of the model on the timeline; drop those before its beginning or from ``stop`` on."""
        first = self._steps - self._model.manifest.input.look_ahead_steps
        self._steps += len(logits)
        end = first + len(logits) if stop is None else min(stop, first + len(logits))
        begin = max(first, 0)
        found = []
        while begin < end:
            while self._jumps and self._jumps[0][0] <= begin:
                self._shift = self._jumps.pop(0)[1]
            until = min(end, self._jumps[0][0]) if self._jumps else end
            log_probs = log_softmax(logits[begin - first : until - first])
            found.append(Frames(log_probs, begin + self._shift, self._epoch / self.sample_rate))
            begin = until
        return found

    def _end(self) -> Iterator[Frames]:
        """Let out what is still held, by silence after the end."""
        if self._flushed:
            return
        spec, fixed = self._model.manifest.input, self._model.manifest.steps_per_call or 1
        heard, step = self._in_steps(self._clock - self._epoch - self._held)
        whole, part = divmod(heard, step)
        if not whole:
            return
        frames = whole + (part > 0)
        calls = -(-(frames + spec.look_ahead_steps) // fixed)
        last = self._resampler.flush()
        missing = (calls * fixed - self._steps) * spec.samples_per_step - len(self._pending) - len(last)
        yield from self._feed(last, frames)
        for silence in self._silence(missing, _MOST_STEPS * spec.samples_per_step):
            yield from self._feed(silence, frames)

    def _silence(self, samples: int, most: int) -> Iterator[NDArray[np.float32]]:
        """Make zeros in pieces of at most ``most``."""
        zeros = np.zeros((max(0, min(samples, most)), *self._pending.shape[1:]), np.float32)
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

    def _in_steps(self, samples: int) -> tuple[int, int]:
        """Return a count of the source's samples as a fraction of steps, two whole numbers."""
        spec = self._model.manifest.input
        return samples * spec.sample_rate, self.sample_rate * spec.samples_per_step

    def _check_gap(self, samples: int, reason: str) -> None:
        if isinstance(samples, bool) or not isinstance(samples, int | np.integer) or samples < 0:
            raise InputError(f"a gap must be a whole number of the source's samples, 0 or more; got {samples!r}")
        if reason not in _REASONS:
            raise InputError(f"the reason of a gap must be one of {', '.join(_REASONS)}; got {reason!r}")
        if self._flushed:
            raise InputError("the stream was flushed and has ended; call reset() before reporting a gap")


def _calls(steps: int, fixed: int | None) -> Iterator[int]:
    """Cut a number of steps into calls: of ``fixed`` steps, or of few sizes, so that ONNX Runtime meets few shapes."""
    most = fixed or _MOST_STEPS
    for _ in range(steps // most):
        yield most
    if fixed is None:
        yield from (size for size in (32, 16, 8, 4, 2, 1) if steps % most & size)
