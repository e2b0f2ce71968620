"""``streamcell vad``: where speech is in recordings."""

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from streamcell.runtime.cli import files, options
from streamcell.runtime.errors import InputError

if TYPE_CHECKING:
    from streamcell.runtime.formats import Transcript
    from streamcell.runtime.sources import Speech

HELP = "print where speech is in audio files, and cut it out"

DESCRIPTION = """\
Print where speech is in audio files (wav, flac, ogg, opus, mp3; any rate, any number of channels): start, end and
confidence of each stretch. Each file is streamed, so its length does not matter."""

EPILOG = f"""\
examples:
  streamcell vad meeting.flac                             where someone speaks, one line a stretch
  streamcell vad meeting.flac --cut clips                 and each stretch as a wav file in the folder clips
  streamcell vad *.wav --format jsonl                     one JSON object a file, for programs
  streamcell vad noisy.mp3 --threshold 0.8 --min-speech 1 only what is surely speech, for a second at least

Speech begins where its probability reaches --threshold, and ends where it falls below --release and stays below
--threshold for --min-silence. Any model with a label "speech", or a phoneme model with a label for silence, will do.

{files.EXIT_CODES}"""

_NUMBERS = {
    "threshold": ("P", "probability at which speech begins (default: the model's, or 0.5)"),
    "release": ("P", "probability below which it ends (default: 0.15 below the threshold)"),
    "min-speech": ("S", "seconds that speech lasts at least (default: 0.25)"),
    "min-silence": ("S", "seconds that a pause lasts at least (default: 0.1)"),
    "padding": ("S", "seconds to add at both ends, at most half of --min-silence (default: 0.03)"),
}
_SETTINGS = {"min-speech": "min_duration", "min-silence": "min_gap"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command takes."""
    parser.add_argument("files", nargs="+", metavar="FILE", help="an audio file")
    options.add_model_alone(parser)
    for name, (unit, text) in _NUMBERS.items():
        parser.add_argument(f"--{name}", type=float, metavar=unit, dest=_SETTINGS.get(name, name), help=text)
    longest = "seconds after which longer speech is cut where it is quietest (default: 30)"
    parser.add_argument("--max-speech", type=float, metavar="S", default=30.0, help=longest)
    parser.add_argument("--format", choices=("text", "jsonl"), default="text", help="default: text")
    parser.add_argument("--cut", type=Path, metavar="DIR", help="write each stretch of speech into this folder, as wav")
    options.add_gap(parser)


def run(args: argparse.Namespace) -> int:
    """Print where speech is in each file; return 0, 1 (a file was cut) or 2 (a file could not be read)."""
    from streamcell.runtime.vad import find_speech, save_speech

    if args.cut is not None:
        _prepare(args.cut, args.files)
    model, invalid, write = options.open_model(args), options.invalid(args), files.writer(args.format)
    settings = {name: getattr(args, name) for name in (_SETTINGS.get(name, name) for name in _NUMBERS)}
    share = _Share()

    def hear(file: str) -> "Transcript":
        def save(speech: "Speech", rate: int) -> None:
            if args.cut is not None:
                save_speech(args.cut, Path(file).stem, speech, rate)

        return find_speech(model, file, invalid=invalid, max_seconds=args.max_speech, found=save, **settings)

    def show(transcript: "Transcript") -> None:
        print(write(transcript), end="", flush=True)
        share.add(transcript)

    code = files.each(args.files, hear, show)
    if share.heard:
        print(f"streamcell: {share}", file=sys.stderr)
    return code


class _Share:
    """Count how much of what was heard is speech."""

    def __init__(self) -> None:
        self.speech = self.heard = 0.0

    def add(self, transcript: "Transcript") -> None:
        self.heard += transcript.duration
        self.speech += sum(segment.end - segment.start for segment in transcript.segments)

    def __str__(self) -> str:
        return f"{self.speech:.1f} of {self.heard:.1f} s are speech ({self.speech / self.heard:.0%})"


def _prepare(folder: Path, names: Sequence[str]) -> None:
    """Make the folder; refuse recordings whose pieces would have the same names."""
    twice = [stem for stem, count in Counter(Path(name).stem for name in names).items() if count > 1]
    if twice:
        same = ", ".join(name for name in names if Path(name).stem == twice[0])
        raise InputError(f"--cut {folder}: the pieces of {same} would have the same names; cut them into other folders")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"--cut {folder}: {error.strerror}; name a folder to write to") from error
