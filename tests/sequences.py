"""Small exported networks of symbols, rows and pictures, with torch beside them."""

from dataclasses import replace
from typing import Any

import torch

from streamcell.export.graph import build_model, state_specs
from streamcell.runtime.manifest import InputSpec, Link, Manifest, OutputSpec
from streamcell.runtime.model import Model
from streamcell.train.fronts import Dense, Embed, Picture
from streamcell.train.models import SequenceNet

LETTERS = ("<unk>", "<start>", "<end>", *"abcdefgh ,.")
WORDS = ("<start>", "<end>", "the", "cat", "sees", "a", "dog", ".", ",", "(", ")")


def letters(symbols: tuple[str, ...] = LETTERS) -> InputSpec:
    return InputSpec("x", "tokens", 1, 1, 1, 0, symbols=symbols, split="characters")


def words(symbols: tuple[str, ...] = WORDS) -> InputSpec:
    return InputSpec("x", "tokens", 1, 1, 1, 0, symbols=symbols, split="words")


def rows(channels: int, sample_rate: int = 1, **more: Any) -> InputSpec:
    return InputSpec("x", "features", sample_rate, channels, 1, 0, **more)


def sharp(network: SequenceNet) -> SequenceNet:
    """Make every weight random and the answers far apart, in evaluation mode."""
    torch.nn.init.normal_(network.head.weight, 0.0, 1.5)
    for name, scale in network.named_parameters():
        if name == "norm.weight":
            torch.nn.init.normal_(scale, 1.0, 0.3)
    return network.eval()


def network_for(spec: InputSpec, outputs: int, *, seed: int = 0, width: int = 16, **shape: Any) -> SequenceNet:
    """Return a random network that takes what ``spec`` says; ``shape`` as `SequenceNet` takes it."""
    torch.manual_seed(seed)
    if spec.kind == "tokens":
        front: Any = Embed(len(spec.symbols), width)
    elif spec.image:
        front = Picture(*spec.image, channels=4, width=width, sample_rate=spec.sample_rate)
    else:
        front = Dense(spec.channels, width, sample_rate=spec.sample_rate)
    return sharp(SequenceNet(front, outputs, **shape))


def described(network: SequenceNet, spec: InputSpec, task: Any, labels: tuple[str, ...], **changes: Any) -> Manifest:
    """Return a manifest for the network; ``changes`` are fields of `Manifest`."""
    kind: Any = "values" if task in ("forecast", "encode") else "logits"
    output = OutputSpec("y", kind, labels, None, None, spec.seconds_per_step)
    name = changes.pop("name", f"random-{task}")
    return Manifest(name, "A random network.", task, spec, state_specs(network), (output,), **changes)


def exported(network: SequenceNet, manifest: Manifest) -> Model:
    return Model.open(data(network, manifest))


def data(network: SequenceNet, manifest: Manifest) -> bytes:
    return bytes(build_model(network, manifest).SerializeToString())


def writer(spec: InputSpec | None = None, *, seed: int = 0, **changes: Any) -> tuple[SequenceNet, Model]:
    """Return a network of task "next" and its model."""
    spec = letters() if spec is None else spec
    network = network_for(spec, len(spec.symbols), seed=seed, cell="lstm", layers=2)
    return network, exported(network, described(network, spec, "next", spec.symbols, **changes))


def pair(spec: InputSpec | None = None) -> tuple[SequenceNet, Model, SequenceNet, Model]:
    """Return an encoder, whose last frame is the state of a decoder of one GRU, and that decoder."""
    spec = words() if spec is None else spec
    encoder = network_for(spec, 16, seed=1, layers=0 if spec.image else 1)
    names = tuple(f"h0 {unit}" for unit in range(16))
    first = exported(encoder, described(encoder, spec, "encode", names, name="first"))
    decoder = network_for(words(), len(WORDS), seed=2)
    manifest = described(decoder, words(), "next", WORDS, name="second", decoder={"length": 12})
    linked = replace(manifest, link=Link("first", first.fingerprint, {"h0": "y"}))
    return encoder, first, decoder, exported(decoder, linked)
