"""``streamcell transcribe``: the phones of recordings."""

import argparse
import sys
from typing import TYPE_CHECKING

from streamcell.runtime.cli import options
from streamcell.runtime.errors import SourceError

if TYPE_CHECKING:
    from streamcell.runtime.formats import Transcript

HELP = "print what a model hears in audio files, with times"

DESCRIPTION = """\
Print what a model hears in audio files (wav, flac, ogg, opus, mp3; any rate, any number of channels), with times.
Each file is streamed, so its length does not matter, and its result is printed as soon as it is done."""

EPILOG = """\
examples:
  streamcell transcribe speech.wav                        start, end, phone and confidence, one line a phone
  streamcell transcribe speech.wav --ipa                  the same in the International Phonetic Alphabet
  streamcell transcribe a.flac b.mp3 --format jsonl       one JSON object a file, for programs
  streamcell transcribe talk.ogg --model my.onnx          another model than the one that comes along

exit code: 0 all done, 1 a file was cut or damaged and what could be decoded is printed, 2 a file or the model
could not be read (the other files are done all the same). Results go to stdout, remarks to stderr.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command takes."""
    parser.add_argument("files", nargs="+", metavar="FILE", help="an audio file")
    options.add_model(parser)
    parser.add_argument("--format", choices=("text", "jsonl"), default="text", help="default: text")


def run(args: argparse.Namespace) -> int:
    """Print the transcript of each file; return 0, 1 (a file was cut) or 2 (a file could not be read)."""
    from streamcell.runtime.transcribe import transcribe_file

    model = options.open_model(args)
    code = 0
    for file in args.files:
        try:
            transcript = transcribe_file(model, file)
        except SourceError as error:
            print(f"streamcell: error: {error}", file=sys.stderr)
            code = 2
            continue
        _print(transcript, args)
        code = max(code, _remark(transcript))
    return code


def _print(transcript: "Transcript", args: argparse.Namespace) -> None:
    from streamcell.runtime.formats import jsonl, text
    from streamcell.runtime.phones import to_ipa

    if args.ipa:
        transcript = transcript.relabel(to_ipa)
    write = {"text": text.write, "jsonl": jsonl.write}[args.format]
    print(write(transcript), end="", flush=True)


def _remark(transcript: "Transcript") -> int:
    """Say on stderr what is odd about a result; return 1 if part of the file is missing."""
    file, seconds = transcript.file, f"{transcript.duration:.3f} s"
    if not transcript.segments:
        print(f"streamcell: note: nothing was found in {file} ({seconds} of audio)", file=sys.stderr)
    if transcript.cut:
        problem = f"{file} is cut or damaged; only its first {seconds} could be decoded"
        print(f"streamcell: warning: {problem}", file=sys.stderr)
    return int(transcript.cut)
