"""Which reset policy is best, by measurement, and how it gets into a model file."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from streamcell.runtime.errors import ModelError
from streamcell.runtime.manifest import MANIFEST_KEY, Manifest, ResetPolicy
from streamcell.runtime.model import Model
from streamcell.runtime.onnx_file import read_onnx
from streamcell.train.drift.measure import Course, Difference, Probe, difference

__all__ = ["NEVER", "Trial", "best", "name_of", "policies", "with_policy"]

NEVER = "never"


@dataclass(frozen=True, slots=True)
class Trial:
    """Hold what was measured of one policy.

    Attributes:
        policy: Or None for never.
        course: Over the hours.
        probes: After disturbances, the first of them a fresh stream.
    """

    policy: ResetPolicy | None
    course: Course
    probes: tuple[Probe, ...]

    @property
    def drift(self) -> Difference:
        """Return the error rate of the last block less that of the first."""
        return difference(self.course.wrong[-1], self.course.wrong[0], self.course.of)

    def against(self, other: Trial) -> Difference:
        """Return the error rate less another's, over all that was heard: the hours, and after disturbances."""
        wrong, of = self._total()
        return difference(wrong, other._total()[0], of)

    def _total(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        wrong, of = self.course.wrong.sum(axis=0), self.course.of * len(self.course.wrong)
        for probe in self.probes:
            wrong[: len(probe.wrong)] += probe.wrong
            of[: len(probe.of)] += probe.of
        return wrong, of


def policies(manifest: Manifest, silences: Sequence[float], intervals: Sequence[float]) -> list[ResetPolicy | None]:
    """Return what is compared: never, and each length (seconds) that the model can obey.

    A model that has neither a label for silence nor a blank cannot wait for silence.
    """
    found: list[ResetPolicy | None] = [None]
    for policy in _given(silences, intervals):
        try:
            replace(manifest, reset=policy)
        except ModelError:
            if policy.every is not None:
                raise
        else:
            found.append(policy)
    return found


def name_of(policy: ResetPolicy | None) -> str:
    """Return what a policy is called in tables.

    Examples:
        >>> name_of(ResetPolicy(after_silence=2.0)), name_of(ResetPolicy(every=600.0)), name_of(None)
        ('after 2 s of silence', 'every 10 min', 'never')
    """
    if policy is None:
        return NEVER
    parts = [] if policy.after_silence is None else [f"after {policy.after_silence:g} s of silence"]
    if policy.every is not None:
        minutes = policy.every / 60
        parts.append(f"every {minutes:g} min" if minutes >= 1 else f"every {policy.every:g} s")
    return ", ".join(parts)


def best(trials: Mapping[str, Trial]) -> str:
    """Return the policy with the lowest error rate, if it is lower than never's beyond chance; else never.

    Beyond chance: the 95% interval of the difference lies below 0. And it must not be worse over the undisturbed hours,
    so that what it does after a disturbance is not paid for all day. Never wins a tie, because it is the simplest.
    """
    never = trials[NEVER]
    rates = {name: trial.against(never) for name, trial in trials.items()}
    hours = {name: trial.course.wrong.sum() for name, trial in trials.items()}
    sure = {name: found.rate for name, found in rates.items() if found.high < 0 and hours[name] <= hours[NEVER]}
    return min(sure, key=lambda name: sure[name], default=NEVER)


def with_policy(data: bytes, policy: ResetPolicy | None) -> bytes:
    """Return a model file with another reset policy in its manifest; every other byte stays as it is.

    Args:
        data: The file.
        policy: The new policy, or None for never.

    Raises:
        ModelError: If the file is none of ours, or the policy makes no sense with the model.
    """
    old = read_onnx(data).metadata.get(MANIFEST_KEY, "")
    values = json.loads(Manifest.from_json(old).to_json())
    values["reset"] = None if policy is None else asdict(policy)
    new = Manifest.from_json(json.dumps(values)).to_json()
    before, after = _entry(old), _entry(new)
    if data.count(before) != 1:
        raise ModelError("the manifest does not lie in the file as ONNX's own writer puts it; export the model again")
    made = data.replace(before, after)
    Model.open(made)
    return made


def write_policy(source: Path, target: Path, policy: ResetPolicy | None) -> None:
    """Write a copy of a model file with another reset policy, see `with_policy`."""
    made = with_policy(source.read_bytes(), policy)
    partial = target.with_name(f"{target.name}.partial")
    try:
        partial.write_bytes(made)
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


def _given(silences: Sequence[float], intervals: Sequence[float]) -> Iterator[ResetPolicy]:
    for seconds in silences:
        yield ResetPolicy(after_silence=seconds)
    for seconds in intervals:
        yield ResetPolicy(every=seconds)


def _entry(text: str) -> bytes:
    """Return the manifest's entry as it lies in the file: field 14 of ModelProto, a StringStringEntryProto."""
    inner = _field(1, MANIFEST_KEY.encode()) + _field(2, text.encode())
    return _field(14, inner)


def _field(number: int, data: bytes) -> bytes:
    """Encode a protobuf field of bytes."""
    return bytes([number << 3 | 2]) + _varint(len(data)) + data


def _varint(value: int) -> bytes:
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*found, value])
