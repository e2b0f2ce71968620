"""A model file, opened: a pure function from samples and state to outputs and the next state."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as _errors

from streamcell.runtime.errors import InputError, ModelError
from streamcell.runtime.manifest import MANIFEST_KEY, Manifest, ResetPolicy
from streamcell.runtime.models import DEFAULT_MODEL, bundled_models, find_bundled
from streamcell.runtime.onnx_file import MAX_FILE, check_graph, read_onnx
from streamcell.runtime.onnx_parts import Graph, Value
from streamcell.runtime.state import State
from streamcell.runtime.trial import try_out

__all__ = ["ORT_ERRORS", "Model"]

ORT_ERRORS: tuple[type[Exception], ...] = (
    *(kind for kind in vars(_errors).values() if isinstance(kind, type) and issubclass(kind, Exception)),
    RuntimeError,
    ValueError,
)
"""What ONNX Runtime raises."""

_PROVIDERS = ("CPUExecutionProvider",)
_MAX_THREADS = 256
_STEPS = ("task", "input", "states", "outputs", "decoder", "gap", "steps_per_call", "batch_invariant", "link")
_AXES = {"audio": "[B, N]", "features": "[B, T, channels]", "tokens": "[B, T]"}


class Model:
    """Run a self-describing ONNX file, one or more steps a call, with the state as a value.

    Made by `Model.open`. It holds no state and may be shared between threads.

    The loop that everything stands for::

        model = Model.open("phonemes-en")
        state = model.initial_state()
        for samples in blocks:
            outputs, state = model.step(samples, state)
    """

    def __init__(self, session: ort.InferenceSession, manifest: Manifest, program: bytes) -> None:
        self._session = session
        self._manifest = manifest
        self._program = program  # the graph's digest
        self._fingerprint = _fingerprint(program, manifest)
        self._wanted = [output.name for output in manifest.outputs] + [state.output for state in manifest.states]

    @classmethod
    def open(
        cls,
        source: str | Path | bytes | None = None,
        *,
        threads: int = 1,
        providers: Sequence[str] = _PROVIDERS,
        trust: bool = True,
    ) -> "Model":
        """Open a model file and check that it is what its manifest says.

        The checks are a fence, not a sandbox: with ``trust=False`` a file is first opened in a process of its own, see
        `try_out`.

        Args:
            source: A path, the name of a bundled model, the bytes of a file, or None for the default model.
            threads: Of ONNX Runtime within one operator. Recurrent steps are too small to share: more than one has
                never made a model faster so far, and threads that wait never spin.
            providers: ONNX Runtime's execution providers, the preferred one first.
            trust: Whether a file that does not come along may be opened here without a trial.

        Raises:
            InputError: If ``threads`` or ``providers`` cannot be had.
            ModelError: If there is no such file, it is no whole ONNX file, has no manifest or one that does not fit
                its graph, operators that streamcell does not run, external data or absurd sizes.
        """
        data, name = _load(source)
        try:
            if not trust and _bundled(source) is None:
                check_graph(read_onnx(data))
                try_out(data)
            return cls._checked(data, _options(threads), _available(providers))
        except ModelError as error:
            raise ModelError(f"{name}: {error}") from error

    @classmethod
    def _checked(cls, data: bytes, options: ort.SessionOptions, providers: list[str]) -> "Model":
        file = read_onnx(data)
        check_graph(file)
        if MANIFEST_KEY not in file.metadata:
            raise ModelError(
                f"this ONNX file has no streamcell manifest (metadata {MANIFEST_KEY!r}), so its inputs and states are "
                "unknown. Make one with `streamcell export`"
            )
        manifest = Manifest.from_json(file.metadata[MANIFEST_KEY])
        if manifest.checksum not in ("", file.program.hex()):
            raise ModelError("the graph is not the one that was exported: its checksum differs. Get the file again")
        _check_fit(manifest, file.graph)
        model = cls(_session(data, options, providers), manifest, file.program)
        model._probe()
        return model

    @property
    def manifest(self) -> Manifest:
        """Return what the file says about itself."""
        return self._manifest

    @property
    def session(self) -> ort.InferenceSession:
        """Return ONNX Runtime's session, for `Stepper`; it may be used from many threads."""
        return self._session

    @property
    def fingerprint(self) -> str:
        """Return 64 hexadecimal digits: the same for files that step and decode alike.

        The SHA-256 of the graph and of what the manifest says of input, states, outputs, calls, gaps, resets and
        decoding; its name, description, licence and figures may differ.
        """
        return self._fingerprint

    def with_decoder(self, settings: Mapping[str, Any]) -> "Model":
        """Return the same model with other settings in the place of `Manifest.decoder`; its fingerprint is another.

        Both share one session.

        Args:
            settings: As in `Manifest.decoder`, JSON values; whoever decodes refuses what does not fit.

        Examples:
            >>> model = Model.open("phonemes-en")  # doctest: +SKIP
            >>> text = Path("phones.arpa").read_text()  # doctest: +SKIP
            >>> stream = Stream(model.with_decoder({"name": "ctc-beam", "lm": text}))  # doctest: +SKIP
        """
        return Model(self._session, replace(self._manifest, decoder=dict(settings)), self._program)

    def with_reset(self, policy: ResetPolicy | None) -> "Model":
        """Return the same model with another reset policy; its fingerprint is another. Both share one session.

        Raises:
            ModelError: If the policy makes no sense with this model.
        """
        return Model(self._session, replace(self._manifest, reset=policy), self._program)

    def initial_state(self, batch: int = 1) -> State:
        """Return the state of ``batch`` streams at their beginning."""
        return State.initial(self._manifest.states, batch)

    def step(self, x: NDArray[Any], state: State) -> tuple[dict[str, NDArray[np.float32]], State]:
        """Take one or more steps with B streams; change nothing.

        Where the manifest says that streams sharing a call change each other's answers, each is run by itself.

        Args:
            x: Samples `[B, T * samples_per_step]` or features `[B, T, channels]`, float32 and finite; or tokens
                `[B, T]`, int64.
            state: What the last step returned, or `initial_state`.

        Returns:
            The outputs by name, each `[B, T, labels]`, and the next state; arrays of the caller's own.

        Raises:
            InputError: If ``x`` or ``state`` is not of the manifest's type and shape, is not finite, or holds another
                number of steps than the manifest asks for.
            ModelError: If the model fails or gives values that are not finite.
        """
        self._check(x, state)
        if state.batch == 1 or self._manifest.batch_invariant:
            return self._run(x, state)
        runs = [self._run(x[row : row + 1], state.rows([row])) for row in range(state.batch)]
        outputs = {name: np.concatenate([run[0][name] for run in runs]) for name in runs[0][0]}
        for row, (_, after) in enumerate(runs):
            state = state.put([row], after)
        return outputs, state

    def _check(self, x: NDArray[Any], state: State) -> None:
        """Check a call against the manifest."""
        spec, fixed = self._manifest.input, self._manifest.steps_per_call
        wanted = spec.sizes(1, 1)
        same = isinstance(x, np.ndarray) and x.dtype == spec.dtype
        if not same or x.ndim != len(wanted) or x.shape[2:] != wanted[2:]:
            axes = _AXES[spec.kind].replace("channels", str(spec.channels))
            raise InputError(f"{spec.name} must be of {spec.dtype} {axes}, got {_describe(x)}")
        steps, rest = divmod(x.shape[1], spec.samples_per_step)
        if rest or steps < 1 or (fixed is not None and steps != fixed):
            unit = f"{spec.samples_per_step} samples" if spec.kind == "audio" else "one row"
            count = "one or more whole steps" if fixed is None else f"exactly {fixed} steps"
            raise InputError(f"{spec.name} must hold {count} of {unit}, got {x.shape[1]}")
        if state.specs != self._manifest.states or state.batch != x.shape[0]:
            raise InputError(f"expected the state of {x.shape[0]} streams of this model, got {state!r}")
        if spec.symbols:
            if x.min() < 0 or x.max() >= len(spec.symbols):
                raise InputError(f"{spec.name} must be from 0 to {len(spec.symbols) - 1}, got {x.min()} to {x.max()}")
        elif not np.isfinite(x).all():
            raise InputError(f"{spec.name} has NaN or infinite values; clean them at their source")

    def _run(self, x: NDArray[Any], state: State) -> tuple[dict[str, NDArray[np.float32]], State]:
        try:
            found = self._session.run(self._wanted, {self._manifest.input.name: x, **state.arrays})
        except ORT_ERRORS as error:
            raise ModelError(f"the model failed on {_describe(x)}: {error}") from error
        outputs = {output.name: value for output, value in zip(self._manifest.outputs, found, strict=False)}
        rows, steps = x.shape[0], x.shape[1] // self._manifest.input.samples_per_step
        for output in self._manifest.outputs:
            name, value, shape = output.name, outputs[output.name], (rows, steps, len(output.labels))
            if value.shape != shape:
                raise ModelError(
                    f"output {name!r} must be {list(shape)} (streams, steps, labels) after {steps} steps, "
                    f"the graph gives {list(value.shape)}"
                )
            if not np.isfinite(value).all():
                raise ModelError(f"the model gave {name!r} that are not finite; its weights or input are broken")
        try:
            return outputs, state.followed_by(found[len(outputs) :])
        except InputError as error:
            raise ModelError(f"the model does not give the states that its manifest promises: {error}") from error

    def _probe(self) -> None:
        """Run a step or two: what comes back must have the shapes that the manifest promises."""
        spec, batch = self._manifest.input, 2 if self._manifest.batch_invariant else 1
        for steps in (1, 2) if self._manifest.steps_per_call is None else (self._manifest.steps_per_call,):
            self._run(np.zeros(spec.sizes(batch, steps), spec.dtype), self.initial_state(batch))


