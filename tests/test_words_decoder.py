import itertools
import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from decoding import check_causal, check_misuse, check_restored, check_settled, finals, heard
from helpers import LABELS, SAMPLES, forged
from speaking import OUTPUT, STEP, WORDS, spoken
from streamcell.runtime import Model
from streamcell.runtime.errors import InputError
from streamcell.runtime.events import Segment
from streamcell.runtime.find_words import find_words
from streamcell.runtime.frames import Frames
from streamcell.runtime.manifest import OutputSpec
from streamcell.runtime.words import Lexicon, WordDecoder
from streamcell.runtime.words.graph import Chains, Rows


def decoder(**settings: Any) -> WordDecoder:
    return WordDecoder(OUTPUT, WORDS, longest=1.5, delay=2.0, **settings)


def collapsed(labels: tuple[int, ...], pauses: bool) -> tuple[int, ...]:
    """Return what CTC reads: repeats merged, blanks (and silence) dropped."""
    kept = [label for label, _ in itertools.groupby(labels)]
    return tuple(label for label in kept if label and not (pauses and label == 1))


@pytest.mark.parametrize("phones", ["S AA", "B AA K", "K K AA", "B"])
def test_chains_score_the_best_of_all_paths(phones: str) -> None:
    words = (tuple(phones.split()),)
    columns = tuple(LABELS.index(phone) for phone in words[0])
    rows = Rows(LABELS, 0, 1, 8.0).read(np.random.default_rng(3).normal(0, 3, (5, len(LABELS))).astype(np.float32))
    chains = Chains([words], {label: column for column, label in enumerate(LABELS)}, 0, len(LABELS))
    scores, marks = chains.fresh()
    for length, row in enumerate(rows, 1):
        chains.step(scores, marks, row.scores, np.float64(0.0 if length == 1 else -np.inf), np.int64(length))
        paths = [p for p in itertools.product(range(len(LABELS)), repeat=length) if collapsed(p, False) == columns]
        best = [sum(r.scores[c] for r, c in zip(rows, p, strict=False)) for p in paths if p[0] and p[-1]]
        assert scores[chains.last[0]] == pytest.approx(max(best, default=-math.inf))
    assert marks[chains.last[0]] == 1


def test_between_words_a_pause_may_be_silence() -> None:
    ways = [(("S",), ("S",))]
    rows = Rows(LABELS, 0, 1, 8.0).read(np.eye(6, dtype=np.float32)[[5, 1, 5]])
    chains = Chains(ways, {label: column for column, label in enumerate(LABELS)}, 0, len(LABELS))
    scores, marks = chains.fresh()
    for row in rows:
        chains.step(scores, marks, row.scores, np.float64(0.0), np.int64(0))
    assert scores[chains.last[0]] == 0.0


