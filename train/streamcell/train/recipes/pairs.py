"""Recipes for an encoder and a decoder that are trained together: translation, captions."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from streamcell.train.columns import Columns
from streamcell.train.fronts import Front, Picture
from streamcell.train.models import SequenceNet
from streamcell.train.pair_net import Narrow, PairNet
from streamcell.train.recipes.base import Count, Positive, Recipe, Share, Size, TrainRecipe

PairCell = Literal["gru", "gru-reset-before", "lstm", "elman", "elman-relu", "elman-sigmoid"]


class PairDataRecipe(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Pairs of a source and a text below `--data`, see `read_pairs`.

    With `format = "tsv"` a line holds both, in the columns `source` and `target` (from 0). Pairs of more than
    `longest_source` or `longest_target` pieces are left out; a piece is a symbol if the training part has it
    `least_source` or `least_target` times. `validation` and `test` pairs are held out by `split_seed`.

    With `format = "pictures"` sources are pictures of `image` rows, columns and colours, and the file says which part
    each belongs to.
    """

    format: Literal["tsv", "pictures"]
    path: str
    source: Count = 0
    target: Count = 1
    source_split: Literal["characters", "words"] = "characters"
    target_split: Literal["characters", "words"] = "words"
    longest_source: Positive = 100
    longest_target: Positive = 100
    least_source: Positive = 1
    least_target: Positive = 1
    validation: Count = 0
    test: Count = 0
    split_seed: Count = 1
    image: Annotated[tuple[Size, ...], Meta(max_length=3)] = ()

    def __post_init__(self) -> None:
        if self.format == "tsv" and (self.image or self.validation < 1):
            raise ValueError("for format 'tsv' leave data.image out and hold pairs out: data.validation from 1")
        if self.format == "pictures" and (len(self.image) != 3 or self.validation or self.test):
            raise ValueError(
                "for format 'pictures' say data.image = [rows, columns, colours], and leave data.validation and "
                "data.test out: the file says what is held out"
            )


class EncoderRecipe(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The encoder, a `SequenceNet`: of symbols `embedding` numbers each, or of pictures, see `Picture`."""

    cell: PairCell = "gru"
    embedding: Size = 64
    channels: Size = 16
    hidden: Size = 128
    layers: Annotated[int, Meta(ge=0, le=64)] = 1
    dropout: Share = 0.2


class DecoderRecipe(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The decoder, see `PairNet`."""

    cell: PairCell = "gru"
    embedding: Size = 64
    hidden: Size = 128
    layers: Annotated[int, Meta(gt=0, le=64)] = 1
    dropout: Share = 0.2


class PairTrainRecipe(TrainRecipe, frozen=True, forbid_unknown_fields=True):
    """Cross-entropy of each next symbol, the right ones before it given; an update takes `lanes` pairs of like length.

    `smoothing` of the probability goes to all symbols alike (Szegedy et al. 2016, arXiv:1512.00567). `source_masked`
    and `target_masked` are the shares of symbols that are heard as unknown. Pairs are heard whole, so `chunk_steps` and
    `reset_share` have no say.
    """

    smoothing: Share = 0.0
    source_masked: Share = 0.0
    target_masked: Share = 0.0


class PairRecipe(Recipe, frozen=True, forbid_unknown_fields=True, kw_only=True):
    r"""A text for each source; `decoder` goes into the decoder's manifest.

    >>> from streamcell.train.recipe import parse_recipe
    >>> recipe = parse_recipe('task = "pairs"\nname = "t"\n[data]\nformat = "tsv"\npath = "a.txt"\nvalidation = 9\n')
    >>> net = recipe.network(Columns(("<start>", "<end>", "<unk>", "yes"), symbols=("<unk>", "a")))
    >>> net.encoder.head.out_features, net.head.out_features
    (128, 4)
    """

    task: Literal["pairs"]
    data: PairDataRecipe
    encoder: EncoderRecipe = EncoderRecipe()
    model: DecoderRecipe = DecoderRecipe()
    train: PairTrainRecipe = PairTrainRecipe()
    decoder: dict[str, int | float | str] = {}  # noqa: RUF012 - msgspec copies it

    def network(self, columns: Columns) -> PairNet:
        """Return a fresh network of this recipe's shape, for data with `columns`."""
        e, m = self.encoder, self.model
        encoder = SequenceNet(self._front(columns), m.hidden, cell=e.cell, layers=e.layers, dropout=e.dropout)
        return PairNet(
            encoder,
            len(columns.labels),
            size=m.embedding,
            cell=m.cell,
            hidden=m.hidden,
            layers=m.layers,
            dropout=m.dropout,
        )

    def _front(self, columns: Columns) -> Front:
        e = self.encoder
        if self.data.format == "tsv":
            return Narrow(len(columns.symbols), size=e.embedding, width=e.hidden)
        rows, across, colours = self.data.image
        return Picture(rows, across, colours, channels=e.channels, width=e.hidden)
