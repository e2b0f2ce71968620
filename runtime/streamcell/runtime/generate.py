"""Text written by a model: each symbol that is drawn is what it hears next."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from streamcell.runtime.errors import InputError, ModelError
from streamcell.runtime.manifest import Manifest
from streamcell.runtime.model import Model
from streamcell.runtime.sampling import Sampling
from streamcell.runtime.schema import read
from streamcell.runtime.specs import OPTIONAL, require
from streamcell.runtime.state import State
from streamcell.runtime.symbols import Symbols, is_special
from streamcell.runtime.tokens import TokenStream

__all__ = ["Writing", "barred", "begin", "generate", "pieces", "write"]

_MOST = 1 << 53  # symbols


@dataclass(frozen=True, slots=True)
class Writing:
    """Hold what ``manifest.decoder`` says of a model of task ``"next"``; `Writing.of` reads and checks it.

    Attributes:
        temperature: As in `Sampling`.
        top_k: As in `Sampling`.
        top_p: As in `Sampling`.
        length: Symbols that are written at most.
        start: The symbol that a stream begins with, before any prompt; ``"<start>"`` where there is one. Empty: none.
        stop: The symbol that ends a text; ``"<end>"`` where there is one. Empty: none.
    """

    temperature: float = field(default=1.0, metadata=OPTIONAL)
    top_k: int = field(default=0, metadata=OPTIONAL)
    top_p: float = field(default=1.0, metadata=OPTIONAL)
    length: int = field(default=200, metadata=OPTIONAL)
    start: str = field(default="<start>", metadata=OPTIONAL)
    stop: str = field(default="<end>", metadata=OPTIONAL)

    @classmethod
    def of(cls, manifest: Manifest) -> "Writing":
        """Read a manifest's.

        Raises:
            ModelError: If the model's task is another, or a setting is unknown or makes no sense.
        """
        if manifest.task != "next":
            raise ModelError(f"{manifest.name} is of task {manifest.task!r}; only one of task 'next' writes text")
        found = read(cls, manifest.decoder, "manifest.decoder")
        require(0 < found.length < _MOST, "decoder.length", "a number of symbols above 0", found.length)
        symbols = manifest.input.symbols
        for name, symbol in (("start", found.start), ("stop", found.stop)):
            known = not symbol or symbol in symbols or name not in manifest.decoder
            require(known, f"decoder.{name}", "one of input.symbols, or empty", symbol)
        start, stop = (symbol if symbol in symbols else "" for symbol in (found.start, found.stop))
        found = replace(found, start=start, stop=stop)
        try:
            found.sampling()
        except InputError as error:
            raise ModelError(f"manifest.decoder does not fit: {error}") from error
        return found

    def sampling(self, seed: int = 0) -> Sampling:
        """Return how symbols are drawn."""
        return Sampling(self.temperature, self.top_k, self.top_p, seed)


def generate(
    model: Model,
    prompt: str = "",
    sampling: Sampling | None = None,
    *,
    length: int | None = None,
    stop: str = "",
    state: State | None = None,
) -> Iterator[str]:
    """Write text with a model from its beginning, or from another model's answer.

    Args:
        model: One of task ``"next"``.
        prompt: What the text begins with; it is not given back.
        sampling: How symbols are drawn; None for the manifest's way, with seed 0.
        length: Symbols that are written at most; None for the manifest's.
        stop: A text that ends it, and is no part of it.
        state: To begin with, as `Linked.begin` makes it; None for the model's own.

    Returns:
        Pieces of text, as soon as they are certain. Joined they are the text. Symbols in angle brackets are never
        written; the one that ends a text ends it.

    Raises:
        InputError: If an argument does not fit, the prompt has symbols that the model does not know, or there is
            neither a prompt nor a symbol to start with.
        ModelError: If the model writes no text, its manifest contradicts itself, or it fails.

    Examples:
        >>> model = Model.open("shakespeare.onnx")  # doctest: +SKIP
        >>> print("".join(generate(model, "ROMEO:", Sampling(0.8, seed=1), length=300)))  # doctest: +SKIP
    """
    Writing.of(model.manifest)  # what is wrong with the task is said before what is wrong with the input
    return write(TokenStream(model, state), prompt, sampling, length=length, stop=stop)


def write(
    stream: TokenStream,
    prompt: str = "",
    sampling: Sampling | None = None,
    *,
    length: int | None = None,
    stop: str = "",
) -> Iterator[str]:
    """Write text as `generate` does, from where a stream is; what was written is pushed into it.

    At the stream's beginning the manifest's symbol to start with comes before the prompt.

    Raises:
        InputError: As in `generate`.
        ModelError: As in `generate`.
    """
    writing = Writing.of(stream.model.manifest)
    length = writing.length if length is None else length
    if type(length) is not int or not 0 <= length < _MOST:
        raise InputError(f"length must be a whole number of symbols, 0 or more, got {length!r:.80}")
    heard = begin(stream.symbols, writing, prompt, fresh=not stream.count)
    if stream.last is None and not len(heard):
        raise InputError(f"{stream.model.manifest.name} has no symbol to start with; give a prompt")
    written = _symbols(stream, heard, writing, sampling or writing.sampling(), length)
    return _until(stop, pieces(stream.symbols, written, stream.symbols.encode(prompt)))


def begin(symbols: Symbols, writing: Writing, prompt: str, *, fresh: bool) -> NDArray[np.int64]:
    """Return what is heard before a text is written: the symbol to start with, if the stream is fresh, and the prompt.

    Raises:
        InputError: If the prompt has symbols that the model does not know.
    """
    start = [symbols.symbols.index(writing.start)] if writing.start and fresh else []
    return np.concatenate([np.array(start, np.int64), symbols.encode(prompt)])


def barred(symbols: Symbols, writing: Writing) -> NDArray[np.float32]:
    """Return what is added to logits `[n]`: -inf for symbols that are no text, and 0 for others and the last one."""
    no_text = [is_special(symbol) and symbol != writing.stop for symbol in symbols.symbols]
    if all(no_text):
        raise ModelError("the model has no symbols that are text")
    return np.where(no_text, -np.inf, 0).astype(np.float32)


def _symbols(
    stream: TokenStream, heard: NDArray[np.int64], writing: Writing, sampling: Sampling, length: int
) -> Iterator[int]:
    """Push the beginning, then yield each symbol that is drawn, and push it."""
    bar, draw = barred(stream.symbols, writing), sampling.drawer()
    end = stream.symbols.symbols.index(writing.stop) if writing.stop else -1
    stream.push(heard)
    for _ in range(length):
        last = stream.last
        assert last is not None
        place = draw(last + bar)
        if place == end:
            return
        stream.push([place])
        yield place


def pieces(symbols: Symbols, places: Iterator[int], before: NDArray[np.int64]) -> Iterator[str]:
    """Turn symbols into text as `Symbols.decode` does, each with the space before it, if any."""
    shown = [int(place) for place in before[-1:]]
    for place in places:
        yield symbols.decode([*shown, place])[len(symbols.decode(shown)) :]
        shown = [place]


def _until(stop: str, pieces: Iterator[str]) -> Iterator[str]:
    """End before ``stop``; hold back what may be its beginning."""
    held = ""
    for piece in pieces:
        held += piece
        if stop and stop in held:
            yield held[: held.index(stop)]
            return
        keep = next((size for size in range(min(len(held), len(stop) - 1), 0, -1) if held.endswith(stop[:size])), 0)
        told, held = held[: len(held) - keep], held[len(held) - keep :]
        if told:
            yield told
    if held:
        yield held
