"""``streamcell forecast``: what will come, with how sure that is."""

import argparse
import json
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from streamcell.runtime.cli import options
from streamcell.runtime.errors import InputError, MissingExtraError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from streamcell.runtime.forecast import Horizons
    from streamcell.runtime.model import Model
    from streamcell.runtime.past import Past

HELP = "print what a model expects of a series, as quantiles, and draw it"

DESCRIPTION = """\
Print what a model expects to come after a series of readings: a line for each step ahead, with the quantiles that the
model gives. The quantile q0.9 is the value that what comes stays below in 9 of 10 cases, if the model is right."""

EPILOG = """\
examples:
  streamcell forecast ett.onnx ETTh1.csv                      the next hours after the last row of a table
  streamcell forecast ett.onnx ETTh1.csv --hold-back 24       the last 24 rows are not heard, but shown beside it
  streamcell forecast ett.onnx ETTh1.csv --plot fan.png       the past and a fan of quantiles, as PNG or SVG
  tail -500 log.jsonl | streamcell forecast load.onnx - --format jsonl           one JSON object a step ahead

The table is CSV or JSON lines, one row a step, with columns of the model's names (`streamcell inspect MODEL`); others
are ignored. A column of times (time, timestamp, ts, t, date or --time) is only used to say when a forecast is for.

exit code: 0 done, 2 the model or the table could not be used. Results go to stdout, remarks to stderr.
"""

_PICTURES = (".png", ".svg")
_SAME_RATE = 0.01


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command takes."""
    parser.add_argument("model", metavar="MODEL", help="an .onnx file that forecasts")
    options.add_trust(parser)
    parser.add_argument("file", metavar="FILE", help="CSV or JSON lines (- for standard input)")
    parser.add_argument("--channels", metavar="A,B,C", help="names of the columns, in the model's order of channels")
    parser.add_argument("--time", metavar="COLUMN", help="the column of times")
    wrong = "what becomes of a line that is no reading (default: stop)"
    parser.add_argument("--on-error", choices=("stop", "skip"), default="stop", help=wrong)
    held = "do not hear the last N rows, and show them as what came"
    parser.add_argument("--hold-back", type=int, default=0, metavar="N", help=held)
    parser.add_argument("--format", choices=("text", "jsonl"), default="text", help="default: text")
    parser.add_argument("--plot", type=Path, metavar="FILE.png", help="draw the past and the forecast (png or svg)")


def run(args: argparse.Namespace) -> int:
    """Hear the past, print the forecast."""
    from streamcell.runtime.forecast import Horizons, forecast
    from streamcell.runtime.past import read_past

    _check(args)
    model = options.open_model(args)
    horizons = Horizons.of(model.manifest)
    every = read_past(args.file, options.channels(args, model.manifest.input), args.time, args.on_error)
    heard = len(every.values) - args.hold_back
    if heard < 1:
        raise InputError(f"--hold-back {args.hold_back} leaves none of {len(every.values)} rows to hear")
    past, came = every.first(heard), every.values[heard:]
    _remark(args, model, past)
    table = forecast(model, past.values)
    names = [name.casefold() for name in model.manifest.input.channel_names]
    column = names.index(horizons.target.casefold()) if horizons.target.casefold() in names else None
    real = None if column is None else came[:, column]
    (_print_json if args.format == "jsonl" else _print_text)(horizons, table, past, real)
    if args.plot is not None:
        from streamcell.runtime.plot.fan import compose, draw

        title = f"{model.manifest.name}: {horizons.target} after {Path(args.file).name}, {heard} rows"
        draw(compose(horizons, table, past, column, came=came, title=title), args.plot)
        print(f"streamcell: drew {args.plot}", file=sys.stderr)
    return 0


def _check(args: argparse.Namespace) -> None:
    """Refuse, before any work, what cannot be done."""
    if args.hold_back < 0:
        raise InputError(f"--hold-back must be 0 or more rows, got {args.hold_back}")
    if args.plot is None:
        return
    if args.plot.suffix.lower() not in _PICTURES:
        raise InputError(f"--plot {args.plot}: expected a name that ends with {' or '.join(_PICTURES)}")
    if args.plot.is_dir() or not args.plot.absolute().parent.is_dir():
        raise InputError(f"--plot {args.plot}: name a file in a folder that is there")
    if find_spec("matplotlib") is None:
        raise MissingExtraError("matplotlib", "plot", "to draw a picture")


def _remark(args: argparse.Namespace, model: "Model", past: "Past") -> None:
    """Say what is odd about the past; refuse rows at another rate than the model's, if it has one."""
    if past.skipped:
        print(f"streamcell: warning: {past.skipped} lines of {args.file} were left out", file=sys.stderr)
    if past.times is not None and past.interval is None and len(past.times) > 1:
        print("streamcell: warning: the rows' times are not even; each row is taken as a step", file=sys.stderr)
    rate, interval = model.manifest.input.sample_rate, past.interval
    if rate > 1 and interval is not None and abs(interval * rate - 1) > _SAME_RATE:
        raise InputError(
            f"{model.manifest.name} takes a row every {1 / rate:g} s, {args.file} has one every {interval:g} s"
        )


def _print_text(
    horizons: "Horizons", table: "NDArray[np.float32]", past: "Past", came: "NDArray[np.float32] | None"
) -> None:
    """Print an aligned table."""
    shown = came is not None and len(came) > 0
    header = [f"q{share:g}" for share in horizons.quantiles] + (["came"] if shown else [])
    print(f"{horizons.target} after {_when(past, 0) or 'the last row'} ({len(past.values)} rows)")
    width = max(len(_when(past, step)) for step in horizons.horizons)
    time = f"  {'time':<{width}}" if width else ""
    print(f"{'step':>6}{time}{_cells(header)}")
    for step, row in zip(horizons.horizons, table.tolist(), strict=True):
        cells = [f"{value:.5g}" for value in row]
        if came is not None and shown:
            cells.append(f"{float(came[step - 1]):.5g}" if step <= len(came) else "")
        when = f"  {_when(past, step):<{width}}" if width else ""
        print(f"{f'+{step}':>6}{when}{_cells(cells)}".rstrip(), flush=True)


def _print_json(
    horizons: "Horizons", table: "NDArray[np.float32]", past: "Past", came: "NDArray[np.float32] | None"
) -> None:
    """Print an object a step ahead."""
    for step, row in zip(horizons.horizons, table.tolist(), strict=True):
        found: dict[str, object] = {"target": horizons.target, "step": step}
        if when := _when(past, step):
            found["time"] = when
        found["quantiles"] = {f"{q:g}": float(f"{x:.7g}") for q, x in zip(horizons.quantiles, row, strict=True)}
        if came is not None and step <= len(came):
            found["came"] = float(f"{float(came[step - 1]):.7g}")
        print(json.dumps(found), flush=True)


def _when(past: "Past", step: int) -> str:
    """Return when a step is; nothing where nobody knows."""
    from streamcell.runtime.past import show_time

    seconds = past.seconds(step)
    return "" if seconds is None else show_time(seconds)


def _cells(cells: list[str]) -> str:
    return "".join(f"  {cell:>9}" for cell in cells)
