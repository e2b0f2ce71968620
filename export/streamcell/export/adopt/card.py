"""What the user of somebody's ONNX file knows of it: a TOML file -> a checked, frozen `Card`."""

import difflib
import tomllib
from collections.abc import Callable
from dataclasses import MISSING, Field, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, get_args, get_type_hints

from streamcell.runtime.errors import InputError, ModelError
from streamcell.runtime.manifest import GapPolicy, ResetPolicy
from streamcell.runtime.schema import read

__all__ = ["Card", "InputCard", "OutputCard", "StateCard", "parse_card", "read_card"]

_MAX_CONTEXT = 1 << 20


@dataclass(frozen=True, slots=True)
class InputCard:
    """Describe the graph's input that is neither state nor constant.

    Attributes:
        name: Of the ONNX input.
        kind: ``"audio"`` or ``"features"``.
        sample_rate: Hz; for features, rows a second.
        samples_per_step: New samples that one step takes; 1 for features.
        channels: Numbers a row of features; 1 for audio.
        left_context: Samples (rows) of the past that the graph wants before the new ones.
        look_ahead_steps: As in the manifest.
        layout: The graph's axes: ``"BN"`` for audio and ``"BTF"`` for features unless said; also ``"TBF"``, ``"BF"``,
            ``"B1N"``, ``"N"``.
    """

    name: str
    kind: Literal["audio", "features"]
    sample_rate: int
    samples_per_step: int
    channels: int
    left_context: int = 0
    look_ahead_steps: int = 0
    layout: str = ""

    @property
    def house(self) -> str:
        """Return the axes that the runtime hands over."""
        return "BN" if self.kind == "audio" else "BTF"

    @property
    def axes(self) -> str:
        """Return the axes that the graph takes."""
        return self.layout or self.house


@dataclass(frozen=True, slots=True)
class OutputCard:
    """Describe the graph's output that is no state.

    Attributes:
        name: Of the ONNX output.
        kind: ``"logits"`` or ``"probabilities"``.
        labels: The name of each column.
        blank: The column of the CTC blank.
        silence: The label that stands for a pause.
        layout: The graph's axes: ``"BTC"``, ``"TBC"``, ``"BC"``, ``"BCT"``; without C where there is one label.
    """

    name: str
    kind: Literal["logits", "probabilities"]
    labels: tuple[str, ...]
    blank: int | None = None
    silence: str | None = None
    layout: str = "BTC"


@dataclass(frozen=True, slots=True)
class StateCard:
    """Say what comes back in, where names and shapes do not.

    Attributes:
        input: Name of the ONNX input.
        output: Name of the ONNX output that is fed back into it.
        batch_axis: Which axis counts the streams.
        shape: Sizes, with ``"B"`` at that axis; empty where the graph tells.
        initial: The value of every number at a stream's beginning.
    """

    input: str
    output: str
    batch_axis: int | None = None
    shape: tuple[int | str, ...] = ()
    initial: float = 0.0


@dataclass(frozen=True, slots=True)
class Card:
    """Describe somebody's stateful ONNX file.

    Attributes:
        name: Short name.
        task: ``"frames"`` or ``"ctc"``.
        input: What it hears.
        output: What it gives.
        description: One sentence.
        licence: Of the weights.
        constants: Values of graph inputs that never change.
        states: What is not to be guessed.
        decoder: Passed on to the manifest.
        gap: What lost samples do to the state.
        reset: When the state begins anew while sound goes on, or None for never.
    """

    name: str
    task: Literal["ctc", "frames"]
    input: InputCard
    output: OutputCard
    description: str = ""
    licence: str = ""
    constants: dict[str, Any] = field(default_factory=dict)
    states: tuple[StateCard, ...] = ()
    decoder: dict[str, Any] = field(default_factory=dict)
    gap: GapPolicy = field(default_factory=GapPolicy)
    reset: ResetPolicy | None = None


