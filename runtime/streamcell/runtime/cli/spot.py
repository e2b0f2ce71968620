"""``streamcell spot``: phrases in recordings, or in what is being said."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from streamcell.runtime.cli import files, options
from streamcell.runtime.errors import InputError

if TYPE_CHECKING:
    from streamcell.runtime.formats import Transcript
    from streamcell.runtime.model import Model
    from streamcell.runtime.words import Lexicon, Spotter

HELP = "find phrases in audio files or at the microphone, by their phones"

DESCRIPTION = """\
Find phrases in running speech (files, or "mic" for the microphone) and print start, end, phrase and score (0 to 1).
Phrases are words that a pronouncing dictionary knows, or phones in slashes. What names a file is a file, all else is
a phrase."""

EPILOG = f"""\
examples:
  streamcell spot "turn on the light" speech.wav --dictionary cmudict.dict
  streamcell spot "/T ER N AA N/" "/T ER N AO F/" *.flac         phrases as phones need no dictionary
  streamcell spot --phrases orders.txt mic                        until Ctrl-C; orders.txt has a phrase a line
  streamcell spot "good morning" talk.mp3 --dictionary cmudict.dict --false-alarms 1 --format jsonl

A line of --phrases may carry its own phones behind a tab: light<TAB>L AY T. The CMU dictionary is at
https://github.com/cmusphinx/cmudict. The threshold follows from --false-alarms (for one phrase in an hour of speech),
as measured on speakers that the model never heard; other speech and other noise may give more or fewer.

{files.EXIT_CODES}"""

_SOUND = {".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aiff", ".aif", ".au", ".m4a"}
_MIC = "mic"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command takes."""
    parser.add_argument("words", nargs="+", metavar="PHRASE|FILE|mic", help="phrases, then audio files or mic")
    parser.add_argument("--phrases", metavar="FILE", help="a text file with a phrase a line")
    parser.add_argument("--dictionary", metavar="FILE", help="a pronouncing dictionary in the CMU format")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--threshold", type=float, metavar="X", help="score that a hit needs, from 0 to 1")
    text = "false alarms per phrase and hour to aim for (default: 0.1)"
    how.add_argument("--false-alarms", type=float, metavar="N", help=text)
    options.add_model_alone(parser)
    parser.add_argument("--format", choices=("text", "jsonl"), default="text", help="default: text")
    parser.add_argument("--device", metavar="NAME|NUMBER", help="a microphone (default: the system's)")
    parser.add_argument("--seconds", type=options.seconds, metavar="N", help="end the microphone after N seconds")
    options.add_gap(parser)


def run(args: argparse.Namespace) -> int:
    """Print the phrases that are found; return 0, 1 (a file was cut) or 2 (a file could not be read)."""
    from streamcell.runtime.find_words import find_words

    if not all(word.strip() for word in args.words):
        raise InputError("one of the phrases is empty; expected words, or phones in slashes, as in '/T ER N/'")
    names = [word for word in args.words if word == _MIC or Path(word).suffix.lower() in _SOUND or Path(word).exists()]
    if not names or (_MIC in names and len(names) > 1):
        got = " ".join(names) or f"{', '.join(map(repr, args.words))}, of which none is a file"
        raise InputError(f"expected audio files, or {_MIC} alone, behind the phrases; got {got}")
    if names != [_MIC] and (args.device or args.seconds):
        raise InputError(f"--{'device' if args.device else 'seconds'} is for the microphone; name {_MIC} for it")
    phrases = _phrases(args, [word for word in args.words if word not in names])
    model, invalid, write = options.open_model(args), options.invalid(args), files.writer(args.format)
    spotter = _spotter(args, model, phrases)
    if names == [_MIC]:
        return _listen(args, model, spotter)

    def show(transcript: "Transcript") -> None:
        print(write(transcript), end="", flush=True)

    return files.each(names, lambda file: find_words(model, file, spotter, invalid), show)


def _phrases(args: argparse.Namespace, texts: list[str]) -> "Lexicon":
    """Look up what is to be found."""
    from streamcell.runtime.words import Lexicon, read_dictionary

    dictionary = read_dictionary(args.dictionary) if args.dictionary else None
    listed = Lexicon.read(args.phrases, dictionary).entries if args.phrases else ()
    if not texts and not listed:
        raise InputError(f"expected a phrase, got none; all of {', '.join(args.words)} name files")
    said = Lexicon.of(texts, dictionary).entries if texts else ()
    known = {entry.text for entry in said}
    return Lexicon((*said, *(entry for entry in listed if entry.text not in known)))


def _spotter(args: argparse.Namespace, model: "Model", phrases: "Lexicon") -> "Spotter":
    """Make the spotter; where the threshold was not given, say what it is and where it comes from."""
    from streamcell.runtime.words import Spotter, threshold_for
    from streamcell.runtime.words.threshold import USUAL

    threshold = args.threshold
    if threshold is None:
        aim = USUAL if args.false_alarms is None else args.false_alarms
        threshold, source = threshold_for(model.manifest, aim)
        remark = f"threshold {threshold:.3f} for {aim:g} false alarms per phrase and hour ({source})"
        print(f"streamcell: {remark}", file=sys.stderr)
    spotter = Spotter(model.manifest.outputs[0], phrases, threshold)
    for text, limit in spotter.limits.items():
        if limit < threshold:
            advice = f"its score never exceeds {limit:.3f}; lower --threshold, or look for more words at once"
            print(f"streamcell: warning: {text!r} is too short to be found: {advice}", file=sys.stderr)
    return spotter


def _listen(args: argparse.Namespace, model: "Model", spotter: "Spotter") -> int:
    """Print what is found at the microphone, until the time is over or Ctrl-C."""
    from streamcell.runtime.cli.signals import until_signal
    from streamcell.runtime.events import is_final
    from streamcell.runtime.find_words import DecodingStream
    from streamcell.runtime.formats import jsonl, text
    from streamcell.runtime.sources import Microphone
    from streamcell.runtime.transcribe import listen

    microphone = Microphone(args.device)
    stream = DecodingStream(model, spotter, microphone.sample_rate, invalid=options.invalid(args))
    line = jsonl.line if args.format == "jsonl" else text.line
    limit = args.seconds or float("inf")
    with until_signal() as ended:
        for heard in listen(stream, microphone, lambda seconds: ended.is_set() or seconds >= limit):
            for event in filter(is_final, heard.events):
                print(line(event), flush=True)
    return 0
