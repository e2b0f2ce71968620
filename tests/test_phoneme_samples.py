"""Scripts of samples/phonemes: recordings changed, other people's symbols, a bigram chosen."""

# ruff: noqa: RUF001 - IPA letters are meant to look like Latin ones

import json
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from helpers import SAMPLES, load_script
from streamcell.runtime.lm import read_arpa
from streamcell.runtime.phones import ARPABET

robustness = load_script(SAMPLES / "robustness.py")
others = load_script(SAMPLES / "others.py")
delay = load_script(SAMPLES / "delay.py")
bigram = load_script(SAMPLES / "bigram.py")
RANDOM = np.random.default_rng(0)


def test_a_room_is_the_sum_of_its_mirror_sources() -> None:
    size, source, ear, seconds = (4.0, 3.0, 2.5), (1.3, 1.2, 1.5), (2.2, 1.6, 1.3), 0.3
    response = robustness.room(size, source, ear, seconds)
    direct = np.linalg.norm(np.subtract(source, ear))
    assert response[0] == pytest.approx(1 / direct)
    first = np.linalg.norm(np.subtract((-1.3, 1.2, 1.5), ear))  # behind the wall at x = 0
    volume, walls = 30.0, 2 * (12 + 10 + 7.5)
    reflected = np.exp(-0.161 * volume / (walls * seconds) / 2)
    late = round(first / 343 * 16000) - round(direct / 343 * 16000)
    assert response[late] == pytest.approx(reflected / first)
    power = np.cumsum(robustness.limit_band(response, 500, 4000, 16000)[::-1] ** 2)[::-1]
    decay = 10 * np.log10(power / power[0])
    half = int(np.argmax(decay < -25)) - int(np.argmax(decay < -5))
    assert 3 * half / 16000 == pytest.approx(seconds, rel=0.35)  # Eyring's formula is for sound from everywhere


def test_changes_do_what_they_say() -> None:
    sound = RANDOM.standard_normal(16000).astype(np.float32) * np.float32(0.05)
    louder = robustness.at_level(sound, 0, RANDOM, dbfs=-10)
    assert 20 * np.log10(louder.std()) == pytest.approx(-10, abs=0.01)
    noise = RANDOM.standard_normal(8000).astype(np.float32)
    added = robustness.in_noise(sound, 0, np.random.default_rng(3), [noise], 5) - sound
    assert 20 * np.log10(sound.std() / added.std()) == pytest.approx(5, abs=0.05)
    voices = [sound, np.zeros(100, np.float32) + 1, noise, noise[:100]]
    added = robustness.among_voices(sound, 0, np.random.default_rng(3), voices, 10) - sound
    assert 20 * np.log10(robustness.level(sound) / robustness.level(added)) == pytest.approx(10, abs=0.05)
    tone = np.sin(np.arange(16000) / 20).astype(np.float32)
    wet = robustness.in_room(tone, 0, RANDOM, np.array([0.0, 0.0, 2.0]))
    np.testing.assert_allclose(wet[500:-500], tone[498:-502], atol=0.01)


def test_the_table_and_the_figures_are_of_the_same_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out, picture = tmp_path / "r.json", tmp_path / "r.png"
    call = ["robustness.py", "phonemes-en", SAMPLES, "--only", "rate", "telephone", "--out", out, "--picture", picture]
    monkeypatch.setattr(sys, "argv", list(map(str, call)))
    robustness.main()
    found = json.loads(out.read_text())
    rows = found["results"]
    assert [row["name"] for row in rows] == ["16 kHz wav", "telephone", "8 kHz", "44.1 kHz", "48 kHz"]
    table = capsys.readouterr().out.splitlines()
    assert table[0] == "| recordings | samples |"
    for row, line in zip(rows, table[2:], strict=True):
        assert line.startswith(f"| {row['name']} | {100 * row['rates'][0]:.1f}% (")
        assert row["intervals"][0][0] <= row["rates"][0] <= row["intervals"][0][1]
    assert [round(row["kbits"]) for row in rows] == [256, 64, 128, 706, 768]
    assert {(tuple(row["phones"]), row["clipped"]) for row in rows} == {((84,), 0.0)}
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_foreign_symbols_are_folded_and_strangers_reported() -> None:
    unknown: Counter[str] = Counter()
    assert others.fold(["t͡ʃ", "ɪ", "eə", "ɝ", "̪", "õ"], unknown) == ["CH", "IH", "EH", "R", "ER", "AO", "N"]
    assert not unknown
    assert others.fold(["k", "ʀ"], unknown) == ["K", "ʀ"]
    assert unknown == {"ʀ": 1}
    assert {phone for folded in others.FOLD.values() for phone in folded.split()} <= set(ARPABET)


