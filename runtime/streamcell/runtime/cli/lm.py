"""``streamcell lm``: an n-gram of phones, for beam search."""

import argparse
import sys
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from streamcell.runtime.errors import InputError
from streamcell.runtime.phones import ARPABET, SILENCE

if TYPE_CHECKING:
    from streamcell.runtime.lm.texts import Weighed

HELP = "count an n-gram of phones, which beam search decodes with"

DESCRIPTION = """\
Count an n-gram of phones and write it as an ARPA file, which the decoder "ctc-beam" takes. Files are plain text, whose
words are looked up in a dictionary in the CMU format; corpora (utterances.jsonl, whose "phones" are taken); or, with
--phones, phones parted by spaces, an utterance a line."""

EPILOG = """\
examples:
  streamcell lm book.txt --dictionary cmudict.dict --order 4 --out phones.arpa
  streamcell lm corpus/utterances.jsonl book.txt --dictionary cmudict.dict --out phones.arpa
  streamcell lm --phones said.txt --out phones.arpa

The perplexity that is printed is that of phones in every 20th utterance (equal ones together), by a first count that
leaves these out; the file counts all. Pauses are left out: one may come anywhere and changes nothing that follows.
The CMU dictionary is at https://github.com/cmusphinx/cmudict.
"""

_HELD = 20  # one utterance in so many is held out
_SHOWN = 10  # unknown words


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command takes."""
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="text, phones, or a corpus (.jsonl)")
    parser.add_argument("--dictionary", type=Path, metavar="FILE", help="how words are said, in the CMU format")
    phones = "text files hold phones, parted by spaces; stress is left out"
    parser.add_argument("--phones", action="store_true", help=phones)
    text = "for a word with several pronunciations: the first, or all, with equal weights (default: first)"
    parser.add_argument("--variants", choices=("first", "all"), default="first", help=text)
    parser.add_argument("--order", type=int, default=2, metavar="N", help="phones in a row, 1 to 4 (default: 2)")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="the ARPA file")


def run(args: argparse.Namespace) -> int:
    """Count, measure, write; return 0."""
    from streamcell.runtime.lm import train_ngram, write_arpa

    if args.out.is_dir() or not args.out.parent.is_dir():
        raise InputError(f"expected a file in a folder that is there as --out, got {args.out}")
    said = _Said(args)
    given = [(phones, weight) for file in args.files for phones, weight in said.read(file) if phones]
    if not given:
        raise InputError(f"expected phones in {', '.join(map(str, args.files))}, found none")
    phones = {phone for row, _ in given for phone in row}
    tokens = ARPABET if phones <= set(ARPABET) else ()
    held = [_is_held(row) for row, _ in given]
    kept = [one for one, out in zip(given, held, strict=True) if not out]
    tested = [row for (row, _), out in zip(given, held, strict=True) if out]
    model = train_ngram([row for row, _ in given], args.order, [weight for _, weight in given], tokens)
    args.out.write_text(write_arpa(model), encoding="utf-8")
    grams = " + ".join(f"{len(level):,}" for level in model.probs)
    count = sum(len(row) for row, _ in given)
    print(f"{args.out}: {args.order}-gram of {len(model.tokens)} tokens, {grams} grams")
    print(f"counted {count:,} phones in {len(given):,} rows{said}")
    if kept and tested:
        rest = train_ngram([row for row, _ in kept], args.order, [weight for _, weight in kept], sorted(phones))
        print(f"perplexity {rest.perplexity(tested):.2f} on {len(tested):,} rows held out")
    said.warn()
    return 0


def _is_held(row: tuple[str, ...]) -> bool:
    """Tell whether a row is held out; equal ones are on one side."""
    return zlib.crc32(" ".join(row).encode()) % _HELD == 0


def _bare(phone: str) -> str:
    """Return a phone of ARPAbet without its stress, any other as it is."""
    return bare if (bare := phone.rstrip("012")) in ARPABET else phone


class _Said:
    """Read files of all kinds, and count words that are not in the dictionary."""

    def __init__(self, args: argparse.Namespace) -> None:
        from streamcell.runtime.words import read_dictionary

        if args.phones and args.dictionary:
            raise InputError("--phones says that the files hold phones and --dictionary how words are said; choose one")
        texts = [file for file in args.files if file.suffix != ".jsonl" and not args.phones]
        if texts and args.dictionary is None:
            raise InputError(f"{texts[0]} is plain text: give --dictionary, or --phones if it holds phones")
        self._dictionary = read_dictionary(args.dictionary) if args.dictionary else {}
        self._phones, self._variants = args.phones, args.variants == "all"
        self._unknown, self._words = Counter[str](), 0

    def read(self, file: Path) -> "Iterator[Weighed]":
        """Yield what was said in a file, without pauses, and how often it counts."""
        from streamcell.runtime.lm.texts import read_corpus_phones, read_lines, read_phones, speak

        if self._phones or file.suffix == ".jsonl":
            rows = read_corpus_phones(file) if file.suffix == ".jsonl" else read_phones(file)
            yield from ((tuple(_bare(phone) for phone in row if phone != SILENCE), 1.0) for row in rows)
            return
        for _, line in read_lines(file):
            self._words += len(line.split())
            yield from speak(line, self._dictionary, self._unknown, variants=self._variants)

    def __str__(self) -> str:
        return f", {self._words:,} words" if self._words else ""

    def warn(self) -> None:
        """Report the unknown words on stderr."""
        if self._unknown:
            common = ", ".join(f"{word} ({count})" for word, count in self._unknown.most_common(_SHOWN))
            total = self._unknown.total()
            print(
                f"streamcell: warning: {total:,} words are not in the dictionary, {len(self._unknown):,} different "
                f"ones; the most frequent: {common}",
                file=sys.stderr,
            )
