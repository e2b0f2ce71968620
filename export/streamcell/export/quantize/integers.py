"""Numbers -> small integers and scales, symmetric about zero."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["FACTOR", "to_codes", "to_int8"]

FACTOR = 64
"""The largest weight that products with unsigned integers of 8 bits take.

Processors without instructions for such products (AVX2) add them up in pairs in 16 bits: 2 * 255 * 64 fits and
2 * 255 * 127 overflows. Those that have them (VNNI, AMX) multiply unsigned by signed up to nine times as fast as by
unsigned.
"""

_MOST = 7


def to_int8(
    weight: NDArray[np.float32], axis: int | tuple[int, ...], most: int = 127
) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Return integers from -most to most and their scales, one where ``axis`` runs: ``weight = integers * scales``.

    Args:
        weight: Any shape.
        axis: What shares a scale; the scales keep it with size 1.
        most: The largest integer; `FACTOR` for products of integers.

    Examples:
        >>> integers, scales = to_int8(np.array([[1.0, -0.5], [0.0, 254.0]], np.float32), axis=1)
        >>> integers.tolist(), (127 * scales).tolist()
        ([[127, -64], [0, 127]], [[1.0], [254.0]])
    """
    largest = np.abs(weight).max(axis=axis, keepdims=True)
    scales = np.where(largest > 0, largest / most, 1).astype(np.float32)
    return np.rint(weight / scales).astype(np.int8), scales


def to_codes(weight: NDArray[np.float32], block: int) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Return two numbers a byte, 4 bits each, and a scale for each ``block`` of numbers in a row.

    Args:
        weight: Any shape; its numbers are taken in order, zeros fill up the last block.
        block: An even number.

    Returns:
        `[blocks * block / 2]` and `[blocks, 1]`; the first number of a pair is in the lower half of the byte, 8 stands
        for zero.
    """
    flat = weight.ravel()
    blocks = np.pad(flat, (0, -len(flat) % block)).reshape(-1, block)
    scales = _best_scales(blocks)
    codes = _rounded(blocks, scales).astype(np.int16) + _MOST + 1
    pairs = codes.reshape(-1, 2)
    return (pairs[:, 0] | pairs[:, 1] << 4).astype(np.uint8), scales


def _best_scales(blocks: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return for each block the scale with the least squares, of some that let its largest numbers be cut."""
    most = np.abs(blocks).max(axis=1, keepdims=True)
    best = np.where(most > 0, most / _MOST, 1).astype(np.float32)
    least = ((_rounded(blocks, best) * best - blocks) ** 2).sum(axis=1, keepdims=True)
    for share in (0.95, 0.9, 0.85, 0.8, 0.75, 0.7):
        scales = np.where(most > 0, share * most / _MOST, 1).astype(np.float32)
        squares = ((_rounded(blocks, scales) * scales - blocks) ** 2).sum(axis=1, keepdims=True)
        best, least = np.where(squares < least, scales, best), np.minimum(squares, least)
    return best


def _rounded(blocks: NDArray[np.float32], scales: NDArray[np.float32]) -> NDArray[np.float32]:
    rounded: NDArray[np.float32] = np.rint(blocks / scales)
    return rounded.clip(-_MOST - 1, _MOST)
