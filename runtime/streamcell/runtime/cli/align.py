"""``streamcell align``: when each phone of a text was said, and how well."""

# ruff: noqa: RUF001 - IPA

import argparse
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from streamcell.runtime.cli import options
from streamcell.runtime.errors import InputError, StreamcellError

if TYPE_CHECKING:
    from streamcell.runtime.align import Script
    from streamcell.runtime.words import Dictionary

HELP = "find when each word and phone of a known text was said, and how well"

DESCRIPTION = """\
Print when each phone of a text was said in a recording, how well it fits (score: the log-ratio to the best other phone
in its place, per frame; marked ! below 0, where another sound fits better) and which phones fit best there. Of several
pronunciations the likeliest is taken; pauses may lie around every word."""

EPILOG = """\
examples:
  streamcell align speech.wav "good morning" --dictionary cmudict.dict
  streamcell align speech.wav speech.txt --dictionary cmudict.dict --format textgrid > speech.TextGrid
  streamcell align speech.wav "G UH D | M AO R N IH NG" --written arpabet
  streamcell align speech.wav "ɡʊd ˈmɔɹnɪŋ" --written ipa --ipa
  streamcell align --list corpus.jsonl --dictionary cmudict.dict --format utterances > utterances.jsonl

TEXT is a text, or names a text file. In a text of words, phones in slashes stand for themselves: "good /M AO N IH NG/".
--list is a file of JSON lines with "audio" (beside the list, if relative) and "text"; all other keys are kept by
--format utterances, which writes a corpus to train on. The CMU dictionary is at https://github.com/cmusphinx/cmudict.

exit code: 0 all done, 1 a file was cut, 2 a file, its text or the model does not fit (the others are done all the same)
"""

_WRITTEN = ("words", "arpabet", "ipa")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command takes."""
    parser.add_argument("audio", nargs="?", metavar="AUDIO", help="an audio file")
    parser.add_argument("text", nargs="?", metavar="TEXT", help="what is said there, or a text file of it")
    options.add_model(parser)
    parser.add_argument("--dictionary", metavar="FILE", help="a pronouncing dictionary in the CMU format")
    parser.add_argument("--written", choices=_WRITTEN, default="words", help="what TEXT consists of (default: words)")
    parser.add_argument("--list", metavar="FILE.jsonl", help="many recordings with their texts")
    formats = ("text", "jsonl", "textgrid", "utterances")
    parser.add_argument("--format", choices=formats, default="text", help="default: text")


def run(args: argparse.Namespace) -> int:
    """Print the alignment of each recording; return the exit code that the help explains."""
    from streamcell.runtime.align import align_file
    from streamcell.runtime.align.writing import FORMATS, relabel
    from streamcell.runtime.phones import to_ipa
    from streamcell.runtime.words import read_dictionary

    if (args.list is None) == (args.audio is None or args.text is None):
        raise InputError("expected AUDIO and TEXT, or --list FILE.jsonl")
    if args.list and args.format == "textgrid":
        raise InputError("a TextGrid holds one recording; choose another --format for a --list")
    if args.dictionary and args.written != "words":
        raise InputError(f"--dictionary is for a text of words, and --written {args.written} says phones; choose one")
    model, code = options.open_model(args), 0
    dictionary = read_dictionary(args.dictionary) if args.dictionary else None
    pairs = list(_listed(Path(args.list))) if args.list else [(args.audio, _said(args.text), dict[str, object]())]
    for audio, text, row in pairs:
        try:
            aligned = align_file(model, audio, _script(text, args.written, dictionary))
        except StreamcellError as error:
            print(f"streamcell: error: {error if audio in str(error) else f'{audio}: {error}'}", file=sys.stderr)
            code = 2
            continue
        written = FORMATS[args.format](relabel(aligned, to_ipa) if args.ipa else aligned)
        if args.list and args.format == "text":
            written = f"{audio}  {aligned.duration:.3f} s\n{written}"
        if args.format == "utterances":
            written = json.dumps({**json.loads(written), **row}) + "\n"
        sys.stdout.write(written)
        sys.stdout.flush()
        if aligned.cut:
            print(f"streamcell: warning: {audio} is cut or damaged; its text was fitted to the rest", file=sys.stderr)
            code = max(code, 1)
    return code


def _script(text: str, written: str, dictionary: "Dictionary | None") -> "Script":
    from streamcell.runtime.align import Script

    if written == "arpabet":
        return Script.of_phones(text)
    return Script.of_ipa(text) if written == "ipa" else Script.of_text(text, dictionary)


def _said(text: str) -> str:
    """Return a text, or what the file of that name holds."""
    if not os.path.isfile(text):  # noqa: PTH113 - Path.is_file raises for a text that is too long to be a name
        if text.endswith(".txt"):
            raise InputError(f"no such file: {text}; expected a text, or a file of it")
        return text
    try:
        return Path(text).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise InputError(f"{text} cannot be read as a text: {error}") from error


def _listed(path: Path) -> Iterator[tuple[str, str, dict[str, object]]]:
    """Yield recording, text and all else of each line.

    Raises:
        InputError: If the list cannot be read, or a line does not fit.
    """
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise InputError(f"--list {path} cannot be read: {reason}") from error
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                row = json.loads(line)
                audio, text = row["audio"], row["text"]
            except (ValueError, KeyError, TypeError):
                audio = text = None
            if not isinstance(audio, str) or not isinstance(text, str):
                wanted = 'a JSON object with "audio" and "text"'
                raise InputError(f"{path}, line {number}: expected {wanted}, got {line!r:.80}")
            yield str(path.parent / audio), text, {key: value for key, value in row.items() if key != "phones"}
