"""A state that begins anew by the manifest's policy does so after the very same frame however the sound is cut."""

from collections.abc import Iterator
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accumulator import LABELS, RATE, TALLY, Tally, accumulator, as_numbers, drawn
from helpers import forged, noise, tiny_manifest, tiny_model
from pools import FRAMES
from streamcell.export.adopt.card import parse_card
from streamcell.runtime.cli.main import main
from streamcell.runtime.errors import InputError, ModelError
from streamcell.runtime.frames import Frames
from streamcell.runtime.manifest import GapPolicy, Manifest, OutputSpec, ResetPolicy
from streamcell.runtime.model import Model
from streamcell.runtime.posteriors import Posteriors
from streamcell.runtime.reset_rule import ResetRule

OUTPUTS = (
    OutputSpec("logits", "logits", LABELS, 0, "zero", 1 / RATE),
    OutputSpec("tally", "logits", TALLY, None, None, 1 / RATE),
)
POLICIES = (
    ResetPolicy(after_silence=0.01),
    ResetPolicy(after_silence=0.02),
    ResetPolicy(every=0.01),
    ResetPolicy(every=0.07),
    ResetPolicy(every=1.0),
    ResetPolicy(after_silence=0.02, every=0.11),
)


@cache
def counting(kind: str, look_ahead: int, fixed: int | None, policy: ResetPolicy | None, action: Any = "fill") -> Model:
    gap = GapPolicy(action, 0.2)
    file = accumulator(kind, look_ahead=look_ahead, steps_per_call=fixed, outputs=OUTPUTS, gap=gap, reset=policy)
    return Model.open(file)


