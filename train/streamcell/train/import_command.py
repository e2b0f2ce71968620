"""`streamcell import`: a corpus in its own layout -> one that `streamcell train` reads."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from streamcell.runtime.cli import options
from streamcell.runtime.errors import InputError

if TYPE_CHECKING:
    from streamcell.train.importers.corpus import Account
    from streamcell.train.importers.spoken import Spoken

HELP = "make a corpus that can be trained on, of one in its own layout"
DESCRIPTION = """\
Make utterances.jsonl, which recipes for phonemes read, of a corpus as it is distributed. Words become phones by a
pronouncing dictionary, of several pronunciations the likeliest; a model tells when each phone was said (TIMIT tells it
itself). Recordings stay where they are. What has an unknown word is left out, and the words are reported."""
EPILOG = """\
kinds:
  librispeech   LibriSpeech or a subset: SPEAKER/CHAPTER/*.trans.txt and flac
  timit         TIMIT/TRAIN: *.PHN, 61 phones folded to ours; the two sentences that all read (SA) are left out
  common_voice  one language's folder: SPLIT.tsv (default: validated) and clips/
  an4           an4/: etc/an4_SPLIT.fileids and .transcription (default: train), wav/
  list          a file of JSON lines with "audio" and "text", perhaps "id" and "speaker"

examples:
  streamcell import librispeech LibriSpeech/train-clean-100 --out data/librispeech --dictionary cmudict.dict
  streamcell import common_voice cv-corpus/en --split train --out data/cv --dictionary cmudict.dict --jobs 4

A run that was stopped goes on where it was. The CMU dictionary is at https://github.com/cmusphinx/cmudict.
"""

KINDS = ("librispeech", "timit", "common_voice", "an4", "list")
_SHOWN = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command takes."""
    parser.add_argument("kind", choices=KINDS, metavar="KIND", help=", ".join(KINDS))
    parser.add_argument("corpus", type=Path, metavar="CORPUS", help="its folder, or the file of a list")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="the folder for utterances.jsonl")
    parser.add_argument("--dictionary", metavar="FILE", help="a pronouncing dictionary in the CMU format")
    parser.add_argument("--split", metavar="NAME", help="which part, for common_voice and an4")
    parser.add_argument("--model", metavar="NAME|PATH", help="tells the times of phones (default: phonemes-en)")
    options.add_trust(parser)
    parser.add_argument("--jobs", type=int, metavar="N", help="processes (default: one a core)")


def run(args: argparse.Namespace) -> int:
    """Import; return 0, 1 (some recordings were left out) or 2."""
    from streamcell.runtime.words import read_dictionary
    from streamcell.train.importers.corpus import import_corpus

    jobs = len(os.sched_getaffinity(0)) if args.jobs is None else args.jobs
    if jobs < 1:
        raise InputError(f"--jobs must be 1 or more, got {jobs}")
    if (args.out / "utterances.jsonl").exists():
        raise InputError(f"{args.out / 'utterances.jsonl'} is there already; name another --out, or move it away")
    if args.dictionary is None and args.kind != "timit":
        raise InputError("words become phones by a dictionary; give one in the CMU format with --dictionary")
    options.open_model(args)  # what every process opens has passed a trial
    dictionary = read_dictionary(args.dictionary) if args.dictionary else {}
    spoken = list(_spoken(args))
    shown = sys.stderr.isatty()

    def progress(seen: int, account: Account) -> None:
        if shown or seen % 500 == 0:
            end = "\r" if shown else "\n"
            print(f"streamcell: {account.done} of {len(spoken)} recordings", file=sys.stderr, end=end, flush=True)

    account = import_corpus(spoken, args.out, dictionary, model=args.model, jobs=jobs, progress=progress)
    for line in _report(account, len(spoken)):
        print(f"streamcell: {line}", file=sys.stderr)
    if not account.done:
        raise InputError(f"nothing of {args.corpus} could be imported; see above")
    print(args.out / "utterances.jsonl")
    return int(account.done < len(spoken))


def _spoken(args: argparse.Namespace) -> Iterator[Spoken]:
    from streamcell.train.importers import an4, common_voice, librispeech, listed, timit

    if not args.corpus.exists():
        raise InputError(f"there is no {args.corpus}")
    if args.kind in ("common_voice", "an4"):
        read = common_voice.read if args.kind == "common_voice" else an4.read
        return read(args.corpus, args.split) if args.split else read(args.corpus)
    if args.split:
        raise InputError(f"--split is for common_voice and an4; name a folder of {args.kind} instead")
    return {"librispeech": librispeech.read, "timit": timit.read, "list": listed.read}[args.kind](args.corpus)


def _report(account: Account, count: int) -> Iterator[str]:
    yield f"{account.done} of {count} recordings were written"
    if account.empty:
        yield f"{account.empty} have no words"
    if account.unknown:
        words = ", ".join(f"{word} ({times})" for word, times in account.unknown.most_common(_SHOWN))
        more = f" and {len(account.unknown) - _SHOWN} more" if len(account.unknown) > _SHOWN else ""
        yield f"words that the dictionary lacks, and how many recordings have them: {words}{more}"
    for name, why in account.failed[:_SHOWN]:
        yield f"{name} was left out: {why}"
    if len(account.failed) > _SHOWN:
        yield f"{len(account.failed) - _SHOWN} more could not be read or do not fit their text"
