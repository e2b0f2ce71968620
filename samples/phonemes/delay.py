"""How long after a phone sounds the stream says it for good, in seconds of sound.

    python samples/phonemes/delay.py DATA/speech/speechocean762/dev
    python samples/phonemes/delay.py DATA/speech/librispeech/train --recipe samples/phonemes/recipe.toml --rate 48000

Each recording is pushed into a live `Stream` in blocks of 10 ms, with a second of silence behind it. The delay of a
phone is the stream's time when the final segment came, less the time at which the corpus says that the phone began, was
at its middle, or ended; only phones that were heard right count. `streamcell inspect` says what the delay is made of.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from streamcell.runtime import Model, Segment, Stream
from streamcell.runtime.delay import delay_of
from streamcell.runtime.phones import SILENCE
from streamcell.train.data.utterances import Utterance, read_audio, to_float
from streamcell.train.metrics import align
from streamcell.train.phone_scoring import choose, pair

PLACES = {"start": 0.0, "middle": 0.5, "end": 1.0}


def finals(stream: Stream, samples: NDArray[np.float32]) -> Iterator[tuple[Segment, float, float]]:
    """Push 10 ms at a time; yield each final phone, and the stream's times when it was first told and when for good."""
    block, told = stream.sample_rate // 100, dict[int, float]()
    heard = np.concatenate([samples, np.zeros(stream.sample_rate, np.float32)])
    for begin in range(0, len(heard) - block + 1, block):
        for event in stream.push(heard[begin : begin + block]):
            if isinstance(event, Segment) and event.label != SILENCE:
                told.setdefault(event.id, stream.time)
                if event.final:
                    yield event, told[event.id], stream.time


def measure(model: Model, utterance: Utterance, rate: int) -> Iterator[tuple[float, float, float, float]]:
    """Yield start, end, first and final event of each phone that was heard right, in seconds."""
    samples = to_float(read_audio(utterance.audio, rate))
    told = list(finals(Stream(model, rate), samples))
    both = pair(utterance, [segment for segment, _, _ in told])
    for i, j in align(*both.labels):
        if i is not None and j is not None and both.spoken[i][2] == both.heard[j][2]:
            start, duration, _ = both.spoken[i]
            yield start, start + duration, *told[j][1:]


def main() -> None:
    """Parse, stream, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpora", nargs="+", type=Path, help="folders with utterances.jsonl")
    parser.add_argument("--model", help="name or file (default: the model that comes along)")
    parser.add_argument("--recipe", type=Path, help="hear only the speakers that this recipe holds out")
    parser.add_argument("--utterances", type=int, help="so many of each folder (default: all)")
    parser.add_argument("--rate", type=int, default=16000, help="of the source, Hz (default: 16000)")
    parser.add_argument("--out", type=Path, help="write the figures into this JSON file")
    args = parser.parse_args()
    model = Model.open(args.model)
    chosen = [one for some in choose(args.corpora, args.recipe, args.utterances) for one in some]
    report(np.array([row for one in chosen for row in measure(model, one, args.rate)]), model, args)


def report(rows: NDArray[np.float64], model: Model, args: argparse.Namespace) -> None:
    """Print the quantiles; `rows [n, 4]` as `measure` yields them."""
    print(
        f"{len(rows)} phones heard right, source at {args.rate} Hz; from its ... to the final event, seconds of sound:"
    )
    figures: dict[str, Sequence[float]] = {}
    for name, place in PLACES.items():
        delays = rows[:, 3] - (1 - place) * rows[:, 0] - place * rows[:, 1]
        figures[name] = np.quantile(delays, [0.5, 0.9]).round(4).tolist()
        print(f"  {name:6}  median {figures[name][0]:.3f} s, 90% within {figures[name][1]:.3f} s")
    figures["first"] = np.quantile(rows[:, 2] - rows[:, 0], [0.5, 0.9]).round(4).tolist()
    first, most = figures["first"]
    print(f"from its start to the first event, still to change: median {first:.3f} s, 90% within {most:.3f} s")
    parts = delay_of(model.manifest, args.rate)
    print(
        f"parts of the delay from its end: look-ahead {parts.look_ahead:.3f}, step up to {parts.step:.3f}, "
        f"decoder {parts.decoder:.3f}, resampler {parts.resampler:.3f} s"
    )
    if args.out:
        args.out.write_text(json.dumps({"rate": args.rate, "phones": len(rows), **figures}, indent=1) + "\n")


if __name__ == "__main__":
    main()
