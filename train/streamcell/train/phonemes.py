"""Phonemes of speech: endless lanes of utterances, CTC and frame cross-entropy, phone error rate."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from streamcell.train.columns import Columns
from streamcell.train.data.augment import SpecAugment
from streamcell.train.data.corpora import load_material
from streamcell.train.data.lanes import Chunk, Lanes
from streamcell.train.frontend import State
from streamcell.train.losses import ctc, frame_cross_entropy
from streamcell.train.models import Network, PhonemeNet
from streamcell.train.recipe import LABELS, PhonemeRecipe
from streamcell.train.risk import expected_errors
from streamcell.train.validate import Validation, validate

_SILENT = LABELS.index("SIL") + 1


class PhonemeTask:
    """Learn phonemes as `recipe` says, from corpora below the folder `data`; arguments as of `open_task`.

    Raises:
        SourceError: a corpus, a recording or the noise folder is missing or unreadable; a validation speaker or a
            phone is unknown.
    """

    measure = "phone error rate"
    columns = Columns(LABELS)

    def __init__(self, recipe: PhonemeRecipe, data: Path, cache: Path, progress: Callable[[int, int], None]) -> None:
        self.recipe, self.silent_updates = recipe, recipe.train.frame_updates  # greedy CTC says nothing before
        self.material = load_material(recipe, data, cache, PhonemeNet.sample_rate, progress)
        self.fingerprint = self.material.fingerprint
        self._step = recipe.network(self.columns).samples_per_step

    def fit(self, network: Network) -> None:
        """Measure mean and scale of the spectra on the first chunks, as they will be heard."""
        if not isinstance(network, PhonemeNet):
            raise TypeError(f"expected a PhonemeNet, got {type(network).__name__}")
        lanes = self.lanes(0)
        with torch.no_grad():
            samples = torch.cat([torch.from_numpy(lanes.draw().samples) for _ in range(4)])
            features, _ = network.frontend(samples, network.frontend.initial_state(len(samples)))
        network.standardise.fit(features.flatten(0, 1))

    def lanes(self, number: int) -> Lanes:
        """Return the endless streams of shard `number`."""
        return self.material.lanes(self.recipe, self._step, number)

    def losses(
        self, network: Network, chunk: Chunk, state: State, masks: torch.Generator, update: int
    ) -> tuple[Tensor, dict[str, Tensor], State]:
        """Return CTC plus the weighted frame loss and expected errors; at first the frame loss alone."""
        train, device = self.recipe.train, network.head.weight.device
        mask = SpecAugment(self.recipe.augment, masks)
        logits, after = network(torch.from_numpy(chunk.samples).to(device), state, mask)
        frame = frame_cross_entropy(logits, torch.from_numpy(chunk.frames).to(device))
        if update < train.frame_updates:
            return frame, {"frame": frame}, after
        sequence = ctc(logits, chunk.tokens)
        loss, parts = sequence + train.frame_weight * frame, {"ctc": sequence, "frame": frame}
        if train.risk_weight:
            parts["errors"] = expected_errors(logits, chunk.tokens, _SILENT, masks)
            loss = loss + train.risk_weight * parts["errors"]
        return loss, parts, after

    def validate(self, network: Network) -> Validation:
        """Score a network on the utterances of the speakers that were held out."""
        material = self.material
        return validate(network, material.validation, material.validation_recordings, self.recipe.model.look_ahead)
