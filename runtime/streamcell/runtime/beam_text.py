"""The text that a model finds most probable, by beam search: for translations and captions rather than for stories."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamcell.runtime.decode.settings import check_number
from streamcell.runtime.errors import InputError
from streamcell.runtime.frames import log_softmax
from streamcell.runtime.generate import Writing, barred, begin, pieces
from streamcell.runtime.model import Model
from streamcell.runtime.state import State
from streamcell.runtime.tokens import TokenStream

__all__ = ["beam_text"]

_WIDEST = 64


@dataclass(frozen=True, slots=True)
class _Text:
    """A text so far."""

    places: tuple[int, ...]
    score: float  # its log-probability


def beam_text(
    model: Model,
    width: int,
    *,
    prompt: str = "",
    length: int | None = None,
    state: State | None = None,
    penalty: float = 1.0,
) -> str:
    """Return the most probable text of those that a beam search finds, without the prompt.

    The best ``width`` texts are carried on symbol by symbol, each with a state of its own, all in one call. Texts that
    ended, or reached ``length``, are compared by their log-probability over their number of symbols to the power of
    ``penalty``, as sums alone prefer the shortest.

    Args:
        model: One of task ``"next"``.
        width: How many texts are carried on, 1 to 64; 1 is greedy.
        prompt: What the text begins with.
        length: Symbols at most; None for the manifest's.
        state: To begin with, as `Linked.begin` makes it; None for the model's own.
        penalty: From 0 (the sum) to 2; 1 is the mean.

    Raises:
        InputError: If an argument does not fit, or there is neither a prompt nor a symbol to start with.
        ModelError: If the model writes no text, its manifest contradicts itself, or it fails.

    Examples:
        >>> pair = Linked(Model.open("english.onnx"), Model.open("german.onnx"))  # doctest: +SKIP
        >>> beam_text(pair.decoder, 4, state=pair.begin("I am cold."))  # doctest: +SKIP
        'mir ist kalt.'
    """
    writing = Writing.of(model.manifest)
    length = writing.length if length is None else length
    if type(width) is not int or not 1 <= width <= _WIDEST or type(length) is not int or length < 1:
        raise InputError(f"expected a width of 1 to {_WIDEST} and a length above 0, got {width!r:.80}, {length!r:.80}")
    check_number("penalty", penalty, most=2)
    stream = TokenStream(model, state)
    stream.push(begin(stream.symbols, writing, prompt, fresh=True))
    if stream.last is None:
        raise InputError(f"{model.manifest.name} has no symbol to start with; give a prompt")
    end = stream.symbols.symbols.index(writing.stop) if writing.stop else -1
    best = _search(stream, width, length, end, barred(stream.symbols, writing), penalty)
    return "".join(pieces(stream.symbols, iter(best), stream.symbols.encode(prompt)))


def _search(
    stream: TokenStream, width: int, length: int, end: int, bar: NDArray[np.float32], penalty: float
) -> tuple[int, ...]:
    """Return the places of the best text's symbols."""
    model, state, logits = stream.model, stream.state, stream.last
    assert logits is not None
    ended: list[tuple[float, tuple[int, ...]]] = []
    texts, answers = [_Text((), 0.0)], logits[None]
    for step in range(1, length + 1):
        found = _best(texts, log_softmax(answers + bar), 2 * width)
        ended += [(text.score / step**penalty, text.places[:-1]) for text, _ in found[:width] if text.places[-1] == end]
        going = [(text, row) for text, row in found if text.places[-1] != end][:width]
        texts = [text for text, _ in going]
        if not texts or len(ended) >= width:
            break
        places = np.array([[text.places[-1]] for text in texts], np.int64)
        outputs, state = model.step(places, state.rows([row for _, row in going]))
        answers = outputs[model.manifest.outputs[0].name][:, 0]
    else:
        ended += [(text.score / length**penalty, text.places) for text in texts]
    return max(ended)[1]


def _best(texts: list[_Text], log_probs: NDArray[np.float32], most: int) -> list[tuple[_Text, int]]:
    """Carry texts on by one symbol; return the best ``most``, the best first, each with the row that it comes from."""
    scores = (np.array([text.score for text in texts])[:, None] + log_probs).ravel()
    order = np.argsort(-scores, kind="stable")[:most]
    found = []
    for place in order[np.isfinite(scores[order])].tolist():
        row, symbol = divmod(place, log_probs.shape[1])
        found.append((_Text((*texts[row].places, symbol), float(scores[place])), row))
    return found
