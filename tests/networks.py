"""Random phoneme networks that the tests of the exporter share."""

from typing import Any

import torch

from streamcell.export.graph import state_specs
from streamcell.runtime.manifest import InputSpec, Manifest, OutputSpec
from streamcell.train.models import PhonemeNet
from streamcell.train.recipe import LABELS


def random_network(seed: int = 0, **shape: Any) -> PhonemeNet:
    """Return a small network in evaluation mode whose every weight is random; ``shape`` as `PhonemeNet` takes it."""
    torch.manual_seed(seed)
    network = PhonemeNet(len(LABELS), **{"hidden": 24, "layers": 2, "mels": 16, "channels": 12, **shape})
    for norm in (*network.stack.norms, network.norm):
        torch.nn.init.normal_(norm.weight, 1.0, 0.2)
        torch.nn.init.normal_(norm.bias, 0.0, 0.2)
    network.standardise.mean.normal_(-5.0, 1.0)
    network.standardise.scale.uniform_(1.0, 3.0)
    return network.eval()


def spoken_manifest(network: PhonemeNet) -> Manifest:
    """Return a manifest that fits ``network``."""
    heard = InputSpec("samples", "audio", network.sample_rate, 1, network.samples_per_step, 2)
    output = OutputSpec("logits", "logits", LABELS, 0, "SIL", network.samples_per_step / network.sample_rate)
    return Manifest("random", "A random network.", "ctc", heard, state_specs(network), (output,))
