"""What a spotter's threshold costs in false alarms, as measured on speakers that the model never heard."""

import math
from itertools import pairwise
from typing import Any

from streamcell.runtime.errors import InputError, ModelError
from streamcell.runtime.manifest import Manifest

__all__ = ["KEY", "USUAL", "threshold_for"]

KEY = "spotting"
"""Key of ``manifest.training`` under which a model may tell its own table, a list of [false alarms, threshold]."""

USUAL = 0.1
"""False alarms per phrase-hour, where nobody says otherwise."""

_MEASURED = ((0.026, 0.185), (0.1, 0.126), (0.3, 0.088), (1.0, 0.056), (3.0, 0.038))


def threshold_for(manifest: Manifest, false_alarms: float = USUAL) -> tuple[float, str]:
    """Return the threshold that gives so many false alarms, and where that was measured.

    Between two lines of the table the logarithms of both are taken to lie on a line; beyond it, the nearest two go on.

    Args:
        manifest: Of the model; its own table counts, if it has one.
        false_alarms: For one phrase in an hour of speech; above 0.

    Returns:
        The threshold, from 0.01 to 1, and a remark for people.

    Raises:
        InputError: If the false alarms are no number above 0.
        ModelError: If the model's table makes no sense.

    Examples:
        >>> threshold, source = threshold_for(model.manifest, 0.1)  # doctest: +SKIP
    """
    if not 0 < false_alarms < math.inf:
        raise InputError(f"false alarms must be a number per phrase-hour above 0, got {false_alarms!r}")
    table: tuple[tuple[float, float], ...] = _MEASURED
    source = "measured with phonemes-en on speakers held out of its training"
    if KEY in manifest.training:
        table, source = _read(manifest.training[KEY]), f"from the card of {manifest.name}"
    upper = next((i for i, (rate, _) in enumerate(table) if rate >= false_alarms and i), len(table) - 1)
    (left, high), (right, low) = table[upper - 1], table[upper]
    place = math.log(false_alarms / left) / math.log(right / left)
    return min(1.0, max(0.01, math.exp(math.log(high) + place * math.log(low / high)))), source


def _read(table: Any) -> tuple[tuple[float, float], ...]:
    """Check a model's table: at least two lines, false alarms that rise, thresholds that fall."""
    try:
        lines = tuple((float(rate), float(threshold)) for rate, threshold in table)
    except (TypeError, ValueError) as error:
        raise ModelError(f"manifest.training.{KEY} must be a list of [false alarms, threshold]: {error}") from error
    rising = all(a[0] < b[0] and a[1] >= b[1] for a, b in pairwise(lines))
    if len(lines) < 2 or not rising or lines[0][0] <= 0 or not 0 < lines[-1][1] <= lines[0][1] <= 1:
        raise ModelError(
            f"manifest.training.{KEY} must hold two or more [false alarms, threshold], false alarms above 0 and "
            f"rising, thresholds in 0 to 1 and falling; got {table!r:.80}"
        )
    return lines
