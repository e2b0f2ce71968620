"""Named arrays and a few facts as bytes: what every stage's ``to_bytes`` and ``from_bytes`` stand on.

Layout, all little-endian::

    b"SCW1" | uint32 header length | header, JSON in UTF-8 | the arrays, raw, in order | uint32 crc32 of all before

The header is ``{"kind": str, "meta": {...}, "arrays": [{"name": str, "dtype": str, "shape": [int, ...]}, ...]}``.
Nothing in it is ever executed (no pickle), sizes are checked before anything is allocated, only plain number types
are let in.
"""

import json
import math
import struct
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamcell.runtime.errors import InputError

__all__ = ["pack", "unpack"]

_MAGIC = b"SCW1"
_DTYPES = frozenset({"bool", "int8", "uint8", "int16", "int32", "int64", "float16", "float32", "float64"})
_MAX_HEADER = 1 << 24
_MAX_RANK = 8


def pack(kind: str, meta: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """Put a mapping of facts and a mapping of arrays into bytes.

    Args:
        kind: What is packed, e.g. ``"state"``; `unpack` asks for the same word.
        meta: Facts that JSON can hold; by custom with an integer ``"version"``.
        arrays: Arrays of bool, integer or float type, any shape.

    Returns:
        The bytes. The same input gives the same bytes.

    Raises:
        InputError: If an array's type is not allowed or JSON cannot hold ``meta``.

    Examples:
        >>> data = pack("clock", {"version": 1}, {"ticks": np.arange(3)})
        >>> meta, arrays = unpack(data, "clock")
        >>> meta, arrays["ticks"].tolist()
        ({'version': 1}, [0, 1, 2])
    """
    plain = {name: np.asarray(array) for name, array in arrays.items()}
    for name, array in plain.items():
        if array.dtype.name not in _DTYPES:
            raise InputError(
                f"array {name!r} has type {array.dtype.name}; expected one of {', '.join(sorted(_DTYPES))}"
            )
    entries = [{"name": n, "dtype": a.dtype.name, "shape": list(a.shape)} for n, a in plain.items()]
    try:
        header = json.dumps({"kind": kind, "meta": dict(meta), "arrays": entries}, allow_nan=False).encode()
    except (TypeError, ValueError) as error:
        raise InputError(f"the facts of a {kind!r} must be plain JSON: {error}") from error
    bodies = [a.astype(a.dtype.newbyteorder("<"), copy=False).tobytes() for a in plain.values()]
    data = b"".join([_MAGIC, struct.pack("<I", len(header)), header, *bodies])
    return data + struct.pack("<I", zlib.crc32(data))


def unpack(data: bytes, kind: str) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Take apart what `pack` made.

    Args:
        data: The bytes.
        kind: The word that was given to `pack`.

    Returns:
        The facts, and the arrays as fresh writable copies in native byte order.

    Raises:
        InputError: If the bytes are of another kind, cut short, damaged or not of this format.
    """
    header, offset = _header(data, kind)
    end = len(data) - 4
    arrays: dict[str, NDArray[Any]] = {}
    for entry in header["arrays"]:
        name, dtype, shape = _entry(entry, kind)
        size = dtype.itemsize * math.prod(shape)
        if size > end - offset or name in arrays:
            raise InputError(f"a saved {kind!r} is damaged: array {name!r} is twice there or larger than the data")
        raw = np.frombuffer(data, dtype.newbyteorder("<"), count=math.prod(shape), offset=offset)
        try:
            arrays[name] = raw.astype(dtype).reshape(shape)
        except ValueError as error:  # no numbers, but a shape beyond numpy, e.g. (2**62, 2**62, 0)
            raise InputError(f"a saved {kind!r} is damaged: array {name!r} has shape {shape}") from error
        offset += size
    if offset != end:
        raise InputError(f"a saved {kind!r} is damaged: {end - offset} bytes too many")
    return header["meta"], arrays


def _header(data: bytes, kind: str) -> tuple[dict[str, Any], int]:
    """Check the frame (magic, length, checksum, kind); return the header and where the arrays begin."""
    if len(data) < 12 or data[:4] != _MAGIC:
        raise InputError(f"expected a saved {kind!r} (bytes that begin with {_MAGIC!r}), got {len(data)} other bytes")
    if zlib.crc32(data[:-4]) != struct.unpack("<I", data[-4:])[0]:
        raise InputError(f"a saved {kind!r} is damaged or cut short: its checksum does not match; save it again")
    length = struct.unpack_from("<I", data, 4)[0]
    if length > min(_MAX_HEADER, len(data) - 12):
        raise InputError(f"a saved {kind!r} is damaged: its header claims {length} bytes")
    try:
        header = json.loads(data[8 : 8 + length])
    except (ValueError, RecursionError) as error:
        raise InputError(f"a saved {kind!r} is damaged: its header is not JSON") from error
    if (
        not isinstance(header, dict)
        or not isinstance(header.get("meta"), dict)
        or not isinstance(header.get("arrays"), list)
    ):
        raise InputError(f"a saved {kind!r} is damaged: its header lacks 'meta' or 'arrays'")
    if header.get("kind") != kind:
        raise InputError(f"expected a saved {kind!r}, got a saved {header.get('kind')!r}")
    return header, 8 + length


def _entry(entry: object, kind: str) -> tuple[str, np.dtype[Any], tuple[int, ...]]:
    """Check one array's line of the header."""
    if isinstance(entry, dict):
        name, dtype, shape = entry.get("name"), entry.get("dtype"), entry.get("shape")
        known = isinstance(name, str) and isinstance(dtype, str) and dtype in _DTYPES
        if (
            known
            and isinstance(shape, list)
            and len(shape) <= _MAX_RANK
            and all(type(n) is int and n >= 0 for n in shape)
        ):
            return str(name), np.dtype(str(dtype)), tuple(shape)
    raise InputError(f"a saved {kind!r} is damaged: {entry!r} describes no array")
