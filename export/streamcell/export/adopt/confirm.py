"""A guess about states, confirmed by running: finite, of the promised shapes, and each of some effect."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamcell.export.adopt.card import Card
from streamcell.export.adopt.original import Original
from streamcell.export.adopt.sizes import Carried
from streamcell.runtime.errors import InputError

__all__ = ["confirm"]

_CALLS = 50


def confirm(original: Original, states: Sequence[Carried], card: Card) -> None:
    """Feed the states back for some calls of random input.

    Raises:
        InputError: If an answer or a state is not finite or of another shape than promised, the card says
            probabilities and they are none, or a state that was guessed never changes an answer.
    """
    random = np.random.default_rng(0)
    heard = [np.float32(0.1) * random.standard_normal(original.silence().shape, np.float32) for _ in range(_CALLS)]
    initial = {
        state.pair.input.name: state.to_graph(np.full(state.spec.sizes(1), state.spec.initial, state.spec.dtype))
        for state in states
    }
    answers = _run(original, heard, initial)
    if card.output.kind == "probabilities" and not (answers.min() >= 0 and answers.max() <= 1):
        raise InputError(
            f"output {card.output.name!r} gives {answers.min():.3g} to {answers.max():.3g}, which are no "
            'probabilities; write kind = "logits"'
        )
    for state in states:
        name = state.pair.input.name
        if state.pair.found != "card" and np.array_equal(
            answers, _run(original, heard, {**initial, name: _other(initial[name], random)})
        ):
            raise InputError(
                f"the state {name} <- {state.pair.output.name} was guessed from its {state.pair.found}, but another "
                f"value of it changes no answer in {_CALLS} calls. If it is one, add to the card:\n[[states]]\n"
                f'input = "{name}"\noutput = "{state.pair.output.name}"'
            )


def _other(array: NDArray[Any], random: np.random.Generator) -> NDArray[Any]:
    noise = random.standard_normal(array.shape) if array.dtype.kind == "f" else np.ones(array.shape)
    return np.asarray(array + noise.astype(array.dtype))


def _run(
    original: Original, heard: Sequence[NDArray[np.float32]], states: Mapping[str, NDArray[Any]]
) -> NDArray[np.float32]:
    """Return the answers to some calls, the states fed back and checked."""
    answers, before = [], dict(states)
    for number, block in enumerate(heard, 1):
        answer, after = original.call(block, before)
        for name, value in after.items():
            if (value.shape, value.dtype) != (states[name].shape, states[name].dtype):
                raise InputError(
                    f"the state {name} is {states[name].dtype} {list(states[name].shape)}, call {number} gives "
                    f"{value.dtype} {list(value.shape)}; a state must keep its shape. Check [[states]] and [input]"
                )
        if not all(np.isfinite(value).all() for value in (answer, *after.values())):
            raise InputError(f"call {number} gives values that are not finite. Check [[states]] and [constants]")
        answers.append(answer)
        before = after
    return np.concatenate(answers, axis=1)
