"""Score words and phrases found by a phoneme model: connected digits, and spotting.

    python samples/phonemes/words.py digits --data DATA
    python samples/phonemes/words.py spotting --data DATA --out runs/words          (threshold, then dev once)
    python samples/phonemes/words.py spotting --data DATA --held-only               (threshold only)

DATA is the folder that holds `speech/` as recipe.toml names it, with `speech/cmudict/cmudict.dict`.

Digits: all utterances that consist of the words zero to nine and oh, of the speakers that recipe.toml holds out of
training and of the dev folders; word error rate with a 95% interval by bootstrap over utterances.

Spotting: phrases of 2 to 4 words with 6 phones or more (by the shortest pronunciation) are drawn, with a fixed seed,
from the n-grams of the texts. One threshold for all phrases is set on the held-out speakers, with 400 phrases from
their texts, at the wanted false alarms per phrase-hour; then 50 phrases from the dev texts are looked for in dev. An
occurrence counts as found if its utterance has a hit of the phrase for it; all further hits are false alarms.
"""

from __future__ import annotations

import argparse
import json
import tomllib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from streamcell.runtime import Model
from streamcell.runtime.find_words import find_words
from streamcell.runtime.words import Dictionary, Lexicon, Spotter, WordDecoder, read_dictionary
from streamcell.train.metrics import ErrorRate, error_rate
from streamcell.train.phone_scoring import wilson

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "oh")
RATES = (0.03, 0.1, 0.3, 1.0, 3.0)  # false alarms per phrase-hour
LEAST = 0.03  # score of the hits that the curve is drawn from

Words = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Spoken:
    """A recording and the words in it."""

    corpus: str
    audio: Path
    words: Words


@dataclass(frozen=True, slots=True)
class Spots:
    """What was found of some phrases: how many there are, scores of the right hits and of the false ones, hours."""

    present: int
    right: NDArray[np.float64]
    false: NDArray[np.float64]
    hours: float

    def threshold(self, rate: float) -> float:
        """Return the lowest threshold with at most `rate` false alarms an hour of all phrases together."""
        allowed = int(rate * self.hours)
        scores = np.sort(self.false)[::-1]
        return LEAST if allowed >= len(scores) else float(np.nextafter(scores[allowed], 1))

    def at(self, threshold: float) -> tuple[float, float]:
        """Return recall and false alarms an hour."""
        return float((self.right >= threshold).sum()) / self.present, float(
            (self.false >= threshold).sum()
        ) / self.hours