def brute(values: NDArray[np.float32], bonus: float, other: float) -> list[str]:
    """Return the words of the best of all paths, tried one by one."""
    rows = Rows(LABELS, 0, 1, 8.0).read(values)
    found: tuple[float, list[str]] = (-math.inf, [])
    strings = {e.text: [LABELS.index(p) for p in e.ways[0][0]] for e in WORDS.entries}

    def waits(frame: int, score: float, words: list[str], just: int) -> None:
        nonlocal found
        if frame == len(rows):
            found = max(found, (score, words))
            return
        row = rows[frame]
        spike = row.best > 1 and (not frame or rows[frame - 1].best != row.best)
        waits(frame + 1, score + max(row.scores[-1], -other if spike else 0.0), words, -1)
        for text, string in strings.items():
            if string[0] != just:
                speaks(frame, 0, score, [*words, text], string)

    def speaks(frame: int, place: int, score: float, words: list[str], string: list[int]) -> None:
        if frame == len(rows):
            return
        row, phone = rows[frame], string[place // 2]
        score += row.scores[0 if place % 2 else phone]
        if place == 2 * len(string) - 2:
            waits(frame + 1, score + bonus * len(string), words, phone)
        else:
            speaks(frame + 1, place + 1, score, words, string)
            if place % 2 == 0 and string[place // 2 + 1] != phone:
                speaks(frame + 1, place + 2, score, words, string)
        speaks(frame + 1, place, score, words, string)

    waits(0, 0.0, [], -1)
    return found[1]


@pytest.mark.parametrize("seed", range(12))
def test_words_are_those_of_the_best_of_all_paths(seed: int) -> None:
    values = np.random.default_rng(seed).normal(0, 2, (8, len(LABELS))).astype(np.float32)
    values[:, 0] -= 2
    one = decoder(bonus=2.0, other=3.0)
    found = one.push(Frames(values, 0)) + one.flush(8 * STEP)
    assert [s.label for s in finals(found)] == brute(values, 2.0, 3.0)


def test_some_words_are_found_by_brute_force() -> None:
    values = np.random.default_rng(0).normal(0, 2, (8, len(LABELS))).astype(np.float32)
    values[:, 0] -= 2
    assert brute(values, 2.0, 3.0)


def test_any_cutting_gives_the_same_words() -> None:
    values = spoken(600, seed=1)
    whole = decoder()
    expected = [*finals(whole.push(Frames(values, 0))), *whole.flush(600 * STEP)]
    assert len(expected) > 20
    assert {s.label for s in expected} <= {e.text for e in WORDS.entries}
    assert all(a.end <= b.start for a, b in itertools.pairwise(expected))
    assert [s.id for s in expected] == list(range(len(expected)))
    for size in (1, 7, 64):
        one = decoder()
        found = [s for k in range(0, 600, size) for s in one.push(Frames(values[k : k + size], k))]
        assert [*finals(found), *one.flush(600 * STEP)] == expected
        check_revisions([*found, *expected[len(finals(found)) :]])


def check_revisions(found: list[Segment]) -> None:
    """Check that partials come before their final, and revisions rise."""
    last: dict[int, Segment] = {}
    for segment in found:
        before = last.get(segment.id)
        assert before is None or (not before.final and segment.revision > before.revision)
        last[segment.id] = segment


def test_words_settle_while_they_are_spoken() -> None:
    values = spoken(400, seed=2)
    one = decoder()
    check_causal(one, values, [*finals(decoder().push(Frames(values, 0)))])
    check_settled(decoder(), values)
    check_restored(decoder, spoken(90, seed=3), 90 * STEP, "words")
    check_misuse(decoder(), len(LABELS))


def test_what_no_token_agrees_on_is_told_after_the_delay() -> None:
    one = WordDecoder(OUTPUT, Lexicon.of(["/S/", "/S S/"]), longest=1.0, delay=1.0, bonus=0.0)
    values = np.zeros((400, len(LABELS)), np.float32)
    values[:, 0] = 6.0
    values[::4, 5] = 12.0  # one of either kind, again and again
    found = finals([s for k in range(400) for s in one.push(Frames(values[k : k + 1], k))])
    assert len(found) > 50
    assert all(later.start >= a.start for a, later in itertools.pairwise(found))
    assert len(one.to_bytes()) < 40_000


def test_other_speech_is_left_out() -> None:
    values = np.full((60, len(LABELS)), -9.0, np.float32)
    values[:, 0] = 0.0
    for frame, phone in zip(range(5, 60, 5), ["B", "B", "B", "S", "AA", *["B"] * 6], strict=True):
        values[frame, LABELS.index(phone)] = 9.0
    one = decoder(other=1.0)
    assert [s.label for s in finals([*one.push(Frames(values, 0)), *one.flush(60 * STEP)])] == ["/S AA/"]


def spaced(pause: int) -> NDArray[np.float32]:
    """Return S and AA with a pause of frames between them, and much silence behind."""
    values = np.full((pause + 60, len(LABELS)), -9.0, np.float32)
    values[:, 0], values[:, 1] = 2.0, 0.0
    for frame, phone in ((2, "S"), (3 + pause, "AA")):
        values[frame, LABELS.index(phone)] = 9.0
    return values


def test_what_was_said_is_told_in_the_silence_behind_it() -> None:
    one, values = decoder(hush=0.3), spaced(4)
    told = [bool(finals(one.push(Frames(values[t : t + 1], t)))) for t in range(len(values))]
    assert 8 < told.index(True) <= 8 + 0.3 / STEP + 8
    assert one.settled == pytest.approx(len(values) * STEP)


@pytest.mark.parametrize(("pause", "words"), [(8, ["/S AA/"]), (12, [])])
def test_no_word_survives_a_long_silence(pause: int, words: list[str]) -> None:
    one = decoder(hush=0.3)
    found = [*one.push(Frames(spaced(pause), 0)), *one.flush(60 * STEP)]
    assert [segment.label for segment in finals(found)] == words


def test_scores_stay_bounded() -> None:
    one = decoder(other=None)
    rough = np.random.default_rng(5).normal(0, 9, (4000, len(LABELS))).astype(np.float32)
    one.push(Frames(rough, 0))
    again = decoder(other=None)
    again.restore(one.to_bytes())
    assert again.push(Frames(rough[:50], 4000)) == one.push(Frames(rough[:50], 4000))


def test_a_hole_ends_what_goes_on() -> None:
    values = spoken(120, seed=4)
    one = decoder()
    before = [*finals(one.push(Frames(values, 0))), *finals(one.push(Frames(values, 200)))]
    two = decoder()
    assert before[: len(WORDS.entries)] == [*finals(two.push(Frames(values, 0))), *two.flush(math.inf)][:4]
    assert heard(two, values, [0]) is not None


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("saved/first", -1),
        ("saved/told", 10_000),
        ("saved/best", 99),
        ("saved/phone", -2),
        ("marks", np.zeros(3, np.int64)),
        ("marks", np.full(16, -1)),
        ("runs", np.full(51, 99_999)),
        ("scores", np.full(16, np.nan)),
        ("waiting", np.full(2, -np.inf)),
        ("history", np.zeros((1, 8))),
        ("history", np.zeros((1, 7))),
        ("history_count", np.zeros(2, np.int64)),
    ],
)
def test_saved_words_that_cannot_be_are_refused(path: str, value: Any) -> None:
    one = decoder()
    one.push(Frames(spoken(100, seed=1), 0))
    with pytest.raises(InputError, match="damaged"):
        decoder().restore(forged(one.to_bytes(), "words", path, value))


