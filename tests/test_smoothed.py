"""One label at a time: the stream is what a slow, whole reading of the definition gives."""

import math
import struct
import zlib
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np
import pytest
from numpy.typing import NDArray

from decoding import check_causal, check_misuse, check_partials, check_restored, check_settled, finals
from helpers import LABELS as TINY_LABELS
from helpers import assert_same, forged, noise, tiny_model
from helpers import finals as final_events
from pools import FRAMES, SETTINGS, alone, do, in_order, script
from streamcell.runtime.decode import Smoothed
from streamcell.runtime.errors import InputError, ModelError
from streamcell.runtime.events import Event, Gap, Segment
from streamcell.runtime.frames import Frames
from streamcell.runtime.manifest import GapPolicy
from streamcell.runtime.model import Model
from streamcell.runtime.pool import StreamPool
from streamcell.runtime.stream import Stream

Probs: TypeAlias = NDArray[np.float32]
Found: TypeAlias = list[tuple[str, int, int, float]]  # label, first frame, frame after the last, confidence

LABELS = ("walk", "none", "sit", "stand")
SKIP = (1,)
STEP = 0.1
USUAL: dict[str, Any] = {"smoothing": 0.2, "threshold": 0.4, "release": 0.3, "margin": 0.05, "min_duration": 0.4}


def decoder(labels: tuple[str, ...] = LABELS, skip: tuple[int, ...] = SKIP, **settings: Any) -> Smoothed:
    return Smoothed(labels, STEP, **{"kind": "probabilities", "skip": skip, **USUAL, **settings})


def random_settings(seed: int) -> dict[str, Any]:
    random = np.random.default_rng(1000 + seed)
    threshold = float(random.choice([0.0, 0.25, 0.5]))
    return {
        "smoothing": float(random.choice([0, 0.05, 0.2, 1.0])),
        "threshold": threshold,
        "release": float(random.choice([0, 0.8, 1])) * threshold,
        "margin": float(random.choice([0, 0.125, 0.3])),
        "min_duration": float(random.choice([0, 0.1, 0.25, 0.4, 1.0])),
    }


def random_probs(frames: int, seed: int) -> Probs:
    """Draw stretches of 1 to 30 frames in which one label or two share most, in steps of 1/8 so that many are equal."""
    random = np.random.default_rng(seed)
    probs = np.empty((frames, len(LABELS)))
    begin = 0
    while begin < frames:
        end = begin + int(random.choice([1, 2, 3, 5, 8, 30]))
        weights = np.full(len(LABELS), 0.3)
        weights[random.integers(0, len(LABELS), 2)] += random.choice([0, 1, 4])
        probs[begin:end] = random.dirichlet(weights, min(end, frames) - begin)
        begin = end
    return (np.round(probs * 8) / 8).astype(np.float32)


def whole(values: Probs, by: Smoothed) -> Found:
    """Find the segments of a stretch without holes as the definition says, all frames at hand."""
    s, n = by.settings, by.settings.min_frames
    p, average = values.astype(np.float64), values.astype(np.float64)
    for t in range(1, len(p)):
        if s.smoothing:
            average[t] = average[t - 1] + -math.expm1(-s.seconds_per_step / s.smoothing) * (p[t] - average[t - 1])
    ended: list[tuple[int, int, int]] = []
    held, begin, leaders, lows = -1, 0, list[int](), list[bool]()
    for t, now in enumerate(average):
        lows.append(held >= 0 and now[held] < s.release)
        if len(lows) >= n and all(lows[-n:]):
            ended.append((held, begin, t + 1 - n))
            held, lows = -1, []
        top = int(np.argmax(now))
        leads = now[top] >= s.threshold and (held < 0 or now[top] > now[held] + s.margin)
        leaders.append(top if leads else -1)
        if leads and len(leaders) >= n and set(leaders[-n:]) == {top}:
            if held >= 0:
                ended.append((held, begin, t + 1 - n))
            held, begin, leaders, lows = top, t + 1 - n, [], []
    if held >= 0:
        ended.append((held, begin, len(p)))
    return [(s.labels[c], a, b, float(p[a:b, c].mean())) for c, a, b in ended if c not in s.skip]


