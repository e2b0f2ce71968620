"""What is written is what a plain loop over the network writes."""

from itertools import islice
from typing import Any

import numpy as np
import pytest
import torch

from helpers import tiny_model
from sequences import LETTERS, WORDS, letters, words, writer
from streamcell.runtime.beam_text import beam_text
from streamcell.runtime.errors import InputError, ModelError
from streamcell.runtime.frames import log_softmax
from streamcell.runtime.generate import Writing, generate, write
from streamcell.runtime.model import Model
from streamcell.runtime.sampling import Sampling
from streamcell.runtime.symbols import Symbols
from streamcell.runtime.tokens import TokenStream
from streamcell.train.models import SequenceNet

GREEDY = Sampling(0.0)
PLAIN = ("a", "b", "c", "d", " ")


def torch_loop(
    network: SequenceNet, heard: list[int], length: int, never: tuple[int, ...] = (), end: int = -1
) -> list[int]:
    """Write greedily with torch alone."""
    found: list[int] = []
    with torch.no_grad():
        logits, state = network(torch.tensor([heard]), network.initial_state(1))
        while len(found) < length:
            last = logits[0, -1].numpy().copy()
            last[list(never)] = -np.inf
            place = int(last.argmax())
            if place == end:
                break
            found.append(place)
            logits, state = network(torch.tensor([[place]]), state)
    return found


@pytest.mark.parametrize("seed", range(4))
def test_greedy_text_is_the_torch_loops(seed: int) -> None:
    network, model = writer(seed=seed)
    symbols = Symbols(LETTERS, "characters")
    expected = torch_loop(network, [1, *symbols.encode("bad").tolist()], 60, never=(0, 1), end=2)
    text = "".join(generate(model, "bad", GREEDY, length=60))
    assert text == symbols.decode(expected)
    assert not {"<", ">"} & set(text)


def test_pieces_come_one_by_one_and_join_words_as_symbols_do() -> None:
    network, model = writer(words(), decoder={"stop": ""})
    expected = torch_loop(network, [0, 2, 3], 40, never=(0, 1))
    pieces = list(generate(model, "The cat", GREEDY, length=40))
    assert len(pieces) == 40
    assert "the cat" + "".join(pieces) == Symbols(WORDS, "words").decode([2, 3, *expected])


def test_the_same_seed_gives_the_same_text_and_others_others() -> None:
    _, model = writer(letters(PLAIN))
    texts = ["".join(generate(model, "a", Sampling(seed=seed), length=50)) for seed in (1, 1, 2)]
    assert texts[0] == texts[1] != texts[2]
    assert len(texts[0]) == 50


def test_symbols_are_as_frequent_as_the_network_says() -> None:
    network, model = writer(letters(PLAIN))
    with torch.no_grad():
        logits = network(torch.tensor([[0, 1]]), network.initial_state(1))[0][0, -1]
    expected = torch.softmax(logits, 0).double().numpy()
    drawn = ["".join(generate(model, "ab", Sampling(seed=seed), length=1)) for seed in range(400)]
    found = np.array([drawn.count(symbol) for symbol in PLAIN])
    chi = (np.square(found - 400 * expected) / (400 * expected)).sum()
    assert chi < 23.5  # 4 degrees of freedom: the chance of that is 1e-4, and the seeds are fixed


def test_the_symbol_to_start_with_comes_before_the_prompt_once() -> None:
    _, model = writer()
    stream = TokenStream(model)
    first = "".join(write(stream, "bad", GREEDY, length=5))
    assert stream.count == 1 + 3 + 5
    second = "".join(write(stream, "", GREEDY, length=5))
    assert stream.count == 9 + 5
    assert first + second == "".join(generate(model, "bad", GREEDY, length=10))
    saved = TokenStream(model)
    list(write(saved, "bad", GREEDY, length=5))
    again = TokenStream.restore(model, saved.snapshot())
    assert "".join(write(again, "", GREEDY, length=5)) == second


def test_a_manifest_says_how_text_is_written() -> None:
    said = {"temperature": 0, "length": 7, "start": "a", "stop": "."}
    network, model = writer(decoder=said)
    symbols = Symbols(LETTERS, "characters")
    start, stop = LETTERS.index("a"), LETTERS.index(".")
    expected = torch_loop(network, [start], 7, never=(0, 1, 2), end=stop)
    assert "".join(generate(model)) == symbols.decode(expected)
    assert Writing.of(model.manifest) == Writing(0.0, 0, 1.0, 7, "a", ".")
    assert Writing.of(writer(letters(PLAIN))[1].manifest) == Writing(1.0, 0, 1.0, 200, "", "")


