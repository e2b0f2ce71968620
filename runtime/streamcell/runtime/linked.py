"""Two models that belong together: the first one's answer is the second one's first state."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from streamcell.runtime.blocks import as_features, as_samples
from streamcell.runtime.errors import InputError, ModelError
from streamcell.runtime.generate import generate
from streamcell.runtime.manifest import Link, Manifest
from streamcell.runtime.model import Model
from streamcell.runtime.sampling import Sampling
from streamcell.runtime.sources.pictures import as_pictures
from streamcell.runtime.state import State
from streamcell.runtime.symbols import Symbols
from streamcell.runtime.tokens import as_places

__all__ = ["Linked"]

_MOST_STEPS = 1024  # a call


class Linked:
    """Begin a model with what another one made of a sentence, a picture, a sound or rows of numbers.

    The encoder hears all of its input; its outputs after the last step are the decoder's states that the manifest's
    `Link` names, the others begin as ever (Sutskever et al., 2014; Vinyals et al., 2015).

    Args:
        encoder: The model that the decoder's manifest names, by its fingerprint.
        decoder: One whose manifest has a `Link`.

    Raises:
        ModelError: If the decoder begins by itself, begins with another encoder, or what is given is not of the shape
            of what is wanted.

    Examples:
        >>> pair = Linked(Model.open("english.onnx"), Model.open("german.onnx"))  # doctest: +SKIP
        >>> "".join(pair.text("I am cold."))  # doctest: +SKIP
        'mir ist kalt.'
    """

    def __init__(self, encoder: Model, decoder: Model) -> None:
        link = _check_link(encoder, decoder)
        given = {output.name: len(output.labels) for output in encoder.manifest.outputs}
        for spec in decoder.manifest.states:
            name = link.states.get(spec.input)
            if name is not None and (spec.dtype != "float32" or given.get(name) != math.prod(spec.sizes(1))):
                wanted = f"float32 output {name!r} of {math.prod(spec.sizes(1))} numbers for the {spec.dtype} state"
                has = ", ".join(f"{other!r} of {size}" for other, size in given.items())
                raise ModelError(
                    f"{decoder.manifest.name} wants the {wanted} {spec.input!r}; {encoder.manifest.name} has {has}"
                )
        self._encoder, self._decoder, self._link = encoder, decoder, link
        self._size = (encoder.manifest.steps_per_call or _MOST_STEPS) * encoder.manifest.input.samples_per_step

    @property
    def encoder(self) -> Model:
        """Return the model that hears."""
        return self._encoder

    @property
    def decoder(self) -> Model:
        """Return the model that begins with its answer."""
        return self._decoder

    def begin(self, x: str | ArrayLike) -> State:
        """Return the decoder's first state, made of `x`.

        Args:
            x: As the encoder takes it: text or places of symbols `[n]`; samples `[n]` at its rate; rows
                `[n, channels]`; or a picture `[rows, columns, colours]` or film `[n, rows, columns, colours]`, of one
                colour also without that axis, uint8 or from 0 to 1.

        Raises:
            InputError: If it does not fit, or holds not a single step.
            ModelError: If the encoder fails.
        """
        last = self._hear(x)
        specs, initial = self._decoder.manifest.states, self._decoder.initial_state()
        linked = {
            spec.input: last[self._link.states[spec.input]].reshape(spec.sizes(1))
            for spec in specs
            if spec.input in self._link.states
        }
        return State(specs, {**initial, **linked})

    def text(
        self,
        x: str | ArrayLike,
        prompt: str = "",
        sampling: Sampling | None = None,
        *,
        length: int | None = None,
        stop: str = "",
    ) -> Iterator[str]:
        """Write what the decoder says of `x`, as `generate` does.

        Raises:
            InputError: As in `begin` and `generate`.
            ModelError: As in `begin` and `generate`.
        """
        return generate(self._decoder, prompt, sampling, length=length, stop=stop, state=self.begin(x))

    def _hear(self, x: str | ArrayLike) -> dict[str, NDArray[np.float32]]:
        """Return the encoder's outputs after the last step, each `[numbers]`."""
        heard = _as_input(self._encoder.manifest, x)
        state, size = self._encoder.initial_state(), self._size
        outputs: dict[str, NDArray[np.float32]] = {}
        for begin in range(0, len(heard), size):
            outputs, state = self._encoder.step(heard[None, begin : begin + size], state)
        if not outputs:
            raise InputError(f"{self._encoder.manifest.name} needs at least one step to hear, got nothing")
        return {name: values[0, -1] for name, values in outputs.items()}


def _check_link(encoder: Model, decoder: Model) -> Link:
    """Return how the decoder is linked, if it is linked to that encoder."""
    link, names = decoder.manifest.link, (encoder.manifest.name, decoder.manifest.name)
    if link is None:
        raise ModelError(f"{names[1]} begins by itself; it takes no encoder, such as {names[0]}")
    if link.fingerprint != encoder.fingerprint:
        raise ModelError(
            f"{names[1]} begins with what {link.name} gives ({link.fingerprint:.16}), not with {names[0]} "
            f"({encoder.fingerprint:.16}): use the two files that were exported together"
        )
    if encoder.manifest.steps_per_call not in (None, 1):
        raise ModelError(
            f"{names[0]} takes {encoder.manifest.steps_per_call} steps a call; an encoder must take any number"
        )
    if unknown := sorted(set(link.states.values()) - {output.name for output in encoder.manifest.outputs}):
        raise ModelError(f"{names[1]} wants what {names[0]} does not give: {', '.join(unknown)}")
    return link


def _as_input(manifest: Manifest, x: str | ArrayLike) -> NDArray[Any]:
    """Return what the encoder hears, without the axis of the batch: whole steps."""
    spec = manifest.input
    if spec.kind == "tokens":
        return as_places(Symbols(spec.symbols, spec.split), x)
    if isinstance(x, str):
        raise InputError(f"{manifest.name} takes {'pictures' if spec.image else spec.kind}, not text")
    if spec.image:
        return as_pictures(x, spec.image)
    if spec.kind == "features":
        return as_features(x, spec.channels)
    samples = as_samples(x)
    steps = -(-len(samples) // spec.samples_per_step)
    missing = (steps + spec.look_ahead_steps * (steps > 0)) * spec.samples_per_step - len(samples)
    return np.pad(samples, (0, missing))
