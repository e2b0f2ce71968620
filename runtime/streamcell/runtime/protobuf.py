"""Read protobuf messages without a schema or a compiler, from bytes that a stranger may have made.

Follows https://protobuf.dev/programming-guides/encoding with these stricter rules: no groups, a field that is single
in the schema comes once (parsers differ in what a second one means), and the number of fields in a file is bounded.
"""

from dataclasses import dataclass

from streamcell.runtime.errors import ModelError

__all__ = ["Budget", "Message"]

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


@dataclass(slots=True)
class Budget:
    """Bound the work that a file can ask for: ``fields`` and ``text`` (bytes) count down to a `ModelError`."""

    fields: int = 300_000
    text: int = 16 << 20

    def spend(self) -> None:
        """Count one field."""
        self.fields -= 1
        if self.fields < 0:
            raise ModelError("the file has absurdly many parts; expected an ONNX file that streamcell exported")

    def read(self, size: int) -> None:
        """Count ``size`` bytes of text, names and metadata: what is read of them takes many times the room."""
        self.text -= size
        if self.text < 0:
            raise ModelError("the file has absurdly much text; expected an ONNX file that streamcell exported")


class Message:
    r"""Hold the fields of one message.

    Args:
        data: Its bytes.
        name: What it is, for errors.
        budget: Shared by all messages of a file.

    Raises:
        ModelError: If the bytes are no protobuf message; every accessor too, if a field is not of its type.

    Examples:
        >>> message = Message(memoryview(b"\x08\x96\x01\x12\x02hi"), "example", Budget())
        >>> message.integer(1), message.text(2), message.text(3), message.texts(2)
        (150, 'hi', '', ('hi',))
    """

    __slots__ = ("_budget", "_fields", "data", "name")

    def __init__(self, data: memoryview, name: str, budget: Budget) -> None:
        self.name, self.data = name, data
        self._budget = budget
        self._fields: dict[int, list[tuple[int, int | memoryview]]] = {}
        offset = 0
        while offset < len(data):
            budget.spend()
            tag, offset = _varint(data, offset, name)
            number, wire = tag >> 3, tag & 7
            if not 0 < number < 1 << 29:
                raise ModelError(f"{name} is damaged: there is no field {number}")
            value, offset = _value(data, offset, wire, f"field {number} of {name}")
            self._fields.setdefault(number, []).append((wire, value))

    def has(self, number: int) -> bool:
        """Say whether a field is there."""
        return number in self._fields

    def integer(self, number: int, default: int = 0) -> int:
        """Return a single signed integer."""
        value = self._single(number, _VARINT)
        return default if not isinstance(value, int) else _signed(value)

    def integers(self, number: int) -> tuple[int, ...]:
        """Return a repeated field of signed integers, packed or not."""
        found: list[int] = []
        for wire, value in self._fields.get(number, []):
            if isinstance(value, int):
                found.append(_signed(value))
            elif wire == _BYTES:
                found += self._packed(value, number)
            else:
                raise self._wrong(number)
        return tuple(found)

    def blob(self, number: int) -> memoryview | None:
        """Return a single field of bytes, or None where it is absent."""
        value = self._single(number, _BYTES)
        return value if isinstance(value, memoryview) else None

    def text(self, number: int) -> str:
        """Return a single field of text, empty where it is absent."""
        return self._decoded(number, self.blob(number) or b"")

    def texts(self, number: int) -> tuple[str, ...]:
        """Return a repeated field of text."""
        return tuple(self._decoded(number, value) for _, value in self._of_wire(number, _BYTES))

    def message(self, number: int, name: str) -> "Message | None":
        """Return a single message, or None where it is absent."""
        data = self.blob(number)
        return None if data is None else Message(data, name, self._budget)

    def messages(self, number: int, name: str) -> "list[Message]":
        """Return a repeated field of messages."""
        found = []
        for _, value in self._of_wire(number, _BYTES):
            assert isinstance(value, memoryview)
            found.append(Message(value, name, self._budget))
        return found

    def arrays(self, number: int) -> list[memoryview]:
        """Return the bytes of a repeated field of numbers of fixed size, packed or not."""
        return [value for _, value in self._fields.get(number, []) if isinstance(value, memoryview)]

    def size(self, number: int) -> int:
        """Return how many bytes a repeated field of numbers holds, at least; a lone integer counts as one."""
        return sum(1 if isinstance(value, int) else len(value) for _, value in self._fields.get(number, []))

    def _decoded(self, number: int, value: int | bytes | memoryview) -> str:
        assert not isinstance(value, int)
        self._budget.read(len(value))
        try:
            return bytes(value).decode()
        except UnicodeDecodeError as error:
            raise ModelError(f"{self.name} is damaged: field {number} is not text") from error

    def _single(self, number: int, wire: int) -> int | memoryview | None:
        values = self._of_wire(number, wire)
        if len(values) > 1:
            raise ModelError(f"{self.name} is damaged: field {number} comes {len(values)} times")
        return values[0][1] if values else None

    def _of_wire(self, number: int, wire: int) -> list[tuple[int, int | memoryview]]:
        values = self._fields.get(number, [])
        if any(found != wire for found, _ in values):
            raise self._wrong(number)
        return values

    def _packed(self, data: memoryview, number: int) -> list[int]:
        found, offset = [], 0
        while offset < len(data):
            self._budget.spend()
            value, offset = _varint(data, offset, f"field {number} of {self.name}")
            found.append(_signed(value))
        return found

    def _wrong(self, number: int) -> ModelError:
        return ModelError(f"{self.name} is damaged: field {number} is of another type than in ONNX")


def _value(data: memoryview, offset: int, wire: int, name: str) -> tuple[int | memoryview, int]:
    """Read one field's value; return it and the offset after it."""
    if wire == _VARINT:
        return _varint(data, offset, name)
    if wire == _BYTES:
        size, offset = _varint(data, offset, name)
    elif wire in (_FIXED32, _FIXED64):
        size = 4 if wire == _FIXED32 else 8
    else:
        raise ModelError(f"{name} is damaged: {wire} is no type of field")
    if size > len(data) - offset:
        raise ModelError(f"{name} claims {size} bytes where {len(data) - offset} are left: cut short or damaged")
    return data[offset : offset + size], offset + size


def _varint(data: memoryview, offset: int, name: str) -> tuple[int, int]:
    """Read an unsigned integer of at most 64 bits; return it and the offset after it."""
    value = 0
    for index, byte in enumerate(data[offset : offset + 10]):
        value |= (byte & 0x7F) << 7 * index
        if byte < 0x80:
            return value & 0xFFFF_FFFF_FFFF_FFFF, offset + index + 1
    raise ModelError(f"{name} is cut short or damaged: a number has no end")


def _signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value
