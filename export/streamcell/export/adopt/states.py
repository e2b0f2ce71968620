"""Which output comes back into which input: from the card, from the names, from the shapes, else the user is asked."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from streamcell.export.adopt.card import StateCard
from streamcell.export.adopt.source import describe
from streamcell.runtime.errors import InputError
from streamcell.runtime.onnx_parts import Value

__all__ = ["Pair", "pair_states", "stem"]

# fmt: off
_MARKS = frozenset((
    "in", "input", "out", "output", "next", "new", "prev", "previous", "past", "present", "old", "initial", "init",
    "cur", "current", "final", "updated", "n", "t",
))
# fmt: on


@dataclass(frozen=True, slots=True)
class Pair:
    """Hold an output that is fed back into an input.

    Attributes:
        input: What the graph takes.
        output: What it gives.
        found: How that is known: ``"card"``, ``"names"`` or ``"shapes"``.
        card: What the user says of it.
    """

    input: Value
    output: Value
    found: str
    card: StateCard


def pair_states(inputs: Sequence[Value], outputs: Sequence[Value], cards: Sequence[StateCard]) -> tuple[Pair, ...]:
    """Pair every input with the output that is fed back into it.

    Args:
        inputs: All that is neither the model's input nor a constant.
        outputs: All outputs; those that are no state may be among them where ``cards`` name them as one.
        cards: What the user says.

    Returns:
        One pair an input, in the order of ``inputs``.

    Raises:
        InputError: If a card names what does not exist, an input has no partner, or several pairings fit; the message
            has the lines to add.

    Examples:
        >>> hidden, cell = Value("h0", "float32", (1, "B", 8)), Value("c0", "float32", (1, "B", 8))
        >>> after = Value("hn", "float32", (1, "B", 8)), Value("cn", "float32", (1, "B", 8))
        >>> [(pair.input.name, pair.output.name, pair.found) for pair in pair_states((hidden, cell), after, ())]
        [('h0', 'hn', 'names'), ('c0', 'cn', 'names')]
    """
    found = {pair.input.name: pair for pair in (_from_card(card, inputs, outputs) for card in cards)}
    if len(found) < len(cards) or len({pair.output.name for pair in found.values()}) < len(cards):
        raise InputError("[[states]] name an input or an output twice; expected each once")
    taken = {pair.output.name for pair in found.values()}
    free, given = [value for value in inputs if value.name not in found], [v for v in outputs if v.name not in taken]
    for key in (stem, lambda name: stem(name, digits=False)):
        for pair in _by_name(free, given, key):
            found[pair.input.name] = pair
            free.remove(pair.input)
            given.remove(pair.output)
    for pair in _by_shape(free, given):
        found[pair.input.name] = pair
    return tuple(found[value.name] for value in inputs)


def stem(name: str, *, digits: bool = True) -> tuple[str, ...]:
    """Return what the names of a state's two ends have in common.

    Examples:
        >>> [stem(name) for name in ("state", "stateN", "hidden_in", "hn", "new_cache_3", "h0")]
        [('state',), ('state',), ('hidden',), ('h',), ('cache', '3'), ('h', '0')]
        >>> stem("h0", digits=False)
        ('h',)
    """
    words = [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", name)]
    words = [re.sub(r"^([hc])(n|t|in|out|x|y)$", r"\1", word) for word in words if word not in _MARKS]
    return tuple(word for word in words if digits or not word.isdigit())


def _from_card(card: StateCard, inputs: Sequence[Value], outputs: Sequence[Value]) -> Pair:
    ends = []
    for kind, name, values in (("input", card.input, inputs), ("output", card.output, outputs)):
        named = {value.name: value for value in values}
        if name not in named:
            there = "; ".join(map(describe, values)) or "(none)"
            raise InputError(f"[[states]] {kind} = {name!r}: the graph has no such {kind} that may be a state: {there}")
        ends.append(named[name])
    if not _fit(*ends):
        raise InputError(
            f"[[states]] {describe(ends[1])} cannot be fed back into {describe(ends[0])}: types or sizes differ"
        )
    return Pair(ends[0], ends[1], "card", card)


def _fit(entry: Value, result: Value) -> bool:
    """Say whether a result may be fed into an entry."""
    if entry.dtype != result.dtype:
        return False
    if entry.shape is None or result.shape is None:
        return True
    same = len(entry.shape) == len(result.shape)
    return same and all(
        a == b or not (isinstance(a, int) and isinstance(b, int))
        for a, b in zip(entry.shape, result.shape, strict=True)
    )


def _by_name(
    inputs: Sequence[Value], outputs: Sequence[Value], key: Callable[[str], tuple[str, ...]]
) -> Iterator[Pair]:
    """Yield the pairs of one input and one output that alone share a key."""
    for entry in list(inputs):
        own = key(entry.name)
        rivals = [value for value in inputs if key(value.name) == own]
        partners = [value for value in outputs if key(value.name) == own]
        if own and len(rivals) == len(partners) == 1 and _fit(entry, partners[0]):
            yield Pair(entry, partners[0], "names", StateCard(entry.name, partners[0].name))


def _by_shape(inputs: Sequence[Value], outputs: Sequence[Value]) -> tuple[Pair, ...]:
    """Return the only pairing that fits, or ask."""
    ways = list(islice(_ways(inputs, outputs), 2))
    if not ways:
        entry = next((v for v in inputs if not any(_fit(v, o) for o in outputs)), inputs[0])
        raise InputError(
            f"nothing that the graph gives can be fed back into {describe(entry)} (there is: "
            f"{'; '.join(map(describe, outputs)) or 'nothing left'}). If it never changes, add to the card:\n"
            f"[constants]\n{entry.name} = 0  # its value"
        )
    if len(ways) > 1:
        lines = "\n".join(f'[[states]]\ninput = "{a.name}"\noutput = "{b.name}"' for a, b in ways[0])
        raise InputError(
            "more than one pairing of states fits, and the names do not tell which: "
            f"{'; '.join(map(describe, inputs))} <- {'; '.join(map(describe, outputs))}. Add to the card which output "
            f"is fed back into which input; in the graph's own order it would be:\n{lines}"
        )
    return tuple(Pair(entry, result, "shapes", StateCard(entry.name, result.name)) for entry, result in ways[0])


def _ways(inputs: Sequence[Value], outputs: Sequence[Value]) -> Iterator[list[tuple[Value, Value]]]:
    """Yield every pairing in which each input has an output of its own that fits."""
    if not inputs:
        yield []
        return
    for result in outputs:
        if _fit(inputs[0], result):
            rest = [value for value in outputs if value is not result]
            yield from ([(inputs[0], result), *more] for more in _ways(inputs[1:], rest))
