"""When a state begins anew by the manifest's reset policy: counted in frames, so the same for any cutting."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamcell.runtime.events import POLICY_REASONS
from streamcell.runtime.manifest import Manifest
from streamcell.runtime.schema import read
from streamcell.runtime.specs import OutputSpec, ResetPolicy

__all__ = ["ResetRule"]

_HOLDS = 0.5  # probability from which a label that stands by itself holds


@dataclass(frozen=True, slots=True)
class _Counters:
    """What is saved."""

    age: int
    silent: int
    reason: str

    def fits(self, rule: "ResetRule") -> bool:
        most = (rule.every or self.age + 1) - 1, (rule.after_silence or 1) - 1
        return 0 <= self.age <= most[0] and 0 <= self.silent <= most[1] and self.reason in ("", *POLICY_REASONS)


class ResetRule:
    """Say after which frame a stream's state begins anew, and keep the sound that the fresh state hears first.

    A frame is *silent* where, of the labels without the blank, the one for silence is the most probable; in a network
    without such a label, where the blank is; where labels hold each by itself, where none but silence holds, that is
    has a probability of 0.5 or more. That is known when the frame is, so after the model's look-ahead; it needs no
    level, so it works at any gain and in any noise that the model knows from speech. The rule counts silent frames in
    a row, and frames since the state began; when a count is full the state begins anew, and both counts do.

    It begins anew so that nothing is lost: the frames up to this one are those of a stream that goes on, look-ahead
    and all, and those after it are those of a fresh stream that begins there. For that the fresh state hears the
    steps of the look-ahead once more, and what the model says to them is dropped. Frames go on being counted and the
    decoder hears them as one sequence: it loses nothing and says nothing twice, and times go on.

    Where each call must hold a number of steps, the state begins anew at the next end of a call, and hears the
    look-ahead rounded up to whole calls.

    Args:
        manifest: The model's, with a reset policy.

    Attributes:
        after_silence: Silent frames in a row, or 0 for never.
        every: Frames, or 0 for never.
        again: Steps that a fresh state hears once more.
        past: The samples or rows of those, as far as there were so many.
        reason: Why the state began anew before the next frame: ``"silence"``, ``"interval"``, or empty.
    """

    def __init__(self, manifest: Manifest) -> None:
        policy, spec, self._output = manifest.reset or ResetPolicy(), manifest.input, manifest.outputs[0]
        self.after_silence = _frames(policy.after_silence, spec.seconds_per_step)
        self.every = _frames(policy.every, spec.seconds_per_step)
        self._fixed = manifest.steps_per_call
        self._call = self._fixed or 1
        self.again = -(-spec.look_ahead_steps // self._call) * self._call
        self._samples = spec.samples_per_step
        self._nothing = np.zeros((0, spec.channels) if spec.kind == "features" else (0,), np.float32)
        self.begin()

    def begin(self) -> None:
        """Begin: as the stream does."""
        self._age = self._silent = 0
        self.reason = ""
        self.past: NDArray[np.float32] = self._nothing

    def find(self, values: NDArray[np.float32], early: int) -> tuple[int, str]:
        """Count the frames of a model's answer, up to the one after which the state begins anew.

        Args:
            values: `[T, C]`.
            early: The first rows that describe nothing.

        Returns:
            How many rows hold: all and an empty reason, or those up to where the state begins anew, and why.
        """
        silent = _silent(values, self._output).tolist() if self.after_silence else [False] * len(values)
        for row in range(early, len(values)):
            self._age += 1
            self._silent = self._silent + 1 if silent[row] else 0
            reason = self._full()
            if reason:
                return -(-(row + 1) // self._call) * self._call, reason
        return len(values), ""

    def keep(self, x: NDArray[np.float32]) -> None:
        """Take what the model has heard, `[T * samples_per_step]` or `[T, channels]`."""
        if most := self.again * self._samples:
            self.past = x[-most:].copy() if len(x) >= most else np.concatenate([self.past, x])[-most:]

    def renew(self, reason: str) -> list[NDArray[np.float32]]:
        """Count from 0 again; return what the fresh state is to hear, call by call."""
        self._age = self._silent = 0
        self.reason = reason
        if not self.again:
            return []
        return np.split(self.past, self.again // (self._fixed or self.again))

    def to_dict(self) -> dict[str, Any]:
        """Return everything but `past` as JSON values, for `restore`."""
        return asdict(_Counters(self._age, self._silent, self.reason))

    def restore(self, saved: object, past: NDArray[np.float32], steps: int) -> None:
        """Go on where `to_dict` was called after so many steps.

        Raises:
            ModelError: If something is missing or of a wrong type.
            ValueError: If it cannot have been saved.
        """
        counters = read(_Counters, saved, "reset")
        rows = min(steps, self.again) * self._samples
        right = past.dtype == np.float32 and past.shape == (rows, *self._nothing.shape[1:]) and np.isfinite(past).all()
        if not right or not counters.fits(self) or max(counters.age, counters.silent) > steps:
            raise ValueError(f"{counters} and {past.dtype} {list(past.shape)} cannot be after {steps} steps")
        self._age, self._silent, self.reason, self.past = counters.age, counters.silent, counters.reason, past.copy()

    def _full(self) -> str:
        if self._silent and self._silent == self.after_silence:
            return "silence"
        return "interval" if self._age == self.every else ""


def _frames(seconds: float | None, step: float) -> int:
    return 0 if seconds is None else max(1, round(seconds / step))


def _silent(values: NDArray[np.float32], output: OutputSpec) -> NDArray[np.bool_]:
    """Tell which rows `[T, C]` say silence."""
    silence = None if output.silence is None else output.labels.index(output.silence)
    others = values.copy()
    if output.kind == "probabilities":
        if silence is not None:
            others[:, silence] = 0
        quiet: NDArray[np.bool_] = others.max(1) < _HOLDS
        return quiet
    if silence is not None and output.blank is not None:
        others[:, output.blank] = -np.inf
    found: NDArray[np.bool_] = others.argmax(1) == (output.blank if silence is None else silence)
    return found
