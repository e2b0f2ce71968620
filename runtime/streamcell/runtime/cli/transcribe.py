"""``streamcell transcribe``: the phones of recordings, one or thousands."""

import argparse
import os
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

from streamcell.runtime.cli import decoding, files, options
from streamcell.runtime.errors import InputError

if TYPE_CHECKING:
    from streamcell.runtime.batch.inputs import Inputs
    from streamcell.runtime.batch.run import Engine
    from streamcell.runtime.formats import Transcript
    from streamcell.runtime.model import Model

HELP = "print or write what a model hears in audio files, with times"

DESCRIPTION = """\
Print what a model hears in audio files (wav, flac, ogg, opus, mp3; any rate, any number of channels), with times.
Each file is streamed, so its length does not matter, and its result is printed as soon as it is done.

With --out DIR the results become files in DIR instead, in the folders of the recordings: many are heard at once, on
all cores; each result is there whole or not at all; --resume goes on where a run was stopped or killed. A result has
its recording's name with another suffix; where x.wav and x.flac lie side by side, both keep theirs (x.wav.TextGrid)."""

_CODES = """\
exit code: 0 all done, 1 a file was cut or damaged and what could be decoded is printed, 2 a file or the model
could not be read (the other files are done all the same). With --out: 0 all done, 1 some failed or were cut (failures
are listed in DIR/failed.jsonl), 2 nothing could be done. Results go to stdout, remarks to stderr.
"""

EPILOG = f"""\
examples:
  streamcell transcribe speech.wav                        start, end, phone and confidence, one line a phone
  streamcell transcribe speech.wav --ipa                  the same in the International Phonetic Alphabet
  streamcell transcribe a.flac b.mp3 --format jsonl       one JSON object a file, for programs
  streamcell transcribe talk.ogg --model my.onnx          another model than the one that comes along
  streamcell transcribe talk.ogg --lm phones.arpa         beam search with the n-gram that `streamcell lm` made
  streamcell transcribe talk.ogg --lexicon words.txt --dictionary cmudict.dict     words, none but those of words.txt
  streamcell transcribe talk.ogg --format srt --pause 0.6                          subtitles, a cue an utterance
  streamcell transcribe archive --out phones --format textgrid jsonl
  find archive -mtime -1 -print0 | streamcell transcribe - --null --out phones --resume
  streamcell transcribe /shared/calls --out /shared/phones --engine ray --ray-address HEAD:6379

{_CODES}"""


