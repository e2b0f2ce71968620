"""CTC prefix beam search, one frame at a time, all prefixes of a beam at once."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamcell.runtime.decode.gains import Gains
from streamcell.runtime.decode.spikes import Spike

__all__ = ["Prefixes"]

_Numbers = NDArray[np.float64]
_Places = tuple[Spike, ...]

_LEAST = -1e300  # of a score: what cannot be has -inf


class Prefixes:
    """Search the most probable labels given all frames so far (Graves et al., 2006; Hannun et al., 2014).

    The probability of labels is the sum over all ways to spread them over the frames: each label for one frame or more,
    blanks between, at least one blank between equal ones. A beam holds the best such prefixes; for each, the
    probability of the ways that end with a blank, and of those that end with its last label. Scores are probabilities
    times what `Gains` says, as logarithms.

    Where a label is, is taken from the one way that brought most when it was heard.

    Where a label has several forms (see `Gains`), prefixes are of forms, which sound alike.

    Args:
        blank: Its column.
        gains: What labels add.
        width: How many prefixes are kept.
        margin: Prefixes whose score is that much (nats) below the best one's are dropped.
        first: The first frame.

    Attributes:
        horizon: No label will be settled any more before this frame.
    """

    horizon: int

    def __init__(self, blank: int, gains: Gains, width: int, margin: float, first: int = 0) -> None:
        self._blank, self._gains, self._width, self._margin = blank, gains, width, margin
        self._columns = gains.columns
        self._slot = np.full(len(gains.columns), -1, np.int64)  # of each token among those of a frame
        self.horizon = first
        self._at_blank: _Numbers = np.zeros(1)
        self._at_label: _Numbers = np.full(1, -np.inf)
        self._context = np.array([gains.start], np.int64)
        self._last = np.array([blank], np.int64)  # token
        self._prefixes: list[tuple[int, ...]] = [()]
        self._places: list[_Places] = [()]

    @property
    def scores(self) -> dict[tuple[int, ...], float]:
        """Return the score of each prefix that is kept, by its tokens that have not settled."""
        total = np.logaddexp(self._at_blank, self._at_label)
        return dict(zip(self._prefixes, total.tolist(), strict=True))

    def wait(self, log_probs: _Numbers) -> None:
        """Hear a frame in which no new label begins, `[C]`."""
        total = np.logaddexp(self._at_blank, self._at_label)
        self._at_label = self._at_label + log_probs[self._columns[self._last]]
        self._at_blank = total + log_probs[self._blank]

    def hear(self, frame: int, log_probs: _Numbers, labels: NDArray[np.int64], shares: Sequence[float]) -> None:
        """Hear a frame in which some labels may begin.

        Args:
            frame: Its number.
            log_probs: `[C]`.
            labels: `[K]`, which may begin.
            shares: `[K]`, for their `Spike`.
        """
        total = np.logaddexp(self._at_blank, self._at_label)
        tokens, share = self._tokens(labels, shares)
        columns, last = self._columns[tokens], self._columns[self._last]
        more = self._gains.scores[self._context[:, None], tokens] + log_probs[columns]
        # a label again, in whatever form: only behind a blank
        more += np.where(columns == last[:, None], self._at_blank[:, None], total[:, None])
        self._slot[tokens] = np.arange(len(tokens))
        again = self._slot[self._last]
        at_blank = total + log_probs[self._blank]
        at_label = self._at_label + log_probs[last]
        spikes = [Spike(frame, *spike) for spike in zip(tokens.tolist(), share, strict=True)]
        places = self._merge(more, at_blank, at_label, spikes, again)
        self._slot[tokens] = -1
        self._keep(more, at_blank, at_label, spikes, places, tokens)

    def _tokens(self, labels: NDArray[np.int64], shares: Sequence[float]) -> tuple[NDArray[np.int64], Sequence[float]]:
        """Return the tokens of labels, and the share of each."""
        if len(self._columns) == self._columns[-1] + 1:  # one form each
            return labels, shares
        share = np.full(self._columns.max() + 1, -1.0)
        share[labels] = shares
        share = share[self._columns]
        tokens = np.flatnonzero(share >= 0)
        return tokens, share[tokens].tolist()

    def _merge(
        self, more: _Numbers, at_blank: _Numbers, at_label: _Numbers, spikes: list[Spike], again: NDArray[np.int64]
    ) -> list[_Places]:
        """Move what grows into a prefix that is there already; return where the prefixes' labels are now."""
        found = {prefix: row for row, prefix in enumerate(self._prefixes)}
        slots = again.tolist()
        pairs = [
            (found[prefix[:-1]], row, slots[row])
            for row, prefix in enumerate(self._prefixes)
            if slots[row] >= 0 and prefix and prefix[:-1] in found
        ]
        if not pairs:
            return self._places
        before, after, slot = np.array(pairs).T
        mass = more[before, slot]
        better = (mass > np.logaddexp(at_blank[after], at_label[after])).tolist()
        at_label[after] = np.logaddexp(at_label[after], mass)
        more[before, slot] = -np.inf
        places = list(self._places)
        for (i, j, k), moves in zip(pairs, better, strict=True):
            if moves:
                places[j] = (*self._places[i], spikes[k])
        return places

    def _keep(
        self,
        more: _Numbers,
        at_blank: _Numbers,
        at_label: _Numbers,
        spikes: list[Spike],
        places: list[_Places],
        tokens: NDArray[np.int64],
    ) -> None:
        """Keep the best of the prefixes as they are and of those that have grown."""
        old, grows = len(at_blank), more.ravel()
        score = np.concatenate((np.logaddexp(at_blank, at_label), grows))
        best = np.argsort(-score, kind="stable")[: self._width]
        best = best[score[best] >= max(score[best[0]] - self._margin, _LEAST)]
        grown = best >= old
        row, slot = np.divmod(best - old, len(tokens))
        row = np.where(grown, row, best)
        token = tokens[slot]
        self._at_blank = np.where(grown, -np.inf, at_blank[row])
        self._at_label = np.concatenate((at_label, grows))[best]
        context = self._context[row]
        self._context = np.where(grown, self._gains.follow(context, token), context)
        self._last = np.where(grown, token, self._last[row])
        prefixes = self._prefixes
        chosen = list(zip(grown.tolist(), row.tolist(), slot.tolist(), strict=True))
        before = self._places  # what grows left its prefix before this frame moved it
        self._prefixes = [(*prefixes[i], spikes[k].label) if new else prefixes[i] for new, i, k in chosen]
        self._places = [(*before[i], spikes[k]) if new else places[i] for new, i, k in chosen]

    def settle(self, frame: int, delay: int) -> list[Spike]:
        """Return labels that all prefixes agree on, now that ``frame`` was heard; they are told once.

        What is ``delay`` frames old settles as the best prefix has it; prefixes that have it otherwise are dropped.
        """
        found = self._common()
        if self._first(frame + 1) <= frame - delay:
            self._force(frame - delay)
            found += self._common()
        self.horizon = self._first(frame + 1)
        return found

    def finish(self) -> list[Spike]:
        """Return the labels of the best prefix that have not settled, now that the utterance ends."""
        total = np.logaddexp(self._at_blank, self._at_label) + self._gains.ends[self._context]
        return self._told(self._places[int(total.argmax())])

    def _first(self, end: int) -> int:
        """Return the first frame before ``end`` that has a label that has not settled, or ``end``."""
        return min(places[0].frame if places else end for places in self._places)

    def _common(self) -> list[Spike]:
        """Take away the tokens that all prefixes begin with; of their places, the first."""
        found: list[Spike] = []
        while (label := self._prefixes[0][:1]) and all(prefix[:1] == label for prefix in self._prefixes):
            found.append(min(places[0] for places in self._places))
            self._prefixes = [prefix[1:] for prefix in self._prefixes]
            self._places = [places[1:] for places in self._places]
        return self._told(found)

    def _told(self, spikes: Sequence[Spike]) -> list[Spike]:
        """Return spikes by their labels' columns."""
        return [spike._replace(label=int(self._columns[spike.label])) for spike in spikes]

    def _force(self, latest: int) -> None:
        """Drop prefixes whose labels up to a frame are not the best one's."""
        ages = [sum(spike.frame <= latest for spike in places) for places in self._places]
        best = int(np.logaddexp(self._at_blank, self._at_label).argmax())
        old = self._prefixes[best][: ages[best]]
        rows = [row for row, prefix in enumerate(self._prefixes) if prefix[: ages[row]] == old]
        self._at_blank, self._at_label = self._at_blank[rows], self._at_label[rows]
        self._context, self._last = self._context[rows], self._last[rows]
        self._prefixes = [self._prefixes[row] for row in rows]
        self._places = [self._places[row] for row in rows]

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return all of it, for `restore`."""
        spikes = [spike for places in self._places for spike in places]
        return {
            "at_blank": self._at_blank,
            "at_label": self._at_label,
            "context": self._context,
            "last": self._last,
            "lengths": np.array([len(places) for places in self._places], np.int64),
            "frames": np.array([spike.frame for spike in spikes], np.int64),
            "labels": np.array([spike.label for spike in spikes], np.int64),
            "shares": np.array([spike.share for spike in spikes], np.float64),
        }

    def restore(self, arrays: Mapping[str, NDArray[Any]], end: int) -> None:
        """Go on where `arrays` was called, on a search of the same arguments that begins at the horizon.

        Args:
            arrays: As returned.
            end: The frame that is heard next.

        Raises:
            KeyError: If an array is missing.
            ValueError: If they contradict each other.
        """
        kinds = {name: (array.dtype, 1) for name, array in self.arrays().items()}
        if any((arrays[name].dtype, arrays[name].ndim) != kind for name, kind in kinds.items()):
            raise ValueError(f"expected arrays {kinds}")
        self._check_arrays(arrays)
        self._at_blank, self._at_label = arrays["at_blank"], arrays["at_label"]
        self._context, self._last = arrays["context"], arrays["last"]
        parts = (arrays[name].tolist() for name in ("frames", "labels", "shares"))
        heard = [Spike(*spike) for spike in zip(*parts, strict=True)]
        cuts = [0, *np.cumsum(arrays["lengths"]).tolist()]
        self._places = [tuple(heard[a:b]) for a, b in pairwise(cuts)]
        self._prefixes = [tuple(spike.label for spike in places) for places in self._places]
        self._check_rows(end)

    def _check_arrays(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        rows, spikes = len(arrays["lengths"]), len(arrays["labels"])
        sizes = [len(arrays[name]) for name in ("at_blank", "at_label", "context", "last", "frames", "shares")]
        if sizes != [rows] * 4 + [spikes] * 2 or not 0 < rows <= self._width or arrays["lengths"].sum() != spikes:
            raise ValueError(f"{rows} prefixes of {spikes} labels do not fit arrays of {sizes}")
        most = {"context": len(self._gains.ends), "last": len(self._slot), "labels": len(self._slot), "shares": 1.001}
        fits = all(((arrays[name] >= 0) & (arrays[name] < limit)).all() for name, limit in most.items())
        with np.errstate(invalid="ignore"):
            score = np.logaddexp(arrays["at_blank"], arrays["at_label"])
        if not (fits and (arrays["lengths"] >= 0).all() and np.isfinite(score).all()):
            raise ValueError("scores, labels, contexts, lengths or shares are out of range")

    def _check_rows(self, end: int) -> None:
        for prefix, places, last in zip(self._prefixes, self._places, self._last.tolist(), strict=True):
            frames = [self.horizon - 1, *(spike.frame for spike in places), end]
            if (prefix and prefix[-1] != last) or self._blank in prefix or any(a >= b for a, b in pairwise(frames)):
                raise ValueError(f"{places} do not fit frames {self.horizon} to {end}")
        if len(set(self._prefixes)) != len(self._prefixes):
            raise ValueError("a prefix is there twice")