def test_the_pool_hears_what_a_stream_hears() -> None:
    model = others.Model.open("phonemes-en")
    paths = [SAMPLES / f"{name}.flac" for name in ("learner", "reader", "volunteer")]
    recordings = [others.to_float(others.read_audio(path, 16000)) for path in paths]
    alone = others.one_by_one(model)(recordings)
    assert others.side_by_side(model)(recordings) == alone
    assert all(len(phones) > 10 for phones in alone)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "hama.asr", None)
    with pytest.raises(SystemExit, match=r"others.py: error: hama is needed .* pip install hama==1.7.0"):
        others.theirs(Counter())


def test_a_bigram_is_chosen_on_held_out_speakers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "data/speech/a/train"
    folder.mkdir(parents=True)
    lines = [json.loads(line) for line in (SAMPLES / "utterances.jsonl").read_text().splitlines()]
    for one in lines:
        one["audio"] = str(SAMPLES / one["audio"])
    (folder / "utterances.jsonl").write_text("\n".join(map(json.dumps, lines)))
    held = lines[0]["speaker"]
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(f'[[data.corpora]]\npath = "speech/a/train"\nweight = 2.0\nvalidation_speakers = ["{held}"]\n')
    out, settings = tmp_path / "two.arpa", tmp_path / "two.json"
    monkeypatch.setattr(bigram, "TIMES", (1,))
    call = ["bigram.py", tmp_path / "data", "--recipe", recipe, "--out", out, "--settings", settings]
    monkeypatch.setattr(sys, "argv", list(map(str, call)))
    bigram.main()
    assert tuple(json.loads(settings.read_text()).values()) in bigram.WEIGHTS
    model = read_arpa(out.read_text(), "two")
    assert model.order == 2
    assert {*ARPABET} < {*model.tokens}


def test_phones_that_begin_a_word_are_told_apart(tmp_path: Path) -> None:
    words = {"a": (("AH",), ("EY",)), "cat": (("K", "AE", "T"),), "act": (("AE", "K", "T"),)}
    assert bigram.begun("A 'cat', a!", ["EY", "K", "AE", "T", "AH"], words) == ("EY_B", "K_B", "AE", "T", "AH_B")
    assert bigram.begun("act cat", ["AE", "K", "T"], words) == (), "a word is missing"
    assert bigram.begun("a dog", ["AH", "D"], words) == (), "a word is unknown"
    lines = [
        {"speaker": "1", "text": "a cat", "phones": [[0.1, 0.1, p] for p in ("SIL", "AH", "K", "AE", "T")]},
        {"speaker": "1", "text": "a cat", "phones": [[0.1, 0.1, "UW"]]},
        {"speaker": "2", "text": "act", "phones": [[0.2, 0.1, p] for p in words["act"][0]]},
    ]
    (tmp_path / "a").mkdir()
    (tmp_path / "a/utterances.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n")
    recipe = tmp_path / "recipe.toml"
    recipe.write_text('[[data.corpora]]\npath = "a"\nweight = 2.0\nvalidation_speakers = ["2"]\n')
    said = dict(bigram.begun_words(recipe, tmp_path, words))
    assert said == {"a": [("AH_B", "K_B", "AE", "T")]}
    times, text = next(bigram.texts(recipe, tmp_path, words))
    assert (times, text) == (1, [(said["a"], 1)])
    model = read_arpa(bigram.arpa(text, 2), "two")
    assert {*ARPABET, "K_B", "ZH_B"} < {*model.tokens}
    assert model.log10(["AH_B"], "K_B") > model.log10(["AH_B"], "K")


def test_a_phone_is_told_first_and_then_for_good(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    out = tmp_path / "delay.json"
    monkeypatch.setattr(sys, "argv", ["delay.py", str(SAMPLES), "--out", str(out)])
    delay.main()
    found = json.loads(out.read_text())
    assert found["phones"] > 40
    assert found["end"][0] < found["middle"][0] < found["start"][0] < found["start"][1]
    parts = delay.delay_of(delay.Model.open("phonemes-en").manifest)
    assert parts.look_ahead < found["first"][0] < found["start"][0]
    assert parts.total - parts.step - 1e-6 <= found["end"][0] <= parts.total  # a step waits for up to its length