def _bundled(source: str | Path | bytes | None) -> Traversable | None:
    """Return the file of a model that comes along."""
    return find_bundled(DEFAULT_MODEL if source is None else source) if isinstance(source, str | None) else None


def _load(source: str | Path | bytes | None) -> tuple[bytes, str]:
    """Return the bytes of a source and a name for it in errors."""
    if isinstance(source, bytes):
        return source, "model"
    bundled = _bundled(source)
    path: Traversable = bundled or Path(DEFAULT_MODEL if source is None else source)
    if not path.is_file():
        what = "is no file" if isinstance(path, Path) and path.exists() else "no such file"
        raise ModelError(f"{path}: {what}; expected an .onnx file or one of: {', '.join(bundled_models()) or '(none)'}")
    try:
        if isinstance(path, Path) and path.stat().st_size > MAX_FILE:
            raise ModelError(f"{path}: expected a model of at most {MAX_FILE} bytes, got {path.stat().st_size}")
        return path.read_bytes(), DEFAULT_MODEL if source is None else str(source)
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror})") from error


def _options(threads: int) -> ort.SessionOptions:
    if type(threads) is not int or not 1 <= threads <= _MAX_THREADS:
        raise InputError(f"expected 1 to {_MAX_THREADS} threads, got {threads!r}")
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    options.log_severity_level = 4  # what goes wrong comes as an exception; printed too, it would come twice
    return options