def read_card(path: Path, example: Callable[[str], str]) -> Card:
    """Read a card from a file.

    Args:
        path: TOML.
        example: Gives for a key that is missing, e.g. ``"input.name"``, what is known of it, for the error.

    Raises:
        InputError: If the file cannot be read, is no TOML, or does not fit; the message names the key.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read the card {path}: {error}") from error
    try:
        return parse_card(text, example)
    except (InputError, ModelError) as error:
        raise InputError(f"{path}: {error}") from error


def parse_card(text: str, example: Callable[[str], str]) -> Card:
    r"""Return the card that ``text`` describes; arguments and errors as `read_card`.

    Examples:
        >>> parse_card('name = "vad"\ntsk = "frames"', lambda key: "")
        Traceback (most recent call last):
        streamcell.runtime.errors.InputError: 'tsk' is not a known key; did you mean 'task'?
    """
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"the card is not valid TOML: {error}") from error
    _settle_kind(table.get("input"))
    card = read(Card, _complete(Card, table, "", example), "card")
    _check(card)
    return card


def _settle_kind(table: object) -> None:
    """Fill in what a kind of input settles: one channel of sound, one row of features."""
    if isinstance(table, dict):
        table.setdefault("samples_per_step" if table.get("kind") == "features" else "channels", 1)


def _complete(kind: type, value: Any, path: str, example: Callable[[str], str]) -> Any:
    """Fill in defaults; refuse unknown keys with the nearest right one, and missing ones with an example."""
    if not isinstance(value, dict):
        return value
    known, hints = {item.name: item for item in fields(kind)}, get_type_hints(kind)
    for key in value:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]!r}?" if near else f"known here: {', '.join(known)}"
            raise InputError(f"{path + key!r} is not a known key; {hint}")
    return {name: _filled(item, hints[name], value, path, example) for name, item in known.items()}


def _filled(item: Field[Any], kind: Any, table: dict[str, Any], path: str, example: Callable[[str], str]) -> Any:
    """Return a field's value as TOML would have it, its default, or complain."""
    if item.name in table:
        return _inside(kind, table[item.name], path + item.name, example)
    if item.default is not MISSING:
        return list(item.default) if isinstance(item.default, tuple) else item.default
    if isinstance(kind, type) and is_dataclass(kind):
        return _inside(kind, {}, path + item.name, example)
    if item.default_factory is not MISSING:
        return item.default_factory()
    where = f"in [{path[:-1]}] " if path else ""
    raise InputError(f"the card lacks a line {where}for {item.name!r}; {example(path + item.name)}")


def _inside(kind: Any, value: Any, path: str, example: Callable[[str], str]) -> Any:
    if is_dataclass(kind) and isinstance(kind, type):
        return _complete(kind, value, f"{path}.", example)
    inner = get_args(kind)
    if isinstance(value, list) and inner and is_dataclass(inner[0]):
        return [_inside(inner[0], item, f"{path}[{index}]", example) for index, item in enumerate(value)]
    return value


def _check(card: Card) -> None:
    """Refuse what contradicts itself; ranges are the manifest's to check."""
    _check_layout("input", card.input.axes, card.input.house, optional="BT")
    _check_layout("output", card.output.layout, "BTC", optional="BT" if len(card.output.labels) != 1 else "BTC")
    if not 0 <= card.input.left_context <= _MAX_CONTEXT:
        raise InputError(f"input.left_context must be from 0 to {_MAX_CONTEXT}, got {card.input.left_context}")
    if card.input.left_context and card.input.house[1] not in card.input.axes:
        raise InputError(
            f"input.left_context needs the axis {card.input.house[1]} in input.layout, got {card.input.axes!r}"
        )
    if card.input.samples_per_step < 1 or card.input.channels < 1:
        raise InputError("input.samples_per_step and input.channels must be 1 or more")


def _check_layout(part: str, layout: str, house: str, optional: str) -> None:
    letters = layout.replace("1", "")
    needed = [letter for letter in house if letter not in optional]
    if len(set(letters)) < len(letters) or set(letters) - set(house) or any(n not in letters for n in needed):
        raise InputError(
            f"{part}.layout must order the letters {house}, each at most once, with 1 for an axis of size 1; "
            f"without {' or '.join(letter for letter in house if letter in optional)} where the graph has no such "
            f"axis; got {layout!r}"
        )
