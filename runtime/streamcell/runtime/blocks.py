"""What a source hands over: blocks of samples or features, checked before they reach a stream."""

import sys
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from streamcell.runtime.errors import InputError

__all__ = ["FLOAT32", "QUIET", "as_features", "as_samples", "as_step", "finite_runs", "is_quiet"]

_LOUDEST = 64.0  # far above any overshoot of a lossy codec, far below 16-bit numbers passed as float
_HIGHEST = 3 if sys.byteorder == "little" else 0  # of the bytes of a float32: sign and most of the exponent
_SMALL = bytes([*range(0x42), *range(0x80, 0xC2)])  # that byte of numbers below 32, and of negative ones

FLOAT32 = np.dtype(np.float32)
"""The one object that such arrays have as their dtype: ``is`` tells them."""

QUIET = _LOUDEST**2
"""Sum of squares up to which no sample can be too loud."""


def as_samples(block: ArrayLike) -> NDArray[np.float32]:
    """Check a block of sound and return it as float32 `[n]`, without a copy where it is float32 already.

    Args:
        block: `[n]`, float32 or float64 in -1 to 1 (a codec's overshoot is let through), or int16.

    Raises:
        InputError: If it has another shape or type, is not finite, or is integer sound passed as floats.

    Examples:
        >>> as_samples(np.array([-32768, 16384], np.int16)).tolist()
        [-1.0, 0.5]
    """
    array = np.asarray(block)
    if array.ndim != 1:
        raise InputError(
            f"expected a block of samples [n], got shape {list(array.shape)}; "
            "mix channels first: block.mean(axis=1) where they are the second axis"
        )
    if array.dtype.type is np.int16:
        return array.astype(np.float32) / np.float32(32768)
    if array.dtype.type not in (np.float32, np.float64):
        raise InputError(
            f"expected samples as float32 or float64 in -1 to 1, or int16; got {array.dtype}; "
            f"divide by full scale{_full_scale(array.dtype)} and pass float32"
        )
    if not is_quiet(array) and not (array.min() >= -_LOUDEST and array.max() <= _LOUDEST):
        raise InputError(_complaint(array))
    return np.ascontiguousarray(array, np.float32)


def finite_runs(block: ArrayLike) -> Iterator[NDArray[Any] | int]:
    """Cut a block where it is not finite: yield what is good, and for what is not how many samples (rows) it lasts.

    Args:
        block: `[n]` or `[n, channels]`; a row with one bad value is bad.

    Examples:
        >>> [part if isinstance(part, int) else part.tolist() for part in finite_runs([0.5, np.nan, np.inf, 1.0])]
        [[0.5], 2, [1.0]]
    """
    array = np.asarray(block)
    if array.dtype.kind != "f" or not array.ndim:
        yield array
        return
    if not len(array):
        return
    good = np.isfinite(array).all(axis=tuple(range(1, array.ndim)))
    cuts = [0, *(np.flatnonzero(good[1:] != good[:-1]) + 1).tolist(), len(good)]
    for begin, end in pairwise(cuts):
        yield array[begin:end] if good[begin] else end - begin


def _full_scale(dtype: np.dtype[Any]) -> str:
    return f" ({1 << (8 * dtype.itemsize - 1)})" if dtype.kind == "i" else ""


def _complaint(array: NDArray[np.floating[Any]]) -> str:
    bad = np.flatnonzero(~np.isfinite(array))
    if bad.size:
        return (
            f"the block has {bad.size} values that are NaN or infinite, the first at index {bad[0]}; "
            "clean them where they arise, or report lost samples with gap()"
        )
    return (
        f"expected samples in -1 to 1, got up to {np.abs(array).max():g}; "
        "they look like integers passed as floats: divide by full scale (32768 for 16 bits)"
    )


def is_quiet(samples: NDArray[np.floating[Any]]) -> bool:
    """Tell, in one pass, that all samples are finite and far from too loud; what is not quiet may still be right."""
    return bool(np.vdot(samples, samples) <= QUIET)  # NaN is not


def as_step(block: ArrayLike, shape: tuple[int, ...]) -> bytes | None:
    """Return the bytes of a block that is float32 of just this shape, all of it below 32; None for all others.

    Those may still be right. Numpy's functions let other threads run while they work. This does not: to wake a thread
    that waits costs more than the work, and it would find its place taken again.

    Examples:
        >>> len(as_step(np.float32([0.5, -31]), (2,))), as_step(np.float32([0.5, np.nan]), (2,))
        (8, None)
    """
    if type(block) is not np.ndarray or block.dtype is not FLOAT32 or block.shape != shape:
        return None
    step = block.tobytes()
    return None if step[_HIGHEST::4].translate(None, _SMALL) else step


def as_features(block: ArrayLike, channels: int) -> NDArray[np.float32]:
    """Check a block of features and return it as float32 `[n, channels]`, without a copy where it is float32 already.

    Args:
        block: `[n, channels]`, float32 or float64.
        channels: How many the model takes.

    Raises:
        InputError: If it has another shape or type, or is not finite.

    Examples:
        >>> as_features([[0.5, 2.0]], channels=2).dtype.name
        'float32'
    """
    array = np.asarray(block)
    if array.ndim != 2 or array.shape[1] != channels or array.dtype.type not in (np.float32, np.float64):
        raise InputError(
            f"expected features [n, {channels}] as float32 or float64, got {array.dtype} {list(array.shape)}; "
            "one row a moment, one column a channel"
        )
    with np.errstate(over="ignore"):
        features = np.ascontiguousarray(array, np.float32)
    if not np.isfinite(features).all():
        row, column = np.argwhere(~np.isfinite(features))[0]
        raise InputError(
            f"row {row}, column {column} is NaN or beyond float32; clean it where it arises, or report a gap()"
        )
    return features
