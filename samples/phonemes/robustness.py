"""How a phoneme model bears changed recordings: quiet and loud ones, noise, rooms, telephones, rates, codecs.

    python samples/phonemes/robustness.py phonemes-en DATA/speech/*/dev --noise DATA/speech/esc10_noise \
        --out robustness.json --picture robustness.png

Each recording is changed, written as a file of the wanted rate and format (16-bit wav unless said), and transcribed as
`streamcell transcribe` does. Prints a Markdown table: phone error rate with a 95% interval by bootstrap over speakers,
of each folder, the unchanged recordings in the first line. All is seeded: a recording has the same noise at every
level.

- Loudness: root mean square of the whole recording, full scale 1; what is above full scale is clipped, and the table
  says how many samples. Speech at -55 dBFS has its highest sample at about -40.
- Noise: so far below the mean power of the recording. The clips of --noise are all known from training, if that is the
  folder that the recipe names: only their places and the voices over them are new. Voices: six other recordings of the
  same folder at once, which training never hears as noise.
- Rooms: simulated by mirror sources (Allen and Berkley, 1979) in a box whose walls are all alike; the small one is
  4 x 3 x 2.5 m with 0.3 s of reverberation and the speaker 1 m away, the large one 10 x 8 x 3.5 m, 0.8 s and 4 m.
- Noise suppression: WebRTC's, as in most browsers, at its second highest strength, without automatic gain.
- Noise gate: digital silence wherever it is 30 dB softer than in its loudest twentieth, as in many calls and browsers.
- Telephone: 300 to 3400 Hz, 8 kHz, mu-law (G.711).
- Codecs: through libsndfile; kbit/s as the files came out.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from streamcell.runtime import Model
from streamcell.runtime.transcribe import transcribe_file
from streamcell.train.data.augment import Samples, add_noise, gate, level, limit_band, suppress_noise
from streamcell.train.data.corpora import load_noises
from streamcell.train.data.utterances import Utterance, read_audio, to_float
from streamcell.train.phone_scoring import Pair, choose, interval, pair, percent, total

RATE = 16000
SOUND_SPEED = 343.0  # m/s
WAV = {"format": "WAV", "subtype": "PCM_16"}

Change = Callable[[Samples, int, np.random.Generator], Samples]
"""From a recording at `RATE`, its number and random numbers of its own to another."""


@dataclass(frozen=True, slots=True)
class Condition:
    """One way of changing a recording: its sound, its rate, its file."""

    group: str
    name: str
    change: Change
    rate: int = RATE
    file: dict[str, Any] = field(default_factory=lambda: WAV)


@dataclass(slots=True)
class Result:
    """What came of a condition: error rate and interval of each folder, bits a second, share of clipped samples."""

    group: str
    name: str
    rates: list[float]
    intervals: list[tuple[float, float]]
    phones: list[int]
    kbits: float
    clipped: float


def same(samples: Samples, _number: int, _random: np.random.Generator) -> Samples:
    """Change nothing."""
    return samples


def at_level(samples: Samples, _number: int, _random: np.random.Generator, dbfs: float) -> Samples:
    """Bring the root mean square to a level."""
    return samples * np.float32(10 ** (dbfs / 20) / level(samples))


def in_noise(
    samples: Samples, _number: int, random: np.random.Generator, noises: Sequence[Samples], snr_db: float
) -> Samples:
    """Add a stretch of a clip."""
    return add_noise(samples, noises[int(random.integers(len(noises)))], snr_db, random)


def among_voices(
    samples: Samples, number: int, random: np.random.Generator, voices: Sequence[Samples], snr_db: float
) -> Samples:
    """Add six other recordings, each repeated to the end."""
    others = [i for i in range(len(voices)) if i != number]
    drawn = random.choice(others, size=min(6, len(others)), replace=False)
    babble = sum(np.resize(voices[i] / max(1e-6, float(voices[i].std())), len(samples)) for i in drawn)
    return add_noise(samples, np.asarray(babble, np.float32), snr_db, random)


def in_room(samples: Samples, _number: int, _random: np.random.Generator, response: NDArray[np.float64]) -> Samples:
    """Sound as in a room, at the same mean power, without what is below 100 Hz, where mirror sources boom."""
    size = 1 << (len(samples) + len(response)).bit_length()
    wet = np.fft.irfft(np.fft.rfft(samples, size) * np.fft.rfft(response, size), size)[: len(samples)]
    kept = limit_band(np.asarray(wet, np.float32), 100, RATE, RATE)
    return kept * np.float32(level(samples) / level(kept))


def suppressed(samples: Samples, _number: int, _random: np.random.Generator) -> Samples:
    """Suppress noise as a browser does."""
    return suppress_noise(samples, 3, 0)


def gated(samples: Samples, _number: int, _random: np.random.Generator) -> Samples:
    """Leave nothing where nobody speaks."""
    return gate(samples, 30, 0.05, np.inf, RATE)


def on_telephone(samples: Samples, _number: int, _random: np.random.Generator) -> Samples:
    """Keep what a telephone lets through."""
    return limit_band(samples, 300, 3400, RATE)


def room(size: Sequence[float], source: Sequence[float], ear: Sequence[float], seconds: float) -> NDArray[np.float64]:
    """Return the impulse response of a box by its mirror sources (Allen and Berkley, 1979), `[seconds * RATE]`.

    Along an axis of length L they lie at 2nL + x behind 2|n| walls and at 2nL - x behind |2n - 1|. All walls reflect
    alike, as much as reverberation of `seconds` (60 dB) needs (Eyring, 1930).
    """
    length, width, height = size
    volume, walls = length * width * height, 2 * (length * width + length * height + width * height)
    reflection = np.exp(-0.161 * volume / (walls * seconds) / 2)
    places, crossed = [], []
    for extent, x, at in zip(size, source, ear, strict=True):
        n = np.arange(-np.ceil(SOUND_SPEED * seconds / (2 * extent)), np.ceil(SOUND_SPEED * seconds / (2 * extent)) + 1)
        places.append(np.concatenate([2 * n * extent + x, 2 * n * extent - x]) - at)
        crossed.append(np.concatenate([2 * abs(n), abs(2 * n - 1)]))
    squares = [place**2 for place in places]
    far = np.sqrt(squares[0][:, None, None] + squares[1][:, None] + squares[2]).ravel()
    order = (crossed[0][:, None, None] + crossed[1][:, None] + crossed[2]).ravel()
    late = np.round(far / SOUND_SPEED * RATE).astype(np.int64)
    heard = late < round(seconds * RATE)
    response = np.zeros(round(seconds * RATE))
    np.add.at(response, late[heard], reflection ** order[heard] / far[heard])
    return response[int(late.min()) :]


def conditions(noises: Sequence[Samples], voices: Sequence[Samples]) -> Iterator[Condition]:
    """Yield what is tried; `voices` are all recordings, in the order in which they are numbered."""
    yield Condition("unchanged", "16 kHz wav", same)
    for dbfs in (-55, -40, -30, -20, -10, 0):
        yield Condition("loudness", f"{dbfs} dBFS", partial(at_level, dbfs=dbfs))
    for snr in (20, 10, 5, 0) if noises else ():
        yield Condition("noise", f"noise, {snr} dB", partial(in_noise, noises=noises, snr_db=snr))
    for snr in (20, 10):
        yield Condition("voices", f"six other voices, {snr} dB", partial(among_voices, voices=voices, snr_db=snr))
    small = room((4, 3, 2.5), (1.3, 1.2, 1.5), (2.2, 1.6, 1.3), 0.3)
    large = room((10, 8, 3.5), (2.5, 3.0, 1.6), (6.1, 4.7, 1.2), 0.8)
    yield Condition("room", "small room, 1 m", partial(in_room, response=small))
    yield Condition("room", "large room, 4 m", partial(in_room, response=large))
    yield Condition("suppression", "noise suppression", suppressed)
    yield Condition("gate", "noise gate", gated)
    yield Condition("telephone", "telephone", on_telephone, 8000, {"format": "WAV", "subtype": "ULAW"})
    for rate in (8000, 44100, 48000):
        yield Condition("rate", f"{rate / 1000:g} kHz", same, rate)
    for less in (0.96, 0.98, 1.0):  # libsndfile: 6 kbit/s and (1 - less) of 250 more, and the container
        opus = {"format": "OGG", "subtype": "OPUS", "compression_level": less}
        yield Condition("codec", "Opus", same, RATE, opus)
    for less in (0.9, 0.95, 0.98):
        mp3 = {"format": "MP3", "subtype": "MPEG_LAYER_III", "compression_level": less, "bitrate_mode": "CONSTANT"}
        yield Condition("codec", "MP3", same, RATE, mp3)


def run(
    model: Model, condition: Condition, folders: Sequence[Sequence[tuple[Utterance, Samples]]], seed: int, work: Path
) -> Result:
    """Transcribe all recordings in one condition."""
    result, bits, seconds, clipped, count = Result(condition.group, condition.name, [], [], [], 0.0, 0.0), 0, 0.0, 0, 0
    numbers = itertools.count()
    for folder in folders:
        pairs: list[Pair] = []
        for utterance, samples in folder:
            number = next(numbers)
            changed = condition.change(samples, number, np.random.default_rng([seed, number]))
            if condition.group in {"noise", "voices", "room"}:  # as loud as it was, unless that clips
                changed = changed / max(1.0, float(np.abs(changed).max(initial=0)))
            written = soxr.resample(changed, RATE, condition.rate) if condition.rate != RATE else changed
            path = work / f"changed.{condition.file['format'].lower()}"
            soundfile.write(path, written, condition.rate, **condition.file)
            bits, seconds = bits + 8 * path.stat().st_size, seconds + len(samples) / RATE
            clipped, count = clipped + int((np.abs(written) > 1).sum()), count + len(written)
            pairs.append(pair(utterance, transcribe_file(model, path).segments))
        errors = total(pairs)
        result.rates.append(errors.rate)
        result.phones.append(errors.phones)
        result.intervals.append(interval(pairs))
    result.kbits, result.clipped = bits / seconds / 1000, clipped / count
    if condition.group == "codec":
        result.name += f", {result.kbits:.0f} kbit/s"
    if result.clipped > 0.001:
        result.name += f", {100 * result.clipped:.0f}% of the samples clipped"
    return result


def draw(results: Sequence[Result], names: Sequence[str], path: Path) -> None:
    """Draw a bar for each condition and folder."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 1.2 + 0.3 * len(results)), layout="constrained")
    axes = figure.subplots()
    height = 0.8 / len(names)
    for place, name in enumerate(names):
        rates = np.array([100 * one.rates[place] for one in results])
        low, high = np.array([[100 * bound for bound in one.intervals[place]] for one in results]).T
        rows = np.arange(len(results)) + (place - (len(names) - 1) / 2) * height
        spread = np.clip([rates - low, high - rates], 0, None)
        bars = axes.barh(rows, rates, height, xerr=spread, label=name, error_kw={"linewidth": 0.7})
        axes.axvline(rates[0], color=bars.patches[0].get_facecolor(), linewidth=0.8, linestyle=":")
    axes.set_yticks(range(len(results)), [one.name for one in results])
    axes.set(xlabel="phone error rate, % (95% interval)", ylim=(len(results) - 0.4, -0.6))
    axes.legend(loc="upper right")
    figure.savefig(path, dpi=110)