def run(probs: Probs, block: int, by: Smoothed | None = None) -> list[Segment]:
    by = by or decoder()
    found = []
    for begin in range(0, len(probs), block):
        found += by.push(Frames(probs[begin : begin + block], begin, kind="probabilities"))
    return found + by.flush(len(probs) * STEP)


def assert_defined(found: list[Segment], expected: Found, message: str = "") -> None:
    """Compare finals with the definition's segments; ids count up in the order of beginnings."""
    places = [(s.label, round(s.start / STEP), round(s.end / STEP)) for s in found]
    assert places == [segment[:3] for segment in expected], message
    np.testing.assert_allclose([s.confidence for s in found], [segment[3] for segment in expected], atol=1e-12)
    assert [s.id for s in found] == list(range(len(found)))


def one(text: str) -> Probs:
    """Write frames of walk and sit: a letter for the one that is at 0.75, ``=`` for half each, ``.`` for 0.25 each."""
    rows = {"w": [0.75, 0.25], "s": [0.25, 0.75], "=": [0.5, 0.5], ".": [0.25, 0.25]}
    return np.array([rows[letter] for letter in text], np.float32).reshape(-1, 2)


def two(**settings: Any) -> Smoothed:
    plain = {"smoothing": 0, "threshold": 0, "release": None, "margin": 0, "min_duration": 0.2}
    return decoder(("walk", "sit"), (), **{**plain, **settings})


def times(segments: list[Segment]) -> str:
    return " ".join(f"{s.label[0]}{round(s.start / STEP)}-{round(s.end / STEP)}" for s in finals(segments))


@pytest.mark.parametrize("seed", range(60))
def test_any_cutting_gives_the_same_finals_and_they_are_the_definitions(seed: int) -> None:
    probs, settings = random_probs(400, seed), random_settings(seed)
    expected = finals(run(probs, 400, decoder(**settings)))
    assert_defined(expected, whole(probs, decoder(**settings)), f"seed {seed}, {settings}")
    for block in (1, 2, 7, 64, 401):
        found = finals(run(probs, block, decoder(**settings)))
        assert found == expected, f"seed {seed}, blocks of {block}, {settings}"
    assert all(a.end <= b.start for a, b in pairwise(expected))


def test_the_drawn_cases_have_segments_of_every_label_but_the_skipped() -> None:
    found = [s for seed in range(60) for s in run(random_probs(400, seed), 400, decoder(**random_settings(seed)))]
    assert {s.label for s in found} == {"walk", "sit", "stand"}
    assert len(found) > 600


@pytest.mark.parametrize("seed", range(10))
def test_holes_and_flushes_part_the_frames(seed: int) -> None:
    """Between two of them the segments are those of the frames between, as if there were no others."""
    probs, random, by = random_probs(300, seed), np.random.default_rng(seed), decoder()
    expected: Found = []
    found, first = list[Segment](), 0
    for part in np.split(probs, sorted(random.integers(0, 300, 6))):
        expected += [(c, a + first, b + first, p) for c, a, b, p in whole(part, decoder())]
        for begin in range(0, len(part), 5):
            found += by.push(Frames(part[begin : begin + 5], first + begin))
        first += len(part)
        if random.random() < 0.5:
            found += by.flush(first * STEP)
            assert (by.settled, by.partial()) == (-math.inf, [])
        first += int(random.integers(1, 5))
    assert_defined(finals(found + by.flush(first * STEP)), expected, f"seed {seed}")
    assert len(expected) > 5


@pytest.mark.parametrize("block", [1, 7, 64])
def test_partials_grow_and_come_before_their_final(block: int) -> None:
    ids = check_partials(run(random_probs(800, 0), block))
    assert ids == list(range(len(ids)))
    assert len(ids) > 20


@pytest.mark.parametrize("seed", range(8))
def test_restored_equals_uninterrupted_at_every_frame(seed: int) -> None:
    settings = random_settings(seed)
    check_restored(lambda: decoder(**settings), random_probs(120, seed), 120 * STEP, f"seed {seed}, {settings}")


def test_restored_equals_uninterrupted_where_nothing_but_an_empty_block_was_heard() -> None:
    first, again = decoder(), decoder()
    assert first.take(7, 1.0, []) == []
    again.restore(first.to_bytes())
    assert again.follows(7, 1.0)
    assert not again.follows(6, 1.0)


@pytest.mark.parametrize("seed", range(5))
def test_causal(seed: int) -> None:
    probs = random_probs(300, seed)
    check_causal(decoder(), probs, finals(run(probs, 300)))


