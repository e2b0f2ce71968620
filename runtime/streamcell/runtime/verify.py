"""The streaming guarantee of a model, measured: the whole at once, any cutting and any company give the same."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from streamcell.runtime.blocks import as_features, as_samples
from streamcell.runtime.errors import InputError
from streamcell.runtime.frames import log_softmax
from streamcell.runtime.manifest import InputSpec, Manifest
from streamcell.runtime.model import Model
from streamcell.runtime.state import State

__all__ = ["Block", "Case", "Reference", "VerifyReport", "difference", "verify"]

Block: TypeAlias = int | Literal["all"]
"""Samples that come at a time."""

Reference: TypeAlias = Callable[[NDArray[Any], Mapping[str, NDArray[Any]]], tuple[ArrayLike, Mapping[str, ArrayLike]]]
"""``step(x, state) -> (answers, state)``, another implementation of the model.

`x` is as `Model.step` takes it, states go by the names of the model's inputs, the answers `[B, T, C]` are the first
output's log-probabilities (of logits), probabilities or values.
"""

_Answer: TypeAlias = tuple[dict[str, NDArray[np.float32]], Mapping[str, NDArray[Any]]]
_LEAST_STEPS, _LEAST_SAMPLES = 100, 1000  # of random input


@dataclass(frozen=True, slots=True)
class Case:
    """Hold what one way of running the model differed by.

    Attributes:
        batch: Streams at once.
        start: ``"initial"`` or ``"random"`` state.
        cut: How the input was run.
        outputs: Largest difference of an output (a log-probability, of logits).
        states: Largest difference of a number of the final state.
        worst: Where the larger of the two arose: tensor, and step for an output.
    """

    batch: int
    start: str
    cut: str
    outputs: float
    states: float
    worst: str


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """Hold how far the ways of running a model lie apart; print it for a table.

    Attributes:
        table: One line a case.

    Examples:
        >>> print(VerifyReport((Case(1, "initial", "blocks of 7", 2.4e-7, 0.0, "output 'logits', step 3"),)))
        batch  state    run as           outputs  states
            1  initial  blocks of 7      2.4e-07       0
        largest difference 2.4e-07: batch 1, initial state, blocks of 7, output 'logits', step 3
    """

    table: tuple[Case, ...]

    @property
    def outputs(self) -> float:
        """Return the largest difference of an output."""
        return max(case.outputs for case in self.table)

    @property
    def states(self) -> float:
        """Return the largest difference of a number of a final state."""
        return max(case.states for case in self.table)

    @property
    def cases(self) -> int:
        """Return how many cases were compared."""
        return len(self.table)

    @property
    def worst(self) -> str:
        """Return the case, tensor and step with the largest difference."""
        case = max(self.table, key=lambda case: max(case.outputs, case.states))
        return f"batch {case.batch}, {case.start} state, {case.cut}, {case.worst}"

    def within(self, bound: float) -> bool:
        """Tell whether no difference is above ``bound``."""
        return max(self.outputs, self.states) <= bound

    def __str__(self) -> str:
        lines = ["batch  state    run as           outputs  states"]
        lines += [f"{c.batch:5}  {c.start:7}  {c.cut:15}  {c.outputs:7.2g}  {c.states:6.2g}" for c in self.table]
        largest = max(self.outputs, self.states)
        return "\n".join([*lines, f"largest difference {largest:.2g}: {self.worst}"])


def verify(
    model: Model,
    samples: ArrayLike | None = None,
    *,
    blocks: Sequence[Block] = (1, 7, 160, 481, "all"),
    batches: Sequence[int] = (1, 3),
    reference: Reference | None = None,
    seed: int = 0,
) -> VerifyReport:
    """Run a model in every promised way, from initial and from random states, and compare outputs and final states.

    Numbers are compared in proportion where they are above 1 (log-probabilities, sums, values in their own unit; cells
    of an LSTM may count to hundreds): float32 has fewer places there.

    Everything is compared with ``reference`` on the whole input; without one, with the model itself on the whole input.
    Streams that share a call are also run each alone. A model of fixed ``steps_per_call`` always gets that many steps.

    Args:
        model: Any model.
        samples: `[N]` or `[B, N]` for audio and tokens, `[T, C]` or `[B, T, C]` for features; a rest shorter than a
            call is left out. None for random input. Where streams are lacking, shifted copies fill up.
        blocks: How many samples (for features: rows) come at a time; whole steps are run as soon as they are complete.
        batches: How many streams share a call.
        reference: Another implementation, e.g. the PyTorch network that was exported.
        seed: Of random input and random states.

    Raises:
        InputError: If the samples do not fit or are fewer than one call, a block or batch is below 1, or the
            reference gives other tensors than the model.

    Examples:
        >>> report = verify(Model.open())  # doctest: +SKIP
        >>> report.within(1e-4)  # doctest: +SKIP
        True
    """
    if not blocks or not batches or min(batches) < 1 or any(block != "all" and block < 1 for block in blocks):
        raise InputError(f"expected blocks and batches of at least 1, got {list(blocks)} and {list(batches)}")
    random = np.random.default_rng(seed)
    streams = _streams(model.manifest, samples, max(batches), random)
    table: list[Case] = []
    for batch, start in product(batches, ("initial", "random")):
        x, state = streams[:batch], model.initial_state(batch)
        state = _random_state(state, random) if start == "random" else state
        expected = _run(model, x, state, "all")
        if reference is not None:
            expected = _ask(reference, x, state, expected)
        for block in blocks:
            cut = "all at once" if block == "all" else f"blocks of {block}"
            table.append(Case(batch, start, cut, *_compare(expected, _run(model, x, state, block))))
        if batch > 1:
            table.append(Case(batch, start, "each alone", *_compare(expected, _alone(model, x, state))))
    return VerifyReport(tuple(table))


def _streams(manifest: Manifest, samples: ArrayLike | None, batch: int, random: np.random.Generator) -> NDArray[Any]:
    """Return ``batch`` different streams of whole calls, `[batch, N]` or `[batch, T, C]`."""
    spec, unit = manifest.input, manifest.input.samples_per_step * (manifest.steps_per_call or 1)
    if samples is None:
        least = max(_LEAST_STEPS * spec.samples_per_step, _LEAST_SAMPLES)
        return _noise(spec, spec.sizes(batch, -(-least // unit) * unit // spec.samples_per_step), random)
    given = np.asarray(samples)
    rows = given if given.ndim == len(spec.sizes(1, 1)) else given[None]
    length = (rows.shape[1] if rows.ndim > 1 else 0) // unit * unit
    if not length or not len(rows):
        raise InputError(f"expected at least {unit} samples, one call of the model; got an array {list(given.shape)}")
    checked = [_checked(spec, row) for row in rows]
    copies = [np.roll(checked[i % len(rows)], i // len(rows) * length // batch, axis=0)[:length] for i in range(batch)]
    return np.stack(copies)


def _noise(spec: InputSpec, sizes: tuple[int, ...], random: np.random.Generator) -> NDArray[Any]:
    if spec.kind == "tokens":
        return random.integers(len(spec.symbols), size=sizes)
    noise = random.standard_normal(sizes, np.float32)
    return np.clip(noise * np.float32(0.1), -1, 1) if spec.kind == "audio" else noise


def _checked(spec: InputSpec, row: NDArray[Any]) -> NDArray[Any]:
    """Return one stream as the model takes it, without the axis of the batch."""
    if spec.kind == "audio":
        return as_samples(row)
    return as_features(row, spec.channels) if spec.kind == "features" else row


def _random_state(state: State, random: np.random.Generator) -> State:
    """Return a state of random numbers; what is counted in integers keeps its initial value."""
    arrays = {
        name: (random.standard_normal(array.shape) / 2).astype(array.dtype) if array.dtype.kind == "f" else array
        for name, array in state.items()
    }
    return State(state.specs, arrays, state.batch)


def _calls(total: int, block: Block, unit: int, *, fixed: bool) -> Iterator[int]:
    """Yield how many samples each call gets if ``block`` come at a time and whole units are run as soon as they can."""
    done, size = 0, total if block == "all" else block
    for come in (*range(size, total, size), total):
        ready = come // unit * unit
        while done < ready:
            taken = unit if fixed else ready - done
            yield taken
            done += taken


def _run(model: Model, x: NDArray[Any], state: State, block: Block) -> _Answer:
    manifest, begin = model.manifest, 0
    unit = manifest.input.samples_per_step * (manifest.steps_per_call or 1)
    parts: list[dict[str, NDArray[np.float32]]] = []
    for size in _calls(x.shape[1], block, unit, fixed=manifest.steps_per_call is not None):
        outputs, state = model.step(x[:, begin : begin + size], state)
        parts.append(outputs)
        begin += size
    joined = {name: np.concatenate([part[name] for part in parts], axis=1) for name in parts[0]}
    logits = {output.name for output in manifest.outputs if output.kind == "logits"}
    return {name: log_softmax(value) if name in logits else value for name, value in joined.items()}, state


def _alone(model: Model, x: NDArray[Any], state: State) -> _Answer:
    """Run each stream by itself, and put the answers together."""
    answers = [_run(model, x[row : row + 1], state.rows([row]), "all") for row in range(len(x))]
    outputs = {name: np.concatenate([answer[0][name] for answer in answers]) for name in answers[0][0]}
    finals = {
        spec.input: np.concatenate([answer[1][spec.input] for answer in answers], axis=spec.batch_axis)
        for spec in model.manifest.states
    }
    return outputs, finals


def _ask(reference: Reference, x: NDArray[Any], state: State, like: _Answer) -> _Answer:
    """Run the reference, and check that it gives the tensors that the model gives."""
    answers, after = reference(x, dict(state))
    name = next(iter(like[0]))
    answer = {name: np.asarray(answers)}, {key: np.asarray(value) for key, value in after.items()}
    given, wanted = ({**part[0], **part[1]} for part in (answer, ({name: like[0][name]}, like[1])))
    shapes = {key: value.shape for key, value in given.items()}, {key: value.shape for key, value in wanted.items()}
    if shapes[0] != shapes[1]:
        raise InputError(f"the reference must give the tensors {shapes[1]}, it gave {shapes[0]}")
    return answer


def _compare(expected: _Answer, got: _Answer) -> tuple[float, float, str]:
    """Return the largest difference of outputs, of states, and where the larger one is."""
    outputs, states = [(0.0, "")], [(0.0, "")]
    for name, value in expected[0].items():
        by_step = difference(value, got[0][name]).max(axis=(0, 2))
        step = int(by_step.argmax())
        outputs.append((float(by_step[step]), f"output {name!r}, step {step}"))
    for name, value in expected[1].items():
        states.append((float(difference(value, got[1][name]).max()), f"final state {name!r}"))
    largest, place = max(outputs + states)
    return max(outputs)[0], max(states)[0], place if largest else "no difference"


def difference(expected: NDArray[Any], got: NDArray[Any]) -> NDArray[np.float64]:
    """Return the difference of each number, in proportion where it is above 1; infinite where one is no number."""
    apart = np.abs(expected.astype(np.float64) - got.astype(np.float64)) / np.maximum(1, np.abs(expected))
    known: NDArray[np.float64] = np.nan_to_num(apart, nan=np.inf)
    return known
