"""One stream of an hour: does the model stay right, does memory stay flat? Prints figures, asserts nothing.

    python tests/benchmarks/endurance.py DATA/speech/librispeech/dev --minutes 60

Streams recordings of the corpus without a pause or a reset: the same ten minutes first and last, others between. Prints
resident memory along the way and the phone error rate of both ends.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from streamcell.runtime import Event, Model, Segment, Stream
from streamcell.train.data.utterances import Recordings, Utterance, read_corpus
from streamcell.train.metrics import error_rate


def memory_mb() -> float:
    """Return this process's resident memory in MB."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * 4096 / 1e6


def take(order: Iterable[int], recordings: Recordings, minutes: float) -> list[int]:
    """Return the first of `order` that together last `minutes`."""
    chosen: list[int] = []
    left = minutes * 60 * 16000
    for index in order:
        if left <= 0:
            break
        chosen.append(index)
        left -= len(recordings[index])
    return chosen


def phones(events: Sequence[Event]) -> list[str]:
    """Return the final phones among `events`, pauses left out."""
    return [e.label for e in events if isinstance(e, Segment) and e.final and e.label != "SIL"]


def hear(stream: Stream, recordings: Recordings, order: Sequence[int]) -> list[str]:
    """Push recordings in blocks of 30 ms, print memory each five minutes, return the phones heard."""
    heard: list[str] = []
    for index in order:
        before = stream.time
        samples = recordings[index]
        for start in range(0, len(samples), 480):
            heard += phones(stream.push(samples[start : start + 480]))
        if before // 300 != stream.time // 300 or before < 60 <= stream.time:
            print(f"{stream.time / 60:5.1f} minutes: {memory_mb():.2f} MB resident", flush=True)
    return heard


def spoken(utterances: Sequence[Utterance], order: Sequence[int]) -> list[str]:
    """Return the phones that the corpus says are spoken."""
    return [label for index in order for _, _, label in utterances[index].phones if label != "SIL"]


def main() -> None:
    """Parse, stream, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path, help="folder with utterances.jsonl")
    parser.add_argument("--minutes", type=float, default=60, help="length of the stream (default: 60)")
    parser.add_argument("--ends", type=float, default=10, help="length of the first and last part (default: 10)")
    args = parser.parse_args()
    utterances = read_corpus(args.corpus.parent, args.corpus.name)
    with tempfile.TemporaryDirectory() as cache:
        recordings = Recordings([one.audio for one in utterances], 16000, Path(cache))
        order = np.random.default_rng(1).permutation(len(utterances)).tolist()
        ends = take(order, recordings, args.ends)
        others = take(order[len(ends) :] * 1000, recordings, args.minutes - 2 * args.ends)
        stream = Stream(Model.open())
        first = hear(stream, recordings, ends)
        hear(stream, recordings, others)
        last = hear(stream, recordings, ends) + phones(stream.flush())
    reference = spoken(utterances, ends)
    rates = [100 * error_rate(reference, heard).rate for heard in (first, last)]
    print(f"{stream.time / 60:.1f} minutes in one stream; phone error rate of the first {args.ends:g} minutes")
    print(f"{rates[0]:.2f}%, of the same recordings at the end {rates[1]:.2f}%")


if __name__ == "__main__":
    main()
