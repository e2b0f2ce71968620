"""Choose the phone bigram of beam search, its text and its weights, on the speakers that the recipe holds out.

    python samples/phonemes/bigram.py DATA --dictionary cmudict.dict --out phones2.arpa --settings phones2.json
    python samples/phonemes/beam.py DATA/speech/speechocean762/dev --lm phones2.arpa --settings phones2.json

The text is what the other speakers of the recipe's training folders say, as strings of phones; the folders that the
recipe hears more often than others (learners) count once, 4, 8 or 16 times. For each text and each pair of weights the
held-out speakers are decoded; the lowest mean of their folders' error rates wins (`--folders` asks some alone, learners
say). `--order` makes longer n-grams.

With `--dictionary` phones that begin a word are tokens of their own, `AH_B` beside `AH`, as the recordings' texts and
the dictionary have it; beam search hears both as `AH`. Recordings whose phones are no string of the dictionary's
pronunciations are left out.
"""

from __future__ import annotations

import argparse
import json
import re
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path

from streamcell.runtime import Model
from streamcell.runtime.decode import make_decoder
from streamcell.runtime.lm import train_ngram, write_arpa
from streamcell.runtime.phones import ARPABET
from streamcell.runtime.words import Dictionary, read_dictionary
from streamcell.train.phone_scoring import Answers, answer, choose, total, training_phones

RECIPE = Path(__file__).parent / "recipe.toml"
TIMES = (1, 4, 8, 16)
# of the n-gram, and the share of single phones that is taken away
WEIGHTS = ((0.3, 0.2), (0.4, 0.3), (0.5, 0.4), (0.6, 0.5), (0.7, 0.6), (0.8, 0.7), (1.0, 0.9))

Text = list[tuple[list[tuple[str, ...]], float]]
"""Strings of phones, and how often they count."""


def begun(text: str, phones: Sequence[str], dictionary: Dictionary) -> tuple[str, ...]:
    """Return phones with `_B` behind the first of each word; nothing where they are no pronunciation of the text."""
    ways: dict[int, tuple[str, ...]] = {0: ()}  # how many phones the words so far took, and those phones
    for word in re.findall(r"[a-z']+", text.lower()):
        ways = {
            end + len(way): (*said, f"{way[0]}_B", *way[1:])
            for end, said in ways.items()
            for way in dictionary.get(word) or dictionary.get(word.strip("'"), ())
            if tuple(phones[end : end + len(way)]) == way
        }
    return ways.get(len(phones), ())


def begun_words(recipe: Path, data: Path, dictionary: Dictionary) -> Iterator[tuple[str, list[tuple[str, ...]]]]:
    """Yield what `training_phones` does, with the beginnings of words."""
    for corpus in tomllib.loads(recipe.read_text(encoding="utf-8"))["data"]["corpora"]:
        lines = (data / corpus["path"] / "utterances.jsonl").read_text(encoding="utf-8").split("\n")
        rows = [json.loads(line) for line in lines if line.strip()]
        said = [
            begun(row.get("text", ""), [label for _, _, label in row["phones"] if label != "SIL"], dictionary)
            for row in rows
            if row["speaker"] not in corpus.get("validation_speakers", ())
        ]
        yield corpus["path"], [row for row in said if row]


def texts(recipe: Path, data: Path, dictionary: Dictionary | None = None) -> Iterator[tuple[int, Text]]:
    """Yield how often the recipe's favourites count, and all strings with their weights."""
    corpora = {one["path"]: one.get("weight", 1.0) for one in tomllib.loads(recipe.read_text())["data"]["corpora"]}
    said = dict(begun_words(recipe, data, dictionary) if dictionary else training_phones(recipe, data))
    for times in TIMES:
        # single words and wake words, which the recipe hears less often, are no running speech
        yield (
            times,
            [(rows, times if corpora[path] > 1 else 1.0) for path, rows in said.items() if corpora[path] >= 0.6],
        )


def arpa(text: Text, order: int) -> str:
    """Return the n-gram of a text as an ARPA file."""
    strings = [row for rows, _ in text for row in rows]
    counts = [times for rows, times in text for _ in rows]
    begins = [f"{phone}_B" for phone in ARPABET] if any("_" in phone for row in strings for phone in row) else []
    return write_arpa(train_ngram(strings, order, counts, [*ARPABET, *begins]))


def rates(model: Model, heard: Sequence[Answers], settings: dict[str, object]) -> list[float]:
    """Return the error rate of each folder, decoded so."""
    decoder = make_decoder(replace(model.manifest, decoder=settings))
    folders = groupby(heard, lambda one: one.utterance.audio.parent)
    return [total(one.pair(one.decode(decoder)) for one in some).rate for _, some in folders]


def main() -> None:
    """Parse, hear, choose, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder that the recipe's paths are relative to")
    parser.add_argument("--model", default="phonemes-en", help="name or file (default: the model that comes along)")
    parser.add_argument("--recipe", type=Path, default=RECIPE, help="names folders and held-out speakers")
    parser.add_argument("--order", type=int, default=2, help="phones in a row (default: 2)")
    parser.add_argument("--dictionary", type=Path, help="tell phones that begin a word apart, by this CMU dictionary")
    parser.add_argument("--folders", nargs="+", help="choose on the held-out speakers of these alone (default: all)")
    parser.add_argument("--utterances", type=int, help="hear so many of each folder (default: all)")
    parser.add_argument("--out", type=Path, required=True, help="write the n-gram into this ARPA file")
    parser.add_argument("--settings", type=Path, required=True, help="write the weights into this JSON file")
    args = parser.parse_args()
    model = Model.open(args.model)
    corpora = tomllib.loads(args.recipe.read_text(encoding="utf-8"))["data"]["corpora"]
    held_out = [corpus["path"] for corpus in corpora if corpus.get("validation_speakers")]
    if unknown := set(args.folders or held_out) - set(held_out):
        parser.error(f"{args.recipe} holds nobody out of {', '.join(sorted(unknown))}; choose of {', '.join(held_out)}")
    folders = [args.data / path for path in args.folders or held_out]
    heard = [answer(model, one) for some in choose(folders, args.recipe, args.utterances) for one in some]
    plain = rates(model, heard, {"name": "ctc-greedy"})
    print("greedy:", ", ".join(f"{100 * rate:.2f}%" for rate in plain), flush=True)
    best = (1.0, "", {"lm_weight": 0.0, "prior": 0.0})
    dictionary = read_dictionary(args.dictionary) if args.dictionary else None
    for times, text in texts(args.recipe, args.data, dictionary):
        lm = arpa(text, args.order)
        for weight, prior in WEIGHTS:
            weights = {"lm_weight": weight, "prior": prior}
            found = rates(model, heard, {"name": "ctc-beam", "lm": lm, **weights})
            shown = ", ".join(f"{100 * rate:.2f}%" for rate in found)
            print(f"learners {times} times, lm_weight {weight}, prior {prior}: {shown}", flush=True)
            best = min(best, (sum(found) / len(found), lm, weights), key=lambda one: one[0])
    args.out.write_text(best[1], encoding="utf-8")
    args.settings.write_text(json.dumps(best[2]) + "\n", encoding="utf-8")
    print(f"chosen: {best[2]}, mean {100 * best[0]:.2f}%, greedy's {100 * sum(plain) / len(plain):.2f}%; {args.out}")


if __name__ == "__main__":
    main()
