"""The parts of a manifest: what goes into a model, what it carries, what comes out, each checked by itself."""

import math
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from streamcell.runtime.errors import ModelError

__all__ = [
    "MAX_STATE",
    "OPTIONAL",
    "GapPolicy",
    "InputSpec",
    "Link",
    "OutputKind",
    "OutputSpec",
    "Parity",
    "ResetPolicy",
    "StateSpec",
    "check_input",
    "check_output",
    "check_reset",
    "check_state",
    "require",
]

MAX_STATE = 1 << 24
"""Most numbers of a stream's states."""

OutputKind: TypeAlias = Literal["logits", "probabilities", "values"]
"""What numbers are, see `OutputSpec`."""

_MAX_LOOK_AHEAD = 60  # seconds
_MAX_RESET = 1e6  # seconds
OPTIONAL = {"optional": True}
"""Metadata of a field whose key may be missing; then it takes its default."""


@dataclass(frozen=True, slots=True)
class InputSpec:
    """Describe the model's only input that is no state.

    Attributes:
        name: Of the ONNX tensor.
        kind: ``"audio"``: the tensor is float32 `[B, N]`, N a multiple of ``samples_per_step``, in -1 to 1.
            ``"features"``: it is float32 `[B, T, channels]`, one row a step. ``"tokens"``: it is int64 `[B, T]`, one
            symbol a step, its place in ``symbols``.
        sample_rate: Hz; 1 where steps follow each other without a clock, as tokens and single pictures do.
        channels: 1 for audio and tokens.
        samples_per_step: New samples that one step takes; 1 for features and tokens.
        look_ahead_steps: Output frame t, from 0, describes the step that begins at
            ``(t - look_ahead_steps) * seconds_per_step``; frames before 0 s describe nothing.
        channel_names: Of features, one a channel, or none.
        units: Of features, one a channel, e.g. ``"g"`` or ``"rad/s"``, or none.
        image: Of features that are a picture: its rows, columns and colours, whose product is ``channels``; values are
            from 0 to 1, row by row, the colours of a point side by side.
        symbols: Of tokens: all that there are. ``"<unk>"`` stands for what is not among them; without it, that is an
            error. Names in angle brackets never stand for text.
        split: Of tokens: what text is cut into, see `Symbols`.
    """

    name: str
    kind: Literal["audio", "features", "tokens"]
    sample_rate: int
    channels: int
    samples_per_step: int
    look_ahead_steps: int
    channel_names: tuple[str, ...] = field(default=(), metadata=OPTIONAL)
    units: tuple[str, ...] = field(default=(), metadata=OPTIONAL)
    image: tuple[int, ...] = field(default=(), metadata=OPTIONAL)
    symbols: tuple[str, ...] = field(default=(), metadata=OPTIONAL)
    split: Literal["", "characters", "words"] = field(default="", metadata=OPTIONAL)

    @property
    def seconds_per_step(self) -> float:
        """Return the length of one step in seconds."""
        return self.samples_per_step / self.sample_rate

    @property
    def dtype(self) -> Literal["float32", "int64"]:
        """Return the tensor's number type."""
        return "int64" if self.kind == "tokens" else "float32"

    def sizes(self, batch: int, steps: int) -> tuple[int, ...]:
        """Return the tensor's shape.

        Examples:
            >>> InputSpec("samples", "audio", 16000, 1, 480, 0).sizes(2, 3)
            (2, 1440)
            >>> InputSpec("x", "features", 50, 6, 1, 0).sizes(2, 3)
            (2, 3, 6)
        """
        length = steps * self.samples_per_step
        return (batch, length, self.channels) if self.kind == "features" else (batch, length)


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
            1, of labels that hold or do not hold each by itself; ``"values"``: numbers that are no probabilities.
        labels: The name of each column.
        blank: The column of the CTC blank, or None.
        silence: The label that stands for a pause, or None.
        seconds_per_step: Length of a frame.
    """

    name: str
    kind: OutputKind
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
class ResetPolicy:
    """Say when the state begins anew while sound goes on, see `ResetRule`; where both are given, whichever is first.

    Attributes:
        after_silence: Seconds of silence, and again after as many more, or None for never.
        every: Seconds since the state began, or None for never.
    """

    after_silence: float | None = field(default=None, metadata=OPTIONAL)
    every: float | None = field(default=None, metadata=OPTIONAL)


@dataclass(frozen=True, slots=True)
class Parity:
    """Hold the proof of the streaming guarantee that the exporter ran.

    Attributes:
        bound: No difference was allowed to be larger.
        outputs: Largest difference of an output (of logits: of log-probabilities), in proportion where it is above 1.
        states: Largest difference of a number of a final state, likewise.
        cases: How many cases were compared.
    """

    bound: float
    outputs: float
    states: float
    cases: int


@dataclass(frozen=True, slots=True)
class Link:
    """Say which other model's answer is this model's first state.

    Attributes:
        name: Of the other model.
        fingerprint: Its `Model.fingerprint`: no other will do.
        states: For each state that it gives, by the name of this model's input, the name of its output; the output's
            last step `[B, numbers]` becomes the state.
    """

    name: str
    fingerprint: str
    states: dict[str, str]


def require(condition: bool, path: str, expected: str, got: object) -> None:
    """Raise `ModelError` about the manifest's key ``path`` unless ``condition`` holds."""
    if not condition:
        raise ModelError(f"manifest.{path} must be {expected}, got {got!r:.80}")