@pytest.mark.parametrize(
    ("text", "settings", "expected"),
    [
        ("wwwssss", {}, "w0-3 s3-7"),
        ("wwwsw", {}, "w0-5"),  # one frame of another is too short
        ("wwwswsw", {}, "w0-7"),  # and so are two with a break
        ("w", {}, ""),
        ("", {}, ""),
        ("====", {}, "w0-4"),  # of equal ones the first
        ("ss===", {}, "s0-5"),  # but what holds stays
        ("ss===w=w=ww", {}, "s0-9 w9-11"),
        ("wwwss", {"margin": 0.5}, "w0-5"),  # it must be exceeded by more
        ("wwwss", {"margin": 0.499}, "w0-3 s3-5"),
        ("sswsww", {"margin": 0.6}, "s0-6"),
        ("=.ww..ww", {"threshold": 0.7}, "w2-4 w6-8"),
        ("=.ww.www", {"threshold": 0.7}, "w2-8"),  # one frame below the release is too short
        ("=.ww====", {"threshold": 0.7, "release": 0.5}, "w2-8"),
        ("=.ww====", {"threshold": 0.7, "release": 0.51}, "w2-4"),
        ("ww..ssww", {"threshold": 0.7}, "w0-2 s4-6 w6-8"),
        ("ww.ssww", {"threshold": 0.7}, "w0-2 s3-5 w5-7"),  # the release is over first
        ("ww....", {"threshold": 0}, "w0-6"),  # without a threshold nothing is released
        ("wwsswwss", {"min_duration": 0}, "w0-2 s2-4 w4-6 s6-8"),
        ("wswsws", {"min_duration": 0}, "w0-1 s1-2 w2-3 s3-4 w4-5 s5-6"),
        ("wwww", {"min_duration": 0.41}, ""),
        ("wwww", {"min_duration": 1e308}, ""),
        ("wwww", {"min_duration": 0.4}, "w0-4"),
    ],
)
def test_times(text: str, settings: dict[str, Any], expected: str) -> None:
    assert times(run(one(text), 1, two(**settings))) == expected
    assert times(run(one(text), 3, two(**settings))) == expected


def test_rivals_that_alternate_each_start_anew() -> None:
    rows = {"w": [0.6, 0.2, 0.2], "s": [0.2, 0.6, 0.2], "r": [0.2, 0.2, 0.6]}
    probs = np.array([rows[letter] for letter in "www" + "sr" * 5 + "sss"], np.float32)
    settings: dict[str, Any] = {"smoothing": 0, "margin": 0, "min_duration": 0.2}
    by = decoder(("walk", "sit", "run"), (), **settings, threshold=0, release=0)
    assert times(run(probs, 1, by)) == "w0-13 s13-16"
    assert times(run(probs, 1, decoder(("walk", "sit", "run"), (), **settings))) == "w0-3 s13-16"


def test_smoothing_is_that_of_the_time_constant() -> None:
    """From 1 the average falls as exp(-t / smoothing): below one half after 0.7 of it, in the eighth frame."""
    probs = np.zeros((40, 2), np.float32)
    probs[:20, 0] = probs[20:, 1] = 1
    assert times(run(probs, 1, two(smoothing=1.0, min_duration=0))) == "w0-26 s26-40"
    assert times(run(probs, 1, two(smoothing=1.0, min_duration=0.3))) == "w0-26 s26-40"
    assert times(run(probs, 1, two(smoothing=1e-320))) == "w0-20 s20-40"
    assert times(run(probs, 1, two(smoothing=1e308))) == "w0-40"


def test_what_is_skipped_competes_and_ends_others_but_makes_no_segments() -> None:
    found = run(one("wwsswwss"), 1, decoder(("walk", "none"), (1,), smoothing=0, min_duration=0.2))
    assert times(found) == "w0-2 w4-6"
    assert [s.id for s in finals(found)] == [0, 1]
    assert times(run(one("ssss"), 1, decoder(("walk", "none"), (1,), smoothing=0))) == ""


