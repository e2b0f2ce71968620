"""What a model file says about itself: the manifest, and its JSON in the ONNX ``metadata_props``.

The only schema that training, export and runtime share. It needs nothing but the standard library.
"""

import json
import math
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, NoReturn

from streamcell.runtime.errors import ModelError
from streamcell.runtime.schema import read

__all__ = [
    "MANIFEST_KEY",
    "MANIFEST_VERSION",
    "GapPolicy",
    "InputSpec",
    "Manifest",
    "OutputSpec",
    "Parity",
    "StateSpec",
]

MANIFEST_KEY = "streamcell.manifest"
"""The key of the manifest in the ONNX file's ``metadata_props``."""

MANIFEST_VERSION = 1
"""The version of the manifest that this release writes, and the newest that it reads."""

_MAX_STATE = 1 << 24  # numbers a stream
_MAX_CALL = 1 << 24  # numbers a stream that one call must take at least
_MAX_LOOK_AHEAD = 60  # seconds


@dataclass(frozen=True, slots=True)
class InputSpec:
    """Describe the model's only input that is no state.

    Attributes:
        name: Of the ONNX tensor, float32.
        kind: ``"audio"``: the tensor is `[B, N]`, N a multiple of ``samples_per_step``, in -1 to 1.
            ``"features"``: it is `[B, T, channels]`, one row a step.
        sample_rate: Hz.
        channels: 1 for audio.
        samples_per_step: New samples that one step takes; 1 for features.
        look_ahead_steps: Output frame t, from 0, describes the step that begins at
            ``(t - look_ahead_steps) * seconds_per_step``; frames before 0 s describe nothing.
        channel_names: Of features, one a channel, or none.
        units: Of features, one a channel, e.g. ``"g"`` or ``"rad/s"``, or none.
    """

    name: str
    kind: Literal["audio", "features"]
    sample_rate: int
    channels: int
    samples_per_step: int
    look_ahead_steps: int
    channel_names: tuple[str, ...] = field(default=(), metadata={"optional": True})
    units: tuple[str, ...] = field(default=(), metadata={"optional": True})

    @property
    def seconds_per_step(self) -> float:
        """Return the length of one step in seconds."""
        return self.samples_per_step / self.sample_rate


@dataclass(frozen=True, slots=True)
class StateSpec:
    """Describe one state that the model takes and gives back.

    Attributes:
        input: Name of the ONNX input.
        output: Name of the ONNX output that is fed back into it.
        shape: Sizes, with ``"B"`` at ``batch_axis``.
        batch_axis: Which axis counts the streams.
        dtype: Its number type.
        initial: The value of every number at a stream's beginning.
    """

    input: str
    output: str
    shape: tuple[int | str, ...]
    batch_axis: int
    dtype: Literal["float32", "float64", "float16", "int32", "int64"] = "float32"
    initial: float = 0.0

    def sizes(self, batch: int) -> tuple[int, ...]:
        """Return the shape for ``batch`` streams.

        Examples:
            >>> StateSpec("h0", "h0_next", (1, "B", 320), 1).sizes(4)
            (1, 4, 320)
        """
        return tuple(batch if isinstance(size, str) else size for size in self.shape)


@dataclass(frozen=True, slots=True)
class OutputSpec:
    """Describe one output, a float32 tensor `[B, T, len(labels)]` with one frame a step.

    Attributes:
        name: Of the ONNX output.
        kind: ``"logits"``: unnormalised log-probabilities of labels of which one holds; ``"probabilities"``: from 0 to
            1, of labels that hold or do not hold each by itself.
        labels: The name of each column.
        blank: The column of the CTC blank, or None.
        silence: The label that stands for a pause, or None.
        seconds_per_step: Length of a frame.
    """

    name: str
    kind: Literal["logits", "probabilities"]
    labels: tuple[str, ...]
    blank: int | None
    silence: str | None
    seconds_per_step: float


@dataclass(frozen=True, slots=True)
class GapPolicy:
    """Say what lost samples do to the state.

    Attributes:
        action: A gap of up to ``reset_after`` seconds is heard as silence (``"fill"``), or skipped with the state kept
            (``"hold"``).
        reset_after: Seconds; a longer gap resets the state.
    """

    action: Literal["fill", "hold"] = "fill"
    reset_after: float = 1.0


