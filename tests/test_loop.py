"""The training loop: its schedule, its average, what it does when things go wrong."""

from pathlib import Path

import pytest
import torch

from streamcell.train.data.lanes import Lanes
from streamcell.train.loop import DivergedError, Prefetch, Trainer, learning_rate
from streamcell.train.phonemes import PhonemeTask
from streamcell.train.recipe import PhonemeRecipe, TrainRecipe, parse_recipe
from streamcell.train.team import Team

TEXT = """
task = "phonemes"
name = "tiny"
[data]
corpora = [{path = "speech/train", validation_speakers = ["1334"]}]
[model]
hidden = 8
channels = 4
layers = 1
[train]
lanes = 2
chunk_steps = 8
updates = 3
warmup = 1
frame_updates = 1
average = 0.5
"""


def task_of(corpus: Path) -> PhonemeTask:
    recipe = parse_recipe(TEXT)
    assert isinstance(recipe, PhonemeRecipe)
    return PhonemeTask(recipe, corpus, corpus / "cache", lambda *_: None)


def trainer_of(corpus: Path) -> Trainer:
    task = task_of(corpus)
    torch.manual_seed(task.recipe.train.seed)
    return Trainer(task, task.recipe.network(task.columns), Team())


def test_the_rate_rises_then_falls_to_nothing() -> None:
    recipe = TrainRecipe(updates=50, warmup=10, learning_rate=0.1)
    rates = [learning_rate(n, recipe) for n in range(50)]
    assert max(rates) == rates[9] == 0.1
    assert rates[:10] == sorted(rates[:10])
    assert rates[9:] == sorted(rates[9:], reverse=True)
    assert 0 < rates[-1] < 0.001


def test_frames_first_then_ctc_and_the_average_follows(corpus: Path) -> None:
    trainer = trainer_of(corpus)
    weights = []
    updates = []
    for update in trainer.run():
        updates.append(update)
        weights.append(trainer.network.head.weight.detach().clone())
    assert [update.number for update in updates] == [1, 2, 3]
    assert [[*update.losses] for update in updates] == [["frame"], ["ctc", "frame"], ["ctc", "frame"]]
    # Early on the average keeps n / (n + 10) of itself: all of the first weights' past is forgotten at n = 0.
    expected = weights[0]
    for n in (1, 2):
        expected = expected.lerp(weights[n], 1 - min(0.5, n / (n + 10)))
    torch.testing.assert_close(trainer.average["head.weight"], expected)


def test_a_gradient_that_is_no_number_stops_in_words_and_changes_nothing(corpus: Path) -> None:
    trainer = trainer_of(corpus)
    trainer.network.head.weight.data[0, 0] = float("inf")
    before = {name: value.clone() for name, value in trainer.network.state_dict().items()}
    with pytest.raises(
        DivergedError, match=r"the gradient became (nan|inf) at update 1, .* lower train\.learning_rate"
    ):
        next(trainer.run())
    assert all(torch.equal(value, before[name]) for name, value in trainer.network.state_dict().items())
    assert trainer.update == 0


def test_a_loss_that_is_no_number_is_named(corpus: Path) -> None:
    trainer = trainer_of(corpus)
    trainer.network.head.bias.data[1:] = float("nan")
    with pytest.raises(DivergedError, match="the loss 'frame' became nan at update 1"):
        next(trainer.run())


def test_what_goes_wrong_while_drawing_is_raised_where_the_chunk_is_wanted(corpus: Path) -> None:
    class Failing(Lanes):
        def draw(self) -> None:  # type: ignore[override]
            raise OSError("disk gone")

    lanes = task_of(corpus).lanes(0)
    lanes.__class__ = Failing
    with Prefetch(lanes) as chunks, pytest.raises(OSError, match="disk gone"):
        chunks()
