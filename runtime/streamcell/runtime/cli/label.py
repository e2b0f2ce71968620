"""``streamcell label``: one label for a text, a recording, a gesture, a picture; the labels of a film."""

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from streamcell.runtime.cli import files, options, texts
from streamcell.runtime.errors import InputError, SourceError
from streamcell.runtime.printable import printable

if TYPE_CHECKING:
    from streamcell.runtime.manifest import Manifest
    from streamcell.runtime.model import Model

HELP = "print what a text, a recording, a gesture or a picture is, and what a film shows"

DESCRIPTION = """\
Print the label that a model gives to all of a text, a recording, a sequence of readings or a picture, with its
probability; or, with a model that labels each picture of a film, a line for each stretch with the same label."""

EPILOG = """\
examples:
  streamcell label names.onnx --text Rossi                        Rossi: Italian 0.912
  streamcell label names.onnx --text Rossi --text Maier --top 3   the three most probable labels of each
  streamcell label sentiment.onnx reviews.txt                     a text a line
  head -5 reviews.txt | streamcell label sentiment.onnx           the same from a pipe
  streamcell label digits.onnx seven.wav two.flac                 recordings, at any rate
  streamcell label handwriting.onnx stroke.csv                    readings: CSV, JSON lines, or .npy [n, channels]
  streamcell label still.onnx photo.png --resize                  a picture (pip install 'streamcell[images]')
  streamcell label frames.onnx film.gif --format jsonl            a film: GIF, or .npy [n, rows, columns, colours]

The model says which of these it takes (`streamcell inspect MODEL`). JSON lines are {"input", "label", "probability",
"labels": {label: probability, ...}}; of films {"file", "duration", "segments"}.

exit code: 0 done, 1 a recording was cut and what could be read is labelled, 2 an input or the model could not be read
(the other inputs are done all the same). Results go to stdout, remarks to stderr.
"""

