"""Somebody's file as its author meant it to be run: one stream, call by call, the state and the past by hand.

It is what the adopted file is proven against.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import ArrayLike, NDArray

from streamcell.export.adopt.card import Card
from streamcell.export.adopt.layout import arrange
from streamcell.runtime.errors import InputError, ModelError
from streamcell.runtime.frames import log_softmax
from streamcell.runtime.model import ORT_ERRORS
from streamcell.runtime.onnx_parts import Value

__all__ = ["Original", "constants"]

_KINDS = {"b": (bool,), "i": (int,), "u": (int,), "f": (int, float)}


def constants(card: Card, inputs: Sequence[Value]) -> dict[str, NDArray[Any]]:
    """Return the card's constants as the graph wants them.

    Raises:
        InputError: If the graph has no such input, or the value is not of its type and shape.
    """
    known = {value.name: value for value in inputs}
    arrays = {}
    for name, given in card.constants.items():
        if name not in known:
            raise InputError(f"[constants] {name}: the graph has no such input; there are: {', '.join(known)}")
        arrays[name] = _constant(known[name], given)
    return arrays


def _constant(value: Value, given: Any) -> NDArray[Any]:
    dtype, sizes = np.dtype(value.dtype), [1 if not isinstance(size, int) else size for size in value.shape or ()]
    flat = given if isinstance(given, list) else [given]
    wanted = _KINDS[dtype.kind]
    if not flat or not all(type(number) in wanted for number in flat):
        words = " or ".join(kind.__name__ for kind in wanted)
        raise InputError(f"[constants] {value.name} must be {value.dtype}, so write {words}; got {given!r}")
    try:
        return np.array(flat, dtype).reshape(sizes)
    except (ValueError, OverflowError) as error:
        raise InputError(f"[constants] {value.name} must be {value.dtype} of shape {sizes}, got {given!r}") from error


class Original:
    """Run somebody's file, one stream at a time.

    Args:
        data: The file.
        card: What is known of it.
        fixed: Its constants.
        feedback: For each state's input name the name of the output that is fed back into it.
        steps: How many steps each call holds.

    Raises:
        ModelError: If ONNX Runtime cannot load it.
    """

    def __init__(
        self, data: bytes, card: Card, fixed: Mapping[str, NDArray[Any]], feedback: Mapping[str, str], steps: int
    ) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 4
        try:
            self._session = ort.InferenceSession(data, options, ["CPUExecutionProvider"], enable_fallback=False)
        except ORT_ERRORS as error:
            raise ModelError(f"ONNX Runtime cannot load the file as it is: {error}") from error
        self._card, self._fixed, self._feedback, self._steps = card, dict(fixed), dict(feedback), steps

    @property
    def call_size(self) -> int:
        """Return how many new samples (rows) one call takes."""
        return self._steps * self._card.input.samples_per_step

    def past(self) -> NDArray[np.float32]:
        """Return the past of a stream that begins: silence, `[1, left_context]` or `[1, left_context, channels]`."""
        return self._zeros(self._card.input.left_context)

    def silence(self) -> NDArray[np.float32]:
        """Return what one call hears of nothing: the past and new samples, all zero."""
        return self._zeros(self._card.input.left_context + self.call_size)

    def _zeros(self, count: int) -> NDArray[np.float32]:
        spec = self._card.input
        return np.zeros((1, count, *((spec.channels,) if spec.kind == "features" else ())), np.float32)

    def call(
        self, heard: NDArray[np.float32], states: Mapping[str, NDArray[Any]]
    ) -> tuple[NDArray[np.float32], dict[str, NDArray[Any]]]:
        """Make one call.

        Args:
            heard: The past and the new samples, `[1, N]` or `[1, T, channels]`.
            states: In the graph's own shapes.

        Returns:
            The answers `[1, T, labels]`, and the states after.

        Raises:
            InputError: If the graph refuses that, or gives what the card does not promise.
        """
        spec, output = self._card.input, self._card.output
        feeds = {spec.name: arrange(heard, spec.house, spec.axes), **self._fixed, **states}
        try:
            answer, *after = self._session.run([output.name, *self._feedback.values()], feeds)
        except ORT_ERRORS as error:
            shapes = ", ".join(f"{name} {list(array.shape)}" for name, array in feeds.items())
            raise InputError(
                f"the graph fails on a call of {self._steps} steps ({shapes}): {error}. Check samples_per_step, "
                "left_context, layout, [[states]] and [constants]"
            ) from error
        return self._arranged(answer), dict(zip(self._feedback, after, strict=True))

    def __call__(
        self, x: NDArray[np.float32], state: Mapping[str, NDArray[Any]], past: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], dict[str, ArrayLike], NDArray[np.float32]]:
        """Run one stream through; return its answers, the states and the past after it."""
        answers, states, size = [], dict(state), self.call_size
        for begin in range(0, x.shape[1], size):
            heard = np.concatenate([past, x[:, begin : begin + size]], axis=1)
            answer, states = self.call(heard, states)
            past = heard[:, heard.shape[1] - past.shape[1] :]
            answers.append(answer)
        joined = np.concatenate(answers, axis=1)
        return log_softmax(joined) if self._card.output.kind == "logits" else joined, dict(states), past

    def _arranged(self, answer: NDArray[np.float32]) -> NDArray[np.float32]:
        spec, expected = self._card.output, (1, self._steps, len(self._card.output.labels))
        try:
            found = arrange(answer, spec.layout, "BTC")
        except ValueError:
            found = answer
        if found.shape != expected:
            raise InputError(
                f"output {spec.name!r} is {list(answer.shape)} after {self._steps} steps; layout {spec.layout!r} and "
                f"{len(spec.labels)} labels ({', '.join(spec.labels)}) promise {list(_sizes(spec.layout, expected))}"
            )
        return found


def _sizes(layout: str, house: Sequence[int]) -> tuple[int, ...]:
    return tuple(1 if letter == "1" else house["BTC".index(letter)] for letter in layout)