def test_one_label_holds_where_it_reaches_the_threshold() -> None:
    probs = np.array([[0.2, 0.6, 0.7, 0.45, 0.1, 0.1, 0.6, 0.6]], np.float32).T
    by = decoder(("walk",), (), smoothing=0, threshold=0.5, release=0.4, min_duration=0.2)
    assert times(run(probs, 1, by)) == "w1-4 w6-8"
    always = Smoothed(["walk"], STEP, kind="logits", min_duration=0.2)
    assert times(run(np.log(probs), 3, always)) == "w0-8"


def test_a_label_is_told_once_it_holds_and_is_final_once_another_does() -> None:
    by, said = two(min_duration=0.3), []
    for t, row in enumerate(one("wwwwsss")):
        said.append([(s.label, s.final, round(s.end, 6), s.revision) for s in by.push(Frames(row[None], t))])
    assert said[:2] == [[], []]
    assert said[2:6] == [[("walk", False, round((t + 1) * STEP, 6), t)] for t in range(2, 6)]
    assert said[6] == [("walk", True, 0.4, 6), ("sit", False, 0.7, 2)]


def test_confidence_is_the_mean_of_the_frames_without_the_averaging() -> None:
    probs = np.array([[0.9], [0.5], [0.7], [0.8], [0.1], [0.1], [0.1]], np.float32)
    (segment,) = finals(run(np.hstack([probs, 1 - probs]), 2, two(threshold=0.6, release=0.2, smoothing=0.1)))[:1]
    assert segment.confidence == pytest.approx(probs[: round(segment.end / STEP)].mean(), abs=1e-7)
    (segment,) = finals(run(one("wwww") * np.float32(1.5), 2, two()))
    assert segment.confidence == 1.0


@pytest.mark.parametrize("seed", range(3))
def test_logits_are_softmaxed_over_all_columns_row_by_row(seed: int) -> None:
    logits = np.random.default_rng(seed).standard_normal((60, 4)).astype(np.float32).repeat(5, axis=0) * 30
    logits[::7] += 1000
    by = decoder(kind="logits")
    powers = np.exp(logits.astype(np.float64) - logits.max(1, keepdims=True))
    np.testing.assert_allclose(by.read(logits), powers / powers.sum(1, keepdims=True), atol=1e-15)
    expected = finals(run(logits, 300, decoder(kind="logits")))
    assert finals(run(logits, 1, decoder(kind="logits"))) == expected
    assert len(expected) > 5


@pytest.mark.parametrize("kind", ["logits", "probabilities"])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_refused_and_changes_nothing(kind: str, value: float) -> None:
    by, probs = decoder(kind=kind), random_probs(60, 0)
    by.push(Frames(probs[:50], 0))
    before = by.to_bytes()
    probs[55, 2] = value
    with pytest.raises(ModelError, match="not finite"):
        by.push(Frames(probs[50:], 50))
    assert by.to_bytes() == before


def test_flush_ends_at_the_end_of_the_sound_and_goes_on_counting() -> None:
    by = two()
    by.push(Frames(one("wwsss"), 0))
    assert [(s.start, s.end, s.id) for s in by.flush(0.47)] == [(0.2, 0.47, 1)]
    assert by.flush(0.47) == []
    again = by.push(Frames(one("wwss"), 0, origin=9.0))
    assert [(round(s.start, 6), round(s.end, 6), s.id) for s in again] == [(9.0, 9.2, 2), (9.2, 9.4, 3)]
    by.reset()
    assert by.to_bytes() == two().to_bytes()
    assert finals(by.push(Frames(one("wwss"), 0, origin=9.0)))[0].id == 0


def test_memory_is_flat_while_a_label_holds_for_hours() -> None:
    by = two(threshold=0.5)
    for t in range(0, 100_000, 1000):
        by.push(Frames(one("wwwsw" * 200), t))
        assert len(by.to_bytes()) < 900
    (segment,) = by.flush(10_000.0)
    assert (segment.start, segment.end, segment.id) == (0.0, 10_000.0, 0)
    assert segment.confidence == pytest.approx(0.65)


@pytest.mark.parametrize("seed", range(3))
def test_nothing_begins_before_settled(seed: int) -> None:
    check_settled(decoder(threshold=0.5), random_probs(500, seed))


