"""Bytes: what goes in comes out, and nothing else is let in."""

import json
import struct
import zlib
from typing import Any

import numpy as np
import pytest

from streamcell.runtime.errors import InputError
from streamcell.runtime.wire import pack, unpack

ARRAYS: dict[str, np.ndarray[Any, Any]] = {
    "scalar": np.array(3.5),
    "empty": np.zeros((0, 4), np.float32),
    "big endian": np.arange(5, dtype=">i4"),
    "strided": np.arange(12, dtype=np.int16).reshape(3, 4)[:, ::2],
    "flags": np.array([True, False]),
    "odd": np.array([np.nan, -np.inf, 0.0], np.float16),
}


def test_round_trip() -> None:
    data = pack("test", {"version": 1, "nested": {"a": [1, None, "é"]}}, ARRAYS)
    meta, arrays = unpack(data, "test")
    assert meta == {"version": 1, "nested": {"a": [1, None, "é"]}}
    assert list(arrays) == list(ARRAYS)
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(arrays[name], array)
        assert arrays[name].dtype == array.dtype.newbyteorder("=")
        arrays[name][...] = 0  # its own memory
    assert pack("test", {}, unpack(data, "test")[1]) == pack("test", {}, ARRAYS)


def test_nothing_at_all() -> None:
    assert unpack(pack("test", {}, {}), "test") == ({}, {})


def test_wrong_kind() -> None:
    with pytest.raises(InputError, match="expected a saved 'b', got a saved 'a'"):
        unpack(pack("a", {}, {}), "b")


def test_every_truncation_and_every_flipped_byte_is_refused() -> None:
    data = pack("test", {"version": 1}, {"a": np.arange(4.0)})
    for size in range(len(data)):
        with pytest.raises(InputError):
            unpack(data[:size], "test")
    for index in range(len(data)):
        with pytest.raises(InputError):
            unpack(data[:index] + bytes([data[index] ^ 0x41]) + data[index + 1 :], "test")


def forge(header: object, body: bytes = b"") -> bytes:
    text = json.dumps(header).encode()
    data = b"SCW1" + struct.pack("<I", len(text)) + text + body
    return data + struct.pack("<I", zlib.crc32(data))


@pytest.mark.parametrize(
    "header",
    [
        [],
        {"kind": "test", "meta": {}},
        {"kind": "test", "meta": [], "arrays": []},
        {"kind": "test", "meta": {}, "arrays": [3]},
        *(
            {"kind": "test", "meta": {}, "arrays": [entry]}
            for entry in (
                {"name": "a", "dtype": "object", "shape": [1]},
                {"name": "a", "dtype": ["int8"], "shape": [1]},
                {"name": 3, "dtype": "int8", "shape": [1]},
                {"name": "a", "dtype": "int8", "shape": [-1]},
                {"name": "a", "dtype": "int8", "shape": [True]},
                {"name": "a", "dtype": "int8", "shape": 1},
                {"name": "a", "dtype": "int8", "shape": [1] * 9},
                {"name": "a", "dtype": "float64", "shape": [1 << 60, 1 << 60]},
                {"name": "a", "dtype": "float64", "shape": [1 << 62, 1 << 62, 0]},
                {"name": "a", "dtype": "int8", "shape": [0]},
            )
        ),
        {"kind": "test", "meta": {}, "arrays": [{"name": "a", "dtype": "int8", "shape": [1]}] * 2},
    ],
)
def test_forged_headers_with_a_right_checksum_are_refused(header: object) -> None:
    with pytest.raises(InputError):
        unpack(forge(header, b"12"), "test")


def test_a_deep_header_and_a_long_one_are_refused() -> None:
    text = b"[" * 100_000
    for length in (len(text), 1 << 31):
        data = b"SCW1" + struct.pack("<I", length) + text
        with pytest.raises(InputError):
            unpack(data + struct.pack("<I", zlib.crc32(data)), "test")


def test_only_plain_numbers_and_plain_json_go_in() -> None:
    with pytest.raises(InputError, match="object"):
        pack("test", {}, {"a": np.array([None])})
    for value in (object(), float("nan")):
        with pytest.raises(InputError, match="plain JSON"):
            pack("test", {"a": value}, {})
