from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from helpers import Tape, tiny_model
from streamcell.runtime.errors import InputError, SourceError
from streamcell.runtime.events import Event, Gap, Segment, is_final
from streamcell.runtime.formats import jsonl
from streamcell.runtime.model import Model
from streamcell.runtime.sources import AudioFile
from streamcell.runtime.stream import Stream
from streamcell.runtime.transcribe import Heard, listen, transcribe_file

SPEECH = Path("samples/phonemes/reader.flac")


@pytest.fixture(scope="module")
def model() -> Model:
    return Model.open(tiny_model(samples_per_step=160, sample_rate=16000))


def rounded(events: Iterable[Event]) -> list[str]:
    """Write events with three decimals: how many steps share a call may change the seventh of a confidence."""
    return [jsonl.line(event) for event in events]


def at_once(model: Model, path: Path) -> list[Event]:
    with AudioFile(path, 100.0) as audio:
        stream = Stream(model, audio.sample_rate, quality="file")
        (block,) = audio
    return [event for event in stream.push(block) + stream.flush() if is_final(event)]


@pytest.mark.parametrize("rate", [16000, 8000, 44100])
def test_a_file_gives_the_final_events_of_its_stream(rate: int, model: Model, tmp_path: Path) -> None:
    samples, _ = soundfile.read(SPEECH, dtype="float32")
    soundfile.write(tmp_path / "a.wav", samples, rate)
    transcript = transcribe_file(model, tmp_path / "a.wav")
    assert transcript.file == str(tmp_path / "a.wav")
    assert transcript.duration == len(samples) / rate
    assert not transcript.cut
    assert len(transcript.segments) > 5
    assert rounded(transcript.events) == rounded(at_once(model, tmp_path / "a.wav"))
    times = [time for segment in transcript.segments for time in (segment.start, segment.end)]
    assert times == sorted(times)
    assert times[-1] <= transcript.duration + 0.011


@pytest.mark.parametrize("length", [1, 80, 159])
def test_less_than_a_step_is_no_event(length: int, model: Model, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.full(length, 0.1), 16000)
    transcript = transcribe_file(model, tmp_path / "a.wav")
    assert transcript.events == ()
    assert transcript.duration == length / 16000


def test_a_cut_file_gives_what_decodes(model: Model, tmp_path: Path) -> None:
    path = tmp_path / "a.flac"
    path.write_bytes(SPEECH.read_bytes()[: SPEECH.stat().st_size // 2])
    transcript = transcribe_file(model, path)
    assert transcript.cut
    assert 1 < transcript.duration < 2.5
    whole = transcribe_file(model, SPEECH)
    shared = [segment for segment in whole.segments if segment.end < transcript.duration - 1]
    assert shared
    assert rounded(transcript.segments[: len(shared)]) == rounded(shared)


def test_samples_that_are_no_audio_name_the_file(model: Model, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.full(1000, 30000.0), 16000, subtype="FLOAT")
    with pytest.raises(SourceError, match=str(tmp_path / "a.wav")):
        transcribe_file(model, tmp_path / "a.wav")


def test_samples_that_are_no_numbers_may_be_gaps(model: Model, tmp_path: Path) -> None:
    samples, _ = soundfile.read(SPEECH, dtype="float32")
    samples[16000:16400], samples[40000] = np.nan, np.inf
    soundfile.write(tmp_path / "a.wav", samples, 16000, subtype="FLOAT")
    with pytest.raises(SourceError, match=r"not a finite number, at 1\.000 s"):
        transcribe_file(model, tmp_path / "a.wav")
    transcript = transcribe_file(model, tmp_path / "a.wav", "gap")
    assert transcript.duration == len(samples) / 16000
    gaps = [event for event in transcript.events if isinstance(event, Gap)]
    assert [(gap.start, gap.samples, gap.reason) for gap in gaps] == [(1.0, 400, "invalid"), (2.5, 1, "invalid")]
    samples[~np.isfinite(samples)] = 0
    soundfile.write(tmp_path / "b.wav", samples, 16000, subtype="FLOAT")
    assert rounded(transcript.segments) == rounded(transcribe_file(model, tmp_path / "b.wav").segments)


@pytest.fixture(scope="module")
def speech() -> NDArray[np.float32]:
    return np.asarray(soundfile.read(SPEECH, dtype="float32")[0])


def finals(heard: list[Heard]) -> list[Event]:
    return [event for one in heard for event in one.events if is_final(event)]


def test_listening_gives_what_pushing_gives(model: Model, speech: NDArray[np.float32]) -> None:
    heard = list(listen(Stream(model, 16000), Tape(speech, {}), lambda _: False))
    stream = Stream(model, 16000)
    assert rounded(finals(heard)) == rounded(filter(is_final, stream.push(speech) + stream.flush()))
    assert heard[-1].seconds == pytest.approx(len(speech) / 16000)
    assert all(-100 <= one.level < 0 for one in heard)
    assert {one.latency for one in heard} == {0.06}


def test_lost_samples_become_gaps_where_they_were_lost(model: Model, speech: NDArray[np.float32]) -> None:
    heard = list(listen(Stream(model, 16000), Tape(speech, {20: 1600, -1: 320}), lambda _: False))
    gaps = [event for event in finals(heard) if isinstance(event, Gap)]
    assert [(gap.samples, gap.reason) for gap in gaps] == [(1600, "overflow"), (320, "overflow")]
    assert (gaps[0].start, gaps[0].end) == pytest.approx((0.6, 0.7))
    assert heard[-1].seconds == pytest.approx((len(speech) + 1920) / 16000)
    assert heard[20].dropped == 1600


def test_stopping_ends_with_a_flush(model: Model, speech: NDArray[np.float32]) -> None:
    heard = list(listen(Stream(model, 16000), Tape(speech, {}), lambda seconds: seconds >= 1))
    assert heard[-1].seconds == pytest.approx(1.02)
    last = [event for event in finals(heard) if isinstance(event, Segment)][-1]
    assert last.end == pytest.approx(1.02, abs=0.011)


def test_samples_that_are_no_numbers_have_no_level(model: Model, speech: NDArray[np.float32]) -> None:
    bad = speech[:4800].copy()
    bad[:480], bad[500], bad[1000] = np.nan, np.nan, -np.inf
    heard = list(listen(Stream(model, 16000, invalid="gap"), Tape(bad, {}), lambda _: False))
    plain = list(listen(Stream(model, 16000), Tape(speech[:4800], {}), lambda _: False))
    assert heard[0].level == -100
    np.testing.assert_allclose([one.level for one in heard[1:]], [one.level for one in plain[1:]], atol=0.1)
    assert [event.samples for event in finals(heard) if isinstance(event, Gap)] == [480, 1, 1]


def test_a_device_that_goes_away_is_an_error_after_what_was_heard(model: Model, speech: NDArray[np.float32]) -> None:
    heard: list[Heard] = []
    with pytest.raises(SourceError, match="unplugged"):
        heard.extend(listen(Stream(model, 16000), Tape(speech, {}, unplugged=True), lambda _: False))
    stream = Stream(model, 16000)
    assert rounded(finals(heard)) == rounded(filter(is_final, stream.push(speech) + stream.flush()))


def test_a_model_of_features_is_refused(model: Model) -> None:
    manifest = replace(
        model.manifest, input=replace(model.manifest.input, kind="features", sample_rate=100, samples_per_step=1)
    )
    other = Model(model._session, manifest, b"")
    with pytest.raises(InputError, match="takes features, not audio"):
        transcribe_file(other, SPEECH)
