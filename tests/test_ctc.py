from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from decoding import check_misuse, check_partials, check_restored, check_settled, finals
from helpers import forged
from streamcell.runtime.decode import GreedyCTC
from streamcell.runtime.errors import InputError
from streamcell.runtime.events import Segment
from streamcell.runtime.frames import Frames, log_softmax

LABELS = ("<blank>", "A", "B", "C", "D")
STEP = 0.03
REACH = 10  # frames
SILENCE = 4
PAUSE = 3  # frames
BRIDGE = 3  # frames


def decoder() -> GreedyCTC:
    return GreedyCTC(LABELS, 0, STEP, SILENCE, REACH * STEP, PAUSE * STEP)


def random_log_probs(frames: int, seed: int) -> NDArray[np.float32]:
    """Draw runs of labels of 1 to 40 frames, with spikes here and there, and some noise."""
    random = np.random.default_rng(seed)
    logits = random.standard_normal((frames, len(LABELS))).astype(np.float32)
    begin = 0
    while begin < frames:
        end = begin + int(random.choice([1, 2, 3, 5, 12, 40]))
        logits[begin:end, random.integers(1, len(LABELS))] += random.choice([1, 4])
        begin = end
    logits[:, 0] += random.choice([-2, 3, 9], frames, p=[0.3, 0.4, 0.3])
    return log_softmax(logits)


def spikes_of(best: NDArray[np.int64], labels: NDArray[np.int64]) -> list[list[int]]:
    """Return the first and the last frame of each spike."""
    found: list[list[int]] = []
    for t, label in enumerate(best):
        quiet = label == SILENCE and found and (labels[found[-1][0] : t + 1] == SILENCE).all()
        if quiet or (label and t and best[t - 1] == label):
            found[-1][1] = t
        elif label:
            found.append([t, t])
    return found


