"""Drift is found where it is and nowhere else; the best policy gets into the file and nothing else changes."""

import argparse
import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest

from accumulator import LABELS, RATE, TALLY, accumulator, drawn, stateless
from helpers import SAMPLES, tiny_model
from streamcell.runtime.errors import InputError, ModelError, SourceError
from streamcell.runtime.manifest import MANIFEST_KEY, OutputSpec, ResetPolicy
from streamcell.runtime.model import Model
from streamcell.runtime.models import find_bundled
from streamcell.runtime.onnx_file import read_onnx
from streamcell.train import drift_command
from streamcell.train.drift.ears import Phones
from streamcell.train.drift.measure import Course, Norms, Probe, after_disturbances, difference, over_time
from streamcell.train.drift.pieces import Block, Piece, Sensors, block_of, held_out, read_pieces
from streamcell.train.drift.policies import NEVER, Trial, best, name_of, policies, with_policy, write_policy
from streamcell.train.drift.report import facts, table

ACTIVITY = SAMPLES.parent / "activity"
ROWS = OutputSpec("logits", "logits", LABELS, None, None, 1 / RATE)
COUNTS = (ROWS, OutputSpec("tally", "logits", TALLY, None, None, 1 / RATE))


@cache
def counting() -> Model:
    """A network whose answer depends on everything since it began: it drifts."""
    return Model.open(accumulator(task="frames", outputs=COUNTS))


@cache
def forgetful() -> Model:
    return Model.open(stateless(task="frames", outputs=(ROWS,)))


def block_for(model: Model, mistakes: Sequence[int] = (0, 0, 0)) -> Block:
    """Return recordings of which a fresh stream of the model gets all right but some rows that are labelled wrongly."""
    drawn_pieces, state = [], model.initial_state()
    for number, wrong in enumerate(mistakes):
        x = drawn(100, number)[1]
        outputs, state = model.step(x[None], state)
        truth = [LABELS[best] for best in outputs["logits"][0].argmax(1)]
        truth[0] = ""  # nobody knows
        truth[1 : 1 + wrong] = ["<blank>"] * wrong
        drawn_pieces.append(Piece(f"{number}", "toys", x, tuple(truth)))
    return block_of(model.manifest, drawn_pieces, longest=4.0)


def told(_: float) -> None: ...


def test_a_network_without_a_past_makes_the_same_mistakes_for_ever() -> None:
    course = over_time(forgetful(), block_for(forgetful(), (2, 0, 5)), 4, told)
    assert course.wrong.tolist() == [[2, 0, 5]] * 4
    assert course.of.tolist() == [99] * 3
    assert course.times == (0.0, 3.0, 6.0, 9.0)
    assert (course.resets, course.norms.mean) == (0, {})
    assert course.rates == pytest.approx([7 / 297] * 4)


def test_a_network_that_drifts_is_found_out_and_a_reset_heals_it() -> None:
    model, block = counting(), block_for(counting(), (1, *[0] * 11))
    never, healed = (over_time(one, block, 5, told) for one in (model, model.with_reset(ResetPolicy(every=12.0))))
    assert never.wrong[0].tolist() == [1, *[0] * 11]
    assert (never.wrong[1:].sum(1) > 400).all()
    assert healed.wrong.tolist() == [[1, *[0] * 11]] * 5
    assert healed.resets == 4
    means = never.norms.mean["h0"]
    assert means == sorted(means)
    assert max(healed.norms.mean["h0"]) < max(means) / 5
    few = difference(never.wrong[1][:3], never.wrong[0][:3], never.of[:3])
    assert (few.low, few.high) == (-1.0, 1.0)
    trials = {NEVER: Trial(None, never, ()), "every 12 s": Trial(ResetPolicy(every=12.0), healed, ())}
    assert best(trials) == "every 12 s"
    assert trials[NEVER].drift.low > 0.3


def test_after_what_disturbs_the_same_recordings_are_heard() -> None:
    model = forgetful()
    probes = after_disturbances(model, block_for(model, (2, 0, 5)), 0.1)
    assert [probe.name for probe in probes][:4] == ["a fresh stream", "nothing", "NaN refused", "a gap of 0.3 s"]
    assert len(probes) == 8
    for probe in probes:
        assert probe.wrong.tolist() == [2, 0, 5], probe.name


def test_behind_a_long_gap_a_stream_is_a_fresh_one(tmp_path: Path) -> None:
    model = Model.open(ACTIVITY / "simulated.onnx")
    shutil.copy(ACTIVITY / "simulated.csv", tmp_path)
    block = block_of(model.manifest, read_pieces(model.manifest, [tmp_path], 30.0), 4.0)
    fresh, *_, gap, _, _, _ = after_disturbances(model, block, 0.1)
    assert (fresh.name, gap.name) == ("a fresh stream", "a gap of 30 s")
    assert gap.wrong.tolist() == fresh.wrong.tolist()
    assert fresh.of.sum() > 1000


