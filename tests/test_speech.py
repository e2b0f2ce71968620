from collections.abc import Iterator
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import soundfile
import soxr
from numpy.typing import NDArray

from accumulator import accumulator
from helpers import SAMPLES, tiny_manifest, tiny_model
from streamcell.runtime import Gap, GapPolicy, InputError, Model, Segment, Stream
from streamcell.runtime.frames import Frames
from streamcell.runtime.posteriors import Posteriors
from streamcell.runtime.speech import SpeechDetector, speech_of
from streamcell.train.data.utterances import read_corpus

NAMES = ("learner", "reader", "volunteer")
NEAR = 0.1 + 2 * 0.04  # the padding, and two steps of the default model
OUTPUT = replace(tiny_manifest().outputs[0], labels=("noise", "speech", "a", "b", "c", "d"), blank=None, silence=None)


@pytest.fixture(scope="module")
def model() -> Model:
    return Model.open()


@cache
def joined(rate: int = 16000) -> tuple[NDArray[np.float32], list[tuple[float, float]]]:
    """Return the recordings with 1 s of silence between them, and when someone speaks in them."""
    parts, spoken, end = [], [], 0.0
    truth = {one.id: [(a, b) for a, b, label in one.phones if label != "SIL"] for one in read_corpus(SAMPLES, ".")}
    for name in NAMES:
        sound = np.asarray(soundfile.read(SAMPLES / f"{name}.flac", dtype="float32")[0])
        first, (begin, length) = truth[name][0], truth[name][-1]
        spoken.append((end + first[0], end + begin + length))
        parts += [sound, np.zeros(16000, np.float32)]
        end += len(sound) / 16000 + 1.0
    whole = np.concatenate(parts)
    return (whole if rate == 16000 else np.asarray(soxr.resample(whole, 16000, rate))), spoken


def blocks(sound: NDArray[np.float32], size: int) -> Iterator[NDArray[np.float32]]:
    return (sound[begin : begin + size] for begin in range(0, len(sound), size))


def run(detector: SpeechDetector, sound: NDArray[np.float32], size: int) -> list[Segment | Gap]:
    return [event for block in blocks(sound, size) for event in detector.push(block)] + detector.flush()


def times(events: list[Segment | Gap]) -> list[tuple[float, float]]:
    return [(event.start, event.end) for event in events if isinstance(event, Segment)]


@pytest.mark.parametrize("rate", [16000, 8000, 44100, 48000])
def test_the_phoneme_model_tells_where_someone_speaks(model: Model, rate: int) -> None:
    sound, spoken = joined(rate)
    found = times(run(SpeechDetector(model, rate, min_gap=0.4), sound, rate // 100))
    np.testing.assert_allclose(found, spoken, atol=NEAR)


def test_any_cutting_into_blocks_gives_the_same(model: Model) -> None:
    sound, _ = joined()
    expected = run(SpeechDetector(model), sound, len(sound))
    for size in (7, 160, 481, 5000):
        found = run(SpeechDetector(model), sound, size)
        assert times(found) == times(expected)
        assert [e.id for e in found if isinstance(e, Segment)] == list(range(len(found)))
    assert all(0.9 < e.confidence < 1 for e in expected if isinstance(e, Segment))
    assert times(run(SpeechDetector(model, quality="file"), sound, 5000)) == times(expected)


def test_speech_is_not_silence_without_the_blank(model: Model) -> None:
    sound, _ = joined()
    (frames,) = Posteriors(model, quality="file").push(sound)
    odds = np.exp(frames.values.astype(np.float64))
    output = model.manifest.outputs[0]
    expected = 1 - odds[:, output.labels.index("SIL")] / (odds.sum(1) - odds[:, output.blank or 0])
    np.testing.assert_allclose(speech_of(model)(frames), expected, atol=1e-5)


def test_a_label_called_speech_is_speech_and_the_models_settings_count() -> None:
    settings = {"threshold": 0.3, "release": 0.2, "min_duration": 0.02, "min_gap": 0.03, "padding": 0.01}
    tiny = Model.open(tiny_model(task="frames", outputs=(OUTPUT,), decoder=settings))
    values = np.random.default_rng(0).standard_normal((9, 6)).astype(np.float32)
    np.testing.assert_array_equal(speech_of(tiny)(Frames(values, 0)), Frames(values, 0).probs[:, 1])
    sound = np.random.default_rng(0).standard_normal(40000).astype(np.float32) * np.float32(0.3)
    stream = Stream(tiny)
    events = stream.push(sound) + stream.flush()
    expected = [(e.start, e.end) for e in events if isinstance(e, Segment) and e.final and e.label == "speech"]
    assert len(expected) > 10
    assert times(run(SpeechDetector(tiny), sound, 481)) == expected
    given = SpeechDetector(tiny, threshold=0.1, min_gap=0.01, min_duration=None)
    kept = given._splitter._settings
    assert (kept.threshold, kept.release, kept.min_duration) == (0.1, 0.01, 0.02)
    assert (kept.min_gap, kept.padding) == (0.01, 0.005)


def test_a_decoder_of_another_kind_has_no_settings_for_speech() -> None:
    tiny = Model.open(tiny_model(task="frames", outputs=(OUTPUT,), decoder={"name": "smoothed", "threshold": 0.9}))
    usual = SpeechDetector(Model.open(tiny_model(task="frames", outputs=(OUTPUT,))))
    assert SpeechDetector(tiny)._splitter._settings == usual._splitter._settings


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (tiny_model(outputs=(replace(tiny_manifest().outputs[0], silence=None),)), "label 'speech', or one of task"),
        (tiny_model(task="frames"), "tiny does not tell where speech is"),
        (accumulator(), "takes features, not audio"),
    ],
)
def test_a_model_that_tells_no_speech_is_refused(data: bytes, words: str) -> None:
    with pytest.raises(InputError, match=words):
        SpeechDetector(Model.open(data))


