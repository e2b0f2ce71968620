"""Beam search as a stream: what holds for every decoder, and what greedy search has in common with it."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from decoding import check_causal, check_misuse, check_partials, check_restored, check_settled, finals, heard
from helpers import LABELS as TINY_LABELS
from helpers import SAMPLES, assert_same, forged, load_script, noise, tiny_model
from helpers import finals as final_events
from pools import alone, do, script
from streamcell.runtime.decode import BeamCTC, GreedyCTC
from streamcell.runtime.errors import InputError, ModelError
from streamcell.runtime.events import Gap, Segment
from streamcell.runtime.frames import Frames, log_softmax
from streamcell.runtime.lm import train_ngram, write_arpa
from streamcell.runtime.model import Model
from streamcell.runtime.pool import StreamPool
from streamcell.runtime.stream import Stream

LABELS = ("<blank>", "A", "B", "C", "SIL")
STEP = 0.03
REACH, PAUSE, DELAY = 10, 3, 12  # frames
LM = train_ngram([["A", "B", "A", "C"], ["B", "C", "A"], ["C", "C"]], 3, tokens=LABELS[1:4])


def decoder(**settings: Any) -> BeamCTC:
    usual: dict[str, Any] = {"reach": REACH * STEP, "pause": PAUSE * STEP, "delay": DELAY * STEP, "lm": LM, "width": 6}
    return BeamCTC(LABELS, 0, STEP, 4, **{**usual, **settings})


def greedy(**settings: Any) -> GreedyCTC:
    return GreedyCTC(LABELS, 0, STEP, 4, REACH * STEP, PAUSE * STEP, **settings)


def random_log_probs(frames: int, seed: int, spike: float = 4.0) -> NDArray[np.float32]:
    """Draw runs of labels of 1 to 40 frames, with spikes here and there, and some noise."""
    random = np.random.default_rng(seed)
    logits = random.standard_normal((frames, len(LABELS))).astype(np.float32)
    begin = 0
    while begin < frames:
        end = begin + int(random.choice([2, 3, 5, 12, 40]))
        logits[begin:end, random.integers(1, len(LABELS))] += random.choice([1, spike])
        begin = end
    logits[:, 0] += random.choice([-2, 3, 9], frames, p=[0.3, 0.4, 0.3])
    return log_softmax(logits)


def run(log_probs: NDArray[np.float32], block: int, by: BeamCTC | GreedyCTC | None = None) -> list[Segment]:
    by = by or decoder()
    found = []
    for begin in range(0, len(log_probs), block):
        found += by.push(Frames(log_probs[begin : begin + block], begin))
    return found + by.flush(len(log_probs) * STEP)


@pytest.mark.parametrize("seed", range(10))
def test_any_cutting_gives_the_same_finals(seed: int) -> None:
    log_probs = random_log_probs(500, seed)
    expected = finals(run(log_probs, 500))
    for block in (1, 2, 7, 64, 160, 481):
        assert finals(run(log_probs, block)) == expected, f"seed {seed}, blocks of {block}"
    assert [s.id for s in expected] == list(range(len(expected)))
    for before, after in pairwise(expected):
        assert before.start < before.end <= after.start + 1e-9
    assert len(expected) > 30
    assert all(0 <= segment.confidence <= 1 for segment in expected)


@pytest.mark.parametrize("block", [1, 7, 64])
def test_partials_grow_and_come_before_their_final(block: int) -> None:
    ids = check_partials(run(random_log_probs(800, 0), block))
    assert ids == list(range(len(ids)))


@pytest.mark.parametrize("seed", range(3))
def test_restored_equals_uninterrupted_at_every_frame(seed: int) -> None:
    check_restored(decoder, random_log_probs(100, seed), 100 * STEP, f"seed {seed}")


def test_labels_in_several_forms_are_decoded_as_a_stream() -> None:
    """The text knows two kinds of A and B, which sound alike; its n-gram is another than the one without kinds."""
    said = [["A_B", "B", "A_B", "C"], ["B_B", "C", "A"], ["C", "B", "C"]]
    forms = train_ngram(said, 2, tokens=("A", "B", "C"))
    log_probs = random_log_probs(500, 5)
    expected = finals(run(log_probs, 500, decoder(lm=forms)))
    assert {segment.label for segment in expected} == {"A", "B", "C", "SIL"}
    for block in (1, 7, 160):
        assert finals(run(log_probs, block, decoder(lm=forms))) == expected
    check_restored(lambda: decoder(lm=forms), log_probs[:100], 100 * STEP, "forms")
    plain = train_ngram([[token[0] for token in row] for row in said], 2)
    assert finals(run(log_probs, 500, decoder(lm=plain))) != expected


@pytest.mark.parametrize("seed", range(3))
def test_causal(seed: int) -> None:
    log_probs = random_log_probs(300, seed)
    check_causal(decoder(), log_probs, finals(run(log_probs, 300)))


def test_nothing_begins_before_settled() -> None:
    check_settled(decoder(), random_log_probs(500, 3))


def test_reset_equals_fresh_and_flush_keeps_counting() -> None:
    log_probs = random_log_probs(100, 0)
    expected = finals(run(log_probs, 100))
    by = decoder()
    by.push(Frames(random_log_probs(77, 1), 5, origin=3.0))
    by.reset()
    assert finals(by.push(Frames(log_probs, 0)) + by.flush(3.0)) == expected
    again = finals(by.push(Frames(log_probs, 0, origin=9.0)) + by.flush(12.0))
    assert [s.label for s in again] == [s.label for s in expected]
    np.testing.assert_allclose([s.start for s in again], [s.start + 9 for s in expected])
    assert again[0].id == expected[-1].id + 1


def spikes(text: str, sure: float = 0.9) -> NDArray[np.float32]:
    """Write frames: an upper-case letter is a spike, a lower-case one a blank under which that letter is best."""
    names = {"D": 4, **{name: column for column, name in enumerate(LABELS)}}
    probs = np.full((len(text), len(LABELS)), 0.001)
    for t, letter in enumerate(text):
        probs[t, names[letter.upper()]] = sure if letter.isupper() else 0.004
        probs[t, 0] = (1 - sure) if letter.isupper() else 0.99
    log_probs: NDArray[np.float32] = np.log(probs).astype(np.float32)
    return log_probs


@pytest.mark.parametrize(
    "text",
    [
        "aAabBb",
        "aaaabB",
        "AAaA",
        "AaaaaA",
        "AbA",
        "a" * 15 + "A",
        "A" + "a" * 30 + "A",
        "abcd",
        "dd",
        "addda",
        "dDdddDd",
        "AdddA",
        "d" * 20,
        "d" * 50 + "aAbB" + "d" * 40 + "CcA",
        "ABCABC",
        "",
    ],
)
def test_where_nothing_is_in_doubt_it_says_what_greedy_search_says(text: str) -> None:
    expected = finals(run(spikes(text), 1, greedy()))
    for settings in ({}, {"width": 1, "lm": None}):
        found = finals(run(spikes(text), 1, decoder(**settings)))
        assert [(s.label, s.start, s.end) for s in found] == [(s.label, s.start, s.end) for s in expected]
        np.testing.assert_allclose([s.confidence for s in found], [s.confidence for s in expected], atol=1e-6)


@pytest.mark.parametrize("seed", range(5))
def test_one_prefix_without_a_language_model_is_close_to_greedy_search(seed: int) -> None:
    log_probs = log_softmax(3 * random_log_probs(1000, seed, spike=6.0))
    expected = finals(run(log_probs, 1000, greedy()))
    found = finals(run(log_probs, 1000, decoder(width=1, lm=None, min_prob=0, max_blank=1)))
    same = {(s.label, s.start, s.end) for s in found} & {(s.label, s.start, s.end) for s in expected}
    assert len(expected) > 150
    assert len(same) > 0.9 * max(len(found), len(expected)), f"{len(same)} of {len(found)} and {len(expected)}"


def test_the_language_model_decides_between_labels_that_sound_alike() -> None:
    said = [["A", "B"]] * 20 + [["C", "A"]] * 20
    probs = np.full((5, 5), 0.001)
    probs[:, 0] = 0.996
    probs[0] = [0.1, 0.84, 0.02, 0.02, 0.02]
    probs[3] = [0.1, 0.02, 0.42, 0.44, 0.02]
    log_probs = np.log(probs).astype(np.float32)

    def labels(by: BeamCTC | GreedyCTC) -> list[Segment]:
        return [replace(segment, revision=0) for segment in finals(run(log_probs, 5, by))]

    plain = labels(greedy())
    assert [(s.label, round(s.start / STEP)) for s in plain] == [("A", 0), ("C", 3)]
    assert labels(decoder(lm=None)) == plain
    lm = train_ngram(said, 2, tokens=LABELS[1:4])
    assert labels(decoder(lm=lm, lm_weight=0.0, prior=0.0)) == plain
    share = plain[1].confidence * 0.42 / 0.44
    first, second = labels(decoder(lm=lm))
    assert (first, replace(second, confidence=0)) == (plain[0], replace(plain[1], label="B", confidence=0))
    assert second.confidence == pytest.approx(share, abs=1e-6)


def test_a_label_settles_after_the_delay_at_the_latest() -> None:
    probs = np.full((60, 5), 0.001)
    probs[:, 0] = 0.996
    probs[0] = [0.48, 0.5, 0.01, 0.005, 0.005]  # A or nothing: nothing that follows decides
    log_probs = np.log(probs).astype(np.float32)
    for delay in (4, 12, 30):
        by = decoder(lm=None, delay=delay * STEP, margin=20.0)
        came = [t for t in range(60) if any(s.label == "A" for s in heard(by, log_probs, [t]))]
        assert came[0] == delay


def test_skipped_frames_end_a_token_but_begin_none() -> None:
    by = decoder()
    found = by.push(Frames(spikes("aA"), 0)) + by.push(Frames(spikes("aabB"), 7)) + by.flush(11 * STEP)
    kept = [(s.label, round(s.start / STEP), round(s.end / STEP)) for s in finals(found)]
    assert kept == [("A", 0, 2), ("B", 9, 11)]


def test_flush_ends_at_the_end_of_the_sound() -> None:
    by = decoder()
    by.push(Frames(spikes("AAA"), 0))
    assert [(s.start, s.end) for s in by.flush(0.07)] == [(0.0, 0.07)]
    assert by.flush(0.07) == []


def test_memory_is_flat() -> None:
    by = decoder()
    by.push(Frames(spikes("A"), 0))
    for t in range(1, 3000):
        by.push(Frames(spikes("a"), t))
        assert len(by.to_bytes()) < 4000
    (segment,) = by.flush(3000 * STEP)
    assert (segment.start, segment.end) == (0.0, 90.0)
    by = decoder()
    sizes = []
    for t in range(0, 20000, 500):
        by.push(Frames(random_log_probs(500, t), t))
        sizes.append(len(by.to_bytes()))
    assert max(sizes) < 6000


def test_impossible_labels_and_frames_are_no_trouble() -> None:
    certain = np.full((3, 5), -np.inf, np.float32)
    certain[[0, 1, 2], [1, 0, 2]] = 0.0
    found = finals(run(certain, 1))
    assert [replace(s, revision=0) for s in found] == [
        replace(s, revision=0) for s in finals(run(certain, 1, greedy()))
    ]
    assert [s.label for s in found] == ["A", "B"]
    with pytest.raises(ModelError, match="not finite"):
        decoder().push(Frames(np.full((1, 5), np.nan, np.float32), 0))


def test_scaled_frames_are_frames_of_a_network_less_sure() -> None:
    log_probs = random_log_probs(300, 4)
    found = finals(run(log_probs, 300, decoder(scale=0.5)))
    expected = finals(run(log_softmax(np.float32(0.5) * log_probs), 300))
    assert [(s.label, s.start, s.end) for s in found] == [(s.label, s.start, s.end) for s in expected]
    assert found != finals(run(log_probs, 300))
    clear = spikes("aAabBb")
    plain, scaled = (finals(run(clear, 6, decoder(scale=scale))) for scale in (1.0, 0.5))
    np.testing.assert_allclose([s.confidence for s in scaled], [s.confidence for s in plain], atol=1e-6)


@pytest.mark.parametrize("kind", ["beam", "greedy"])
def test_calibration_is_a_logistic_function_of_the_logit(kind: str) -> None:
    log_probs = random_log_probs(300, 1)
    raw, found = (
        finals(run(log_probs, 300, decoder(calibration=c) if kind == "beam" else greedy(calibration=c)))
        for c in ((), (0.5, -1.0))
    )
    assert [replace(s, confidence=0) for s in raw] == [replace(s, confidence=0) for s in found]
    logits = np.log([min(s.confidence, 1 - 1e-6) / (1 - min(s.confidence, 1 - 1e-6)) for s in raw])
    np.testing.assert_allclose([s.confidence for s in found], 1 / (1 + np.exp(1 - 0.5 * logits)), atol=1e-9)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"width": 0}, "width must be a whole number from 1 to 256, got 0"),
        ({"width": 2.0}, "width must be a whole number"),
        ({"delay": 61.0}, "delay must be a number above 0 to 60"),
        ({"lm_weight": -1.0}, "lm_weight must be a number from 0"),
        ({"prior": float("nan")}, "prior must be a number from 0"),
        ({"scale": 0}, "scale must be a number above 0"),
        ({"bonus": "x"}, "bonus must be a number"),
        ({"min_prob": 2}, "min_prob must be a number from 0 to 1"),
        ({"max_blank": -1}, "max_blank must be a number from 0 to 1"),
        ({"margin": 0}, "margin must be a number above 0"),
        ({"calibration": (1.0,)}, "calibration must be a slope above 0 and an offset"),
        ({"calibration": (-1.0, 0.0)}, "calibration must be a slope above 0"),
        ({"calibration": ("1", 0.0)}, "calibration must be a slope above 0"),
        ({"lm": train_ngram([["A"]], 1)}, "the language model knows no 'B'"),
    ],
)
def test_misuse_is_refused(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        decoder(**settings)


def test_frames_that_do_not_fit_are_refused() -> None:
    check_misuse(decoder(), 5)


def test_another_language_model_does_not_go_on() -> None:
    saved = decoder().to_bytes()
    with pytest.raises(InputError, match="settings are others"):
        decoder(lm=train_ngram([["A"]], 3, tokens=LABELS[1:4])).restore(saved)
    decoder(lm=train_ngram([["A", "B", "A", "C"], ["B", "C", "A"], ["C", "C"]], 3, tokens=LABELS[1:4])).restore(saved)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("settings/width", 7),
        ("settings/lm", ""),
        ("saved/next", None),
        ("saved/next", 5),
        ("saved/base", -1),
        ("saved/run", 9),
        ("waiting", np.zeros((1, 2))),
        ("waiting", np.zeros((9, 3))),
        ("waiting", np.full((2, 3), 7.0)),
        ("waiting", np.full((2, 3), np.nan)),
        ("sums", np.zeros(4)),
        ("at_blank", np.zeros(3, np.float32)),
        ("context", np.array([10**9], np.int64)),
        ("lengths", np.array([5], np.int64)),
        ("frames", np.array([-4], np.int64)),
    ],
)
def test_forged_bytes_are_refused(path: str, value: Any) -> None:
    by = decoder(margin=20.0)
    by.push(Frames(spikes("aAbB", sure=0.6), 0))
    data = by.to_bytes()
    decoder(margin=20.0).restore(data)
    with pytest.raises(InputError, match="a saved 'ctc-beam' is damaged"):
        decoder(margin=20.0).restore(forged(data, "ctc-beam", path, value))


def tiny_beam() -> Model:
    """Return a small model that is decoded with a beam and a language model, both in its file."""
    lm = write_arpa(train_ngram([["AA", "B", "K"], ["S", "AA"]], 2, tokens=TINY_LABELS[2:]))
    return Model.open(tiny_model(decoder={"name": "ctc-beam", "lm": lm, "delay": 0.1, "calibration": [0.9, 0.1]}))


def test_streams_and_pools_decode_with_what_the_file_asks_for() -> None:
    model, sound = tiny_beam(), noise(4000)
    stream = Stream(model)
    expected = final_events([*stream.push(sound), *stream.flush()])
    assert len(expected) > 20
    assert isinstance(stream.decoder, BeamCTC)
    stream, found = Stream(model), []
    for begin in range(0, len(sound), 111):
        found += stream.push(sound[begin : begin + 111])
        stream = Stream.restore(model, stream.snapshot())
    assert_same(final_events([*found, *stream.flush()]), expected, 1e-5)


@pytest.mark.parametrize("seed", range(3))
def test_gaps_resets_and_neighbours_in_a_pool_change_nothing(seed: int) -> None:
    model = tiny_beam()
    deeds = script(seed, model.manifest.input.sample_rate, "gap")
    expected = alone(model, deeds, None, "live", "gap")
    assert {type(event) for event in expected} >= {Segment, Gap}
    with StreamPool(model, 2) as pool:
        streams = [pool.open(invalid="gap") for _ in range(2)]
        for deed in deeds:
            for stream in streams:
                do(pool, stream, deed)
        for stream in streams:
            assert_same(final_events(pool.close(stream)), expected, 1e-5, f"seed {seed}")


def test_a_model_takes_another_decoder_and_shares_its_session() -> None:
    plain, beam = Model.open(tiny_model()), tiny_beam()
    other = plain.with_decoder(beam.manifest.decoder)
    assert other.session is plain.session
    assert other.fingerprint == beam.fingerprint != plain.fingerprint
    assert plain.with_decoder(plain.manifest.decoder).fingerprint == plain.fingerprint
    saved = Stream(other).snapshot()
    Stream.restore(beam, saved)
    with pytest.raises(InputError, match="open the model that it was saved with"):
        Stream.restore(plain, saved)
    with pytest.raises(ModelError, match="does not fit 'ctc-beam'"):
        Stream(plain.with_decoder({"name": "ctc-beam", "lm": "no ARPA file"}))


def test_the_sample_fits_and_judges_confidences_and_writes_them(tmp_path: Path) -> None:
    script = load_script(SAMPLES / "beam.py")
    random = np.random.default_rng(0)
    sure = random.uniform(0.02, 0.98, 40_000)
    logits = 0.6 * np.log(sure / (1 - sure)) + 0.4
    right = random.random(40_000) < 1 / (1 + np.exp(-logits))
    slope, offset = script.fit(sure, right, np.full(40_000, 1 / 40_000))
    assert (slope, offset) == pytest.approx((0.6, 0.4), abs=0.03)
    assert script.calibration_error(sure, right) > 0.05
    assert script.calibration_error(1 / (1 + np.exp(-logits)), right) < 0.01
    assert script.calibration_error(np.array([0.9, 0.9]), np.array([True, False])) == pytest.approx(0.4)
    after = script.calibrated(sure, slope, offset)
    assert after[:99].tolist() == pytest.approx(
        [greedy(calibration=(slope, offset)).settings.calibrated(raw) for raw in sure[:99].tolist()]
    )
    script.plot({"greedy": script.Judged(sure, after, right, (slope, offset))}, tmp_path / "shares.png")
    assert (tmp_path / "shares.png").stat().st_size > 5000
    (tmp_path / "tiny.onnx").write_bytes(tiny_model())
    settings = {"name": "ctc-greedy", "calibration": [slope, offset]}
    script.write(str(tmp_path / "tiny.onnx"), tmp_path / "copy.onnx", settings)
    copy = Model.open(tmp_path / "copy.onnx")
    assert copy.manifest.decoder == settings
    assert copy.fingerprint == Model.open(tiny_model()).with_decoder(settings).fingerprint
