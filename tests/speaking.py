"""Log-probabilities as of someone who speaks, for the tests of words."""

import numpy as np
from numpy.typing import NDArray

from helpers import LABELS
from streamcell.runtime.manifest import OutputSpec
from streamcell.runtime.words import Lexicon

STEP = 0.03
OUTPUT = OutputSpec("logits", "logits", LABELS, 0, "SIL", STEP)
WORDS = Lexicon.of(["/S AA/", "/B AA K/", "/K K AA/", "/AA B AA/"])


def spoken(frames: int, seed: int) -> NDArray[np.float32]:
    """Draw words of `WORDS`, other phones and pauses, with noise: logits `[frames, C]`."""
    random = np.random.default_rng(seed)
    values = random.normal(0, 1.5, (frames, len(LABELS))).astype(np.float32)
    frame = 2
    while frame < frames - 30:
        entry = WORDS.entries[random.integers(len(WORDS.entries))]
        phones = [phone for word in entry.ways[0] for phone in word]
        if random.random() < 0.3:
            phones = [str(phone) for phone in random.choice(LABELS[2:], 3)]
        for phone in phones:
            long = int(random.integers(2, 5))
            values[frame : frame + long, LABELS.index(phone)] += 5
            values[frame : frame + 1, LABELS.index(phone)] += 4
            values[frame + 1 : frame + long, 0] += 9
            frame += long
        pause = int(random.choice([0, 2, 15]))
        values[frame : frame + pause, :2] += 7
        frame += pause
    values[frame:, :2] += 7
    return values
