"""CTC beam search with a language model of the labels, as a stream."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from streamcell.runtime.decode.gains import make_gains
from streamcell.runtime.decode.prefixes import Prefixes
from streamcell.runtime.decode.settings import check_number
from streamcell.runtime.decode.spikes import FLOOR, SavedSpikes, Spike, Spikes, SpikeSettings, Spoken, Token
from streamcell.runtime.errors import InputError
from streamcell.runtime.events import Segment
from streamcell.runtime.lm import NGram

__all__ = ["BeamCTC", "BeamSettings"]

_WIDEST = 256
_LONGEST = 60.0  # seconds


@dataclass(frozen=True, slots=True)
class BeamSettings(SpikeSettings):
    """Hold what a `BeamCTC` was made with; its attributes are described there.

    Raises:
        InputError: If a value makes no sense.
    """

    width: int
    lm: str  # digest
    lm_weight: float
    prior: float
    bonus: float
    scale: float
    delay: float
    min_prob: float
    max_blank: float
    margin: float

    def __post_init__(self) -> None:
        SpikeSettings.__post_init__(self)
        if type(self.width) is not int or not 1 <= self.width <= _WIDEST:
            raise InputError(f"width must be a whole number from 1 to {_WIDEST}, got {self.width!r:.80}")
        check_number("lm_weight", self.lm_weight)
        check_number("prior", self.prior)
        check_number("bonus", abs(self.bonus) if isinstance(self.bonus, float) else self.bonus)
        check_number("scale", self.scale, above=0)
        check_number("delay", self.delay, above=0, most=_LONGEST)
        check_number("min_prob", self.min_prob, most=1)
        check_number("max_blank", self.max_blank, most=1)
        check_number("margin", self.margin, above=0)


class _Heard(NamedTuple):
    """What a frame says."""

    spoken: Spoken
    log_probs: NDArray[np.float64]  # [C], silence counted as blank
    labels: NDArray[np.int64]  # [K], which may begin
    shares: list[float]  # [K]


class BeamCTC(Spikes):
    """Turn frames into segments as `GreedyCTC` does, but of the labels that are most probable together.

    The labels are those of a prefix beam search, see `Prefixes`, with an n-gram of the labels if there is one, see
    `make_gains`. Silence is no label there but another blank: pauses come from the frames, as in greedy search, so the
    n-gram need not know them and goes on behind them.

    A label settles as soon as all prefixes of the beam have it, at the latest after ``delay``; then it is placed where
    it was heard, and told as a segment, which never changes its label or start. Its times come from the run of that
    frame, whatever label is best there. Its confidence is the mean of P(best label | not blank) over its frames, times
    the share of its own label beside the best one where it was heard.

    Args:
        labels: As for `GreedyCTC`, like all that is not described here.
        blank: The blank's column.
        seconds_per_step: Length of a frame.
        silence: The column of the label that stands for a pause, or None.
        reach: Seconds.
        pause: Seconds.
        calibration: Slope and offset, or nothing.
        width: How many prefixes are kept, 1 to 256.
        lm: An n-gram that knows all labels but blank and silence, perhaps in several forms (``AH``, ``AH_B``), or None.
        lm_weight: Of its log-probabilities.
        prior: Share of a label's own log-probability, by the n-gram, that is taken away.
        bonus: For each label, in nats: above 0 fewer are dropped, below fewer are made up.
        scale: Of the network's log-probabilities; below 1 it is less sure of itself than it was trained to be.
        delay: Seconds, after which a label settles at the latest.
        min_prob: In a frame, a label with less does not begin.
        max_blank: In a frame whose blank has more, no label begins.
        margin: Prefixes whose score is that much (nats) below the best one's are dropped.

    Attributes:
        settings: The arguments, with the n-gram's digest in its place; equal ones decode alike.

    Raises:
        InputError: If an argument makes no sense, or the n-gram does not fit the labels.

    Examples:
        In both frames nothing is more probable than A, but in one of two it is (0.64).

        >>> from streamcell.runtime import Frames
        >>> decoder = BeamCTC(["<blank>", "A"], blank=0, seconds_per_step=0.5)
        >>> decoder.push(Frames(np.log(np.float32([[0.6, 0.4], [0.6, 0.4]])), first=0))
        []
        >>> [(s.label, s.start, s.end) for s in decoder.flush(1.0)]
        [('A', 0.0, 1.0)]
    """

    settings: BeamSettings
    _kind = "ctc-beam"
    _waiting: list[Spoken]  # frames heard, not placed
    _now: int  # the frame that is heard
    _search: Prefixes

    def __init__(
        self,
        labels: Sequence[str],
        blank: int,
        seconds_per_step: float,
        silence: int | None = None,
        *,
        reach: float = 1.0,
        pause: float = 0.09,
        calibration: Sequence[float] = (),
        width: int = 12,
        lm: NGram | None = None,
        lm_weight: float = 0.5,
        prior: float = 0.4,
        bonus: float = 0.0,
        scale: float = 1.0,
        delay: float = 0.75,
        min_prob: float = 0.005,
        max_blank: float = 0.95,
        margin: float = 6.0,
    ) -> None:
        columns, digest = tuple(labels), "" if lm is None else lm.digest
        settings = BeamSettings(
            labels=columns,
            blank=blank,
            seconds_per_step=seconds_per_step,
            silence=silence,
            reach=reach,
            pause=pause,
            calibration=tuple(calibration),
            width=width,
            lm=digest,
            lm_weight=lm_weight,
            prior=prior,
            bonus=bonus,
            scale=scale,
            delay=delay,
            min_prob=min_prob,
            max_blank=max_blank,
            margin=margin,
        )
        skip = (blank,) if silence is None else (blank, silence)
        self._gains = make_gains(columns, lm, lm_weight, prior, bonus, skip)
        self._delay_frames = max(1, round(delay / seconds_per_step))
        super().__init__(settings)

    @property
    def wait(self) -> float:
        """Return the delay after which a label settles at the latest, and the frame that ends the segment before."""
        return (self._delay_frames + 1) * self._seconds

    def read(self, values: NDArray[np.float32]) -> list[_Heard]:
        """Return for each row what `GreedyCTC` reads, the log-probabilities, and which labels may begin."""
        spoken = list(self.spoken(values))
        settings, blank, silence = self.settings, self._blank, self._silence
        log_probs = np.maximum(values, FLOOR).astype(np.float64) * settings.scale
        log_probs -= log_probs.max(1, keepdims=True)
        log_probs -= np.log(np.exp(log_probs).sum(1, keepdims=True))
        peaks = log_probs[np.arange(len(values)), [label for _, label, _ in spoken]]
        if silence is not None:
            log_probs[:, blank] = np.logaddexp(log_probs[:, blank], log_probs[:, silence])
            log_probs[:, silence] = -np.inf
        with np.errstate(divide="ignore"):
            may = log_probs >= np.log(settings.min_prob)
            may[log_probs[:, blank] > np.log(settings.max_blank)] = False
        may[:, blank] = False
        if silence is not None:
            may[:, silence] = False
        rows, columns = may.nonzero()
        shares = np.exp(np.minimum(log_probs[rows, columns] - peaks[rows], 0.0) / settings.scale).tolist()
        ends = np.searchsorted(rows, np.arange(len(values) + 1)).tolist()
        return [
            _Heard(said, row, columns[a:b], shares[a:b])
            for said, row, a, b in zip(spoken, log_probs, ends[:-1], ends[1:], strict=True)
        ]

    def take(self, first: int, origin: float, items: list[_Heard]) -> list[Segment]:
        """Hear frames ``first``, ... as `read` gave them; return what became final."""
        found = [] if self._next == first and self._origin == origin else self._join(first, origin)
        search, waiting, delay = self._search, self._waiting, self._delay_frames
        for frame, item in enumerate(items, first):
            self._now = frame
            waiting.append(item.spoken)
            if len(item.labels):
                search.hear(frame, item.log_probs, item.labels, item.shares)
            else:
                search.wait(item.log_probs)
            found += self._settle(search.settle(frame, delay), search.horizon)
        self._next = first + len(items)
        return found

    def _settle(self, spikes: list[Spike], end: int) -> list[Segment]:
        """Place the frames before ``end``, with spikes at some of them."""
        found: list[Segment] = []
        for spike in spikes:
            found += self._move(spike.frame)
            _, label, confidence = self._waiting.pop(0)
            self._best = self._blank  # another token, even of the same label
            found += self._place(spike.frame, [(spike.label, label, confidence)])
            if self._token:
                self._token.share = spike.share
        return found + self._move(end)

    def _move(self, end: int) -> list[Segment]:
        """Place the frames before ``end``, in which no label but silence begins."""
        first = self._placed
        items = self._waiting[: end - first]
        del self._waiting[: end - first]
        return self._place(first, map(self._after, items)) if items else []

    def _after(self, spoken: Spoken) -> Spoken:
        """Return a frame without its spike, unless that is silence's or the one of the frame before goes on."""
        best, label, confidence = spoken
        return best if best in (self._silence, self._best) else self._blank, label, confidence

    def _age(self, token: Token, seen: int) -> int:  # noqa: ARG002 - frames are placed later than they are heard
        return self._now - token.first

    def _close(self, end: int, end_time: float) -> list[Segment]:
        self._now = end
        return [*self._settle(self._search.finish(), end), *self._end(end, end, end_time)]

    def _clear(self, first: int) -> None:
        super()._clear(first)
        self._now = first
        self._waiting = []
        self._search = Prefixes(self._blank, self._gains, self.settings.width, self.settings.margin, first)

    def _arrays(self) -> dict[str, NDArray[Any]]:
        waiting = np.array(self._waiting, np.float64).reshape(-1, 3)
        return {**super()._arrays(), "waiting": waiting, **self._search.arrays()}

    def _check(self, saved: SavedSpikes, arrays: dict[str, NDArray[Any]]) -> None:
        self._check_spikes(saved, arrays["sums"])
        columns, waiting = len(self._labels), arrays["waiting"]
        most = np.array([columns - 1, columns - 1, 1])
        spoken = waiting.dtype == np.float64 and waiting.ndim == 2 and waiting.shape[1] == 3
        if not (spoken and ((waiting >= 0) & (waiting <= most)).all()):
            raise ValueError(f"{waiting.shape} frames that wait do not fit")
        placed = saved.base + len(arrays["sums"]) - 1
        if placed + len(waiting) != (saved.next or 0):
            raise ValueError(f"{len(waiting)} frames that wait do not fit {saved}")
        search = Prefixes(self._blank, self._gains, self.settings.width, self.settings.margin, placed)
        search.restore(arrays, saved.next or 0)
        self._search, self._now = search, (saved.next or 0) - 1
        self._waiting = [(int(best), int(label), sure) for best, label, sure in waiting.tolist()]