def _available(providers: Sequence[str]) -> list[str]:
    there = ort.get_available_providers()
    if isinstance(providers, str) or not providers or not set(providers) <= set(there):
        raise InputError(f"expected a list of execution providers of {', '.join(there)}; got {providers!r}")
    return list(providers)


def _session(data: bytes, options: ort.SessionOptions, providers: list[str]) -> ort.InferenceSession:
    try:
        # Its fallback prints to stdout and tries the same thing again.
        return ort.InferenceSession(data, options, providers=providers, enable_fallback=False)
    except ORT_ERRORS as error:
        raise ModelError(f"ONNX Runtime cannot load the graph: {error}. Export it again") from error


def _fingerprint(program: bytes, manifest: Manifest) -> str:
    facts = {name: getattr(manifest, name) for name in _STEPS}
    if manifest.reset is not None:  # so that files that were made before there was one keep their fingerprint
        facts["reset"] = manifest.reset
    text = json.dumps(facts, default=asdict, sort_keys=True)
    return hashlib.sha256(program + text.encode()).hexdigest()


def _check_fit(manifest: Manifest, graph: Graph) -> None:
    """Refuse a manifest whose inputs, states and outputs are not the graph's, or that promises what it cannot keep."""
    _check_promises(manifest, graph)
    spec, states, steps = manifest.input, manifest.states, manifest.steps_per_call
    time = None if steps is None else steps * spec.samples_per_step
    inputs: dict[str, tuple[str, tuple[int | str | None, ...]]] = {
        spec.name: (spec.dtype, ("B", time, *spec.sizes(1, 1)[2:])),
        **{state.input: (state.dtype, state.shape) for state in states},
    }
    outputs: dict[str, tuple[str, tuple[int | str | None, ...]]] = {
        **{output.name: ("float32", ("B", steps, len(output.labels))) for output in manifest.outputs},
        **{state.output: (state.dtype, state.shape) for state in states},
    }
    one = not manifest.batch_invariant
    _check_values("input", inputs, {value.name: value for value in graph.inputs}, one_row=one)
    _check_values("output", outputs, {value.name: value for value in graph.outputs}, one_row=one)


