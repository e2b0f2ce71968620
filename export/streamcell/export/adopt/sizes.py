"""How large each state is and which of its axes counts the streams: from the graph, the card, or a run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamcell.export.adopt.original import Original
from streamcell.export.adopt.source import describe
from streamcell.export.adopt.states import Pair
from streamcell.runtime.errors import InputError
from streamcell.runtime.manifest import StateSpec

__all__ = ["Carried", "settle"]

_TRIES = 3  # runs until the sizes repeat


@dataclass(frozen=True, slots=True)
class Carried:
    """Hold a state as the adopted file will have it, and as the graph has it.

    Attributes:
        spec: For the manifest.
        pair: The graph's input and output.
        has_rows: Whether the graph's tensor has an axis of streams; else the house adds one, of size 1, in front.
        one_row: Whether the graph takes one stream only.
    """

    spec: StateSpec
    pair: Pair
    has_rows: bool
    one_row: bool

    def to_graph(self, array: NDArray[Any]) -> NDArray[Any]:
        """Return one stream's state in the graph's shape."""
        return array if self.has_rows else array.reshape(array.shape[1:])

    def from_graph(self, array: NDArray[Any]) -> NDArray[Any]:
        """Return one stream's state in the manifest's shape."""
        return array if self.has_rows else array[None]


def settle(pairs: Sequence[Pair], batch: int | str | None, original: Original, answer: str) -> tuple[Carried, ...]:
    """Return the states with all sizes known.

    Args:
        pairs: What is fed back.
        batch: Size or letter of the model input's batch axis; None if it has neither.
        original: To find by running what the graph does not say.
        answer: The name of the model's output, which may be a state too: the state gets a name of its own.

    Raises:
        InputError: If a size or the batch axis cannot be found; the message has the line to add.
    """
    axes = {pair.input.name: _batch_axis(pair, batch) for pair in pairs}
    sizes = {pair.input.name: _known(pair, axes[pair.input.name]) for pair in pairs}
    if any(None in shape for shape in sizes.values()):
        sizes = _found(pairs, sizes, original)
    return tuple(_carried(pair, axes[pair.input.name], sizes[pair.input.name], answer) for pair in pairs)


def _carried(pair: Pair, axis: int | None, sizes: list[Any], answer: str) -> Carried:
    shape: tuple[int | str, ...] = tuple("B" if index == axis else size for index, size in enumerate(sizes))
    name = pair.output.name
    spec = StateSpec(
        pair.input.name,
        f"{name}_state" if name == answer else name,
        shape if axis is not None else ("B", *shape),
        axis or 0,
        pair.input.dtype,  # type: ignore[arg-type]  # checked by the manifest's reader
        pair.card.initial,
    )
    merged = _merged(pair)
    return Carried(spec, pair, axis is not None, axis is None or isinstance(merged[axis], int))


def _merged(pair: Pair) -> list[int | str | None]:
    """Return the sizes that the graph tells at either end: a number, a letter, or None."""
    if pair.card.shape:
        return list(pair.card.shape)
    ends = [value.shape for value in (pair.input, pair.output) if value.shape is not None]
    if not ends:
        raise InputError(_ask(pair, "the graph does not tell its shape", ["?"]))
    columns = zip(*ends, strict=True)
    return [next((s for s in sizes if isinstance(s, int)), next(filter(None, sizes), None)) for sizes in columns]


def _batch_axis(pair: Pair, batch: int | str | None) -> int | None:
    """Return which axis counts the streams, None if there is none."""
    merged = _merged(pair)
    if pair.card.batch_axis is not None:
        return _checked(pair, pair.card.batch_axis, merged)
    if pair.card.shape:
        return merged.index("B") if "B" in merged else None
    named = [i for i, size in enumerate(merged) if isinstance(size, str) and size == batch]
    free = [i for i, size in enumerate(merged) if not isinstance(size, int)]
    if isinstance(batch, int):
        free = []
    for axes in (named, free):
        if len(axes) == 1:
            return axes[0]
    if free:
        raise InputError(_ask(pair, "several axes are of free size", merged))
    ones = [i for i, size in enumerate(merged) if size == 1]
    return (1 if 1 in ones and len(merged) > 2 else ones[0]) if ones else None


def _checked(pair: Pair, axis: int, merged: list[int | str | None]) -> int:
    if not 0 <= axis < len(merged) or (isinstance(merged[axis], int) and merged[axis] != 1):
        raise InputError(
            f"[[states]] batch_axis = {axis}: expected an axis of free size or of size 1 of {describe(pair.input)}"
        )
    return axis


def _known(pair: Pair, axis: int | None) -> list[int | None]:
    """Return the sizes for one stream, None where the graph does not tell."""
    return [1 if i == axis else size if isinstance(size, int) else None for i, size in enumerate(_merged(pair))]


def _found(
    pairs: Sequence[Pair], sizes: Mapping[str, list[int | None]], original: Original
) -> dict[str, list[int | None]]:
    """Return the sizes that come back unchanged, beginning with 1 where nothing is known."""
    tried = {name: [size or 1 for size in shape] for name, shape in sizes.items()}
    dtypes = {pair.input.name: pair.input.dtype for pair in pairs}
    open_ones = [pair for pair in pairs if None in sizes[pair.input.name]]
    heard = original.silence()
    for _ in range(_TRIES):
        states = {name: np.zeros(shape, dtypes[name]) for name, shape in tried.items()}
        try:
            _, after = original.call(heard, states)
        except InputError as error:
            raise InputError(_ask(open_ones[0], str(error), list(sizes[open_ones[0].input.name]))) from error
        given = {name: list(array.shape) for name, array in after.items()}
        if given == tried:
            return {name: list(shape) for name, shape in tried.items()}
        tried = given
    raise InputError(_ask(open_ones[0], "its size changes with every call", list(sizes[open_ones[0].input.name])))


def _ask(pair: Pair, reason: str, sizes: Sequence[int | str | None]) -> str:
    shape = ", ".join(str(size) if isinstance(size, int) else f'"{size or "?"}"' for size in sizes)
    return (
        f"the sizes of the state {describe(pair.input)} are not known: {reason}. Add them to the card, with "
        f'"B" for the axis of streams:\n[[states]]\ninput = "{pair.input.name}"\noutput = "{pair.output.name}"\n'
        f"shape = [{shape}]"
    )