def main() -> None:
    """Parse, change, transcribe, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="name or file")
    parser.add_argument("corpora", nargs="+", type=Path, help="folders with utterances.jsonl")
    parser.add_argument("--noise", type=Path, help="folder of noise; without it that part is left out")
    parser.add_argument("--recipe", type=Path, help="hear only the speakers that this recipe holds out")
    parser.add_argument("--utterances", type=int, help="so many of each folder (default: all)")
    parser.add_argument("--only", nargs="*", help="groups: loudness noise voices room suppression gate telephone ...")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, help="write the figures into this JSON file")
    parser.add_argument("--picture", type=Path, help="draw them into this PNG file")
    args = parser.parse_args()
    model = Model.open(args.model)
    chosen = choose(args.corpora, args.recipe, args.utterances)
    folders = [[(one, to_float(read_audio(one.audio, RATE))) for one in some] for some in chosen]
    noises = load_noises(args.noise.parent, args.noise.name, RATE) if args.noise else []
    voices = [samples for folder in folders for _, samples in folder]
    results = []
    with tempfile.TemporaryDirectory() as work:
        for condition in conditions(noises, voices):
            if args.only is None or condition.group in {"unchanged", *args.only}:
                print(condition.name, end=" ... ", file=sys.stderr, flush=True)
                results.append(run(model, condition, folders, args.seed, Path(work)))
                print(", ".join(f"{100 * rate:.1f}%" for rate in results[-1].rates), file=sys.stderr, flush=True)
    report(results, [folder.resolve().parent.name for folder in args.corpora], args)


def report(results: Sequence[Result], names: Sequence[str], args: argparse.Namespace) -> None:
    """Print the table; write and draw the figures."""
    print("| recordings | " + " | ".join(names) + " |")
    print("|---|" + "---|" * len(names))
    for one in results:
        cells = [percent(rate, bounds) for rate, bounds in zip(one.rates, one.intervals, strict=True)]
        print(f"| {one.name} | " + " | ".join(cells) + " |")
    if args.out:
        figures = {"model": args.model, "folders": names, "results": [asdict(one) for one in results]}
        args.out.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    if args.picture:
        draw(results, names, args.picture)


if __name__ == "__main__":
    main()
