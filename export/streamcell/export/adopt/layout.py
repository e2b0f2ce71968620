"""One arrangement of axes into another: axes are letters, `1` is an axis of size 1.

The house's arrangements are `BN` (samples), `BTF` (features), `BTC` (outputs): batch, samples, time, features, columns.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamcell.export.builder import Builder

__all__ = ["append", "arrange"]


def arrange(array: NDArray[Any], old: str, new: str) -> NDArray[Any]:
    """Return an array whose axes are ``old`` with the axes ``new``; letters that go or come are of size 1.

    Examples:
        >>> arrange(np.zeros((3, 1, 5)), "BTF", "BF").shape, arrange(np.zeros((3, 5)), "BF", "B1F").shape
        ((3, 5), (3, 1, 5))
    """
    gone, order, come = _plan(old, new)
    return np.expand_dims(array.squeeze(tuple(gone)).transpose(order), tuple(come))


def append(builder: Builder, x: str, old: str, new: str, output: str) -> None:
    """Append what `arrange` does to a graph: ``x`` with the axes ``old`` becomes ``output`` with the axes ``new``."""
    gone, order, come = _plan(old, new)
    if gone:
        x = builder.apply("Squeeze", x, builder.integers(*gone))
    if order != sorted(order):
        x = builder.apply("Transpose", x, perm=order)
    if come:
        x = builder.apply("Unsqueeze", x, builder.integers(*come))
    builder.apply("Identity", x, output=output)


def _plan(old: str, new: str) -> tuple[list[int], list[int], list[int]]:
    """Return the axes to squeeze, the order of those that stay, and the axes to put in."""
    gone = [axis for axis, letter in enumerate(old) if letter == "1" or letter not in new]
    stay = [letter for letter in old if letter != "1" and letter in new]
    order = [stay.index(letter) for letter in new if letter in stay]
    return gone, order, [axis for axis, letter in enumerate(new) if letter not in stay]
