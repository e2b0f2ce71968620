"""What a delay is made of, and that no segment comes later."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from helpers import SAMPLES, tiny_manifest, tiny_model
from streamcell.runtime import Model, Segment, Stream
from streamcell.runtime.cli.main import main
from streamcell.runtime.decode import make_decoder
from streamcell.runtime.delay import Delay, delay_of
from streamcell.runtime.errors import InputError, ModelError
from streamcell.runtime.sources import AudioFile
from streamcell.runtime.specs import InputSpec, OutputSpec

SPEECH = SAMPLES / "learner.flac"


def finals(model: Model, rate: int) -> list[tuple[Segment, float]]:
    """Push the recording 10 ms at a time, then silence; return final segments and when they came."""
    with AudioFile(SPEECH) as audio:
        samples = np.concatenate([*audio])
    heard = np.repeat(samples, rate // audio.sample_rate)
    heard = np.concatenate([heard, np.zeros(rate, np.float32)])
    stream, told = Stream(model, rate), []
    for begin in range(0, len(heard), rate // 100):
        events = stream.push(heard[begin : begin + rate // 100])
        told += [(one, stream.time) for one in events if isinstance(one, Segment) and one.final]
    return told


def test_a_greedy_segment_comes_exactly_that_long_after_its_end() -> None:
    model = Model.open("phonemes-en")
    told, delay = finals(model, 16000), delay_of(model.manifest)
    ended = [
        (segment.end, time)
        for (segment, time), (after, _) in pairwise(told)
        if after.start == segment.end and after.label != segment.label
    ]
    assert len(ended) > 8
    waits = [time - end for end, time in ended]
    assert waits == pytest.approx([delay.look_ahead + delay.decoder] * len(waits))
    assert delay.total == pytest.approx(delay.look_ahead + delay.decoder + delay.step)


def test_a_beam_segment_comes_no_later() -> None:
    model = Model.open("phonemes-en").with_decoder({"name": "ctc-beam", "delay": 0.3})
    told, delay = finals(model, 16000), delay_of(model.manifest)
    step = model.manifest.input.seconds_per_step
    assert delay.decoder == pytest.approx(round(0.3 / step) * step + step)
    waits = [time - a.end for (a, time), (b, _) in pairwise(told) if b.start == a.end and b.label != a.label]
    assert len(waits) > 8
    assert max(waits) <= delay.look_ahead + delay.decoder + 1e-9


def test_conversion_adds_what_the_resampler_holds() -> None:
    model = Model.open("phonemes-en")
    plain, converted = delay_of(model.manifest), delay_of(model.manifest, 48000)
    assert plain.resampler == 0.0
    assert converted.total - converted.resampler == pytest.approx(plain.total)
    assert 0.01 < converted.resampler < delay_of(model.manifest, 48000, "file").resampler < 0.05
    ended = [
        time - a.end for (a, time), (b, _) in pairwise(finals(model, 48000)) if b.start == a.end and b.label != a.label
    ]
    assert len(ended) > 8
    assert plain.look_ahead + plain.decoder < max(ended) <= converted.total


def test_a_fixed_call_waits_for_all_its_steps() -> None:
    manifest = tiny_manifest()
    step = manifest.input.seconds_per_step
    assert delay_of(replace(manifest, steps_per_call=4)).step == pytest.approx(4 * step)


def test_hysteresis_waits_for_its_gap() -> None:
    manifest = replace(tiny_manifest(), task="frames", decoder={"min_gap": 0.2, "padding": 0.0})
    step = manifest.outputs[0].seconds_per_step
    assert delay_of(manifest).decoder == pytest.approx(make_decoder(manifest).settings.gap_frames * step)
    assert delay_of(replace(manifest, decoder={"name": "smoothed"})).decoder == float("inf")


def test_what_has_no_delay_is_refused() -> None:
    features = replace(tiny_manifest(samples_per_step=1, sample_rate=50), input=InputSpec("x", "features", 50, 3, 1, 0))
    with pytest.raises(InputError, match="takes features at 50 Hz, got 100 Hz"):
        delay_of(features, 100)
    tokens = InputSpec("x", "tokens", 1, 1, 1, 0, symbols=("a", "b"), split="characters")
    output = OutputSpec("logits", "logits", ("a", "b"), None, None, seconds_per_step=1.0)
    with pytest.raises(ModelError, match="has no segments"):
        delay_of(replace(tiny_manifest(), task="next", input=tokens, outputs=(output,)))


def test_inspect_prints_the_parts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", "phonemes-en"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    delay = delay_of(Model.open("phonemes-en").manifest)
    for part in (delay.look_ahead, delay.step, delay.decoder, delay.total):
        assert f"{1000 * part:.0f} ms" in out
    for rate in (44100, 48000):
        held = delay_of(Model.open("phonemes-en").manifest, rate)
        assert f"from {rate} Hz: resampler {1000 * held.resampler:.0f} ms more, in all up to" in out
    assert "from 16000 Hz" not in out
    path = tmp_path / "smoothed.onnx"
    path.write_bytes(tiny_model(task="frames", decoder={"name": "smoothed"}))
    assert main(["inspect", str(path)]) == 0
    assert "decoder unbounded; in all up to unbounded" in capsys.readouterr().out


def test_parts_add_up() -> None:
    assert Delay(0.12, 0.04, 0.04, 0.02).total == pytest.approx(0.22)
