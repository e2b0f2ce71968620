"""Endless streams for truncated back-propagation, side by side, cut into chunks of equal length without padding.

Each lane is one utterance after another with pauses between them, so that a network which carries its state from chunk
to chunk hears what it will hear in service: speech without beginning or end.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamcell.train.data.augment import Samples, change_recording, coloured_noise
from streamcell.train.data.utterances import Recordings, Utterance
from streamcell.train.recipe import LABELS, AugmentRecipe

SILENCE = LABELS.index("SIL")
_INDEX = {label: i for i, label in enumerate(LABELS)}


@dataclass(frozen=True, slots=True)
class Chunk:
    """What one update hears.

    Attributes:
        samples: float32 `[B, T * samples_per_step]`.
        frames: int64 `[B, T]`, the label at the middle of what each output frame describes (`look_ahead` steps ago).
        tokens: per lane, the labels that end their middle within the chunk.
        fresh: bool `[B]`, true where the lane starts again from the initial state.
    """

    samples: Samples
    frames: NDArray[np.int64]
    tokens: list[list[int]]
    fresh: NDArray[np.bool_]


@dataclass(slots=True)
class _Lane:
    """Samples not yet handed out, and segments `[k, 3]`: start, end, label.

    Start and end count samples from the first one not yet handed out; a segment may begin before it.
    """

    samples: Samples = field(default_factory=lambda: np.zeros(0, np.float32))
    segments: NDArray[np.int64] = field(default_factory=lambda: np.zeros((0, 3), np.int64))


class Lanes:
    """Draws chunks without end, all randomness from `seed`; `state_dict` and `load_state_dict` continue exactly.

    Args:
        utterances: what is heard.
        weights: for each utterance how often a pass hears it (2.5: twice, and half of the time a third time).
        recordings: their samples, same order.
        noises: for augmentation.
        augment: how recordings are changed.
        lanes: streams side by side.
        steps: length of a chunk, steps.
        samples_per_step: samples of one step.
        look_ahead: steps by which outputs come after what they describe.
        reset_share: probability that a lane starts afresh at a chunk.
        seed: of everything random.
        sample_rate: Hz.
    """

    def __init__(
        self,
        utterances: Sequence[Utterance],
        weights: Sequence[float],
        recordings: Recordings,
        noises: Sequence[Samples],
        augment: AugmentRecipe,
        *,
        lanes: int,
        steps: int,
        samples_per_step: int,
        look_ahead: int,
        reset_share: float,
        seed: int,
        sample_rate: int = 16000,
    ) -> None:
        self._utterances, self._weights, self._recordings = utterances, np.asarray(weights), recordings
        self._noises, self._augment, self._sample_rate = noises, augment, sample_rate
        self._steps, self._step, self._delay = steps, samples_per_step, look_ahead * samples_per_step
        self._reset_share = reset_share
        self._rng = np.random.Generator(np.random.PCG64(seed))
        self._lanes = [_Lane() for _ in range(lanes)]
        self._deck: NDArray[np.int64] = np.zeros(0, np.int64)

    def draw(self) -> Chunk:
        """Return the next chunk of every lane."""
        fresh = self._rng.random(len(self._lanes)) < self._reset_share
        cuts = [self._cut(lane, new) for lane, new in zip(self._lanes, fresh.tolist(), strict=True)]
        samples, frames, tokens = zip(*cuts, strict=True)
        return Chunk(np.stack(samples), np.stack(frames), list(tokens), fresh)

    def state_dict(self) -> dict[str, Any]:
        """Return all that decides what comes next; the arrays are shared with this object but never changed by it."""
        return {
            "rng": json.dumps(self._rng.bit_generator.state),
            "deck": self._deck,
            "samples": [lane.samples for lane in self._lanes],
            "segments": [lane.segments for lane in self._lanes],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where `state_dict` was taken."""
        self._rng.bit_generator.state = json.loads(state["rng"])
        self._deck = np.asarray(state["deck"])
        pairs = zip(state["samples"], state["segments"], strict=True)
        self._lanes = [_Lane(np.asarray(samples), np.asarray(segments)) for samples, segments in pairs]

    def _cut(self, lane: _Lane, fresh: bool) -> tuple[Samples, NDArray[np.int64], list[int]]:
        size = self._steps * self._step
        while len(lane.samples) < size:
            self._extend(lane)
        samples, lane.samples = lane.samples[:size], lane.samples[size:]
        frames, tokens = self._targets(lane.segments, size, since=self._delay if fresh else 0)
        ahead = lane.segments[lane.segments[:, 1] + self._delay > size]
        lane.segments = ahead - np.array([size, size, 0])
        return samples, frames, tokens

    def _targets(self, segments: NDArray[np.int64], size: int, since: int) -> tuple[NDArray[np.int64], list[int]]:
        """Return frame labels `[T]` and tokens of a chunk, both later than the sound by the look-ahead.

        What is due before `since` counts as silence: a stream that begins there has not heard it.
        """
        start, end, label = segments[:, 0] + self._delay, segments[:, 1] + self._delay, segments[:, 2]
        middles = np.arange(self._steps) * self._step + self._step // 2
        index = np.searchsorted(end, middles, side="right")
        inside = index < len(label)
        index = np.minimum(index, max(len(label) - 1, 0))
        frames = (
            np.where(inside & (start[index] <= middles), label[index], SILENCE)
            if len(label)
            else np.full(self._steps, SILENCE)
        )
        frames[middles < since] = SILENCE
        heard = np.minimum(end, size) - np.maximum(start, since)
        silence = (label == SILENCE) & (heard >= 3 * self._step)
        middle = (start + end) // 2
        spoken = (label != SILENCE) & (middle >= since) & (middle < size)
        return frames.astype(np.int64), label[silence | spoken].tolist()

    def _extend(self, lane: _Lane) -> None:
        """Append a pause and the next utterance to `lane`."""
        index = self._next()
        samples, factor = change_recording(
            self._recordings[index], self._noises, self._augment, self._sample_rate, self._rng
        )
        pause = self._pause(samples)
        offset = len(lane.samples) + len(pause)
        rows = [
            (round(s / factor * self._sample_rate), round((s + d) / factor * self._sample_rate), _INDEX[p])
            for s, d, p in self._utterances[index].phones
        ]
        spoken = np.array(rows, np.int64).reshape(-1, 3)
        spoken[:, :2] = np.minimum(spoken[:, :2], len(samples)) + offset
        lane.samples = np.concatenate([lane.samples, pause, samples])
        lane.segments = _join_silences(np.concatenate([lane.segments, spoken]), len(lane.samples))

    def _pause(self, samples: Samples) -> Samples:
        """Return a pause of random length, coloured noise as loud as the quiet parts of `samples`."""
        length = int(self._rng.uniform(*self._augment.pause_s) * self._sample_rate)
        blocks = samples[: len(samples) // 400 * 400].reshape(-1, 400)
        quiet = float(np.quantile(blocks.std(axis=1), 0.05)) if len(blocks) else 0.0
        noise = coloured_noise(length, self._rng) if length else np.zeros(0, np.float32)
        return noise * np.float32(quiet / max(float(noise.std()) if length else 1.0, 1e-9))

    def _next(self) -> int:
        """Return the next utterance of the pass; a new pass is shuffled anew."""
        while not len(self._deck):
            copies = np.floor(self._weights + self._rng.random(len(self._weights))).astype(np.int64)
            self._deck = self._rng.permutation(np.repeat(np.arange(len(copies)), copies))
        index, self._deck = int(self._deck[0]), self._deck[1:]
        return index


def _join_silences(segments: NDArray[np.int64], end: int) -> NDArray[np.int64]:
    """Return `segments` up to `end` without gaps: what none covers is silence, and neighbouring silences are one."""
    joined: list[tuple[int, int, int]] = []

    def add(start: int, stop: int, label: int) -> None:
        if label == SILENCE and joined and joined[-1][2] == SILENCE:
            start = joined.pop()[0]
        if stop > start:
            joined.append((start, stop, label))

    for start, stop, label in [*segments.tolist(), (end, end, SILENCE)]:
        add(joined[-1][1] if joined else min(start, 0), start, SILENCE)
        add(start, stop, label)
    return np.array(joined, np.int64).reshape(-1, 3)