def whole(log_probs: NDArray[np.float32]) -> list[tuple[str, int, int, float]]:
    """Decode frame by frame, as the definition says: label, first frame, frame after the last, confidence."""
    best = log_probs.argmax(1)
    labels = log_probs[:, 1:].argmax(1) + 1
    pauses = [t for t in range(PAUSE - 1, len(labels)) if (labels[t - PAUSE + 1 : t + 1] == SILENCE).all()]
    best[[t for t in pauses if best[t] == 0]] = SILENCE
    spikes = spikes_of(best, labels)
    starts: list[int] = []
    owns: list[int] = []  # where its own run begins
    ends: list[int] = []
    for index, (a, b) in enumerate(spikes):
        start = a
        while start and labels[start - 1] == labels[a] and a - start < REACH:
            start -= 1
        end = b + 1
        while end < len(labels) and labels[end] == labels[a]:
            end += 1
        own = start
        if index and ends[-1] > start:  # the same run
            cut = max((spikes[index - 1][1] + 1 + a) // 2, start)
            ends[-1] = start = own = cut
        elif index:
            while start and labels[start - 1] == labels[a]:
                start -= 1
            between = labels[spikes[index - 1][0] : a + 1]
            near = start - ends[-1] <= BRIDGE and SILENCE not in between
            start = max(ends[-1], a - REACH) if near else own
        starts.append(start)
        owns.append(own)
        ends.append(end)
    probs = np.exp(log_probs.astype(np.float64))
    found = []
    for (a, _), start, own, end in zip(spikes, starts, owns, ends, strict=True):
        ratio = probs[own:end, best[a]] / probs[own:end, 1:].sum(1)
        found.append((LABELS[best[a]], start, end, float(ratio.mean())))
    return found


def run(log_probs: NDArray[np.float32], block: int) -> list[Segment]:
    ctc = decoder()
    found = []
    for begin in range(0, len(log_probs), block):
        found += ctc.push(Frames(log_probs[begin : begin + block], begin))
    return found + ctc.flush(len(log_probs) * STEP)


@pytest.mark.parametrize("seed", range(20))
def test_any_cutting_gives_the_same_finals_and_they_are_the_definitions(seed: int) -> None:
    log_probs = random_log_probs(500, seed)
    expected = finals(run(log_probs, 500))
    for block in (1, 2, 7, 64, 160, 481):
        assert finals(run(log_probs, block)) == expected, f"seed {seed}, blocks of {block}"
    definition = whole(log_probs)
    assert [(s.label, round(s.start / STEP), round(s.end / STEP)) for s in expected] == [d[:3] for d in definition]
    np.testing.assert_allclose([s.confidence for s in expected], [d[3] for d in definition], atol=1e-5)
    assert [s.id for s in expected] == list(range(len(expected)))
    assert all(a.end <= b.start + 1e-9 for a, b in pairwise(expected))
    assert len(expected) > 30


@pytest.mark.parametrize("block", [1, 7, 64])
def test_partials_grow_and_come_before_their_final(block: int) -> None:
    ids = check_partials(run(random_log_probs(800, 0), block))
    assert ids == list(range(len(ids)))  # in order, none left out


@pytest.mark.parametrize("seed", range(5))
def test_restored_equals_uninterrupted_at_every_frame(seed: int) -> None:
    check_restored(decoder, random_log_probs(120, seed), 120 * STEP, f"seed {seed}")


@pytest.mark.parametrize("seed", range(5))
def test_causal(seed: int) -> None:
    log_probs = random_log_probs(300, seed)
    ctc = decoder()
    early = finals(ctc.push(Frames(log_probs[:150], 0)))
    other = finals(ctc.push(Frames(random_log_probs(150, seed + 100), 150)))
    assert finals(run(log_probs, 300))[: len(early)] == early
    assert [s.id for s in early + other] == list(range(len(early + other)))


def test_reset_equals_fresh_and_flush_keeps_counting() -> None:
    log_probs = random_log_probs(100, 0)
    expected = run(log_probs, 100)
    ctc = decoder()
    ctc.push(Frames(random_log_probs(77, 1), 5, origin=3.0))
    ctc.reset()
    assert ctc.push(Frames(log_probs, 0)) + ctc.flush(3.0) == expected
    again = ctc.push(Frames(log_probs, 0, origin=9.0)) + ctc.flush(12.0)
    assert [s.label for s in again] == [s.label for s in expected]
    np.testing.assert_allclose([s.start for s in again], [s.start + 9 for s in expected])
    assert again[0].id == finals(expected)[-1].id + 1


def spikes(text: str) -> NDArray[np.float32]:
    """Write frames: an upper-case letter is a spike, a lower-case one a blank under which that letter is best."""
    probs = np.full((len(text), len(LABELS)), 0.01)
    for t, letter in enumerate(text):
        probs[t, LABELS.index(letter.upper())] = 0.6 if letter.isupper() else 0.3
        probs[t, 0] = 0.2 if letter.isupper() else 0.65
    log_probs: NDArray[np.float32] = np.log(probs).astype(np.float32)
    return log_probs


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("aAabBb", "A0-3 B3-6"),
        ("aaaabB", "B4-6"),  # without a spike no token
        ("AAaA", "A0-2 A2-4"),  # a blank between: two tokens
        ("AaaaaA", "A0-3 A3-6"),  # shared at the midpoint
        ("AbA", "A0-1 A1-3"),  # what lies between belongs to the second
        ("AbcbaA", "A0-1 A1-6"),
        ("AbcbbB", "A0-1 B1-6"),
        ("AbcbcB", "A0-1 B5-6"),  # if it is not long
        ("AbdbB", "A0-1 B3-5"),  # and no silence
        ("DbB", "D0-1 B1-3"),
        ("DbcC", "D0-1 C2-4"),
        ("abB", "B1-3"),
        ("a" * 15 + "A", "A5-16"),  # no further back than the reach
        ("A" + "a" * 30 + "A", "A0-21 A21-32"),  # nor to the midpoint
        ("abcd", ""),
        ("dd", ""),  # too short for a pause without a spike
        ("addda", "D1-4"),
        ("Dadd", "D0-1"),
        ("dDdddDd", "D0-7"),  # one pause, spikes or not
        ("AdddA", "A0-1 D1-4 A4-5"),
        ("d" * 20, "D0-20"),
        ("", ""),
    ],
)
def test_times(text: str, expected: str) -> None:
    found = finals(run(spikes(text), 1))
    assert " ".join(f"{s.label}{round(s.start / STEP)}-{round(s.end / STEP)}" for s in found) == expected


