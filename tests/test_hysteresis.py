from itertools import pairwise
from typing import Any, Literal

import numpy as np
import pytest
from numpy.typing import NDArray

from decoding import check_causal, check_misuse, check_partials, check_restored, check_settled, finals
from helpers import forged
from streamcell.runtime.decode import Hysteresis
from streamcell.runtime.errors import InputError
from streamcell.runtime.events import Segment
from streamcell.runtime.frames import Frames

LABELS = ("speech", "none", "music", "bell")
SKIP = (1,)
STEP = 0.1
GAP, SHORTEST, PADDING = 3, 4, 0.15  # frames, frames, seconds


def decoder(labels: tuple[str, ...] = LABELS, skip: tuple[int, ...] = SKIP, **settings: Any) -> Hysteresis:
    values: dict[str, Any] = {"min_duration": SHORTEST * STEP, "min_gap": GAP * STEP, "padding": PADDING}
    return Hysteresis(labels, STEP, kind="probabilities", skip=skip, **{**values, **settings})


def random_probs(frames: int, seed: int) -> NDArray[np.float32]:
    """Draw stretches of 1 to 20 frames around some probability, each label by itself, now and then two in one."""
    random = np.random.default_rng(seed)
    probs = np.zeros((frames, len(LABELS)), np.float32)
    for column in range(len(LABELS)):
        begin = 0
        while begin < frames:
            end = begin + int(random.choice([1, 2, 3, 4, 8, 20]))
            probs[begin:end, column] = random.choice([0.1, 0.3, 0.42, 0.45, 0.6, 0.9])
            begin = end
    probs[:, 3] = np.where(random.random(frames) < 0.7, probs[:, 0], probs[:, 3])
    return np.clip(probs + random.uniform(-0.1, 0.1, probs.shape), 0, 1).astype(np.float32)


def whole(p: NDArray[np.float64], gap: int = GAP, shortest: int = SHORTEST) -> list[tuple[int, int, float]]:
    """Find the segments of one label as the definition says: first frame, frame after the last, confidence."""
    found, high, low = [], p >= 0.5, p < 0.35
    begin = 0
    while high[begin:].any():
        begin += int(np.argmax(high[begin:]))
        end = begin
        while end < len(p) and (not low[end] or high[end : end + gap].any()):
            end += 1
        if end - begin >= shortest:
            found.append((begin, end, float(p[begin:end].mean())))
        begin = end
    return found


def run(probs: NDArray[np.float32], block: int, by: Hysteresis | None = None) -> list[Segment]:
    by = by or decoder()
    found = []
    for begin in range(0, len(probs), block):
        found += by.push(Frames(probs[begin : begin + block], begin, kind="probabilities"))
    return found + by.flush(len(probs) * STEP)


def one(text: str) -> NDArray[np.float32]:
    """Write the frames of one label: ``#`` holds, ``-`` between the thresholds, ``.`` does not hold."""
    return np.array([{"#": 0.8, "-": 0.4, ".": 0.1}[letter] for letter in text], np.float32)[:, None]


@pytest.mark.parametrize("seed", range(20))
def test_any_cutting_gives_the_same_finals_and_they_are_the_definitions(seed: int) -> None:
    probs = random_probs(700, seed)
    expected = finals(run(probs, 700))
    for block in (1, 2, 7, 64, 481):
        assert finals(run(probs, block)) == expected, f"seed {seed}, blocks of {block}"
    assert {s.label for s in expected} == {"speech", "music", "bell"}
    for column, label in enumerate(LABELS):
        mine = [s for s in expected if s.label == label]
        definition = [] if column in SKIP else whole(probs[:, column].astype(np.float64))
        assert len(mine) == len(definition)
        for segment, (begin, end, confidence) in zip(mine, definition, strict=True):
            assert segment.start == pytest.approx(max(0, begin * STEP - PADDING))
            assert segment.end == pytest.approx(min(700 * STEP, end * STEP + PADDING))
            assert segment.confidence == pytest.approx(confidence)
        assert all(a.end <= b.start + 1e-9 for a, b in pairwise(mine))
    assert len(expected) > 30


