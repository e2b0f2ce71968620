"""What a model file says about itself: the manifest, and its JSON in the ONNX ``metadata_props``.

The only schema that training, export and runtime share. It needs nothing but the standard library.
"""

import json
import math
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, NoReturn, TypeAlias

from streamcell.runtime.errors import ModelError
from streamcell.runtime.schema import read
from streamcell.runtime.specs import (
    MAX_STATE,
    OPTIONAL,
    GapPolicy,
    InputSpec,
    Link,
    OutputSpec,
    Parity,
    ResetPolicy,
    StateSpec,
    check_input,
    check_output,
    check_reset,
    check_state,
    require,
)

__all__ = [
    "MANIFEST_KEY",
    "MANIFEST_VERSION",
    "GapPolicy",
    "InputSpec",
    "Link",
    "Manifest",
    "OutputSpec",
    "Parity",
    "ResetPolicy",
    "StateSpec",
    "Task",
]

MANIFEST_KEY = "streamcell.manifest"
"""The key of the manifest in the ONNX file's ``metadata_props``."""

Task: TypeAlias = Literal["ctc", "frames", "sequence", "next", "forecast", "encode"]
"""What outputs mean."""

MANIFEST_VERSION = 1
"""The version of the manifest that this release writes, and the newest that it reads."""

_MAX_CALL = 1 << 24  # numbers a stream that one call must take at least


@dataclass(frozen=True, slots=True)
class Manifest:
    """Describe a model: what it takes, gives and carries.

    Attributes:
        name: Short name, e.g. ``"phonemes-en"``.
        description: One sentence.
        task: What the outputs mean: ``"ctc"`` (labels as spikes between blanks), ``"frames"`` (labels that hold frame
            by frame), ``"sequence"`` (one label for all that was heard up to a step), ``"next"`` (the symbol that comes
            after a step's), ``"forecast"`` (quantiles of values to come) or ``"encode"`` (what another model's first
            state is made of).
        input: The input.
        states: The states, in any order; empty for a feed-forward model.
        outputs: The outputs; the first is the one that is decoded.
        decoder: What `Stream` decodes with: ``"name"`` and settings; the usual one without a name. For task ``"ctc"``
            ``"ctc-greedy"``, see `GreedyCTC`, or ``"ctc-beam"``, see `BeamCTC`; for ``"frames"`` ``"hysteresis"``, see
            `Hysteresis`, or ``"smoothed"`` where labels exclude each other, see `Smoothed`; for ``"sequence"``
            ``"whole"``, see `Whole`. For ``"next"`` what `Sampling` takes; for ``"forecast"`` what `Horizons` takes.
        gap: What lost samples do to the state.
        steps_per_call: How many steps each call must hold, or None for any number.
        batch_invariant: Whether a stream's answers are independent of the streams that share its call.
        parity: The exporter's proof, or None.
        training: Data, seed, figures: whatever JSON can hold.
        licence: Of the weights.
        created_by: Program and version that wrote the file.
        link: Where the first state comes from, or None where it is ``StateSpec.initial``.
        reset: When the state begins anew while sound goes on, or None for never.
        checksum: SHA-256 of graph and operator sets (`OnnxFile.program`) in hexadecimal, or empty; a file whose graph
            was changed since is refused.

    Raises:
        ModelError: If the parts contradict each other; the message names the key.
    """

    name: str
    description: str
    task: Task
    input: InputSpec
    states: tuple[StateSpec, ...]
    outputs: tuple[OutputSpec, ...]
    decoder: dict[str, Any] = field(default_factory=dict)
    gap: GapPolicy = field(default_factory=GapPolicy)
    steps_per_call: int | None = None
    batch_invariant: bool = True
    parity: Parity | None = None
    training: dict[str, Any] = field(default_factory=dict)
    licence: str = ""
    created_by: str = ""
    link: Link | None = field(default=None, metadata=OPTIONAL)
    checksum: str = field(default="", metadata=OPTIONAL)
    reset: ResetPolicy | None = field(default=None, metadata=OPTIONAL)

    def __post_init__(self) -> None:
        check_input(self.input)
        for index, state in enumerate(self.states):
            check_state(state, f"states[{index}]")
        for index, output in enumerate(self.outputs):
            check_output(output, f"outputs[{index}]", self.input.seconds_per_step)
        _check_rest(self)

    def to_json(self) -> str:
        """Return the manifest as JSON, every key written out."""
        return _plain({"version": MANIFEST_VERSION, **asdict(self)})

    @classmethod
    def from_json(cls, text: str) -> "Manifest":
        """Read what `to_json` wrote.

        Raises:
            ModelError: If it is no JSON, of a future version, or a key is missing, unknown or of the wrong type;
                the message names the key's path, e.g. ``manifest.states[0].shape``.

        Examples:
            >>> Manifest.from_json('{"version": 2}')
            Traceback (most recent call last):
            streamcell.runtime.errors.ModelError: manifest.version is 2; this streamcell reads 1. Upgrade streamcell
        """
        try:
            values = json.loads(text, parse_constant=_refuse_constant)
            _plain(values).encode()  # 1e999 is infinite, half a surrogate pair cannot be written
        except (ValueError, RecursionError) as error:
            raise ModelError(f"the manifest is not JSON ({error}); export the model again") from error
        if not isinstance(values, dict):
            raise ModelError(f"the manifest must be a JSON object, got {type(values).__name__}")
        version = values.pop("version", None)
        if type(version) is not int or version != MANIFEST_VERSION:
            newer = type(version) is int and version > MANIFEST_VERSION
            advice = "Upgrade streamcell" if newer else "Export the model again"
            raise ModelError(f"manifest.version is {version!r}; this streamcell reads {MANIFEST_VERSION}. {advice}")
        return read(cls, values, "manifest")


