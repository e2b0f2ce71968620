"""From CTC spikes to segments: what greedy and beam search share."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from streamcell.runtime.decode.decoder import LARGEST, Decoder
from streamcell.runtime.errors import InputError
from streamcell.runtime.events import Segment
from streamcell.runtime.frames import check_finite

__all__ = ["FLOOR", "SavedSpikes", "Spike", "SpikeSettings", "Spikes", "Spoken", "Token"]

FLOOR = np.float32(-1e4)
"""Of log-probabilities, so that -inf may come."""

_BRIDGE = 0.08  # s; frames of other labels between two tokens, if no more than that, belong to the second

_EDGE = 1e-6  # confidences are calibrated as if they were at least that far from 0 and 1

Spoken = tuple[int, int, float]
"""Of a frame: the label of its spike, or blank; the best label without the blank; its probability without the blank."""


class Spike(NamedTuple):
    """Say that a token is at a frame, and how probable its label is there beside the best one, from 0 to 1."""

    frame: int
    label: int
    share: float


@dataclass(slots=True)
class Token:
    """Hold a token whose end may still move: its spike was heard, its run goes on."""

    id: int
    label: int
    start: int  # frame
    own: int  # first frame of its run, if not too far back; start, but where other labels lie between
    first: int  # first frame of the spike
    last: int  # last frame of the spike
    before: float  # sum of confidences before `own`
    share: float = 1.0  # of its label beside the run's


@dataclass(frozen=True, slots=True)
class SavedSpikes:
    """Hold what every decoder of task "ctc" saves, beside arrays."""

    next: int | None
    origin: float
    best: int
    label: int
    run: int
    ended: int | None
    base: int
    count: int
    token: Token | None


@dataclass(frozen=True, slots=True)
class SpikeSettings:
    """Hold what every decoder of task "ctc" is made with; its attributes are described at `GreedyCTC`.

    Raises:
        InputError: If a value makes no sense.
    """

    labels: tuple[str, ...]
    blank: int
    seconds_per_step: float
    silence: int | None
    reach: float
    pause: float
    calibration: tuple[float, ...]

    def __post_init__(self) -> None:
        columns = len(self.labels)
        if not 0 <= self.blank < columns or columns < 2:
            raise InputError(f"blank must be one of {columns} columns, with a label beside it; got {self.blank}")
        if self.silence is not None and (self.silence == self.blank or not 0 <= self.silence < columns):
            raise InputError(
                f"silence must be another of {columns} columns than the blank, {self.blank}; got {self.silence}"
            )
        if not min(self.seconds_per_step, self.reach, self.pause) > 0:
            raise InputError(
                f"expected lengths above 0 s, got {self.seconds_per_step}, reach {self.reach}, pause {self.pause}"
            )
        known = all(isinstance(number, int | float) and math.isfinite(number) for number in self.calibration)
        if not known or len(self.calibration) not in (0, 2) or (self.calibration and self.calibration[0] <= 0):
            raise InputError(f"calibration must be a slope above 0 and an offset, got {self.calibration!r:.80}")

    def calibrated(self, confidence: float) -> float:
        """Return what a raw confidence is worth (Platt, 1999): a logistic function of its logit; itself without."""
        if not self.calibration:
            return confidence
        slope, offset = self.calibration
        odds = min(max(confidence, _EDGE), 1 - _EDGE)
        return 1 / (1 + math.exp(-slope * math.log(odds / (1 - odds)) - offset))


class Spikes(Decoder):
    """Turn spikes, placed frame by frame, into segments; which spikes there are is a child's affair.

    `GreedyCTC` describes the segments. A child may place frames later than it hears them.
    """

    settings: SpikeSettings
    _saved = SavedSpikes
    _best: int  # of the frame before
    _label: int  # best without the blank, of the frame before
    _run: int  # where the run of that label began
    _ended: int | None  # where the last token ended, if no silence was best since
    _token: Token | None
    _sums: list[float]  # of the confidences before frames _base, _base + 1, ... up to the frame placed next
    _base: int

    def __init__(self, settings: SpikeSettings) -> None:
        self.settings = settings
        self._labels, self._seconds = settings.labels, settings.seconds_per_step
        self._blank, self._silence = settings.blank, settings.silence
        self._pause_frames = max(1, round(settings.pause / self._seconds))
        self._reach_frames = max(1, round(settings.reach / self._seconds))
        self._bridge_frames = round(_BRIDGE / self._seconds)
        self.reset()

    def spoken(self, values: NDArray[np.float32]) -> Iterable[Spoken]:
        """Return for each row the best label, the best without the blank, and its probability without the blank.

        Args:
            values: `[N, C]`, logits or log-probabilities.

        Raises:
            InputError: If the shape does not fit.
            ModelError: If there are values that are not finite.
        """
        if values.ndim != 2 or values.shape[1] != len(self._labels):
            raise InputError(f"expected frames [T, {len(self._labels)}], got {list(values.shape)}")
        best = values.argmax(1)
        spoken = np.maximum(values, FLOOR)
        spoken[:, self._blank] = -np.inf
        label = spoken.argmax(1)
        spoken -= spoken[np.arange(len(label)), label][:, None]
        confidence: list[float] = (1.0 / np.exp(spoken, out=spoken).sum(1, dtype=np.float64)).tolist()
        if not math.isfinite(sum(confidence)):
            check_finite(values)
        return zip(best.tolist(), label.tolist(), confidence, strict=True)

    def partial(self) -> list[Segment]:
        """Return the token that goes on, if any."""
        token, end = self._token, self._placed
        return [] if token is None else [self._segment(token, end, end - 1, final=False)]

    @property
    def _placed(self) -> int:
        """The frame that is placed next."""
        return self._base + len(self._sums) - 1

    def _place(self, first: int, items: Iterable[Spoken]) -> list[Segment]:
        """Place frames ``first``, ...; return what became final."""
        found: list[Segment] = []
        blank, silence, pause, sums = self._blank, self._silence, self._pause_frames - 1, self._sums
        total = sums[-1]
        for frame, (best, label, confidence) in enumerate(items, first):
            total += confidence
            sums.append(total)
            if label != self._label:
                found += self._end(frame, frame)
                self._label, self._run = label, frame
                if label == silence:
                    self._ended = None
            if best != blank:
                found += self._spike(frame, best)
                self._best = best
                continue
            self._best = blank
            if label == silence and frame - self._run >= pause:
                found += self._spike(frame, label)
        self._trim()
        return found

    def _arrays(self) -> dict[str, NDArray[Any]]:
        return {"sums": np.array(self._sums, np.float64)}

    def _check_spikes(self, saved: SavedSpikes, sums: NDArray[Any]) -> None:
        """Raise `ValueError` where what was saved cannot be gone on from; take over the sums."""
        token, columns = saved.token, len(self._labels)
        end = saved.base + len(sums) - 1
        frames = 0 <= saved.base <= max(saved.run, end - self._reach_frames) and saved.run <= end < LARGEST
        ended = saved.ended is None or 0 <= saved.ended <= (end if token else saved.run)
        answers = 0 <= saved.best < columns and -1 <= saved.label < columns and 0 <= saved.count < LARGEST
        spike = token is None or (
            0 <= token.label < columns
            and 0 <= token.start <= token.own <= token.first <= token.last < end
            and token.id >= 0
            and 0 <= token.share <= 1
        )
        numbers = np.array([saved.origin, token.before if token else 0.0, *sums])
        fits = sums.dtype == np.float64 and sums.ndim == 1 and np.isfinite(numbers).all()
        if not (frames and ended and answers and spike and fits):
            raise ValueError(f"{saved} and {sums.shape} sums contradict each other")
        self._sums = sums.tolist()

    def _earliest(self, end: int) -> float:  # noqa: ARG002 - frames that are not placed yet begin nothing earlier
        if self._token:
            return self._time(self._token.start)
        return self._time(max(self._bridged(), self._placed - self._reach_frames))

    def _begin(self) -> None:
        super()._begin()
        self._best = self._blank

    def _clear(self, first: int) -> None:
        self._base, self._label, self._run = first, -1, first
        self._token, self._ended, self._sums = None, None, [0.0]

    def _bridged(self) -> int:
        """Return where a token of the run that goes on begins, if it is the first there and not too far back."""
        if self._ended is None or self._run - self._ended > self._bridge_frames:
            return self._run
        return self._ended

    def _spike(self, frame: int, best: int) -> list[Segment]:
        """Take a frame in which a label is best, or counts as best; return the token that it ends."""
        token, found = self._token, []
        again = best == self._best or (best == self._silence and token is not None and token.label == best)
        if not again:
            own = max(self._run, frame - self._reach_frames)
            start = max(self._bridged(), frame - self._reach_frames)
            if token:
                start = own = max(own, (token.last + 1 + frame) // 2)
                found = self._end(own, frame)
            before = self._sums[own - self._base]
            self._token = Token(self._count, best, start, own, frame, frame, before)
            self._count += 1
        elif token:
            token.last = frame
        return found

    def _end(self, end: int, seen: int, end_time: float = np.inf) -> list[Segment]:
        """End the token that goes on, now that frame ``seen`` is known."""
        if self._token is None:
            return []
        token, self._token = self._token, None
        self._ended = None if self._silence in (token.label, self._label) else end
        return [self._segment(token, end, seen, final=True, end_time=end_time)]

    def _age(self, token: Token, seen: int) -> int:
        """Return the revision of what is said of a token, now that frame ``seen`` is known."""
        return seen - token.first

    def _segment(self, token: Token, end: int, seen: int, *, final: bool, end_time: float = np.inf) -> Segment:
        mean = (self._sums[end - self._base] - token.before) / (end - token.own)
        confidence = self.settings.calibrated(min(1.0, mean) * token.share)
        start_time, stop_time = min(self._time(token.start), end_time), min(self._time(end), end_time)
        label, revision = self._labels[token.label], self._age(token, seen)
        return Segment(label, start_time, stop_time, confidence, final, token.id, revision)

    def _trim(self) -> None:
        """Forget sums that no start can reach any more."""
        old = len(self._sums) - 1 - self._reach_frames
        if old > 0:
            del self._sums[:old]
            self._base += old