_MANY = ("root", "jobs", "resume", "overwrite", "engine", "ray_address")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command takes."""
    parser.add_argument("files", nargs="*", metavar="FILE", help="an audio file, a folder, or - for names on stdin")
    options.add_model(parser)
    parser.add_argument(
        "--format",
        nargs="+",
        default=["text"],
        metavar="FORMAT",
        help="text (default), jsonl, ctm, textgrid, srt or vtt; with --out several",
    )
    options.add_gap(parser)
    decoding.add_decoding(parser)
    chosen = parser.add_argument_group("which files")
    chosen.add_argument("--list", action="append", default=[], help="a manifest: JSON lines or CSV with a column audio")
    chosen.add_argument("--null", action="store_true", help="names on stdin end with NUL, as find -print0 writes them")
    chosen.add_argument("--pattern", metavar="GLOB", help="of files in folders, e.g. '*.flac' (default: all audio)")
    many = parser.add_argument_group("many files")
    many.add_argument("--out", metavar="DIR", help="write results below this folder instead of printing them")
    many.add_argument(
        "--root", metavar="DIR", help="the folder that becomes --out (default: each folder that is named)"
    )
    many.add_argument("--jobs", type=int, metavar="N", help="processes (default: one a core)")
    engines = "where they are heard: in processes of this machine (default), or by actors of a Ray cluster"
    many.add_argument("--engine", choices=("local", "ray"), help=engines)
    address = "of the Ray cluster (default: RAY_ADDRESS; without either, a Ray of this machine is started)"
    many.add_argument("--ray-address", metavar="ADDRESS", help=address)
    many.add_argument("--resume", action="store_true", help="skip what is done with the same model and settings")
    many.add_argument("--overwrite", action="store_true", help="replace results that are there")


def run(args: argparse.Namespace) -> int:
    """Print or write the transcript of each file; return the exit code that the help explains."""
    formats = _formats(args)
    model = decoding.decoded(args, options.open_model(args))
    if args.out is None:
        return _print(args, model, formats)
    return _write(args, model, formats)


def _formats(args: argparse.Namespace) -> list[str]:
    """Return the formats; names behind them that are none are files."""
    from streamcell.runtime.formats.names import FORMATS, find_format

    known = [find_format(args.format[0]).suffix and args.format[0]]
    rest = args.format[1:]
    while rest and rest[0] in FORMATS:
        known.append(rest.pop(0))
    args.files += rest
    if args.out == "":
        raise InputError("--out is empty; name a folder, . is this one")
    if args.out is not None:
        return list(dict.fromkeys(known))
    if odd := [name for name in _MANY if getattr(args, name)]:
        raise InputError(f"--{odd[0].replace('_', '-')} is for results in a folder; name one with --out DIR")
    if len(known) > 1:
        raise InputError(f"{len(known)} formats can only be written to files; name a folder with --out DIR")
    return known


def _inputs(args: argparse.Namespace) -> "Inputs":
    """Find the recordings; say what is odd about them.

    Raises:
        InputError: If there are none.
    """
    from streamcell.runtime.batch.inputs import collect
    from streamcell.runtime.batch.listing import Named, read_lines, read_manifest

    named: list[Named] = []
    for name in args.files:
        named += read_lines(sys.stdin.buffer, null=args.null) if name == "-" else [Named(name)]
    for path in args.list:
        named += read_manifest(path)
    if not args.files and not args.list:
        raise InputError("name at least one audio file or folder, - for names on stdin, or a --list")
    if args.null and "-" not in args.files:
        raise InputError("--null is for names on stdin; name - where they come")
    inputs = collect(named, args.pattern, args.root, once=args.out is not None)
    for note in inputs.notes:
        print(f"streamcell: note: {note}", file=sys.stderr)
    if not inputs.items:
        bad = "".join(f"; {path}: {reason}" for path, reason in inputs.unreadable[:3])
        where = ", ".join(one.path for one in named[:3]) if named else "the list, which is empty"
        raise InputError(f"there are no audio files in {where}{bad}")
    return inputs


def _print(args: argparse.Namespace, model: "Model", formats: list[str]) -> int:
    from streamcell.runtime.decode import labels_of
    from streamcell.runtime.formats.names import find_format
    from streamcell.runtime.phones import to_ipa
    from streamcell.runtime.transcribe import transcribe_file

    invalid, form, (unit, silence) = options.invalid(args), find_format(formats[0]), labels_of(model.manifest)
    inputs = _inputs(args)
    if len(inputs.items) > 1 and not form.joins:
        raise InputError(f"a file of format {formats[0]} holds one recording; name a folder with --out DIR")

    def show(transcript: "Transcript") -> None:
        renamed = transcript.relabel(to_ipa) if args.ipa else transcript
        for part in form.parts(replace(renamed, silence=silence, unit=unit)):
            sys.stdout.write(part)
        sys.stdout.flush()

    for path, reason in inputs.unreadable:
        print(f"streamcell: error: {path}: {reason}", file=sys.stderr)
    code = files.each([item.path for item in inputs.items], lambda file: transcribe_file(model, file, invalid), show)
    return 2 if inputs.unreadable else code


def _write(args: argparse.Namespace, model: "Model", formats: list[str]) -> int:
    from streamcell.runtime.batch.job import Job
    from streamcell.runtime.batch.run import transcribe_all

    if args.jobs is not None and args.jobs < 1:
        raise InputError(f"--jobs must be 1 or more, got {args.jobs}")
    inputs = _inputs(args)
    decoder, invalid = model.manifest.decoder, options.invalid(args)
    job = Job(args.model, model.fingerprint, args.out, tuple(formats), args.ipa, invalid, decoder)
    engine = _engine(args, len(inputs.items))
    summary = transcribe_all(job, inputs, engine, resume=args.resume, overwrite=args.overwrite)
    print(f"streamcell: {summary}", file=sys.stderr)
    return summary.code


def _engine(args: argparse.Namespace, count: int) -> "Engine":
    from streamcell.runtime.batch.run import local_engine, ray_engine

    if args.engine == "ray":
        return ray_engine(count, args.ray_address, args.jobs)
    if args.ray_address:
        raise InputError("--ray-address is for --engine ray")
    return local_engine(min(args.jobs or len(os.sched_getaffinity(0)), count))
