"""Recipes for phonemes of speech."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from streamcell.runtime.phones import ARPABET
from streamcell.train.columns import Columns
from streamcell.train.models import PhonemeNet
from streamcell.train.recipes.base import Amount, Count, PositiveFloat, Recipe, Share, Size, StackRecipe, TrainRecipe

LABELS = ("<blank>", "SIL", *ARPABET)


class Corpus(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One corpus: a folder with `utterances.jsonl`, how often a pass hears it, whom it holds out for validation."""

    path: str
    weight: PositiveFloat = 1.0
    validation_speakers: tuple[str, ...] = ()


class SpeechRecipe(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is heard: corpora, and a folder of noise (empty: none)."""

    corpora: Annotated[tuple[Corpus, ...], Meta(min_length=1)]
    noise: str = ""


class PhonemeNetRecipe(StackRecipe, frozen=True, forbid_unknown_fields=True):
    """The network (`PhonemeNet`) and its look-ahead, in steps of `stride` times 10 ms.

    `gain_seconds` is how long its gain control remembers (`GainControl`); with 0 it has none.
    """

    mels: Annotated[int, Meta(gt=0, le=128)] = 40
    channels: Size = 128
    stride: Annotated[int, Meta(gt=0, le=8)] = 3
    hidden: Size = 320
    layers: Annotated[int, Meta(gt=0, le=64)] = 3
    dropout: Share = 0.1
    look_ahead: Count = 3
    gain_seconds: Amount = 0.0


class AugmentRecipe(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How often (`*_share`, 0 to 1) and how strongly a recording is changed before it is heard.

    `room_s` is how long a room's echo takes to lose 60 dB, `room_direct_db` by how much the direct sound is louder than
    it. `suppress_share` is how often noise is suppressed as browsers do, by WebRTC, in half of the cases with automatic
    gain. A noise gate, as calls and browsers have it, is open where somebody speaks, down to `gate_db` below loud
    speech; what it lets through else is soft or nothing at all. `colour_db` is how much a microphone adds to a
    frequency or takes off it at most. `mel_warp` is by how much the mel axis is stretched at most, to both sides, as if
    by another throat (0.1: 10%).
    """

    speed: tuple[PositiveFloat, PositiveFloat] = (0.9, 1.1)
    speed_share: Share = 0.5
    level_dbfs: tuple[float, float] = (-40.0, -14.0)
    room_share: Share = 0.0
    room_s: tuple[PositiveFloat, PositiveFloat] = (0.2, 0.8)
    room_direct_db: tuple[float, float] = (-6.0, 10.0)
    noise_share: Share = 0.5
    snr_db: tuple[float, float] = (0.0, 30.0)
    suppress_share: Share = 0.0
    gate_share: Share = 0.0
    gate_db: tuple[float, float] = (25.0, 45.0)
    colour_share: Share = 0.0
    colour_db: Amount = 8.0
    band_share: Share = 0.25
    pause_s: tuple[float, float] = (0.0, 0.4)
    mel_warp: Annotated[float, Meta(ge=0, le=0.5)] = 0.0
    time_masks: Count = 2
    time_mask_frames: Count = 15
    mel_masks: Count = 2
    mel_mask_bins: Count = 6


class PhonemeTrainRecipe(TrainRecipe, frozen=True, forbid_unknown_fields=True):
    """Frame cross-entropy alone for `frame_updates`, then CTC + `frame_weight` times frame cross-entropy.

    With `risk_weight` the expected errors per phone of a path drawn frame by frame (`expected_errors`) are added, so
    many times: for a network that can already read, as the last part of its training.
    """

    frame_updates: Count = 300
    frame_weight: Amount = 0.5
    risk_weight: Amount = 0.0


class PhonemeRecipe(Recipe, frozen=True, forbid_unknown_fields=True, kw_only=True):
    r"""Phonemes of speech.

    >>> from streamcell.train.recipe import parse_recipe
    >>> recipe = parse_recipe('task = "phonemes"\nname = "tiny"\n[data]\ncorpora = [{path = "speech"}]\n')
    >>> recipe.model.hidden, recipe.network(Columns(LABELS)).samples_per_step
    (320, 480)
    """

    task: Literal["phonemes"]
    data: SpeechRecipe
    model: PhonemeNetRecipe = PhonemeNetRecipe()
    augment: AugmentRecipe = AugmentRecipe()
    train: PhonemeTrainRecipe = PhonemeTrainRecipe()

    def network(self, columns: Columns) -> PhonemeNet:
        """Return a fresh network of this recipe's shape, for data with `columns`."""
        m = self.model
        return PhonemeNet(
            len(columns.labels),
            cell=m.cell,
            mels=m.mels,
            channels=m.channels,
            stride=m.stride,
            hidden=m.hidden,
            layers=m.layers,
            dropout=m.dropout,
            gain_seconds=m.gain_seconds,
            **m.options(),
        )