def test_phones_belong_to_the_recording_that_is_nearer() -> None:
    ear = Phones(Model.open(tiny_model()))
    ear._middles, ear._said = [0.1, 0.5, 0.9, 1.4], ["AA", "B", "K", "S"]
    assert ear.wrong(["AA", "B"], 0.0, 0.6, -1.0, 0.7) == (0, 2)
    assert ear.wrong(["K"], 0.8, 1.0, 0.7, 2.0) == (1, 1)
    assert ear.wrong([], 0.8, 1.0, 0.2, 1.0) == (2, 0)


def test_pauses_are_as_loud_as_the_quietest_tenth() -> None:
    x = np.concatenate([np.full(8000, 0.5), np.full(8000, 0.01)]).astype(np.float32)
    pieces = [Piece(f"{number}", "a", x, ("AA",)) for number in range(40)]
    manifest = Model.open(tiny_model(sample_rate=16000, samples_per_step=160)).manifest
    block, again = (block_of(manifest, pieces, 2.0) for _ in range(2))
    lengths = [len(pause) for pause in block.pauses]
    assert 0 <= min(lengths) < 5000 < 27000 < max(lengths) <= 32000
    assert np.concatenate(block.pauses).std() == pytest.approx(0.01, rel=0.02)
    assert all(map(np.array_equal, block.pauses, again.pauses))
    assert block.seconds == pytest.approx(40 + sum(lengths) / 16000)


def test_differences_are_paired() -> None:
    wrong, of = np.arange(50) % 7 + 3, np.full(50, 20)
    same, more = difference(wrong, wrong, of), difference(wrong + 1, wrong, of)
    assert (same.rate, same.low, same.high) == (0.0, 0.0, 0.0)
    assert (more.rate, more.low, more.high) == pytest.approx((0.05, 0.05, 0.05))
    mixed = difference(wrong + np.arange(50) % 2 * 2 - 1, wrong, of)
    assert mixed.low < 0 < mixed.high


def trial(wrong: Sequence[int], policy: ResetPolicy | None = None) -> Trial:
    course = Course(np.array([wrong]), np.full(len(wrong), 100), (0.0,), Norms(), 0)
    return Trial(policy, course, (Probe("a fresh stream", np.array(wrong[:2]), np.array([100, 100]), 0),))


def test_never_wins_ties() -> None:
    even, odd = [10, 12] * 20, [12, 10] * 20
    assert best({NEVER: trial(even), "a": trial(odd)}) == NEVER
    assert best({NEVER: trial(even), "a": trial([9, 11] * 20), "b": trial([8, 11] * 20)}) == "b"
    assert best({NEVER: trial(even), "worse": trial([11, 13] * 20)}) == NEVER
    assert trial([9, 11] * 20).against(trial(even)).rate == pytest.approx(-0.01)


def test_a_policy_that_helps_after_noise_must_not_cost_over_the_hours() -> None:
    def probed(hours: int, noise: int) -> Trial:
        probe = Probe("after loud noise", np.full(40, noise), np.full(40, 100), 0)
        return replace(trial([hours] * 40), probes=(probe,))

    assert best({NEVER: probed(10, 60), "a": probed(11, 5)}) == NEVER
    assert best({NEVER: probed(10, 60), "a": probed(10, 5)}) == "a"


def test_policies_that_a_model_cannot_obey_are_not_tried() -> None:
    silences, intervals = (2.0,), (60.0, 5.0)
    found = policies(Model.open(tiny_model()).manifest, silences, intervals)
    assert [name_of(one) for one in found] == ["never", "after 2 s of silence", "every 1 min", "every 5 s"]
    assert [name_of(one) for one in policies(counting().manifest, silences, (60.0,))] == ["never", "every 1 min"]


@pytest.mark.parametrize("policy", [ResetPolicy(after_silence=2.0), ResetPolicy(after_silence=1.0, every=600.0)])
def test_a_policy_is_written_and_nothing_else_changes(policy: ResetPolicy, tmp_path: Path) -> None:
    path = find_bundled("phonemes-en")
    assert path is not None
    data, target = path.read_bytes(), tmp_path / "new.onnx"
    write_policy(Path(str(path)), target, policy)
    made = target.read_bytes()
    assert Model.open(made).manifest == replace(Model.open(data).manifest, reset=policy)
    old, new = read_onnx(data), read_onnx(made)
    assert new.program == old.program
    texts = [file.metadata[MANIFEST_KEY].encode() for file in (old, new)]
    begin, end = data.index(MANIFEST_KEY.encode()) - 8, data.index(texts[0]) + len(texts[0])
    assert made[:begin] == data[:begin], "all before the manifest and the lengths in front of it"
    assert made[made.index(texts[1]) + len(texts[1]) :] == data[end:]
    assert with_policy(with_policy(made, None), policy) == made
    assert list(tmp_path.iterdir()) == [target]


def test_files_of_others_and_senseless_policies_are_refused() -> None:
    with pytest.raises(ModelError, match="the manifest is not JSON"):
        with_policy(tiny_model(with_manifest=False), None)
    with pytest.raises(ModelError, match=r"manifest\.reset must be null"):
        with_policy(tiny_model(), ResetPolicy())


