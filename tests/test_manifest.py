"""The manifest: JSON and back, and every contradiction named."""

import json
from dataclasses import replace
from typing import Any

import pytest

from helpers import LABELS, tiny_manifest
from streamcell.runtime.errors import ModelError
from streamcell.runtime.manifest import GapPolicy, InputSpec, Manifest, Parity, StateSpec


def edited(path: str, value: object) -> str:
    """Return the tiny manifest's JSON with one value changed, ``path`` like ``states/0/shape``."""
    document: Any = json.loads(tiny_manifest(parity=Parity(1e-4, 0.0, 1e-7, 20)).to_json())
    *parents, key = [int(part) if part.isdigit() else part for part in path.split("/")]
    place = document
    for parent in parents:
        place = place[parent]
    place[key] = value
    return json.dumps(document)


@pytest.mark.parametrize(
    "manifest",
    [
        tiny_manifest(),
        tiny_manifest(parity=Parity(1e-4, 0.0, 1e-7, 20), steps_per_call=4, batch_invariant=False),
        tiny_manifest(states=(), decoder={"a": [1, 2.5, None]}, training={"data": "é"}),
        tiny_manifest(gap=GapPolicy("hold", 0.0), task="frames"),
    ],
)
def test_round_trip(manifest: Manifest) -> None:
    assert Manifest.from_json(manifest.to_json()) == manifest


def of_features(**changes: Any) -> Manifest:
    spec = InputSpec("x", "features", 50, 3, 1, 0, ("acc x", "acc y", "heart"), ("g", "g", "1/min"))
    output = replace(tiny_manifest().outputs[0], seconds_per_step=0.02)
    return tiny_manifest(input=replace(spec, **changes), outputs=(output,))