def _check_promises(manifest: Manifest, graph: Graph) -> None:
    """Refuse a call of free size where numbers are rounded by what else is in the call."""
    found = sorted({node.operator for node in graph.nodes if node.operator.startswith("DynamicQuantize")})
    if found and (manifest.steps_per_call is None or manifest.batch_invariant):
        raise ModelError(
            f"the graph has {', '.join(found)}: its answers depend on what shares the call. So the manifest must have "
            f"batch_invariant false and a number as steps_per_call, got {manifest.batch_invariant} and "
            f"{manifest.steps_per_call}"
        )


def _check_values(
    kind: str,
    expected: Mapping[str, tuple[str, tuple[int | str | None, ...]]],
    found: Mapping[str, Value],
    *,
    one_row: bool,
) -> None:
    if set(expected) != set(found):
        raise ModelError(
            f"the manifest does not fit the graph: {kind}s {', '.join(sorted(expected))} in the manifest, "
            f"{', '.join(sorted(found))} in the graph. Export the model again"
        )
    for name, (dtype, shape) in expected.items():
        value = found[name]
        sizes = value.shape if value.shape is not None else shape
        same = len(sizes) == len(shape) and all(map(_fits, shape, sizes, [one_row] * len(shape)))
        if value.dtype != dtype or not same:
            raise ModelError(
                f"the manifest does not fit the graph: {kind} {name!r} is {dtype} {_sizes(shape)} in the manifest, "
                f"{value.dtype} {_sizes(sizes)} in the graph. Export the model again"
            )


def _fits(expected: int | str | None, found: int | str | None, one_row: bool) -> bool:
    """Say whether a size in the graph allows the manifest's: a number that number, "B" and None (time) any."""
    if not isinstance(found, int):
        return True
    return found == expected or (expected == "B" and one_row and found == 1)


def _sizes(shape: tuple[int | str | None, ...]) -> str:
    return "[" + ", ".join("any" if size is None else str(size) for size in shape) + "]"


def _describe(x: object) -> str:
    return f"{x.dtype.name} {list(x.shape)}" if isinstance(x, np.ndarray) else type(x).__name__