def test_arguments_are_checked(model: Model) -> None:
    for settings, words in (
        ({"invalid": "skip"}, "invalid must be 'error' or 'gap', got 'skip'"),
        ({"max_seconds": 0.1}, "max_duration must be at least"),
        ({"threshold": 2.0}, "threshold must be"),
        ({"quality": "best"}, "quality must be"),
    ):
        with pytest.raises(InputError, match=words):
            SpeechDetector(model, **settings)


def test_samples_that_are_no_numbers_are_errors_or_gaps(model: Model) -> None:
    sound = joined()[0].copy()
    sound[20000:20100] = np.nan
    detector = SpeechDetector(model)
    with pytest.raises(InputError, match="100 values that are NaN"):
        detector.push(sound)
    assert detector.time == 0.0
    found = run(SpeechDetector(model, invalid="gap"), sound, 5000)
    assert [event for event in found if isinstance(event, Gap)] == [Gap(1.25, 1.25625, 100, "invalid", "fill")]
    plain = run(SpeechDetector(model), joined()[0], 5000)
    np.testing.assert_allclose(times(found)[1:], times(plain)[1:], atol=0.07)


@pytest.mark.parametrize(("seconds", "action"), [(0.5, "fill"), (20.0, "reset")])
def test_lost_samples_move_the_clock_and_a_long_gap_ends_speech(model: Model, seconds: float, action: str) -> None:
    sound, spoken = joined()
    detector = SpeechDetector(model, min_gap=0.4)
    found = detector.push(sound[:16000])
    assert detector.settled == pytest.approx(spoken[0][0], abs=NEAR)
    found += detector.gap(round(seconds * 16000), "overflow")
    assert [e.action for e in found if isinstance(e, Gap)] == [action]
    assert detector.time == 1.0 + seconds
    assert detector.settled >= (1.0 + seconds if action == "reset" else 0.3)
    found += [*detector.push(sound[16000:]), *detector.flush()]
    assert times(found)[0] == pytest.approx((spoken[0][0], 1.0), abs=NEAR)
    np.testing.assert_allclose(times(found)[-1], [time + seconds for time in spoken[-1]], atol=NEAR)


def test_a_held_state_skips_time() -> None:
    tiny = Model.open(tiny_model(gap=GapPolicy("hold", 5.0), look_ahead=0))
    detector = SpeechDetector(tiny, threshold=0.01, min_duration=0.02, min_gap=0.02)
    events = detector.push(np.zeros(1600, np.float32)) + detector.gap(1600) + detector.push(np.zeros(1600, np.float32))
    assert times(events + detector.flush())[-1][1] == 3.0
