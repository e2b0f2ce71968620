"""Text through a model, symbol by symbol, with one state."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray

from streamcell.runtime.errors import InputError, ModelError
from streamcell.runtime.frames import check_finite
from streamcell.runtime.model import Model
from streamcell.runtime.state import State
from streamcell.runtime.stepper import Stepper
from streamcell.runtime.symbols import Symbols
from streamcell.runtime.wire import pack, unpack

__all__ = ["TokenStream", "as_places"]

_VERSION = 1
_MOST_STEPS = 1024  # a call
_LARGEST = 1 << 53  # saved counter


class TokenStream:
    """Feed symbols to a model, one or many at a time, and keep its state.

    However the symbols are cut, the answers are the same within the model's parity bound. It is used by one thread at a
    time; the model may be shared.

    Args:
        model: One that takes tokens.
        state: To begin with, e.g. what `Linked.begin` returns; None for the model's own beginning.

    Attributes:
        symbols: The model's `Symbols`.

    Raises:
        InputError: If the model takes no tokens, or begins with another model's answer and no state is given.
        ModelError: If the model takes more than one symbol a call.

    Examples:
        >>> stream = TokenStream(Model.open("shakespeare.onnx"))  # doctest: +SKIP
        >>> stream.push("To be, or not to b").shape  # doctest: +SKIP
        (18, 65)
        >>> stream.symbols.decode([stream.last.argmax()])  # doctest: +SKIP
        'e'
    """

    def __init__(self, model: Model, state: State | None = None) -> None:
        manifest = model.manifest
        if manifest.input.kind != "tokens":
            raise InputError(f"{manifest.name} takes {manifest.input.kind}, not tokens; make a Stream of it")
        if manifest.steps_per_call not in (None, 1):
            raise ModelError(
                f"{manifest.name} takes {manifest.steps_per_call} steps a call, but symbols come one by one"
            )
        if state is None and manifest.link is not None:
            raise InputError(
                f"{manifest.name} begins with what {manifest.link.name} gives; make its first state with "
                "Linked(encoder, model).begin(...)"
            )
        self.symbols = Symbols(manifest.input.symbols, manifest.input.split)
        self._model, self._stepper = model, Stepper(model)
        self._labels, self._output = len(manifest.outputs[0].labels), manifest.outputs[0].name
        self._first = model.initial_state() if state is None else state
        self._last: NDArray[np.float32] | None = None
        self.reset()

    @property
    def model(self) -> Model:
        """Return the model."""
        return self._model

    @property
    def count(self) -> int:
        """Return how many symbols were pushed."""
        return self._count

    @property
    def last(self) -> NDArray[np.float32] | None:
        """Return the answer `[labels]` after the last symbol, a copy; None before the first."""
        return None if self._last is None else self._last.copy()

    @property
    def state(self) -> State:
        """Return a copy of the model's state."""
        return self._stepper.state

    def push(self, tokens: str | ArrayLike) -> NDArray[np.float32]:
        """Take the next symbols; return what the model's first output says after each: `[n, labels]`.

        Args:
            tokens: Text, or places in the model's symbols `[n]`, n from 0.

        Raises:
            InputError: If the text has a symbol that the model does not know, or a place is not one of its symbols;
                nothing has changed then.
            ModelError: If the model fails or gives values that are not finite; the state is as it was before the
                symbols, or 1024 of them, that could not be taken.
        """
        places = as_places(self.symbols, tokens)
        answers = [self._step(int(places[0]))[None]] if len(places) == 1 else list(self._run(places))
        if answers:
            self._last = answers[-1][-1].copy()
        return np.concatenate(answers) if answers else np.zeros((0, self._labels), np.float32)

    def reset(self) -> None:
        """Begin anew, with the state that the stream began with."""
        self._stepper.load(self._first)
        self._count, self._last = 0, None

    def snapshot(self) -> bytes:
        """Return everything but the model as bytes, for `restore`."""
        last = np.zeros(0, np.float32) if self._last is None else self._last
        states = {"state": self.state.to_bytes(), "first": self._first.to_bytes()}
        arrays = {name: np.frombuffer(data, np.uint8) for name, data in states.items()}
        meta = {"version": _VERSION, "fingerprint": self._model.fingerprint, "count": self._count}
        return pack("tokens", meta, {**arrays, "last": last})

    @classmethod
    def restore(cls, model: Model, data: bytes) -> "TokenStream":
        """Go on exactly where `snapshot` was called, in any process.

        Args:
            model: The same, or one with the same `Model.fingerprint`.
            data: What `snapshot` returned.

        Raises:
            InputError: If the bytes are damaged, of another kind or version, or of another model.
        """
        meta, arrays = unpack(data, "tokens")
        if meta.get("version") != _VERSION or meta.get("fingerprint") != model.fingerprint:
            raise InputError(
                f"expected a stream of version {_VERSION} saved with model {model.fingerprint:.8}, got version "
                f"{meta.get('version')!r} with {meta.get('fingerprint')!s:.8}; open the model that it was saved with"
            )
        try:
            state, first = (State.from_bytes(arrays[name].tobytes(), model.manifest) for name in ("state", "first"))
            stream = cls(model, first)
            stream._restore(state, meta["count"], arrays["last"])
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"a saved stream of tokens is damaged: {error!r}") from error
        return stream

    def _restore(self, state: State, count: int, last: NDArray[np.float32]) -> None:
        """Take over what was saved, if it fits."""
        shape = (self._labels,) if count else (0,)
        fits = type(count) is int and 0 <= count < _LARGEST and last.dtype == np.float32 and last.shape == shape
        if not fits or not np.isfinite(last).all():
            raise ValueError(f"{count!r} symbols and a last answer {last.dtype} {list(last.shape)} do not fit")
        self._stepper.load(state)
        self._count, self._last = count, last if count else None

    def _step(self, place: int) -> NDArray[np.float32]:
        """Take one symbol; return its answer `[labels]`."""
        self._stepper.input()[0, 0] = place
        answer: NDArray[np.float32] = self._stepper.run()[self._output][0, 0].copy()
        check_finite(answer)
        self._count += 1
        return answer

    def _run(self, places: NDArray[np.int64]) -> Iterator[NDArray[np.float32]]:
        """Take many symbols, in few calls; yield their answers `[n, labels]`."""
        size = self._model.manifest.steps_per_call or _MOST_STEPS
        for begin in range(0, len(places), size):
            part = places[begin : begin + size]
            outputs, state = self._model.step(part[None], self._stepper.state)
            self._stepper.load(state)
            self._count += len(part)
            yield outputs[self._output][0]


def as_places(symbols: Symbols, tokens: str | ArrayLike) -> NDArray[np.int64]:
    """Check text, or places of symbols `[n]`, and return places, int64.

    Raises:
        InputError: If the text has a symbol that is not known, or a place is not one of the symbols'.

    Examples:
        >>> as_places(Symbols(("a", "b"), "characters"), "ba").tolist()
        [1, 0]
    """
    if isinstance(tokens, str):
        return symbols.encode(tokens)
    places = np.asarray(tokens)
    if places.shape == (0,):
        return np.zeros(0, np.int64)
    if places.ndim != 1 or places.dtype.kind not in "iu":
        raise InputError(f"expected text or a list of symbols' places, got {places.dtype} {list(places.shape)}")
    if places.min() < 0 or places.max() >= len(symbols):
        most = len(symbols) - 1
        raise InputError(f"places of symbols must be from 0 to {most}, got {places.min()} to {places.max()}")
    return places.astype(np.int64)
