"""`streamcell drift`: whether a model stays right for hours, and which reset policy is best."""

from __future__ import annotations

import argparse
import importlib.util
import json
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from streamcell.runtime.cli.options import add_trust, seconds
from streamcell.runtime.errors import InputError, MissingExtraError

if TYPE_CHECKING:
    from streamcell.runtime.manifest import ResetPolicy
    from streamcell.runtime.model import Model
    from streamcell.train.drift.pieces import Block
    from streamcell.train.drift.policies import Trial

HELP = "measure whether a model stays right for hours, and choose when its state begins anew"
DESCRIPTION = """\
Hear the same recordings again and again in one stream, so that only the time since it began differs, and count the
mistakes of each round; then hear them right after what disturbs: lost samples, NaN that was refused, minutes of zeros
and of quiet noise, loud noise. Both for each reset policy: never, after seconds of silence (by the model's own label
for it), every so many seconds. Say which policy is best: the one with the fewest mistakes, if the 95% interval of its
difference to never (paired bootstrap over recordings) lies below 0; else never, because it is the simplest."""
EPILOG = """examples:
  streamcell drift phonemes-en --data DATA/speech/librispeech/dev DATA/speech/speechocean762/dev --out runs/drift
  streamcell drift phonemes-en --data DATA/speech/librispeech/train --recipe samples/phonemes/recipe.toml \\
      --write phonemes-en-2.onnx                     choose on speakers held out of training, write it into a copy
  streamcell drift activity.onnx --data DATA/sensor/hapt.zip --format hapt --groups 2 9 10 13 20 --hours 4
  streamcell drift old.onnx --data DATA/speech/librispeech/dev --after-silence --every        measure never only

How to read it. "block begins": each row is the same recordings, so the numbers of a column differ only by time; "last
block less first" should hold 0 in its brackets ([?]: fewer than 10 recordings, which tell nothing of others). Where a
network cannot stand long streams the numbers rise from block to block. "after ...": the same recordings in a fresh
stream come first; in brackets is the difference to these. The states' sizes should stay as in the first block.

A policy in the manifest is obeyed by every command and class that streams: where it says so the state begins anew
between two frames, the frames before it are those of a stream that goes on, those after it of a fresh one, and a
reset event stands on the timeline. Two hours take half a minute to a minute a policy on one core.

exit code: 0 done, 2 bad input."""