def test_misuse_is_refused() -> None:
    check_misuse(decoder(), 4)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"threshold": -0.1}, "threshold must be a number from 0 to 1, got -0.1"),
        ({"threshold": 1.5}, "threshold"),
        ({"threshold": math.nan}, "threshold"),
        ({"threshold": "0.5"}, "threshold"),
        ({"release": 0.5}, "release must be a number from 0 to 0.4, got 0.5"),
        ({"release": -0.1}, "release"),
        ({"margin": -0.1}, "margin must be a number from 0 to 1, got -0.1"),
        ({"margin": True}, "margin"),
        ({"smoothing": -1}, "smoothing must be a number from 0, got -1"),
        ({"smoothing": math.inf}, "smoothing"),
        ({"min_duration": 10**400}, "min_duration must be a number from 0, got"),
        ({"min_duration": [1]}, "min_duration"),
        ({"skip": (4,)}, r"skip must be some of 4 columns, with one at least left; got \(4,\)"),
        ({"skip": (0, 1, 2, 3)}, "skip"),
        ({"kind": "odds"}, "kind must be 'logits' or 'probabilities', got 'odds'"),
    ],
)
def test_settings_are_checked(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        decoder(**settings)


def test_the_release_follows_from_the_threshold() -> None:
    assert Smoothed(["walk"], STEP, kind="logits").settings.release == 0
    assert decoder(threshold=0.5, release=None).settings.release == 0.4


def example() -> bytes:
    """Save a decoder of whose labels the first holds, since frame 4 below the release, and the third leads since 5."""
    by = decoder(smoothing=0)
    by.push(Frames(np.array([[0.625, 0.125, 0.125, 0.125]] * 4 + [[0.25] * 4, AVERAGE], np.float32), 0))
    return by.to_bytes()


HELD = {"column": 0, "begin": 0, "total": 3.0, "low": 4, "before": 2.5}
RIVAL = {"column": 2, "begin": 5, "total": 0.5, "before": 2.75}
AVERAGE = [0.25, 0.25, 0.5, 0.0]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("version", 2),
        ("settings", [list(LABELS), 0]),
        ("settings/labels", "abcd"),
        ("settings/threshold", 0.5),
        ("settings/smoothing", 0.1),
        ("settings/skip", []),
        ("saved/next", "x"),
        ("saved/next", None),
        ("saved/next", -1),
        ("saved/next", 0),
        ("saved/next", 5),
        ("saved/next", 8),
        ("saved/next", 1 << 53),
        ("saved/origin", "0"),
        ("saved/origin", 10**400),
        ("saved/count", 0),
        ("saved/count", True),
        ("saved/count", 1 << 53),
        ("saved/average", []),
        ("saved/average", AVERAGE[:3]),
        ("saved/average", [*AVERAGE, 0.0]),
        ("saved/average", [0.5, 0.25, 0.25, 0.0]),  # nothing else leads
        ("saved/average", [0.25, 0.5, 0.25, 0.0]),  # another leads
        ("saved/average", [0.34, 0.0, 0.5, 0.0]),  # what holds is above the release
        ("saved/average", [0.25, 0.25, 0.3, 0.0]),  # below the threshold
        ("saved/average", [0.25, 0.25, "0.5", 0.0]),
        ("saved/average", [0.25, 10**400, 0.5, 0.0]),
        ("saved/held", [0, 0, 3.0, 4, 2.5]),
        ("saved/held", {**HELD, "column": 4}),
        ("saved/held", {**HELD, "column": -1}),
        ("saved/held", {**HELD, "column": 2}),
        ("saved/held", {**HELD, "begin": 1}),
        ("saved/held", {**HELD, "begin": -1}),
        ("saved/held", {**HELD, "low": -1}),
        ("saved/held", {**HELD, "low": 3}),
        ("saved/held", {**HELD, "low": 6}),
        ("saved/held", {**HELD, "total": "3"}),
        ("saved/held", {**HELD, "before": 10**400}),
        ("saved/rival", None),
        ("saved/rival", {**RIVAL, "column": 1}),
        ("saved/rival", {**RIVAL, "column": -2}),
        ("saved/rival", {**RIVAL, "begin": 3}),
        ("saved/rival", {**RIVAL, "begin": 6}),
        ("saved/rival", {**RIVAL, "begin": 5.0}),
        ("saved/rival", {**RIVAL, "total": None}),
        ("saved/rival", {**RIVAL, "before": 10**400}),
        ("saved/held", {**HELD, "more": 1}),
    ],
)
def test_forged_bytes_are_refused(path: str, value: Any) -> None:
    data = example()
    for key, right in (("held", HELD), ("rival", RIVAL), ("average", AVERAGE)):
        assert forged(data, "smoothed", f"saved/{key}", right) == data, "the example is right but for what is forged"
    decoder(smoothing=0).restore(data)
    fresh = decoder(smoothing=0)
    before = fresh.to_bytes()
    with pytest.raises(InputError, match=r"a saved 'smoothed'"):
        fresh.restore(forged(data, "smoothed", path, value))
    assert fresh.to_bytes() == before


