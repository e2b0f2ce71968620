"""Samples that wait to be stepped, the calls that step them, and the frames that come of it."""

from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from streamcell.runtime.model import Model
from streamcell.runtime.pending import Pending
from streamcell.runtime.reset_rule import ResetRule
from streamcell.runtime.state import State
from streamcell.runtime.stepper import Stepper
from streamcell.runtime.timeline import Span, Timeline

__all__ = ["MOST_STEPS", "StepQueue", "Steps"]

MOST_STEPS = 64
"""Of one call."""


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


class StepQueue:
    """Queue a stream's samples at the model's rate, and step them: here, or together with those of other streams.

    For who steps many streams together: `peek` gives what `ready` steps are to be run on, and `accept` is told what the
    model said. `answers` does both, with buffers of its own or the ``steps`` that it was given.

    Args:
        model: The model.
        sample_rate: Of the source in Hz, for the timeline.
        together: How many steps wait for each other; more than one is faster.
        steps: What runs the model and keeps the state; None for buffers of its own.

    Attributes:
        at: Which step is which frame.
        pending: The samples.
        runs: What keeps the state.
        rate: The model's, Hz.
        rule: When the state begins anew, or None for never.
        samples: Of a step.
        together: How many steps wait for each other.
    """

    pending: Pending

    def __init__(self, model: Model, sample_rate: int, together: int, steps: Steps | None = None) -> None:
        spec = model.manifest.input
        self._row = (spec.channels,) if spec.kind == "features" else ()
        self.samples, self.rate = spec.samples_per_step, spec.sample_rate
        self._fixed = model.manifest.steps_per_call
        self.together = self._fixed or together
        self.runs: Steps = Stepper(model, warm=together == 1) if steps is None else steps
        self.rule = None if model.manifest.reset is None else ResetRule(model.manifest)
        self.at = Timeline(spec, sample_rate)
        self.begin()

    def begin(self) -> None:
        """Begin anew, the clock going on."""
        self.pending = Pending(self._row)
        self.runs.reset()
        self.at.begin()
        if self.rule is not None:
            self.rule.begin()

    @property
    def ready(self) -> int:
        """Return how many steps can be run on what waits."""
        return self.pending.count // self.samples // self.together * self.together

    def peek(self, steps: int) -> NDArray[np.float32]:
        """Return what the next ``steps`` steps are to be run on, until more is taken."""
        return self.pending.peek(steps * self.samples)

    def put(self, samples: bytes) -> None:
        """Let float32 samples or rows of features wait."""
        self.pending.append(np.frombuffer(samples, np.float32).reshape(-1, *self._row))

    def accept(self, values: NDArray[np.float32], stop: int | None = None) -> list[Span]:
        """Take the first output of the steps that `peek` gave; drop those, and say which frames came of them.

        By a reset policy the state may begin anew between two of the steps. Then the rows behind hold no frames, and
        their steps wait to be run again.

        Args:
            values: `[T, C]`, one row a step.
            stop: From this frame on there are none.

        Raises:
            ModelError: If the model fails on what a fresh state hears first.
        """
        if self.rule is None:
            self.pending.drop(len(values) * self.samples)
            return self.at.accept(len(values), stop)
        return self._obey(self.rule, values, stop)

    def answers(self, stop: int | None = None) -> Iterator[tuple[NDArray[np.float32], list[Span]]]:
        """Run the steps that are ready, of a file in full calls; yield each call's answer, valid until the next.

        Args:
            stop: Where the stream ends: run all whole steps that wait, and have no frames from this one on.

        Raises:
            ModelError: If the model fails. Values are not checked.
        """
        left = self.ready if stop is None else self.pending.count // self.samples
        while left >= (self._fixed or 1):
            steps, before = self._fixed or _call(left, stop is not None), self.at.steps
            values = self.runs.advance(self.peek(steps))
            if self.rule is not None:
                values = values.copy()  # a state that begins anew hears something before they are read
            spans = self.accept(values, stop)
            done = self.at.steps - before
            left -= done
            yield values[:done], spans

    def silence(self, samples: int, most: int) -> Iterator[NDArray[np.float32]]:
        """Make zeros as they wait here, in pieces of at most ``most``."""
        zeros = np.zeros((max(0, min(samples, most)), *self._row), np.float32)
        for begin in range(0, samples, most):
            yield zeros[: samples - begin]

    def save(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """Return all but the state for `restore`: JSON values, and arrays."""
        meta, arrays = {"counters": self.at.to_dict()}, {"pending": self.pending.peek(self.pending.count)}
        if self.rule is not None:
            meta["reset"], arrays["past"] = self.rule.to_dict(), self.rule.past
        return meta, arrays

    def restore(self, meta: dict[str, Any], arrays: dict[str, NDArray[Any]], state: State) -> None:
        """Go on where `save` was called.

        Raises:
            KeyError: If something is missing.
            ModelError: If something is of a wrong type.
            ValueError: If it cannot have been saved.
        """
        pending, most = arrays["pending"], self.samples * (self._fixed or MOST_STEPS)
        fits = pending.shape[1:] == self._row and len(pending) < most
        if pending.dtype != np.float32 or not fits or not np.isfinite(pending).all() or state.batch != 1:
            raise ValueError(f"{pending.dtype} {list(pending.shape)} cannot wait for a call with {state.batch} streams")
        self.at.restore(meta["counters"])
        if self.rule is not None:
            self.rule.restore(meta["reset"], arrays["past"], self.at.steps)
        self.pending.append(pending)
        self.runs.load(state)

    def _obey(self, rule: ResetRule, values: NDArray[np.float32], stop: int | None) -> list[Span]:
        """Do as `accept`, up to the frame after which the state begins anew."""
        steps, reason = rule.find(values, self.at.early)
        rule.keep(self.peek(steps))
        self.pending.drop(steps * self.samples)
        spans = self.at.accept(steps, stop)
        if rule.reason and spans:
            spans[0] = spans[0]._replace(reset=rule.reason)
            rule.reason = ""
        if reason:
            self.runs.reset()
            for x in rule.renew(reason):
                self.runs.advance(x)
        return spans


def _call(left: int, last: bool) -> int:
    """Return how many of the steps that are left the next call takes: the last all at once, others of few sizes."""
    return min(MOST_STEPS, left if last else 1 << (left.bit_length() - 1))