def check_input(spec: InputSpec) -> None:
    """Raise `ModelError` where the parts of an input contradict each other."""
    require(bool(spec.name), "input.name", "the name of an ONNX input", spec.name)
    for name in ("sample_rate", "channels", "samples_per_step"):
        require(0 < getattr(spec, name) <= 1 << 20, f"input.{name}", "from 1 to 1048576", getattr(spec, name))
    waits = 0 <= spec.look_ahead_steps * spec.seconds_per_step <= _MAX_LOOK_AHEAD
    require(waits, "input.look_ahead_steps", f"from 0 to {_MAX_LOOK_AHEAD} s of steps", spec.look_ahead_steps)
    if spec.kind == "features":
        _check_channels(spec)
    else:
        require(spec.channels == 1, "input.channels", f"1 for {spec.kind}", spec.channels)
        for name in ("channel_names", "units", "image"):
            require(not getattr(spec, name), f"input.{name}", f"left out for {spec.kind}", getattr(spec, name))
    if spec.kind != "audio":
        require(spec.samples_per_step == 1, "input.samples_per_step", f"1 for {spec.kind}", spec.samples_per_step)
    _check_symbols(spec)


def _check_channels(spec: InputSpec) -> None:
    names = {name.strip().casefold() for name in spec.channel_names}
    known = not names or len(names) == len(spec.channel_names) == spec.channels
    require(known and "" not in names, "input.channel_names", "one a channel, all different", spec.channel_names)
    require(len(spec.units) in (0, spec.channels), "input.units", "one a channel", spec.units)
    fits = len(spec.image) in (0, 3) and all(size > 0 for size in spec.image)
    fits = fits and (not spec.image or math.prod(spec.image) == spec.channels)
    require(fits, "input.image", f"[rows, columns, colours] of {spec.channels} channels", spec.image)


def _check_symbols(spec: InputSpec) -> None:
    distinct = len(set(spec.symbols)) == len(spec.symbols) and all(spec.symbols)
    if spec.kind == "tokens":
        require(distinct and bool(spec.symbols), "input.symbols", "at least one, none empty or twice", spec.symbols)
        require(bool(spec.split), "input.split", "'characters' or 'words' for tokens", spec.split)
        require(spec.sample_rate == 1, "input.sample_rate", "1 for tokens", spec.sample_rate)
        require(spec.look_ahead_steps == 0, "input.look_ahead_steps", "0 for tokens", spec.look_ahead_steps)
    else:
        require(not spec.symbols, "input.symbols", f"left out for {spec.kind}", spec.symbols)
        require(not spec.split, "input.split", f"left out for {spec.kind}", spec.split)


def check_state(spec: StateSpec, path: str) -> None:
    """Raise `ModelError` where the parts of a state, found at ``path``, contradict each other."""
    require(bool(spec.input and spec.output), path, "named at input and output", (spec.input, spec.output))
    letters = [axis for axis, size in enumerate(spec.shape) if isinstance(size, str)]
    one = letters == [spec.batch_axis] and spec.shape[spec.batch_axis] == "B"
    require(one, f"{path}.shape", f'sizes with one "B", at batch_axis {spec.batch_axis}', spec.shape)
    sizes = spec.sizes(1)
    fits = all(size > 0 for size in sizes) and math.prod(sizes) <= MAX_STATE
    require(fits, f"{path}.shape", f"sizes above 0 with at most {MAX_STATE} numbers a stream", spec.shape)
    require(abs(spec.initial) <= 65504, f"{path}.initial", "from -65504 to 65504", spec.initial)
    whole = spec.dtype.startswith("float") or spec.initial == int(spec.initial)
    require(whole, f"{path}.initial", f"a whole number for {spec.dtype}", spec.initial)


def check_output(spec: OutputSpec, path: str, step: float) -> None:
    """Raise `ModelError` where the parts of an output contradict each other, or a step is not ``step`` seconds."""
    require(bool(spec.name), f"{path}.name", "the name of an ONNX output", spec.name)
    distinct = len(set(spec.labels)) == len(spec.labels) > 0 and all(spec.labels)
    require(distinct, f"{path}.labels", "at least one label, none empty, none twice", spec.labels)
    require(
        spec.blank is None or 0 <= spec.blank < len(spec.labels),
        f"{path}.blank",
        "a column of labels, or null",
        spec.blank,
    )
    require(
        spec.silence is None or spec.silence in spec.labels, f"{path}.silence", "one of labels, or null", spec.silence
    )
    close = math.isclose(spec.seconds_per_step, step, rel_tol=1e-9)
    require(close, f"{path}.seconds_per_step", f"samples_per_step / sample_rate = {step!r}", spec.seconds_per_step)


def check_reset(policy: ResetPolicy, output: OutputSpec) -> None:
    """Raise `ModelError` where a reset policy makes no sense with a model's first output."""
    given = {"after_silence": policy.after_silence, "every": policy.every}
    known = {name: value for name, value in given.items() if value is not None}
    require(bool(known), "reset", "null, or an object with 'after_silence' or 'every'", given)
    for name, seconds in known.items():
        require(0 < seconds <= _MAX_RESET, f"reset.{name}", f"seconds, above 0 and up to {_MAX_RESET:g}", seconds)
    tells = output.kind == "probabilities" or output.silence is not None or output.blank is not None
    expected = "left out where outputs[0] has neither a label for silence nor a blank"
    require(policy.after_silence is None or tells, "reset.after_silence", expected, policy.after_silence)
