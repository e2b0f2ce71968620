from dataclasses import replace
from typing import Any, Literal

import numpy as np
import pytest

from helpers import tiny_manifest, tiny_model
from streamcell.runtime import Model, ModelError, Segment, Stream
from streamcell.runtime.decode import BeamCTC, GreedyCTC, Hysteresis, Smoothed, make_decoder
from streamcell.runtime.lm import read_arpa, train_ngram, write_arpa
from streamcell.runtime.manifest import Manifest
from streamcell.runtime.words import Lexicon, WordDecoder

OUTPUT = replace(tiny_manifest().outputs[0], kind="probabilities", blank=None)


def frames_manifest(**changes: Any) -> Manifest:
    return tiny_manifest(**{"task": "frames", "outputs": (OUTPUT,), **changes})


def test_ctc_gets_the_manifests_blank_silence_and_settings() -> None:
    made = make_decoder(tiny_manifest(decoder={"name": "ctc-greedy", "reach": 0.5}))
    assert isinstance(made, GreedyCTC)
    assert (made.settings.blank, made.settings.silence, made.settings.reach) == (0, 1, 0.5)
    assert (
        make_decoder(tiny_manifest()).settings == make_decoder(tiny_manifest(decoder={"name": "ctc-greedy"})).settings
    )


def test_a_beam_gets_the_language_model_of_the_manifest_once() -> None:
    text = write_arpa(train_ngram([["AA", "B"], ["K", "S"]], 2))
    manifest = tiny_manifest(decoder={"name": "ctc-beam", "lm": text, "width": 4, "calibration": [2, 0.5]})
    made, again = make_decoder(manifest), make_decoder(manifest)
    assert isinstance(made, BeamCTC)
    assert isinstance(again, BeamCTC)
    settings = made.settings
    assert (settings.blank, settings.silence, settings.width, settings.calibration) == (0, 1, 4, (2, 0.5))
    assert settings.lm == read_arpa(text).digest
    assert made.settings == again.settings
    assert made._gains is again._gains
    plain = make_decoder(tiny_manifest(decoder={"name": "ctc-beam"}))
    assert isinstance(plain, BeamCTC)
    assert plain.settings.lm == ""


def test_words_are_those_of_the_manifests_lexicon() -> None:
    made = make_decoder(tiny_manifest(decoder={"name": "words", "lexicon": "go\tB AA\n", "bonus": 1, "other": None}))
    assert isinstance(made, WordDecoder)
    expected = WordDecoder(tiny_manifest().outputs[0], Lexicon.parse("go  B AA"), bonus=1.0, other=None)
    assert made.settings == expected.settings
    other = make_decoder(tiny_manifest(decoder={"name": "words", "lexicon": "go\tB K\n", "bonus": 1, "other": None}))
    assert other.settings != made.settings


@pytest.mark.parametrize("name", [{}, {"name": "hysteresis"}])
def test_frames_get_a_hysteresis_that_skips_blank_and_silence(name: dict[str, str]) -> None:
    output = replace(OUTPUT, kind="logits", blank=0)
    made = make_decoder(frames_manifest(outputs=(output,), decoder={**name, "threshold": 0.7, "padding": 0}))
    assert isinstance(made, Hysteresis)
    settings = made.settings
    assert (settings.labels, settings.seconds_per_step, settings.kind) == (output.labels, 0.01, "logits")
    assert (settings.skip, settings.threshold, settings.padding) == ((0, 1), 0.7, 0.0)


@pytest.mark.parametrize("kind", ["logits", "probabilities"])
def test_frames_get_what_keeps_labels_apart_where_it_is_asked_for(kind: Literal["logits", "probabilities"]) -> None:
    output = replace(OUTPUT, kind=kind)
    made = make_decoder(frames_manifest(outputs=(output,), decoder={"name": "smoothed", "threshold": 0.5, "margin": 0}))
    assert isinstance(made, Smoothed)
    settings = made.settings
    assert (settings.labels, settings.seconds_per_step, settings.kind) == (output.labels, 0.01, kind)
    assert (settings.skip, settings.threshold, settings.release) == ((1,), 0.5, 0.4)


