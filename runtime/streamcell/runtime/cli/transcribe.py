"""``streamcell transcribe``: the phones of recordings."""

import argparse
from typing import TYPE_CHECKING

from streamcell.runtime.cli import files, options

if TYPE_CHECKING:
    from streamcell.runtime.formats import Transcript

HELP = "print what a model hears in audio files, with times"

DESCRIPTION = """\
Print what a model hears in audio files (wav, flac, ogg, opus, mp3; any rate, any number of channels), with times.
Each file is streamed, so its length does not matter, and its result is printed as soon as it is done."""

EPILOG = f"""\
examples:
  streamcell transcribe speech.wav                        start, end, phone and confidence, one line a phone
  streamcell transcribe speech.wav --ipa                  the same in the International Phonetic Alphabet
  streamcell transcribe a.flac b.mp3 --format jsonl       one JSON object a file, for programs
  streamcell transcribe talk.ogg --model my.onnx          another model than the one that comes along

{files.EXIT_CODES}"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command takes."""
    parser.add_argument("files", nargs="+", metavar="FILE", help="an audio file")
    options.add_model(parser)
    parser.add_argument("--format", choices=("text", "jsonl"), default="text", help="default: text")
    options.add_gap(parser)


def run(args: argparse.Namespace) -> int:
    """Print the transcript of each file; return 0, 1 (a file was cut) or 2 (a file could not be read)."""
    from streamcell.runtime.phones import to_ipa
    from streamcell.runtime.transcribe import transcribe_file

    model, invalid, write = options.open_model(args), options.invalid(args), files.writer(args.format)
    rename = to_ipa if args.ipa else str

    def show(transcript: "Transcript") -> None:
        print(write(transcript.relabel(rename)), end="", flush=True)

    return files.each(args.files, lambda file: transcribe_file(model, file, invalid), show)