@pytest.mark.parametrize(("path", "value"), [("saved/next", None), ("saved/next", 0), ("saved/average", [0.125] * 3)])
def test_forged_bytes_of_frames_in_which_nothing_holds_are_refused(path: str, value: Any) -> None:
    by = decoder()
    by.push(Frames(np.full((6, 4), 0.125, np.float32), 0))
    with pytest.raises(InputError, match="'smoothed' is damaged"):
        decoder().restore(forged(by.to_bytes(), "smoothed", path, value))


@pytest.mark.parametrize(
    "fact", ['"origin": 0.0', "[0.25, 0.25, 0.5", '"total": 3.0', '"before": 2.5', '"total": 0.5', '"before": 2.75']
)
def test_nan_is_refused(fact: str) -> None:
    """No decoder writes it, and JSON knows none, but what reads JSON here does."""
    *words, number = fact.split(" ")
    nan = " ".join([*words, "NaN".ljust(len(number))])
    data = example()[:-4].replace(fact.encode(), nan.encode())
    assert data != example()[:-4]
    with pytest.raises(InputError, match="contradicts itself"):
        decoder(smoothing=0).restore(data + struct.pack("<I", zlib.crc32(data)))


TINY: dict[str, Any] = {
    **FRAMES,
    "decoder": {"name": "smoothed", "smoothing": 0.01, "threshold": 0.3, "margin": 0.02, "min_duration": 0.02},
}
FILES = {
    "fill": tiny_model(**TINY),
    "hold": tiny_model(**TINY, gap=GapPolicy("hold", 0.5), look_ahead=2),
    "three steps a call": tiny_model(**TINY, steps_per_call=3),
}


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("name", FILES)
def test_every_stream_of_a_pool_is_what_it_is_alone(name: str, workers: int) -> None:
    """Gaps, resets and other rates among them; as one label holds at a time, all comes in the order of beginnings."""
    model = Model.open(FILES[name])
    scripts = [(script(seed, s[0], s[2]), s) for seed, s in enumerate(SETTINGS)]
    with StreamPool(model, len(scripts), workers=workers, max_batch=3, max_waiting=10) as pool:
        streams = [pool.open(*settings) for _, settings in scripts]
        for stream, (deeds, _) in zip(streams, scripts, strict=True):
            for deed in deeds:
                do(pool, stream, deed)
        found = [final_events(pool.close(stream)) for stream in streams]
    for number, (deeds, settings) in enumerate(scripts):
        expected = alone(model, deeds, *settings)
        assert found[number] == in_order(model, found[number])
        assert_same(found[number], expected, 1e-5, f"{name}, {workers} workers, stream {number}")
        assert len(expected) > 5


@pytest.mark.parametrize("name", FILES)
def test_a_stream_says_the_same_for_any_cutting_and_after_a_snapshot_anywhere(name: str) -> None:
    model, sound = Model.open(FILES[name]), noise(3200, 1)

    def told(block: int, *, saved: bool = False) -> list[Event]:
        stream, events = Stream(model), list[Event]()
        for begin in range(0, 3200, block):
            if begin == 1600:
                events += stream.gap(100)
            events += stream.push(sound[begin : begin + block])
            if saved:
                stream = Stream.restore(model, stream.snapshot())
        return final_events(events + stream.flush())

    expected = told(1600)
    for block, saved in ((1, False), (16, False), (400, False), (100, True), (5, True)):
        assert_same(told(block, saved=saved), expected, 1e-5, f"{name}, blocks of {block}, saved: {saved}")
    labels = [event.label for event in expected if isinstance(event, Segment)]
    assert len(labels) > 20
    assert len(set(labels)) > 2
    assert set(labels) <= set(TINY_LABELS)
    assert [event.samples for event in expected if isinstance(event, Gap)] == [100]