def _plain(values: object) -> str:
    """Return JSON as RFC 8259 wants it: numbers are finite, text is itself."""
    return json.dumps(values, allow_nan=False, ensure_ascii=False)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")


def _check_rest(manifest: Manifest) -> None:
    require(bool(manifest.name), "name", "a name", manifest.name)
    require(bool(manifest.outputs), "outputs", "at least one output", manifest.outputs)
    taken = [manifest.input.name, *(state.input for state in manifest.states)]
    given = [*(output.name for output in manifest.outputs), *(state.output for state in manifest.states)]
    require(len(set(taken)) == len(taken), "states", "states whose input names differ", taken)
    require(len(set(given)) == len(given), "outputs", "outputs and states whose output names differ", given)
    numbers = sum(math.prod(state.sizes(1)) for state in manifest.states)
    require(numbers <= MAX_STATE, "states", f"at most {MAX_STATE} numbers a stream, all together", numbers)
    _check_task(manifest)
    _check_reset(manifest)
    after = manifest.gap.reset_after
    require(math.isfinite(after) and after >= 0, "gap.reset_after", "seconds, 0 or more", after)
    steps = manifest.steps_per_call
    require(steps is None or 0 < steps <= 1 << 20, "steps_per_call", "from 1 to 1048576, or null", steps)
    call = manifest.input.samples_per_step * manifest.input.channels * (steps or 1)
    product = "samples_per_step * input.channels * steps_per_call"
    require(call <= _MAX_CALL, f"input.{product}", f"at most {_MAX_CALL}", call)
    if (parity := manifest.parity) is not None:
        proof = (parity.bound, parity.outputs, parity.states, parity.cases)
        require(all(math.isfinite(n) and n >= 0 for n in proof), "parity", "finite numbers, 0 or more", proof)


_KINDS: dict[Task, tuple[str, ...]] = {
    "ctc": ("logits",),
    "frames": ("logits", "probabilities"),
    "sequence": ("logits",),
    "next": ("logits",),
    "forecast": ("values",),
    "encode": ("values",),
}  # of the first output


def _check_task(manifest: Manifest) -> None:
    first, task = manifest.outputs[0], manifest.task
    if task == "ctc":
        require(first.blank is not None, "outputs[0].blank", "a column of labels for task 'ctc'", None)
    kinds = " or ".join(map(repr, _KINDS[task]))
    require(first.kind in _KINDS[task], "outputs[0].kind", f"{kinds} for task {task!r}", first.kind)
    if task == "next":
        require(manifest.input.kind == "tokens", "input.kind", "'tokens' for task 'next'", manifest.input.kind)
        require(first.labels == manifest.input.symbols, "outputs[0].labels", "input.symbols", first.labels)
    if (link := manifest.link) is not None:
        known = {state.input for state in manifest.states}
        linked = bool(link.states) and set(link.states) <= known
        linked = linked and all(isinstance(name, str) for name in link.states.values())
        require(linked, "link.states", f"some of {', '.join(sorted(known))}, each with an output's name", link.states)


def _check_reset(manifest: Manifest) -> None:
    if (policy := manifest.reset) is None:
        return
    whole = manifest.input.kind == "tokens" or manifest.link is not None or manifest.task in ("sequence", "encode")
    expected = "left out for tokens, for linked models and for tasks 'sequence' and 'encode'"
    require(not whole, "reset", expected, policy)
    check_reset(policy, manifest.outputs[0])
