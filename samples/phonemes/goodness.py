"""How well `streamcell align` finds a wrong phone: one phone of a word is changed in its text.

    python samples/phonemes/goodness.py DATA/speech/speechocean762/dev --dictionary DATA/speech/cmudict/cmudict.dict

Takes seeded utterances of the corpora, changes one phone of one word (of two phones or more) of each to another, and
prints how often the changed phone has the lowest score of its word, with a 95% interval (Wilson), what chance would
give, and how far starts of phones lie from the corpus's own times where the text is right. With --out, a picture of the
scores of right and of changed phones.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from streamcell.runtime import Model
from streamcell.runtime.align import Aligned, Script, align_file
from streamcell.runtime.errors import StreamcellError
from streamcell.runtime.phones import ARPABET
from streamcell.runtime.words import Dictionary, read_dictionary
from streamcell.train.phone_scoring import wilson


@dataclass(frozen=True, slots=True)
class Case:
    """One changed phone: its place in the word, the scores of the word's phones then and with the right text."""

    place: int
    scores: tuple[float, ...]
    right: tuple[float, ...]

    @property
    def found(self) -> bool:
        return min(self.scores) == self.scores[self.place]


def rows(corpora: Sequence[Path], rng: random.Random, speakers: Sequence[str]) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Yield recordings of all corpora in turn, each corpus in random order."""
    decks = []
    for corpus in corpora:
        lines = (corpus / "utterances.jsonl").read_text(encoding="utf-8").splitlines()
        deck = [(corpus, json.loads(line)) for line in lines]
        deck = [one for one in deck if not speakers or one[1]["speaker"] in speakers]
        rng.shuffle(deck)
        decks.append(deck)
    for turn in range(max(map(len, decks))):
        yield from (deck[turn] for deck in decks if turn < len(deck))


def start_errors(aligned: Aligned, row: dict[str, Any]) -> list[float]:
    """Return by how much starts differ from the corpus's, in seconds; none where it has another pronunciation."""
    spoken = [(start, label) for start, _, label in row["phones"] if label != "SIL"]
    if [phone.label for phone in aligned.phones] != [label for _, label in spoken]:
        return []
    return [abs(phone.start - start) for phone, (start, _) in zip(aligned.phones, spoken, strict=True)]


def change(script: Script, aligned: Aligned, rng: random.Random) -> tuple[Script, int, int] | None:
    """Return the script with one phone of one word changed, the word and the place; None if no word is long enough."""
    long = [number for number, word in enumerate(aligned.words) if len(word.phones) > 1]
    if not long:
        return None
    number = rng.choice(long)
    phones = [phone.label for phone in aligned.words[number].phones]
    place = rng.randrange(len(phones))
    phones[place] = rng.choice([phone for phone in ARPABET if phone != phones[place]])
    words = list(script.words)
    words[number] = replace(words[number], ways=(tuple(phones),))
    return Script(tuple(words)), number, place


def run(
    model: Model, corpora: Sequence[Path], dictionary: Dictionary, count: int, seed: int, speakers: Sequence[str]
) -> tuple[list[Case], list[float]]:
    """Return the cases, and the start errors of all right phones."""
    rng, cases, errors = random.Random(seed), list[Case](), list[float]()
    for corpus, row in rows(corpora, rng, speakers):
        try:
            script = Script.of_text(row["text"], dictionary)
        except StreamcellError:
            continue  # a word that the dictionary does not know
        aligned = align_file(model, corpus / row["audio"], script)
        errors += start_errors(aligned, row)
        if (changed := change(script, aligned, rng)) is None:
            continue
        wrong, number, place = changed
        word = align_file(model, corpus / row["audio"], wrong).words[number]
        right = tuple(phone.score for phone in aligned.words[number].phones)
        cases.append(Case(place, tuple(phone.score for phone in word.phones), right))
        if len(cases) == count:
            break
    return cases, errors


def draw(cases: Sequence[Case], path: Path) -> None:
    """Draw the scores of right and of changed phones."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axis = pyplot.subplots(figsize=(8, 4))
    bins = np.linspace(-20, 10, 61).tolist()
    groups = {
        "the same phones before": [case.right[case.place] for case in cases],
        "the other phones of the word": [s for case in cases for i, s in enumerate(case.scores) if i != case.place],
        "the changed phone": [case.scores[case.place] for case in cases],
    }
    for name, values in groups.items():
        axis.hist(np.clip(values, -20, 10), bins, density=True, histtype="step", linewidth=1.6, label=name)
    axis.axvline(0, color="grey", linewidth=0.8)
    axis.set_xlabel("score: log-ratio to the best other phone, a frame (below -20: at -20)")
    axis.set_ylabel("density")
    axis.set_title(f"{len(cases)} words with one phone of the text changed")
    axis.legend(loc="upper center")
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def main() -> None:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpora", nargs="+", type=Path, help="folders with utterances.jsonl")
    parser.add_argument("--dictionary", required=True, help="the CMU dictionary")
    parser.add_argument("--model", help="name or file (default: the model that comes along)")
    parser.add_argument("--cases", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--speakers", nargs="*", default=[], help="only these")
    parser.add_argument("--out", type=Path, help="the picture")
    args = parser.parse_args()
    model, dictionary = Model.open(args.model), read_dictionary(args.dictionary)
    cases, errors = run(model, args.corpora, dictionary, args.cases, args.seed, args.speakers)
    hits = sum(case.found for case in cases)
    low, high = wilson(hits, len(cases))
    chance = sum(1 / len(case.scores) for case in cases) / len(cases)
    below = sum(case.scores[case.place] < 0 for case in cases) / len(cases)
    falsely = [score < 0 for case in cases for score in case.right]
    print(
        f"{hits} of {len(cases)} changed phones have the lowest score of their word: {100 * hits / len(cases):.1f}% "
        f"(95% interval {100 * low:.1f} to {100 * high:.1f}; chance {100 * chance:.1f}%)"
    )
    print(
        f"below 0 (another phone fits better): {100 * below:.1f}% of them, {100 * np.mean(falsely):.1f}% of right ones"
    )
    middle, most = np.quantile(errors, [0.5, 0.9])
    print(f"starts of {len(errors)} phones: median {middle:.3f} s from the corpus's, 90% within {most:.3f} s")
    if args.out:
        draw(cases, args.out)


if __name__ == "__main__":
    main()
