"""Running text: its symbols, the part that is held out, and endless lanes through the rest."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamcell.runtime.errors import SourceError
from streamcell.runtime.symbols import UNKNOWN, Split, Symbols, cut, is_special


@dataclass(frozen=True, slots=True)
class Text:
    """A text as places in `symbols`: `training` int64 `[N]` and `validation` int64 `[M]`, which comes after it."""

    symbols: tuple[str, ...]
    training: NDArray[np.int64]
    validation: NDArray[np.int64]

    @property
    def fingerprint(self) -> str:
        """Return a hash of the text."""
        digest = hashlib.sha256(json.dumps(self.symbols).encode())
        for part in (self.training, self.validation):
            digest.update(f"{len(part)} ".encode() + part.tobytes())
        return digest.hexdigest()


def vocabulary(pieces: Iterable[str], least: int = 1, others: Iterable[str] = ()) -> tuple[str, ...]:
    """Return the symbols among `pieces` that are there at least `least` times, sorted.

    "<unk>" stands before them where something is rarer, looks like no text, or is only in `others`.

    >>> vocabulary("abca", 2), vocabulary("abca", others="az"), vocabulary("abca")
    (('<unk>', 'a'), ('<unk>', 'a', 'b', 'c'), ('a', 'b', 'c'))
    """
    counts = Counter(pieces)
    known = sorted(piece for piece, count in counts.items() if count >= least and not is_special(piece))
    needed = len(known) < len(counts) or not set(known).issuperset(others)
    return (UNKNOWN, *known) if needed else tuple(known)


def read_file(path: Path) -> str:
    """Return a text file's content, UTF-8, any line end as a line feed.

    Raises:
        SourceError: not there, not readable, or not UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(f"expected a text file (UTF-8) at {path}, cannot read it: {error}") from error


def read_text(path: Path, split: Split, *, least: int = 1, validation_share: float = 0.1) -> Text:
    """Return the text of a file, its last `validation_share` (of its symbols) held out.

    Symbols are those of the part that is trained on, see `vocabulary`.

    Args:
        path: of the file.
        split: "characters" or "words", see `Symbols`.
        least: how often a symbol must be there at least.
        validation_share: 0 to 1.

    Raises:
        SourceError: it cannot be read, or is so short that a part would have less than two symbols.
    """
    text = read_file(path)
    pieces = cut(text, split)
    held = round(len(pieces) * validation_share)
    first = len(pieces) - held
    if held < 2 or first < 2:
        raise SourceError(
            f"{path} has {len(pieces)} {split}: {first} to train on and {held} to validate on, but each part needs "
            "2 at least; take a longer text or another data.validation_share"
        )
    symbols = vocabulary(pieces[:first], least, pieces[first:])
    table = Symbols(symbols, split)
    places = table.encode(text)
    return Text(symbols, places[:first], places[first:])


@dataclass(frozen=True, slots=True)
class TextChunk:
    """What one update hears: `x` and the symbol after each, `next`, both int64 `[B, T]`; `fresh` bool `[B]`."""

    x: NDArray[np.int64]
    next: NDArray[np.int64]
    fresh: NDArray[np.bool_]


class TextLanes:
    """Streams through one text, which is heard as a ring; all randomness from `seed`.

    The lanes begin at places equally far from each other, the first anywhere, so that each hears another part of a
    pass. A lane begins with the initial state, and again with probability `reset_share` a chunk.

    Args:
        text: int64 `[N]`.
        lanes: streams side by side.
        steps: length of a chunk, symbols.
        reset_share: probability that a lane starts afresh at a chunk.
        seed: of everything random.

    >>> chunk = TextLanes(np.arange(10), lanes=2, steps=3, reset_share=0.0, seed=1).draw()
    >>> chunk.x.tolist(), chunk.next.tolist(), chunk.fresh.tolist()
    ([[4, 5, 6], [9, 0, 1]], [[5, 6, 7], [0, 1, 2]], [True, True])
    """

    def __init__(self, text: NDArray[np.int64], *, lanes: int, steps: int, reset_share: float, seed: int) -> None:
        self._text, self._steps, self._reset_share = text, steps, reset_share
        self._rng = np.random.Generator(np.random.PCG64(seed))
        start = int(self._rng.integers(len(text)))
        self._places = (start + np.arange(lanes) * len(text) // lanes) % len(text)
        self._begun = False

    def draw(self) -> TextChunk:
        """Return the next chunk of every lane."""
        fresh = self._rng.random(len(self._places)) < self._reset_share
        heard = self._text[(self._places[:, None] + np.arange(self._steps + 1)) % len(self._text)]
        chunk = TextChunk(heard[:, :-1], heard[:, 1:], fresh if self._begun else np.ones_like(fresh))
        self._places, self._begun = (self._places + self._steps) % len(self._text), True
        return chunk

    def state_dict(self) -> dict[str, Any]:
        """Return all that decides what comes next; the arrays are shared with this object but never changed by it."""
        rng = json.dumps(self._rng.bit_generator.state)
        return {"rng": rng, "places": self._places, "begun": self._begun}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where `state_dict` was taken."""
        self._rng.bit_generator.state = json.loads(state["rng"])
        self._places, self._begun = np.asarray(state["places"]), state["begun"]


def side_by_side(length: int, rows: int, warm: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Cut `length` places into `rows` to be heard side by side; return them `[rows, T]`, and which are a row's own.

    Each row but the first begins with up to `warm` places that are the row before's, so that its state becomes that of
    one stream through the whole. Each place is one row's own.

    >>> places, own = side_by_side(7, rows=2, warm=2)
    >>> places.tolist(), own.astype(int).tolist()
    ([[0, 1, 2, 3, 4, 5], [2, 3, 4, 5, 6, 6]], [[1, 1, 1, 1, 0, 0], [0, 0, 1, 1, 1, 0]])
    """
    share = -(-length // rows)
    first = share * np.arange(rows)[:, None]
    places = np.maximum(first - warm, 0) + np.arange(share + warm)
    own = (first <= places) & (places < np.minimum(first + share, length))
    return np.minimum(places, length - 1), own