@pytest.mark.parametrize("seed", range(10))
def test_ids_count_up_in_the_order_of_beginnings(seed: int) -> None:
    found = finals(run(random_probs(700, seed), 1))
    in_order = sorted(found, key=lambda segment: segment.id)
    assert [s.id for s in in_order] == list(range(len(found)))
    assert all(a.start <= b.start for a, b in pairwise(in_order))


@pytest.mark.parametrize("block", [1, 7, 64])
def test_partials_grow_and_come_before_their_final(block: int) -> None:
    ids = check_partials(run(random_probs(800, 0), block))
    assert sorted(ids) == list(range(len(ids)))


@pytest.mark.parametrize("seed", range(5))
def test_restored_equals_uninterrupted_at_every_frame(seed: int) -> None:
    check_restored(decoder, random_probs(150, seed), 150 * STEP, f"seed {seed}")


@pytest.mark.parametrize("seed", range(5))
def test_causal(seed: int) -> None:
    probs = random_probs(300, seed)
    check_causal(decoder(), probs, finals(run(probs, 300)))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("####", "0-4"),
        ("###.", ""),  # too short
        ("..####..", "2-6"),
        ("#--#...", "0-4"),  # between the thresholds it goes on
        ("-####", "1-5"),  # but does not begin
        ("####--...", "0-6"),
        ("##..##...", "0-6"),  # the gap is too short
        ("##..##..", "0-6"),  # the gap after it is not over yet, but there is nothing more
        ("####...####", "0-4 7-11"),
        ("####.--####", "0-4 7-11"),  # what stays below the threshold ends it where it fell below the release
        ("####.-#...", "0-7"),
        ("#..#...####", "0-4 7-11"),
        ("#...####", "4-8"),
        ("", ""),
    ],
)
def test_times(text: str, expected: str) -> None:
    found = finals(run(one(text), 1, decoder(("speech",), (), padding=0.0)))
    assert " ".join(f"{round(s.start / STEP)}-{round(s.end / STEP)}" for s in found) == expected
    assert [s.id for s in found] == list(range(len(found)))


def test_a_final_comes_as_soon_as_the_gap_is_over_and_a_partial_once_long_enough() -> None:
    by, said = decoder(("speech",), ()), []
    for t, row in enumerate(one(".#####...")):
        said.append([(s.final, round(s.end, 6)) for s in by.push(Frames(row[None], t))])
    assert said[:4] == [[], [], [], []]
    assert said[4:8] == [[(False, 0.5)], [(False, 0.6)], [(False, 0.7)], [(False, 0.75)]]
    assert said[8] == [(True, 0.75)]


def test_an_earlier_label_of_unknown_length_keeps_a_later_one_waiting() -> None:
    probs = np.hstack([one("###..##....."), one(".#####......")])
    by = decoder(("a", "b"), (), padding=0.0)
    said = [[(s.label, s.id, s.final) for s in by.push(Frames(probs[t : t + 1], t))] for t in range(12)]
    assert said[4] == []  # b is long enough, but a, which is not yet, may still be
    assert said[5] == [("a", 0, False), ("b", 1, False)]
    assert [s for now in said for s in now if s[2]] == [("b", 1, True), ("a", 0, True)]


def test_lengths_are_rounded_up_to_frames() -> None:
    def found(**settings: Any) -> list[tuple[int, int]]:
        by = decoder(("speech",), (), **{"padding": 0.0, **settings})
        return [(round(s.start / STEP), round(s.end / STEP)) for s in finals(run(one("#..##....##"), 3, by))]

    assert found(min_duration=0, min_gap=0) == [(0, 1), (3, 5), (9, 11)]
    assert found(min_duration=0, min_gap=0.2) == [(0, 1), (3, 5), (9, 11)]
    assert found(min_duration=0, min_gap=0.2001) == [(0, 5), (9, 11)]
    assert found(min_duration=0.15, min_gap=0.2) == [(3, 5), (9, 11)]
    assert found(min_duration=0.2001, min_gap=0.2) == []
    assert found(min_duration=0, min_gap=0.7) == [(0, 11)]


def test_padding_never_passes_what_was_heard() -> None:
    """With a step as long as the gap, the frame after a segment may be the last, and only begun."""
    by = Hysteresis(["speech"], 1.0, kind="probabilities", min_duration=1.0, min_gap=1.0, padding=0.5)
    found = by.push(Frames(one("#."), 0)) + by.flush(1.2)
    assert [(s.start, s.end) for s in finals(found)] == [(0.0, 1.2)]