@dataclass(frozen=True, slots=True)
class Parity:
    """Hold the proof of the streaming guarantee that the exporter ran.

    Attributes:
        bound: No difference was allowed to be larger.
        outputs: Largest difference of log-probabilities.
        states: Largest difference of a number of a final state, in proportion where it is above 1.
        cases: How many cases were compared.
    """

    bound: float
    outputs: float
    states: float
    cases: int


@dataclass(frozen=True, slots=True)
class Manifest:
    """Describe a model: what it takes, gives and carries.

    Attributes:
        name: Short name, e.g. ``"phonemes-en"``.
        description: One sentence.
        task: What the outputs mean: ``"ctc"`` (labels as spikes between blanks) or ``"frames"`` (labels that hold frame
            by frame).
        input: The input.
        states: The states, in any order; empty for a feed-forward model.
        outputs: The outputs; the first is the one that is decoded.
        decoder: What `Stream` decodes with: ``"name"`` and settings; the usual one without a name. For task ``"ctc"``
            ``"ctc-greedy"``, see `GreedyCTC`, or ``"ctc-beam"``, see `BeamCTC`; for ``"frames"`` ``"hysteresis"``, see
            `Hysteresis`, or ``"smoothed"`` where labels exclude each other, see `Smoothed`.
        gap: What lost samples do to the state.
        steps_per_call: How many steps each call must hold, or None for any number.
        batch_invariant: Whether a stream's answers are independent of the streams that share its call.
        parity: The exporter's proof, or None.
        training: Data, seed, figures: whatever JSON can hold.
        licence: Of the weights.
        created_by: Program and version that wrote the file.

    Raises:
        ModelError: If the parts contradict each other; the message names the key.
    """

    name: str
    description: str
    task: Literal["ctc", "frames"]
    input: InputSpec
    states: tuple[StateSpec, ...]
    outputs: tuple[OutputSpec, ...]
    decoder: dict[str, Any] = field(default_factory=dict)
    gap: GapPolicy = GapPolicy()
    steps_per_call: int | None = None
    batch_invariant: bool = True
    parity: Parity | None = None
    training: dict[str, Any] = field(default_factory=dict)
    licence: str = ""
    created_by: str = ""

    def __post_init__(self) -> None:
        _check_input(self.input)
        for index, state in enumerate(self.states):
            _check_state(state, f"states[{index}]")
        for index, output in enumerate(self.outputs):
            _check_output(output, f"outputs[{index}]", self)
        _check_rest(self)

    def to_json(self) -> str:
        """Return the manifest as JSON, every key written out."""
        return json.dumps({"version": MANIFEST_VERSION, **asdict(self)}, allow_nan=False, ensure_ascii=False)

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


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")


def _require(condition: bool, path: str, expected: str, got: object) -> None:
    if not condition:
        raise ModelError(f"manifest.{path} must be {expected}, got {got!r:.80}")


def _check_input(spec: InputSpec) -> None:
    _require(bool(spec.name), "input.name", "the name of an ONNX input", spec.name)
    for name in ("sample_rate", "channels", "samples_per_step"):
        _require(0 < getattr(spec, name) <= 1 << 20, f"input.{name}", "from 1 to 1048576", getattr(spec, name))
    waits = 0 <= spec.look_ahead_steps * spec.seconds_per_step <= _MAX_LOOK_AHEAD
    _require(waits, "input.look_ahead_steps", f"from 0 to {_MAX_LOOK_AHEAD} s of steps", spec.look_ahead_steps)
    if spec.kind == "audio":
        _require(spec.channels == 1, "input.channels", "1 for audio", spec.channels)
        _require(not spec.channel_names, "input.channel_names", "left out for audio", spec.channel_names)
        _require(not spec.units, "input.units", "left out for audio", spec.units)
    else:
        names = {name.strip().casefold() for name in spec.channel_names}
        known = not names or len(names) == len(spec.channel_names) == spec.channels
        _require(known and "" not in names, "input.channel_names", "one a channel, all different", spec.channel_names)
        _require(len(spec.units) in (0, spec.channels), "input.units", "one a channel", spec.units)
        _require(spec.samples_per_step == 1, "input.samples_per_step", "1 for features", spec.samples_per_step)