@pytest.mark.parametrize("manifest", [of_features(), of_features(channel_names=(), units=())])
def test_features(manifest: Manifest) -> None:
    assert Manifest.from_json(manifest.to_json()) == manifest
    assert manifest.input.seconds_per_step == 0.02


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"channel_names": ("a", "b")}, "input.channel_names must be one a channel, all different"),
        ({"channel_names": ("a", "b", "B ")}, "input.channel_names must be one a channel, all different"),
        ({"channel_names": ("a", "b", " ")}, "input.channel_names must be one a channel, all different"),
        ({"units": ("g",)}, r"input.units must be one a channel, got \('g',\)"),
    ],
)
def test_channels_that_contradict(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        of_features(**changes)


def test_files_written_before_channels_had_names() -> None:
    document = json.loads(tiny_manifest().to_json())
    del document["input"]["channel_names"], document["input"]["units"]
    assert Manifest.from_json(json.dumps(document)) == tiny_manifest()


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("version", 2, "manifest.version is 2; this streamcell reads 1. Upgrade streamcell"),
        ("version", "1", "manifest.version is '1'"),
        ("version", True, "manifest.version is True"),
        ("hue", 1, "manifest.hue is not a known key"),
        ("task", "dance", "manifest.task must be one of 'ctc', 'frames', 'sequence', .*, got 'dance'"),
        ("name", "", "manifest.name must be"),
        ("input/sample_rate", 16000.5, "manifest.input.sample_rate must be an integer"),
        ("input/sample_rate", 0, "manifest.input.sample_rate must be from 1"),
        ("input/channels", 2, "manifest.input.channels must be 1 for audio"),
        ("input/channel_names", ["left"], "manifest.input.channel_names must be left out for audio"),
        ("input/units", ["Pa"], "manifest.input.units must be left out for audio"),
        ("input/kind", "features", "manifest.input.samples_per_step must be 1 for features"),
        ("input/look_ahead_steps", -1, "manifest.input.look_ahead_steps"),
        ("states/0/shape", ["B", "T"], r"manifest.states\[0\].shape"),
        ("states/0/shape", [1, 8], r"manifest.states\[0\].shape"),
        ("states/0/shape", ["B", 0], r"manifest.states\[0\].shape"),
        ("states/0/shape", ["B", 1 << 40], r"manifest.states\[0\].shape"),
        ("states/0/shape", ["B", 1.5], r"manifest.states\[0\].shape\[1\] must be an integer or a string"),
        ("states/0/batch_axis", 1, r"manifest.states\[0\].shape"),
        ("states/0/batch_axis", -2, r"manifest.states\[0\].shape"),
        ("states/0/shape", ["B", (1 << 24) - 7], "manifest.states must be at most 16777216 numbers a stream"),
        ("input/look_ahead_steps", 6001, "manifest.input.look_ahead_steps must be from 0 to 60 s of steps, got 6001"),
        ("training", {"a": json.loads("[" * 500 + "]" * 500)}, "manifest.training is nested more than 32 deep"),
        ("states/0/dtype", "object", r"manifest.states\[0\].dtype must be one of"),
        ("states/0/initial", 1e300, r"manifest.states\[0\].initial"),
        ("states/0/input", "samples", "manifest.states must be states whose input names differ"),
        ("states/0/output", "logits", "manifest.outputs must be outputs and states whose output names differ"),
        ("states/0/input", "", r"manifest.states\[0\] must be named"),
        ("outputs", [], "manifest.outputs must be at least one output"),
        ("outputs/0/labels", [], r"manifest.outputs\[0\].labels"),
        ("outputs/0/labels", ["A", "A"], r"manifest.outputs\[0\].labels"),
        ("outputs/0/blank", len(LABELS), r"manifest.outputs\[0\].blank"),
        ("outputs/0/blank", None, r"manifest.outputs\[0\].blank must be a column of labels for task 'ctc'"),
        ("outputs/0/silence", "nothing", r"manifest.outputs\[0\].silence"),
        (
            "outputs/0/seconds_per_step",
            0.02,
            r"seconds_per_step must be samples_per_step / sample_rate = 0.01, got 0.02",
        ),
        ("gap/reset_after", -1, "manifest.gap.reset_after"),
        ("gap/action", "reset", "manifest.gap.action"),
        ("steps_per_call", 0, "manifest.steps_per_call"),
        ("parity/bound", -1, "manifest.parity"),
        ("parity", 3, "manifest.parity must be a JSON object"),
        ("batch_invariant", None, "manifest.batch_invariant must be true or false"),
    ],
)
def test_contradictions_are_named(path: str, value: object, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        Manifest.from_json(edited(path, value))


_OPTIONAL = ("link", "checksum", "reset")


def test_keys_that_came_later_may_be_missing() -> None:
    document = json.loads(tiny_manifest().to_json())
    for key in _OPTIONAL:
        del document[key]
    assert Manifest.from_json(json.dumps(document)) == tiny_manifest()


@pytest.mark.parametrize("key", [key for key in json.loads(tiny_manifest().to_json()) if key not in _OPTIONAL])
def test_a_missing_key_is_named(key: str) -> None:
    document = json.loads(tiny_manifest().to_json())
    del document[key]
    with pytest.raises(ModelError, match=rf"manifest\.{key}"):
        Manifest.from_json(json.dumps(document))


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "3", "[" * 100_000, '{"version": NaN}', '{"version": 1' + "0" * 5000 + "}"]
)
def test_no_manifest_at_all(text: str) -> None:
    with pytest.raises(ModelError, match="manifest"):
        Manifest.from_json(text)


@pytest.mark.parametrize("spec", [InputSpec("x", "audio", 1600, 1, 17, 0), InputSpec("x", "features", 100, 17, 1, 0)])
def test_a_call_that_takes_too_much(spec: InputSpec) -> None:
    output = replace(tiny_manifest().outputs[0], seconds_per_step=spec.seconds_per_step)
    message = r"input.samples_per_step \* input.channels \* steps_per_call must be at most 16777216, got 17825792"
    with pytest.raises(ModelError, match=message):
        tiny_manifest(input=spec, outputs=(output,), steps_per_call=1 << 20)


def test_sizes() -> None:
    assert StateSpec("c0", "c0_next", (2, 3, "B"), 2).sizes(7) == (2, 3, 7)
