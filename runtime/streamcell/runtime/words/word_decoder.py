"""A closed vocabulary in running speech: which words, in any order, with pauses and other speech between."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamcell.runtime.decode.decoder import LARGEST
from streamcell.runtime.decode.settings import check_number, in_frames
from streamcell.runtime.errors import InputError
from streamcell.runtime.events import Segment
from streamcell.runtime.manifest import OutputSpec
from streamcell.runtime.words.entrances import Entrances
from streamcell.runtime.words.graph import Row
from streamcell.runtime.words.history import NOTHING, History, Word
from streamcell.runtime.words.lexicon import Lexicon
from streamcell.runtime.words.string_decoder import StringDecoder, StringSettings

__all__ = ["WordDecoder"]

_EVERY = 8  # frames from one look for settled words to the next
_BEAM = 60.0  # below the best that waits, tokens are given up
_NEAR = 10.0  # below the best that waits, tokens have a say in where a word before them ends
_FAR = 1000.0  # scores are brought back from there
_MOST = 2 * _FAR  # of a saved score
_MINE = ("scores", "marks", "waiting", "waits")
_THEIRS = ("bases", "parents", "runs")


@dataclass(frozen=True, slots=True)
class _Settings(StringSettings):
    """What a `WordDecoder` was made with."""

    bonus: float
    other: float | None
    longest: float
    delay: float
    hush: float

    def __post_init__(self) -> None:
        check_number("bonus", self.bonus)
        if self.other is not None:
            check_number("other", self.other)
        check_number("longest", self.longest, above=0)
        check_number("hush", self.hush, above=0)
        check_number("delay", self.delay)
        if self.delay < self.longest:
            raise InputError(f"delay must be at least as long as the longest word, {self.longest} s, got {self.delay}")


@dataclass(frozen=True, slots=True)
class _Saved:
    """What is saved, with the tokens."""

    next: int | None
    origin: float
    count: int
    first: int
    best: int
    label: int
    run: int
    told: int
    phone: int


class WordDecoder(StringDecoder):
    """Turn frames into words of a closed vocabulary, by the best path through all of them (Viterbi).

    Tokens go through the phones of the words as CTC reads them (see `Chains`). Between words a token may wait: in blank
    and silence for nothing, in other speech for ``other`` a phone, so that what is not in the vocabulary is left out
    and not forced into words. All is scored against the free path through any phones, as in `Rows`.

    A word is told once all tokens that are alive agree on it, then it never changes; after ``delay`` the best token
    decides. Partial segments are the words of the best token behind those; they may be taken back, so the word that an
    ``id`` stands for, and its times, may change while it is partial. A word begins where its first phone's stretch
    begins (the frames in which that phone is best without the blank) and ends where its last one's ends, at most 1 s
    away from the spike. Its confidence is the geometric mean over its phones of the ratio to the free path.

    Args:
        output: The model's first output; it must have a blank.
        lexicon: The vocabulary.
        bonus: Of each phone of a word, as a log-probability; more of it gives more words.
        other: Price of a phone of other speech; None where only words of the vocabulary are said.
        longest: Seconds; a word lasts no longer.
        delay: Seconds, at least ``longest``.
        hush: Seconds of silence that no word survives, nor a phrase; so what was said before it is told soon.
        floor: As in `Rows`.

    Attributes:
        settings: The arguments; equal ones decode alike.

    Raises:
        InputError: If an argument makes no sense, or a word has a phone that the model does not know.

    Examples:
        >>> text = Lexicon.read("words.txt", read_dictionary("cmudict.dict")).to_text()  # doctest: +SKIP
        >>> stream = Stream(model.with_decoder({"name": "words", "lexicon": text}))  # doctest: +SKIP
    """

    settings: _Settings
    _kind = "words"
    _saved = _Saved
    _first: int  # where the frames began, or went on behind a hole
    _best: int  # of the frame before
    _label: int  # best without the blank, of the frame before
    _run: int  # where the run of that label began
    _told: int  # end of what is final, frame
    _phone: int  # last column of the word that the best token left with the frame before; -1 where it has waited
    _waiting: NDArray[np.float64]  # [2], score of the best token between words, and of the best that left another phone
    _waits: NDArray[np.int64]  # [2], their last words
    _entrances: Entrances  # `_waiting` and `_waits` at each of the last frames

    def __init__(
        self,
        output: OutputSpec,
        lexicon: Lexicon,
        *,
        bonus: float = 2.0,
        other: float | None = 3.0,
        longest: float = 3.0,
        delay: float = 6.0,
        hush: float = 0.5,
        floor: float = 8.0,
    ) -> None:
        settings = _Settings.of(
            output, lexicon, floor, bonus=bonus, other=other, longest=longest, delay=delay, hush=hush
        )
        super().__init__(settings, lexicon)
        self._quiet = {settings.blank, settings.silence}
        self._bonus = bonus * self._chains.phones
        self._longest, self._delay, self._hush = (in_frames(time, self._seconds) for time in (longest, delay, hush))
        self.reset()

    def take(self, first: int, origin: float, items: list[Row]) -> list[Segment]:
        """Hear frames ``first``, ... as `read` gave them; return the words that became final.

        Raises:
            InputError: If the frames do not come in order.
        """
        found = [] if self._next == first and self._origin == origin else self._join(first, origin)
        for frame, row in enumerate(items, first):
            if row.label != self._label:
                self._label, self._run = row.label, frame
            self._history.grow(frame, row.label, self._ends, self._reach)
            self._enter(frame, row)
            self._leave(frame, row)
            self._best = row.best
            if (frame - self._first) % _EVERY == _EVERY - 1:
                found += self._settle(frame)
        self._next = first + len(items)
        return found

    def partial(self) -> list[Segment]:
        """Return the words of the best token that are not final."""
        if self._next is None:
            return []
        words = self._history.path(int(self._waits[0]))
        return self._segments(words, self._next - 1 - self._first, final=False)

    def _enter(self, frame: int, row: Row) -> None:
        """Let tokens go one frame on in the words, and into them; give up those that are bad or too old."""
        self._entrances.note(frame, self._waiting, self._waits, max(self._run, frame - self._reach))
        again = self._begins == self._phone  # the phone just ended: a blank must lie between, or another token
        marks = self._entrances.marks(frame, again, self._begins == row.label)
        self._chains.step(self._scores, self._marks, row.scores, self._waiting[again.astype(np.int64)], marks)
        lost = self._scores < self._waiting[0] - _BEAM
        lost |= self._marks < self._entrances.since(frame - self._longest + 1)
        lost |= row.label == self.settings.silence and frame - self._run >= self._hush
        np.copyto(self._scores, -np.inf, where=lost)

    def _leave(self, frame: int, row: Row) -> None:
        """Let tokens wait between words for a frame, and leave words; keep the best, and the best of another end."""
        price = row.scores[-1]
        if self.settings.other is not None:
            spike = row.best not in self._quiet and row.best != self._best
            price = max(price, -self.settings.other if spike else 0.0)
        waiting, last = (self._waiting[0] + price, self._waits[0]), self._chains.last
        ended = self._scores[last] + self._bonus
        best = int(ended.argmax())
        self._phone = -1
        self._set(0, *waiting)
        self._set(1, *waiting)
        if ended[best] > waiting[0]:
            self._phone = int(self._ends[best])
            self._set(0, ended[best], self._add(best, frame))
            ended[self._ends == self._phone] = -np.inf
            second = int(ended.argmax())
            if ended[second] > waiting[0]:
                self._set(1, ended[second], self._add(second, frame))
        if self._waiting[0] < -_FAR:
            self._shift(self._waiting[0])

    def _set(self, slot: int, score: float, number: int) -> None:
        self._waiting[slot], self._waits[slot] = score, number

    def _shift(self, by: float) -> None:
        """Keep scores near 0: only their differences matter."""
        self._scores -= by
        self._waiting -= by
        self._entrances.bases -= by

    def _add(self, string: int, frame: int) -> int:
        """Note that the token at the end of a string leaves it behind ``frame``; return the word's number."""
        state = self._chains.last[string]
        start, before, base = self._entrances.of(int(self._marks[state]))
        ratio = (float(self._scores[state]) - base) / int(self._chains.phones[string])
        return self._history.add(Word(string, start, frame + 1, before, min(1.0, math.exp(ratio)), frame + 1))

    def _settle(self, frame: int) -> list[Segment]:
        """Return the words that all tokens agree on, or that are too old to wait."""
        alive = np.isfinite(self._scores)
        leaves = [*self._waits.tolist(), *np.unique(self._entrances.words_before(self._marks[alive])).tolist()]
        words, path = self._history.common(leaves), self._history.path(int(self._waits[0]))
        if not words and path and path[0].end <= frame - self._delay:
            words = path[:1]
            leaves = self._keep(words[0], leaves)
        self._history.settle(leaves, len(words))
        if not words:
            return []
        good = self._entrances.starts(self._marks[self._scores > self._waiting[0] - _NEAR])
        limit = min([int(good.min(initial=frame)), *(word.start for word in path[len(words) : len(words) + 1])])
        found = self._segments(words, frame - self._first, limit, final=True)
        self._count += len(found)
        self._told = max(self._told, words[-1].spike, min(words[-1].end, limit))
        return found

    def _keep(self, word: Word, leaves: list[int]) -> list[int]:
        """Give up the tokens that have not come by a word; return the leaves that have."""
        kept = [leaf for leaf in leaves if self._history.holds(leaf, word)]
        np.copyto(self._scores, -np.inf, where=~np.isin(self._entrances.words_before(self._marks), kept))
        if int(self._waits[1]) not in kept:
            self._set(1, float(self._waiting[0]) - _BEAM, int(self._waits[0]))
        return kept

    def _segments(
        self, words: list[Word], revision: int, limit: float = math.inf, end_time: float = math.inf, *, final: bool
    ) -> list[Segment]:
        """Write words as segments; a word's stretch ends where the next word begins, and the last's at ``limit``."""
        found: list[Segment] = []
        told = self._told
        for word, following in zip(words, [*(word.start for word in words[1:]), limit], strict=False):
            start = max(word.start, told)
            told = max(start, word.spike, int(min(word.end, following)))
            times = min(self._time(start), end_time), min(self._time(told), end_time)
            text = self._texts[self._owner[word.string]]
            found.append(Segment(text, *times, word.confidence, final, self._count + len(found), revision))
        return found

    def _earliest(self, end: int) -> float:
        starts = self._entrances.starts(self._marks[np.isfinite(self._scores)])
        fresh = end if self._label == self.settings.silence else max(self._run, end - self._reach)
        early = min([fresh, int(starts.min(initial=end)), *self._history.starts])
        return self._time(max(early, self._told))

    def _close(self, end: int, end_time: float) -> list[Segment]:
        words = self._history.path(int(self._waits[0]))
        found = self._segments(words, end - self._first, end_time=end_time, final=True)
        self._count += len(found)
        return found

    def _clear(self, first: int) -> None:
        self._scores, self._marks = self._chains.fresh()
        self._waiting, self._waits = np.array([0.0, -np.inf]), np.full(2, NOTHING)
        self._entrances = Entrances(self._longest + 1)
        self._history = History()
        self._first = self._run = self._told = first
        self._best = self._label = self._phone = -1

    def _arrays(self) -> dict[str, NDArray[Any]]:
        return {**{name: getattr(owner, key) for name, owner, key in self._kept()}, **self._history.to_arrays()}

    def _kept(self) -> list[tuple[str, object, str]]:
        """Return what is saved as arrays: name, owner, attribute."""
        return [*((name, self, f"_{name}") for name in _MINE), *((name, self._entrances, name) for name in _THEIRS)]

    def _check(self, saved: _Saved, arrays: dict[str, NDArray[Any]]) -> None:
        for name, owner, key in self._kept():
            mine, other = getattr(owner, key), arrays[name]
            if mine.shape != other.shape or mine.dtype != other.dtype or np.isnan(other).any():
                raise ValueError(f"{name} of shape {other.shape}")
        end, columns = saved.next or 0, len(self.settings.labels)
        frames = 0 <= saved.first <= saved.run <= end < LARGEST and saved.first <= saved.told <= end
        answers = (
            max(saved.best, saved.label, saved.phone) < columns and min(saved.best, saved.label, saved.phone) >= -1
        )
        times = all(
            (arrays[name] >= 0).all() and (arrays[name] <= most).all()
            for name, most in (("marks", 4 * end + 3), ("runs", end))
        )
        scores = all((arrays[name] <= _MOST).all() for name in ("scores", "waiting", "bases"))
        numbers = math.isfinite(saved.origin) and math.isfinite(arrays["waiting"][0]) and 0 <= saved.count < LARGEST
        if not (frames and answers and times and scores and numbers):
            raise ValueError(f"{saved} contradict each other")
        self._history = History.restore(arrays, len(self._owner), end)
        for name, owner, key in self._kept():
            setattr(owner, key, arrays[name])
