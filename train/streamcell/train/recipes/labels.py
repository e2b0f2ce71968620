"""Recipes for one label a sequence."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from streamcell.train.columns import Columns
from streamcell.train.models import SequenceNet
from streamcell.train.recipes.base import Recipe, Share, Size, StackRecipe, TrainRecipe
from streamcell.train.recipes.labelled_text import ArffRecipe, FilesRecipe, LinesRecipe
from streamcell.train.recipes.spoken import SpokenRecipe
from streamcell.train.recipes.strokes import StrokesRecipe


class LabelsNetRecipe(StackRecipe, frozen=True, forbid_unknown_fields=True):
    """The network, see `SequenceNet`.

    With `pooling` the head hears the mean over time beside the last frame. With `counts` the first columns of an
    embedding, one a label, begin as the naive Bayes log-count ratios of the training data (Wang and Manning 2012).
    """

    hidden: Size = 64
    layers: Annotated[int, Meta(gt=0, le=64)] = 1
    pooling: bool = False
    counts: bool = False


class LabelsTrainRecipe(TrainRecipe, frozen=True, forbid_unknown_fields=True):
    """Cross-entropy at each sequence's end; the share `early` of the loss is the mean over all its steps.

    A label counts by its sequences to the power -`balance` (0: as often as it is there). An update hears `lanes` whole
    sequences, each from the initial state: `chunk_steps` and `reset_share` say nothing here.
    """

    balance: Share = 0.0
    early: Share = 0.0


class LabelsRecipe(Recipe, frozen=True, forbid_unknown_fields=True, kw_only=True):
    r"""One label for a whole sequence.

    >>> from streamcell.train.recipe import parse_recipe
    >>> text = 'task = "labels"\nname = "tiny"\n[data]\nformat = "lines"\npath = "names"\n[model]\npooling = true\n'
    >>> recipe = parse_recipe(text)
    >>> list(recipe.network(Columns(("x", "y"), symbols=("a", "b"))).initial_state(1))
    ['h0', 'mean', 'count']
    """

    task: Literal["labels"]
    data: ArffRecipe | FilesRecipe | LinesRecipe | SpokenRecipe | StrokesRecipe
    model: LabelsNetRecipe = LabelsNetRecipe()
    train: LabelsTrainRecipe = LabelsTrainRecipe()

    def network(self, columns: Columns) -> SequenceNet:
        """Return a fresh network of this recipe's shape, for data with `columns`."""
        m = self.model
        return SequenceNet(
            self.data.front(columns, m.hidden),
            len(columns.labels),
            cell=m.cell,
            layers=m.layers,
            dropout=m.dropout,
            pooling=m.pooling,
            **m.options(),
        )
