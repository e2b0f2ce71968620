"""Endless streams: every label on time, nothing lost at a cut, continued exactly."""

from pathlib import Path

import numpy as np
import pytest

from streamcell.train.data.lanes import SILENCE, Lanes
from streamcell.train.data.utterances import Recordings, Utterance, read_corpus
from streamcell.train.recipe import LABELS, AugmentRecipe

PLAIN = AugmentRecipe(speed_share=0, noise_share=0, band_share=0, level_dbfs=(-20, -20), pause_s=(0.1, 0.3))


def lanes_of(
    corpus: Path,
    *,
    lanes: int = 2,
    steps: int = 20,
    look_ahead: int = 3,
    augment: AugmentRecipe = PLAIN,
    weights: float = 1.0,
    reset_share: float = 0.0,
) -> Lanes:
    utterances = read_corpus(corpus, "speech/train")
    recordings = Recordings([one.audio for one in utterances], 16000, corpus / "cache")
    return Lanes(
        utterances,
        [weights] * len(utterances),
        recordings,
        [],
        augment,
        lanes=lanes,
        steps=steps,
        samples_per_step=480,
        look_ahead=look_ahead,
        reset_share=reset_share,
        seed=5,
    )


def spoken(utterances: list[Utterance]) -> dict[str, list[str]]:
    return {one.id: [p for _, _, p in one.phones if p != "SIL"] for one in utterances}


@pytest.mark.parametrize("steps", [1, 7, 33, 400])
def test_chunks_are_pieces_of_one_stream(corpus: Path, steps: int) -> None:
    look_ahead = 3
    long, short = lanes_of(corpus, lanes=1, steps=2800), lanes_of(corpus, lanes=1, steps=steps)
    whole = long.draw()
    parts = [short.draw() for _ in range(2800 // steps)]
    frames = np.concatenate([part.frames[0] for part in parts])
    samples = np.concatenate([part.samples[0] for part in parts])
    first = 80  # within the first recording; the lanes' random numbers are drawn in another order after it
    assert np.array_equal(samples[: first * 480], whole.samples[0, : first * 480])
    assert np.array_equal(frames[:first], whole.frames[0, :first])
    assert (frames[:look_ahead] == SILENCE).all()


def test_no_phone_is_lost_or_doubled_at_a_cut(corpus: Path) -> None:
    lanes = lanes_of(corpus, lanes=1, steps=13)
    heard = [LABELS[token] for _ in range(130) for token in lanes.draw().tokens[0] if token != SILENCE]
    sequences = spoken(read_corpus(corpus, "speech/train"))
    while len(heard) > max(map(len, sequences.values())):
        match = [name for name, phones in sequences.items() if heard[: len(phones)] == phones]
        assert match, f"{heard[:40]} is the beginning of none of {list(sequences)}"
        heard = heard[len(sequences[match[0]]) :]


def test_frames_carry_the_label_of_the_middle_of_what_they_describe(corpus: Path) -> None:
    utterance = read_corpus(corpus, "speech/train")[0]
    recordings = Recordings([utterance.audio], 16000, corpus / "cache")
    quiet = AugmentRecipe(speed_share=0, noise_share=0, band_share=0, pause_s=(0.0, 0.0))
    lanes = Lanes(
        [utterance],
        [1.0],
        recordings,
        [],
        quiet,
        lanes=1,
        steps=80,
        samples_per_step=480,
        look_ahead=2,
        reset_share=0,
        seed=1,
    )
    frames = lanes.draw().frames[0]
    for t in range(2, 80):
        middle = (t - 2 + 0.5) * 0.03
        label = next(p for s, d, p in utterance.phones if s <= middle < s + d)
        assert LABELS[frames[t]] == label, f"frame {t}, {middle:.3f} s"


def test_a_pass_hears_each_recording_as_often_as_its_weight_says(corpus: Path) -> None:
    lanes = lanes_of(corpus, weights=2.5)
    drawn = np.array([lanes._next() for _ in range(300)])
    counts = np.bincount(drawn)
    assert counts.max() - counts.min() < 15, counts
    passes: list[int] = []
    while len(passes) < 20:
        lanes._deck = lanes._deck[:0]
        passes.append(len([lanes._next(), *lanes._deck]))
    assert 6 <= min(passes) < max(passes) <= 9, passes


def test_continued_from_its_state_it_draws_the_same(corpus: Path) -> None:
    one, other = lanes_of(corpus, augment=AugmentRecipe()), lanes_of(corpus, augment=AugmentRecipe())
    for _ in range(5):
        one.draw()
    other.load_state_dict(one.state_dict())
    for _ in range(10):
        a, b = one.draw(), other.draw()
        assert np.array_equal(a.samples, b.samples)
        assert np.array_equal(a.frames, b.frames)
        assert np.array_equal(a.fresh, b.fresh)
        assert a.tokens == b.tokens


def test_a_fresh_lane_is_not_asked_for_what_it_has_not_heard(corpus: Path) -> None:
    lanes = lanes_of(corpus, lanes=8, steps=20, reset_share=0.2)
    before = [segments.copy() for segments in lanes.state_dict()["segments"]]
    seen = 0
    for _ in range(40):
        chunk = lanes.draw()
        for row in np.flatnonzero(chunk.fresh):
            assert (chunk.frames[row, :3] == SILENCE).all()
            unheard = [label for start, end, label in before[row].tolist() if label != SILENCE and start + end < 0]
            assert not unheard or chunk.tokens[row][: len(unheard)] != unheard
            seen += 1
        before = [segments.copy() for segments in lanes.state_dict()["segments"]]
    assert seen > 20
