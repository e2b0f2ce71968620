"""What several commands share: the model that they are asked for, and what becomes of bad samples."""

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
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
