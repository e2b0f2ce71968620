"""Mixed precision: close to float32, float32 outside, and refused where it cannot be."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from streamcell.runtime.errors import InputError
from streamcell.train import checkpoint
from streamcell.train.loop import Trainer
from streamcell.train.models import PhonemeNet
from streamcell.train.optimiser import Muon
from streamcell.train.phonemes import PhonemeTask
from streamcell.train.precision import choose_precision, lower_precision
from streamcell.train.recipe import PhonemeRecipe, RecipeError, parse_recipe
from streamcell.train.session import Session
from streamcell.train.team import Team

CPU = torch.device("cpu")
TEXT = """
task = "phonemes"
name = "tiny"
[data]
corpora = [{path = "speech/train", validation_speakers = ["1334"]}]
[model]
cell = "gru"
hidden = 8
channels = 4
layers = 1
[train]
lanes = 2
chunk_steps = 8
updates = 8
warmup = 1
frame_updates = 4
validate_every = 4
"""


def trained(corpus: Path, text: str) -> tuple[Trainer, list[float]]:
    recipe = parse_recipe(text)
    assert isinstance(recipe, PhonemeRecipe)
    task = PhonemeTask(recipe, corpus, corpus / "cache", lambda *_: None)
    torch.manual_seed(1)
    network = recipe.network(task.columns)
    task.fit(network)
    trainer = Trainer(task, network, Team())
    return trainer, [sum(update.losses.values()) for update in trainer.run()]


@pytest.mark.parametrize("cell", ["gru", "lstm", "elman", "lstm-projected", "gru-reset-before"])
def test_bfloat16_learns_what_float32_learns(corpus: Path, cell: str) -> None:
    text = TEXT.replace('"gru"', f'"{cell}"')
    _, exact = trained(corpus, text)
    trainer, losses = trained(corpus, text + 'precision = "bfloat16"\n')
    assert losses != exact
    assert losses == pytest.approx(exact, rel=0.03)
    kept = [*trainer.network.state_dict().values(), *trainer.average.values(), *trainer.shards[0].state.values()]
    assert {value.dtype for value in kept} == {torch.float32}
    assert torch.backends.mkldnn.enabled


def test_the_front_end_stays_exact_and_what_comes_out_is_float32() -> None:
    torch.manual_seed(2)
    network = PhonemeNet(41, hidden=8, channels=4, layers=1).eval()
    heard: list[Tensor] = []
    network.standardise.register_forward_hook(lambda _module, _inputs, features: heard.append(features))
    samples = torch.rand(2, 4800) - 0.5
    with torch.no_grad():
        exact, _ = network(samples, network.initial_state(2))
        lower_precision(network, "bfloat16", CPU)
        logits, state = network(samples, network.initial_state(2))
    assert torch.equal(*heard)
    assert {logits.dtype, *(value.dtype for value in state.values())} == {torch.float32}
    assert 0 < float((logits - exact).abs().max()) < 0.05


def test_float32_leaves_the_network_alone() -> None:
    network = PhonemeNet(41, hidden=8, channels=4, layers=1)
    before = network.forward
    lower_precision(network, "float32", CPU)
    assert network.forward == before


def test_float16_on_a_cpu_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r'train\.precision "float16" needs a GPU'):
        choose_precision("float16", CPU)
    text = TEXT + 'precision = "float16"\n'
    with pytest.raises(InputError, match="needs a GPU"):
        Session(parse_recipe(text), text, tmp_path / "nothing", tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("known", "chosen"),
    [({"amx_bf16": True}, "bfloat16"), ({"avx512_bf16": True}, "bfloat16"), ({"avx512_f": True}, "float32")],
)
def test_auto_is_what_the_processor_is_fast_at(
    known: dict[str, bool], chosen: str, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: known, raising=False)
    assert choose_precision("auto", CPU) == chosen
    text = TEXT + 'optimiser = "muon"\n'
    trainer, losses = trained(corpus, text + 'precision = "auto"\n')
    assert losses == trained(corpus, text + f'precision = "{chosen}"\n')[1]
    assert isinstance(trainer.optimiser, Muon)
    assert trainer.optimiser.dtype == getattr(torch, chosen)


def test_auto_says_what_it_chose(corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = TEXT + 'precision = "auto"\n'
    session = Session(parse_recipe(text), text, corpus, tmp_path / "run")
    session.run()
    assert f"computes in {session.trainer.precision}" in capsys.readouterr().err


def test_who_resumes_where_another_precision_is_chosen_is_told(
    corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    text = TEXT + 'precision = "auto"\n'
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"amx_bf16": True}, raising=False)
    session = Session(parse_recipe(text), text, corpus, tmp_path / "run")
    with pytest.raises(KeyboardInterrupt):
        session.run(lambda: session.trainer.update == 5)
    monkeypatch.setattr(torch.cpu, "get_capabilities", dict, raising=False)
    Session(parse_recipe(text), text, corpus, tmp_path / "run", resume=True).run()
    assert "computes in float32, not in bfloat16 as before" in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize("value", ['"float64"', '"half"', "16", "true"])
def test_nonsense_is_refused(value: str) -> None:
    with pytest.raises(RecipeError, match=r"precision"):
        parse_recipe(TEXT + f"precision = {value}\n")


def test_a_resumed_run_in_bfloat16_is_never_stopped(corpus: Path, tmp_path: Path) -> None:
    text = TEXT + 'precision = "bfloat16"\n'
    recipe = parse_recipe(text)
    Session(recipe, text, corpus, tmp_path / "whole").run()
    session = Session(recipe, text, corpus, tmp_path / "cut")
    with pytest.raises(KeyboardInterrupt):
        session.run(lambda: session.trainer.update == 5)
    Session(recipe, text, corpus, tmp_path / "cut", resume=True).run()
    whole, cut = (checkpoint.load(tmp_path / name / "checkpoint.pt")["trainer"] for name in ("whole", "cut"))
    for name, value in whole["average"].items():
        assert torch.equal(cut["average"][name], value), name
