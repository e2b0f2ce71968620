"""Our phoneme model beside hama's, on the same recordings in the same run: error rate and speed.

    pip install hama==1.7.0
    python samples/phonemes/others.py DATA/speech/speechocean762/dev DATA/speech/librispeech/dev

hama (Apache-2.0) hears whole utterances and gives IPA, which is folded to our 39 phones by FOLD; a symbol that stands
for none of them counts as a wrong phone, and is reported. It gets the samples that we get, at 16 kHz. Speed: seconds of
sound over seconds of one core, from samples to phones, without reading the file, in turn on 16 recordings each. Ours
streams them in blocks of half a second: one after the other through `Stream`, and all 16 side by side through
`StreamPool`, as `streamcell transcribe` hears many files.
"""

# ruff: noqa: RUF001 - IPA letters are meant to look like Latin ones

from __future__ import annotations

import argparse
import json
import sys
import time
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from streamcell.runtime import Event, Model, Segment, Stream, StreamPool
from streamcell.runtime.errors import InputError
from streamcell.runtime.phones import SILENCE, from_ipa
from streamcell.train.data.augment import Samples
from streamcell.train.data.utterances import Utterance, read_audio, to_float
from streamcell.train.phone_scoring import Pair, choose, interval, percent, total

RATE = 16000
OURS, POOLED, THEIRS = "streamcell", "streamcell, 16 at a time", "hama"
FOLD = {
    "d͡ʒ": "JH", "t͡ʃ": "CH", "eə": "EH R", "ɪə": "IH R", "ẽ": "EH N", "õ": "AO N", "ã": "AE N", "ĩ": "IH N", "ũ": "UH N",
    "c": "K", "x": "K", "y": "UW", "ɵ": "UH", "ʁ": "R", "ɻ": "R", "ɽ": "D", "ʋ": "V", "β": "V", "ɕ": "SH", "ʂ": "SH",
    "ʑ": "ZH", "ʐ": "ZH", "t͡ɕ": "CH", "ɱ": "M", "ɲ": "N Y", "ɯ": "UW", "ɤ": "AH", "ɘ": "AH", "ᵊ": "AH", "œ": "EH",
    "ø": "EH", "kʰ": "K", "tʰ": "T", "pʰ": "P", "ä": "AA", "à": "AA", "ì": "IY",
}  # fmt: skip
"""What `from_ipa` does not know, as hama writes it."""

TOGETHER = 16
BLOCK = RATE // 2

Phones = Callable[[Sequence[Samples]], list[list[str]]]
"""From the samples of recordings to the phones heard in each."""


def one_by_one(model: Model) -> Phones:
    """Return what hears phones by our model in one recording after the other."""

    def hear(samples: Samples) -> list[str]:
        stream = Stream(model, RATE, "file")
        events = [event for begin in range(0, len(samples), BLOCK) for event in stream.push(samples[begin:][:BLOCK])]
        return phones(events + stream.flush())

    return lambda recordings: [hear(samples) for samples in recordings]


def side_by_side(model: Model) -> Phones:
    """Return what hears phones by our model in up to `TOGETHER` recordings at once."""
    pool = StreamPool(model, TOGETHER, workers=0, max_batch=TOGETHER)

    def hear(recordings: Sequence[Samples]) -> list[list[str]]:
        streams = [pool.open(RATE, "file") for _ in recordings]
        for begin in range(0, max(map(len, recordings)), BLOCK):
            for stream, samples in zip(streams, recordings, strict=True):
                pool.push(stream, samples[begin:][:BLOCK])
            while pool.step():
                pass
        return [phones(pool.close(stream)) for stream in streams]

    return hear


def phones(events: Iterable[Event]) -> list[str]:
    """Return the labels of final segments without pauses."""
    return [e.label for e in events if isinstance(e, Segment) and e.final and e.label != SILENCE]