NEEDS = ("torch", "soundfile", "soxr", "msgspec", "rapidfuzz", "matplotlib", "rich")
_SILENCES = (1.0, 2.0, 5.0)
_INTERVALS = (60.0, 600.0)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command takes."""
    parser.add_argument("model", metavar="MODEL", help="a bundled model's name or an .onnx file")
    add_trust(parser)
    corpora = "folders with utterances.jsonl; for a model of a sensor its recordings, see --format"
    parser.add_argument("--data", type=Path, nargs="+", required=True, metavar="FOLDER", help=corpora)
    parser.add_argument(
        "--hours", type=float, default=2.0, metavar="H", help="length of the stream at least (default: 2)"
    )
    block = "recordings in a block, the same in each (default: 10)"
    parser.add_argument("--minutes", type=float, default=10.0, metavar="M", help=block)
    pause = "longest pause between recordings, drawn once from 0 on (default: 4; sound only)"
    parser.add_argument("--pause", type=float, default=4.0, metavar="S", help=pause)
    parser.add_argument("--quiet", type=float, default=2.0, metavar="M", help="minutes of silence (default: 2)")
    silence = "seconds of silence to try (default: 1 2 5; no number: none)"
    parser.add_argument("--after-silence", type=seconds, nargs="*", default=_SILENCES, metavar="S", help=silence)
    every = "intervals in seconds to try (default: 60 600; no number: none)"
    parser.add_argument("--every", type=seconds, nargs="*", default=_INTERVALS, metavar="S", help=every)
    parser.add_argument("--recipe", type=Path, metavar="TOML", help="hear only the speakers that it holds out")
    kinds = ("recordings", "sequences", "hapt")
    parser.add_argument(
        "--format", choices=kinds, default="recordings", help="of a sensor's data (default: recordings)"
    )
    parser.add_argument(
        "--groups", nargs="+", default=[], metavar="NAME", help="whose recordings of a sensor (default: all)"
    )
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="write drift.json and drift.png there")
    parser.add_argument("--write", type=Path, metavar="NEW.onnx", help="write a copy of the model with the best policy")


def run(args: argparse.Namespace) -> int:
    """Measure, print, draw, write."""
    missing = [name for name in NEEDS if importlib.util.find_spec(name) is None]
    if missing:
        raise MissingExtraError(", ".join(missing), "train", "to measure drift")
    _check(args)
    from streamcell.runtime.cli.options import open_model
    from streamcell.train.drift.picture import draw
    from streamcell.train.drift.policies import best, policies, write_policy
    from streamcell.train.drift.report import facts, table

    model = open_model(args, args.model)
    block = _block(args, model)
    count = max(2, math.ceil(3600 * args.hours / block.seconds))
    title = (
        f"{model.manifest.name}: {len(block.pieces)} recordings, {block.seconds / 60:.1f} min with their pauses, "
        f"{count} times, {count * block.seconds / 3600:.1f} h in one stream"
    )
    trials = _try(args, model, block, count, policies(model.manifest, args.after_silence, args.every))
    chosen = best(trials)
    print("\n".join([title, "", *table(trials, chosen)]))
    if args.out:
        args.out.mkdir(parents=True, exist_ok=True)
        text = json.dumps({"model": model.fingerprint, "title": title, **facts(trials, chosen)})
        (args.out / "drift.json").write_text(text + "\n", encoding="utf-8")
        draw(trials, chosen, title, args.out / "drift.png")
        print(f"picture: {args.out / 'drift.png'}")
    if args.write:
        write_policy(_source(args.model), args.write, trials[chosen].policy)
        print(f"{args.write}: the reset policy is {chosen}")
    return 0


def _check(args: argparse.Namespace) -> None:
    if not 0 < args.hours <= 1000 or not 0 < args.minutes <= 60 * args.hours:
        raise InputError(f"expected --hours above 0 and --minutes within them, got {args.hours:g} and {args.minutes:g}")
    if not 0 <= args.pause <= 60 or not 0 < args.quiet <= 600:
        raise InputError(
            f"expected --pause up to 60 s and --quiet up to 600 min, got {args.pause:g} and {args.quiet:g}"
        )
    if args.out and not next(path for path in _and_parents(args.out) if path.exists()).is_dir():
        raise InputError(f"--out must name a folder, or one that can be made; got {args.out}")
    if args.write and (args.write.is_dir() or not args.write.absolute().parent.is_dir()):
        raise InputError(f"--write must name a file in a folder that is there, got {args.write}")


def _and_parents(path: Path) -> tuple[Path, ...]:
    return path.absolute(), *path.absolute().parents


def _block(args: argparse.Namespace, model: Model) -> Block:
    from streamcell.train.drift.pieces import Sensors, block_of, held_out, read_pieces

    speakers = held_out(args.recipe) if args.recipe else None
    sensors = Sensors(args.format, tuple(args.groups))
    pieces = read_pieces(model.manifest, args.data, 60 * args.minutes, speakers=speakers, sensors=sensors)
    return block_of(model.manifest, pieces, args.pause)


def _try(
    args: argparse.Namespace, model: Model, block: Block, count: int, tried: list[ResetPolicy | None]
) -> dict[str, Trial]:
    """Measure each policy in turn."""
    from streamcell.train.drift.measure import after_disturbances, over_time
    from streamcell.train.drift.policies import Trial, name_of

    trials = dict[str, Trial]()
    with _bar(len(tried), count * block.seconds) as bar:
        for policy in tried:
            again = model.with_reset(policy)
            course = over_time(again, block, count, bar(name_of(policy), len(trials)))
            trials[name_of(policy)] = Trial(policy, course, after_disturbances(again, block, args.quiet))
    return trials


@contextmanager
def _bar(policies: int, length: float) -> Iterator[Callable[[str, int], Callable[[float], None]]]:
    """Show on stderr how far it is: give what begins a policy, which gives what is told the seconds heard of it."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), refresh_per_second=2) as shown:
        task = shown.add_task("", total=policies * length)

        def begin(name: str, done: int) -> Callable[[float], None]:
            shown.update(task, description=name)
            return lambda heard: shown.update(task, completed=done * length + heard)

        yield begin


def _source(model: str) -> Path:
    from streamcell.runtime.models import find_bundled

    found = find_bundled(model)
    return Path(str(found)) if found is not None else Path(model)
