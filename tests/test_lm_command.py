"""``streamcell lm`` on files as users have them."""

import json
import re
from collections import Counter
from pathlib import Path

import pytest

from helpers import SAMPLES, tiny_manifest, tiny_model
from streamcell.runtime.cli.main import main
from streamcell.runtime.lm import read_arpa, train_ngram
from streamcell.runtime.lm.texts import speak
from streamcell.runtime.model import Model
from streamcell.runtime.phones import ARPABET
from streamcell.runtime.transcribe import transcribe_file

DICTIONARY = """\
;;; a few words
a AH0
a(2) EY1
cat K AE1 T # an animal
isn't IH1 Z AH0 N T
it's IH1 T S
the DH AH0
the(2) DH IY0
"""
TEXT = "The cat. It\u2019s a CAT!\n\nA zyx isn't a cat; 'it's' the end.\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "words.dict").write_text(DICTIONARY)
    (tmp_path / "text.txt").write_text(TEXT, encoding="utf-8")
    return tmp_path


def run(*args: object) -> int:
    return main(["lm", *map(str, args)])


def test_text_is_counted_word_by_word(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = folder / "phones.arpa"
    assert run(folder / "text.txt", "--dictionary", folder / "words.dict", "--order", 3, "--out", out) == 0
    rows = ["DH AH K AE T IH T S AH K AE T", "AH", "IH Z AH N T AH K AE T IH T S DH AH"]
    expected = train_ngram([row.split() for row in rows], 3, tokens=ARPABET)
    found = read_arpa(out.read_text())
    for context, token in [(["<s>"], "AH"), (["K", "AE"], "T"), (["T"], "S"), (["ZH"], "</s>")]:
        assert found.log10(context, token) == pytest.approx(expected.log10(context, token), abs=1e-6)
    told = capsys.readouterr()
    assert "3-gram of 41 tokens" in told.out
    assert "counted 27 phones in 3 rows, 13 words" in told.out
    assert "2 words are not in the dictionary, 2 different ones; the most frequent: zyx (1), end (1)" in told.err


def test_all_pronunciations_count_in_turn(folder: Path) -> None:
    dictionary = {"the": (("DH", "AH"), ("DH", "IY")), "a": (("AH",), ("EY",), ("AA",)), "cat": (("K", "AE", "T"),)}
    unknown = Counter[str]()
    rows = speak("the cat, a cat", dictionary, unknown, variants=True)
    said = [" ".join(phones) for phones, _ in rows]
    assert said == ["DH AH K AE T AH K AE T", "DH IY K AE T EY K AE T", "DH AH K AE T AA K AE T"]
    assert [weight for _, weight in rows] == [1 / 3] * 3
    assert not unknown
    args = (folder / "text.txt", "--dictionary", folder / "words.dict", "--out", folder / "x.arpa")
    assert run(*args, "--variants", "all") == 0
    model = read_arpa((folder / "x.arpa").read_text())
    assert model.log10(["DH"], "IY") == pytest.approx(model.log10(["DH"], "AH"), abs=0.1)


def test_phones_and_corpora_are_counted_without_pauses(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = (SAMPLES / "utterances.jsonl").read_text().splitlines()
    phones = [[label for _, _, label in json.loads(line)["phones"]] for line in lines]
    (folder / "said.txt").write_text("".join(f"{' '.join(row)}\n" for row in phones))
    assert run("--phones", folder / "said.txt", "--out", folder / "a.arpa") == 0
    assert run(SAMPLES / "utterances.jsonl", "--out", folder / "b.arpa") == 0
    assert (folder / "a.arpa").read_text() == (folder / "b.arpa").read_text()
    expected = train_ngram([[p for p in row if p != "SIL"] for row in phones], 2, tokens=ARPABET)
    assert read_arpa((folder / "a.arpa").read_text()).tokens == tuple(sorted(expected.tokens, key=expected.number))
    assert "words" not in capsys.readouterr().out


def test_perplexity_is_of_rows_that_were_not_counted(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [f"{a} {b} {c}" for a in ARPABET[:12] for b in ARPABET[:6] for c in ARPABET[:3]]
    (folder / "said.txt").write_text("\n".join(rows * 2))
    assert run("--phones", folder / "said.txt", "--out", folder / "a.arpa") == 0
    told = capsys.readouterr().out
    perplexity, held = float(told.split("perplexity ")[1].split()[0]), int(told.split(" rows held out")[0].split()[-1])
    assert 0 < held < 60
    assert held % 2 == 0, "equal rows are on one side"
    assert 2 < perplexity < 8


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("text.txt",), "text.txt is plain text: give --dictionary, or --phones"),
        (("none.txt", "--phones"), "none.txt cannot be read"),
        (("empty.txt", "--phones"), "expected phones in .*empty.txt, found none"),
        (("latin.txt", "--phones"), "latin.txt is not UTF-8"),
        (("bad.jsonl",), "bad.jsonl, line 2: expected an object with phones"),
        (("odd.jsonl",), "odd.jsonl, line 1: expected phones as text"),
        (("text.txt", "--phones", "--order", "9"), "order must be from 1 to 4, got 9"),
        (("text.txt", "--phones", "--dictionary", "words.dict"), "choose one"),
        (("text.txt", "--phones", "--out", "no/such.arpa"), "expected a file in a folder that is there as --out"),
        (("text.txt", "--phones", "--out", "."), "expected a file in a folder that is there as --out"),
    ],
)
def test_what_does_not_fit_is_one_line(
    folder: Path, capsys: pytest.CaptureFixture[str], args: tuple[str, ...], words: str
) -> None:
    (folder / "empty.txt").write_text("\n  \n")
    (folder / "latin.txt").write_bytes(b"caf\xe9\n")
    (folder / "bad.jsonl").write_text('{"phones": ["A"]}\n{"phones": 3}\n')
    (folder / "odd.jsonl").write_text('{"phones": [[0, 1, 2]]}\n')
    file, *rest = args
    assert run(folder / file, "--out", folder / "x.arpa", *rest) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert re.search(words, line)
    assert not (folder / "x.arpa").exists()


