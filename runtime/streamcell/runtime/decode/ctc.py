"""Greedy CTC with real durations, as a stream."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamcell.runtime.decode.spikes import SavedSpikes, Spikes, SpikeSettings, Spoken
from streamcell.runtime.events import Segment

__all__ = ["GreedyCTC"]


class GreedyCTC(Spikes):
    """Turn frames into segments, as soon as they can be known.

    Tokens are greedy CTC's (Graves et al., 2006): the best label of each frame, repeats merged, blanks dropped. CTC
    spikes are narrow, so times come from elsewhere: our networks also train the softmax without the blank as a
    classifier of frames. The *run* of a frame is the stretch around it in which the same label is best without the
    blank. A token lasts from the beginning of the run of its spike (but not from more than ``reach`` before it) to the
    end of the run; two spikes in one run share it at the midpoint between them. Where 0.08 s at most lie between it and
    the token before, in which other labels lead but silence does not, it lasts from the end of that one. Its confidence
    is the mean over the frames of its run of P(label | not blank), calibrated if asked for. Silence is a label like any
    other, but needs no spike: a run of it that lasts for ``pause`` is one token, with or without. The sequence of the
    other labels stays greedy CTC's.

    A token is told as a partial segment with every push until its run ends, then once as a final one. Revisions rise,
    but not by one: they count frames since the spike began, so that finals are the same for any cutting of the frames.

    Args:
        labels: Name of each column.
        blank: The blank's column.
        seconds_per_step: Length of a frame.
        silence: The column of the label that stands for a pause, or None.
        reach: Seconds; also bounds the memory.
        pause: Seconds, the shortest pause that needs no spike.
        calibration: Slope and offset that make of a confidence c the share of right tokens among those as sure:
            ``1 / (1 + exp(-slope * log(c / (1 - c)) - offset))``; none leave it as it is.

    Attributes:
        settings: The arguments; equal ones decode alike.

    Raises:
        InputError: If an argument makes no sense.

    Examples:
        Spikes at frames 1 (A) and 4 (B); without the blank, A is best in frames 0 to 2, B in 3 to 4.

        >>> from streamcell.runtime import Frames
        >>> best = [[0.6, 0.3, 0.1], [0.1, 0.8, 0.1], [0.6, 0.3, 0.1], [0.6, 0.1, 0.3], [0.1, 0.1, 0.8]]
        >>> decoder = GreedyCTC(["<blank>", "A", "B"], blank=0, seconds_per_step=0.5)
        >>> found = decoder.push(Frames(np.log(np.float32(best)), first=0))
        >>> [(s.label, s.start, s.end, s.final) for s in found]
        [('A', 0.0, 1.5, True), ('B', 1.5, 2.5, False)]
        >>> [(s.label, s.start, s.end, s.final) for s in decoder.flush(2.5)]
        [('B', 1.5, 2.5, True)]
    """

    _kind = "ctc"

    def __init__(
        self,
        labels: Sequence[str],
        blank: int,
        seconds_per_step: float,
        silence: int | None = None,
        reach: float = 1.0,
        pause: float = 0.09,
        calibration: Sequence[float] = (),
    ) -> None:
        columns = tuple(labels)
        super().__init__(SpikeSettings(columns, blank, seconds_per_step, silence, reach, pause, tuple(calibration)))

    @property
    def wait(self) -> float:
        """Return the length of a frame: the first in which another label leads ends a segment."""
        return self._seconds

    def read(self, values: NDArray[np.float32]) -> list[Spoken]:
        """Return for each row the best label, the best without the blank, and its probability without the blank."""
        return list(self.spoken(values))

    def take(self, first: int, origin: float, items: list[Spoken]) -> list[Segment]:
        """Hear frames ``first``, ... as `read` gave them; return what became final."""
        found = [] if self._next == first and self._origin == origin else self._join(first, origin)
        found += self._place(first, items)
        self._next = first + len(items)
        return found

    def _check(self, saved: SavedSpikes, arrays: dict[str, NDArray[Any]]) -> None:
        if (saved.next or 0) != saved.base + len(arrays["sums"]) - 1:
            raise ValueError(f"{saved} and {arrays['sums'].shape} sums contradict each other")
        self._check_spikes(saved, arrays["sums"])

    def _close(self, end: int, end_time: float) -> list[Segment]:
        return self._end(end, end, end_time)
