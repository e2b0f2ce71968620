"""What several commands share: the model that they are asked for, what becomes of bad samples, what readings are."""

import argparse
from typing import TYPE_CHECKING

from streamcell.runtime.errors import InputError

if TYPE_CHECKING:
    from streamcell.runtime.manifest import InputSpec
    from streamcell.runtime.model import Model
    from streamcell.runtime.stream import Invalid


MODEL_HELP = "a bundled model's name or an .onnx file (default: phonemes-en)"


def add_model(parser: argparse.ArgumentParser) -> None:
    """Declare ``--model`` and ``--ipa``."""
    parser.add_argument("--model", metavar="NAME|PATH", help=MODEL_HELP)
    parser.add_argument("--ipa", action="store_true", help="write phones in IPA instead of ARPAbet")


def open_model(args: argparse.Namespace) -> "Model":
    """Open what `add_model` was given; with ``--ipa``, make sure that the model's labels can be written so.

    Raises:
        ModelError: If the file cannot be run rightly.
        InputError: If its labels are no ARPAbet phones.
    """
    from streamcell.runtime.model import Model
    from streamcell.runtime.phones import check_arpabet

    model = Model.open(args.model)
    if args.ipa:
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