def test_stress_of_phones_is_left_out(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "said.txt").write_text("K AE1 T\n")
    assert run("--phones", folder / "said.txt", "--out", folder / "x.arpa") == 0
    assert main(["transcribe", str(SAMPLES / "reader.flac"), "--lm", str(folder / "x.arpa")]) == 0
    assert "AE1" not in (folder / "x.arpa").read_text()


def test_an_ngram_of_other_phones_is_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "said.txt").write_text("p e q\n")
    assert run("--phones", folder / "said.txt", "--out", folder / "x.arpa") == 0
    assert main(["transcribe", str(SAMPLES / "reader.flac"), "--lm", str(folder / "x.arpa")]) == 2
    err = capsys.readouterr().err
    assert f"--lm {folder / 'x.arpa'} does not go with phonemes-en: the language model knows no 'AA'" in err


def test_transcribe_decodes_with_it_one_by_one_and_in_processes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arpa, out = tmp_path / "phones.arpa", tmp_path / "out"
    assert run(SAMPLES / "utterances.jsonl", "--order", "3", "--out", arpa) == 0
    capsys.readouterr()
    file = SAMPLES / "reader.flac"
    model = Model.open().with_decoder({"name": "ctc-beam", "lm": arpa.read_text()})
    expected = [(one.label, round(one.start, 3)) for one in transcribe_file(model, file).segments]
    assert expected != [(one.label, round(one.start, 3)) for one in transcribe_file(Model.open(), file).segments]
    assert main(["transcribe", str(file), "--lm", str(arpa), "--format", "jsonl"]) == 0
    (row,) = map(json.loads, capsys.readouterr().out.splitlines())
    assert [(one["label"], one["start"]) for one in row["segments"]] == expected
    call = ["transcribe", str(file), "--format", "jsonl", "--out", str(out), "--jobs", "2"]
    assert main([*call, "--lm", str(arpa)]) == 0
    assert json.loads((out / "reader.jsonl").read_text())["segments"] == row["segments"]
    assert main([*call, "--resume"]) == 0  # another decoder: done anew
    assert json.loads((out / "reader.jsonl").read_text())["segments"] != row["segments"]


def test_a_file_that_is_no_ngram_is_one_line_and_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.arpa").write_text("no n-gram\n")
    for name in ("a.arpa", "none.arpa"):
        assert main(["transcribe", str(SAMPLES / "reader.flac"), "--lm", str(tmp_path / name)]) == 2
        captured = capsys.readouterr()
        assert captured.out == ""
        assert captured.err.count("\n") == 1
        assert name in captured.err


def test_inspect_does_not_print_a_whole_ngram(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    long = "x" * 2000
    path = tmp_path / "long.onnx"
    path.write_bytes(tiny_model(manifest=tiny_manifest(training={"note": long})))
    assert main(["inspect", str(path)]) == 0
    printed = capsys.readouterr().out
    assert "(2000 characters)" in printed
    assert long[:100] not in printed.replace("\n", "").replace(" ", "")