def test_confidence_is_the_mean_of_the_frames_between_beginning_and_end() -> None:
    (segment,) = finals(run(one(".##--.#.."), 2, decoder(("speech",), ())))
    assert segment.confidence == pytest.approx((3 * 0.8 + 2 * 0.4 + 0.1) / 6)
    (segment,) = finals(run(one("#####") * np.float32(1.3), 2, decoder(("speech",), ())))
    assert segment.confidence == 1.0


@pytest.mark.parametrize("kind", ["logits", "probabilities"])
def test_logits_are_softmaxed_over_all_columns(kind: Literal["logits", "probabilities"]) -> None:
    probs = np.array([[0.7, 0.1, 0.2]] * 6, np.float32)
    values = np.log(probs) + np.float32(3) if kind == "logits" else probs
    by = Hysteresis(["a", "b", "c"], STEP, kind=kind, skip=[2], threshold=0.69, release=0.1)
    (segment,) = finals(by.push(Frames(values, 0)) + by.flush(0.6))
    assert (segment.label, segment.start, segment.end) == ("a", 0.0, 0.6)
    assert segment.confidence == pytest.approx(0.7)


def test_a_hole_ends_what_goes_on_and_padding_stays_on_its_side() -> None:
    by = decoder(("speech",), ())
    found = by.push(Frames(one(".#####."), 0)) + by.push(Frames(one("####...##"), 10)) + by.flush(1.85)
    kept = [(round(s.start, 6), round(s.end, 6), s.id) for s in finals(found)]
    assert kept == [(0.0, 0.7, 0), (1.0, 1.55, 1)]
    by = decoder(("speech",), ())
    found = by.push(Frames(one("###"), 0)) + by.push(Frames(one("###"), 4)) + by.flush(0.7)
    assert finals(found) == []  # two halves that are too short


def test_flush_ends_at_the_end_of_the_sound_and_goes_on_counting() -> None:
    by = decoder(("speech",), ())
    by.push(Frames(one("#####"), 0))
    assert [(s.start, s.end, s.id) for s in by.flush(0.47)] == [(0.0, 0.47, 0)]
    assert by.flush(0.47) == []
    assert by.settled == -np.inf
    again = by.push(Frames(one(".####..."), 0, origin=9.0))
    assert [(round(s.start, 6), round(s.end, 6), s.id) for s in finals(again)] == [(9.0, 9.65, 1)]
    by.reset()
    assert finals(by.push(Frames(one(".####..."), 0, origin=9.0)))[0].id == 0


def test_memory_is_flat_while_speech_lasts_for_hours() -> None:
    by = decoder(("speech",), ())
    for t in range(0, 200_000, 1000):
        by.push(Frames(one("##-.#" * 200), t))
        assert len(by.to_bytes()) < 800
    (segment,) = by.flush(20_000.0)
    assert (segment.start, segment.end, segment.id) == (0.0, 20_000.0, 0)
    assert segment.confidence == pytest.approx((3 * 0.8 + 0.4 + 0.1) / 5)


@pytest.mark.parametrize("seed", range(3))
def test_nothing_begins_before_settled(seed: int) -> None:
    check_settled(decoder(), random_probs(500, seed))


