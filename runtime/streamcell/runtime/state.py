"""The state of one or many streams, as a value."""

import math
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from streamcell.runtime.errors import InputError
from streamcell.runtime.manifest import Manifest, StateSpec
from streamcell.runtime.wire import pack, unpack

__all__ = ["State"]

_VERSION = 1


class State(Mapping[str, NDArray[Any]]):
    """Hold every state tensor of a model for B streams; nothing in it ever changes.

    A mapping from the name of the ONNX input (``"h0"``) to a read-only array. Streams are rows: `rows` gathers them,
    `put` scatters them.

    Args:
        specs: What the manifest says of each state.
        arrays: One array a state, of exactly the manifest's type and shape; copied.
        batch: B; needed only where there are no states to read it from.

    Raises:
        InputError: If an array is missing, unknown, of another type or shape, or not finite.

    Examples:
        >>> specs = (StateSpec("h0", "h0_next", (1, "B", 2), 1),)
        >>> state = State(specs, {"h0": np.float32([[[1, 2], [3, 4]]])})
        >>> state.batch, state.rows([1])["h0"].tolist()
        (2, [[[3.0, 4.0]]])
        >>> state.put([0], state.rows([1]))["h0"].tolist()
        [[[3.0, 4.0], [3.0, 4.0]]]
    """

    __slots__ = ("_arrays", "_batch", "_specs")
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, specs: Sequence[StateSpec], arrays: Mapping[str, ArrayLike], batch: int | None = None) -> None:
        names = [spec.input for spec in specs]
        if set(names) != set(arrays):
            raise InputError(f"expected the states {', '.join(names) or '(none)'}; got {', '.join(arrays) or '(none)'}")
        copies = {name: np.array(arrays[name]) for name in names}
        if batch is None and specs:
            batch = _batch_of(specs[0], copies[names[0]])
        if batch is None or batch < 1:
            raise InputError(f"expected a batch of at least 1 stream, got {batch}")
        for spec in specs:
            _check(spec, copies[spec.input], batch)
        self._take(tuple(specs), copies, batch)

    @classmethod
    def initial(cls, specs: Sequence[StateSpec], batch: int = 1) -> "State":
        """Return the state of ``batch`` streams at their beginning."""
        if batch < 1:
            raise InputError(f"expected a batch of at least 1 stream, got {batch}")
        arrays = {spec.input: np.full(spec.sizes(batch), spec.initial, spec.dtype) for spec in specs}
        return cls._adopt(tuple(specs), arrays, batch)

    def followed_by(self, arrays: Sequence[NDArray[Any]]) -> "State":
        """Return the state that a model gave after this one, without copying: nobody else may hold ``arrays``.

        Args:
            arrays: In the order of `specs`.

        Raises:
            InputError: If one does not have the shape or type that it had, or is not finite.
        """
        after: dict[str, NDArray[Any]] = {}
        for spec, before, array in zip(self._specs, self._arrays.values(), arrays, strict=True):
            same = array.shape == before.shape and array.dtype == before.dtype
            if not same or not math.isfinite(np.add.reduce(array, axis=None)):  # half the time of a look at each number
                _check(spec, array, self._batch)
            after[spec.input] = array
        return self._adopt(self._specs, after, self._batch)

    @property
    def arrays(self) -> Mapping[str, NDArray[Any]]:
        """Return the arrays by name, which nobody can change."""
        return MappingProxyType(self._arrays)

    @property
    def batch(self) -> int:
        """Return B, the number of streams."""
        return self._batch

    @property
    def specs(self) -> tuple[StateSpec, ...]:
        """Return what the manifest says of each state."""
        return self._specs

    def rows(self, indices: Sequence[int] | NDArray[np.integer[Any]]) -> "State":
        """Gather streams into a new state, in the order of ``indices``; one may come more than once.

        Raises:
            InputError: If there are none, or one is not from 0 to B - 1.
        """
        index = self._index(indices)
        arrays = {spec.input: np.take(self[spec.input], index, axis=spec.batch_axis) for spec in self._specs}
        return self._adopt(self._specs, arrays, len(index))

    def put(self, indices: Sequence[int] | NDArray[np.integer[Any]], rows: "State") -> "State":
        """Return a copy in which stream ``indices[i]`` is stream i of ``rows``.

        Raises:
            InputError: If an index is not from 0 to B - 1 or comes twice, or ``rows`` does not match.
        """
        index = self._index(indices)
        if len(set(index.tolist())) != len(index) or rows.batch != len(index) or rows.specs != self._specs:
            raise InputError(
                f"expected {rows.batch} different indices and rows of the same model; got {index.tolist()}"
            )
        arrays = {spec.input: self[spec.input].copy() for spec in self._specs}
        for spec in self._specs:
            np.moveaxis(arrays[spec.input], spec.batch_axis, 0)[index] = np.moveaxis(
                rows[spec.input], spec.batch_axis, 0
            )
        return self._adopt(self._specs, arrays, self._batch)

    def to_bytes(self) -> bytes:
        """Return the state as bytes, for `from_bytes`."""
        return pack("state", {"version": _VERSION, "batch": self._batch}, self)

    @classmethod
    def from_bytes(cls, data: bytes, manifest: Manifest) -> "State":
        """Read what `to_bytes` wrote, and check it against the manifest.

        Raises:
            InputError: If the bytes are damaged, of another kind or version, or of a model with other states.
        """
        meta, arrays = unpack(data, "state")
        if meta.get("version") != _VERSION or type(meta.get("batch")) is not int:
            raise InputError(
                f"expected a saved state of version {_VERSION}, got {meta.get('version')!r}; save it again"
            )
        return cls(manifest.states, arrays, meta["batch"])

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self._arrays[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._arrays)

    def __len__(self) -> int:
        return len(self._arrays)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, State):
            return NotImplemented
        same = self._specs == other._specs and self._batch == other._batch
        return same and all(np.array_equal(self[name], other[name]) for name in self)

    def __repr__(self) -> str:
        sizes = ", ".join(f"{name}: {array.dtype}{list(array.shape)}" for name, array in self.items())
        return f"State(batch={self._batch}, {{{sizes}}})"

    def _index(self, indices: Sequence[int] | NDArray[np.integer[Any]]) -> NDArray[np.intp]:
        index = np.asarray(indices)
        if index.ndim != 1 or index.size == 0 or index.dtype.kind not in "iu":
            raise InputError(f"expected a list of stream numbers, got {indices!r:.80}")
        if index.min() < 0 or index.max() >= self._batch:
            raise InputError(f"expected stream numbers from 0 to {self._batch - 1}, got {index.tolist()!r:.80}")
        return index.astype(np.intp)

    def _take(self, specs: tuple[StateSpec, ...], arrays: dict[str, NDArray[Any]], batch: int) -> None:
        for array in arrays.values():
            array.flags.writeable = False
        self._specs, self._arrays, self._batch = specs, arrays, batch

    @classmethod
    def _adopt(cls, specs: tuple[StateSpec, ...], arrays: dict[str, NDArray[Any]], batch: int) -> "State":
        """Make a state of fresh arrays that are known to fit, without a copy."""
        state = cls.__new__(cls)
        state._take(specs, arrays, batch)
        return state


def _batch_of(spec: StateSpec, array: NDArray[Any]) -> int:
    if array.ndim != len(spec.shape):
        raise InputError(f"state {spec.input!r} must have shape {list(spec.shape)}, got {list(array.shape)}")
    return int(array.shape[spec.batch_axis])


def _check(spec: StateSpec, array: NDArray[Any], batch: int) -> None:
    if array.dtype != spec.dtype or array.shape != spec.sizes(batch):
        expected = f"{spec.dtype} {list(spec.sizes(batch))}"
        raise InputError(f"state {spec.input!r} must be {expected}, got {array.dtype.name} {list(array.shape)}")
    if not np.isfinite(array).all():
        raise InputError(f"state {spec.input!r} has values that are not finite")
