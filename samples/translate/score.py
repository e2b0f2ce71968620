"""Score an encoder and its decoder on sentences that training never read.

    python samples/translate/score.py --data DATA

Prints the loss a word of the held-out texts, how many translations are the reference's very words, BLEU and chrF by
sacrebleu (in lower case, as the decoder writes), and the first sentences with what the files say of them. With --out,
all of it goes there, a line a sentence. --part validation scores what the network was chosen by.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import sacrebleu

from streamcell.runtime.beam_text import beam_text
from streamcell.runtime.frames import log_softmax
from streamcell.runtime.linked import Linked
from streamcell.runtime.model import Model
from streamcell.runtime.symbols import UNKNOWN, Symbols, cut
from streamcell.train.data.pairs import START, STOP, Pair, read_pairs
from streamcell.train.recipe import PairRecipe, read_recipe

HERE = Path(__file__).parent


def loss(pair: Linked, one: Pair) -> tuple[float, int]:
    """Return the summed loss (nats) and the number of the text's known words and its end, the words before given."""
    symbols = pair.decoder.manifest.input.symbols
    start, stop, unknown = (symbols.index(name) for name in (START, STOP, UNKNOWN))
    given = np.array([[start, *one.target]])
    wanted = np.array([*one.target, stop])
    outputs, _ = pair.decoder.step(given, pair.begin(one.texts[0]))
    logs = log_softmax(outputs[pair.decoder.manifest.outputs[0].name][0])
    known = wanted != unknown
    return -float(logs[np.arange(len(wanted)), wanted][known].sum()), int(known.sum())


def translate(pair: Linked, text: str, beam: int) -> str:
    """Return the decoder's words for a sentence: the likeliest next ones, or the best of a beam."""
    if beam > 1:
        return beam_text(pair.decoder, beam, state=pair.begin(text))
    return "".join(pair.text(text))


def normal(text: str) -> str:
    """Return a text as the decoder would write it if it knew all words."""
    words = cut(text, "words")
    return Symbols(sorted(set(words)), "words").decode([sorted(set(words)).index(word) for word in words])


def report(rows: Sequence[tuple[str, str, str]], per_word: float) -> dict[str, float]:
    """Return the figures of sources, references and answers."""
    references, answers = [row[1] for row in rows], [row[2] for row in rows]
    return {
        "pairs": len(rows),
        "loss": round(per_word, 3),
        "exact": round(float(np.mean([a == b for a, b in zip(references, answers, strict=True)])), 4),
        "bleu": round(sacrebleu.corpus_bleu(answers, [references]).score, 1),
        "chrf": round(sacrebleu.corpus_chrf(answers, [references]).score, 1),
    }


def main() -> None:
    """Parse, score, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder that the recipe's data are in")
    parser.add_argument("--recipe", type=Path, default=HERE / "recipe.toml")
    parser.add_argument("--encoder", type=Path, default=HERE / "japanese.onnx")
    parser.add_argument("--decoder", type=Path, default=HERE / "japanese-english.onnx")
    parser.add_argument("--part", choices=("test", "validation"), default="test")
    parser.add_argument("--beam", type=int, default=1, help="texts that are followed at once (default: 1, greedy)")
    parser.add_argument("--examples", type=int, default=12, help="how many sentences are shown")
    parser.add_argument("--out", type=Path, help="file for all sentences, JSON lines")
    args = parser.parse_args()
    recipe, _ = read_recipe(args.recipe)
    if not isinstance(recipe, PairRecipe):
        raise SystemExit("expected a recipe of task 'pairs'")
    pairs = getattr(read_pairs(recipe.data, args.data), args.part)
    pair = Linked(Model.open(args.encoder), Model.open(args.decoder))
    losses = np.array([loss(pair, one) for one in pairs])
    rows = [(one.texts[0], normal(one.texts[1]), translate(pair, one.texts[0], args.beam)) for one in pairs]
    for name, value in report(rows, losses[:, 0].sum() / losses[:, 1].sum()).items():
        print(f"{name:6} {value}")
    for source, reference, answer in rows[: args.examples]:
        print(f"{source}\n  is    {reference}\n  said  {answer}")
    if args.out:
        with args.out.open("w", encoding="utf-8") as file:
            for source, reference, answer in rows:
                line = {"source": source, "reference": reference, "answer": answer}
                file.write(json.dumps(line, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