def test_misuse_is_refused() -> None:
    check_misuse(decoder(), 4)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"threshold": 0}, "threshold must be a number above 0 to 1, got 0"),
        ({"threshold": 1.5}, "threshold"),
        ({"threshold": float("nan")}, "threshold"),
        ({"threshold": True}, "threshold"),
        ({"min_gap": 10**400}, "min_gap"),
        ({"threshold": "0.5"}, "threshold"),
        ({"release": 0.0}, "release must be a number above 0 to 0.5, got 0.0"),
        ({"release": 0.6}, "release"),
        ({"min_duration": -1}, "min_duration must be a number from 0, got -1"),
        ({"min_duration": float("inf")}, "min_duration"),
        ({"min_gap": [1]}, "min_gap"),
        ({"padding": 0.2}, "padding must be a number from 0 to 0.15, got 0.2"),
        ({"padding": -0.1}, "padding"),
        ({"skip": (4,)}, r"skip must be some of 4 columns, with one at least left; got \(4,\)"),
        ({"skip": (0, 1, 2, 3)}, "skip"),
        ({"skip": ("speech",)}, "skip"),
    ],
)
def test_settings_are_checked(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        decoder(**settings)


def test_the_rest_of_the_settings_are_checked() -> None:
    for step in (0.0, -1.0, float("inf"), float("nan")):
        with pytest.raises(InputError, match="seconds_per_step"):
            Hysteresis(["speech"], step, kind="probabilities")
    with pytest.raises(InputError, match="kind must be 'logits' or 'probabilities', got 'odds'"):
        Hysteresis(["speech"], STEP, kind="odds")  # type: ignore[arg-type]


def test_defaults_that_follow_from_others() -> None:
    def made(**settings: float) -> tuple[float, float]:
        by = Hysteresis(["speech"], STEP, kind="probabilities", **settings)  # type: ignore[arg-type]
        return round(by.settings.release, 9), by.settings.padding

    assert made() == (0.35, 0.03)
    assert made(threshold=0.1, min_gap=0.02) == (0.01, 0.01)


TRACK = {"column": 0, "begin": 1, "id": 0, "end": 6, "total": 4.0, "tail": 0.25}
SHORT = {"column": 1, "begin": 6, "id": -1, "end": -1, "total": 0.75, "tail": 0.0}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("version", 2),
        ("settings", [list(LABELS), 0]),
        ("settings/labels", "abcd"),
        ("settings/threshold", 0.4),
        ("settings/skip", []),
        ("saved/next", "x"),
        ("saved/next", None),
        ("saved/next", 9),
        ("saved/next", 1 << 53),
        ("saved/origin", "0"),
        ("saved/origin", 10**400),
        ("saved/base", -1),
        ("saved/base", 2),
        ("saved/count", 0),
        ("saved/count", True),
        ("saved/tracks", {}),
        ("saved/tracks", [SHORT, TRACK]),
        ("saved/tracks", [TRACK, {**SHORT, "begin": 7}, {**SHORT, "column": 2}]),
        ("saved/tracks", [TRACK, TRACK]),
        ("saved/tracks", [{**TRACK, "column": 3}, SHORT]),
        ("saved/tracks", [{**TRACK, "column": -1}, SHORT]),
        ("saved/tracks", [{**TRACK, "begin": 3}, SHORT]),
        ("saved/tracks", [{**TRACK, "begin": 6.0}, SHORT]),
        ("saved/tracks", [{**TRACK, "id": -1}, SHORT]),
        ("saved/tracks", [{**TRACK, "id": 1}, SHORT]),
        ("saved/tracks", [{**TRACK, "end": 5}, SHORT]),
        ("saved/tracks", [{**TRACK, "end": 8}, SHORT]),
        ("saved/tracks", [{**TRACK, "total": "4"}, SHORT]),
        ("saved/tracks", [{**TRACK, "total": 10**400}, SHORT]),
        ("saved/tracks", [TRACK, {**SHORT, "begin": 8}]),
        ("saved/tracks", [TRACK, {**SHORT, "id": 0}]),
    ],
)
def test_forged_bytes_are_refused(path: str, value: Any) -> None:
    by = decoder()
    rows = np.hstack([one(".#####--") * np.float32(0), np.zeros((8, 3), np.float32)])
    rows[1:6, 0], rows[6:, 0] = [0.75, 0.875, 0.875, 0.75, 0.75], 0.125
    rows[6:, 2] = 0.375
    rows[6, 2] = 0.75
    by.push(Frames(rows, 0))
    data = by.to_bytes()
    example = [{**TRACK, "tail": 0.25}, {**SHORT, "total": 1.125}]
    assert forged(data, "hysteresis", "saved/tracks", example) == data, "the example is right but for what is forged"
    with pytest.raises(InputError, match=r"a saved 'hysteresis'"):
        decoder().restore(forged(data, "hysteresis", path, value))


def test_bytes_of_other_settings_are_refused() -> None:
    with pytest.raises(InputError, match="settings are others"):
        decoder().restore(decoder(threshold=0.6).to_bytes())