def test_confidence_is_without_the_blank() -> None:
    (segment,) = finals(run(spikes("Aa"), 2))
    assert segment.confidence == pytest.approx((0.6 / 0.63 + 0.3 / 0.33) / 2)
    certain = np.array([[-np.inf, 0.0, -np.inf, -np.inf, -np.inf]], np.float32)
    (segment,) = finals(run(certain, 1))
    assert segment.confidence == 1.0


def test_flush_ends_at_the_end_of_the_sound() -> None:
    ctc = decoder()
    ctc.push(Frames(spikes("AAA"), 0))
    assert [(s.start, s.end) for s in ctc.flush(0.07)] == [(0.0, 0.07)]
    assert ctc.flush(0.07) == []


def test_skipped_frames_end_a_token_but_begin_none() -> None:
    ctc = decoder()
    found = ctc.push(Frames(spikes("aA"), 0)) + ctc.push(Frames(spikes("AabB"), 7)) + ctc.flush(11 * STEP)
    kept = [(s.label, round(s.start / STEP), round(s.end / STEP)) for s in finals(found)]
    assert kept == [("A", 0, 2), ("B", 9, 11)]


def test_memory_is_flat_while_one_token_lasts() -> None:
    ctc = decoder()
    ctc.push(Frames(spikes("A"), 0))
    for t in range(1, 3000):
        ctc.push(Frames(spikes("a"), t))
        assert len(ctc.to_bytes()) < 1000
    (segment,) = ctc.flush(3000 * STEP)
    assert (segment.start, segment.end) == (0.0, 90.0)


def test_nothing_begins_before_settled() -> None:
    check_settled(decoder(), random_log_probs(500, 3))


def test_misuse_is_refused() -> None:
    check_misuse(decoder(), 5)
    with pytest.raises(InputError, match="blank"):
        GreedyCTC(LABELS, 5, STEP)
    with pytest.raises(InputError, match="silence must be another of 5 columns than the blank, 0; got 0"):
        GreedyCTC(LABELS, 0, STEP, silence=0)
    with pytest.raises(InputError, match="above 0 s"):
        GreedyCTC(LABELS, 0, 0.0)


TOKEN = {"id": 0, "label": 1, "start": 0, "own": 0, "first": 1, "last": 1, "before": 0.0, "share": 1.0}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("settings", [list(LABELS), 0]),
        ("settings/labels", "ABCDE"),
        ("settings/labels", [1, 2, 3, 4, 5]),
        ("settings/blank", 0.0),
        ("settings/reach", 10**400),
        ("saved/next", "x"),
        ("saved/next", None),
        ("saved/next", 5),
        ("saved/origin", "0"),
        ("saved/best", 5),
        ("saved/label", -2),
        ("saved/run", 4),
        ("saved/ended", 4),
        ("saved/ended", -1),
        ("saved/base", -1),
        ("saved/count", True),
        ("saved/token", [0, 1, 0, 1, 1, 0.0]),
        ("saved/token", {**TOKEN, "label": 5}),
        ("saved/token", {**TOKEN, "start": 2}),
        ("saved/token", {**TOKEN, "own": 2}),
        ("saved/token", {**TOKEN, "last": 3}),
        ("sums", np.zeros(0)),
        ("sums", np.zeros(4, np.float32)),
        ("sums", np.zeros((4, 1))),
        ("sums", np.array([0.0, 1.0, np.nan, 2.0])),
    ],
)
def test_forged_bytes_are_refused(path: str, value: Any) -> None:
    ctc = decoder()
    ctc.push(Frames(spikes("aAa"), 0))
    data = ctc.to_bytes()
    assert forged(data, "ctc", "saved/token", TOKEN) == data, "the example is right but for what is forged"
    with pytest.raises(InputError, match="a saved 'ctc' is damaged"):
        decoder().restore(forged(data, "ctc", path, value))


def test_a_forged_end_behind_the_run_that_goes_on_is_refused() -> None:
    ctc = decoder()
    ctc.push(Frames(spikes("Abb"), 0))
    data = ctc.to_bytes()
    assert forged(data, "ctc", "saved/ended", 1) == data
    with pytest.raises(InputError, match="a saved 'ctc' is damaged"):
        decoder().restore(forged(data, "ctc", "saved/ended", 2))
