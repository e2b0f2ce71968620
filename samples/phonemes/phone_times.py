"""When each phone of synthetic speech is heard, from the durations that the network gave its tokens."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

LATE = 0.045  # s, by which durations run behind the sound
PAUSE = 0.15  # s; what is shorter between two words is the end of the first
SHORTEST = 0.02  # s, of a phone
BLOCK = 0.01  # s
FAINT = 35.0  # dB below the whole recording: no sound of speech

Phones = list[tuple[float, float, str]]
"""Start in seconds, duration in seconds, label."""


def times(phones: Sequence[str], owners: Sequence[int], durations: NDArray[np.float64], length: float) -> Phones:
    """Return when each phone is heard in a recording of `length` seconds, with the pauses.

    Args:
        phones: in their order.
        owners: for each token which phone it belongs to, -1 for none.
        durations: of a pause, of each token, of a pause, in seconds.
        length: of all, in seconds.
    """
    ends = np.cumsum(durations) - LATE
    starts = ends - durations
    found: Phones = []
    before = 0.0  # where the last one ends
    for index, phone in enumerate(phones):
        mine = [1 + i for i, owner in enumerate(owners) if owner == index]  # token 0 is a pause
        begin = max(float(starts[mine[0]]), before + (0 if found else SHORTEST))
        if not found or begin - before >= PAUSE:
            found.append((before, begin - before, "SIL"))
        else:
            start, _, label = found[-1]
            found[-1] = (start, begin - start, label)
        before = max(float(ends[mine[-1]]), begin + SHORTEST)
        found.append((begin, before - begin, phone))
    if length - before >= SHORTEST:
        found.append((before, length - before, "SIL"))
    return [(round(start, 3), round(duration, 3), label) for start, duration, label in found]


def end_with_sound(phones: Phones, sound: NDArray[np.float32], rate: int) -> Phones:
    """Return phones of which none outlasts its sound into a pause: the network's last ones do, by 0.28 s (median).

    Args:
        phones: with their pauses.
        sound: `[n]`, without noise.
        rate: of it, Hz.
    """
    step = round(BLOCK * rate)
    blocks = sound[: len(sound) // step * step].reshape(-1, step)
    loud = (blocks**2).mean(axis=1) > (sound**2).mean() * 10 ** (-FAINT / 10)
    found: Phones = []
    before = 0.0
    for index, (start, duration, label) in enumerate(phones):
        begin = before if label == "SIL" else start
        end = start + duration
        if label != "SIL" and index + 1 < len(phones) and phones[index + 1][2] == "SIL":
            heard = np.flatnonzero(loud[round(start / BLOCK) : round(end / BLOCK)])
            last = (round(start / BLOCK) + heard[-1] + 1) * BLOCK if len(heard) else start
            end = float(min(max(last, start + SHORTEST), end))
        found.append((round(begin, 3), round(end - begin, 3), label))
        before = end
    return found