def test_another_vocabulary_cannot_go_on() -> None:
    other = WordDecoder(OUTPUT, Lexicon.of(["/S AA/"]), longest=1.5, delay=2.0)
    with pytest.raises(InputError, match="settings are others"):
        other.restore(decoder().to_bytes())


def test_arguments_that_make_no_sense() -> None:
    with pytest.raises(InputError, match="bonus must be a number from 0"):
        decoder(bonus=-1.0)
    with pytest.raises(InputError, match="other must be a number from 0"):
        decoder(other=math.inf)
    with pytest.raises(InputError, match="hush must be a number above 0"):
        decoder(hush=0)
    with pytest.raises(InputError, match="floor must be a number above 0"):
        decoder(floor=0)
    with pytest.raises(InputError, match="delay must be at least as long as the longest word, 3"):
        WordDecoder(OUTPUT, WORDS, delay=1.0)
    with pytest.raises(InputError, match="the model has no label 'ZH'; it has SIL, AA"):
        WordDecoder(OUTPUT, Lexicon.of(["/ZH/"]))
    with pytest.raises(InputError, match="words need a model of phones trained with CTC"):
        WordDecoder(OutputSpec("p", "logits", ("A", "B"), None, None, 0.03), WORDS)


def test_words_of_a_recording() -> None:
    model = Model.open()
    texts = [
        "/DH EH R/",
        "/IH Z/",
        "/AH/",
        "/P AH L IY S/",
        "/S T EY SH AH N/",
        "/AA N/",
        "/DH AH/",
        "/M EY N/",
        "/R OW D/",
    ]
    words = WordDecoder(model.manifest.outputs[0], Lexicon.of(texts))
    found = find_words(model, SAMPLES / "volunteer.flac", words).segments
    assert {"/S T EY SH AH N/", "/AA N/", "/M EY N/"} <= {s.label for s in found}
    assert {s.label for s in found} <= set(texts)
    assert found == find_words(model, SAMPLES / "volunteer.flac", words).segments  # it begins anew
