"""A recipe is a TOML file -> one checked, frozen configuration; unknown keys are refused with the nearest right one."""

from __future__ import annotations

import difflib
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from streamcell.runtime.errors import StreamcellError
from streamcell.runtime.phones import ARPABET
from streamcell.train.models import PhonemeNet, SensorNet

LABELS = ("<blank>", "SIL", *ARPABET)

Positive = Annotated[int, Meta(gt=0)]
Size = Annotated[int, Meta(gt=0, le=4096)]
Count = Annotated[int, Meta(ge=0)]
Share = Annotated[float, Meta(ge=0, le=1)]
PositiveFloat = Annotated[float, Meta(gt=0)]
Amount = Annotated[float, Meta(ge=0)]


class RecipeError(StreamcellError):
    """A recipe cannot be read, or asks for something that does not exist."""


class Corpus(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One corpus: a folder with `utterances.jsonl`, how often a pass hears it, whom it holds out for validation."""

    path: str
    weight: PositiveFloat = 1.0
    validation_speakers: tuple[str, ...] = ()


class SpeechRecipe(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is heard: corpora, and a folder of noise (empty: none)."""

    corpora: Annotated[tuple[Corpus, ...], Meta(min_length=1)]
    noise: str = ""


class PhonemeNetRecipe(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The network (`PhonemeNet`) and its look-ahead, in steps of `stride` times 10 ms."""

    cell: Literal["gru", "lstm", "elman"] = "gru"
    mels: Annotated[int, Meta(gt=0, le=128)] = 40
    channels: Size = 128
    stride: Annotated[int, Meta(gt=0, le=8)] = 3
    hidden: Size = 320
    layers: Annotated[int, Meta(gt=0, le=64)] = 3
    dropout: Share = 0.1
    look_ahead: Count = 3


class AugmentRecipe(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How often (`*_share`, 0 to 1) and how strongly a recording is changed before it is heard."""

    speed: tuple[PositiveFloat, PositiveFloat] = (0.9, 1.1)
    speed_share: Share = 0.5
    level_dbfs: tuple[float, float] = (-40.0, -14.0)
    noise_share: Share = 0.5
    snr_db: tuple[float, float] = (0.0, 30.0)
    band_share: Share = 0.25
    pause_s: tuple[float, float] = (0.0, 0.4)
    time_masks: Count = 2
    time_mask_frames: Count = 15
    mel_masks: Count = 2
    mel_mask_bins: Count = 6


class SensorDataRecipe(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Recordings of sensors below `--data`, see `read_sensor`: where, in which form, and whom to hold out.

    `validation_groups` (people, takes) choose the network; `test_groups` are never heard in training at all.
    """

    format: Literal["recordings", "sequences", "hapt"]
    path: str
    sample_rate: Positive
    channels: tuple[str, ...] = ()
    units: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    label: str = "label"
    validation_groups: tuple[str, ...] = ()
    test_groups: tuple[str, ...] = ()


class SensorNetRecipe(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The network, see `SensorNet`."""

    cell: Literal["gru", "lstm", "elman"] = "gru"
    hidden: Size = 64
    layers: Annotated[int, Meta(gt=0, le=64)] = 1
    dropout: Share = 0.2


class MotionRecipe(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How strongly a recording of sensors is changed before it is heard, see `Motion`."""

    rotation: Amount = 0.0
    scale: Amount = 0.0
    jitter: Amount = 0.0
    offset: Amount = 0.0
    dropped: Share = 0.0
    speed: tuple[PositiveFloat, PositiveFloat] = (1.0, 1.0)


class GapRecipe(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What lost samples do to the state, see `GapPolicy`."""

    action: Literal["fill", "hold"] = "hold"
    reset_after: Amount = 2.0


class TrainRecipe(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The optimisation: AdamW, linear warm-up then cosine to zero, gradient clipping, an average of the weights.

    `shards` times `lanes` endless streams are heard side by side (processes that train together share the shards); an
    update hears `chunk_steps` more steps of each and carries the state into the next (truncated back-propagation
    through time). A lane starts again from the initial state with probability `reset_share` a chunk.
    """

    seed: Count = 1
    shards: Positive = 1
    lanes: Positive = 32
    chunk_steps: Positive = 128
    updates: Positive = 3000
    learning_rate: PositiveFloat = 2e-3
    warmup: Count = 200
    weight_decay: Amount = 0.01
    clip: PositiveFloat = 1.0
    average: Annotated[float, Meta(ge=0, lt=1)] = 0.998
    reset_share: Share = 0.1
    validate_every: Positive = 250
    patience: Positive = 20


class PhonemeTrainRecipe(TrainRecipe, frozen=True, forbid_unknown_fields=True):
    """Frame cross-entropy alone for `frame_updates`, then CTC + `frame_weight` times frame cross-entropy."""

    frame_updates: Count = 300
    frame_weight: Amount = 0.5


class SensorTrainRecipe(TrainRecipe, frozen=True, forbid_unknown_fields=True):
    """Cross-entropy at every sample; a label counts by its samples to the power -`balance` (0: as often as it is)."""

    balance: Share = 0.5


class Recipe(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A whole training: what, from what, how."""

    name: str
    description: str = ""
    licence: str = ""


class PhonemeRecipe(Recipe, frozen=True, forbid_unknown_fields=True, kw_only=True):
    r"""Phonemes of speech.

    >>> recipe = parse_recipe('task = "phonemes"\nname = "tiny"\n[data]\ncorpora = [{path = "speech"}]\n')
    >>> recipe.model.hidden, recipe.network().samples_per_step
    (320, 480)
    """

    task: Literal["phonemes"]
    data: SpeechRecipe
    model: PhonemeNetRecipe = PhonemeNetRecipe()
    augment: AugmentRecipe = AugmentRecipe()
    train: PhonemeTrainRecipe = PhonemeTrainRecipe()

    def network(self) -> PhonemeNet:
        """Return a fresh network with this recipe's shape."""
        m = self.model
        return PhonemeNet(
            len(LABELS),
            cell=m.cell,
            mels=m.mels,
            channels=m.channels,
            stride=m.stride,
            hidden=m.hidden,
            layers=m.layers,
            dropout=m.dropout,
        )


class SensorRecipe(Recipe, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A label for every sample of a sensor's signals; `decoder` and `gap` go into the manifest."""

    task: Literal["sensor"]
    data: SensorDataRecipe
    model: SensorNetRecipe = SensorNetRecipe()
    augment: MotionRecipe = MotionRecipe()
    train: SensorTrainRecipe = SensorTrainRecipe()
    decoder: dict[str, float] = {}
    gap: GapRecipe = GapRecipe()

    def network(self, channels: int, labels: int) -> SensorNet:
        """Return a fresh network with this recipe's shape."""
        m = self.model
        return SensorNet(
            channels,
            labels,
            sample_rate=self.data.sample_rate,
            cell=m.cell,
            hidden=m.hidden,
            layers=m.layers,
            dropout=m.dropout,
        )


AnyRecipe = PhonemeRecipe | SensorRecipe
_TASKS: dict[str, type[PhonemeRecipe] | type[SensorRecipe]] = {"phonemes": PhonemeRecipe, "sensor": SensorRecipe}


def _check_keys(table: Any, schema: Any, path: str) -> None:
    """Raise for the first key of `table` that `schema` (a msgspec type description) does not have."""
    if isinstance(schema, msgspec.inspect.VarTupleType) and isinstance(table, list):
        for i, item in enumerate(table):
            _check_keys(item, schema.item_type, f"{path}[{i}]")
    if not (isinstance(schema, msgspec.inspect.StructType) and isinstance(table, dict)):
        return
    fields = {field.name: field.type for field in schema.fields}
    for key, value in table.items():
        where = f"{path}.{key}" if path else key
        if key not in fields:
            near = difflib.get_close_matches(key, fields, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]!r}?" if near else f"known here: {', '.join(fields)}"
            raise RecipeError(f"unknown recipe key {where!r}; {hint}")
        _check_keys(value, fields[key], where)


def parse_recipe(text: str) -> AnyRecipe:
    """Return the recipe that `text` (TOML) describes.

    Raises:
        RecipeError: not TOML, an unknown key (the nearest right one is named), a missing key, a value out of range.
    """
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"the recipe is not valid TOML: {error}") from error
    task = table.get("task")
    kind = _TASKS.get(task) if isinstance(task, str) else None
    if kind is None:
        raise RecipeError(f"recipe key 'task' must be one of {', '.join(map(repr, _TASKS))}, got {task!r}")
    _check_keys(table, msgspec.inspect.type_info(kind), "")
    try:
        return msgspec.convert(table, kind)
    except msgspec.ValidationError as error:
        raise RecipeError(f"the recipe does not fit: {error}") from error


def read_recipe(path: Path) -> tuple[AnyRecipe, str]:
    """Return the recipe in the file `path`, and its text.

    Raises:
        RecipeError: the file cannot be read, or as `parse_recipe`.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"cannot read the recipe {path}: {error}") from error
    try:
        return parse_recipe(text), text
    except RecipeError as error:
        raise RecipeError(f"{path}: {error}") from error
