"""What several commands share: the model that they are asked for, what becomes of bad samples, what readings are."""

import argparse
from typing import TYPE_CHECKING

from streamcell.runtime.errors import InputError
from streamcell.runtime.models import DEFAULT_MODEL, bundled_models

if TYPE_CHECKING:
    from streamcell.runtime.manifest import InputSpec
    from streamcell.runtime.model import Model
    from streamcell.runtime.stream import Invalid


_MODEL_HELP = f"a bundled model ({', '.join(bundled_models())}) or an .onnx file (default: {{}})"
MODEL_HELP = _MODEL_HELP.format(DEFAULT_MODEL)


def add_model(parser: argparse.ArgumentParser, default: str = DEFAULT_MODEL) -> None:
    """Declare ``--model``, ``--trust`` and ``--ipa``."""
    add_model_alone(parser, default)
    parser.add_argument("--ipa", action="store_true", help="write phones in IPA instead of ARPAbet")


def add_model_alone(parser: argparse.ArgumentParser, default: str = DEFAULT_MODEL) -> None:
    """Declare ``--model`` and ``--trust``."""
    parser.add_argument("--model", default=default, metavar="NAME|PATH", help=_MODEL_HELP.format(default))
    add_trust(parser)


def add_trust(parser: argparse.ArgumentParser) -> None:
    """Declare ``--trust``."""
    text = (
        "open a model file without a trial. A file that does not come along is first opened by a process with little "
        "memory and time, where a file that means harm hurts nobody; one that has passed is not tried again"
    )
    parser.add_argument("--trust", action="store_true", help=text)


def open_model(args: argparse.Namespace, other: str | None = None) -> "Model":
    """Open the model that was named, after a trial where `add_trust` was not told to leave it out.

    With ``--ipa``, make sure that the model's labels can be written so.

    Args:
        args: With ``model`` and ``trust``; ``ipa`` where there is such an option.
        other: Another model than ``args.model``.

    Raises:
        ModelError: If the file cannot be run rightly.
        InputError: If its labels are no ARPAbet phones.
    """
    from streamcell.runtime.model import Model
    from streamcell.runtime.phones import check_arpabet

    model = Model.open(args.model if other is None else other, trust=args.trust)
    if getattr(args, "ipa", False):
        output = model.manifest.outputs[0]
        check_arpabet(label for index, label in enumerate(output.labels) if index != output.blank)
    return model


def add_gap(parser: argparse.ArgumentParser) -> None:
    """Declare ``--gap``."""
    parser.add_argument("--gap", action="store_true", help="take NaN and infinite samples as a gap, not as an error")


def invalid(args: argparse.Namespace) -> "Invalid":
    """Return what samples are that are not finite, as `add_gap` was told."""
    return "gap" if args.gap else "error"


def add_readings(parser: argparse.ArgumentParser) -> None:
    """Declare what is asked about readings of sensors: ``--channels``, ``--time``, ``--on-error``, ``--max-gap``."""
    parser.add_argument("--channels", metavar="A,B,C", help="names of the columns, in the model's order of channels")
    parser.add_argument("--time", metavar="COLUMN", help="the column of timestamps (default: time, timestamp, ts or t)")
    wrong = "what becomes of a line that is no reading (default: stop)"
    parser.add_argument("--on-error", choices=("stop", "skip"), help=wrong)
    longest = "seconds without readings that are bridged (default: 5 intervals of the model's rate)"
    parser.add_argument("--max-gap", type=float, metavar="S", help=longest)


def channels(args: argparse.Namespace, spec: "InputSpec") -> list[str]:
    """Return the names of the columns: those that `add_readings` was given, or the model's.

    Raises:
        InputError: If they are not as many as the model has channels.
    """
    from streamcell.runtime.sense import channel_names

    names = channel_names(spec)
    if args.channels is None:
        return names
    given = [name.strip() for name in args.channels.split(",")]
    if len(given) != len(names):
        raise InputError(f"--channels must name {len(names)} columns, for {', '.join(names)}; got {len(given)}")
    return given


def seconds(text: str) -> float:
    """Read a positive number of seconds."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"expected a number of seconds above 0, got {text!r}")
    return value
