"""The graph's input and output that are no state, checked against the card, and what they tell of a call."""

from dataclasses import dataclass

from streamcell.export.adopt.card import Card
from streamcell.export.adopt.source import Source, describe
from streamcell.runtime.errors import InputError
from streamcell.runtime.onnx_parts import Value

__all__ = ["Ports", "read_ports"]

_LAYOUTS = {("BTC", 2): "BC", ("BTF", 2): "BF", ("BN", 3): "B1N", ("BN", 1): "N"}  # by axes here and their number there


@dataclass(frozen=True, slots=True)
class Ports:
    """Hold the graph's own input and output.

    Attributes:
        heard: The input.
        given: The output.
        steps: How many steps a call must hold; None where the graph does not say.
        batch: The size or letter of the input's axis of streams; 1 if it has none, None if the graph does not say.
        one_row: Whether the graph takes one stream only.
    """

    heard: Value
    given: Value
    steps: int | None
    batch: int | str | None
    one_row: bool


def read_ports(source: Source, card: Card) -> Ports:
    """Find input and output in the graph.

    Raises:
        InputError: If they do not exist, are not float32, or their sizes are not what the card says.
    """
    spec, output = card.input, card.output
    heard = _port("input", source.inputs, spec.name, spec.axes, spec.house)
    given = _port("output", source.outputs, output.name, output.layout, "BTC")
    _check_size("input.channels", heard, spec.axes, "F", spec.channels)
    _check_size("output.labels", given, output.layout, "C", len(output.labels))
    batches = [_size(heard, spec.axes, "B"), _size(given, output.layout, "B")]
    if wrong := [size for size in batches if isinstance(size, int) and size != 1]:
        raise InputError(f"the graph takes {wrong[0]} streams a call; expected one, or any number. Export it again so")
    return Ports(heard, given, _steps(card, heard, given), batches[0], 1 in batches)


def _port(kind: str, values: tuple[Value, ...], name: str, axes: str, house: str) -> Value:
    value = next((value for value in values if value.name == name), None)
    if value is None:
        raise InputError(
            f"[{kind}] name = {name!r}: the graph has no such {kind}; there is: {'; '.join(map(describe, values))}"
        )
    if value.dtype != "float32":
        raise InputError(f"[{kind}] {name} is {value.dtype}; streamcell runs float32 {kind}s only")
    if value.shape is not None and len(value.shape) != len(axes):
        rank = len(value.shape)
        raise InputError(
            f"[{kind}] layout {axes!r} has {len(axes)} axes, the graph's {describe(value)} has {rank}; "
            f"e.g. layout = {_LAYOUTS.get((house, rank), house)!r}"
        )
    return value


def _check_size(line: str, value: Value, axes: str, letter: str, wanted: int) -> None:
    size = _size(value, axes, letter)
    if letter in axes and isinstance(size, int) and size != wanted:
        raise InputError(f"{line}: the card has {wanted}, the graph's {describe(value)} has {size}")


def _size(value: Value, axes: str, letter: str) -> int | str | None:
    """Return the size of an axis: 1 if the graph has no such axis, None if it does not say."""
    if letter not in axes:
        return 1
    return None if value.shape is None else value.shape[axes.index(letter)]


def _steps(card: Card, heard: Value, given: Value) -> int | None:
    """Return how many steps the graph takes a call."""
    spec, found = card.input, [_size(given, card.output.layout, "T")]
    size = _size(heard, spec.axes, "N" if spec.kind == "audio" else "T")
    if isinstance(size, int):
        steps, rest = divmod(size - spec.left_context, spec.samples_per_step)
        if steps < 1 or rest:
            raise InputError(
                f"the graph takes {size} {'samples' if spec.kind == 'audio' else 'rows'} a call; that is not "
                f"left_context = {spec.left_context} and a multiple of samples_per_step = {spec.samples_per_step}"
            )
        found.append(steps)
    numbers = sorted({size for size in found if isinstance(size, int)})
    if len(numbers) > 1:
        raise InputError(
            f"the graph's {describe(heard)} and {describe(given)} hold different numbers of steps a call ({numbers}); "
            "expected one frame a step. Check samples_per_step, left_context and layout"
        )
    return numbers[0] if numbers else None