def told(
    numbers: list[int], kind: str, look_ahead: int, fixed: int | None, policy: ResetPolicy
) -> Iterator[tuple[str, str, Tally]]:
    """Run step by step in plain Python; yield of each frame its label, why the state is new, and the state after it."""
    size, call = 4 if kind == "audio" else 1, fixed or 1
    again = -(-look_ahead // call) * call
    steps = [numbers[begin : begin + size] for begin in range(0, len(numbers), size)]
    tally, age, silent, due, new = Tally(kind), 0, 0, "", ""
    for number, step in enumerate(steps):
        tally.take(step)
        label, why = tally.labels[-1], new
        if number >= look_ahead:
            new = ""
            age, silent = age + 1, silent + 1 if label == "zero" else 0
            if not due and policy.after_silence and silent == round(policy.after_silence * RATE):
                due = "silence"
            if not due and policy.every and age == round(policy.every * RATE):
                due = "interval"
        if due and (number + 1) % call == 0:
            tally = Tally(kind)
            for old in steps[number + 1 - again : number + 1]:
                tally.take(old)
            age, silent, new, due = 0, 0, due, ""
        if number >= look_ahead:
            yield label, why, tally


def heard(items: list[Any]) -> list[tuple[int, str, str]]:
    """Return number, label and reset of each frame."""
    rows = []
    for frames in (item for item in items if isinstance(item, Frames)):
        for row, best in enumerate(frames.values.argmax(1).tolist()):
            rows.append((frames.first + row, LABELS[best], "" if row else frames.reset))
    return rows


@settings(max_examples=150, deadline=None)
@given(
    kind=st.sampled_from(["features", "audio"]),
    look_ahead=st.integers(0, 5),
    fixed=st.sampled_from([None, 1, 3, 4]),
    policy=st.sampled_from(POLICIES),
    quality=st.sampled_from(["live", "file"]),
    seed=st.integers(0, 1000),
    steps=st.integers(0, 150),
    cuts=st.lists(st.integers(0, 150), max_size=6),
    saved=st.booleans(),
)
def test_any_cutting_is_what_plain_counting_says(
    kind: str,
    look_ahead: int,
    fixed: int | None,
    policy: ResetPolicy,
    quality: Any,
    seed: int,
    steps: int,
    cuts: list[int],
    saved: bool,
) -> None:
    model, (numbers, x) = counting(kind, look_ahead, fixed, policy), drawn(steps, seed, kind)
    silence = [0] * ((look_ahead + (fixed or 1)) * (4 if kind == "audio" else 1))
    expected = [(k, *said[:2]) for k, said in enumerate(told(numbers + silence, kind, look_ahead, fixed, policy))]
    posteriors, found = Posteriors(model, quality=quality), list[Any]()
    places = sorted({min(cut, len(x)) for cut in cuts} | {0, len(x)})
    for begin, end in zip(places, [*places[1:], len(x)], strict=True):
        found += posteriors.push(x[begin:end])
        if saved:
            posteriors = Posteriors.from_bytes(model, posteriors.to_bytes())
    found += posteriors.flush()
    assert heard(found) == expected[:steps]


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize(("look_ahead", "fixed"), [(0, None), (3, None), (3, 1), (2, 4), (5, 4)])
def test_the_state_is_that_of_a_fresh_stream_that_heard_the_look_ahead(
    look_ahead: int, fixed: int | None, policy: ResetPolicy
) -> None:
    numbers, x = drawn(120, 4)
    posteriors, call = Posteriors(counting("features", look_ahead, fixed, policy)), fixed or 1
    states = [tally.state for *_, tally in _copies(told(numbers, "features", look_ahead, fixed, policy))]
    for begin in range(0, 120, call):
        posteriors.push(x[begin : begin + call])
        if begin + call > look_ahead:
            assert as_numbers(posteriors.state) == states[begin + call - look_ahead - 1], f"step {begin}"


def _copies(frames: Iterator[tuple[str, str, Tally]]) -> Iterator[tuple[str, str, Tally]]:
    for label, why, tally in frames:
        copy = Tally()
        copy.rows, copy.steps, copy.total = list(tally.rows), tally.steps, tally.total
        copy.weighted, copy.order = tally.weighted, tally.order
        yield label, why, copy


@pytest.mark.parametrize("quality", ["live", "file"])
@pytest.mark.parametrize("look_ahead", [0, 1, 3])
def test_before_it_nothing_changes_and_after_it_all_is_as_of_a_fresh_stream(look_ahead: int, quality: Any) -> None:
    sound = noise(16 * 200)
    plain = Model.open(tiny_model(look_ahead=look_ahead))
    never = Posteriors(plain, quality=quality)
    fresh, posteriors = Posteriors(plain), Posteriors(plain.with_reset(ResetPolicy(every=0.77)), quality=quality)
    before = np.concatenate([f.values for f in [*never.push(sound), *never.flush()]])
    after = np.concatenate([f.values for f in [*fresh.push(sound[77 * 16 : 154 * 16 + 16 * look_ahead])]])
    found = [*posteriors.push(sound), *posteriors.flush()]
    values = np.concatenate([frames.values for frames in found])
    assert [(frames.first, frames.reset) for frames in found if frames.reset] == [(77, "interval"), (154, "interval")]
    np.testing.assert_allclose(values[:77], before[:77], atol=1e-5)
    np.testing.assert_allclose(values[77:154], after[:77], atol=1e-5)
    assert len(values) == 200


@pytest.mark.parametrize("action", ["fill", "hold"])
@pytest.mark.parametrize("quality", ["live", "file"])
def test_gaps_count_as_what_the_model_hears_of_them(action: Any, quality: Any) -> None:
    """Filled gaps are steps of silence, held ones are no steps, and long ones begin the count anew."""
    policy, (numbers, x) = ResetPolicy(every=0.07), drawn(90, 2)
    results = []
    for block in (1, 9, 90):
        posteriors, found = Posteriors(counting("features", 2, None, policy, action), quality=quality), list[Any]()
        for begin in range(0, 90, block):
            found += posteriors.push(x[begin : begin + block])
        found += [*posteriors.gap(11), *posteriors.push(x), *posteriors.gap(30), *posteriors.push(x)]
        results.append(heard([*found, *posteriors.flush()]))
        lost = [0] * 11 if action == "fill" else []
        expected = [label for label, *_ in told([*numbers, *lost, *numbers, 0, 0], "features", 2, None, policy)]
        expected += [label for label, *_ in told([*numbers, 0, 0], "features", 2, None, policy)]
        assert [label for _, label, _ in results[-1]] == expected
    assert results[0] == results[1] == results[2]


def test_what_is_silent() -> None:
    def rows(output: OutputSpec, values: list[list[float]]) -> list[int]:
        task: Any = "frames" if output.blank is None else "ctc"
        manifest = tiny_manifest(task=task, outputs=(output,), reset=ResetPolicy(after_silence=0.01))
        return [
            row
            for row, one in enumerate(values)
            if ResetRule(manifest).find(np.array([one], np.float32), 0)[1] == "silence"
        ]

    labels = ("-", "SIL", "A")
    scores = [[9.0, 2.0, 1.0], [9.0, 1.0, 2.0], [0.0, 2.0, 1.0], [3.0, 0.0, 4.0]]
    assert rows(OutputSpec("logits", "logits", labels, 0, "SIL", 0.01), scores) == [0, 2]
    assert rows(OutputSpec("logits", "logits", labels, 0, None, 0.01), scores) == [0, 1]
    assert rows(OutputSpec("logits", "logits", labels, None, "SIL", 0.01), scores) == [2]
    probabilities = [[0.1, 0.9, 0.4], [0.5, 0.9, 0.4], [0.1, 0.1, 0.6]]
    assert rows(OutputSpec("p", "probabilities", labels, None, "SIL", 0.01), probabilities) == [0]
    assert rows(OutputSpec("p", "probabilities", labels, None, None, 0.01), [[0.1, 0.4, 0.2], *probabilities]) == [0]


@pytest.mark.parametrize(
    ("reset", "changes", "message"),
    [
        (ResetPolicy(), {}, r"manifest\.reset must be null, or an object with"),
        (ResetPolicy(after_silence=0.0), {}, r"manifest\.reset\.after_silence must be seconds, above 0"),
        (ResetPolicy(every=float("nan")), {}, r"manifest\.reset\.every must be seconds"),
        (ResetPolicy(every=1e7), {}, r"manifest\.reset\.every must be seconds"),
        (ResetPolicy(after_silence=2.0), FRAMES, r"left out where outputs\[0\] has neither"),
        (ResetPolicy(every=2.0), {"task": "sequence"}, "left out for tokens, for linked models and for tasks"),
    ],
)
def test_policies_that_make_no_sense_are_refused(reset: ResetPolicy, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        tiny_manifest(reset=reset, **changes)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"after": 2}', r"manifest\.reset\.after is not a known key; expected: after_silence, every"),
        ('{"every": "2"}', r"manifest\.reset\.every must be a number or null"),
        ("5", r"manifest\.reset must be a JSON object, got 5"),
    ],
)
def test_json_that_is_no_policy_is_refused_by_its_key(text: str, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        Manifest.from_json(tiny_manifest().to_json().replace('"reset": null', f'"reset": {text}'))


def test_a_policy_is_kept_in_the_file_and_told_by_the_fingerprint() -> None:
    policy = ResetPolicy(after_silence=2.0)
    plain, model = Model.open(tiny_model()), Model.open(tiny_model(reset=policy))
    assert model.manifest.reset == policy
    assert model.fingerprint == plain.with_reset(policy).fingerprint != plain.fingerprint
    assert model.with_reset(None).fingerprint == plain.fingerprint
    with pytest.raises(ModelError, match=r"manifest\.reset must be null"):
        plain.with_reset(ResetPolicy())
    with pytest.raises(InputError, match="open the model that it was saved with"):
        Posteriors.from_bytes(model, Posteriors(plain).to_bytes())


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("reset", None),
        ("reset/age", -1),
        ("reset/age", 8),
        ("reset/age", 1.0),
        ("reset/silent", 2),
        ("reset/reason", "tired"),
        ("past", np.zeros(31, np.float32)),
        ("past", np.zeros(32)),
        ("past", np.full(32, np.nan, np.float32)),
        ("past", np.zeros((32, 1), np.float32)),
    ],
)
def test_forged_counts_are_refused(path: str, value: Any) -> None:
    model = Model.open(tiny_model(look_ahead=2, reset=ResetPolicy(after_silence=0.02, every=0.08)))
    posteriors = Posteriors(model)
    posteriors.push(noise(16 * 20))
    data = posteriors.to_bytes()
    assert forged(data, "posteriors", "reset/age", 2) == data, "the example is right but for what is forged"
    with pytest.raises(InputError, match="a saved stream is damaged"):
        Posteriors.from_bytes(model, forged(data, "posteriors", path, value))


@pytest.mark.parametrize("reset", [None, ResetPolicy(after_silence=2.0), ResetPolicy(every=600.0)])
def test_a_card_and_inspect_know_it(reset: ResetPolicy | None, tmp_path: Path, capsys: Any) -> None:
    lines = [] if reset is None else [f"{key} = {value}" for key, value in asdict(reset).items() if value]
    text = 'name = "x"\ntask = "frames"\n[input]\nname = "x"\nkind = "features"\nsample_rate = 50\nchannels = 2\n'
    text += '[output]\nname = "y"\nkind = "probabilities"\nlabels = ["A"]\n'
    card = parse_card("\n".join([text, *(["[reset]", *lines] if lines else [])]), lambda key: key)
    assert card.reset == reset
    (tmp_path / "tiny.onnx").write_bytes(tiny_model(reset=reset))
    assert main(["inspect", str(tmp_path / "tiny.onnx")]) == 0
    expected = "none while sound goes on" if reset is None else "the state begins anew"
    assert expected in capsys.readouterr().out