@pytest.mark.parametrize("length", [0, 1, 5, 80])
@pytest.mark.parametrize("stop", ["a", "ab", "aab", "d d", "zz"])
def test_text_ends_before_a_stop_that_comes_in_pieces(stop: str, length: int) -> None:
    _, model = writer(letters(PLAIN), seed=5)
    for seed in range(6):
        whole = "".join(generate(model, "a", Sampling(2.0, seed=seed), length=length))
        cut = "".join(generate(model, "a", Sampling(2.0, seed=seed), length=length, stop=stop))
        assert cut == whole.split(stop)[0]


def test_pieces_do_not_wait_for_more_than_a_stop_needs() -> None:
    _, model = writer(letters(PLAIN))
    stream = TokenStream(model)
    pieces = write(stream, "a", Sampling(seed=1), length=1000)
    assert stream.count == 0 or stream.count == 1
    "".join(islice(pieces, 10))
    assert stream.count == 11


@pytest.mark.parametrize("seed", range(3))
def test_a_beam_of_one_is_greedy(seed: int) -> None:
    _, model = writer(seed=seed)
    assert beam_text(model, 1, prompt="ab", length=20) == "".join(generate(model, "ab", GREEDY, length=20))


def scored(model: Model, places: tuple[int, ...], never: tuple[int, ...]) -> float:
    """Return the mean log-probability of symbols after <start>, by the model alone."""
    stream = TokenStream(model)
    answers = stream.push([1, *places[:-1]])
    answers[:, list(never)] = -np.inf
    log_probs = log_softmax(answers)
    return float(np.mean([log_probs[step, place] for step, place in enumerate(places)]))


def test_a_wide_beam_finds_the_best_of_all_texts() -> None:
    symbols = ("<unk>", "<start>", "<end>", "a", "b")
    _, model = writer(letters(symbols), seed=3)
    every: dict[str, float] = {}

    def grow(places: tuple[int, ...]) -> None:
        for place in (2, 3, 4):
            text = (*places, place)
            if place == 2 or len(text) == 4:
                shown = "".join(symbols[one] for one in text if one != 2)
                every[shown] = max(every.get(shown, -np.inf), scored(model, text, (0, 1)))
            else:
                grow(text)

    grow(())
    best = max(every, key=lambda text: every[text])
    assert beam_text(model, 64, length=4) == best


def test_what_cannot_be_written_is_refused_at_once() -> None:
    _, model = writer(letters(PLAIN))
    with pytest.raises(InputError, match="no symbol to start with; give a prompt"):
        generate(model)
    with pytest.raises(InputError, match="no symbol to start with; give a prompt"):
        beam_text(model, 2)
    with pytest.raises(InputError, match="'x' at place 1 is none of the model's 5 symbols"):
        generate(model, "ax")
    for length in (-1, 1.5, True):
        with pytest.raises(InputError, match="length must be a whole number"):
            generate(model, "a", length=length)  # type: ignore[arg-type]
    for width in (0, 65, 1.0):
        with pytest.raises(InputError, match="width of 1 to 64"):
            beam_text(model, width, prompt="a")  # type: ignore[arg-type]
    with pytest.raises(ModelError, match="task 'ctc'; only one of task 'next' writes text"):
        generate(Model.open(tiny_model()))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"temperature": "hot"}, "decoder.temperature must be a number, got 'hot'"),
        ({"temperature": -1.0}, "temperature must be a number from 0"),
        ({"top_k": 1.5}, "decoder.top_k must be an integer"),
        ({"top_p": 2}, "top_p"),
        ({"length": 0}, "decoder.length must be a number of symbols above 0"),
        ({"length": [3]}, "decoder.length must be an integer"),
        ({"start": "x"}, "decoder.start must be one of input.symbols"),
        ({"stop": "<end>"}, "decoder.stop must be one of input.symbols"),
        ({"start": None}, "decoder.start must be a string"),
        ({"seed": 1}, "decoder.seed is not a known key"),
        ({"name": "ctc-greedy"}, "decoder.name is not a known key"),
    ],
)
def test_a_hostile_manifest_is_a_model_error(settings: dict[str, Any], words: str) -> None:
    _, model = writer(letters(PLAIN), decoder=settings)
    with pytest.raises(ModelError, match=words):
        generate(model, "a")


def test_a_model_of_special_symbols_alone_is_refused() -> None:
    _, model = writer(letters(("<unk>", "<start>")))
    with pytest.raises(ModelError, match="no symbols that are text"):
        list(generate(model))
