"""A pair of models, wired by the manifest, is what torch gives with the state handed over; strangers are refused."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from helpers import LABELS, noise, tiny_model
from sequences import WORDS, described, exported, network_for, pair, rows, words
from streamcell.runtime.beam_text import beam_text
from streamcell.runtime.errors import InputError, ModelError
from streamcell.runtime.linked import Linked
from streamcell.runtime.manifest import Link, OutputSpec
from streamcell.runtime.model import Model
from streamcell.runtime.sampling import Sampling
from streamcell.runtime.state import State
from streamcell.runtime.stream import Stream
from streamcell.runtime.symbols import Symbols
from streamcell.runtime.tokens import TokenStream
from streamcell.runtime.verify import verify

PICTURE = rows(8 * 6 * 3, image=(8, 6, 3))


def spoken(first: Any, second: Any, x: torch.Tensor, length: int) -> str:
    """Answer greedily with torch alone: the encoder's last frame is the decoder's h0, <start> comes first."""
    with torch.no_grad():
        frames, _ = first(x, first.initial_state(1))
        state, heard, found = {"h0": frames[:, -1][None]}, 0, list[int]()
        for _ in range(length):
            logits, state = second(torch.tensor([[heard]]), state)
            last = logits[0, -1].numpy().copy()
            last[0] = -np.inf
            heard = int(last.argmax())
            if heard == 1:
                break
            found.append(heard)
    return Symbols(WORDS, "words").decode(found)


def test_a_sentence_is_answered_as_torch_answers_it() -> None:
    first, encoder, second, decoder = pair()
    linked = Linked(encoder, decoder)
    for text in ("the cat sees a dog.", "a dog", "(the cat)"):
        places = Symbols(WORDS, "words").encode(text)
        expected = spoken(first, second, torch.tensor(places[None]), 12)
        assert "".join(linked.text(text, sampling=Sampling(0.0))) == expected
        assert "".join(linked.text(places, sampling=Sampling(0.0))) == expected
        assert beam_text(decoder, 1, state=linked.begin(text)) == expected
    assert linked.encoder is encoder
    assert linked.decoder is decoder


def test_a_picture_is_told_as_torch_tells_it() -> None:
    first, encoder, second, decoder = pair(PICTURE)
    linked = Linked(encoder, decoder)
    random = np.random.default_rng(0)
    for _ in range(5):
        picture = random.integers(0, 256, (8, 6, 3)).astype(np.uint8)
        x = torch.tensor(picture.reshape(1, 1, -1).astype(np.float32) / 255)
        expected = spoken(first, second, x, 12)
        assert "".join(linked.text(picture, sampling=Sampling(0.0))) == expected
        assert "".join(linked.text(picture / np.float32(255), sampling=Sampling(0.0))) == expected
    np.testing.assert_array_equal(linked.begin(picture)["h0"], linked.begin(np.stack([picture] * 3))["h0"])


def test_an_encoder_hears_long_input_in_parts() -> None:
    first, encoder, _, decoder = pair()
    places = np.random.default_rng(0).integers(0, len(WORDS), 2500)
    with torch.no_grad():
        frames, _ = first(torch.tensor(places[None]), first.initial_state(1))
    np.testing.assert_allclose(Linked(encoder, decoder).begin(places)["h0"][0], frames[:, -1].numpy(), atol=1e-5)


def test_rows_and_sound_begin_a_decoder_too() -> None:
    _, encoder, _, decoder = pair(rows(3))
    values = np.random.default_rng(0).standard_normal((20, 3)).astype(np.float32)
    outputs, _ = encoder.step(values[None], encoder.initial_state())
    np.testing.assert_allclose(Linked(encoder, decoder).begin(values)["h0"][0, 0], outputs["y"][0, -1], atol=1e-5)
    sound = Model.open(
        tiny_model(task="encode", outputs=(OutputSpec("logits", "values", LABELS, None, None, 0.01),), look_ahead=2)
    )
    network = network_for(words(), len(WORDS), width=6)
    manifest = described(network, words(), "next", WORDS)
    second = exported(network, replace(manifest, link=Link("tiny", sound.fingerprint, {"h0": "logits"})))
    samples = noise(90)
    padded = np.pad(samples, (0, 8 * 16 - 90))  # whole steps, and the two that the model looks ahead
    outputs, _ = sound.step(padded[None], sound.initial_state())
    np.testing.assert_allclose(Linked(sound, second).begin(samples)["h0"][0, 0], outputs["logits"][0, -1], atol=1e-5)


def test_states_that_are_not_linked_begin_as_ever() -> None:
    _, encoder, _, _ = pair()
    network = network_for(words(), len(WORDS), cell="lstm")
    manifest = described(network, words(), "next", WORDS)
    decoder = exported(network, replace(manifest, link=Link("first", encoder.fingerprint, {"c0": "y"})))
    state = Linked(encoder, decoder).begin("the cat")
    assert state["c0"].any()
    assert not state["h0"].any()


def test_strangers_are_refused_by_name() -> None:
    _, encoder, _, decoder = pair()
    network = network_for(words(), 16, seed=9)
    other = exported(network, described(network, words(), "encode", _numbers(16), name="other"))
    match = r"second begins with what first gives \(\w{16}\), not with other .* exported together"
    with pytest.raises(ModelError, match=match):
        Linked(other, decoder)
    with pytest.raises(ModelError, match="first begins by itself; it takes no encoder, such as first"):
        Linked(encoder, encoder)
    with pytest.raises(ModelError, match="begins with what first gives, so it cannot stream by itself"):
        Stream(Model.open(tiny_model(link=Link("first", "0" * 64, {"h0": "y"}))))


def _numbers(count: int) -> tuple[str, ...]:
    return tuple(f"h0 {unit}" for unit in range(count))


@pytest.mark.parametrize(
    ("states", "message"),
    [
        ({"h0": "z"}, "second wants what first does not give: z"),
        ({"h0": "y"}, "wants the float32 output 'y' of 24 numbers for the float32 state 'h0'; first has 'y' of 16"),
    ],
)
def test_answers_that_do_not_fit_a_state_are_refused(states: dict[str, str], message: str) -> None:
    _, encoder, _, _ = pair()
    network = network_for(words(), len(WORDS), width=24)
    manifest = described(network, words(), "next", WORDS, name="second")
    decoder = exported(network, replace(manifest, link=Link("first", encoder.fingerprint, states)))
    with pytest.raises(ModelError, match=message):
        Linked(encoder, decoder)


@pytest.mark.parametrize("states", [{}, {"h9": "y"}, {"h0": 3}])
def test_a_link_that_names_no_state_is_refused_when_the_file_is_opened(states: Any) -> None:
    network = network_for(words(), len(WORDS))
    manifest = described(network, words(), "next", WORDS)
    with pytest.raises(ModelError, match=r"link.states"):
        replace(manifest, link=Link("first", "0" * 64, states))


def test_input_of_another_kind_is_refused() -> None:
    _, encoder, _, decoder = pair()
    with pytest.raises(InputError, match="needs at least one step"):
        Linked(encoder, decoder).begin("")
    with pytest.raises(InputError, match="'bird' at place 1 is none of the model's"):
        Linked(encoder, decoder).begin("a bird")
    _, seeing, _, telling = pair(PICTURE)
    with pytest.raises(InputError, match="first takes pictures, not text"):
        Linked(seeing, telling).begin("a cat")
    with pytest.raises(InputError, match="expected pictures of 8 rows, 6 columns and 3 colour"):
        Linked(seeing, telling).begin(np.zeros((6, 8, 3), np.uint8))


def test_linked_models_are_verified_by_themselves_too() -> None:
    _, encoder, _, decoder = pair()
    assert verify(encoder).within(1e-4)
    assert verify(decoder).within(1e-4)
    state = Linked(encoder, decoder).begin("the cat")
    assert isinstance(state, State)
    assert TokenStream(decoder, state).push([0]).shape == (1, len(WORDS))