def _check_state(spec: StateSpec, path: str) -> None:
    _require(bool(spec.input and spec.output), path, "named at input and output", (spec.input, spec.output))
    letters = [axis for axis, size in enumerate(spec.shape) if isinstance(size, str)]
    one = letters == [spec.batch_axis] and spec.shape[spec.batch_axis] == "B"
    _require(one, f"{path}.shape", f'sizes with one "B", at batch_axis {spec.batch_axis}', spec.shape)
    sizes = spec.sizes(1)
    fits = all(size > 0 for size in sizes) and math.prod(sizes) <= _MAX_STATE
    _require(fits, f"{path}.shape", f"sizes above 0 with at most {_MAX_STATE} numbers a stream", spec.shape)
    _require(abs(spec.initial) <= 65504, f"{path}.initial", "from -65504 to 65504", spec.initial)
    whole = spec.dtype.startswith("float") or spec.initial == int(spec.initial)
    _require(whole, f"{path}.initial", f"a whole number for {spec.dtype}", spec.initial)


def _check_output(spec: OutputSpec, path: str, manifest: Manifest) -> None:
    _require(bool(spec.name), f"{path}.name", "the name of an ONNX output", spec.name)
    distinct = len(set(spec.labels)) == len(spec.labels) > 0 and all(spec.labels)
    _require(distinct, f"{path}.labels", "at least one label, none empty, none twice", spec.labels)
    _require(
        spec.blank is None or 0 <= spec.blank < len(spec.labels),
        f"{path}.blank",
        "a column of labels, or null",
        spec.blank,
    )
    _require(
        spec.silence is None or spec.silence in spec.labels, f"{path}.silence", "one of labels, or null", spec.silence
    )
    step = manifest.input.seconds_per_step
    close = math.isclose(spec.seconds_per_step, step, rel_tol=1e-9)
    _require(close, f"{path}.seconds_per_step", f"samples_per_step / sample_rate = {step!r}", spec.seconds_per_step)


def _check_rest(manifest: Manifest) -> None:
    _require(bool(manifest.name), "name", "a name", manifest.name)
    _require(bool(manifest.outputs), "outputs", "at least one output", manifest.outputs)
    taken = [manifest.input.name, *(state.input for state in manifest.states)]
    given = [*(output.name for output in manifest.outputs), *(state.output for state in manifest.states)]
    _require(len(set(taken)) == len(taken), "states", "states whose input names differ", taken)
    _require(len(set(given)) == len(given), "outputs", "outputs and states whose output names differ", given)
    numbers = sum(math.prod(state.sizes(1)) for state in manifest.states)
    _require(numbers <= _MAX_STATE, "states", f"at most {_MAX_STATE} numbers a stream, all together", numbers)
    if manifest.task == "ctc":
        first = manifest.outputs[0]
        _require(first.blank is not None, "outputs[0].blank", "a column of labels for task 'ctc'", None)
        _require(first.kind == "logits", "outputs[0].kind", "'logits' for task 'ctc'", first.kind)
    after = manifest.gap.reset_after
    _require(math.isfinite(after) and after >= 0, "gap.reset_after", "seconds, 0 or more", after)
    steps = manifest.steps_per_call
    _require(steps is None or 0 < steps <= 1 << 20, "steps_per_call", "from 1 to 1048576, or null", steps)
    call = manifest.input.samples_per_step * manifest.input.channels * (steps or 1)
    product = "samples_per_step * input.channels * steps_per_call"
    _require(call <= _MAX_CALL, f"input.{product}", f"at most {_MAX_CALL}", call)
    if (parity := manifest.parity) is not None:
        proof = (parity.bound, parity.outputs, parity.states, parity.cases)
        _require(all(math.isfinite(n) and n >= 0 for n in proof), "parity", "finite numbers, 0 or more", proof)
