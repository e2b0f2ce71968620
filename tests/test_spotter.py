import itertools
import json
import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from decoding import check_causal, check_misuse, check_restored, check_settled
from helpers import LABELS, SAMPLES, forged, tiny_manifest
from speaking import OUTPUT, STEP, WORDS, spoken
from streamcell.runtime import Model
from streamcell.runtime.errors import InputError, ModelError
from streamcell.runtime.events import Segment
from streamcell.runtime.find_words import DecodingStream, find_words
from streamcell.runtime.frames import Frames
from streamcell.runtime.words import Lexicon, Spotter, threshold_for
from streamcell.runtime.words.weights import WEIGHTS

THERE = ["/P AH L IY S/ /S T EY SH AH N/", "/DH AH/ /M EY N/ /R OW D/"]


def spotter(threshold: float = 0.005, **settings: Any) -> Spotter:
    return Spotter(OUTPUT, WORDS, threshold, longest=1.5, **settings)


def all_of(one: Spotter, values: NDArray[np.float32]) -> list[Segment]:
    return [*one.push(Frames(values, 0)), *one.flush(len(values) * STEP)]


def collapsed(labels: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(label for label, _ in itertools.groupby(labels) if label)


def aligned(label: str) -> tuple[float, float]:
    """Return when the phones of a phrase begin and end, as the samples' alignment says."""
    lines = (SAMPLES / "utterances.jsonl").read_text(encoding="utf-8").splitlines()
    (phones,) = (row["phones"] for row in map(json.loads, lines) if row["id"] == "volunteer")
    wanted = label.replace("/", "").split()
    (first,) = (k for k in range(len(phones)) if [p[2] for p in phones[k : k + len(wanted)]] == wanted)
    start, duration, _ = phones[first + len(wanted) - 1]
    return phones[first][0], start + duration


@pytest.mark.parametrize("seed", range(8))
def test_the_score_is_that_of_the_best_of_all_paths_over_all_stretches(seed: int) -> None:
    values = np.random.default_rng(seed).normal(0, 2, (6, len(LABELS))).astype(np.float32)
    ratios = np.maximum(values.astype(np.float64) - values.max(1, keepdims=True), -8.0)
    hits = sorted(all_of(spotter(1e-9, hold=1.0), values), key=lambda hit: hit.confidence)
    found = {hit.label: hit.confidence for hit in hits}
    for entry in WORDS.entries:
        columns = tuple(LABELS.index(phone) for phone in entry.ways[0][0])
        weight = sum(WEIGHTS[phone] for phone in entry.ways[0][0])
        best = -math.inf
        for a, b in itertools.combinations(range(7), 2):
            for path in itertools.product({0, *columns}, repeat=b - a):
                if path[0] and path[-1] and collapsed(path) == columns:
                    best = max(best, sum(ratios[frame, c] for frame, c in enumerate(path, a)))
        score = math.exp((best - 10) / weight)
        assert found.get(entry.text, 0.0) == pytest.approx(score if score >= 1e-9 else 0.0)


def test_any_cutting_gives_the_same_hits() -> None:
    values = spoken(900, seed=1)
    expected = all_of(spotter(), values)
    assert len(expected) > 20
    assert {s.label for s in expected} == {e.text for e in WORDS.entries}
    assert [s.id for s in expected] == list(range(len(expected)))
    for text in {s.label for s in expected}:
        hits = [s for s in expected if s.label == text]
        assert all(a.start < b.start for a, b in itertools.pairwise(hits))
    for size in (1, 7, 64):
        one = spotter()
        found = [s for k in range(0, 900, size) for s in one.push(Frames(values[k : k + size], k))]
        assert [*found, *one.flush(900 * STEP)] == expected


def test_what_every_decoder_does() -> None:
    values = spoken(400, seed=2)
    check_causal(spotter(), values, spotter().push(Frames(values, 0)))
    check_settled(spotter(), values)
    check_restored(spotter, spoken(90, seed=3), 90 * STEP, "spotter")
    check_misuse(spotter(), len(LABELS))


def test_a_phrase_alone_does_not_hear_the_others() -> None:
    values = spoken(600, seed=4)
    together = all_of(spotter(), values)
    for entry in WORDS.entries:
        alone = all_of(Spotter(OUTPUT, Lexicon((entry,)), 0.005, longest=1.5), values)
        expected = [s for s in together if s.label == entry.text]
        assert [(s.start, s.end, s.confidence) for s in alone] == [(s.start, s.end, s.confidence) for s in expected]


def test_a_higher_threshold_finds_fewer() -> None:
    values = spoken(900, seed=5)
    low, high = all_of(spotter(0.002), values), all_of(spotter(0.02), values)
    assert 0 < len(high) < len(low)
    assert min(s.confidence for s in high) >= 0.02


def test_memory_is_constant() -> None:
    one = spotter()
    sizes = []
    for k in range(0, 3000, 300):
        one.push(Frames(spoken(300, seed=k), k))
        sizes.append(len(one.to_bytes()))
    assert max(sizes) - min(sizes) < 400


def test_a_model_finds_phrases_in_a_recording_and_not_in_others() -> None:
    model = Model.open()
    one = Spotter(model.manifest.outputs[0], Lexicon.of(THERE), threshold_for(model.manifest, 1.0)[0])
    found = find_words(model, SAMPLES / "volunteer.flac", one).segments
    assert [s.label for s in found] == THERE
    for hit in found:
        start, end = aligned(hit.label)
        assert hit.start == pytest.approx(start, abs=0.08)
        assert hit.end == pytest.approx(end, abs=0.15)
    for other in ("learner.flac", "reader.flac"):
        assert find_words(model, SAMPLES / other, one).segments == ()
    usual = Spotter(model.manifest.outputs[0], Lexicon.of(THERE), threshold_for(model.manifest)[0])
    assert [s.label for s in find_words(model, SAMPLES / "volunteer.flac", usual).segments] == THERE[1:]


@pytest.mark.parametrize("loud", [0.0, 0.001, 0.1])
def test_nothing_is_found_in_silence_and_noise(loud: float) -> None:
    model = Model.open()
    one = Spotter(model.manifest.outputs[0], Lexicon.of(THERE), threshold_for(model.manifest, 3.0)[0])
    stream = DecodingStream(model, one)
    samples = (np.random.default_rng(1).standard_normal(16000 * 20) * loud).astype(np.float32)
    assert [*stream.push(samples), *stream.flush()] == []


def test_a_phrase_may_have_a_pause_between_words() -> None:
    values = np.full((40, len(LABELS)), -9.0, np.float32)
    values[:, 0] = 0.0
    for frame, label in ((3, "S"), (5, "AA"), (9, "SIL"), (10, "SIL"), (14, "B"), (16, "AA")):
        values[frame, LABELS.index(label)] = 9.0
    one = Spotter(OUTPUT, Lexicon.of(["/S AA/ /B AA/", "/S AA B AA/"]), 1e-6, hold=0.3)
    scores = {s.label: s.confidence for s in all_of(one, values)}
    assert scores["/S AA/ /B AA/"] == pytest.approx(one.limits["/S AA/ /B AA/"])
    assert scores["/S AA B AA/"] < 0.1 * one.limits["/S AA B AA/"]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("saved/run", -1),
        ("saved/label", 99),
        ("saved/growing", [77]),
        ("scores", np.full(16, 1.0)),
        ("marks", np.full(16, -1)),
        ("marks", np.zeros(3, np.int64)),
        ("hits", np.array([[0, 0.5, 9, 3.0]])),
        ("hits", np.array([[9, 0.5, 3, 9.0]])),
        ("hits", np.array([[0, 1.5, 3, 9.0]])),
        ("strings", np.full(4, 9)),
        ("done", np.full(4, -1)),
    ],
)
def test_saved_spotters_that_cannot_be_are_refused(path: str, value: Any) -> None:
    one = spotter()
    one.push(Frames(spoken(100, seed=1), 0))
    with pytest.raises(InputError, match="damaged"):
        spotter().restore(forged(one.to_bytes(), "spotter", path, value))