def read(folder: Path, speakers: Sequence[str] | None = None) -> list[Spoken]:
    """Return the recordings of a corpus, or of some of its speakers."""
    lines = (folder / "utterances.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [row for row in map(json.loads, lines) if speakers is None or row["speaker"] in speakers]
    name = f"{folder.parent.name}/{folder.name}"
    return [Spoken(name, folder / row["audio"], tuple(row["text"].lower().split())) for row in rows]


def held_out(data: Path) -> list[Spoken]:
    """Return what the recipe's held-out speakers said."""
    recipe = tomllib.loads((Path(__file__).parent / "recipe.toml").read_text(encoding="utf-8"))
    corpora = [one for one in recipe["data"]["corpora"] if "validation_speakers" in one]
    return [item for one in corpora for item in read(data / one["path"], one["validation_speakers"])]


def dev(data: Path) -> list[Spoken]:
    """Return all dev folders."""
    return [item for folder in sorted((data / "speech").glob("*/dev")) for item in read(folder)]


def digits(model: Model, dictionary: Dictionary, items: Sequence[Spoken], name: str) -> None:
    """Print the word error rate of the digit strings among `items`."""
    spoken = [item for item in items if item.words and set(item.words) <= set(DIGITS)]
    if not spoken:
        print(f"digits, {name}: no utterance consists of digits")
        return
    decoder = WordDecoder(model.manifest.outputs[0], Lexicon.of(DIGITS, dictionary), other=None)
    heard = [[s.label for s in find_words(model, item.audio, decoder).segments] for item in spoken]
    rates = [error_rate(item.words, words) for item, words in zip(spoken, heard, strict=True)]
    low, high = interval(rates)
    total = sum(rates, ErrorRate())
    counts = f"{total.substitutions} substituted, {total.deletions} deleted, {total.insertions} inserted"
    whole = sum(not rate.rate for rate in rates)
    print(
        f"digits, {name}: word error rate {100 * total.rate:.1f}% (95% interval {100 * low:.1f} to {100 * high:.1f}): "
        f"{len(spoken)} utterances, {total.phones} words, {counts}; {whole} utterances without an error"
    )


def interval(rates: Sequence[ErrorRate]) -> tuple[float, float]:
    """Return the 95% interval by bootstrap over utterances."""
    errors = np.array([rate.rate * rate.phones for rate in rates])
    words = np.array([rate.phones for rate in rates])
    drawn = np.random.default_rng(1).integers(len(rates), size=(10000, len(rates)))
    low, high = np.quantile(errors[drawn].sum(1) / words[drawn].sum(1), [0.025, 0.975])
    return float(low), float(high)


def draw(items: Sequence[Spoken], dictionary: Dictionary, count: int, seed: int) -> list[Words]:
    """Return `count` phrases of 2, 3 or 4 words (each as likely) that occur, all different."""
    found: dict[int, set[Words]] = {2: set(), 3: set(), 4: set()}
    for item in items:
        for length, phrases in found.items():
            phrases |= {item.words[i : i + length] for i in range(len(item.words) - length + 1)}
    choices = {length: sorted(p for p in phrases if _long(p, dictionary)) for length, phrases in found.items()}
    random, drawn = np.random.default_rng(seed), dict[Words, None]()
    while len(drawn) < count:
        some = choices[int(random.integers(2, 5))]
        drawn[some[int(random.integers(len(some)))]] = None
    return list(drawn)


def _long(phrase: Words, dictionary: Dictionary) -> bool:
    return all(word in dictionary for word in phrase) and sum(min(map(len, dictionary[w])) for w in phrase) >= 6


def spots(model: Model, dictionary: Dictionary, items: Sequence[Spoken], phrases: Sequence[Words]) -> Spots:
    """Look for phrases everywhere."""
    texts = [" ".join(phrase) for phrase in phrases]
    spotter = Spotter(model.manifest.outputs[0], Lexicon.of(texts, dictionary), LEAST)
    present, right, false, seconds = 0, list[float](), list[float](), 0.0
    for item in items:
        transcript = find_words(model, item.audio, spotter)
        seconds += transcript.duration
        said = Counter({text: occurrences(item.words, phrase) for text, phrase in zip(texts, phrases, strict=True)})
        present += said.total()
        for hit in sorted(transcript.segments, key=lambda segment: -segment.confidence):
            (right if said[hit.label] > 0 else false).append(hit.confidence)
            said[hit.label] -= 1
    return Spots(present, np.array(right), np.array(false), len(phrases) * seconds / 3600)


def occurrences(words: Words, phrase: Words) -> int:
    """Return how often a phrase is in some words."""
    return sum(words[i : i + len(phrase)] == phrase for i in range(len(words) - len(phrase) + 1))


def share(part: float, whole: int) -> str:
    """Return a share with its 95% interval (Wilson)."""
    low, high = wilson(part * whole, whole)
    return f"{100 * part:.1f}% (95% interval {100 * low:.0f} to {100 * high:.0f})"


def spotting(model: Model, dictionary: Dictionary, data: Path, rate: float, out: Path | None) -> None:
    """Set the threshold on the held-out speakers; print what it gives there and, with `out`, on dev."""
    items = held_out(data)
    found = spots(model, dictionary, items, draw(items, dictionary, 400, seed=1))
    print(f"held-out speakers: 400 phrases, {found.present} occurrences, {found.hours:.1f} phrase-hours")
    for one in RATES:
        recall, alarms = found.at(found.threshold(one))
        print(
            f"  threshold {found.threshold(one):.3f}: {alarms:.3f} a phrase-hour, recall {share(recall, found.present)}"
        )
    if out is None:
        return
    items, threshold = dev(data), found.threshold(rate)
    there = spots(model, dictionary, items, draw(items, dictionary, 50, seed=1))
    recall, alarms = there.at(threshold)
    count = int((there.false >= threshold).sum())
    print(f"dev: 50 phrases, {there.present} occurrences, {there.hours:.1f} phrase-hours")
    print(f"  threshold {threshold:.3f}: {count} false alarms, {alarms:.3f} a phrase-hour")
    print(f"  recall {share(recall, there.present)}")
    out.mkdir(parents=True, exist_ok=True)
    plot({"held-out speakers": found, "dev": there}, threshold, out / "spotting.png")


def plot(results: dict[str, Spots], threshold: float, path: Path) -> None:
    """Draw recall against false alarms a phrase-hour, the threshold marked."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    for name, result in results.items():
        scores = np.unique(np.concatenate([result.right, result.false]))
        points = np.array([result.at(score) for score in scores])
        shown = points[:, 1] > 0
        (line,) = axes.plot(points[shown, 1], 100 * points[shown, 0], label=f"{name}, {result.present} occurrences")
        recall, alarms = result.at(threshold)
        axes.plot(max(alarms, 1 / result.hours), 100 * recall, "o", color=line.get_color())
    axes.set(xscale="log", xlabel="false alarms per phrase and hour", ylabel="recall, %", ylim=(0, 100))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter("")
    axes.axvline(0.1, color="grey", linewidth=0.8)
    axes.axhline(80, color="grey", linewidth=0.8)
    axes.legend(loc="lower right", title=f"o: threshold {threshold:.3f}")
    figure.savefig(path, dpi=110)


def main() -> None:
    """Parse, score, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("digits", "spotting"))
    parser.add_argument("--data", type=Path, required=True, help="folder that holds speech/")
    parser.add_argument("--model", help="name or file (default: the model that comes along)")
    parser.add_argument("--false-alarms", type=float, default=0.1, help="wanted, per phrase-hour (default: 0.1)")
    parser.add_argument("--out", type=Path, default=Path("runs/words"), help="folder for spotting.png")
    parser.add_argument("--held-only", action="store_true", help="leave dev alone")
    args = parser.parse_args()
    model = Model.open(args.model)
    dictionary = read_dictionary(args.data / "speech" / "cmudict" / "cmudict.dict")
    if args.what == "spotting":
        spotting(model, dictionary, args.data, args.false_alarms, None if args.held_only else args.out)
        return
    digits(model, dictionary, held_out(args.data), "held-out speakers")
    if not args.held_only:
        digits(model, dictionary, dev(args.data), "dev")


if __name__ == "__main__":
    main()