def test_tables_say_what_was_measured() -> None:
    names = {NEVER: trial([10, 12] * 20), "every 1 min": trial([9, 11] * 20, ResetPolicy(every=60.0))}
    text = "\n".join(table(names, "every 1 min"))
    assert "0:00:00       11.0%        10.0%" in text
    few = "\n".join(table({NEVER: trial([10, 12])}, NEVER))
    assert "last block less first  +0.0 [?]" in few
    assert "every 1 min less never, over all that was heard: -1.0 [-1.0, -1.0] points" in text
    assert "best: every 1 min (better than never beyond chance: -1.0 [-1.0, -1.0])" in text
    found = facts(names, NEVER)
    assert found["best"] == NEVER
    assert found["policies"]["every 1 min"]["policy"] == {"after_silence": None, "every": 60.0}
    json.dumps(found, allow_nan=False)


def run(*arguments: object) -> int:
    parser = argparse.ArgumentParser()
    drift_command.add_arguments(parser)
    return drift_command.run(parser.parse_args([str(argument) for argument in arguments]))


def test_the_command_on_speech(corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ("--hours", 0.01, "--minutes", 0.2, "--pause", 2, "--quiet", 0.05, "--after-silence", 1, "--every")
    out, new = tmp_path / "runs" / "drift", tmp_path / "new.onnx"
    code = run("phonemes-en", "--data", corpus / "speech" / "train", *options, "--out", out, "--write", new)
    said = capsys.readouterr().out
    assert code == 0
    assert "after 1 s of silence less never" in said
    found = json.loads((out / "drift.json").read_text(encoding="utf-8"))
    assert list(found["policies"]) == ["never", "after 1 s of silence"]
    never = found["policies"]["never"]
    assert 0 < max(never["rates"]) < 0.6
    assert f"best: {found['best']}" in said
    assert matplotlib.image.imread(out / "drift.png").std() > 0.05
    expected = found["policies"][found["best"]]["policy"]
    written = json.loads(read_onnx(new.read_bytes()).metadata[MANIFEST_KEY])["reset"]
    assert written == expected


def test_the_command_on_a_sensor(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "data").mkdir()
    shutil.copy(ACTIVITY / "simulated.csv", tmp_path / "data")
    options = ("--hours", 0.05, "--minutes", 1, "--quiet", 0.05, "--every", 10)
    assert run(ACTIVITY / "simulated.onnx", "--data", tmp_path / "data", *options, "--trust") == 0
    said = capsys.readouterr().out
    assert "every 10 s less never" in said
    assert "silence less never" not in said


def test_only_held_out_speakers_are_heard(corpus: Path, tmp_path: Path) -> None:
    recipe, manifest = tmp_path / "recipe.toml", Model.open().manifest
    folder = corpus / "speech" / "train"
    everyone = read_pieces(manifest, [folder], 600.0)
    rows = [json.loads(line) for line in (folder / "utterances.jsonl").read_text(encoding="utf-8").splitlines()]
    assert sorted(piece.name for piece in everyone) == sorted(row["id"] for row in rows)
    speaker = rows[0]["speaker"]
    recipe.write_text(
        f'task = "phonemes"\nname = "x"\n[[data.corpora]]\npath = "speech/train"\nvalidation_speakers = ["{speaker}"]\n'
    )
    chosen = read_pieces(manifest, [folder], 600.0, speakers=held_out(recipe))
    assert {piece.name for piece in chosen} == {row["id"] for row in rows if row["speaker"] == speaker}
    with pytest.raises(InputError, match="no recording is left to hear"):
        read_pieces(manifest, [folder], 600.0, speakers={})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--hours", "0"], "expected --hours above 0"),
        (["--minutes", "500"], "expected --hours above 0 and --minutes within them"),
        (["--pause", "100"], "expected --pause up to 60 s"),
        (["--write", "nowhere/x.onnx"], "--write must name a file in a folder that is there"),
        (["--out", __file__], "--out must name a folder, or one that can be made"),
        (["--out", f"{__file__}/drift"], "--out must name a folder, or one that can be made"),
    ],
)
def test_what_is_wrong_is_said(options: list[str], message: str, corpus: Path) -> None:
    with pytest.raises(InputError, match=message):
        run("phonemes-en", "--data", corpus / "speech" / "train", *options)


def test_models_and_data_that_have_no_score_are_refused(corpus: Path, tmp_path: Path) -> None:
    folder = corpus / "speech" / "train"
    with pytest.raises(InputError, match="drift is measured for"):
        read_pieces(replace(forgetful().manifest, task="sequence"), [folder], 60.0)
    with pytest.raises(InputError, match="has no label"):
        read_pieces(Model.open(tiny_model()).manifest, [folder], 60.0)
    (tmp_path / "data2").mkdir()
    shutil.copy(ACTIVITY / "simulated.csv", tmp_path / "data2")
    manifest = Model.open(ACTIVITY / "simulated.onnx").manifest
    with pytest.raises(SourceError, match="has no recordings of nobody"):
        read_pieces(manifest, [tmp_path / "data2"], 60.0, sensors=Sensors("recordings", ("nobody",)))
