"""A run's best network becomes a file that says everything."""

import numpy as np
import pytest

from networks import random_network
from streamcell.export import parity
from streamcell.export.exporter import describe, export_best
from streamcell.runtime.errors import ModelError
from streamcell.runtime.manifest import GapPolicy, InputSpec, OutputSpec
from streamcell.runtime.model import Model
from streamcell.train.checkpoint import Best
from streamcell.train.columns import Columns
from streamcell.train.recipe import LABELS, parse_recipe

RECIPE = """
task = "phonemes"
name = "tiny"
description = "A tiny network."
licence = "CC0-1.0"
[data]
corpora = [{path = "speech/one"}, {path = "speech/two", weight = 0.5, validation_speakers = ["7"]}]
noise = "rain"
[model]
cell = "lstm"
look_ahead = 4
[train]
seed = 11
"""


@pytest.fixture
def best(monkeypatch: pytest.MonkeyPatch) -> Best:
    monkeypatch.setattr(parity, "_STEPS", (1, 3))
    return Best(random_network(cell="lstm"), parse_recipe(RECIPE), Columns(LABELS), {"validation_error_rate": 0.25})


def test_the_manifest_is_filled_from_the_recipe(best: Best) -> None:
    manifest = describe(best)
    assert (manifest.name, manifest.description, manifest.licence) == ("tiny", "A tiny network.", "CC0-1.0")
    assert manifest.input == InputSpec("samples", "audio", 16000, 1, 480, look_ahead_steps=4)
    assert manifest.outputs == (OutputSpec("logits", "logits", LABELS, 0, "SIL", 0.03),)
    assert [state.input for state in manifest.states] == ["tail", "conv0", "conv1", "h0", "c0", "h1", "c1"]
    assert (manifest.task, manifest.decoder, manifest.gap) == ("ctc", {"name": "ctc-greedy"}, GapPolicy("fill", 1.0))
    assert (manifest.steps_per_call, manifest.batch_invariant, manifest.parity) == (None, True, None)
    assert manifest.created_by.startswith("streamcell ")
    corpora = {"speech/one": 1.0, "speech/two": 0.5}
    assert manifest.training == {
        "data": {"corpora": corpora, "noise": "rain"},
        "seed": 11,
        "cell": "lstm",
        "figures": {"validation_error_rate": 0.25},
    }


def test_the_file_opens_and_carries_its_proof(best: Best) -> None:
    exported = export_best(best, {}, "other")
    manifest = Model.open(exported.data).manifest
    assert manifest.name == "other"
    assert manifest.parity is not None
    assert (
        manifest.parity.outputs == max(report.outputs for report in exported.reports.values()) <= manifest.parity.bound
    )
    assert manifest.parity.cases == sum(report.cases for report in exported.reports.values())
    assert exported.operators.count("LSTM") == 2


def test_weights_that_are_not_finite_are_refused(best: Best) -> None:
    best.network.head.bias.data[3] = np.nan
    with pytest.raises(ModelError, match=r"tensor 'head.bias' holds NaN"):
        export_best(best, {})
