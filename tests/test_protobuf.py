"""Protobuf by hand: what every kind of field means, and what is refused."""

import pytest

from streamcell.runtime.errors import ModelError
from streamcell.runtime.protobuf import Budget, Message


def message(data: bytes, fields: int = 100) -> Message:
    return Message(memoryview(data), "it", Budget(fields))


def test_integers_signed_packed_and_not() -> None:
    minus_two = b"\xfe" + b"\xff" * 8 + b"\x01"
    found = message(b"\x08" + minus_two + b"\x08\x03" + b"\x0a\x02\x04\x05")
    assert found.integers(1) == (-2, 3, 4, 5)
    assert message(b"\x08" + minus_two).integer(1) == -2
    assert message(b"").integer(1, 9) == 9
    assert message(b"").integers(1) == ()


def test_text_messages_and_sizes() -> None:
    found = message(b"\x12\x02\xc3\xa9\x1a\x02\x08\x07\x25abcd\x29abcdefgh")
    assert found.text(2) == "é"
    assert found.texts(2) == ("é",)
    assert found.texts(15) == ()
    assert [item.integer(1) for item in found.messages(3, "inner")] == [7]
    assert (found.size(4), found.size(5), found.size(3), found.size(9)) == (4, 8, 2, 0)
    assert found.has(4)
    assert not found.has(6)
    inner = found.message(3, "inner")
    assert inner is not None
    assert inner.integer(1) == 7
    assert found.message(9, "inner") is None


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"\x08", "a number has no end"),
        (b"\x08" + b"\xff" * 10, "a number has no end"),
        (b"\x12\x05abc", "field 2 of it claims 5 bytes where 3 are left"),
        (b"\x12" + b"\xff" * 9 + b"\x01", "claims 18446744073709551615 bytes"),
        (b"\x25abc", "claims 4 bytes where 3 are left"),
        (b"\x29abc", "claims 8 bytes where 3 are left"),
        (b"\x0b\x0c", "3 is no type of field"),
        (b"\x00\x01", "there is no field 0"),
        (b"\x80\x80\x80\x80\x10\x01", "there is no field 536870912"),
    ],
)
def test_broken_bytes(data: bytes, problem: str) -> None:
    with pytest.raises(ModelError, match=problem):
        message(data)


def test_wrong_types_and_second_values() -> None:
    for data in (b"\x12\x01a", b"\x10\x01\x10\x02"):
        with pytest.raises(ModelError, match="field 2"):
            message(data).integer(2)
    for data in (b"\x10\x01", b"\x12\x01\xff", b"\x12\x01a\x12\x01b"):
        with pytest.raises(ModelError, match="field 2"):
            message(data).text(2)
    with pytest.raises(ModelError, match="field 4"):
        message(b"\x25abcd").integers(4)
    with pytest.raises(ModelError, match="a number has no end"):
        message(b"\x12\x01\xff").integers(2)


def test_the_budget_bounds_fields_and_packed_numbers() -> None:
    with pytest.raises(ModelError, match="absurdly many"):
        message(b"\x08\x01" * 101)
    with pytest.raises(ModelError, match="absurdly many"):
        message(b"\x0a\x64" + b"\x01" * 100).integers(1)
