"""The sample `translate`: the two files that ship."""

import json
import re
import shlex
from pathlib import Path

import pytest

from helpers import load_script
from streamcell.runtime.cli.main import main
from streamcell.runtime.linked import Linked
from streamcell.runtime.model import Model
from streamcell.runtime.verify import verify

TRANSLATE = Path(__file__).parent.parent / "samples" / "translate"
FILES = TRANSLATE / "japanese.onnx", TRANSLATE / "japanese-english.onnx"


def test_the_files_belong_together_and_stream() -> None:
    encoder, decoder = map(Model.open, FILES)
    assert sum(path.stat().st_size for path in FILES) <= 4e6
    assert verify(encoder).within(1e-4)
    assert verify(decoder).within(1e-4)
    pair = Linked(encoder, decoder)
    one, other = ("".join(pair.text(text)) for text in ("彼は先生です。", "雨が降っています。"))
    assert one != other


def test_the_commands_say_what_the_page_says(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(TRANSLATE.parent.parent)
    page = (TRANSLATE / "README.md").read_text(encoding="utf-8")
    shown = re.findall(r"^\$ streamcell (.+)\n(.+)$", page, re.MULTILINE)
    assert len(shown) == 2
    for command, answer in shown:
        assert main(shlex.split(command)) == 0
        assert capsys.readouterr().out.strip() == answer


def test_the_score_counts_what_the_files_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    score = load_script(TRANSLATE / "score.py")
    pair = Linked(*map(Model.open, FILES))
    sources = [
        f"{who}は{what}です。" for who in ("彼", "私", "彼女") for what in ("医者", "学生", "先生", "元気", "幸せ")
    ]
    answers = ["".join(pair.text(text)) if i % 2 else f"number {i}, of course!" for i, text in enumerate(sources)]
    lines = [f"{answer.capitalize()}\t{text}" for answer, text in zip(answers, sources, strict=True)]
    (tmp_path / "pairs.txt").write_text("\n".join(lines), encoding="utf-8")
    recipe = (TRANSLATE / "recipe.toml").read_text(encoding="utf-8").replace("text/tatoeba/jpn-eng.txt", "pairs.txt")
    recipe = recipe.replace("validation = 1000", "validation = 1").replace("test = 1000", "test = 8")
    (tmp_path / "recipe.toml").write_text(recipe.replace("least_source = 8", "").replace("least_target = 5", ""))
    out, at = tmp_path / "said.jsonl", ["--data", str(tmp_path), "--recipe", str(tmp_path / "recipe.toml")]
    monkeypatch.setattr("sys.argv", ["score.py", *at, "--out", str(out)])
    score.main()
    rows = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    exact = sum(row["reference"] == row["answer"] for row in rows) / len(rows)
    printed = dict(line.split() for line in capsys.readouterr().out.splitlines()[:5])
    assert float(printed["exact"]) == exact
    assert 0 < exact < 1
    assert 0 < float(printed["bleu"]) < 100
    assert float(printed["loss"]) > 0