def test_arguments_that_make_no_sense() -> None:
    for threshold in (0, 1.5, math.nan, -1):
        with pytest.raises(InputError, match="threshold must be a number above 0 to 1"):
            spotter(threshold)
    with pytest.raises(InputError, match="hold must be a number above 0"):
        spotter(hold=0)
    with pytest.raises(InputError, match="settings are others"):
        spotter(0.1).restore(spotter(0.2).to_bytes())


def test_the_threshold_falls_with_the_false_alarms() -> None:
    manifest = tiny_manifest()
    found = [threshold_for(manifest, rate)[0] for rate in (0.001, 0.03, 0.1, 0.2, 1.0, 3.0, 50.0)]
    assert found == sorted(found, reverse=True)
    assert len(set(found)) == len(found)
    assert 0.01 <= found[-1] < found[0] <= 1
    assert "held out" in threshold_for(manifest)[1]
    with pytest.raises(InputError, match="false alarms must be a number per phrase-hour above 0, got 0"):
        threshold_for(manifest, 0)


def test_a_models_own_table_counts() -> None:
    manifest = tiny_manifest(training={"spotting": [[0.1, 0.5], [1.0, 0.25]]})
    threshold, source = threshold_for(manifest, 0.1)
    assert threshold == pytest.approx(0.5)
    assert source == "from the card of tiny"
    assert threshold_for(manifest, 1.0)[0] == pytest.approx(0.25)
    assert threshold_for(manifest, math.sqrt(0.1))[0] == pytest.approx(math.sqrt(0.125))
    for table in ("x", [[0.1, 0.5]], [[1.0, 0.5], [0.1, 0.25]], [[0.1, 0.2], [1.0, 0.3]], [[0.0, 0.5], [1.0, 0.1]]):
        with pytest.raises(ModelError, match=r"manifest\.training\.spotting must"):
            threshold_for(tiny_manifest(training={"spotting": table}))


def test_a_stream_with_a_decoder_of_its_own_is_not_saved_in_vain() -> None:
    model = Model.open()
    phrases = Lexicon.of(["/P AH L IY S/ /S T EY SH AH N/"])
    with pytest.raises(InputError, match="cannot be saved; for words make a Stream of Model"):
        DecodingStream(model, Spotter(model.manifest.outputs[0], phrases, 0.2)).snapshot()