_COMMANDS = {
    "ctc": "`streamcell transcribe`",
    "frames": "`streamcell classify` (readings) or `streamcell transcribe` (audio)",
    "next": "`streamcell generate`",
    "forecast": "`streamcell forecast`",
    "encode": "`streamcell generate DECODER --encoder`",
}
_SHOWN = 60  # letters of a text


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command takes."""
    parser.add_argument("model", metavar="MODEL", help="an .onnx file that labels a whole, or the pictures of a film")
    options.add_trust(parser)
    inputs = "a file, or - for standard input (default where there is no --text); of texts each line is one"
    parser.add_argument("inputs", nargs="*", metavar="INPUT", help=inputs)
    parser.add_argument("--text", action="append", default=[], metavar="TEXT", help="a text itself; may come again")
    parser.add_argument("--top", type=int, default=1, metavar="N", help="how many labels are printed (default: 1)")
    parser.add_argument("--format", choices=("text", "jsonl"), default="text", help="default: text")
    parser.add_argument("--resize", action="store_true", help="fit pictures of another size than the model's")
    options.add_readings(parser)


def run(args: argparse.Namespace) -> int:
    """Label each input; return 0, 1 (a recording was cut) or 2 (an input could not be read)."""
    model = options.open_model(args)
    _check(args, model.manifest)
    if model.manifest.task == "frames":
        return _films(args, model)
    if model.manifest.input.kind == "tokens":
        return _texts(args, model)
    return _files(args, model)


def _check(args: argparse.Namespace, manifest: "Manifest") -> None:
    """Refuse what cannot be labelled, before anything is read."""
    spec = manifest.input
    if manifest.task != "sequence" and not (manifest.task == "frames" and spec.image):
        command = _COMMANDS[manifest.task]
        raise InputError(f"{manifest.name} is of task {manifest.task!r}, which labels no whole: use {command}")
    if args.top < 1:
        raise InputError(f"--top must be 1 or more, got {args.top}")
    if spec.kind == "tokens":
        args.inputs = args.inputs or ([] if args.text else ["-"])
    elif args.text:
        raise InputError(
            f"--text is for models of text; {manifest.name} takes {'pictures' if spec.image else spec.kind}"
        )
    elif not args.inputs:
        raise InputError("name at least one file to label")
    if args.resize and not spec.image:
        raise InputError(f"--resize is about pictures; {manifest.name} takes {spec.kind}")


def _films(args: argparse.Namespace, model: "Model") -> int:
    """Print each stretch of pictures with the same label."""
    from streamcell.runtime.formats import Transcript
    from streamcell.runtime.label import label_film
    from streamcell.runtime.sources.pictures import read_pictures

    spec, write = model.manifest.input, files.writer(args.format)

    def hear(file: str) -> Transcript:
        try:
            rows = read_pictures(file, spec.image, spec.sample_rate, resize=args.resize)
        except InputError as error:
            raise SourceError(str(error)) from error
        return Transcript(file, len(rows) / spec.sample_rate, label_film(model, rows))

    return files.each(args.inputs, hear, lambda transcript: print(write(transcript), end="", flush=True))


def _texts(args: argparse.Namespace, model: "Model") -> int:
    from streamcell.runtime.label import label_tokens

    code = 0
    for where, text in _lines(args):
        try:
            shares = label_tokens(model, text)
        except InputError as error:
            print(f"streamcell: error: {where}: {error}", file=sys.stderr)
            code = 2
        else:
            _tell(args, text, shares)
    return code


def _lines(args: argparse.Namespace) -> Iterator[tuple[str, str]]:
    """Yield each text, with the place that it stands at; empty lines are none."""
    for text in args.text:
        yield f"--text {text[:_SHOWN]!r}", text
    for name in args.inputs:
        for number, line in enumerate(texts.lines(name), 1):
            if line.strip():
                yield f"{'standard input' if name == '-' else name}, line {number}", line


def _files(args: argparse.Namespace, model: "Model") -> int:
    spec, code = model.manifest.input, 0
    label = _audio if spec.kind == "audio" else _picture if spec.image else _readings
    for name in args.inputs:
        try:
            shares, remark = label(args, model, name)
        except (InputError, SourceError) as error:
            known = str(error).startswith(name)
            print(f"streamcell: error: {'' if known else f'{name}: '}{error}", file=sys.stderr)
            code = 2
            continue
        _tell(args, name, shares)
        if remark:
            print(f"streamcell: warning: {name}: {remark}", file=sys.stderr)
            code = max(code, int(label is _audio))
    return code


def _audio(_: argparse.Namespace, model: "Model", name: str) -> tuple[dict[str, float], str]:
    from streamcell.runtime.label import label_audio
    from streamcell.runtime.sources import AudioFile

    with AudioFile(name) as audio:
        shares = label_audio(model, audio)
        return shares, f"is cut or damaged; labelled by its first {audio.seconds:.3f} s" if audio.cut else ""


def _picture(args: argparse.Namespace, model: "Model", name: str) -> tuple[dict[str, float], str]:
    from streamcell.runtime.label import label_rows
    from streamcell.runtime.sources.pictures import read_pictures

    spec = model.manifest.input
    return label_rows(model, read_pictures(name, spec.image, spec.sample_rate, resize=args.resize)), ""


def _readings(args: argparse.Namespace, model: "Model", name: str) -> tuple[dict[str, float], str]:
    from streamcell.runtime.label import label_readings, label_rows
    from streamcell.runtime.sources import open_readings
    from streamcell.runtime.sources.pictures import load_array

    if Path(name).suffix.lower() == ".npy":
        return label_rows(model, load_array(name)), ""
    names = options.channels(args, model.manifest.input)
    with open_readings(name, names, args.time, args.on_error or "stop") as source:
        shares, odd = label_readings(model, source, args.max_gap)
        skipped = [f"{source.skipped} lines left out"] if source.skipped else []
    return shares, "; ".join([*odd, *skipped])


def _tell(args: argparse.Namespace, name: str, shares: dict[str, float]) -> None:
    """Print a line."""
    best = dict(list(shares.items())[: args.top])
    if args.format == "jsonl":
        label, probability = next(iter(best.items()))
        rounded = {label: round(share, 6) for label, share in best.items()}
        found = {"input": name, "label": label, "probability": round(probability, 6), "labels": rounded}
        print(json.dumps(found), flush=True)
        return
    shown = name if len(name) <= _SHOWN else f"{name[:_SHOWN].rstrip()} ..."
    print(f"{shown}: {', '.join(f'{printable(label)} {share:.3f}' for label, share in best.items())}", flush=True)