def theirs(unknown: Counter[str]) -> Phones:
    """Return what hears phones by hama; `unknown` counts symbols that are no phone of ours."""
    try:
        model: Any = import_module("hama.asr").ASRModel()
    except ImportError:
        sys.exit("others.py: error: hama is needed to be compared with; install it with: pip install hama==1.7.0")
    return lambda recordings: [fold(model.transcribe_waveform(one, RATE).phonemes, unknown) for one in recordings]


def fold(symbols: Sequence[str], unknown: Counter[str]) -> list[str]:
    """Return IPA symbols as our phones, lone marks dropped; what is no phone stays as it is and is counted."""
    found: list[str] = []
    for symbol in symbols:
        if symbol in FOLD:
            found += FOLD[symbol].split()
            continue
        if all(map(unicodedata.combining, symbol)):
            continue
        try:
            phones = from_ipa(symbol)
        except InputError:
            unknown[symbol] += 1
            phones = [symbol]
        found += phones
    return found


@dataclass(slots=True)
class Result:
    """What one of them heard in a folder, how many seconds of sound that was, and how many of a core it took."""

    pairs: list[Pair] = field(default_factory=list)
    sound: float = 0.0
    took: float = 0.0

    @property
    def speed(self) -> float:
        return self.sound / self.took


def compare(utterances: Sequence[Utterance], hearers: dict[str, Phones]) -> dict[str, Result]:
    """Hear every recording by each in turn."""
    results = {name: Result() for name in hearers}
    for first in range(0, len(utterances), TOGETHER):
        some = utterances[first : first + TOGETHER]
        recordings = [to_float(read_audio(one.audio, RATE)) for one in some]
        for name, hear in hearers.items():
            began, result = time.process_time(), results[name]
            heard = hear(recordings)
            result.took += time.process_time() - began
            result.sound += sum(map(len, recordings)) / RATE
            for utterance, labels in zip(some, heard, strict=True):
                result.pairs.append(Pair(utterance, [(0.0, 0.0, label) for label in labels]))
    return results


def main() -> None:
    """Parse, hear, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpora", nargs="+", type=Path, help="folders with utterances.jsonl")
    parser.add_argument("--model", help="name or file (default: the model that comes along)")
    parser.add_argument("--recipe", type=Path, help="hear only the speakers that this recipe holds out")
    parser.add_argument("--utterances", type=int, help="so many of each folder (default: all)")
    parser.add_argument("--out", type=Path, help="write the figures into this JSON file")
    args = parser.parse_args()
    unknown = Counter[str]()
    model = Model.open(args.model)
    hearers = {OURS: one_by_one(model), POOLED: side_by_side(model), THEIRS: theirs(unknown)}
    for hear in hearers.values():
        hear([np.zeros(RATE, np.float32)])  # the first run is slow
    rows = []
    print(f"| recordings | phones | {OURS} | {THEIRS} | times real time: {OURS} | {POOLED} | {THEIRS} |")
    print("|---|---|---|---|---|---|---|")
    for folder, utterances in zip(args.corpora, choose(args.corpora, args.recipe, args.utterances), strict=True):
        rows.append(report(folder, compare(utterances, hearers)))
    if unknown:
        print("symbols of hama that are no phone:", ", ".join(f"{s} ({n})" for s, n in unknown.most_common()))
    if args.out:
        args.out.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


def report(folder: Path, results: dict[str, Result]) -> dict[str, Any]:
    """Print a line of the table; return its figures."""
    name, figures = folder.resolve().parent.name, dict[str, Any]()
    for who, result in results.items():
        errors, bounds = total(result.pairs), interval(result.pairs)
        figures[who] = {**asdict(errors), "rate": errors.rate, "interval": bounds, "times_real_time": result.speed}
    cells = [percent(figures[who]["rate"], figures[who]["interval"]) for who in (OURS, THEIRS)]
    cells += [f"{figures[who]['times_real_time']:.0f}" for who in (OURS, POOLED, THEIRS)]
    print(f"| {name} | {figures[OURS]['phones']} | {' | '.join(cells)} |", flush=True)
    return {"folder": name, **figures}


if __name__ == "__main__":
    main()