@pytest.mark.parametrize(
    ("manifest", "words"),
    [
        (
            tiny_manifest(decoder={"name": "hysteresis"}),
            "name must be 'ctc-greedy' or 'ctc-beam' or 'words' for task 'ctc'",
        ),
        (
            tiny_manifest(decoder={"name": "ctc-beam", "lm": 3}),
            "does not fit 'ctc-beam': lm must be the text",
        ),
        (tiny_manifest(decoder={"name": "ctc-beam", "lm": "x"}), "does not fit 'ctc-beam': lm, line 1: expected"),
        (tiny_manifest(decoder={"name": "ctc-beam", "beam": 3}), "does not fit 'ctc-beam': .*beam"),
        (tiny_manifest(decoder={"name": "words"}), "does not fit 'words': lexicon must be the text of a lexicon"),
        (tiny_manifest(decoder={"name": "words", "lexicon": "go"}), "no pronunciation of 'go' is known"),
        (tiny_manifest(decoder={"name": "words", "lexicon": "go  G OW"}), "the model has no label 'G'"),
        (tiny_manifest(decoder={"name": "words", "lexicon": "go  B AA", "bonus": "2"}), "bonus must be a number"),
        (tiny_manifest(decoder={"name": "words", "lexicon": "go  B AA", "width": 2}), "unexpected .*'width'"),
        (tiny_manifest(decoder={"calibration": [1]}), "calibration must be a slope above 0 and an offset"),
        (tiny_manifest(decoder={"calibration": 1}), "does not fit 'ctc-greedy': .*iterable"),
        (tiny_manifest(decoder={"beam": 4}), "does not fit 'ctc-greedy': .*beam"),
        (tiny_manifest(decoder={"reach": 0}), "does not fit 'ctc-greedy': expected lengths above 0"),
        (frames_manifest(decoder={"name": ["x"]}), "name must be 'hysteresis' or 'smoothed' for task 'frames', got"),
        (frames_manifest(decoder={"name": "ctc-greedy"}), "name must be 'hysteresis' or 'smoothed' for task 'frames'"),
        (frames_manifest(decoder={"name": "smoothed", "min_gap": 0.5}), "does not fit 'smoothed': .*min_gap"),
        (
            frames_manifest(decoder={"name": "smoothed", "margin": 2}),
            "does not fit 'smoothed': margin must be a number",
        ),
        (frames_manifest(decoder={"treshold": 0.5}), "does not fit 'hysteresis': .*treshold"),
        (frames_manifest(decoder={"threshold": "0.5"}), "does not fit 'hysteresis': threshold must be a number"),
        (frames_manifest(decoder={"kind": "logits"}), "does not fit 'hysteresis': .*kind"),
        (
            frames_manifest(outputs=(replace(OUTPUT, labels=("SIL",), silence="SIL"),)),
            "does not fit 'hysteresis': skip must be",
        ),
    ],
)
def test_what_does_not_fit_is_refused(manifest: Manifest, words: str) -> None:
    with pytest.raises(ModelError, match=words):
        make_decoder(manifest)


def test_a_stream_of_frames_says_the_same_for_any_cutting_and_after_a_snapshot() -> None:
    output = replace(OUTPUT, kind="logits", silence=None)
    settings = {"threshold": 0.4, "min_duration": 0.03, "min_gap": 0.02}
    model = Model.open(tiny_model(task="frames", outputs=(output,), decoder=settings))
    sound = np.random.default_rng(0).standard_normal(8000).astype(np.float32) * np.float32(0.3)

    def finals(block: int, cut: int = -1) -> list[Segment]:
        stream, events = Stream(model), []
        for begin in range(0, len(sound), block):
            events += stream.push(sound[begin : begin + block])
            if begin == cut * block:
                stream = Stream.restore(model, stream.snapshot())
        events += stream.flush()
        return sorted((e for e in events if isinstance(e, Segment) and e.final), key=lambda segment: segment.id)

    expected = finals(8000)
    assert len(expected) > 20
    assert len({segment.label for segment in expected}) > 2
    for found in (finals(7), finals(160), finals(481), finals(160, cut=20)):
        assert [replace(s, confidence=0) for s in found] == [replace(s, confidence=0) for s in expected]
        np.testing.assert_allclose([s.confidence for s in found], [s.confidence for s in expected], atol=1e-5)
