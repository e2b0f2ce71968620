"""Spotting: any phrase in running speech, by its phones."""

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from streamcell.runtime.decode.decoder import LARGEST
from streamcell.runtime.decode.settings import check_number, in_frames
from streamcell.runtime.events import Segment
from streamcell.runtime.manifest import OutputSpec
from streamcell.runtime.words.graph import Row
from streamcell.runtime.words.lexicon import Lexicon
from streamcell.runtime.words.string_decoder import StringDecoder, StringSettings
from streamcell.runtime.words.weights import WEIGHTS

__all__ = ["Spotter"]

_HANDICAP = 10.0


class _Hit(NamedTuple):
    """A phrase that was heard: frames and score."""

    score: float
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class _Settings(StringSettings):
    """What a `Spotter` was made with."""

    threshold: float
    hold: float
    longest: float

    def __post_init__(self) -> None:
        check_number("threshold", self.threshold, above=0, most=1)
        check_number("hold", self.hold, above=0)
        check_number("longest", self.longest, above=0)


@dataclass(frozen=True, slots=True)
class _Saved:
    """What is saved, with the tokens."""

    next: int | None
    origin: float
    count: int
    label: int
    run: int
    growing: tuple[int, ...]


class Spotter(StringDecoder):
    """Find phrases in running speech, however many at once, in constant memory.

    A token may enter every phrase at every frame; it goes through the phrase's phones as CTC reads them (see `Chains`).
    It is scored by a log-likelihood ratio: the phrase's path against the free path through any phones over the same
    frames. The score is ``exp((ratio - 10) / weight)``, from 0 to 1, with the phrase's weight as in `WEIGHTS`: about
    the number of its phones, rare ones counting more. The handicap of 10 is felt most by short phrases, which are heard
    by chance more often: with a weight of 12 a perfect fit has 0.43, with a weight of 4 it has 0.08. So a short phrase
    may not reach the threshold at all: `limits` tells what each can reach.

    A phrase is found where its score reaches the threshold. Hits of one phrase that overlap are one, the best; it is
    told ``hold`` seconds after its end. Hits of several phrases may overlap. A hit begins where the first phone's
    stretch begins (the frames in which that phone is best without the blank) and ends where the last one's ends.

    Args:
        output: The model's first output; it must have a blank.
        phrases: What to look for.
        threshold: From 0 to 1; see `streamcell.runtime.words.threshold` for what it costs in false alarms.
        hold: Seconds.
        longest: Seconds; a phrase lasts no longer.
        floor: As in `Rows`.

    Attributes:
        settings: The arguments; equal ones decode alike.

    Raises:
        InputError: If an argument makes no sense, or a phrase has a phone that the model does not know.

    Examples:
        >>> spotter = Spotter(model.manifest.outputs[0], Lexicon.of(["/T ER N/"]), threshold=0.2)  # doctest: +SKIP
        >>> stream = DecodingStream(model, spotter)  # doctest: +SKIP
    """

    settings: _Settings
    _kind = "spotter"
    _saved = _Saved
    _label: int  # best without the blank, of the frame before
    _run: int  # where the run of that label began
    _growing: list[int]  # phrases whose hit ended with the frame before

    def __init__(
        self,
        output: OutputSpec,
        phrases: Lexicon,
        threshold: float,
        *,
        hold: float = 0.3,
        longest: float = 10.0,
        floor: float = 8.0,
    ) -> None:
        settings = _Settings.of(output, phrases, floor, threshold=threshold, hold=hold, longest=longest)
        super().__init__(settings, phrases)
        weights = [sum(WEIGHTS.get(phone, 1.0) for word in way for phone in word) for way in self._ways]
        self._weights = np.array(weights)
        self._need = _HANDICAP + self._weights * math.log(threshold)  # of the ratio, at a phrase's end
        sizes = self._chains.last - self._chains.first + 1
        self._least = np.repeat(self._need, sizes)  # no score ever rises, so what is below is lost
        self._hold, self._longest = in_frames(hold, self._seconds), in_frames(longest, self._seconds)
        self.reset()

    @property
    def limits(self) -> dict[str, float]:
        """Return for each phrase the score of a perfect fit; one below the threshold is never found."""
        best = np.exp(-_HANDICAP / self._weights)
        return {text: float(best[self._owner == index].max()) for index, text in enumerate(self._texts)}

    def take(self, first: int, origin: float, items: list[Row]) -> list[Segment]:
        """Hear frames ``first``, ... as `read` gave them; return the phrases that were found.

        Raises:
            InputError: If the frames do not come in order.
        """
        found = [] if self._next == first and self._origin == origin else self._join(first, origin)
        scores, marks, last, need = self._scores, self._marks, self._chains.last, self._need
        for frame, row in enumerate(items, first):
            if row.label != self._label:
                self._label, self._run = row.label, frame
            begin = np.where(self._begins == row.label, max(self._run, frame - self._reach), frame)
            self._chains.step(scores, marks, row.scores, np.float64(0.0), begin)
            np.copyto(scores, -np.inf, where=(scores < self._least) | (marks <= frame - self._longest))
            if self._growing:
                self._grow(frame, row.label)
            ended = scores[last] >= need
            if ended.any():
                found += self._hear(np.flatnonzero(ended), frame)
            if self._hits:
                found += self._due(frame + 1 - self._hold)
        self._next = first + len(items)
        return found

    def partial(self) -> list[Segment]:
        """Return nothing: a phrase is told once, when it is sure that nothing better overlaps it."""
        return []

    def _hear(self, strings: NDArray[np.intp], frame: int) -> list[Segment]:
        """Take the strings that end well in this frame; return the hits before them that they do not overlap."""
        found = []
        ratios, starts = self._scores[self._chains.last[strings]], self._marks[self._chains.last[strings]]
        scores = np.exp((ratios - _HANDICAP) / self._weights[strings])
        for phrase in np.unique(self._owner[strings]).tolist():
            mine = np.flatnonzero(self._owner[strings] == phrase)
            best = int(mine[scores[mine].argmax()])
            hit, old = _Hit(float(scores[best]), int(starts[best]), frame + 1), self._hits.get(phrase)
            if hit.start < self._done[phrase]:
                continue
            if old is not None and old.end <= hit.start:
                found.append(self._tell(phrase))
                old = None
            if old is None or hit.score > old.score:
                self._hits[phrase] = hit
                self._strings[phrase] = int(strings[best])
                self._growing = sorted({*self._growing, phrase})
        return found

    def _grow(self, frame: int, label: int) -> None:
        """Let the hits that ended with the frame before go on while their last phone does."""
        growing = []
        for phrase in self._growing:
            hit = self._hits.get(phrase)
            if hit is not None and hit.end == frame and self._ends[self._strings[phrase]] == label:
                self._hits[phrase] = hit._replace(end=frame + 1)
                growing.append(phrase)
        self._growing = growing

    def _due(self, before: int) -> list[Segment]:
        """Tell the hits that ended at frame ``before`` or earlier."""
        due = sorted((hit.start, phrase) for phrase, hit in self._hits.items() if hit.end <= before)
        return [self._tell(phrase) for _, phrase in due]

    def _tell(self, phrase: int, end_time: float = math.inf) -> Segment:
        hit = self._hits.pop(phrase)
        self._done[phrase] = hit.end
        number, self._count = self._count, self._count + 1
        start, end = min(self._time(hit.start), end_time), min(self._time(hit.end), end_time)
        return Segment(self._texts[phrase], start, end, hit.score, True, number)

    def _earliest(self, end: int) -> float:
        alive = self._marks[np.isfinite(self._scores)]
        starts = [hit.start for hit in self._hits.values()]
        return self._time(min(max(self._run, end - self._reach), *starts, int(alive.min(initial=end)), end))

    def _close(self, _end: int, end_time: float) -> list[Segment]:
        order = sorted((hit.start, phrase) for phrase, hit in self._hits.items())
        return [self._tell(phrase, end_time) for _, phrase in order]

    def _clear(self, first: int) -> None:
        self._scores, self._marks = self._chains.fresh()
        self._hits: dict[int, _Hit] = {}
        self._strings = np.zeros(len(self._texts), np.int64)  # of the hits
        self._done = np.full(len(self._texts), first)  # frame before which no hit of the phrase may begin any more
        self._label, self._run, self._growing = -1, first, []

    def _arrays(self) -> dict[str, NDArray[Any]]:
        hits = [[phrase, hit.score, hit.start, hit.end] for phrase, hit in sorted(self._hits.items())]
        return {
            "scores": self._scores,
            "marks": self._marks,
            "hits": np.array(hits, np.float64).reshape(-1, 4),
            "strings": self._strings,
            "done": self._done,
        }

    def _check(self, saved: _Saved, arrays: dict[str, NDArray[Any]]) -> None:
        end, phrases = saved.next or 0, len(self._texts)
        scores, marks, hits = arrays["scores"], arrays["marks"], arrays["hits"]
        strings, done = arrays["strings"], arrays["done"]
        shapes = (scores.shape, marks.shape, strings.shape, done.shape, hits.shape[1:])
        fits = shapes == ((self._chains.size,),) * 2 + ((phrases,),) * 2 + ((4,),) and len(hits) <= phrases
        kinds = [array.dtype.name for array in (scores, marks, hits, strings, done)]
        fits = fits and kinds == ["float64", "int64", "float64", "int64", "int64"]
        numbers = 0 <= saved.run <= end < LARGEST and -1 <= saved.label < len(self.settings.labels)
        if not (fits and numbers and 0 <= saved.count < LARGEST and math.isfinite(saved.origin)):
            raise ValueError(f"{saved} and arrays {shapes} contradict each other")
        tokens = not np.isnan(scores).any() and (scores <= 0).all() and ((marks >= 0) & (marks <= end)).all()
        told = np.isfinite(hits).all() and ((hits[:, 0] >= 0) & (hits[:, 0] < phrases)).all()
        times = (hits[:, 2] >= 0).all() and (hits[:, 2] < hits[:, 3]).all() and (hits[:, 3] <= end).all()
        chance = ((hits[:, 1] > 0) & (hits[:, 1] <= 1)).all()
        owners = ((strings >= 0) & (strings < len(self._owner))).all() and ((done >= 0) & (done <= end)).all()
        growing = all(0 <= phrase < phrases for phrase in saved.growing)
        if not (tokens and told and times and chance and owners and growing):
            raise ValueError("its tokens or hits cannot be")
        self._scores, self._marks, self._strings, self._done = scores, marks, strings, done
        self._hits = {int(row[0]): _Hit(float(row[1]), int(row[2]), int(row[3])) for row in hits}
